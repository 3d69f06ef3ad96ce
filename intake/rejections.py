"""A refused check as a record for the topic rejected_checks: as it came, with the reasons."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import msgspec

from intake.contract.avro import SchemaUnsupportedError
from intake.contract.contract import wire_prefix
from intake.contract.errors import FieldError


@dataclass(frozen=True)
class Rejection:
    """One refused body, or element of a batch."""

    received_ms: int
    request_id: str
    source_address: str | None
    transaction_id: str | None
    errors: Sequence[FieldError]
    body: bytes


def body_text(body: bytes) -> tuple[str, str]:
    """Bytes as text, and how: "utf-8" where they are that, else "base64".

    PostgreSQL holds no NUL in a text, so that a body with one is no text either.
    """
    if b"\0" in body:
        return base64.b64encode(body).decode(), "base64"
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


class RejectionEncoder:
    """Encodes rejections by the schema that the registry serves."""

    def __init__(self, schema: str, schema_id: int) -> None:
        """Raises SchemaUnsupportedError when a rejection cannot be written by this schema."""
        self.schema_id = schema_id
        self._prefix = wire_prefix(schema_id)
        try:
            self._schema: Any = fastavro.parse_schema(json.loads(schema))
            self.encode(Rejection(0, "", None, None, [], b""))
        except Exception as error:
            raise SchemaUnsupportedError(f"rejected checks cannot be written by this schema: {error}") from error

    def encode(self, rejection: Rejection) -> tuple[bytes, bytes]:
        """Key and value of the record."""
        text, encoding = body_text(rejection.body)
        rejection_id = str(uuid.uuid4())
        out = io.BytesIO()
        out.write(self._prefix)
        record = {
            "rejection_id": rejection_id,
            "received_at": rejection.received_ms,
            "request_id": rejection.request_id,
            "source_address": rejection.source_address,
            "transaction_id": rejection.transaction_id,
            "reasons_json": msgspec.json.encode(rejection.errors).decode(),
            "body": text,
            "body_encoding": encoding,
        }
        fastavro.schemaless_writer(out, self._schema, record)
        return rejection_id.encode(), out.getvalue()
