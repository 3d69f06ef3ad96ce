"""Exact numbers from their digits in JSON to Avro's bytes; no float on the way."""

from __future__ import annotations

import datetime as dt
import math
import re
import struct

from intake.contract.avro import Decimals, Floating, Integer
from intake.contract.errors import UnfitError, shown
from intake.contract.rules import NumberRule

_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_HUGE_EXPONENT = 1_000_000
"""No limit of a field is anywhere near; larger exponents are cut to it, so that none is ever computed with."""


def zigzag(value: int) -> bytes:
    """An Avro int or long."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def sized(data: bytes) -> bytes:
    """Avro bytes or the UTF-8 of an Avro string: length, then content."""
    return zigzag(len(data)) + data


def unscaled_bytes(value: int) -> bytes:
    """The shortest two's complement, most significant byte first, as Avro's decimal has it."""
    bits = (value if value >= 0 else ~value).bit_length() + 1
    return value.to_bytes((bits + 7) // 8, "big", signed=True)


def places(count: int) -> str:
    """`count` decimal places, in words."""
    return "no decimal places" if count == 0 else f"at most {count} decimal place{'' if count == 1 else 's'}"


def _digits(token: str) -> tuple[bool, str, int]:
    """Sign, digits without zeros at either end, and the power of ten they are multiplied with. Raises UnfitError."""
    match = _NUMBER.fullmatch(token)
    if match is None:
        raise UnfitError(f"must be a number, not {shown(token)}")
    sign, whole, fraction, exponent_text = match.groups(default="")
    exponent = 0
    if exponent_text:
        short = exponent_text.lstrip("+-").lstrip("0")
        exponent = _HUGE_EXPONENT if len(short) > 6 else int(short or 0)
        if exponent_text.startswith("-"):
            exponent = -exponent
    all_digits = whole + fraction
    digits = all_digits.rstrip("0")
    exponent += len(all_digits) - len(digits) - len(fraction)
    return bool(sign), digits.lstrip("0"), exponent


def to_unscaled(token: str, kind: Decimals, rule: NumberRule | None) -> int:
    """A JSON number as an integer of the field's smallest unit. Raises UnfitError."""
    negative, digits, exponent = _digits(token)
    if not digits:
        value = 0
    else:
        if -exponent > kind.scale:
            raise UnfitError(f"must have {places(kind.scale)}, and {shown(token)} has more")
        if len(digits) + exponent > kind.precision - kind.scale:
            raise UnfitError(
                f"must have at most {kind.precision - kind.scale} digits before the decimal point, "
                f"and {shown(token)} has more"
            )
        value = int(digits) * 10 ** (exponent + kind.scale)
        if negative:
            value = -value
    if rule is not None:
        bound = rule.minimum * 10**kind.scale
        if rule.exclusive and value <= bound:
            raise UnfitError(f"must be more than {rule.minimum}, and is {shown(token)}")
        if value < bound:
            raise UnfitError(f"must be {rule.minimum} or more, and is {shown(token)}")
    return value


def to_integer(token: str, kind: Integer, rule: NumberRule | None) -> int:
    """A JSON number as a whole number in the field's range. Raises UnfitError."""
    limit = 1 << (kind.bits - 1)
    value = to_unscaled(token, Decimals(20, 0), rule)
    if not -limit <= value < limit:
        raise UnfitError(f"must be a whole number from {-limit} to {limit - 1}, and is {shown(token)}")
    return value


def to_floating(token: str, kind: Floating) -> bytes:
    """A JSON number as Avro's float or double. Raises UnfitError where it is beyond their range."""
    _digits(token)
    try:
        value = float(token)
        packed = struct.pack("<d" if kind.bits == 64 else "<f", value)
    except OverflowError as error:
        raise UnfitError(f"is too large a number: {shown(token)}") from error
    if math.isinf(value):
        raise UnfitError(f"is too large a number: {shown(token)}")
    return packed


class DecimalBytes(dict[bytes, bytes]):
    """Avro's bytes of a decimal by its text in JSON: reads each number once, since the same prices come all day."""

    _MOST = 10_000

    def __init__(self, kind: Decimals, rule: NumberRule | None) -> None:
        super().__init__()
        self._kind = kind
        self._rule = rule

    def __missing__(self, raw: bytes) -> bytes:
        """Read a number that is not there yet. Raises UnfitError."""
        encoded = sized(unscaled_bytes(to_unscaled(raw.decode("latin-1"), self._kind, self._rule)))
        if len(raw) <= 24:
            if len(self) >= self._MOST:
                self.clear()
            self[raw] = encoded
        return encoded


def days_since_epoch(text: str) -> int:
    """A date as Avro counts it. Raises UnfitError."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise UnfitError(f'must be a date such as "2024-02-07", and is "{shown(text)}"')
    try:
        return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days
    except ValueError as error:
        raise UnfitError(f'is no date of the calendar: "{shown(text)}"') from error
