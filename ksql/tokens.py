"""Finds names and topics in a statement's own text: a later version of it differs from the file in nothing else.

A statement is sent as its author wrote it, comments and all; only names of rebuilt objects and their topics are
replaced. (Printing it anew would make every error message speak of a text that nobody wrote.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^']|'')*')
    |(?P<quoted>`(?:[^`]|``)*`|"(?:[^"]|"")*")
    |(?P<word>[A-Za-z_][A-Za-z0-9_@]*)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_A_NAME = frozenset({"FROM", "JOIN", "INTO", "STREAM", "TABLE", "EXISTS", "DESCRIBE", "EXTENDED"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def upper(self) -> str:
        return self.text.upper()

    @property
    def name(self) -> str | None:
        """The identifier as ksqlDB resolves it, None for any other token."""
        if self.kind == "word":
            return self.text.upper()
        if self.kind == "quoted":
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return None


def rename(text: str, names: Mapping[str, str], topics: Mapping[str, str]) -> str:
    """The statement with these objects and topics called otherwise.

    ``names`` goes from the name as ksqlDB resolves it to the new one; ``topics`` from topic to topic.
    """
    tokens = [_Token(match.lastgroup or "other", match.group()) for match in _TOKEN.finditer(text)]
    solid = [index for index, token in enumerate(tokens) if token.kind != "space"]
    pieces = [token.text for token in tokens]
    for position, index in enumerate(solid):
        token = tokens[index]
        before = tokens[solid[position - 1]].upper if position else ""
        after = tokens[solid[position + 1]].text if position + 1 < len(solid) else ""
        name = token.name
        if name is not None and name in names and (before in _BEFORE_A_NAME or (after == "." and before != "->")):
            pieces[index] = _like(token, names[name])
        elif token.kind == "string" and before == "=" and tokens[solid[position - 2]].upper == "KAFKA_TOPIC":
            topic = token.text[1:-1].replace("''", "'")
            pieces[index] = "'" + topics.get(topic, topic).replace("'", "''") + "'"
    return "".join(pieces)


def _like(token: _Token, name: str) -> str:
    """The new name written as the old one was: quoted where it was quoted, in small letters where it was in small."""
    if token.kind == "quoted":
        quote = token.text[0]
        return quote + name.replace(quote, quote * 2) + quote
    return name.lower() if token.text.islower() else name
