"""Signatures of functions, written as text (``ARRAY<T>, T -> BOOLEAN``), and which arguments they take.

A single capital letter stands for any type, the same one wherever it appears; ``...`` marks the argument that may be
repeated (also not at all); ``INTERVAL UNIT`` is a bare unit such as DAYS; ANY is any type, each argument its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ksqlite.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    ArrayType,
    DecimalType,
    MapType,
    SqlType,
    array,
    map_of,
    struct,
)
from ksqlite.values.casts import can_implicitly_cast

_SIMPLE = {
    "BOOLEAN": BOOLEAN,
    "INTEGER": INTEGER,
    "BIGINT": BIGINT,
    "DOUBLE": DOUBLE,
    "STRING": STRING,
    "BYTES": BYTES,
    "DATE": DATE,
    "TIME": TIME,
    "TIMESTAMP": TIMESTAMP,
}


class IntervalUnitType:
    """Stands for a bare time unit among the types of a call's arguments."""

    def __str__(self) -> str:
        return "INTERVALUNIT"


INTERVAL_UNIT = IntervalUnitType()

ArgumentType = SqlType | IntervalUnitType | None
Bindings = dict[str, SqlType]


@dataclass(frozen=True, slots=True)
class Exactly:
    """One type."""

    type: SqlType

    def __str__(self) -> str:
        return str(self.type)


@dataclass(frozen=True, slots=True)
class AnyDecimal:
    """DECIMAL of any precision and scale."""

    def __str__(self) -> str:
        return "DECIMAL"


@dataclass(frozen=True, slots=True)
class Unit:
    """INTERVAL UNIT."""

    def __str__(self) -> str:
        return "INTERVALUNIT"


@dataclass(frozen=True, slots=True)
class Letter:
    """Any type, the same for every use of the letter; ANY is bound to nothing."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """ARRAY<element>."""

    element: Pattern

    def __str__(self) -> str:
        return f"ARRAY<{self.element}>"


@dataclass(frozen=True, slots=True)
class MapOf:
    """MAP<key, value>."""

    key: Pattern
    value: Pattern

    def __str__(self) -> str:
        return f"MAP<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True)
class StructOf:
    """STRUCT<name pattern, …>; as a result only."""

    fields: tuple[tuple[str, Pattern], ...]

    def __str__(self) -> str:
        return f"STRUCT<{', '.join(f'{name} {pattern}' for name, pattern in self.fields)}>"


@dataclass(frozen=True, slots=True)
class LambdaShape:
    """LAMBDA (T) => R; calls with lambdas are resolved by ``lambdas`` and the shape only describes them."""

    text: str

    def __str__(self) -> str:
        return self.text


Pattern = Exactly | AnyDecimal | Unit | Letter | ArrayOf | MapOf | StructOf | LambdaShape


def accepts(pattern: Pattern, actual: ArgumentType, bound: Bindings, *, casts: bool) -> bool:
    """Whether an argument of that type (None for the NULL literal) fits; binds letters in ``bound``."""
    if isinstance(pattern, LambdaShape):
        return False
    if isinstance(pattern, Unit) or isinstance(actual, IntervalUnitType):
        return isinstance(pattern, Unit) and isinstance(actual, IntervalUnitType)
    if actual is None:
        return True
    if isinstance(pattern, Exactly):
        return actual == pattern.type or (casts and can_implicitly_cast(actual, pattern.type))
    if isinstance(pattern, AnyDecimal):
        return isinstance(actual, DecimalType) or (casts and actual in {INTEGER, BIGINT})
    if isinstance(pattern, Letter):
        return pattern.name == "ANY" or bound.setdefault(pattern.name, actual) == actual
    if isinstance(pattern, ArrayOf):
        return isinstance(actual, ArrayType) and accepts(pattern.element, actual.element, bound, casts=False)
    if isinstance(pattern, MapOf):
        return (
            isinstance(actual, MapType)
            and accepts(pattern.key, actual.key, bound, casts=False)
            and accepts(pattern.value, actual.value, bound, casts=False)
        )
    return False


def resolve(pattern: Pattern, bound: Mapping[str, SqlType]) -> SqlType | None:
    """The type with the letters replaced; None where a letter is not bound or the type depends on more."""
    if isinstance(pattern, Exactly):
        return pattern.type
    if isinstance(pattern, Letter):
        return bound.get(pattern.name)
    if isinstance(pattern, ArrayOf):
        element = resolve(pattern.element, bound)
        return None if element is None else array(element)
    if isinstance(pattern, MapOf):
        key, value = resolve(pattern.key, bound), resolve(pattern.value, bound)
        return None if key is None or value is None else map_of(key, value)
    if isinstance(pattern, StructOf):
        fields = [(name, resolve(field, bound)) for name, field in pattern.fields]
        found = [(name, field) for name, field in fields if field is not None]
        return struct(*found) if len(found) == len(fields) else None
    return None


def letters(pattern: Pattern) -> frozenset[str]:
    """The letters in it."""
    if isinstance(pattern, Letter):
        return frozenset((pattern.name,))
    if isinstance(pattern, ArrayOf):
        return letters(pattern.element)
    if isinstance(pattern, MapOf):
        return letters(pattern.key) | letters(pattern.value)
    return frozenset()


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters and result; ``variadic`` is the position of the repeatable parameter."""

    parameters: tuple[Pattern, ...]
    variadic: int | None
    returns: Pattern

    def match(self, actual: Sequence[ArgumentType], *, casts: bool) -> Bindings | None:
        """The letters' types when the arguments fit, otherwise None."""
        parameters = self.parameters_for(len(actual))
        if parameters is None:
            return None
        bound: Bindings = {}
        for parameter, argument in zip(parameters, actual, strict=True):
            if not accepts(parameter, argument, bound, casts=casts):
                return None
        return bound

    def parameters_for(self, count: int) -> tuple[Pattern, ...] | None:
        """The parameters of a call with that many arguments, the repeatable one repeated."""
        if self.variadic is None:
            return self.parameters if count == len(self.parameters) else None
        repeats = count - len(self.parameters) + 1
        if repeats < 0:
            return None
        before, after = self.parameters[: self.variadic], self.parameters[self.variadic + 1 :]
        return (*before, *(self.parameters[self.variadic],) * repeats, *after)

    @property
    def rank(self) -> tuple[bool, int]:
        """Of several signatures that fit, the one of the lowest rank is taken."""
        free = frozenset[str]().union(*(letters(parameter) for parameter in self.parameters))
        return self.variadic is not None, len(free)

    def __str__(self) -> str:
        parts = [
            f"{parameter}..." if position == self.variadic else str(parameter)
            for position, parameter in enumerate(self.parameters)
        ]
        return f"({', '.join(parts)}) -> {self.returns}"


def split(text: str) -> list[str]:
    """Splits at the commas that are in no brackets."""
    parts: list[str] = []
    depth = 0
    current = ""
    for character in text.replace("=>", "\0"):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    if current.strip():
        parts.append(current.strip())
    return [part.replace("\0", "=>") for part in parts]


def parse_pattern(text: str) -> Pattern:
    """A pattern from its text."""
    if text in _SIMPLE:
        return Exactly(_SIMPLE[text])
    if text == "DECIMAL":
        return AnyDecimal()
    if text == "INTERVAL UNIT":
        return Unit()
    if text.startswith("LAMBDA"):
        return LambdaShape(text)
    if match := re.fullmatch(r"ARRAY<(.*)>", text):
        return ArrayOf(parse_pattern(match[1]))
    if match := re.fullmatch(r"MAP<(.*)>", text):
        key, value = split(match[1])
        return MapOf(parse_pattern(key), parse_pattern(value))
    if match := re.fullmatch(r"STRUCT<(.*)>", text):
        fields = (part.split(" ", 1) for part in split(match[1]))
        return StructOf(tuple((name, parse_pattern(kind)) for name, kind in fields))
    if re.fullmatch(r"[A-Z]|ANY", text):
        return Letter(text)
    raise ValueError(f"no type: {text}")


@cache
def parse(text: str) -> Signature:
    """A signature from its text: ``parameters -> result``."""
    arguments, _, returns = text.rpartition("->")
    variadic = None
    parameters = []
    for position, part in enumerate(split(arguments)):
        if part.endswith("..."):
            variadic = position
        parameters.append(parse_pattern(part.removesuffix("...")))
    return Signature(tuple(parameters), variadic, parse_pattern(returns.strip()))
