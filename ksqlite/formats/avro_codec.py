"""Decoders and encoders of Avro bodies, generated for one writer's schema and one list of SQL columns.

A decoder reads what the columns need and steps over the rest. Columns are found by name as ksqlDB does: exactly, then
without regard to case. A column that the writer's schema lacks is NULL.
"""

from __future__ import annotations

import json
import struct as binary
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ksqlite.formats import primitives as p
from ksqlite.formats.api import DeserializationError, Row, SerializationError
from ksqlite.formats.avro_schema import MISSING, AvroField, AvroType
from ksqlite.formats.primitives import varint
from ksqlite.formats.source import Source
from ksqlite.types import ArrayType, Base, DecimalType, MapType, SqlType, StructType

Columns = Sequence[tuple[str, SqlType]]
Decoder = Callable[[bytes], Row]
Encoder = Callable[[Row], bytes]

INLINE_FIELDS = 4
"""Structs of so many fields, or fewer, are written in place."""
_DOUBLE = binary.Struct("<d")
_FLOAT = binary.Struct("<f")

INTEGERS = (Base.INTEGER, Base.BIGINT, Base.DATE, Base.TIME, Base.TIMESTAMP)
_FITTING = {
    "boolean": (Base.BOOLEAN,),
    "int": (Base.INTEGER, Base.BIGINT, Base.DATE, Base.TIME),
    "long": (Base.BIGINT, Base.TIMESTAMP),
    "float": (Base.DOUBLE,),
    "double": (Base.DOUBLE,),
    "string": (Base.STRING,),
    "enum": (Base.STRING,),
}


def fit_decimal(value: Decimal, precision: int, scale: int) -> Decimal:
    """The value with exactly ``scale`` digits; raises DeserializationError where that would change it."""
    fitted = p.WIDE.quantize(value, Decimal(1).scaleb(-scale))
    if fitted != value or fitted.adjusted() + 1 > precision - scale:
        raise DeserializationError(f"Cannot fit decimal '{value}' into DECIMAL({precision}, {scale})")
    return fitted


def match_fields(fields: Sequence[AvroField], columns: Columns) -> list[int | None]:
    """For each field of a record the position of its column, or None when no column wants it."""
    exact = {name: position for position, (name, _) in enumerate(columns)}
    folded = {field.name.upper(): index for index, field in reversed(list(enumerate(fields)))}
    made: list[int | None] = [exact.get(field.name) for field in fields]
    taken = {position for position in made if position is not None}
    for position, (name, _) in enumerate(columns):
        index = folded.get(name.upper())
        if position not in taken and index is not None and made[index] is None:
            made[index] = position
    return made


class _DecoderSource(Source):
    """Statements that read from ``b`` at ``at``, and leave ``at`` behind what they read."""

    def __init__(self) -> None:
        super().__init__()
        self.env.update(
            _varint=p.read_varint,
            _length=p.LENGTH,
            _small=p.SMALL,
            _low=p.LOW.get,
            _high=p.HIGH,
            _ints=p.shared(p.IntWriter, b"\x02", b"\x00"),
            _error=DeserializationError,
            _double=_DOUBLE.unpack_from,
            _float=_FLOAT.unpack_from,
            _str=_text_of,
        )
        self.decimals: dict[int, str] = {}

    def read(self, depth: int, avro: AvroType, sql: SqlType | None, into: str) -> None:
        """Statements that set ``into`` to the value as ``sql``; ``sql`` None steps over it."""
        optional = avro.optional
        if optional is not None:
            null, inner = optional
            self.add(depth, "n = b[at]", "at += 1")
            self.add(depth, f"if n == {2 - 2 * null}:")
            self.read(depth + 1, inner, sql, into)
            self.add(depth, f"elif n == {2 * null}:", f"    {into} = None")
            self.add(depth, "else:", "    raise _error('Invalid union index')")
        elif avro.kind == "union":
            self.read_union(depth, avro, sql, into)
        elif avro.kind == "null":
            self.add(depth, f"{into} = None")
        elif avro.kind in ("int", "long"):
            self.read_number(depth, avro, into)
        elif avro.kind == "boolean":
            self.add(depth, f"{into} = b[at] != 0", "at += 1")
        elif avro.kind == "double":
            self.add(depth, f"{into} = _double(b, at)[0]", "at += 8")
        elif avro.kind == "float":
            self.add(depth, f"{into} = _float(b, at)[0]", "at += 4")
        elif avro.kind in ("string", "bytes", "fixed"):
            self.read_bytes(depth, avro, sql, into)
        elif avro.kind == "enum":
            symbols = self.bind(avro.symbols, "symbols")
            self.add(depth, "n, at = _varint(b, at)", f"{into} = {symbols}[n]")
        elif avro.kind == "array":
            self.read_array(depth, avro, sql, into)
        elif avro.kind == "map":
            self.read_map(depth, avro, sql, into)
        else:
            self.read_record(depth, avro, sql, into)
        if sql is not None and optional is None and avro.kind not in ("union", "null"):
            self.convert(depth, avro, sql, into)

    def convert(self, depth: int, avro: AvroType, sql: SqlType, into: str) -> None:
        """Statements that turn what was read into the SQL type, or refuse."""
        fits = sql.base in _FITTING.get(avro.kind, ())
        if fits:
            return
        if avro.kind in ("int", "long") and avro.logical and sql.base in INTEGERS:
            return
        if avro.kind in ("bytes", "fixed"):
            if isinstance(sql, DecimalType) and avro.logical == "decimal":
                if sql.scale != avro.scale or (avro.precision and avro.precision > sql.precision):
                    fit = self.bind(fit_decimal, "fit")
                    self.add(depth, f"{into} = {fit}({into}, {sql.precision}, {sql.scale})")
                return
            if sql.base is Base.BYTES and avro.logical != "decimal":
                return
        if avro.kind in ("array", "map", "record") and isinstance(sql, (ArrayType, MapType, StructType)):
            return  # checked where they are read
        if sql.base is Base.STRING and avro.kind in ("int", "long", "boolean") and not avro.logical:
            self.add(depth, f"{into} = _str({into})")
            return
        self.mismatch(depth, avro, sql)

    def mismatch(self, depth: int, avro: AvroType, sql: SqlType) -> None:
        """A statement that refuses the record, as ksqlDB does at each record and not before."""
        self.add(depth, f"raise _error({f'Avro {avro.kind} cannot be read as {sql}'!r})")

    def read_number(self, depth: int, avro: AvroType, into: str) -> None:
        if avro.kind == "long":
            # most longs are times in ms: six bytes, whose upper four change rarely
            self.add(
                depth,
                f"{into} = _small[b[at]]",
                f"if {into} is None:",
                "    n = _low(b[at:at + 2])",
                "    if n is not None and (m := _high[b[at + 2:at + 6]]) is not None:",
                f"        {into} = n + m",
                f"        if {into} not in _ints:",
                f"            _ints.tell({into}, b[at:at + 6])",
                "        at += 6",
                "    else:",
                f"        {into}, at = _varint(b, at)",
                "else:",
                "    at += 1",
            )
        else:
            self.add(
                depth,
                f"{into} = _small[b[at]]",
                f"if {into} is None:",
                f"    {into}, at = _varint(b, at)",
                "else:",
                "    at += 1",
            )

    def read_length(self, depth: int) -> None:
        """Sets ``n`` to the length and one, ``at`` to one before the first byte."""
        self.add(
            depth,
            "n = _length[b[at]]",
            "if not n:",
            "    n, at = _varint(b, at)",
            "    if n < 0: raise _error('Invalid length')",
            "    at -= 1",
            "    n += 1",
        )

    def read_bytes(self, depth: int, avro: AvroType, sql: SqlType | None, into: str) -> None:
        if avro.kind == "fixed":
            cut = f"b[at:(at := at + {avro.size})]"
        else:
            self.read_length(depth)
            cut = "b[at + 1:(at := at + n)]"
        if sql is None:
            self.add(depth, f"at += {avro.size}" if avro.kind == "fixed" else "at += n")
        elif avro.logical == "decimal":
            if avro.scale not in self.decimals:
                self.decimals[avro.scale] = self.bind(p.DecimalReader(avro.scale), "decimal")
            self.add(depth, f"{into} = {self.decimals[avro.scale]}[{cut}]")
        elif avro.kind == "string":
            self.add(depth, f"{into} = {self.bind(p.TextReader(), 'text')}[{cut}]")
        else:
            self.add(depth, f"{into} = {cut}")

    def blocks(self, depth: int) -> tuple[str, int]:
        """Opens the loops over the blocks and the entries of an array or map; gives the depth inside."""
        count = self.name("count")
        self.add(
            depth,
            "while True:",
            f"    {count} = _small[b[at]]",
            f"    if {count} is None or {count} < 0:",
            f"        {count}, at = _varint(b, at)",
            f"        if {count} < 0:",
            f"            {count} = -{count}",
            "            n, at = _varint(b, at)",
            "    else:",
            "        at += 1",
            f"    if not {count}:",
            "        break",
            f"    if {count} > len(b): raise _error('Invalid count')",
            f"    for _ in range({count}):",
        )
        return count, depth + 2

    def read_array(self, depth: int, avro: AvroType, sql: SqlType | None, into: str) -> None:
        assert avro.inner is not None  # noqa: S101 - for the type checker
        item = self.name("v")
        if isinstance(sql, MapType) and len(avro.inner.fields) == 2:
            key_field, value_field = avro.inner.fields
            key = self.name("v")
            self.add(depth, f"{into} = {{}}")
            _, inside = self.blocks(depth)
            self.read(inside, key_field.type, sql.key, key)
            self.read(inside, value_field.type, sql.value, item)
            self.add(inside, f"{into}[{key}] = {item}")
            return
        if sql is not None and not isinstance(sql, ArrayType):
            self.mismatch(depth, avro, sql)
            return
        if sql is not None:
            self.add(depth, f"{into} = []")
        _, inside = self.blocks(depth)
        self.read(inside, avro.inner, sql.element if sql is not None else None, item)
        if sql is not None:
            self.add(inside, f"{into}.append({item})")

    def read_map(self, depth: int, avro: AvroType, sql: SqlType | None, into: str) -> None:
        assert avro.inner is not None  # noqa: S101 - for the type checker
        if sql is not None and not isinstance(sql, MapType):
            self.mismatch(depth, avro, sql)
            return
        key, item = self.name("v"), self.name("v")
        if sql is not None:
            self.add(depth, f"{into} = {{}}")
        _, inside = self.blocks(depth)
        self.read(inside, AvroType("string"), sql.key if sql is not None else None, key)
        self.read(inside, avro.inner, sql.value if sql is not None else None, item)
        if sql is not None:
            self.add(inside, f"{into}[{key}] = {item}")

    def read_record(self, depth: int, avro: AvroType, sql: SqlType | None, into: str) -> None:
        if sql is not None and not isinstance(sql, StructType):
            self.mismatch(depth, avro, sql)
            return
        columns = [(field.name, field.type) for field in sql.fields] if sql is not None else []
        names = self.fields(depth, avro, columns)
        if sql is not None:
            self.add(depth, f"{into} = ({''.join(f'{name}, ' for name in names)})")

    def fields(self, depth: int, avro: AvroType, columns: Columns) -> list[str]:
        """Reads a record's fields; gives the sources of the columns' values in order."""
        names = ["None"] * len(columns)
        for field, position in zip(avro.fields, match_fields(avro.fields, columns), strict=True):
            target = self.name("v") if position is not None else "skipped"
            self.read(depth, field.type, columns[position][1] if position is not None else None, target)
            if position is not None:
                names[position] = target
        return names

    def read_union(self, depth: int, avro: AvroType, sql: SqlType | None, into: str) -> None:
        if sql is not None and len(avro.branches) != 1:
            self.mismatch(depth, avro, sql)
            return
        self.add(depth, "n, at = _varint(b, at)")
        branch_name = self.name("branch")
        self.add(depth, f"{branch_name} = n")
        for index, branch in enumerate(avro.branches):
            self.add(depth, f"{'if' if index == 0 else 'elif'} {branch_name} == {index}:")
            self.read(depth + 1, branch, sql, into)
        self.add(depth, "else:", "    raise _error('Invalid union index')")


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_CORRUPT = (IndexError, KeyError, binary.error, UnicodeDecodeError, OverflowError)


def decoder(avro: AvroType, columns: Columns, *, start: int = 0, single: bool = False) -> Decoder:
    """A function from bytes (the body begins at ``start``) to a row of the columns.

    ``single``: the body is the one column's value itself, not a record around it. The function raises
    DeserializationError.
    """
    source = _DecoderSource()
    source.env["_corrupt"] = _CORRUPT
    source.add(0, "def decode(b):", f"    at = {start}", "    try:")
    if single:
        source.read(2, avro, columns[0][1], "value")
        result = "(value,)"
    elif avro.kind == "record":
        result = f"({''.join(f'{name}, ' for name in source.fields(2, avro, columns))})"
    else:
        source.add(2, f"raise _error({f'Avro {avro.kind} where a record was expected'!r})")
        result = "()"
    source.add(1, "except _corrupt as problem:", "    raise _error(f'{type(problem).__name__}: {problem}') from None")
    source.add(1, "if at > len(b):", "    raise _error('Unexpected end of data')", f"return {result}")
    return source.build("decode", "avro decoder")


# ------------------------------------------------------------------------------------------------------------- encoders


class _Fragments(dict[int, tuple[Any, bytes]]):
    """Bytes of arrays, maps and structs by their identity; holding the value keeps its identity its own."""

    __slots__ = ()
    LIMIT = 4096

    def keep(self, value: Any, made: bytes) -> bytes:  # noqa: ANN401 - any value
        if len(self) > self.LIMIT:
            self.clear()
        self[id(value)] = (value, made)
        return made


class _Shared:
    """Memories that several encoders share: what one of them encoded, the others need not."""

    def __init__(self) -> None:
        self.made: dict[Any, Any] = {}

    def get(self, key: Any, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - any memory
        """The memory under a key, made when it is new."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


_SHARED = _Shared()


class _EncoderSource(Source):
    """Expressions that give the bytes of values.

    Arrays, maps and larger structs are kept with their bytes for whoever writes the same object again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.env.update(_join=b"".join, _error=SerializationError, _varint=varint)
        self.bound: dict[Any, str] = {}

    def memory(self, kind: Any, *arguments: Any) -> str:  # noqa: ANN401 - a Writer of any kind
        """The global name of a shared memory."""
        key = (kind, *arguments)
        if key not in self.bound:
            self.bound[key] = self.bind(p.shared(kind, *arguments), "memory")
        return self.bound[key]

    def write(self, avro: AvroType, sql: SqlType, value: str, default: Any = MISSING) -> str:  # noqa: ANN401 - any JSON
        """The source of an expression: the bytes of ``value`` (the source of a simple name)."""
        optional = avro.optional
        prefix, null = b"", None
        if optional is not None:
            position, avro = optional
            prefix, null = varint(1 - position), varint(position)
        elif default is not MISSING:
            null = encode_default(avro, default)
        base = sql.base
        if avro.kind in ("int", "long") and base in INTEGERS:
            if avro.kind == "int" and base is Base.BIGINT:
                return self.refuse(avro, sql)
            return f"{self.memory(p.IntWriter, prefix, null)}[{value}]"
        if avro.kind == "string" and base is Base.STRING:
            return f"{self.memory(p.TextWriter, prefix, null)}[{value}]"
        if avro.kind in ("bytes", "fixed") and avro.logical == "decimal" and base is Base.DECIMAL:
            return f"{self.memory(p.DecimalWriter, prefix, null, avro.scale, avro.size)}[{value}]"
        if avro.kind == "bytes" and base is Base.BYTES:
            return f"{self.memory(p.BytesWriter, prefix, null)}[{value}]"
        if avro.kind == "boolean" and base is Base.BOOLEAN:
            fixed: dict[Any, bytes] = {False: prefix + b"\x00", True: prefix + b"\x01"}
            return f"{self.bind(self.nullable(fixed, null), 'flag')}[{value}]"
        if avro.kind in ("double", "float") and base is Base.DOUBLE:
            pack = self.bind((_DOUBLE if avro.kind == "double" else _FLOAT).pack, "pack")
            made = f"{pack}({value})" if not prefix else f"{prefix!r} + {pack}({value})"
            return self.guard(value, null, made)
        if avro.kind == "enum" and base is Base.STRING:
            fixed = {symbol: prefix + varint(index) for index, symbol in enumerate(avro.symbols)}
            return f"{self.bind(self.nullable(fixed, null), 'symbols')}[{value}]"
        if isinstance(sql, StructType) and avro.kind == "record" and len(avro.fields) <= INLINE_FIELDS:
            return self.inline(avro, sql, value, prefix, null)
        function = self.compound(avro, sql, prefix, null)
        if function is None:
            return self.refuse(avro, sql)
        known = self.env[function].known.get
        get = self.bind(known, "known")
        return f"(known[1] if (known := {get}(id({value}))) else {function}({value}))"

    def inline(self, avro: AvroType, sql: StructType, value: str, prefix: bytes, null: bytes | None) -> str:
        """A small struct, field by field: cheaper than to look whether it is known."""
        columns = [(field.name, field.type) for field in sql.fields]
        sources = [f"{value}[{position}]" for position in range(len(columns))]
        parts = _record_parts(self, avro, columns, sources)
        made = " + ".join([repr(prefix), *parts] if prefix else parts) or "b''"
        return self.guard(value, null, made)

    @staticmethod
    def nullable(fixed: dict[Any, bytes], null: bytes | None) -> dict[Any, bytes]:
        return fixed if null is None else {None: null, **fixed}

    def guard(self, value: str, null: bytes | None, made: str) -> str:
        if null is None:
            refuse = self.bind(_refuse_null, "refuse")
            return f"({made} if {value} is not None else {refuse}())"
        return f"({made} if {value} is not None else {null!r})"

    def refuse(self, avro: AvroType, sql: SqlType) -> str:
        return f"{self.bind(_refuser(f'{sql} cannot be written as Avro {avro.kind}'), 'refuse')}()"

    def compound(self, avro: AvroType, sql: SqlType, prefix: bytes, null: bytes | None) -> str | None:
        """The global name of a remembering function for arrays, maps and structs; None when the types do not fit."""
        key = (avro, sql, prefix, null)
        if key not in self.bound:
            function = _SHARED.get(("compound", key), lambda: _compound(avro, sql, prefix, null))
            if function is None:
                return None
            self.bound[key] = self.bind(function, "compound")
        return self.bound[key]


def _refuse_null() -> bytes:
    raise SerializationError("null is not allowed by the registered schema")


def _refuser(message: str) -> Callable[[], bytes]:
    def refuse() -> bytes:
        raise SerializationError(message)

    return refuse


def _compound(avro: AvroType, sql: SqlType, prefix: bytes, null: bytes | None) -> Callable[[Any], bytes] | None:
    source = _EncoderSource()
    fragments = _Fragments()
    source.env.update(_keep=fragments.keep, _refuse=_refuse_null)
    source.add(0, "def encode(value):", "    if value is None:")
    source.add(2, f"return {null!r}" if null is not None else "return _refuse()")
    if isinstance(sql, ArrayType) and avro.kind == "array":
        assert avro.inner is not None  # noqa: S101 - for the type checker
        item = source.write(avro.inner, sql.element, "item")
        source.add(
            1,
            "if not value:",
            f"    return {prefix + varint(0)!r}",
            f"made = [{item} for item in value]",
            f"return _keep(value, {prefix!r} + _varint(len(made)) + _join(made) + {varint(0)!r})",
        )
    elif isinstance(sql, MapType) and (avro.kind == "map" or (avro.kind == "array" and avro.inner is not None)):
        assert avro.inner is not None  # noqa: S101 - for the type checker
        if avro.kind == "map":
            key_type, value_type = AvroType("string"), avro.inner
        elif len(avro.inner.fields) == 2:
            key_type, value_type = avro.inner.fields[0].type, avro.inner.fields[1].type
        else:
            return None
        key = source.write(key_type, sql.key, "key")
        item = source.write(value_type, sql.value, "item")
        source.add(
            1,
            "if not value:",
            f"    return {prefix + varint(0)!r}",
            f"made = [{key} + {item} for key, item in value.items()]",
            f"return _keep(value, {prefix!r} + _varint(len(made)) + _join(made) + {varint(0)!r})",
        )
    elif isinstance(sql, StructType) and avro.kind == "record":
        columns = [(field.name, field.type) for field in sql.fields]
        parts = _record_parts(source, avro, columns)
        if columns:
            source.add(1, f"{''.join(f'c{i}, ' for i in range(len(columns)))} = value")
        source.add(1, f"return _keep(value, _join(({prefix!r}, {''.join(f'{part}, ' for part in parts)})))")
    else:
        return None
    function = source.build("encode", "avro fragment encoder")
    function.known = fragments  # type: ignore[attr-defined]
    return function


def _record_parts(
    source: _EncoderSource, avro: AvroType, columns: Columns, names: Sequence[str] | None = None
) -> list[str]:
    """Sources of the bytes of each of a record's fields, from columns ``c0``, ``c1`` and so on, or ``names``."""
    names = names or [f"c{position}" for position in range(len(columns))]
    parts = []
    for field, position in zip(avro.fields, match_fields(avro.fields, columns), strict=True):
        if position is not None:
            parts.append(source.write(field.type, columns[position][1], names[position], field.default))
        elif field.default is not MISSING:
            parts.append(repr(encode_default(field.type, field.default)))
        elif field.type.optional is not None:
            parts.append(repr(varint(field.type.optional[0])))
        else:
            parts.append(f"{source.bind(_refuser(f'no column for field {field.name} of the schema'), 'refuse')}()")
    return parts


def encoder(avro: AvroType, columns: Columns, *, head: bytes = b"", single: bool = False) -> Encoder:
    """A function from rows of the columns to bytes, with ``head`` before the body. It raises SerializationError.

    ``single``: the one column's value itself is written, without a record around it.
    """
    source = _EncoderSource()
    if single:
        part = source.write(avro, columns[0][1], "c0")
        parts = [part]
    elif avro.kind == "record":
        parts = _record_parts(source, avro, columns)
    else:
        raise SerializationError(f"Avro {avro.kind} where a record was expected")
    source.add(0, "def encode(row):")
    if columns:
        source.add(1, f"{''.join(f'c{i}, ' for i in range(len(columns)))} = row")
    source.add(1, f"return _join(({head!r}, {''.join(f'{part}, ' for part in parts)}))")
    return source.build("encode", "avro encoder")


def encode_default(avro: AvroType, default: Any) -> bytes:  # noqa: ANN401 - any JSON
    """The bytes of a field's default (of a union's default: of its first branch)."""
    if avro.kind == "union":
        return varint(0) + encode_default(avro.branches[0], default)
    if avro.kind in ("bytes", "fixed") and isinstance(default, str):
        raw = default.encode("latin-1")
        return raw if avro.kind == "fixed" else varint(len(raw)) + raw
    return encode_json(avro, default)


def encode_json(avro: AvroType, node: Any) -> bytes:  # noqa: ANN401 - any JSON
    """The bytes of a JSON document under a schema; names as found, then without regard to case. For tests and INSERT.

    Decimals may be numbers or texts, byte strings are base64. Raises SerializationError.
    """
    try:
        return _encode_json(avro, node)
    except (TypeError, ValueError, AttributeError, binary.error) as problem:
        raise SerializationError(f"{json.dumps(node, default=str)} does not fit Avro {avro.kind}: {problem}") from None


def _encode_json(avro: AvroType, node: Any) -> bytes:  # noqa: ANN401 - any JSON
    optional = avro.optional
    if optional is not None:
        null, inner = optional
        return varint(null) if node is None else varint(1 - null) + _encode_json(inner, node)
    if avro.kind == "union":
        for index, branch in enumerate(avro.branches):
            try:
                return varint(index) + encode_json(branch, node)
            except SerializationError:
                continue
        raise ValueError("no branch of the union fits")
    if avro.kind == "null":
        if node is not None:
            raise ValueError("null expected")
        return b""
    if node is None:
        raise ValueError("null is not allowed")
    if avro.kind in ("int", "long"):
        return varint(int(node))
    if avro.kind == "boolean":
        return b"\x01" if node else b"\x00"
    if avro.kind in ("double", "float"):
        return (_DOUBLE if avro.kind == "double" else _FLOAT).pack(float(node))
    if avro.kind == "string":
        raw = (node if isinstance(node, str) else json.dumps(node, default=str)).encode()
        return varint(len(raw)) + raw
    if avro.kind == "enum":
        return varint(avro.symbols.index(node))
    if avro.kind in ("bytes", "fixed"):
        if avro.logical == "decimal":
            writer = p.DecimalWriter(b"", None, avro.scale, avro.size)
            fragment: bytes = writer[fit_decimal(Decimal(str(node)), 1000, avro.scale)]
            return fragment
        import base64  # noqa: PLC0415 - tests only

        raw = base64.b64decode(node)
        return raw if avro.kind == "fixed" else varint(len(raw)) + raw
    if avro.kind in ("array", "map"):
        return _encode_json_block(avro, node)
    folded = {name.upper(): name for name in node}
    made = []
    for field in avro.fields:
        name = field.name if field.name in node else folded.get(field.name.upper())
        if name is None and field.default is not MISSING:
            made.append(encode_default(field.type, field.default))
        else:
            made.append(_encode_json(field.type, node[name] if name is not None else None))
    return b"".join(made)


def _encode_json_block(avro: AvroType, node: Any) -> bytes:  # noqa: ANN401 - any JSON
    assert avro.inner is not None  # noqa: S101 - for the type checker
    if not node:
        return varint(0)
    if avro.kind == "map":
        text = AvroType("string")
        made = [_encode_json(text, key) + _encode_json(avro.inner, value) for key, value in node.items()]
    elif isinstance(node, dict):
        made = [_encode_json(avro.inner, {"key": key, "value": value}) for key, value in node.items()]
    else:
        made = [_encode_json(avro.inner, item) for item in node]
    return varint(len(made)) + b"".join(made) + varint(0)
