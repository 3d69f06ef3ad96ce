"""Splits a batch into its checks as it comes: a JSON array or lines of JSON, holding one check at most.

Splitting looks only at strings and brackets; whether a check is JSON inside is found when it is decoded.
"""

from __future__ import annotations

import re
from typing import Literal, Protocol

import msgspec


class BrokenBodyError(Exception):
    """The text is no JSON array from here on; the message says what was met."""


class Oversized:
    """Stands for an element that was larger than a check may be; its bytes were let go."""


OVERSIZED = Oversized()
Element = bytes | Oversized


class Splitter(Protocol):
    """Finds elements in the slices of a body."""

    def feed(self, data: bytes) -> list[Element]:
        """The elements that are complete with this slice. `broken` says when there will be no more."""
        ...

    def finish(self) -> list[Element]:
        """What is left when the body has ended."""
        ...

    @property
    def broken(self) -> BrokenBodyError | None:
        """Why no further element can be found."""
        ...

    @property
    def remainder(self) -> bytes:
        """The beginning of what could not be split."""
        ...


def _nested(depth: int) -> bytes:
    """A pattern of one object or array with at most `depth` levels; possessive, so that it never goes back."""
    string = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    plain = rb'[^"{}\[\]]*+'
    inner = rb"(?!)" if depth == 1 else _nested(depth - 1)
    content = plain + rb"(?:(?:" + string + rb"|" + inner + rb")" + plain + rb")*+"
    return rb"(?:\{" + content + rb"\}|\[" + content + rb"\])"


_SPACE = re.compile(rb"[ \t\r\n]*+")
_ELEMENT = re.compile(_nested(4), re.DOTALL)
_SCALAR = re.compile(rb'[^ \t\r\n,\[\]{}":]++(?=[ \t\r\n,\]])')
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_PAIRS = {ord("]"): ord("["), ord("}"): ord("{")}
_DELIMITER = re.compile(rb'[ \t\r\n,\[\]{}":]')
_MOST_REMAINDER_BYTES = 65_536
_MOST_DEPTH = 1000
_WORTH_A_GUESS_BYTES = 2048
_OPENING = re.compile(rb'\{[ \t\r\n]*"[^"\\]*"')
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class ArraySplitter:
    """Elements of one JSON array."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: the size of an element; larger ones come out as OVERSIZED."""
        self._most_bytes = most_bytes
        self._buffer = bytearray()
        self._state: Literal["start", "first", "element", "after", "end"] = "start"
        self._broken: BrokenBodyError | None = None
        # An element that is not complete yet stands at the buffer's beginning and is scanned on with the next slice.
        self._partial = False
        self._scanned = 0
        self._open: list[int] = []
        self._in_string = False
        self._too_large = False

    @property
    def broken(self) -> BrokenBodyError | None:
        """Why no further element can be found."""
        return self._broken

    @property
    def remainder(self) -> bytes:
        """The beginning of what could not be split."""
        return bytes(self._buffer[:_MOST_REMAINDER_BYTES])

    @property
    def began(self) -> bool:
        """Whether the text began as an array."""
        return self._state != "start"

    def feed(self, data: bytes) -> list[Element]:
        """The elements that are complete with this slice."""
        if self._broken is not None:
            return []
        self._buffer += data
        found: list[Element] = []
        try:
            self._split(found)
        except BrokenBodyError as error:
            self._broken = error
        return found

    def _split(self, found: list[Element]) -> None:
        """Find what there is to find, and leave the rest in the buffer. Raises BrokenBodyError."""
        buffer = self._buffer
        position = 0
        try:
            if self._partial:
                end = self._scan(self._scanned)
                if end < 0:
                    position = self._kept_from(0)
                    return
                self._emit(found, 0, end)
                position = end
            while True:
                space = _SPACE.match(buffer, position)
                position = space.end() if space else position
                if position >= len(buffer):
                    return
                if self._state == "element" or (self._state == "first" and buffer[position] != 0x5D):
                    if len(buffer) - position > _WORTH_A_GUESS_BYTES and (end := self._guess(found, position)):
                        position = end
                        continue
                    end = self._element(position)
                    if end < 0:
                        position = self._kept_from(position)
                        return
                    self._emit(found, position, end)
                    position = end
                elif (step := self._punctuation(position)) > 0:
                    position += step
                else:
                    return
        finally:
            del buffer[:position]

    def _punctuation(self, position: int) -> int:
        """Bytes of what stands between elements; 0 when more is needed to tell. Raises BrokenBodyError."""
        buffer = self._buffer
        character = buffer[position]
        match self._state:
            case "start":
                if character == 0x5B:
                    self._state = "first"
                    return 1
                mark = bytes(buffer[position : position + 3])
                if mark == b"\xef\xbb\xbf":
                    return 3
                if len(mark) < 3 and b"\xef\xbb\xbf".startswith(mark):
                    return 0
                raise BrokenBodyError("the body is not a JSON list")
            case "after" if character == 0x2C:
                self._state = "element"
                return 1
            case "first" | "after" if character == 0x5D:
                self._state = "end"
                return 1
            case "after":
                raise BrokenBodyError(f"expected a comma or the end of the list, found {chr(character)!r}")
        raise BrokenBodyError("something follows the end of the list")

    def _emit(self, found: list[Element], start: int, end: int) -> None:
        too_large = self._too_large or end - start > self._most_bytes
        found.append(OVERSIZED if too_large else bytes(self._buffer[start:end]))
        self._too_large = False
        self._state = "after"

    def _kept_from(self, position: int) -> int:
        """From where the buffer must be kept, now that the element at `position` is not complete."""
        self._scanned -= position
        if not self._partial or (not self._too_large and len(self._buffer) - position <= self._most_bytes):
            return position
        self._too_large = True
        done = position + self._scanned
        self._scanned = 0
        return done

    def _guess(self, found: list[Element], position: int) -> int:
        """Split many elements at once, and prove it: where they end, or 0 when the guess was wrong.

        Elements of a batch begin alike. Where the last one seems to begin, everything before it must be a list of JSON:
        if it is, there was no other way to read it, and msgspec has split it ten times as fast as the patterns would.
        """
        rest = bytes(self._buffer[position:]).rstrip(b" \t\r\n")
        if rest.endswith(b"]"):
            state: Literal["end", "element"] = "end"
            end, text = len(self._buffer), b"[" + rest
        else:
            opening = _OPENING.match(rest)
            start = rest.rfind(opening[0], 1) if opening is not None else -1
            before = rest[: max(start, 0)].rstrip(b" \t\r\n")
            if not before.endswith(b","):
                return 0
            state = "element"
            end, text = position + start, b"[" + before[:-1] + b"]"
        try:
            elements = _RAW_LIST.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            return 0
        if not elements:  # a comma with nothing after it
            return 0
        most = self._most_bytes
        found.extend(OVERSIZED if len(element) > most else element for element in map(bytes, elements))
        self._state = state
        return end

    def _element(self, position: int) -> int:
        """Where the element at `position` ends; -1 when that is not there yet. Raises BrokenBodyError."""
        buffer = self._buffer
        character = buffer[position]
        if character in b"{[":
            match = _ELEMENT.match(buffer, position)
            return match.end() if match is not None else self._scan(position)
        if character == 0x22:
            return self._scan(position)
        scalar = _SCALAR.match(buffer, position)
        if scalar is not None:
            return scalar.end()
        if _DELIMITER.search(buffer, position) is not None or len(buffer) - position > 4096:
            raise BrokenBodyError(f"expected a check, found {chr(character)!r}")
        return -1

    def _scan(self, at: int) -> int:
        """The same, bracket by bracket: at any depth, and from where it stopped before."""
        buffer = self._buffer
        while True:
            match = (_INSIDE if self._in_string else _OUTSIDE).search(buffer, at)
            found = buffer[match.start()] if match is not None else 0
            if match is None or (found == 0x5C and match.end() == len(buffer)):
                self._partial = True
                self._scanned = len(buffer) if match is None else match.start()
                return -1
            at = match.end()
            if found == 0x5C:
                at += 1  # whatever is escaped
                continue
            if found == 0x22:
                self._in_string = not self._in_string
            elif found in b"{[":
                self._open.append(found)
                if len(self._open) > _MOST_DEPTH:
                    raise BrokenBodyError("values are nested too deeply")
            elif not self._open or self._open.pop() != _PAIRS[found]:
                raise BrokenBodyError(f"found {chr(found)!r} where nothing is open that it could close")
            if not self._open and not self._in_string:
                self._partial = False
                self._scanned = 0
                return at

    def finish(self) -> list[Element]:
        """Nothing: the list must have ended. `broken` is set when it has not."""
        if self._broken is None and self._state != "end":
            empty = self._state == "start" and not self._buffer
            self._broken = BrokenBodyError("the body is empty" if empty else "the body ends in the middle of the list")
        return []


class LineSplitter:
    """Lines of JSON; empty lines are none."""

    broken: BrokenBodyError | None = None

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._too_large = False
        self._first = True

    @property
    def remainder(self) -> bytes:
        """Nothing: each line stands for itself."""
        return b""

    def feed(self, data: bytes) -> list[Element]:
        """The lines that are complete with this slice."""
        end = data.rfind(b"\n")
        if end < 0:
            self._hold(data)
            return []
        lines = data[:end].split(b"\n")
        if self._rest or self._too_large:
            self._hold(lines[0])
            lines[0] = bytes(self._rest)
        found: list[Element] = []
        if self._too_large:
            found.append(OVERSIZED)
            del lines[0]
        self._rest.clear()
        self._too_large = False
        found.extend(element for line in lines if (element := self._line(line)) is not None)
        self._hold(data[end + 1 :])
        return found

    def _hold(self, data: bytes) -> None:
        if self._too_large:
            return
        self._rest += data
        if len(self._rest) > self._most_bytes + 1:
            self._too_large = True
            self._rest.clear()

    def _line(self, line: bytes) -> Element | None:
        if self._first and line:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.strip(b" \t\r\n")
        if not line:
            return None
        return OVERSIZED if len(line) > self._most_bytes else line

    def finish(self) -> list[Element]:
        """The last line, when it had no newline."""
        if self._too_large:
            return [OVERSIZED]
        element = self._line(bytes(self._rest))
        self._rest.clear()
        return [] if element is None else [element]
