"""Functions over regular expressions, in Java's syntax."""

from __future__ import annotations

import re
from functools import lru_cache

from ksqlite.errors import EvaluationError
from ksqlite.functions.registry import scalar

_CLASSES = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\\x00-\\x7f",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Alnum": "A-Za-z0-9",
    "Punct": "!-/:-@\\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "XDigit": "0-9A-Fa-f",
    "Space": " \\t\\n\\x0b\\f\\r",
}
_NO_CLASS = "no equivalent here"


def translate(pattern: str) -> str:
    """Java's syntax in Python's. Raises EvaluationError for what Python has not."""
    result: list[str] = []
    position = 0
    in_class = False
    while position < len(pattern):
        character = pattern[position]
        following = pattern[position + 1 : position + 2]
        if character == "\\" and following:
            step, written = _escape(pattern, position, in_class=in_class)
            result.append(written)
            position += step
            continue
        if character == "[" and in_class:
            raise EvaluationError(f"A character class inside another has {_NO_CLASS}: {pattern}")
        if in_class and pattern.startswith("&&", position):
            raise EvaluationError(f"An intersection of character classes has {_NO_CLASS}: {pattern}")
        if character == "[":
            in_class = True
        elif character == "]":
            in_class = False
        elif pattern.startswith("(?<", position) and pattern[position + 3 : position + 4] not in {"=", "!"}:
            result.append("(?P<")
            position += 3
            continue
        result.append(character)
        position += 1
    return "".join(result)


def _escape(pattern: str, position: int, *, in_class: bool) -> tuple[int, str]:
    """How many characters an escape takes, and what stands for it in Python."""
    letter = pattern[position + 1]
    if letter == "Q":
        end = pattern.find("\\E", position)
        quoted = pattern[position + 2 : end if end >= 0 else len(pattern)]
        return len(quoted) + (4 if end >= 0 else 2), re.escape(quoted)
    if letter in {"p", "P"}:
        match = re.match(r"\\[pP]\{(?:Is)?(\w+)\}", pattern[position:])
        inside = _CLASSES.get(match[1]) if match else None
        if match is None or inside is None or (in_class and letter == "P"):
            raise EvaluationError(f"\\{letter} has {_NO_CLASS}: {pattern}")
        return len(match[0]), inside if in_class else f"[{'^' if letter == 'P' else ''}{inside}]"
    if letter == "k":
        match = re.match(r"\\k<(\w+)>", pattern[position:])
        if match is not None:
            return len(match[0]), f"(?P={match[1]})"
    if letter == "h":
        return 2, " \\t" if in_class else "[ \\t]"
    if letter == "R":
        return 2, "(?:\\r\\n|[\\n\\x0b\\f\\r])"
    if letter == "z":
        return 2, "\\Z"
    if letter == "Z":
        return 2, "(?=\\n?\\Z)"
    if letter == "x" and pattern[position + 2 : position + 3] == "{":
        end = pattern.index("}", position)
        return end + 1 - position, re.escape(chr(int(pattern[position + 3 : end], 16)))
    if letter.isalpha() and letter not in "tnrfabBdDsSwWAux":
        raise EvaluationError(f"\\{letter} has {_NO_CLASS}: {pattern}")
    return 2, f"\\{letter}"


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled expression. Raises EvaluationError when it is none."""
    try:
        return re.compile(translate(pattern), re.ASCII)
    except re.error as error:
        raise EvaluationError(f"Invalid regular expression pattern: {pattern}: {error}") from error


@scalar("REGEXP_EXTRACT", "STRING, STRING -> STRING")
def regexp_extract(pattern: str, text: str) -> str | None:
    """The first part of a text that matches an expression, or a group of it."""
    return regexp_extract_group(pattern, text, 0)


@scalar("REGEXP_EXTRACT", "STRING, STRING, INTEGER -> STRING")
def regexp_extract_group(pattern: str, text: str, group: int) -> str | None:
    """A group of the first part that matches."""
    expression = compiled(pattern)
    if group > expression.groups or group < 0:
        return None
    match = expression.search(text)
    return None if match is None else match[group]


@scalar("REGEXP_EXTRACT_ALL", "STRING, STRING -> ARRAY<STRING>")
def regexp_extract_all(pattern: str, text: str) -> list[str] | None:
    """All parts of a text that match an expression, or a group of each."""
    return regexp_extract_all_groups(pattern, text, 0)


@scalar("REGEXP_EXTRACT_ALL", "STRING, STRING, INTEGER -> ARRAY<STRING>")
def regexp_extract_all_groups(pattern: str, text: str, group: int) -> list[str] | None:
    """A group of each part that matches."""
    expression = compiled(pattern)
    if group > expression.groups or group < 0:
        return None
    return [match[group] for match in expression.finditer(text)]


_REFERENCE = re.compile(r"\\(.)|\$(\d|\{\w+\})|(\$)", re.DOTALL)


@lru_cache(maxsize=512)
def _replacement(written: str) -> str:
    """Java's replacement text, with $1, ${name} and escapes, in Python's."""

    def one(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1].replace("\\", r"\\")
        if match[3] is not None:
            raise EvaluationError(f"Illegal group reference: {written}")
        return rf"\g<{match[2].strip('{}')}>"

    parts: list[str] = []
    last = 0
    for match in _REFERENCE.finditer(written):
        parts.extend((written[last : match.start()].replace("\\", r"\\"), one(match)))
        last = match.end()
    parts.append(written[last:].replace("\\", r"\\"))
    return "".join(parts)


@scalar("REGEXP_REPLACE", "STRING, STRING, STRING -> STRING", never_null=True)
def regexp_replace(text: str, pattern: str, replacement: str) -> str:
    """All parts of a text that match an expression replaced; $1 stands for the first group."""
    try:
        return compiled(pattern).sub(_replacement(replacement), text)
    except (re.error, IndexError) as error:
        raise EvaluationError(f"Invalid replacement: {replacement}: {error}") from error


@scalar("REGEXP_SPLIT_TO_ARRAY", "STRING, STRING -> ARRAY<STRING>")
def regexp_split_to_array(text: str, pattern: str) -> list[str]:
    """The parts of a text between those that match an expression."""
    if not pattern:
        return list(text)
    parts: list[str] = []
    last = 0
    for match in compiled(pattern).finditer(text):
        if match.end() == 0 or match.start() == match.end() == len(text):
            continue
        parts.append(text[last : match.start()])
        last = match.end()
    parts.append(text[last:])
    return parts
