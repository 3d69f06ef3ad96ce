"""The OpenAPI document, written from the schema in force and the table of rules: what it says is what is checked."""

from __future__ import annotations

import calendar
import datetime as dt
from typing import Any

from intake.contract.avro import (
    AvroType,
    Boolean,
    Choice,
    Day,
    Decimals,
    Floating,
    Integer,
    Listing,
    Mapped,
    Moment,
    Optional,
    Record,
    Text,
)
from intake.contract.contract import Contract
from intake.contract.rules import DAY_MS, Limits, Rules
from intake.contract.types import is_own, join_place
from intake.service import Intake

EXAMPLE: dict[str, Any] = {
    "transaction_id": "unique_transaction_id",
    "timestamp": "2024-02-07T12:34:56",
    "items": [
        {"product_id": "product_id_1", "quantity": 2, "price": 10.99, "category": "groceries"},
        {"product_id": "product_id_2", "quantity": 1, "price": 5.49, "category": "electronics"},
    ],
    "total_amount": 27.47,
    "nds_amount": 2.47,
    "tips_amount": 3.0,
    "payment_method": "credit_card",
    "place_id": "011",
    "place_name": "Магазин №1",
}
_REJECTED = {
    "index": 1,
    "transaction_id": "another_transaction_id",
    "errors": [{"pointer": "/items/0/quantity", "detail": "must be more than 0, and is 0"}],
}
_UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def _days_pattern(year: int, month: int, first: int, last: int) -> str:
    days = "|".join(f"{day:02d}" for day in range(first, last + 1))
    return f"{year:04d}-{month:02d}-(?:{days})"


def timestamp_pattern(today: dt.date, limits: Limits) -> str:
    """A pattern of the timestamps that are taken on this day: not in the future, not too old, days of the calendar."""
    oldest = today - dt.timedelta(days=limits.max_age_ms // DAY_MS - 1)
    whole_years = list(range(oldest.year + 1, today.year))
    parts: list[str] = []
    if whole_years:
        years = "|".join(map(str, whole_years))
        parts.append(
            f"(?:{years})-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
            "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
        )
        leap = [str(year) for year in whole_years if calendar.isleap(year)]
        if leap:
            parts.append(f"(?:{'|'.join(leap)})-02-29")
    for year in sorted({oldest.year, today.year}):
        for month in range(1, 13):
            first = max(oldest, dt.date(year, month, 1))
            last = min(today, dt.date(year, month, calendar.monthrange(year, month)[1]))
            if first <= last:
                parts.append(_days_pattern(year, month, first.day, last.day))
    offset = "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
    return f"^(?:{'|'.join(parts)})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{{1,9}})?{offset}$"


class _Describer:
    def __init__(self, contract: Contract, today: dt.date) -> None:
        self._rules: Rules = contract.rules
        self._zone = contract.zone.key
        self._today = today

    def describe(self, kind: AvroType, place: str) -> dict[str, Any]:
        """The JSON schema of a value."""
        match kind:
            case Text():
                return self._text(kind, place)
            case Decimals():
                return self._number(place, kind.precision - kind.scale, kind.scale)
            case Integer():
                limit = 1 << (min(kind.bits, 53) - 1)
                return {"type": "integer", "minimum": -limit, "maximum": limit - 1, "format": f"int{kind.bits}"}
            case Floating():
                return {"type": "number", "format": "double" if kind.bits == 64 else "float"}
            case Boolean():
                return {"type": "boolean"}
            case Moment():
                return {
                    "type": "string",
                    "maxLength": 64,
                    "description": f"ISO 8601. Without offset: time of {self._zone}. Finer than milliseconds is cut.",
                    "pattern": timestamp_pattern(self._today, self._rules.limits),
                    "example": EXAMPLE["timestamp"],
                }
            case Day():
                return {"type": "string", "format": "date"}
            case Choice():
                return {"type": "string", "enum": list(kind.symbols)}
            case Listing():
                rule = self._rules.listing(place)
                items = self.describe(kind.items, f"{place}/*")
                return {"type": "array", "minItems": rule.min_items, "maxItems": rule.max_items, "items": items}
            case Mapped():
                return {
                    "type": "object",
                    "maxProperties": self._rules.listing(place).max_items,
                    "additionalProperties": self.describe(kind.values, f"{place}/*"),
                }
            case Optional():
                return {**self.describe(kind.inner, place), "nullable": True}
            case Record():
                return self.record(kind, place)

    def _text(self, kind: Text, place: str) -> dict[str, Any]:
        rule = self._rules.text(place)
        if kind.is_uuid:
            return {"type": "string", "pattern": _UUID_PATTERN}
        found: dict[str, Any] = {
            "type": "string",
            "maxLength": rule.max_length,
            "pattern": f"^[^{rule.forbidden or chr(92) + 'x00'}]*$",
        }
        if rule.min_length:
            found["minLength"] = rule.min_length
        return found

    def _number(self, place: str, whole_digits: int, scale: int) -> dict[str, Any]:
        rule = self._rules.number(place)
        most = 10**whole_digits - 1
        found: dict[str, Any] = {"type": "number", "maximum": most, "multipleOf": float(f"1e-{scale}") if scale else 1}
        found["minimum"] = rule.minimum if rule else -most
        if rule and rule.exclusive:
            found["exclusiveMinimum"] = True
        return found

    def record(self, record: Record, place: str) -> dict[str, Any]:
        """The JSON schema of a record, without the fields that intake writes itself."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        example = EXAMPLE if not place else EXAMPLE["items"][0] if place == "items/*" else {}
        for field in record.fields:
            if is_own(place, field.name):
                continue
            found = self.describe(field.type, join_place(place, field.name))
            if field.doc:
                found["description"] = f"{field.doc} {found.get('description', '')}".strip()
            if field.name in example:
                found["example"] = example[field.name]
            properties[field.name] = found
            if not field.has_default:
                required.append(field.name)
        made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": True}
        if required:
            made["required"] = required
        if record.doc:
            made["description"] = record.doc
        return made


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _problem(description: str, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
        | {name: {"required": True, "schema": {"type": "string"}} for name in headers},
        "content": {"application/problem+json": {"schema": _reference("Problem")}},
    }


def _answer(description: str, schema: dict[str, Any], example: object) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _problems(*, keys: bool, batch: bool) -> dict[str, Any]:
    found = {
        "400": _problem("The body is not JSON, or its compression is broken."),
        "408": _problem("The rest of the body did not come in time."),
        "413": _problem("The body is too large."),
        "415": _problem("Another media type, charset or content encoding than those that are taken."),
        "422": _problem(
            "The batch is empty or no list." if batch else "The check is invalid; `errors` has every reason."
        ),
        "429": _problem("Too many requests.", "Retry-After"),
        "503": _problem(
            "Kafka or the schema registry is away: nothing was taken that was not said to be. Send again.",
            "Retry-After",
        ),
    }
    if keys:
        found["401"] = _problem("No valid API key.", "WWW-Authenticate")
    return found


_SCHEMAS: dict[str, Any] = {
    "Accepted": {
        "type": "object",
        "required": ["transaction_id", "status"],
        "properties": {"transaction_id": {"type": "string"}, "status": {"type": "string", "enum": ["accepted"]}},
    },
    "FieldError": {
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": {
                "type": "string",
                "description": "JSON pointer (RFC 6901) to what is wrong.",
                "example": "/items/0/price",
            },
            "detail": {"type": "string", "example": "must have at most 2 decimal places, and 27.471 has more"},
        },
    },
    "Problem": {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": _reference("FieldError")},
            "accepted": {
                "type": "integer",
                "description": "Of a batch, when Kafka was lost on the way: checks that it has.",
            },
        },
    },
    "BatchResult": {
        "type": "object",
        "required": ["accepted", "rejected_count", "rejected"],
        "properties": {
            "accepted": {"type": "integer", "minimum": 0},
            "rejected_count": {"type": "integer", "minimum": 0},
            "rejected": {
                "type": "array",
                "description": "The first 1,000.",
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "required": ["index", "transaction_id", "errors"],
                    "properties": {
                        "index": {"type": "integer", "minimum": 0},
                        "transaction_id": {"type": "string", "nullable": True},
                        "errors": {"type": "array", "items": _reference("FieldError")},
                    },
                },
            },
            "aborted": {
                "type": "object",
                "description": "Where the body broke: checks from this index on were not read.",
                "required": ["index", "detail"],
                "properties": {"index": {"type": "integer", "minimum": 0}, "detail": {"type": "string"}},
            },
        },
    },
    "Readiness": {
        "type": "object",
        "required": ["status", "reasons", "alarms", "schema_version", "queued"],
        "properties": {
            "status": {"type": "string", "enum": ["ready", "not ready"]},
            "reasons": {"type": "array", "items": {"type": "string"}},
            "alarms": {"type": "array", "items": {"type": "string"}},
            "schema_version": {"type": "integer", "nullable": True},
            "queued": {"type": "integer"},
        },
    },
}


def _paths(*, keys: bool, limits_text: str) -> dict[str, Any]:
    security: dict[str, Any] = {"security": [{"bearer": []}, {"key": []}]} if keys else {}
    request_id = {"$ref": "#/components/parameters/X-Request-Id"}
    checks_list = {
        "type": "array",
        "minItems": 1,
        "items": {
            "description": "A check. One that does not fit is rejected alone, so anything may stand here.",
            "anyOf": [_reference("Check"), {}],
        },
    }
    ok_batch = {"accepted": 2, "rejected_count": 0, "rejected": []}
    return {
        "/api/checks/": {
            "post": {
                "operationId": "addCheck",
                "tags": ["checks"],
                "summary": "Take one check",
                "description": "201 means that Kafka has it. Sending a check again is always safe: the first of "
                f"a transaction_id counts, and only that. {limits_text}",
                "parameters": [request_id],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _reference("Check"), "example": EXAMPLE}},
                },
                "responses": {
                    "201": _answer(
                        "Accepted.",
                        _reference("Accepted"),
                        {"transaction_id": "unique_transaction_id", "status": "accepted"},
                    ),
                    **_problems(keys=keys, batch=False),
                },
                **security,
            }
        },
        "/api/checks/batch/": {
            "post": {
                "operationId": "addChecks",
                "tags": ["checks"],
                "summary": "Take many checks",
                "description": "A JSON list, or one check a line as application/x-ndjson, read as it comes. "
                f"A check that does not fit rejects itself alone. {limits_text}",
                "parameters": [request_id],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": checks_list, "example": [EXAMPLE]},
                        "application/x-ndjson": {"schema": {"type": "string"}},
                    },
                },
                "responses": {
                    "200": _answer("All were accepted.", _reference("BatchResult"), ok_batch),
                    "207": _answer(
                        "Some were not.",
                        _reference("BatchResult"),
                        {"accepted": 1, "rejected_count": 1, "rejected": [_REJECTED]},
                    ),
                    **_problems(keys=keys, batch=True),
                },
                **security,
            }
        },
        "/health/live": {
            "get": {
                "operationId": "live",
                "tags": ["operation"],
                "summary": "The process answers",
                "responses": {"200": _answer("It lives.", {"type": "object"}, {"status": "live"})},
            }
        },
        "/health/ready": {
            "get": {
                "operationId": "ready",
                "tags": ["operation"],
                "summary": "Checks can be taken",
                "responses": {
                    status: _answer(
                        text,
                        _reference("Readiness"),
                        {"status": word, "reasons": why, "alarms": [], "schema_version": 1, "queued": 0},
                    )
                    for status, text, word, why in (
                        ("200", "They can.", "ready", []),
                        ("503", "They cannot.", "not ready", ["Kafka does not answer"]),
                    )
                },
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "tags": ["operation"],
                "summary": "Numbers for Prometheus, of all processes together",
                "responses": {
                    "200": {"description": "Text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
                },
            }
        },
    }


def document(intake: Intake, today: dt.date) -> dict[str, Any]:
    """The document as of now."""
    settings = intake.settings
    contract = intake.schemas.checks
    if contract is None:
        check: dict[str, Any] = {"type": "object", "description": "The schema registry was not reached yet: ask again."}
    else:
        check = _Describer(contract, today).record(contract.record, "")
        check["example"] = EXAMPLE
    limits_text = f"A check has at most {settings.max_check_bytes} bytes of JSON."
    components: dict[str, Any] = {
        "schemas": {"Check": check, **_SCHEMAS},
        "parameters": {
            "X-Request-Id": {
                "name": "X-Request-Id",
                "in": "header",
                "description": "Kept with the check, and given back. Made when it is missing or of another form.",
                "schema": {"type": "string"},
            }
        },
        "headers": {
            "X-Request-Id": {
                "description": "The request's id, in the journal too.",
                "required": True,
                "schema": {"type": "string"},
            }
        },
    }
    if settings.keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    version = contract.version if contract else 0
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Intake of purchase checks",
            "version": f"1.{version}",
            "description": "Takes purchase checks and answers when Kafka has them. What a check must be is decided by "
            f"version {version} of the registry's schema {settings.checks_subject}.",
        },
        "servers": [{"url": "/"}],
        "paths": _paths(keys=bool(settings.keys), limits_text=limits_text),
        "components": components,
    }
