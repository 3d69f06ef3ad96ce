"""What bench.ksqlite runs in processes of their own: bare loops to compare with, and the load for latency.

python -m bench.ksqlite_loops bare|one|load   (settings as JSON on stdin, the result as JSON on stdout)
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench.checks import Arrival, Plan, arrivals, one_check
from ksqlite.formats import FormatSpec, HttpRegistry, MemoryRegistry, SchemaRegistry, Serde, infer_columns, serde
from ksqlite.types import INTEGER, STRING, TIMESTAMP, Column, decimal

CHECKOUT = Path(__file__).parents[1]
THOUSANDTH = Decimal("0.001")
BATCH = 2000
TRANSACTION_S = 0.4


def check_codec(registry: SchemaRegistry) -> tuple[Serde, list[Column]]:
    """The codec of topic ``checks`` by the schema that the registry has, and its columns."""
    schema = registry.latest("checks-value")
    if schema is None:
        raise SystemExit("bench: subject checks-value is not registered")
    columns = list(infer_columns(schema, is_key=False))
    spec = FormatSpec("AVRO", schema_id=schema.id)
    return serde(spec, columns, is_key=False, registry=registry, subject="checks-value"), columns


def row_of(arrival: Arrival, now_ms: int) -> tuple[Any, ...]:
    """A made-up check as intake would write it."""
    check = arrival.check
    items = [(item.product_id, item.quantity.quantize(THOUSANDTH), item.price, item.category) for item in check.items]
    return (
        check.transaction_id,
        int(check.sold_at.timestamp() * 1000),
        items,
        check.total_amount,
        check.nds_amount,
        check.tips_amount,
        check.payment_method,
        check.place_id,
        check.place_name,
        now_ms,
        hashlib.sha256(check.json()).hexdigest(),
    )


def made_up(count: int) -> Iterator[Arrival]:
    """So many arrivals of two days, in about the order of their sale."""
    plan = Plan(count=count, places=40, end=datetime.now(UTC), hours=48)
    return itertools.islice(arrivals(plan), count)


def producer(bootstrap: str, **more: Any) -> Producer:  # noqa: ANN401 - librdkafka's settings
    """A producer that partitions as Kafka's own does."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
            **more,
        }
    )


def preload(bootstrap: str, registry_url: str, count: int) -> int:
    """Writes checks; gives how many different ids they have."""
    registry = HttpRegistry(registry_url)
    codec, _ = check_codec(registry)
    sender = producer(bootstrap)
    ids = set()
    for arrival in made_up(count):
        ids.add(arrival.check.transaction_id)
        now_ms = time.time_ns() // 1_000_000
        data = codec.serialize(row_of(arrival, now_ms))
        while True:
            try:
                sender.produce("checks", data, arrival.check.transaction_id.encode(), timestamp=now_ms)
            except BufferError:
                sender.poll(0.1)
            else:
                break
    if sender.flush(120):
        raise SystemExit("bench: Kafka did not take all checks")
    registry.close()
    return len(ids)


# ----------------------------------------------------------------------------------------------------------- bare loops


class Copies:
    """The records that the pipeline writes of a check, without any query: about the same columns, the same codecs."""

    def __init__(self, columns: Sequence[Column]) -> None:
        registry = MemoryRegistry()

        def codec(name: str, *made: Column) -> Serde:
            return serde(FormatSpec("AVRO"), made, is_key=False, registry=registry, subject=name)

        own = {column.name: column for column in columns}
        again = [Column(f"LAST_{column.name}", column.type) for column in columns[1:]]
        item = own["ITEMS"].type.element  # type: ignore[attr-defined] # an array in the schema
        line = [Column("PLACE_ID", STRING), Column("TRANSACTION_ID", STRING), Column("SOLD_AT", TIMESTAMP)]
        self.arrival = codec("a", *columns, *again)
        self.sale = codec("b", *columns)
        self.numbered = codec("c", *line, Column("ITEM", item), Column("LINE_NO", INTEGER), Column("FIRST", INTEGER))
        self.line = codec(
            "d",
            *line,
            Column("LINE_NO", INTEGER),
            *(Column(field.name, field.type) for field in item.fields),
            Column("AMOUNT", decimal(38, 5)),
            Column("FIRST", INTEGER),
        )

    def of(self, row: tuple[Any, ...]) -> Iterator[tuple[str, bytes | None, str]]:
        """Topic, value and key of each."""
        transaction_id, sold_at, items, place_id = row[0], row[1], row[2], row[7]
        yield "bare_arrivals", self.arrival.serialize((*row, *row[1:])), transaction_id
        yield "bare_sales", self.sale.serialize(row), place_id
        for number, item in enumerate(items, 1):
            line = (place_id, transaction_id, sold_at)
            yield "bare_numbered", self.numbered.serialize((*line, item, number, 1)), place_id
            amount = (item[1] * item[2]).quantize(Decimal("0.00001"))
            yield "bare_lines", self.line.serialize((*line, number, *item, amount, 1)), place_id


def bare(settings: dict[str, Any], *, one: bool) -> dict[str, float]:
    """Consume, decode, encode, produce, in transactions: as many records as the pipeline writes, or ``one`` a check."""
    bootstrap, count = settings["kafka"], settings["checks"]
    registry = HttpRegistry(settings["registry_url"])
    codec, columns = check_codec(registry)
    copies = Copies(columns)
    plain = serde(FormatSpec("AVRO"), columns, is_key=False, registry=MemoryRegistry(), subject="x")
    topics = ["bare_one"] if one else ["bare_arrivals", "bare_sales", "bare_numbered", "bare_lines"]
    admin = AdminClient({"bootstrap.servers": bootstrap})  # must live until its answers are there
    for future in admin.create_topics([NewTopic(topic, 3, 1) for topic in topics]).values():
        future.result(30)
    sender = producer(bootstrap, **{"transactional.id": topics[0], "delivery.report.only.error": True})
    sender.init_transactions(30)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topics[0], "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("checks", partition, 0) for partition in range(3)])
    began, cpu_s, done, since = time.monotonic(), time.process_time(), 0, 0.0
    while done < count:
        messages = consumer.consume(BATCH, 0.5)
        for message in messages:
            if message.error() is not None:
                continue
            row = codec.deserialize(message.value())
            done += 1
            if row is None:
                continue
            if not since:
                sender.begin_transaction()
                since = time.monotonic()
            if one:
                sender.produce("bare_one", plain.serialize(row), message.key(), timestamp=message.timestamp()[1])
            else:
                for topic, value, key in copies.of(row):
                    sender.produce(topic, value, key.encode(), timestamp=row[1])
        if since and (time.monotonic() - since > TRANSACTION_S or done >= count):
            sender.commit_transaction()
            since = 0.0
    took_s = time.monotonic() - began
    consumer.close()
    registry.close()
    return {"checks_per_s": count / took_s, "cpu_s_per_100k": (time.process_time() - cpu_s) / count * 100_000}


# -------------------------------------------------------------------------------------------------------------- latency


def load(settings: dict[str, Any]) -> dict[str, float]:
    """Sends checks at a rate, and sees when the last record made of each can be read (read_committed)."""
    bootstrap, rate, seconds = settings["kafka"], settings["rate_per_s"], settings["seconds"]
    registry = HttpRegistry(settings["registry_url"])
    codec, _ = check_codec(registry)
    sender = producer(bootstrap, **{"linger.ms": 0, "acks": "all"})
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-latency",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 1,
        }
    )
    marks = [consumer.get_watermark_offsets(TopicPartition("sale_lines", partition), 10)[1] for partition in range(3)]
    consumer.assign([TopicPartition("sale_lines", partition, mark) for partition, mark in enumerate(marks)])
    schema = registry.latest("sale_lines-value")
    if schema is None:
        raise SystemExit("bench: sale_lines is not there")
    columns = infer_columns(schema, is_key=False)
    lines = serde(FormatSpec("AVRO"), columns, is_key=False, registry=registry, subject="sale_lines-value")
    where = [column.name for column in columns].index("TRANSACTION_ID")
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    plan = Plan(id_prefix=f"latency{time.time_ns()}", places=40)
    prepared = [one_check(plan, number) for number in range(int(rate * seconds))]
    began = time.monotonic()
    number = 0
    while len(seen) < len(prepared) and time.monotonic() < began + seconds + 20:
        while number < len(prepared) and time.monotonic() >= began + number / rate:
            check = prepared[number]
            check_id = f"{plan.id_prefix}-{number}"
            now_ms = time.time_ns() // 1_000_000
            row = (check_id, *row_of(Arrival(check), now_ms)[1:])
            sent[check_id] = time.monotonic()
            sender.produce("checks", codec.serialize(row), check_id.encode(), timestamp=now_ms)
            number += 1
        sender.poll(0)
        wait_s = max(0.0, min(0.002, began + number / rate - time.monotonic()))
        for message in consumer.consume(500, wait_s):
            if message.error() is None:
                line = lines.deserialize(message.value())
                if line is not None:
                    seen.setdefault(line[where], time.monotonic())
    consumer.close()
    registry.close()
    delays = sorted((seen[check_id] - at) * 1000 for check_id, at in sent.items() if check_id in seen)
    lost = len(sent) - len(delays)
    if not delays:
        raise SystemExit("bench: no check came through")
    return {
        "rate_per_s": rate,
        "p50_ms": delays[len(delays) // 2],
        "p95_ms": delays[int(len(delays) * 0.95)],
        "p99_ms": delays[int(len(delays) * 0.99)],
        "unseen": float(lost),
    }


def main() -> int:
    """Runs one of them."""
    settings = json.loads(sys.stdin.read())
    kind = sys.argv[1]
    print(json.dumps(load(settings) if kind == "load" else bare(settings, one=kind == "one")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
