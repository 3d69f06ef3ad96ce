"""Packed bodies: whole, cut short, broken, and bombs."""

import gzip
import zlib
from collections.abc import Callable

import pytest
import zstandard

from intake.bodies.unpacking import Gzip, Plain, Unpacker, UnpackError, Zstd

TEXT = b'{"a": "\xd0\x96"}\n' * 20_000


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKERS = [(gzip.compress, Gzip), (zstd, Zstd), (lambda data: data, Plain)]


def unpack(unpacker: Unpacker, data: bytes, size: int) -> bytes:
    found = [part for at in range(0, len(data), size) for part in unpacker.feed(data[at : at + size])]
    unpacker.finish()
    assert all(len(part) <= 65_536 for part in found)
    return b"".join(found)


@pytest.mark.parametrize(("pack", "unpacker"), PACKERS)
@pytest.mark.parametrize("size", [1, 1000, 1_000_000])
def test_unpacks_what_was_packed(pack: Callable[[bytes], bytes], unpacker: type[Unpacker], size: int) -> None:
    """A packed body comes out as it went in, in slices that hold nobody up."""
    assert unpack(unpacker(), pack(TEXT), size) == TEXT


@pytest.mark.parametrize(("pack", "unpacker"), PACKERS[:2])
def test_several_one_after_the_other(pack: Callable[[bytes], bytes], unpacker: type[Unpacker]) -> None:
    """Packed files that were put together are unpacked together."""
    assert unpack(unpacker(), pack(TEXT) + pack(b"end"), 999) == TEXT + b"end"


@pytest.mark.parametrize(("pack", "unpacker"), PACKERS[:2])
@pytest.mark.parametrize("keep", [0, 1, 10, -1])
def test_cut_short(pack: Callable[[bytes], bytes], unpacker: type[Unpacker], keep: int) -> None:
    """A packed body that ends too early is an error, wherever it was cut."""
    with pytest.raises(UnpackError, match="cut short"):
        unpack(unpacker(), pack(TEXT)[:keep], 1000)


@pytest.mark.parametrize("unpacker", [Gzip, Zstd])
def test_not_packed_at_all(unpacker: type[Unpacker]) -> None:
    """What is not packed as it says is an error."""
    with pytest.raises(UnpackError, match="broken"):
        unpack(unpacker(), b'{"transaction_id": "a"}', 1000)


@pytest.mark.parametrize("unpacker", [Gzip, Zstd])
def test_bomb_comes_out_in_slices(unpacker: type[Unpacker]) -> None:
    """A bomb never makes more than a slice at a time, so whoever reads can stop."""
    bomb = gzip.compress(bytes(200_000_000), 9) if unpacker is Gzip else zstd(bytes(200_000_000))
    read = 0
    for part in unpacker().feed(bomb):
        assert len(part) <= 65_536
        read += len(part)
        if read > 1_000_000:
            break
    assert read > 1_000_000


def test_huge_window_is_refused() -> None:
    """A zstd frame that asks for a window of gigabytes gets none."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(bytes(1000)) + compressor.flush()
    with pytest.raises(UnpackError, match="broken"):
        unpack(Zstd(), packed, 1000)


def test_raw_deflate_is_no_gzip() -> None:
    """Zlib's own format is not gzip."""
    with pytest.raises(UnpackError):
        unpack(Gzip(), zlib.compress(TEXT), 1000)
