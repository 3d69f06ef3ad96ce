"""Compiles ``grammar.lark`` to ``grammar.json``, the LALR tables that the parser reads.

lark builds the tables, but is not needed to use them: importing it alone takes longer than ksqlite may take to start.
``python -m ksqlite.grammar`` writes the file anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCE = HERE / "grammar.lark"
TABLES = HERE / "grammar.json"
STARTS = ["statement", "expression", "type", "columns"]


def fingerprint() -> str:
    """A hash of the grammar's text, kept in the tables so that a stale file is noticed."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def compile_tables() -> dict[str, Any]:
    """The tables of ``grammar.lark`` as plain JSON data.

    ``states`` maps a symbol to the state to go to, or to ``-1 - rule`` to reduce. A rule is [name of its left side,
    number of symbols, name of its handler or None, [index, inline, Nones before] for each symbol that is kept, Nones
    at the end].
    """
    from lark import Lark  # noqa: PLC0415 - at build time only, see above
    from lark.lexer import PatternStr  # noqa: PLC0415
    from lark.parsers.lalr_analysis import Shift  # noqa: PLC0415

    lark = Lark(SOURCE.read_text("utf-8"), parser="lalr", lexer="basic", start=STARTS, maybe_placeholders=True)
    parse_table = lark.parser.parser._parse_table  # noqa: SLF001 - lark has no public way to them
    numbers = {rule: number for number, rule in enumerate(lark.rules)}
    roots = {rule for row in parse_table.states.values() for _, rule in row.values() if rule not in numbers}
    for rule in roots:
        if not isinstance(rule, int):
            numbers[rule] = len(numbers)
    literals = {
        terminal.name: terminal.pattern.value for terminal in lark.terminals if isinstance(terminal.pattern, PatternStr)
    }
    return {
        "fingerprint": fingerprint(),
        "literals": dict(sorted(literals.items())),
        "starts": dict(parse_table.start_states),
        "ends": dict(parse_table.end_states),
        "rules": [_rule(rule) for rule in numbers],
        "states": [
            {name: (target if action is Shift else -1 - numbers[target]) for name, (action, target) in row.items()}
            for _, row in sorted(parse_table.states.items())
        ],
    }


def _rule(rule: Any) -> list[Any]:  # noqa: ANN401 - lark's rules are untyped
    """One rule in the form that `compile_tables` describes; what is filtered and inlined follows lark's own rules."""
    symbols = rule.expansion
    empty = "".join(str(int(flag)) for flag in rule.options.empty_indices)
    nones = [len(run) for run in empty.split("0")] if empty else [0] * (len(symbols) + 1)
    kept: list[list[int]] = []
    pending = 0
    for index, symbol in enumerate(symbols):
        pending += nones[index]
        if symbol.is_term and symbol.filter_out and not rule.options.keep_all_tokens:
            continue
        kept.append([index, int(not symbol.is_term and symbol.name.startswith("_")), pending])
        pending = 0
    handler = rule.alias or (None if rule.options.expand1 else rule.origin.name)
    return [rule.origin.name, len(symbols), handler, kept, pending + nones[len(symbols)]]


def main() -> None:
    """Writes the tables beside the grammar."""
    TABLES.write_text(json.dumps(compile_tables(), separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
