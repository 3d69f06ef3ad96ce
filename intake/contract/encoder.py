"""Writes the Python that encodes a check as Avro: straight code for one schema, made when the schema is read.

A general encoder asks every value what it is; this one knows, and is five to ten times as fast. It says only whether a
check fits; what is wrong with it is told by `explain`, which may take its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from intake.contract.avro import (
    AvroType,
    Boolean,
    Choice,
    Day,
    Decimals,
    Field,
    Floating,
    Integer,
    Listing,
    Mapped,
    Moment,
    Optional,
    Record,
    Scalar,
    SchemaUnsupportedError,
    Text,
)
from intake.contract.defaults import default_bytes
from intake.contract.errors import UnfitError
from intake.contract.numbers import DecimalBytes, days_since_epoch, sized, to_floating, to_integer, zigzag
from intake.contract.rules import CONTENT_HASH, RECEIVED_AT, Rules, forbidden_pattern
from intake.contract.timestamps import Timestamps
from intake.contract.types import ATTRIBUTE, is_raw, join_place

Encode = Callable[[Any, int, bytes], tuple[str, bytes, bytes]]
"""(check, now in ms, received_at as Avro bytes) -> transaction_id, key, value. Raises UnfitError or KeyError."""

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORT = [zigzag(size) for size in range(8192)]
_TAIL = b"\xff\xff\xff\xff"
"""Parts the fields that every check has from those that came later, in what is hashed. Nothing encoded begins so."""


def _length(size: int) -> bytes:
    return _SHORT[size] if size < 8192 else zigzag(size)


def _refuse(reason: str) -> None:
    raise UnfitError(reason)


def _later_fields(fields: tuple[tuple[bytes, bytes, bytes], ...]) -> bytes:
    """What is hashed of fields that may be left out: those that differ from their default, with their names.

    So a check has the same hash before and after its schema got another such field.
    """
    parts = [name + value for name, value, default in fields if value != default]
    return b"".join([_TAIL, *parts]) if parts else b""


def _has_defaults(kind: AvroType) -> bool:
    match kind:
        case Record():
            return any(field.has_default or _has_defaults(field.type) for field in kind.fields)
        case Listing():
            return _has_defaults(kind.items)
        case Mapped():
            # Its order is no part of its content: what is hashed is not what is sent.
            return True
        case Optional():
            return _has_defaults(kind.inner)
        case _:
            return False


class _Writer:
    """The source of a module: functions written so far, statements of the function being written, global names."""

    def __init__(self, rules: Rules, zone: ZoneInfo) -> None:
        self.rules = rules
        self.zone = zone
        self.functions: list[str] = []
        self.statements: list[str] = []
        self.names: dict[str, Any] = {
            "join": b"".join,
            "LENGTH": _SHORT,
            "UNSET": msgspec.UNSET,
            "length": _length,
            "later_fields": _later_fields,
            "refuse": _refuse,
            "sha256": sha256,
            "sized": sized,
            "zigzag": zigzag,
        }
        self._count = 0

    def fresh(self, prefix: str) -> str:
        """A name that was not given before."""
        self._count += 1
        return f"{prefix}_{self._count}"

    def hold(self, prefix: str, value: object) -> str:
        """A global name of `value`."""
        name = self.fresh(prefix)
        self.names[name] = value
        return name

    def function(self, kind: AvroType, place: str, *, hashed: bool) -> str:
        """A function from a value to its bytes; `hashed` for what goes into the hash rather than into the record."""
        outer, self.statements = self.statements, []
        pieces = self.pieces(kind, "o", place, hashed=hashed)
        statements, self.statements = self.statements, outer
        name = self.fresh("hashed" if hashed else "encoded")
        self.functions.append("\n".join([f"def {name}(o):", *statements, f"    return {joined(pieces)}"]))
        return name

    def pieces(self, kind: AvroType, value: str, place: str, *, hashed: bool) -> list[str]:
        """Expressions whose values, joined, are `value` encoded."""
        match kind:
            case Listing():
                item = self.function(kind.items, f"{place}/*", hashed=hashed)
                return [f"(join((length(len({value})), *map({item}, {value}), b'\\0')) if {value} else b'\\0')"]
            case Mapped():
                item = self.function(kind.values, f"{place}/*", hashed=hashed)
                pairs = f"sorted({value}.items())" if hashed else f"{value}.items()"
                each = f"sized(k.encode()) + {item}(v) for k, v in {pairs}"
                return [f"(join((length(len({value})), *({each}), b'\\0')) if {value} else b'\\0')"]
            case Optional():
                item = self.function(kind.inner, place, hashed=hashed)
                null, other = zigzag(kind.null_index), zigzag(1 - kind.null_index)
                is_null = f"bytes({value}) == b'null'" if is_raw(kind) else f"{value} is None"
                return [f"({null!r} if {is_null} else {other!r} + {item}({value}))"]
            case Record():
                return self.record(kind, value, place, hashed=hashed)
            case _:
                return self.scalar(kind, value, place)

    def record(self, record: Record, value: str, place: str, *, hashed: bool) -> list[str]:
        pieces: list[str] = []
        later: list[str] = []
        for field in record.fields:
            found = self.field(field, value, place, hashed=hashed)
            if field.has_default and hashed:
                later.append(self.later(field, found[0]))
            else:
                pieces += found
        return pieces + self.hashed_later(later)

    def field(self, field: Field, value: str, place: str, *, hashed: bool) -> list[str]:
        """A field of a record, or its default where it was left out."""
        at = f"{value}.{ATTRIBUTE}{field.name}"
        inside = join_place(place, field.name)
        if not field.has_default:
            return self.pieces(field.type, at, inside, hashed=hashed)
        function = self.function(field.type, inside, hashed=hashed)
        absent = f"not bytes({at})" if is_raw(field.type) else f"{at} is UNSET"
        return [f"({default_bytes(field.type, field.default)!r} if {absent} else {function}({at}))"]

    def later(self, field: Field, expression: str) -> str:
        return f"({sized(field.name.encode())!r}, {expression}, {default_bytes(field.type, field.default)!r})"

    def hashed_later(self, fields: list[str]) -> list[str]:
        return [f"later_fields(({', '.join(fields)},))"] if fields else []

    def scalar(self, kind: Scalar, value: str, place: str) -> list[str]:
        rule = self.rules.number(place)
        match kind:
            case Text():
                return self.text(kind, value, place)
            case Decimals():
                return [f"{self.hold('decimal', DecimalBytes(kind, rule))}[bytes({value})]"]
            case Boolean():
                table = self.hold("boolean", {b"true": b"\1", b"false": b"\0"})
                return [f"{table}[bytes({value})]"]
            case Integer():
                integer = self.hold("integer", lambda raw: zigzag(to_integer(raw.decode("latin-1"), kind, rule)))
                return [f"{integer}(bytes({value}))"]
            case Floating():
                floating = self.hold("floating", lambda raw: to_floating(raw.decode("latin-1"), kind))
                return [f"{floating}(bytes({value}))"]
            case Moment():
                return [f"{self.hold('moment', Timestamps(self.zone, kind.units_per_ms))}[{value}][1]"]
            case Day():
                return [f"zigzag({self.hold('day', days_since_epoch)}({value}))"]
            case Choice():
                return [f"{self.hold('choice', {s: zigzag(at) for at, s in enumerate(kind.symbols)})}[{value}]"]

    def text(self, kind: Text, value: str, place: str) -> list[str]:
        rule = self.rules.text(place)
        if kind.is_uuid:
            self.statements.append(f"    {self.hold('uuid', UUID.fullmatch)}({value}) or refuse('no uuid')")
        if pattern := forbidden_pattern(rule):
            search = self.hold("forbidden", pattern.search)
            self.statements.append(f"    {value}.isalnum() or not {search}({value}) or refuse('forbidden character')")
        encoded = self.fresh("text")
        self.statements.append(f"    {encoded} = {value}.encode()")
        size = f"len({encoded})"
        return [f"LENGTH[{size}]" if rule.max_length * 4 < 8192 else f"length({size})", encoded]


def joined(pieces: list[str]) -> str:
    """An expression that joins the values of others."""
    return pieces[0] if len(pieces) == 1 else f"join(({', '.join(pieces)}))"


def write_encoder(record: Record, rules: Rules, zone: ZoneInfo, prefix: bytes) -> tuple[Encode, str]:
    """The function that encodes a check, and its source. `prefix` (magic byte, schema id) begins every value.

    Raises SchemaUnsupportedError when the schema has no string transaction_id, the key of every record.
    """
    kinds = {field.name: field.type for field in record.fields}
    if not isinstance(kinds.get("transaction_id"), Text):
        raise SchemaUnsupportedError("a check needs a transaction_id of type string: it is the record's key")
    writer = _Writer(rules, zone)
    limits = rules.limits
    pieces: list[str] = []
    hashed: list[str] = []
    later: list[str] = []
    for field in record.fields:
        if field.name == RECEIVED_AT:
            pieces.append("received")
        elif field.name == CONTENT_HASH:
            pieces += [repr(zigzag(64)), "digest"]
        elif field.name == "timestamp" and isinstance(field.type, Moment):
            times = writer.hold("moment", Timestamps(zone, field.type.units_per_ms))
            writer.statements += [
                f"    at_ms, at_bytes = {times}[o.{ATTRIBUTE}timestamp]",
                f"    {-limits.max_age_ms} <= at_ms - now_ms <= {limits.max_future_ms} or refuse('age')",
            ]
            pieces.append("at_bytes")
            hashed.append("at_bytes")
        else:
            found = writer.field(field, "o", "", hashed=False)
            pieces += found
            if _has_defaults(field.type):
                found = writer.field(field, "o", "", hashed=True)
            if field.has_default:
                later.append(writer.later(field, found[0]))
            else:
                hashed += found
    hashed += writer.hashed_later(later)
    lines = ["def encode(o, now_ms, received):", *writer.statements]
    if pieces[: len(hashed)] == hashed:
        lines += [
            f"    content = {joined(hashed)}",
            "    digest = sha256(content).hexdigest().encode()",
            f"    value = join((PREFIX, content, {', '.join(pieces[len(hashed) :])}))",
        ]
    else:
        lines += [
            f"    digest = sha256({joined(hashed)}).hexdigest().encode()",
            f"    value = join((PREFIX, {', '.join(pieces)}))",
        ]
    lines += [
        f"    if len(value) > {limits.max_encoded_bytes}: too_large(len(value))",
        f"    return o.{ATTRIBUTE}transaction_id, o.{ATTRIBUTE}transaction_id.encode(), value",
    ]
    source = "\n\n".join([*writer.functions, "\n".join(lines)]) + "\n"

    def too_large(size_bytes: int) -> None:
        raise UnfitError(f"is {size_bytes} bytes when encoded, and at most {limits.max_encoded_bytes} are taken")

    names = {**writer.names, "PREFIX": prefix, "too_large": too_large}
    exec(compile(source, f"<encoder of {record.name}>", "exec"), names)  # noqa: S102 - text of our own, from a schema
    return cast("Encode", names["encode"]), source
