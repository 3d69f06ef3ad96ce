"""A contract is one version of the schema, ready for use: takes the bytes of a check, gives the record for Kafka."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from intake.contract.avro import Record, read_schema
from intake.contract.encoder import write_encoder
from intake.contract.errors import FieldError, Json, UnfitError
from intake.contract.explain import NotJsonError, explain, read_document
from intake.contract.quotes import may_repeat_a_name, write_counter
from intake.contract.rules import Rules, check_rules
from intake.contract.types import struct_of

__all__ = ["Contract", "NotJsonError", "Taken", "UnfitCheckError", "wire_prefix"]

Taken = tuple[str, bytes, bytes]
"""transaction_id, key and value of the record."""

_BOM = b"\xef\xbb\xbf"
_DOUBTS = (msgspec.MsgspecError, UnfitError, KeyError, UnicodeError, RecursionError)


class UnfitCheckError(Exception):
    """A check that does not fit: all its errors, and its transaction_id where one can be read."""

    def __init__(self, errors: list[FieldError], transaction_id: str | None) -> None:
        super().__init__(f"{len(errors)} errors, first: {errors[0].pointer} {errors[0].detail}")
        self.errors = errors
        self.transaction_id = transaction_id


def wire_prefix(schema_id: int) -> bytes:
    """What begins every value in the Confluent wire format."""
    return b"\0" + schema_id.to_bytes(4, "big")


def readable_id(document: Json) -> str | None:
    """The transaction_id of a document that does not fit, where it is one that can be stored."""
    found = document.get("transaction_id") if isinstance(document, dict) else None
    if type(found) is not str or "\0" in found or len(found) > 1024:
        return None
    return found if found.isprintable() or found.encode("utf-8", "replace").decode() == found else None


class Contract:
    """Decodes, proves and encodes checks by one schema version."""

    def __init__(
        self, schema: str, schema_id: int, version: int, rules: Rules | None = None, zone: ZoneInfo | None = None
    ) -> None:
        """Generate types and encoder. Raises SchemaUnsupportedError for a schema that intake cannot follow."""
        self.schema = schema
        self.schema_id = schema_id
        self.version = version
        self.rules = rules or check_rules()
        self.zone = zone or ZoneInfo("UTC")
        self.record: Record = read_schema(schema)
        self._decode = msgspec.json.Decoder(struct_of(self.record, self.rules)).decode
        self._encode, self.source = write_encoder(self.record, self.rules, self.zone, wire_prefix(schema_id))
        self._quotes = write_counter(self.record)

    def take(self, body: bytes, now_ms: int, received: bytes) -> Taken:
        """The record of a check in JSON. `received` is now as Avro bytes.

        Raises NotJsonError, or UnfitCheckError with every error.
        """
        try:
            check = self._decode(body)
            # msgspec does not look at the characters of what it skips, nor does it mind NUL.
            if not body.isascii():
                body.decode()
            if b"\\u0000" in body or may_repeat_a_name(body, self._quotes(check)):
                return self._take_slowly(body, now_ms, received)
            return self._encode(check, now_ms, received)
        except _DOUBTS:
            pass
        return self._take_slowly(body, now_ms, received)

    def _take_slowly(self, body: bytes, now_ms: int, received: bytes) -> Taken:
        if body.startswith(_BOM):
            return self.take(body[len(_BOM) :], now_ms, received)
        document = read_document(body)
        if errors := explain(document, self.record, self.rules, self.zone, now_ms):
            raise UnfitCheckError(errors, readable_id(document))
        try:
            return self._encode(self._decode(body), now_ms, received)
        except _DOUBTS as error:
            # Only the size of the whole is known no earlier than here.
            raise UnfitCheckError([FieldError("", str(error))], readable_id(document)) from error
