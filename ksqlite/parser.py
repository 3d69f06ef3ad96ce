"""Turns ksql text into the abstract syntax: an LALR machine over the tables of ``grammar.json``."""

from __future__ import annotations

import functools
import json
import keyword
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from ksqlite import ast, lexer
from ksqlite.errors import ParseError
from ksqlite.syntax import Builder
from ksqlite.types import SqlType

_END = "$END"
# os.path, for pathlib takes a tenth of the time that ksqlite may take to start
_TABLES = os.path.join(os.path.dirname(__file__), "grammar.json")  # noqa: PTH118, PTH120
# What a message calls the tokens that have no text of their own.
_NAMES = {
    "IDENT": "IDENTIFIER",
    "QUOTED": "IDENTIFIER",
    "INTEGER": "INTEGER_VALUE",
    "DECIMAL": "DECIMAL_VALUE",
    "DOUBLE": "FLOATING_POINT_VALUE",
    "TEXT": "STRING",
    "_LAMBDA_PAREN": "'('",
    "_ARRAY_OF": "'ARRAY'",
    "_MAP_OF": "'MAP'",
    "_STRUCT_OF": "'STRUCT'",
    _END: "';'",
}
_PUNCTUATION = (",", ")", "]", ">", ";")
_STATEMENT_WORDS = """
    SELECT CREATE INSERT DROP ALTER SET UNSET DEFINE UNDEFINE TERMINATE PAUSE RESUME SHOW LIST DESCRIBE EXPLAIN
    PRINT ASSERT
    """.split()  # noqa: SIM905 - a word a line is no better


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is done when a rule is reduced.

    ``pick`` gives the children from the values of the rule's symbols; ``handler`` is None where a single child passes
    through, and the name of a method of `Builder` otherwise.
    """

    origin: str
    size: int
    handler: Callable[[Builder, list[Any], int], Any] | None
    pick: Callable[[list[Any]], list[Any]] | None
    gathers: bool


class _Tables:
    """The tables as they lie in the file, in the form that the machine runs on."""

    def __init__(self) -> None:
        with open(_TABLES, "rb") as file:  # noqa: PTH123
            data = json.load(file)
        self.states: list[dict[str, int]] = data["states"]
        self.starts: dict[str, int] = data["starts"]
        self.ends: dict[str, int] = data["ends"]
        literals: dict[str, str] = data["literals"]
        self.symbols = {text: name for name, text in literals.items() if not text.isalpha()}
        self.texts = {name: f"'{text}'" for name, text in literals.items()} | _NAMES
        self.keywords = frozenset(text for text in literals.values() if text.isalpha())
        self.words = {text: name for name, text in literals.items() if text.isalpha()}
        self.rules = [
            _Rule(origin, size, _handler(handler), _picker(size, kept, nones), gathers=_is_list(handler))
            for origin, size, handler, kept, nones in data["rules"]
        ]


def _handler(name: str | None) -> Callable[[Builder, list[Any], int], Any] | None:
    if name is None or _is_list(name):
        return None
    return cast("Callable[[Builder, list[Any], int], Any]", getattr(Builder, name + "_" * keyword.iskeyword(name)))


def _is_list(handler: str | None) -> bool:
    return handler is not None and handler.startswith("_")


def _picker(size: int, kept: list[list[int]], nones: int) -> Callable[[list[Any]], list[Any]] | None:
    """A function from the values of a rule's symbols to its children, or None when they are the same."""
    if not nones and [index for index, inline, before in kept if not inline and not before] == list(range(size)):
        return None
    if not nones and not any(inline or before for _, inline, before in kept):
        indices = [index for index, _, _ in kept]
        return lambda values: [values[index] for index in indices]

    def pick(values: list[Any]) -> list[Any]:
        children: list[Any] = []
        for index, inline, before in kept:
            if before:
                children.extend([None] * before)
            if inline:
                children.extend(values[index])
            else:
                children.append(values[index])
        if nones:
            children.extend([None] * nones)
        return children

    return pick


@functools.cache
def _tables() -> _Tables:
    return _Tables()


def parse(text: str, variables: Mapping[str, str] | None = None) -> list[ast.Located]:
    """All statements of a text, each of which ends with a semicolon.

    ``variables`` are the values of ``${name}``; DEFINE and UNDEFINE within the text change them for what follows.
    Raises ParseError with the place of the first error.
    """
    if "${" not in text:
        return _parse_pieces(text, complete=True)
    known = dict(variables or {})
    parsed: list[ast.Located] = []
    for piece in lexer.split(text):
        for located in _parse_pieces(lexer.substitute(piece, known), complete=True):
            parsed.append(located)
            if isinstance(located.statement, ast.DefineVariable):
                known[located.statement.name] = located.statement.value
            elif isinstance(located.statement, ast.UndefineVariable):
                known.pop(located.statement.name, None)
    return parsed


def parse_statement(text: str, variables: Mapping[str, str] | None = None) -> ast.Statement:
    """The single statement of a text, with or without its semicolon. Raises ParseError."""
    located = _parse_pieces(lexer.substitute(text, variables or {}), complete=False)
    if len(located) != 1:
        raise ParseError(f"Expected exactly one statement, but found {len(located)}")
    return located[0].statement


def parse_expression(text: str) -> ast.Expression:
    """The expression that a text is. Raises ParseError."""
    return cast("ast.Expression", _parse_whole(text, "expression"))


def parse_schema(text: str) -> tuple[ast.ColumnDefinition, ...]:
    """The column definitions that a text lists, with or without parentheses around them. Raises ParseError."""
    inner = text.strip()
    if not inner.startswith("("):
        inner = f"({inner})"
    return cast("tuple[ast.ColumnDefinition, ...]", _parse_whole(inner, "columns"))


def parse_type(text: str) -> SqlType | ast.TypeName:
    """The SQL type that a text names. Raises ParseError."""
    return cast("SqlType | ast.TypeName", _parse_whole(text, "type"))


def _parse_whole(text: str, start: str) -> object:
    source = lexer.Text(text)
    found = list(lexer.statements(source, _tables().symbols))
    if len(found) != 1:
        raise ParseError(f"Expected exactly one {start}, but found {len(found)}")
    return _run(source, found[0][0], found[0][1], Builder(source), start)


def _parse_pieces(text: str, *, complete: bool) -> list[ast.Located]:
    source = lexer.Text(text)
    parsed: list[ast.Located] = []
    for tokens, end, closed in lexer.statements(source, _tables().symbols):
        start = tokens[0][2]
        builder = Builder(source)
        statement = cast("ast.Statement", _run(source, tokens, end, builder, "statement"))
        if complete and not closed:
            _refuse(source, len(text.rstrip()), "missing ';' at '<EOF>'", text[start:])
        parsed.append(
            ast.Located(statement, text[start:end], custom_types=builder.custom_types, at=source.place(start))
        )
    return parsed


def _run(text: lexer.Text, tokens: list[lexer.Token], end: int, builder: Builder, start: str) -> object:
    """The value of the tokens as the grammar's ``start``."""
    tables = _tables()
    states, rules, words = tables.states, tables.rules, tables.words
    final = tables.ends[start]
    state = tables.starts[start]
    stack = [state]
    values: list[Any] = []
    offsets: list[int] = []
    for kind, value, offset in [*tokens, (_END, "<EOF>", end)]:
        symbol = kind
        row = states[state]
        if kind == "WORD":
            known = words.get(value)
            symbol = "IDENT"
            if known is not None and (
                value in lexer.RESERVED
                # a row that reduces may do so for the sake of other places: see _accepts
                or (known in row and (row[known] >= 0 or _accepts(tables, stack, known)))
            ):
                symbol = known
        elif symbol not in row and kind[0] == "_" and kind != "_LAMBDA_PAREN" and "IDENT" in row:
            symbol = "IDENT"
        while True:
            action = row.get(symbol)
            if action is None:
                _syntax_error(text, tables, stack, (symbol, value, offset), tokens, end)
            if action >= 0:
                state = action
                stack.append(action)
                values.append(value)
                offsets.append(offset)
                break
            rule = rules[-1 - action]
            size = rule.size
            if size == 1 and rule.handler is None and not rule.gathers:
                stack.pop()
            else:
                if size:
                    children = values[-size:]
                    first = offsets[-size]
                    del stack[-size:], values[-size:], offsets[-size:]
                else:
                    children = []
                    first = offset
                if rule.pick is not None:
                    children = rule.pick(children)
                if rule.handler is not None:
                    values.append(rule.handler(builder, children, first))
                elif rule.gathers:
                    values.append(children)
                else:
                    values.append(children[0])
                offsets.append(first)
            state = states[stack[-1]][rule.origin]
            stack.append(state)
            row = states[state]
            if symbol == _END and state == final:
                return values[-1]
    raise AssertionError("unreachable: the end is refused or accepted above")


def _accepts(tables: _Tables, stack: list[int], symbol: str) -> list[int] | None:
    """The states after a symbol is read on top of ``stack``; None where it does not fit.

    The row of a state alone does not tell: LALR tables reduce on symbols that are refused afterwards.
    """
    stack = list(stack)
    while True:
        action = tables.states[stack[-1]].get(symbol)
        if action is None:
            return None
        if action >= 0:
            return [*stack, action]
        rule = tables.rules[-1 - action]
        if rule.size:
            del stack[-rule.size :]
        stack.append(tables.states[stack[-1]][rule.origin])
        if symbol == _END and stack[-1] in tables.ends.values():
            return stack


def _syntax_error(  # noqa: PLR0917 - all that the machine knows when it stops
    text: lexer.Text, tables: _Tables, stack: list[int], token: lexer.Token, tokens: list[lexer.Token], end: int
) -> NoReturn:
    """Raises the ParseError for a token that does not fit on top of the stack, worded as ksqlDB words it."""
    import difflib  # noqa: PLC0415 - only needed here, and slow to load

    kind, value, offset = token
    statement = text.source[tokens[0][2] : end] + ";"
    written = "<EOF>" if kind == _END else text.source[offset : offset + max(1, len(value))]
    if len(stack) == 1 and offset == tokens[0][2] and "CREATE" in tables.states[stack[0]]:
        close = difflib.get_close_matches(value, _STATEMENT_WORDS, 1, 0.75)
        hint = f"\nDid you mean '{close[0]}'?" if close else ""
        _refuse(text, offset, f"Unknown statement '{written}'{hint}", statement)
    if value in lexer.RESERVED and _accepts(tables, stack, "IDENT"):
        message = (
            f'"{written}" is a reserved keyword and it can\'t be used as an identifier.'
            f" You can use it as an identifier by escaping it as '{written}'"
        )
        _refuse(text, offset, message, statement)
    expected = {
        tables.texts[name]
        for name in tables.states[stack[-1]]
        if name in tables.texts and _accepts(tables, stack, name)
    }
    punctuation = [f"'{mark}'" for mark in _PUNCTUATION if f"'{mark}'" in expected]
    for mark in punctuation:
        after = _accepts(tables, stack, tables.symbols.get(mark[1:-1], _END))
        if len(punctuation) == 1 and after and kind != _END and _accepts(tables, after, kind):
            _refuse(text, offset, f"missing {mark} at '{written}'", statement)
    if punctuation == ["';'"] and len(expected) > 1:
        # ksqlDB says no more where a clause could have followed
        _refuse(text, offset, "", statement)
    names = punctuation or sorted(expected)
    wanted = names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"
    _refuse(text, offset, f"Expecting {wanted}" if names else f"extraneous input '{written}'", statement)


def _refuse(text: lexer.Text, offset: int, what: str, statement: str) -> NoReturn:
    place = text.place(offset)
    raise ParseError(
        f"line {place.line}:{place.column + 1}: Syntax Error\n{what}",
        line=place.line,
        column=place.column,
        statement=statement,
    )
