"""How expressions and lists look in messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ksqlite import ast
from ksqlite.lexer import RESERVED
from ksqlite.printer import format_expression

_QUOTED = re.compile(r"`([A-Z_][A-Z0-9_]*)`")


def shown(expression: ast.Expression) -> str:
    """An expression as ksqlDB's messages show it: names that need no quotes have none."""
    return _QUOTED.sub(lambda match: match[0] if match[1] in RESERVED else match[1], format_expression(expression))


def and_list(names: Sequence[str]) -> str:
    """'A', 'A and B', 'A, B and C'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def or_list(names: Sequence[str]) -> str:
    """'A', 'A or B', 'A, B or C'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
