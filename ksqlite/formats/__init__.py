"""Formats of keys and values: AVRO, JSON, JSON_SR, DELIMITED, KAFKA, NONE. What they offer is described in ``api``."""

from ksqlite.formats.api import (
    DeserializationError,
    FormatSpec,
    RegisteredSchema,
    RegistryError,
    Row,
    SchemaRegistry,
    Serde,
    SerializationError,
)
from ksqlite.formats.avro_schema import key_name
from ksqlite.formats.registry import HttpRegistry, MemoryRegistry
from ksqlite.formats.rules import FORMATS, check_keys, check_properties, check_spec, format_info, unwrapped
from ksqlite.formats.serdes import NodeCodec, infer_columns, schema_text, serde, subject_of

__all__ = [
    "FORMATS",
    "DeserializationError",
    "FormatSpec",
    "HttpRegistry",
    "MemoryRegistry",
    "NodeCodec",
    "RegisteredSchema",
    "RegistryError",
    "Row",
    "SchemaRegistry",
    "Serde",
    "SerializationError",
    "check_keys",
    "check_properties",
    "check_spec",
    "format_info",
    "infer_columns",
    "key_name",
    "schema_text",
    "serde",
    "subject_of",
    "unwrapped",
]
