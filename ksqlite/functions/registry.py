"""Finds functions by name and argument types, as ksqlDB does.

A variant that takes the arguments as they are is preferred over one that needs them converted; among several, one with
a fixed number of arguments, then one with fewer free types. Where two remain, the call is refused as ambiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, TypeVar

from ksqlite import ast
from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.functions.api import BoundAggregate, BoundTable, Kind, Udaf
from ksqlite.functions.signatures import (
    AnyDecimal,
    ArgumentType,
    Bindings,
    Exactly,
    Pattern,
    Signature,
    parse,
    resolve,
)
from ksqlite.types import BIGINT, INTEGER, DecimalType, SqlType
from ksqlite.values import Value
from ksqlite.values.decimals import to_decimal

_MODULES = (
    "aggregates",
    "arrays",
    "bytes",
    "collections",
    "conditionals",
    "dates",
    "distinct",
    "geo",
    "json",
    "lambdas",
    "maps",
    "math",
    "offsets",
    "regex",
    "statistics",
    "strings",
    "tables",
    "tops",
    "urls",
)
_Function = TypeVar("_Function", bound=Callable[..., Any])
# ksqlDB names functions in its messages as they were declared, some in lower case.
_LOWER_CASE = frozenset(
    {
        "GREATEST",
        "LEAST",
        "DATEADD",
        "DATESUB",
        "TIMEADD",
        "TIMESUB",
        "TIMESTAMPADD",
        "TIMESTAMPSUB",
    }
)


class UnknownFunctionError(UnsupportedError, AnalysisError):
    """There is no function of that name, neither in ksqlite nor, as far as it knows, in ksqlDB."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One signature of a function, and how it is computed.

    ``call`` computes it; ``make`` gives such a function for the types of the arguments and the result. ``inline`` is
    Python source with {0}, {1} … for the arguments, which are then names, and {f} for ``call``. ``result`` derives the
    type that the signature alone does not tell. With ``skip_nulls`` NULL in gives NULL out, without a call.
    """

    signature: Signature
    call: Callable[..., Any] | None = None
    make: Callable[[Sequence[SqlType], SqlType], Callable[..., Any]] | None = None
    inline: str | None = None
    result: Callable[[Sequence[SqlType | None]], SqlType] | None = None
    skip_nulls: bool = True
    never_null: bool = False
    fallible: bool = True


@dataclass(frozen=True, slots=True)
class BoundScalar:
    """A scalar call, resolved: each argument is to be compiled to its input type (None: as it is)."""

    variant: Variant
    call: Callable[..., Any] | None
    input_types: tuple[SqlType | None, ...]
    returns: SqlType


@dataclass(slots=True)
class Function:
    """A function: its name, kind, words about it and variants."""

    name: str
    kind: Kind
    description: str
    variants: list[Variant] = field(default_factory=list)

    @property
    def display_name(self) -> str:
        """The name as ksqlDB's messages have it."""
        return self.name.lower() if self.name in _LOWER_CASE else self.name


@dataclass(frozen=True, slots=True)
class AggregateVariant(Variant):
    """A variant of an aggregate; ``build`` makes it from the input types and the constant arguments.

    ``constants`` is how many of the last arguments are constants.
    """

    build: Callable[..., Udaf] | None = None
    constants: int = 0
    mergeable_build: Callable[..., Udaf] | None = None


SCALARS: dict[str, Function] = {}
AGGREGATES: dict[str, Function] = {}
TABLES: dict[str, Function] = {}


def scalar(
    name: str,
    *signatures: str,
    description: str = "",
    make: bool = False,
    **options: Value,
) -> Callable[[_Function], _Function]:
    """Registers the decorated function under the name, for each of the signatures."""

    def register(function: _Function) -> _Function:
        for signature in signatures:
            variant = Variant(
                parse(signature), call=None if make else function, make=function if make else None, **options
            )
            _add(SCALARS, name, Kind.SCALAR, description or _summary(function), variant)
        return function

    return register


def table(name: str, *signatures: str, description: str = "") -> Callable[[_Function], _Function]:
    """Registers the decorated table function."""

    def register(function: _Function) -> _Function:
        for signature in signatures:
            _add(TABLES, name, Kind.TABLE, description or _summary(function), Variant(parse(signature), function))
        return function

    return register


def aggregate(
    name: str, *signatures: str, description: str = "", constants: int = 0, mergeable: Callable[..., Udaf] | None = None
) -> Callable[[Callable[..., Udaf]], Callable[..., Udaf]]:
    """Registers a maker of aggregates: called with the inputs' types, and ``constants`` where there are such arguments.

    ``mergeable`` is the maker used where states may be merged (sessions), when that needs a richer state.
    """

    def register(build: Callable[..., Udaf]) -> Callable[..., Udaf]:
        for signature in signatures:
            variant = AggregateVariant(
                parse(signature), build=build, constants=constants, mergeable_build=mergeable or build
            )
            _add(AGGREGATES, name, Kind.AGGREGATE, description or _summary(build), variant)
        return build

    return register


def _summary(documented: object) -> str:
    return (documented.__doc__ or "").strip().split("\n", 1)[0]


def _add(functions: dict[str, Function], name: str, kind: Kind, description: str, variant: Variant) -> None:
    functions.setdefault(name, Function(name, kind, description)).variants.append(variant)


def _type_list(types: Iterable[ArgumentType]) -> str:
    return ", ".join("null" if found is None else str(found) for found in types)


def choose(function: Function, types: Sequence[ArgumentType]) -> tuple[Variant, Bindings]:
    """The variant that takes the arguments, with the types of its letters. Raises AnalysisError."""
    for casts in (False, True):
        found = [
            (variant, bound)
            for variant in function.variants
            if (bound := variant.signature.match(types, casts=casts)) is not None
        ]
        if not found:
            continue
        found.sort(key=lambda pair: pair[0].signature.rank)
        if len(found) > 1 and found[0][0].signature.rank == found[1][0].signature.rank:
            raise AnalysisError(
                f"Function '{function.display_name}' cannot be resolved due to ambiguous method parameters "
                f"({_type_list(types)}).\nPlease cast the arguments to the types of one of:\n{_alternatives(function)}"
            )
        return found[0]
    raise AnalysisError(
        f"Function '{function.display_name}' does not accept parameters ({_type_list(types)}).\n"
        f"Valid alternatives are:\n{_alternatives(function)}\n"
        f"For detailed information on a function run: DESCRIBE FUNCTION <Function-Name>;"
    )


def _alternatives(function: Function) -> str:
    return "\n".join(f"{function.display_name}{variant.signature}" for variant in function.variants)


def _input_type(pattern: Pattern, actual: ArgumentType, bound: Mapping[str, SqlType]) -> SqlType | None:
    if isinstance(pattern, Exactly):
        return pattern.type
    if isinstance(pattern, AnyDecimal):
        if actual in {INTEGER, BIGINT}:
            assert isinstance(actual, SqlType)  # noqa: S101 - tells the checker what the set says
            return to_decimal(actual)
        return actual if isinstance(actual, DecimalType) else None
    return resolve(pattern, bound) or (actual if isinstance(actual, SqlType) else None)


class FunctionRegistry:
    """All functions of ksqlite by name. Their modules are imported when the first is looked for."""

    @cached_property
    def _loaded(self) -> bool:
        for module in _MODULES:
            import_module(f"ksqlite.functions.{module}")
        return True

    def find(self, name: str) -> Function | None:
        """The function of that name (upper case), or None."""
        assert self._loaded  # noqa: S101 - loads on first use
        return SCALARS.get(name) or AGGREGATES.get(name) or TABLES.get(name)

    def functions(self) -> list[Function]:
        """All functions, sorted by name."""
        assert self._loaded  # noqa: S101 - loads on first use
        return [function for _, function in sorted({**SCALARS, **AGGREGATES, **TABLES}.items())]

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        return [function.name for function in self.functions()]

    def kind(self, name: str) -> Kind | None:
        """What kind of function that is, or None when there is none of that name."""
        function = self.find(name)
        return None if function is None else function.kind

    def require(self, name: str) -> Function:
        """The function of that name. Raises UnknownFunctionError."""
        function = self.find(name.upper())
        if function is None:
            raise UnknownFunctionError(f"Can't find any functions with the name '{name}'")
        return function

    def scalar(self, name: str, types: Sequence[ArgumentType]) -> BoundScalar:
        """Resolves a scalar call. Raises AnalysisError when nothing fits."""
        function = self.require(name)
        variant, bound = choose(function, types)
        parameters = variant.signature.parameters_for(len(types))
        assert parameters is not None  # noqa: S101 - the variant was chosen for that count
        inputs = tuple(_input_type(pattern, actual, bound) for pattern, actual in zip(parameters, types, strict=True))
        returns = resolve(variant.signature.returns, bound)
        if variant.result is not None:
            returns = variant.result(inputs)
        if returns is None:
            raise AnalysisError(
                f"Function '{function.display_name}' cannot be resolved due to ambiguous method parameters "
                f"({_type_list(types)})."
            )
        call = variant.call
        if variant.make is not None:
            call = variant.make(tuple(found or returns for found in inputs), returns)
        return BoundScalar(variant, call, inputs, returns)

    def aggregate(
        self,
        name: str,
        arguments: Sequence[ast.Expression],
        types: Sequence[SqlType | None],
        *,
        merges: bool = True,
    ) -> BoundAggregate:
        """Resolves an aggregate call; ``merges`` is False where states never meet (no session window).

        Raises AnalysisError when nothing fits or a constant argument is none.
        """
        function = self.require(name)
        variant, bound = choose(function, types)
        assert isinstance(variant, AggregateVariant)  # noqa: S101 - the planner asked for an aggregate
        count = len(arguments) - variant.constants
        constants = [_constant(name, position, arguments[position]) for position in range(count, len(arguments))]
        parameters = variant.signature.parameters_for(len(types))
        assert parameters is not None  # noqa: S101 - the variant was chosen for that count
        inputs: list[SqlType] = []
        for pattern, actual in zip(parameters[:count], types[:count], strict=True):
            found = _input_type(pattern, actual, bound)
            if found is None:
                raise AnalysisError(
                    f"Function '{function.display_name}' cannot be resolved due to ambiguous method parameters "
                    f"({_type_list(types)})."
                )
            inputs.append(found)
        assert variant.build is not None  # noqa: S101 - registered with one
        assert variant.mergeable_build is not None  # noqa: S101 - registered with one
        full = _build(variant.mergeable_build, inputs, constants)
        udaf = full if merges else _build(variant.build, inputs, constants)
        return BoundAggregate(udaf, tuple(range(count)), tuple(inputs), full.state_type)

    def table(self, name: str, types: Sequence[SqlType | None]) -> BoundTable:
        """Resolves a table function call. Raises AnalysisError when nothing fits."""
        function = self.require(name)
        variant, bound = choose(function, types)
        parameters = variant.signature.parameters_for(len(types))
        assert parameters is not None  # noqa: S101 - the variant was chosen for that count
        inputs = [_input_type(pattern, actual, bound) for pattern, actual in zip(parameters, types, strict=True)]
        returns = resolve(variant.signature.returns, bound)
        if returns is None and inputs:
            element = getattr(inputs[0], "element", None)
            returns = element if isinstance(element, SqlType) else None
        if returns is None or any(found is None for found in inputs):
            raise AnalysisError(
                f"Function '{function.display_name}' cannot be resolved due to ambiguous method parameters "
                f"({_type_list(types)})."
            )
        assert variant.call is not None  # noqa: S101 - registered with one
        return BoundTable(variant.call, tuple(found for found in inputs if found is not None), returns)


def _build(build: Callable[..., Udaf], inputs: Sequence[SqlType], constants: Sequence[object]) -> Udaf:
    return build(*inputs, constants=constants) if constants else build(*inputs)


def _constant(name: str, position: int, argument: ast.Expression) -> object:
    if isinstance(argument, ast.IntegerLiteral | ast.StringLiteral | ast.BooleanLiteral | ast.DoubleLiteral):
        return argument.value
    if isinstance(argument, ast.NullLiteral):
        return None
    if isinstance(argument, ast.Sign) and isinstance(argument.operand, ast.IntegerLiteral):
        return -argument.operand.value if argument.negative else argument.operand.value
    from ksqlite.expressions.text import text_of  # noqa: PLC0415 - only a refusal needs it

    raise AnalysisError(
        f"Parameter {position + 1} passed to function {name} must be a literal constant, "
        f"but was expression: '{text_of(argument)}'"
    )


REGISTRY = FunctionRegistry()
