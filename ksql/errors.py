"""What the pipeline's tools refuse: one clear line for whoever runs them."""

from __future__ import annotations


class ToolError(Exception):
    """A mistake or an unreachable part; the message is a full sentence that says what to do."""


class FileError(ToolError):
    """A mistake in a file, with its place: ``file:line:column: reason``."""

    def __init__(self, file: str, line: int | None, column: int | None, reason: str) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {reason}")
        self.file = file
        self.line = line
        self.column = column
        self.reason = reason
