"""Checks the schemas against those who read their fields: the ksql files, and the tables behind them."""

from __future__ import annotations

from ksql.errors import ToolError
from ksql.lint import lint
from ksql.settings import Settings

_BROKEN_BY_A_SCHEMA = frozenset({"error", "no-such-column", "type-differs-from-table", "sum-of-narrow-decimal",
                                 "skipped-nulls", "key-not-in-value", "topic-that-nobody-writes"})  # fmt: skip


def check_readers(settings: Settings) -> None:
    """Raises ToolError with a line for each statement that does not fit the schemas: file, line, reason."""
    found = [finding for finding in lint(settings) if finding.rule in _BROKEN_BY_A_SCHEMA]
    if found:
        raise ToolError("\n".join(str(finding) for finding in found))
