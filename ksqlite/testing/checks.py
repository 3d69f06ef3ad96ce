"""Holds what a case's world has become against what the case expects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ksqlite import parser
from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import Output
from ksqlite.errors import UnsupportedError
from ksqlite.formats import DeserializationError
from ksqlite.testing import compare
from ksqlite.testing.world import Waiting, World

_SERVICE = "_confluent-ksql-some.ksql.service.id"


class Mismatch(Exception):  # noqa: N818 - it is a finding, not an error
    """Something came out that was not expected, or did not come out."""


def check_outputs(world: World) -> None:
    """The records of every topic that the case names; all of the last query's topic when it names none."""
    outputs = world.body.get("outputs")
    if outputs is None or "responses" in world.body:
        return
    expected: dict[str, list[dict[str, Any]]] = {}
    for record in outputs:
        expected.setdefault(record["topic"], []).append(record)
    if not outputs:
        queries = world.engine.queries()
        if queries and queries[-1].sink_topic is not None:
            expected[queries[-1].sink_topic] = []
    inputs = {record["topic"] for record in world.body.get("inputs") or []}
    for topic, records in expected.items():
        there = world.topics.topics.get(topic)
        written = list(there.records) if there is not None else []
        if topic in inputs:  # what the case itself put there is not looked for
            written = written[-len(records) :] if records else []
        _check_topic(world, topic, records, written)


def _check_topic(world: World, topic: str, expected: list[dict[str, Any]], written: list[Output]) -> None:
    codecs = world.codecs(topic)
    actual = []
    for output in written:
        try:
            actual.append(world.decoded(codecs, output))
        except DeserializationError as problem:
            raise Mismatch(f"topic {topic}: a record that was written cannot be read: {problem}") from None
    wanted = [{name: record.get(name) for name in _parts(record)} for record in expected]
    for record, row in zip(wanted, actual, strict=False):
        window = record.get("window")
        if isinstance(window, dict):
            told = [name for name in ("start", "end") if window.get(name) is not None]
            record["window"] = {name: window[name] for name in told}
            bounds = row.get("window")
            if isinstance(bounds, dict):
                row["window"] = {name: bounds[name] for name in told}
        for name in set(row) - set(record):
            del row[name]
    if any(compare.is_lossy(record.get("value")) for record in world.body.get("inputs") or ()):
        wanted, actual = compare.blurred(wanted), compare.blurred(actual)
    if len(wanted) != len(actual) or not all(map(compare.same_record, wanted, actual)):
        raise Mismatch(
            f"topic {topic}: expected {len(wanted)} records, got {len(actual)}\n"
            + compare.difference(wanted, actual, compare.same_record)
        )


def _parts(record: Mapping[str, Any]) -> list[str]:
    """The parts of an expected record that are looked at: key, value, and what else it names."""
    return ["key", "value", *(name for name in ("timestamp", "window", "headers") if record.get(name) is not None)]


# -------------------------------------------------------------------------------------------------------------- answers


def check_answers(world: World) -> None:
    """What the statements answered. Queries run even where nothing is expected of them, for they may be refused."""
    responses = world.body.get("responses")
    if responses is None:
        for answer in world.answers:
            if answer.waiting is not None:
                list(world.rows(answer.waiting))
        return
    if any("queryProto" in response for response in responses):
        raise UnsupportedError("Answers of queries in the PROTOBUF format are not supported: use JSON instead")
    answers = [answer for answer in world.answers if answer.entity is not None or answer.waiting is not None]
    if len(answers) < len(responses):
        raise Mismatch(f"expected {len(responses)} answers, got {len(answers)}")
    for response, answer in zip(responses, answers, strict=False):
        if "admin" in response and not compare.subset(response["admin"], answer.entity):
            raise Mismatch(f"- {compare.show(response['admin'])}\n+ {compare.show(answer.entity)}")
        if "query" in response:
            if answer.waiting is None:
                raise Mismatch(f"a query's rows were expected, not {compare.show(answer.entity)}")
            _check_query(world, response["query"], answer.waiting)


def _check_query(world: World, expected: list[dict[str, Any]], waiting: Waiting) -> None:
    actual = list(world.rows(waiting))
    wanted = expected
    if waiting.query.emit is None:
        # the rows of a table come in no order, so that LIMIT lets through any so many of them
        if waiting.query.limit is not None and len(actual) == len(expected):
            _check_among_all(world, waiting, actual)
            actual = [mine if "row" not in mine else line for mine, line in zip(actual, expected, strict=True)]
        wanted, actual = (sorted(lines, key=_unordered) for lines in (expected, actual))
    if len(wanted) != len(actual) or not all(map(_same_line, wanted, actual)):
        raise Mismatch(f"{waiting.text}\n" + compare.difference(wanted, actual, _same_line))


def _check_among_all(world: World, waiting: Waiting, lines: list[dict[str, Any]]) -> None:
    """Each row of a limited answer must be one of the rows of the unlimited one."""
    unlimited = Waiting(replace(waiting.query, limit=None), waiting.text)
    there = Counter(map(compare.sort_text, (line["row"] for line in world.rows(unlimited) if "row" in line)))
    here = Counter(map(compare.sort_text, (line["row"] for line in lines if "row" in line)))
    if not here <= there:
        raise Mismatch(f"{waiting.text}\nThese rows are not among all: {here - there}")


def _unordered(line: dict[str, Any]) -> tuple[int, str]:
    if "header" in line:
        return 0, ""
    if "row" in line:
        return 1, compare.sort_text(line["row"])
    return 2, ""


def _same_line(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
    header = expected.get("header")
    if header is not None:
        given = actual.get("header") or {}
        return bool(header.get("schema") == given.get("schema"))
    return compare.subset(expected, actual) and compare.subset(actual, expected)


# ----------------------------------------------------------------------------------------------------------- afterwards


def check_post(world: World) -> None:
    """The sources and topics that there must be afterwards, or must not be."""
    post = world.body.get("post") or {}
    for expected in post.get("sources") or ():
        _check_source(world, expected)
    topics = post.get("topics") or {}
    internal = {
        f"{_SERVICE}query_{query.query_id}-{name}": (key_format, value_format)
        for query in world.engine.queries()
        for name, key_format, value_format in query.internal_topics
    }
    blacklist = topics.get("blacklist")
    if blacklist:
        found = [name for name in internal if re.fullmatch(blacklist, name)]
        if found:
            raise Mismatch(f"there should be no such topic: {found[0]}")
    for expected in topics.get("topics") or ():
        _check_topic_formats(world, expected, internal)


def _check_topic_formats(world: World, expected: Mapping[str, Any], internal: Mapping[str, tuple[Any, Any]]) -> None:
    name = expected["name"]
    if name.endswith("-changelog"):  # names that number Kafka Streams' own steps; ksqlite has none of those
        return
    if name in internal:
        key_format, value_format = internal[name]
    else:
        source = next((each for each in world.engine.catalog.sources.values() if each.topic == name), None)
        if source is None:
            raise Mismatch(f"there is no topic {name}, only {sorted(internal)}")
        key_format, value_format = source.key_format, source.value_format
        # ksqlDB's runner gives every topic that the case does not describe the same count, whatever PARTITIONS says
        partitions = world.topics.partitions(name)
        if name in world.given and expected.get("partitions") not in (None, partitions):
            raise Mismatch(f"topic {name} should have {expected['partitions']} partitions, not {partitions}")
    for side, spec in (("keyFormat", key_format), ("valueFormat", value_format)):
        wanted = (expected.get(side) or {}).get("format")
        if wanted is not None and spec is not None and spec.name != wanted:
            raise Mismatch(f"topic {name} should have {side} {wanted}, not {spec.name}")


def _check_source(world: World, expected: Mapping[str, Any]) -> None:
    source = world.engine.catalog.get(expected["name"])
    if source is None:
        raise Mismatch(f"there should be a source {expected['name']}")
    if source.kind.lower() != str(expected["type"]).lower():
        raise Mismatch(f"{source.name} should be a {expected['type']}")
    if expected.get("isSource") is not None and expected["isSource"] != source.is_read_only:
        raise Mismatch(f"{source.name}: isSource should be {expected['isSource']}")
    if expected.get("schema") is not None:
        _check_schema(world, source, str(expected["schema"]))
    key_format = expected.get("keyFormat") or {}
    if key_format.get("format") not in (None, source.key_format.name):
        raise Mismatch(f"{source.name} should have key format {key_format['format']}, not {source.key_format.name}")
    if key_format.get("windowType") is not None:
        window = source.window_type.value if source.window_type else None
        if window != key_format["windowType"] or key_format.get("windowSize") not in (None, source.window_size_ms):
            raise Mismatch(f"{source.name}: window should be {key_format}, not {window} {source.window_size_ms}")
    wanted = expected.get("valueFormat")
    wanted = wanted.get("format") if isinstance(wanted, dict) else wanted
    if wanted not in (None, source.value_format.name):
        raise Mismatch(f"{source.name} should have value format {wanted}, not {source.value_format.name}")


def _check_schema(world: World, source: SourceInfo, text: str) -> None:
    resolve = world.engine.catalog.resolve_type
    expected = [
        (column.name, resolve(column.type), column.constraint is not None) for column in parser.parse_schema(text)
    ]
    keys = {column.name for column in source.schema.key}
    actual = [(column.name, column.type, column.name in keys) for column in source.schema.columns]
    for is_key in (True, False):  # ksqlDB lists keys and values apart
        if [each for each in expected if each[2] == is_key] != [each for each in actual if each[2] == is_key]:
            raise Mismatch(f"{source.name}: schema should be\n- {_listed(expected)}\n+ {_listed(actual)}")


def _listed(columns: list[tuple[str, Any, bool]]) -> str:
    return ", ".join(f"`{name}` {sql}{' KEY' * key}" for name, sql, key in columns)
