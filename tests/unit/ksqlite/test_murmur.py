"""Kafka's partitioner: known values of Kafka's own tests, and many keys at once like one by one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite.engine.murmur import murmur2, murmur2_many


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_known_values(key: bytes, value: int) -> None:
    """The hash is that of Kafka's Java client, made positive."""
    assert value & 0x7FFFFFFF == murmur2(key)


@given(keys=st.lists(st.binary(max_size=20)), size=st.integers(0, 40), more=st.integers(0, 60))
def test_many_at_once(keys: list[Any], size: int, more: int) -> None:
    """Keys of many lengths, few or many of each, hash as they do one by one."""
    keys = keys + [(str(number) * 40).encode()[:size] for number in range(more)]
    assert [murmur2(key) for key in keys] == list(murmur2_many(keys))
