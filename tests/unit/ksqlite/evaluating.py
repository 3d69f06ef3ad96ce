"""Evaluates an expression over named values: what the tests of expressions and functions share."""

from typing import Any

from ksqlite.errors import AnalysisError
from ksqlite.expressions import Binding, Compiler, to_function
from ksqlite.parser import parse_expression


class Columns:
    """A scope of columns that are the parameters of the compiled function."""

    def __init__(self, types: Any) -> None:
        self.types = types

    def resolve(self, ref: Any) -> Any:
        if ref.name not in self.types:
            raise AnalysisError(f"Column '{ref.name}' cannot be resolved.")
        return Binding(f"c_{ref.name}", self.types[ref.name])


def compiled(text: Any, types: Any = None, *, predicate: bool = False, errors: Any = None) -> tuple[Any, ...]:
    """The compiled expression and a function of the columns, by keyword."""
    types = types or {}
    env: dict[Any, Any] = {}
    report = None if errors is None else lambda message, _cause: errors.append(message)
    compiler = Compiler(Columns(types), env, on_error=report)
    expression = parse_expression(text)
    result = compiler.compile_predicate(expression) if predicate else compiler.compile(expression)
    function = to_function([f"c_{name}" for name in types], result.source, env)
    return result, lambda **values: function(*(values.get(name) for name in types))


def value(text: Any, types: Any = None, **values: object) -> Any:
    """The expression's value."""
    return compiled(text, types)[1](**values)


def type_of(text: Any, types: Any = None) -> str:
    """The expression's type, as ksqlDB writes it."""
    return str(compiled(text, types)[0].type)
