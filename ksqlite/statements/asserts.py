"""ASSERT TOPIC and ASSERT SCHEMA."""

from __future__ import annotations

from typing import Any

from ksqlite import ast
from ksqlite.engine.api import Topics
from ksqlite.errors import AnalysisError
from ksqlite.formats import SchemaRegistry
from ksqlite.statements.entities import Entity


def assert_topic(statement: ast.AssertTopic, topics: Topics) -> Entity:
    """The answer to ASSERT TOPIC. Raises AnalysisError when it does not hold."""
    found = topics.partitions(statement.topic)
    if not statement.exists:
        if found is not None:
            raise AnalysisError(f"Topic {statement.topic} exists.")
    elif found is None:
        raise AnalysisError(f"Topic {statement.topic} does not exist.")
    else:
        _check_partitions(statement, found)
    return {
        "@type": "assert_topic",
        "topicName": statement.topic,
        "exists": statement.exists,
        "warnings": [],
    }


def _check_partitions(statement: ast.AssertTopic, found: int) -> None:
    wanted: dict[str, Any] = dict(statement.properties)
    unknown = sorted(set(wanted) - {"PARTITIONS", "REPLICAS"})
    if unknown:
        raise AnalysisError(f"Cannot assert unknown topic property: {', '.join(unknown)}")
    partitions = wanted.get("PARTITIONS")
    if partitions is not None and int(partitions) != found:
        raise AnalysisError(
            f"Mismatched configuration for topic {statement.topic}: "
            f"For config partitions, expected {partitions} got {found}"
        )


def assert_schema(statement: ast.AssertSchema, registry: SchemaRegistry) -> Entity:
    """The answer to ASSERT SCHEMA. Raises AnalysisError when it does not hold."""
    if statement.subject is None and statement.id is None:
        raise AnalysisError("ASSERT SCHEMA needs a SUBJECT, an ID, or both")
    found = _schema_exists(statement, registry)
    if found != statement.exists:
        parts = []
        if statement.subject is not None:
            parts.append(f"subject name {statement.subject}")
        if statement.id is not None:
            parts.append(f"id {statement.id}")
        verb = "exists" if found else "does not exist"
        raise AnalysisError(f"Schema with {' and '.join(parts)} {verb}.")
    return {
        "@type": "assert_schema",
        "subject": statement.subject,
        "id": statement.id,
        "exists": statement.exists,
        "warnings": [],
    }


def _schema_exists(statement: ast.AssertSchema, registry: SchemaRegistry) -> bool:
    if statement.id is not None and registry.by_id(statement.id) is None:
        return False
    if statement.subject is None:
        return True
    latest = registry.latest(statement.subject)
    return latest is not None and (statement.id is None or latest.id == statement.id)
