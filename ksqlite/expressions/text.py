"""Expressions as they stand in messages."""

from __future__ import annotations

import re

from ksqlite import ast

# Messages name columns without backticks; those inside text stay.
_BACKTICKS = re.compile(r"('(?:[^']|'')*')|`")


def text_of(expression: ast.Expression) -> str:
    """The expression as ksqlDB's messages print it."""
    from ksqlite.printer import format_expression  # noqa: PLC0415 - only a refusal needs it

    return _BACKTICKS.sub(lambda match: match[1] or "", format_expression(expression))
