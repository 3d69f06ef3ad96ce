"""Takes ksql text apart into tokens, statement by statement."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping

from ksqlite.ast import Place
from ksqlite.errors import ParseError

# Words that mean their keyword wherever they stand. Every other keyword is an identifier where the grammar has no use
# for the keyword.
RESERVED = frozenset(
    """
    SELECT FROM AS WHERE WITHIN WINDOW GROUP BY HAVING LIMIT OR AND IN NOT EXISTS BETWEEN LIKE IS NULL TRUE
    FALSE CASE WHEN THEN ELSE END JOIN FULL OUTER INNER LEFT RIGHT ON WITH VALUES CREATE TABLE STREAM INSERT
    INTO DROP DELETE DESCRIBE PRINT CAST DISTINCT LIST TERMINATE
    """.split()  # noqa: SIM905 - a word a line is no better
)

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<word>[A-Za-z_][A-Za-z0-9_@]*)
  | (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<symbol>->|=>|:=|<>|!=|<=|>=|\|\||[-(),=<>*+/%\[\]]|\.(?!\d))
  | (?P<string>'(?:[^']|'')*')
  | (?P<digits>\d+(?![eE][-+]?\d+\b)[A-Za-z_@][A-Za-z0-9_@]*)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
  | (?P<quoted>`(?:[^`]|``)*`|"(?:[^"]|"")*")
  | (?P<semicolon>;)
  | (?P<end>\Z)
  | (?P<bad>.)
  )""",
    re.VERBOSE | re.DOTALL,
)
_BRACKETED = {
    ("ARRAY", "["),
    ("ARRAY", "<"),
    ("MAP", "("),
    ("MAP", "<"),
    ("STRUCT", "("),
    ("STRUCT", "<"),
    ("STRUCT", "<>"),
}
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PIECE = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|`[^`]*`|\"[^\"]*\"|;|[^-/'`\";]+|.", re.DOTALL)

# kind, value, offset. The kind of a word is WORD until the parser knows what may stand there.
Token = tuple[str, str, int]


class Text:
    """A text and where its lines begin."""

    __slots__ = ("_starts", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._starts: list[int] | None = None

    def place(self, offset: int) -> Place:
        """The line (1-based) and column (0-based) of an offset."""
        if self._starts is None:
            self._starts = [0, *(found.end() for found in re.finditer("\n", self.source))]
        line = bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1])

    def at(self, place: Place) -> str:
        """The character at a place that `place` gave."""
        assert self._starts is not None  # noqa: S101 - a place was asked for before
        return self.source[self._starts[place.line - 1] + place.column]


def statements(text: Text, literals: Mapping[str, str]) -> Iterator[tuple[list[Token], int, bool]]:
    """The tokens of each statement, the offset behind its last one, and whether a semicolon ends it.

    ``literals`` gives the kind of each symbol. Raises ParseError for a character that no token starts with.
    """
    source = text.source
    tokens: list[Token] = []
    append = tokens.append
    position = end = 0
    match = _TOKEN.match
    while True:
        found = match(source, position)
        assert found is not None  # noqa: S101 - the last alternative takes any character
        position = found.end()
        kind = found.lastgroup
        if kind == "comment":
            continue
        if kind == "word":
            value = found["word"]
            append(("WORD", value.upper(), found.start("word")))
        elif kind == "symbol":
            value = found["symbol"]
            start = found.start("symbol")
            if tokens and (value in "([<" or value == "<>"):
                _mark_bracket(tokens, value)
            elif value == "=>":
                _mark_lambda(tokens)
            append((literals[value], value, start))
        elif kind == "string":
            append(("TEXT", found["string"][1:-1].replace("''", "'"), found.start("string")))
        elif kind == "number":
            append(_number(found))
        elif kind == "digits":  # an identifier that begins with a digit, such as 1R
            append(("IDENT", found["digits"].upper(), found.start("digits")))
        elif kind == "quoted":
            raw = found["quoted"]
            append(("QUOTED", raw[1:-1].replace(raw[0] * 2, raw[0]), found.start("quoted")))
        elif kind == "semicolon":
            if tokens:
                yield tokens, end, True
                tokens = []
                append = tokens.append
        elif kind == "end":
            if tokens:
                yield tokens, end, False
            return
        elif kind == "bad":
            _refuse(text, found.start("bad"))
        end = position


def _mark_bracket(tokens: list[Token], bracket: str) -> None:
    kind, value, offset = tokens[-1]
    if kind == "WORD" and (value, bracket) in _BRACKETED:
        tokens[-1] = (f"_{value}_OF", value, offset)


def _mark_lambda(tokens: list[Token]) -> None:
    """Marks the parenthesis that opens the parameters before ``=>``, if there is one."""
    if not tokens or tokens[-1][1] != ")":
        return
    for index in range(len(tokens) - 2, -1, -1):
        kind, value, offset = tokens[index]
        if kind == "LPAR":
            tokens[index] = ("_LAMBDA_PAREN", value, offset)
            return


def _number(found: re.Match[str]) -> Token:
    value = found["number"]
    start = found.start("number")
    if "e" in value or "E" in value:
        return ("DOUBLE", value, start)
    return ("DECIMAL" if "." in value else "INTEGER", value, start)


def _refuse(text: Text, offset: int) -> None:
    place = text.place(offset)
    character = text.source[offset]
    what = {
        "'": "a string that is not closed",
        "`": "a quoted identifier that is not closed",
        '"': "a quoted identifier that is not closed",
        "$": "a variable that is not defined",
    }.get(character, f"token recognition error at: '{character}'")
    raise ParseError(
        f"line {place.line}:{place.column + 1}: Syntax Error\n{what}", line=place.line, column=place.column
    )


def split(source: str) -> Iterator[str]:
    """The statements of a text as pieces of it, each with its semicolon, without looking at what they say."""
    start = 0
    for found in _PIECE.finditer(source):
        if found[0] == ";":
            yield source[start : found.end()]
            start = found.end()
    if source[start:].strip():
        yield source[start:]


def substitute(source: str, variables: Mapping[str, str]) -> str:
    """The text with ``${name}`` replaced by the variable's value; ``$${name}`` stands for ``${name}`` itself.

    A name that is not defined stays as it is, as in ksqlDB: in a string it may be meant for somebody else.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return "${"
        return variables.get(found[1], found[0])

    return _VARIABLE.sub(value, source)
