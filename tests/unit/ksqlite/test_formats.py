"""Each format by itself: what it reads, what it writes, what it refuses."""

import io
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite import types as t
from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.formats import (
    DeserializationError,
    FormatSpec,
    MemoryRegistry,
    NodeCodec,
    SerializationError,
    avro_codec,
    avro_schema,
    check_spec,
    infer_columns,
    key_name,
    schema_text,
    serde,
)
from ksqlite.formats.primitives import read_varint, varint


def column(name: Any, sql: Any, namespace: Any = t.Namespace.VALUE) -> Any:
    return t.Column(name, sql, namespace)


def codec(name: Any, *columns: t.Column, is_key: bool = False, registry: Any = None, **spec: Any) -> Any:
    registry = registry or MemoryRegistry()
    return serde(FormatSpec(name, **spec), columns, is_key=is_key, registry=registry, subject="topic-value")


ALL_TYPES = (
    column("B", t.BOOLEAN),
    column("I", t.INTEGER),
    column("L", t.BIGINT),
    column("D", t.DOUBLE),
    column("M", t.decimal(10, 3)),
    column("S", t.STRING),
    column("X", t.BYTES),
    column("DA", t.DATE),
    column("TI", t.TIME),
    column("TS", t.TIMESTAMP),
    column("A", t.array(t.decimal(6, 2))),
    column("MA", t.map_of(t.STRING, t.BIGINT)),
    column("ST", t.struct(("F1", t.STRING), ("F2", t.array(t.struct(("G", t.INTEGER)))))),
)


def registered(spec: FormatSpec, columns: Sequence[t.Column], *, is_key: bool) -> tuple[str, str]:
    made = schema_text(spec, columns, is_key=is_key)
    assert made is not None
    return made


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)  # type: ignore[arg-type] # hypothesis wants a literal
LONG = st.integers(-(2**63), 2**63 - 1)


def money(digits: Any, scale: Any) -> Any:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda n: Decimal(n).scaleb(-scale))


ROWS = st.tuples(
    st.none() | st.booleans(),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | LONG,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | money(10, 3),
    st.none() | TEXT,
    st.none() | st.binary(max_size=20),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(0, 86_399_999),
    st.none() | LONG,
    st.none() | st.lists(st.none() | money(6, 2), max_size=4),
    st.none() | st.dictionaries(TEXT, st.none() | LONG, max_size=4),
    st.none()
    | st.tuples(
        st.none() | TEXT,
        st.none() | st.lists(st.none() | st.tuples(st.none() | st.integers(-(2**31), 2**31 - 1)), max_size=3),
    ),
)


@pytest.mark.parametrize("name", ["AVRO", "JSON", "JSON_SR"])
@given(row=ROWS)
def test_rows_survive(name: str, row: Any) -> None:
    """Any row of any types comes back as it went in."""
    made = codec(name, *ALL_TYPES)
    assert row == made.deserialize(made.serialize(row))


@given(row=ROWS)
def test_avro_agrees_with_fastavro(row: Any) -> None:
    """What is written as Avro is read by another library as the same values."""
    text, _ = registered(FormatSpec("AVRO"), ALL_TYPES, is_key=False)
    made = avro_codec.encoder(avro_schema.parse(text), [(c.name, c.type) for c in ALL_TYPES])(row)
    plain = json.loads(text)
    for field in plain["fields"]:  # raw numbers: fastavro turns some of them into years that Python has not
        if isinstance(field["type"][1], dict) and field["name"] in {"DA", "TI", "TS"}:
            field["type"][1].pop("logicalType")
    value: Any = fastavro.schemaless_reader(io.BytesIO(made), plain, None)
    assert [row[i] for i in range(10)] == [value[c.name] for c in ALL_TYPES[:10]]
    assert row[10] == value["A"]
    assert (None if row[11] is None else [{"key": k, "value": v} for k, v in row[11].items()]) == value["MA"]


@given(number=LONG)
def test_varints(number: Any) -> None:
    """A number's variable-length bytes read back to the number."""
    assert (number, len(varint(number))) == read_varint(varint(number), 0)


@given(number=LONG)
def test_longs_of_any_length(number: Any) -> None:
    """The fast path for times agrees with the plain one for every number."""
    decode = avro_codec.decoder(
        avro_schema.parse('{"type":"record","name":"r","fields":[{"name":"A","type":"long"}]}'), [("A", t.BIGINT)]
    )
    assert (number,) == decode(varint(number))


@given(number=st.integers(-(10**38) + 1, 10**38 - 1))
def test_decimals_of_38_digits(number: int) -> None:
    """A DECIMAL of 38 digits is exact whatever the thread's decimal context is."""
    value = Decimal(number).scaleb(-5, None) if abs(number) < 10**28 else Decimal(f"{number}e-5")
    made = codec("AVRO", column("M", t.decimal(38, 5)))
    assert (value,) == made.deserialize(made.serialize((value,)))


def test_avro_steps_over_what_no_column_wants() -> None:
    """Fields without a column, of any shape, do not disturb those after them."""
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "skip_array", "type": {"type": "array", "items": {"type": "map", "values": "string"}}},
            {"name": "skip_union", "type": ["string", "long", "null"]},
            {"name": "skip_fixed", "type": {"type": "fixed", "name": "f", "size": 3}},
            {"name": "skip_double", "type": "double"},
            {"name": "wanted", "type": ["string", "null"]},
            {"name": "kind", "type": {"type": "enum", "name": "e", "symbols": ["A", "B"]}},
        ],
    }
    out = io.BytesIO()
    value = {
        "skip_array": [{"a": "b"}, {}],
        "skip_union": 7,
        "skip_fixed": b"abc",
        "skip_double": 1.5,
        "wanted": "here",
        "kind": "B",
    }
    fastavro.schemaless_writer(out, schema, value)
    decode = avro_codec.decoder(
        avro_schema.parse(json.dumps(schema)), [("KIND", t.STRING), ("WANTED", t.STRING), ("ABSENT", t.BIGINT)]
    )
    assert decode(out.getvalue()) == ("B", "here", None)


def test_avro_blocks_with_sizes() -> None:
    """Arrays in several blocks, one of them with its size in bytes, are one array."""
    decode = avro_codec.decoder(
        avro_schema.parse('{"type":"record","name":"r","fields":[{"name":"A","type":{"type":"array","items":"int"}}]}'),
        [("A", t.array(t.INTEGER))],
    )
    assert decode(varint(-2) + varint(2) + varint(1) + varint(2) + varint(1) + varint(3) + varint(0)) == ([1, 2, 3],)


@pytest.mark.parametrize("cut", range(5, 29))
def test_cut_avro_is_refused(cut: Any) -> None:
    """Bytes that end too early are an error, never a row."""
    made = codec("AVRO", column("S", t.STRING), column("L", t.BIGINT), column("T", t.STRING))
    data = made.serialize(("some text", 1_700_000_000_000, "more"))
    with pytest.raises(DeserializationError):
        made.deserialize(data[:cut])


@given(data=st.binary(max_size=60))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    """Arbitrary bytes give a row or a DeserializationError."""
    made = codec("AVRO", *ALL_TYPES)
    made.register()
    for head in (b"", b"\x00\x00\x00\x00\x01"):
        try:
            made.deserialize(head + data)
        except DeserializationError:
            continue


def test_avro_without_magic_byte_or_schema() -> None:
    """A value that is no registered Avro says so."""
    made = codec("AVRO", column("S", t.STRING))
    with pytest.raises(DeserializationError, match="magic"):
        made.deserialize(b"{}1234")
    with pytest.raises(DeserializationError, match="no schema with id 77"):
        made.deserialize(b"\x00\x00\x00\x00\x4d\x00")


def test_null_for_a_field_that_is_not_nullable() -> None:
    """A given schema id decides: null takes the field's default, and is refused where there is none."""
    registry = MemoryRegistry()
    text = json.dumps(
        {
            "type": "record",
            "name": "r",
            "fields": [
                {"name": "a", "type": "int", "default": 10},
                {"name": "b", "type": "string"},
                {"name": "c", "type": "string", "default": "foo"},
            ],
        }
    )
    schema_id = registry.register("topic-value", text)
    made = codec("AVRO", column("a", t.INTEGER), column("b", t.STRING), registry=registry, schema_id=schema_id)
    assert (b"\x00" + schema_id.to_bytes(4, "big") + b"\x14\x02x\x06foo") == made.serialize((None, "x"))
    with pytest.raises(SerializationError):
        made.serialize((1, None))


@pytest.mark.parametrize(
    ("written", "sql", "value", "read"),
    [
        ("int", t.BIGINT, 5, 5),
        ("int", t.STRING, 5, "5"),
        ("boolean", t.STRING, True, "true"),
        ("float", t.DOUBLE, 1.5, 1.5),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1},
            t.decimal(9, 3),
            Decimal("1.5"),
            Decimal("1.500"),
        ),
    ],
)
def test_avro_widening(written: str | dict[Any, Any], sql: Any, value: Any, read: Any) -> None:
    """A writer's narrower type is read as the column's."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "v", "type": written}]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, {"v": value})
    assert (read,) == avro_codec.decoder(avro_schema.parse(json.dumps(schema)), [("V", sql)])(out.getvalue())


@pytest.mark.parametrize(("written", "sql"), [("long", t.INTEGER), ("string", t.BIGINT), ("double", t.STRING)])
def test_avro_mismatch_is_an_error_of_the_record(written: str, sql: Any) -> None:
    """A type that does not fit refuses the record when it is read, not before."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "v", "type": written}]}
    decode = avro_codec.decoder(avro_schema.parse(json.dumps(schema)), [("V", sql)])
    with pytest.raises(DeserializationError, match="cannot be read as"):
        decode(b"\x02" * 20)


def test_avro_schema_of_maps_and_single_values() -> None:
    """Maps are arrays of entries, unwrapped single values nullable types by themselves."""
    text, _ = registered(FormatSpec("AVRO"), [column("M", t.map_of(t.STRING, t.INTEGER))], is_key=False)
    (field,) = json.loads(text)["fields"]
    entry = field["type"][1]
    assert entry["items"]["name"] == "KsqlDataSourceSchema_M"
    assert entry["items"]["connect.internal.type"] == "MapEntry"
    single, _ = registered(FormatSpec("AVRO"), [column("K", t.STRING)], is_key=True)
    assert json.loads(single) == ["null", "string"]


def test_key_names() -> None:
    """The record of a key is named after its source, in camel case."""
    assert key_name("SALE_LINES") == "io.confluent.ksql.avro_schemas.SaleLinesKey"


def test_inference_of_names() -> None:
    """Inferred names are upper case, unless the schema was asked for by id."""
    registry = MemoryRegistry()
    registry.register("s", '{"type":"record","name":"r","fields":[{"name":"c1","type":"float"}]}')
    schema = registry.latest("s")
    assert schema is not None
    assert [(c.name, c.type) for c in infer_columns(schema, is_key=False)] == [("C1", t.DOUBLE)]
    assert [c.name for c in infer_columns(schema, is_key=False, upper=False)] == ["c1"]
    assert [("ROWKEY", t.struct(("C1", t.DOUBLE)))] == [(c.name, c.type) for c in infer_columns(schema, is_key=True)]


def test_json_reads_as_leniently_as_ksqldb() -> None:
    """Names without regard to case, numbers in texts, anything as STRING."""
    made = codec(
        "JSON", column("A", t.INTEGER), column("B", t.STRING), column("C", t.decimal(4, 2)), column("D", t.DOUBLE)
    )
    data = b'{"a": "12", "B": {"x": [1, 2.50, null]}, "c": "1.5", "d": 3, "extra": 1}'
    assert (12, '{"x":[1,2.50,null]}', Decimal("1.50"), 3.0) == made.deserialize(data)
    assert made.deserialize(b'{"b": true}') == (None, "true", None, None)


@pytest.mark.parametrize(
    "data", [b"not json", b"[1]", b'{"A": true}', b'{"A": "x"}', b'{"C": 1.234}', b'{"C": 123}', b"", b'{"A":']
)
def test_json_refuses(data: bytes) -> None:
    """What does not fit its column is an error of the record."""
    made = codec("JSON", column("A", t.INTEGER), column("C", t.decimal(4, 2)))
    with pytest.raises(DeserializationError):
        made.deserialize(data)


def test_json_writes_as_jackson_does() -> None:
    """Digits of decimals stay, doubles are Java's, control characters upper-case hex, other characters themselves."""
    made = codec(
        "JSON", column("M", t.decimal(9, 3)), column("D", t.DOUBLE), column("S", t.STRING), column("X", t.BYTES)
    )
    assert (
        made.serialize((Decimal("2.000"), 1e10, '\x1fШ"/', b"{"))
        == b'{"M":2.000,"D":1.0E10,"S":"\\u001F\xd0\xa8\\"/","X":"ew=="}'
    )


def test_unwrapped_single_values() -> None:
    """A key's or WRAP_SINGLE_VALUE=false value stands by itself, and NULL of it is no bytes at all."""
    key = codec("JSON", column("K", t.STRING, t.Namespace.KEY), is_key=True)
    assert key.serialize(("a",)) == b'"a"'
    assert key.serialize((None,)) is None
    value = codec("JSON", column("V", t.array(t.INTEGER)), wrap=False)
    assert value.serialize(([1, None],)) == b"[1,null]"
    assert value.deserialize(b"[1,null]") == ([1, None],)
    assert value.deserialize(b"null") is None
    assert codec("JSON", column("V", t.INTEGER)).serialize((5,)) == b'{"V":5}'


def test_delimited_as_commons_csv() -> None:
    """Quoting is Commons CSV's: a leading sign in the first column, separators and quotes anywhere."""
    made = codec("DELIMITED", column("A", t.decimal(9, 2)), column("B", t.STRING), column("C", t.DOUBLE))
    assert made.serialize((Decimal("-1.50"), 'a,"b"', 1.0)) == b'"-1.50","a,""b""",1.0'
    assert made.serialize((None, None, None)) == b",,"
    assert (Decimal("0.12"), "x", None) == made.deserialize(b'.12,"x",')
    with pytest.raises(DeserializationError, match="csvFields:2 schemaFields:3"):
        made.deserialize(b"1,2")
    with pytest.raises(DeserializationError):
        made.deserialize(b"a,b,c")


@pytest.mark.parametrize(("written", "character"), [("|", b"|"), ("SPACE", b" "), ("tab", b"\t")])
def test_delimiters(written: str, character: bytes) -> None:
    """VALUE_DELIMITER is a character, SPACE or TAB."""
    made = codec("DELIMITED", column("A", t.INTEGER), column("B", t.INTEGER), delimiter=written)
    assert b"1" + character + b"2" == made.serialize((1, 2))
    assert made.deserialize(b"1" + character + b"2") == (1, 2)


def test_kafka_format() -> None:
    """Single values as Kafka's own serializers write them."""
    assert codec("KAFKA", column("K", t.INTEGER)).serialize((5,)) == b"\x00\x00\x00\x05"
    assert codec("KAFKA", column("K", t.BIGINT)).deserialize(b"\x00" * 7 + b"\x05") == (5,)
    assert "я".encode() == codec("KAFKA", column("K", t.STRING)).serialize(("я",))
    assert codec("KAFKA", column("K", t.STRING)).serialize((None,)) is None
    with pytest.raises(DeserializationError):
        codec("KAFKA", column("K", t.INTEGER)).deserialize(b"\x00")


@pytest.mark.parametrize(
    ("spec", "columns", "is_key", "message"),
    [
        (
            FormatSpec("KAFKA"),
            (column("A", t.INTEGER), column("B", t.INTEGER)),
            False,
            "The 'KAFKA' format only supports a single field. Got: [`A` INTEGER, `B` INTEGER]",
        ),
        (
            FormatSpec("KAFKA"),
            (column("K", t.BOOLEAN),),
            True,
            (
                "Key format does not support schema.\nformat: KAFKA\nschema: Persistence{columns=[`K` BOOLEAN KEY], "
                "features=[]}\nreason: The 'KAFKA' format does not support type 'BOOLEAN'"
            ),
        ),
        (
            FormatSpec("DELIMITED"),
            (column("S", t.array(t.INTEGER)),),
            False,
            "does not support type 'ARRAY', column: `S`",
        ),
        (FormatSpec("NONE"), (column("K", t.STRING),), True, "Got: [`K` STRING KEY]"),
        (FormatSpec("AVRO"), (column("1A", t.STRING),), False, "Illegal initial character: 1A"),
        (
            FormatSpec("AVRO"),
            (column("M", t.map_of(t.INTEGER, t.STRING)),),
            False,
            "Avro only supports MAPs with STRING",
        ),
        (
            FormatSpec("JSON"),
            (column("M", t.map_of(t.STRING, t.STRING)),),
            True,
            "Map keys, including types that contain",
        ),
        (FormatSpec("JSON", delimiter="|"), (), False, "JSON does not support the following configs: [delimiter]"),
        (FormatSpec("AVRO", schema_full_name=" "), (), False, "fullSchemaName cannot be empty"),
        (
            FormatSpec("JSON", wrap=False),
            (column("A", t.INTEGER), column("B", t.INTEGER)),
            False,
            "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas",
        ),
        (FormatSpec("DELIMITED", delimiter="<~>"), (), False, "Invalid delimiter value: '<~>'"),
        (FormatSpec("FOO"), (), False, "Unknown format: FOO"),
    ],
)
def test_refusals(spec: Any, columns: tuple[Any, ...], is_key: bool, message: str) -> None:
    """What a format cannot hold is refused in ksqlDB's words."""
    with pytest.raises(AnalysisError) as refusal:
        check_spec(spec, columns, is_key=is_key)
    assert message in refusal.value.message


def test_protobuf_is_refused_by_name() -> None:
    """PROTOBUF is outside of the subset."""
    with pytest.raises(UnsupportedError, match="PROTOBUF format is not supported"):
        check_spec(FormatSpec("PROTOBUF"), (), is_key=False)


def test_documents_of_test_cases() -> None:
    """JSON documents become the bytes of any format and come back."""
    registry = MemoryRegistry()
    columns = (column("A", t.INTEGER), column("M", t.map_of(t.STRING, t.decimal(4, 2))))
    for name in ("AVRO", "JSON", "JSON_SR"):
        made = NodeCodec(FormatSpec(name), columns, is_key=False, registry=registry, subject=name)
        data = made.encode({"a" if name == "AVRO" else "A": 4, "M": {"x": 1.5, "y": None}})
        shown = {"A": 4, "M": {"x": Decimal("1.50"), "y": None}}
        assert shown == made.decode(data)
        assert (4, {"x": Decimal("1.50"), "y": None}) == serde(
            FormatSpec(name), columns, is_key=False, registry=registry, subject=name
        ).deserialize(data)
    plain = NodeCodec(FormatSpec("KAFKA"), columns[:1], is_key=True, registry=registry, subject="k")
    assert plain.decode(plain.encode(7)) == 7
    text = NodeCodec(FormatSpec("DELIMITED"), columns[:1], is_key=False, registry=registry, subject="k")
    assert text.encode("1,2") == b"1,2"
