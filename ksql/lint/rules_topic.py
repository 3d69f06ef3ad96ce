"""Rules about topics: declared, and declared as the statements will have them."""

from __future__ import annotations

from collections.abc import Iterator

from ksql.files import PipelineObject
from ksql.lint.context import Context, Finding, finding
from ksql.lint.rules_query import milliseconds
from ksql.topics import TopicSpec
from ksqlite import ast


def topic_findings(context: Context) -> Iterator[Finding]:
    """Findings for each topic that the files name."""
    for one in context.pipeline:
        if one.kind == "TYPE":
            continue
        spec = context.topics.spec(one.topic)
        if spec is None:
            yield finding(
                one.create, None, "topic-not-declared",
                f"Topic {one.topic} is not declared: the server would choose its settings, and nobody would keep them.",
                f'Add "{one.topic}" to ksql/topics.json.',
            )  # fmt: skip
        elif one.writes:
            yield from _settings(one, spec)
    written = {one.topic for one in context.pipeline} | set(context.outside)
    for spec in context.topics:
        if spec.name not in written and spec.name != "ksql_applied":
            yield Finding(
                "topics.json", 1, "topic-without-use",
                f"Topic {spec.name} is declared, and neither a file nor a schema has to do with it.",
                "Remove it from ksql/topics.json.",
            )  # fmt: skip


def _settings(one: PipelineObject, spec: TopicSpec) -> Iterator[Finding]:
    node = one.create.node
    if not isinstance(node, ast.CreateAsSelect):
        return
    window = node.query.window
    declared = spec.create_config.get("retention.ms")
    if window is not None and window.retention is not None:
        wanted = str(milliseconds(window.retention))
        if declared != wanted:
            yield finding(
                one.create, window, "retention-differs",
                f"topics.json makes {one.topic} with retention.ms={declared}, the window's RETENTION is {wanted} ms: "
                f"ksqlDB refuses the topic.",
                f'Write "retention.ms": "{wanted}" there, in create_config if it is to differ later.',
            )  # fmt: skip
    if not node.is_table and window is None:
        written = dict(node.properties).get("RETENTION_MS")
        if written is None:
            yield finding(
                one.create, None, "stream-without-retention",
                "Without RETENTION_MS the topic is kept for the broker's 7 days, and records of old sales are deleted "
                "as soon as they are written.",
                "Write RETENTION_MS=-1 in WITH.",
            )  # fmt: skip
        elif str(written) != declared:
            yield finding(
                one.create, None, "retention-differs",
                f"topics.json makes {one.topic} with retention.ms={declared}, here stands RETENTION_MS={written}: "
                f"ksqlDB refuses the topic.",
                "Make them the same.",
            )  # fmt: skip
