"""Unpacks gzip and zstd as it comes, never more at once than a slice, never more in all than a limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol

import zstandard

_SLICE_BYTES = 65_536
_ZSTD_INPUT_BYTES = 1024
"""zstd can make 128 KiB of four bytes, and its binding returns all that an input gives: so inputs are kept small."""
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024


class UnpackError(Exception):
    """The packed body is broken or cut short; the message says how."""


class BodyTooLargeError(Exception):
    """The body, or what it unpacks to, is over its limit."""

    def __init__(self, limit_bytes: int, *, unpacked: bool = False) -> None:
        what = "unpacks to more than" if unpacked else "is larger than"
        super().__init__(f"The body {what} the {limit_bytes} bytes that are taken.")
        self.limit_bytes = limit_bytes


class Unpacker(Protocol):
    """Turns packed chunks into unpacked slices."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` adds, in slices. Raises UnpackError."""
        ...

    def finish(self) -> None:
        """Raises UnpackError when the packed stream was not complete."""
        ...


class Plain:
    """No packing."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """`data` in slices, so that no reader holds the event loop for long."""
        if len(data) <= _SLICE_BYTES:
            yield data
            return
        for start in range(0, len(data), _SLICE_BYTES):
            yield data[start : start + _SLICE_BYTES]

    def finish(self) -> None:
        """Nothing can be missing."""


class Gzip:
    """gzip, several members one after the other included."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._any = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` adds, in slices. Raises UnpackError."""
        self._any = self._any or bool(data)
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # padding between members, as gzip(1) takes it
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
            try:
                out = self._member.decompress(data, _SLICE_BYTES)
            except zlib.error as error:
                raise UnpackError(f"The gzip body is broken: {error}.") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if out:
                yield out

    def finish(self) -> None:
        """Raises UnpackError when the last member is not complete."""
        if not self._any or not self._member.eof:
            raise UnpackError("The gzip body is cut short.")


class Zstd:
    """zstd, several frames one after the other included; frames that ask for a huge window are refused."""

    def __init__(self) -> None:
        self._frame = self._begin()
        self._began = False
        self._any = False

    @staticmethod
    def _begin() -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` adds, in slices. Raises UnpackError."""
        self._any = self._any or bool(data)
        for start in range(0, len(data), _ZSTD_INPUT_BYTES):
            rest = data[start : start + _ZSTD_INPUT_BYTES]
            while rest:
                if self._frame.eof:
                    self._frame = self._begin()
                    self._began = False
                try:
                    out = self._frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise UnpackError(f"The zstd body is broken: {error}.") from error
                self._began = True
                rest = self._frame.unused_data if self._frame.eof else b""
                for at in range(0, len(out), _SLICE_BYTES):
                    yield out[at : at + _SLICE_BYTES]

    def finish(self) -> None:
        """Raises UnpackError when the last frame is not complete."""
        if not self._any or not self._frame.eof:
            raise UnpackError("The zstd body is cut short.")


ENCODINGS: Mapping[bytes, type[Plain | Gzip | Zstd]] = {
    b"": Plain,
    b"identity": Plain,
    b"gzip": Gzip,
    b"x-gzip": Gzip,
    b"zstd": Zstd,
}
"""By the value of Content-Encoding, in lower case."""
