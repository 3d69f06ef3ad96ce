"""Refuses a pipeline that cannot work before anything of it is applied."""

from __future__ import annotations

from ksql.errors import FileError, ToolError
from ksql.files import Pipeline
from ksql.lint import lint_pipeline
from ksql.settings import Settings


def validate(settings: Settings, pipeline: Pipeline, *, is_ksqlite: bool, lint_too: bool = True) -> None:
    """Raises FileError for the one mistake, ToolError for several, a line each: file, line, why, what to write.

    What ksqlite does not support is refused only where ksqlite is to run it. Without ``lint_too``, only statements that
    mean nothing are refused.
    """
    found = lint_pipeline(settings, pipeline)
    refused = [
        one
        for one in found
        if one.rule == "error" or (one.rule == "unsupported" and is_ksqlite) or (lint_too and one.rule != "unsupported")
    ]
    if len(refused) == 1:
        one = refused[0]
        raise FileError(one.file, one.line, None, f"{one.rule}: {one.why} {one.instead}".strip())
    if refused:
        raise ToolError("\n".join(str(one) for one in refused))
