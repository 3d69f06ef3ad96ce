"""Memory of ksqlite's state with ten million session keys: what the deduplication of checks keeps, written as it runs.

The keys are put, committed and forgotten as the runner does it, without Kafka; then some are looked up, and the
database is closed and opened again.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from ksqlite.engine.api import StoreKind, StoreSpec
from ksqlite.state.database import Database
from ksqlite.state.store import PersistentStore
from ksqlite.types import BIGINT, STRING, TIMESTAMP, array, decimal, struct

COMMIT = 4000
ITEM = struct(("P", STRING), ("Q", decimal(18, 3)), ("M", decimal(18, 2)), ("C", STRING))
MONEY = decimal(18, 2)
CONTENT = (TIMESTAMP, TIMESTAMP, array(ITEM), MONEY, MONEY, MONEY, STRING, STRING, STRING, STRING)


def session_type(copies: int = 2) -> StoreSpec:
    """The state of check_arrivals: the first and the last content of an id, and how often it came."""
    fields = [("START", BIGINT), ("END", BIGINT)]
    fields += [(f"C{number}", sql) for number, sql in enumerate(CONTENT * copies)]
    fields.append(("ARRIVALS", BIGINT))
    return StoreSpec("bench", StoreKind.SESSION, (STRING,), (array(struct(*fields)),))


def content(number: int, random_: random.Random) -> tuple[object, ...]:
    """A check's columns."""
    lines = [
        (
            f"product-{random_.randrange(5000)}",
            Decimal(random_.randrange(1, 5)),
            Decimal(random_.randrange(99999)) / 100,
            f"category {random_.randrange(12)}",
        )
        for _ in range(1 + number % 4)
    ]
    money = tuple(Decimal(random_.randrange(999_999)) / 100 for _ in range(3))
    sold_at = 1_770_000_000_000 + number * 137
    return (
        sold_at,
        sold_at + 900,
        lines,
        *money,
        "credit_card",
        f"{number % 500:03d}",
        "Магазин",
        random_.randbytes(32).hex(),
    )


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code is 1 when a key is not found again."""
    parser = argparse.ArgumentParser(prog="scripts/bench ksqlite_state", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    parser.add_argument("--keys", type=int, default=10_000_000, help="how many keys (10000000)")
    options = parser.parse_args(arguments)
    random_ = random.Random(1)  # noqa: S311 - made-up data
    with tempfile.TemporaryDirectory(prefix="ksqlite-state-") as folder:
        database = Database(Path(folder) / "db")
        part = database.slice("bench", 0)
        store = PersistentStore(session_type(), part)
        began = time.monotonic()
        for first in range(0, options.keys, COMMIT):
            for number in range(first, min(first + COMMIT, options.keys)):
                key = (f"check-{number:012d}-{number * 2654435761 % 2**32:08x}",)
                if store.get(key) is not None:
                    raise SystemExit(f"{key} is there before it was put")
                columns = content(number, random_)
                store.put(key, ([(columns[1], columns[1], *columns, *columns, 1)],))
            database.write([(part.head, store.drain())], {})
            store.settle()
        took_s = time.monotonic() - began
        found = 0
        looked = [random_.randrange(options.keys) for _ in range(min(20_000, options.keys))]
        began = time.monotonic()
        for number in looked:
            found += store.get((f"check-{number:012d}-{number * 2654435761 % 2**32:08x}",)) is not None
        lookup_us = (time.monotonic() - began) / len(looked) * 1e6
        database.close()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        began = time.monotonic()
        Database(Path(folder) / "db").close()
        open_s = time.monotonic() - began
    result = {
        "keys": options.keys,
        "keys_per_s": round(options.keys / took_s),
        "max_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "disk_mb": round(size / 1e6),
        "lookup_us": round(lookup_us, 1),
        "reopen_s": round(open_s, 3),
        "lost": len(looked) - found,
    }
    for name, value in result.items():
        print(f"{name:<12} {value:>14,}")
    if options.json:
        print(json.dumps(result))
    return 1 if result["lost"] else 0
