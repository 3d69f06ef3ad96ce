"""Functions over text. Positions count from 1."""

from __future__ import annotations

import re
from hashlib import md5
from uuid import UUID, uuid4

from ksqlite.errors import EvaluationError
from ksqlite.functions.bytes import decode, encode
from ksqlite.functions.registry import scalar
from ksqlite.values import Value

_NAME = re.compile(r"\S+")
_ESCAPE = re.compile(r"(?:\\+u+[0-9a-fA-F]{4})+")


@scalar("UCASE", "STRING -> STRING", inline="{0}.upper()", never_null=True, fallible=False)
def ucase(text: str) -> str:
    """Upper case."""
    return text.upper()


@scalar("LCASE", "STRING -> STRING", inline="{0}.lower()", never_null=True, fallible=False)
def lcase(text: str) -> str:
    """Lower case."""
    return text.lower()


_CONTROL = "".join(map(chr, range(33)))  # what Java's trim takes away: space and control characters


@scalar("TRIM", "STRING -> STRING", never_null=True, fallible=False)
def trim(text: str) -> str:
    """Without white space at either end."""
    return text.strip(_CONTROL)


@scalar("LEN", "STRING -> INTEGER", never_null=True, fallible=False)
def length(text: str) -> int:
    """The number of characters (UTF-16 units, as Java counts) or bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


@scalar("LEN", "BYTES -> INTEGER", inline="len({0})", never_null=True, fallible=False)
def length_of_bytes(value: bytes) -> int:
    """The number of bytes."""
    return len(value)


def _bounds(size: int, position: int, count: int | None) -> slice:
    start = max(size + position, 0) if position < 0 else max(min(position - 1, size), 0)
    if count is None:
        return slice(start, size)
    return slice(start, max(min(start + count, size), start))


@scalar("SUBSTRING", "STRING, INTEGER -> STRING", "BYTES, INTEGER -> BYTES", never_null=True, fallible=False)
def substring(value: Value, position: int) -> Value:
    """The part from a position on, with a length; a negative position counts from the end."""
    return value[_bounds(len(value), position, None)]


@scalar(
    "SUBSTRING", "STRING, INTEGER, INTEGER -> STRING", "BYTES, INTEGER, INTEGER -> BYTES", never_null=True,
    fallible=False,
)  # fmt: skip
def substring_of_length(value: Value, position: int, count: int) -> Value:
    """The part of that length from a position on."""
    return value[_bounds(len(value), position, count)]


@scalar("CONCAT", "STRING... -> STRING", "BYTES... -> BYTES", skip_nulls=False, make=True, fallible=False)
def concat(types: Value, returns: Value) -> Value:  # noqa: ARG001 - a maker
    """All values that are not NULL, one after the other."""
    empty = "" if returns.base.value == "STRING" else b""
    return lambda *values: empty.join([value for value in values if value is not None])


@scalar("CONCAT_WS", "STRING... -> STRING", "BYTES... -> BYTES", skip_nulls=False, fallible=False)
def concat_ws(separator: Value = None, *values: Value) -> Value:
    """All values that are not NULL, with the first one between them."""
    return None if separator is None else separator.join([value for value in values if value is not None])


def _padding(value: Value, size: int, padding: Value) -> Value:
    missing = size - len(value)
    return (padding * (missing // len(padding) + 1))[: max(missing, 0)]


@scalar("LPAD", "STRING, INTEGER, STRING -> STRING", "BYTES, INTEGER, BYTES -> BYTES", fallible=False)
def lpad(value: Value, size: int, padding: Value) -> Value:
    """Padded on the left, or cut, to a length."""
    return None if size < 0 or not padding else (_padding(value, size, padding) + value)[:size]


@scalar("RPAD", "STRING, INTEGER, STRING -> STRING", "BYTES, INTEGER, BYTES -> BYTES", fallible=False)
def rpad(value: Value, size: int, padding: Value) -> Value:
    """Padded on the right, or cut, to a length."""
    return None if size < 0 or not padding else (value + _padding(value, size, padding))[:size]


@scalar("REPLACE", "STRING, STRING, STRING -> STRING", inline="{0}.replace({1}, {2})", never_null=True, fallible=False)
def replace(text: str, old: str, new: str) -> str:
    """Every occurrence of a text replaced by another."""
    return text.replace(old, new)


@scalar("INITCAP", "STRING -> STRING", never_null=True, fallible=False)
def initcap(text: str) -> str:
    """Every word with a capital letter and small ones behind it."""
    return _NAME.sub(lambda word: word[0][0].upper() + word[0][1:].lower(), text)


@scalar("INSTR", "STRING, STRING -> INTEGER", skip_nulls=False, never_null=True, fallible=False)
def instr(text: str | None, part: str | None) -> int:
    """The position of a text in another, 0 when it is not there; searched from a position, the n-th occurrence."""
    return 0 if text is None or part is None else text.find(part) + 1


@scalar("INSTR", "STRING, STRING, INTEGER -> INTEGER", fallible=False)
def instr_from(text: str, part: str, position: int) -> int:
    """The position of a text in another, searched from a position (from the end when negative)."""
    return instr_occurrence(text, part, position, 1)


@scalar("INSTR", "STRING, STRING, INTEGER, INTEGER -> INTEGER", fallible=False)
def instr_occurrence(text: str, part: str, position: int, occurrence: int) -> int:
    """The position of the n-th occurrence."""
    if position == 0 or abs(position) > len(text) or occurrence < 1:
        return 0
    found = position - 2 if position > 0 else len(text) + position + 1
    for _ in range(occurrence):
        if position > 0:
            found = text.find(part, found + 1)
        else:
            found = text.rfind(part, 0, found - 1 + len(part)) if found > 0 else -1
        if found < 0:
            return 0
    return found + 1


@scalar("CHR", "INTEGER -> STRING", fallible=False)
def chr_of_number(code: int) -> str | None:
    """The character of a code point, given as a number or as a backslash, u and four digits."""
    return chr(code) if 0 <= code <= 0x10FFFF else None


@scalar("CHR", "STRING -> STRING", fallible=False)
def chr_of_text(code: str) -> str | None:
    """The character of a code point written as a backslash, u and four hexadecimal digits."""
    if _ESCAPE.fullmatch(code) is None:
        return None
    units = [int(unit, 16) for unit in re.findall(r"u([0-9a-fA-F]{4})", code)]
    return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be", "replace")


@scalar("ELT", "INTEGER, STRING... -> STRING", skip_nulls=False, fallible=False)
def elt(number: int | None, *values: str | None) -> str | None:
    """The n-th of the texts."""
    return values[number - 1] if number is not None and 1 <= number <= len(values) else None


@scalar("FIELD", "STRING, STRING... -> INTEGER", skip_nulls=False, never_null=True, fallible=False)
def field(text: str | None, *values: str | None) -> int:
    """The position of a text among others, 0 when it is not there."""
    return values.index(text) + 1 if text is not None and text in values else 0


@scalar("ENCODE", "STRING, STRING, STRING -> STRING", never_null=True)
def encode_text(text: str, source: str, target: str) -> str:
    """Text from one of hex, utf8, ascii and base64 to another."""
    if source.lower() == "hex":
        body = text
        if body[:2].lower() == "0x":
            body = body[2:]
        elif body[:2].lower() == "x'" and body.endswith("'"):
            body = body[2:-1]
        try:
            value = bytes.fromhex(body if len(body) % 2 == 0 else f"0{body}")
        except ValueError as error:
            raise EvaluationError(f"Odd or bad hexadecimal digits: {text}") from error
    else:
        value = encode(text, source)
    return value.hex() if target.lower() == "hex" else decode(value, target)


@scalar("UUID", "-> STRING", never_null=True, fallible=False)
def uuid() -> str:
    """A random UUID, or the one of 16 bytes."""
    return str(uuid4())


@scalar("UUID", "BYTES -> STRING", fallible=False)
def uuid_of(value: bytes) -> str | None:
    """The UUID of 16 bytes."""
    return str(UUID(bytes=value)) if len(value) == 16 else None


@scalar("MD5", "STRING -> STRING", never_null=True, fallible=False)
def md5_of(text: str) -> str:
    """The MD5 digest of the text's UTF-8 bytes, in hexadecimal digits."""
    return md5(text.encode(), usedforsecurity=False).hexdigest()


@scalar("SPLIT", "STRING, STRING -> ARRAY<STRING>", never_null=True, fallible=False)
def split(text: str, delimiter: str) -> list[str]:
    """The parts between delimiters; single characters when the delimiter is empty."""
    return text.split(delimiter) if delimiter else list(text)


@scalar("SPLIT", "BYTES, BYTES -> ARRAY<BYTES>", never_null=True, fallible=False)
def split_bytes(value: bytes, delimiter: bytes) -> list[bytes]:
    """The parts between delimiters."""
    return value.split(delimiter) if delimiter else [value[at : at + 1] for at in range(len(value))]


@scalar("SPLIT_TO_MAP", "STRING, STRING, STRING -> MAP<STRING, STRING>", fallible=False)
def split_to_map(text: str, entry_delimiter: str, value_delimiter: str) -> dict[str, str] | None:
    """A map from entries with a delimiter between them, and another between key and value."""
    if not entry_delimiter or not value_delimiter:
        return None
    entries = (part.split(value_delimiter) for part in text.split(entry_delimiter) if part)
    return {entry[0]: entry[1] for entry in entries if len(entry) > 1}


def _mask(text: str, marks: tuple[str | None, str | None, str | None, str | None]) -> str:
    upper, lower, digit, other = marks
    masked = []
    for character in text:
        if character.isupper():
            mark = upper
        elif character.islower():
            mark = lower
        elif character.isdigit():
            mark = digit
        else:
            mark = other
        masked.append(character if mark is None else mark)
    return "".join(masked)


_MARKS: tuple[str | None, str | None, str | None, str | None] = ("X", "x", "n", "-")
_FOUR = ", STRING, STRING, STRING, STRING"


def _marks(written: tuple[str | None, ...]) -> tuple[str | None, str | None, str | None, str | None]:
    if not written:
        return _MARKS
    upper, lower, digit, other = (mark[0] if mark else None for mark in written)
    return upper, lower, digit, other


@scalar("MASK", "STRING -> STRING", f"STRING{_FOUR} -> STRING", skip_nulls=False)
def mask(text: str | None, *marks: str | None) -> str | None:
    """Letters and digits hidden: X for upper case, x for lower case, n for digits, - for others, or as given."""
    return None if text is None else _mask(text, _marks(marks))


def _count(count: int | None) -> int:
    if count is None or count < 0:
        raise EvaluationError(f"function requires a non-negative number of characters, but got: {count}")
    return count


@scalar("MASK_LEFT", "STRING, INTEGER -> STRING", f"STRING, INTEGER{_FOUR} -> STRING", skip_nulls=False)
def mask_left(text: str | None, count: int | None, *marks: str | None) -> str | None:
    """The first n characters hidden."""
    size = _count(count)
    return None if text is None else _mask(text[:size], _marks(marks)) + text[size:]


@scalar("MASK_RIGHT", "STRING, INTEGER -> STRING", f"STRING, INTEGER{_FOUR} -> STRING", skip_nulls=False)
def mask_right(text: str | None, count: int | None, *marks: str | None) -> str | None:
    """The last n characters hidden."""
    size = _count(count)
    if text is None:
        return None
    kept = max(len(text) - size, 0)
    return text[:kept] + _mask(text[kept:], _marks(marks))


@scalar("MASK_KEEP_LEFT", "STRING, INTEGER -> STRING", f"STRING, INTEGER{_FOUR} -> STRING", skip_nulls=False)
def mask_keep_left(text: str | None, count: int | None, *marks: str | None) -> str | None:
    """All but the first n characters hidden."""
    size = _count(count)
    return None if text is None else text[:size] + _mask(text[size:], _marks(marks))


@scalar("MASK_KEEP_RIGHT", "STRING, INTEGER -> STRING", f"STRING, INTEGER{_FOUR} -> STRING", skip_nulls=False)
def mask_keep_right(text: str | None, count: int | None, *marks: str | None) -> str | None:
    """All but the last n characters hidden."""
    size = _count(count)
    if text is None:
        return None
    hidden = max(len(text) - size, 0)
    return _mask(text[:hidden], _marks(marks)) + text[hidden:]
