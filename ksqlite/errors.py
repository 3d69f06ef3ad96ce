"""What ksqlite refuses, and where: every refusal carries line and column where they are known."""

from __future__ import annotations


class KsqlError(Exception):
    """A statement that is refused.

    ``line`` is 1-based and ``column`` 0-based within the text that was parsed, as ksqlDB counts them; both are None
    where no place is known. ``statement`` is the text of the refused statement.
    """

    def __init__(
        self, message: str, *, line: int | None = None, column: int | None = None, statement: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.statement = statement

    def __str__(self) -> str:
        """The message, behind its place (counted from 1, as ksqlDB shows it) where it does not say it itself."""
        if self.line is None or self.column is None or self.message.lower().startswith(("line ", "line:")):
            return self.message
        return f"line {self.line}:{self.column + 1}: {self.message}"


class ParseError(KsqlError):
    """The text is not in the grammar."""


class AnalysisError(KsqlError):
    """The statement parses but means nothing: an unknown column, a type that does not fit, a rule broken."""


class TopicError(KsqlError):
    """A topic that is not there, or not as the statement needs it; ksqlDB answers these without naming a statement."""


class UnsupportedError(KsqlError):
    """ksqlDB would take this; ksqlite does not. The message names the feature and says what to do instead."""


class EvaluationError(Exception):
    """A row whose expression cannot be evaluated; it goes to the processing log, the query goes on."""
