"""LIKE patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=1024)
def like_matcher(pattern: str, escape: str | None = None) -> Callable[[str], bool]:
    """Whether a text is like the pattern: % is any text, _ any character, the escape takes the next one as it is."""
    plain = pattern.strip("%")
    if "%" not in plain and "_" not in plain and (escape is None or escape not in pattern):
        return _plain_matcher(plain, open_start=pattern.startswith("%"), open_end=pattern.endswith("%"))
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if escape is not None and character == escape:
            parts.append(re.escape(next(characters, escape)))
        elif character == "%":
            parts.append(".*")
        elif character == "_":
            parts.append(".")
        else:
            parts.append(re.escape(character))
    match = re.compile("".join(parts), re.DOTALL).fullmatch
    return lambda value: match(value) is not None


def _plain_matcher(text: str, *, open_start: bool, open_end: bool) -> Callable[[str], bool]:
    """The quick way of the patterns that most people write: text, text%, %text, %text%."""
    if open_start and open_end:
        return lambda value: text in value
    if open_start:
        return lambda value: value.endswith(text)
    if open_end:
        return lambda value: value.startswith(text)
    return lambda value: value == text
