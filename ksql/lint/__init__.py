"""Checks the ksql files, without a server, for what would hurt only once it runs.

Each rule stands in a module named for its subject and gives findings: where, why it hurts, what to write instead.
"""

from __future__ import annotations

from ksql.errors import FileError
from ksql.files import Pipeline, read_pipeline
from ksql.lint.analysis import analyse
from ksql.lint.context import Context, Finding
from ksql.lint.rules_query import query_findings
from ksql.lint.rules_sink import sink_findings
from ksql.lint.rules_topic import topic_findings
from ksql.settings import Settings

__all__ = ["Finding", "lint", "lint_pipeline"]


def lint(settings: Settings) -> list[Finding]:
    """All findings, in order of place; a file that cannot be read is one finding, and nothing else is looked at."""
    try:
        pipeline = read_pipeline(settings.ksql_dir)
    except FileError as error:
        return [Finding(error.file, error.line or 1, "error", error.reason, "")]
    return lint_pipeline(settings, pipeline)


def lint_pipeline(settings: Settings, pipeline: Pipeline) -> list[Finding]:
    """All findings of files that were read already."""
    typed, errors = analyse(settings, pipeline)
    context = Context.load(settings, pipeline, typed)
    found = [*errors, *query_findings(context), *sink_findings(context), *topic_findings(context)]
    return sorted(set(found), key=lambda one: (one.file, one.line, one.rule, one.why))
