"""Batches split into checks, however they are cut into slices."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake.bodies.splitting import OVERSIZED, ArraySplitter, Element, LineSplitter, Splitter

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)
cuts = st.lists(st.integers(1, 400), min_size=1, max_size=10)


def feed(splitter: Splitter, data: bytes, sizes: list[int]) -> list[Element]:
    """Feed in slices of these sizes, again and again."""
    found: list[Element] = []
    start = turn = 0
    while start < len(data):
        size = sizes[turn % len(sizes)]
        found += splitter.feed(data[start : start + size])
        start += size
        turn += 1
    return found + splitter.finish()


def decoded(elements: list[Element]) -> list[Any]:
    return [json.loads(element) for element in elements if isinstance(element, bytes)]


@given(st.lists(values, max_size=6), cuts, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=300, deadline=None)
def test_array_in_any_slices(elements: list[Any], sizes: Any, ascii_only: bool, indent: Any) -> None:
    """A list gives its elements, wherever slices end."""
    text = json.dumps(elements, ensure_ascii=ascii_only, indent=indent).encode()
    splitter = ArraySplitter(1 << 20)
    assert decoded(feed(splitter, text, sizes)) == elements
    assert splitter.broken is None


@given(st.lists(st.dictionaries(st.text(max_size=6), values, max_size=2), min_size=20, max_size=30), st.data())
@settings(max_examples=30, deadline=None)
def test_long_array_cut_short(elements: list[Any], data: st.DataObject) -> None:
    """A list that is cut short gives the elements before the cut, unchanged, and says that it was."""
    text = json.dumps([{"id": number, **one} for number, one in enumerate(elements)]).encode()
    cut = data.draw(st.integers(0, len(text) - 1))
    splitter = ArraySplitter(1 << 20)
    found = decoded(feed(splitter, text[:cut], [4096]))
    assert splitter.broken is not None
    assert found == json.loads(text)[: len(found)]
    assert len(found) >= text[:cut].decode().count('{"id"') - 1


@given(st.lists(values, max_size=6), cuts, st.sampled_from(["\n", "\r\n", "\n\n \t\n"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_lines_in_any_slices(elements: list[Any], sizes: Any, newline: Any, ends: bool) -> None:
    """Lines give their elements, with any newline, empty lines left out, the last with or without its newline."""
    text = newline.join(json.dumps(element) for element in elements) + (newline if ends else "")
    assert decoded(feed(LineSplitter(1 << 20), text.encode(), sizes)) == elements


@pytest.mark.parametrize(
    ("text", "count", "reason"),
    [
        (b"", 0, "is empty"),
        (b" \n ", 0, "is empty"),
        (b"{}", 0, "not a JSON list"),
        (b"[", 0, "in the middle"),
        (b"[{}", 1, "in the middle"),
        (b"[{},", 1, "in the middle"),
        (b"[{},]", 1, "expected a check"),
        (b"[,{}]", 0, "expected a check"),
        (b"[{} {}]", 1, "expected a comma"),
        (b"[{}]]", 1, "follows the end"),
        (b"[{}] x", 1, "follows the end"),
        (b"[{]}]", 0, "nothing is open that it could close"),
        (b'[{"a": "]', 0, "in the middle"),
        (b'["\\', 0, "in the middle"),
        (b"[1 2]", 1, "expected a comma"),
        (b"[:1]", 0, "expected a check"),
        (b"[" + b"[" * 2000, 0, "too deeply"),
        (b"[tru", 0, "in the middle"),
        (b"[" + b"1" * 5000, 0, "expected a check"),
        (b"[" + b'{"a":1},' * 500 + b" " * 3000 + b"]", 500, "expected a check"),
        (b"[" + b'{"a":1},' * 500 + b'{"a":1}]]', 501, "follows the end"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_broken_array(text: Any, count: int, reason: str, size: int) -> None:
    """A list that is none from some point on gives what came before, and the reason."""
    splitter = ArraySplitter(1 << 20)
    assert len(feed(splitter, text, [size])) == count
    assert splitter.broken is not None
    assert reason in str(splitter.broken)


@pytest.mark.parametrize("size", [1, 3, 64, 100_000])
def test_element_over_the_limit(size: int) -> None:
    """An element over the limit is let go while it comes, and its neighbours are taken."""
    elements = [{"a": 1}, {"a": "\\" * 300, "b": [[[[[[1]]]]]]}, {"c": 2}, "x" * 99, "y" * 98, [1]]
    text = json.dumps(elements, separators=(",", ":")).encode()
    splitter = ArraySplitter(100)
    held = 0
    found: list[Element] = []
    for start in range(0, len(text), size):
        found += splitter.feed(text[start : start + size])
        held = max(held, len(splitter._buffer))
    assert splitter.finish() == []
    assert splitter.broken is None
    assert [element is OVERSIZED for element in found] == [False, True, False, True, False, False]
    assert decoded(found) == [{"a": 1}, {"c": 2}, "y" * 98, [1]]
    assert held <= 100 + size


@pytest.mark.parametrize("size", [1, 3, 64, 100_000])
def test_line_over_the_limit(size: int) -> None:
    """The same for lines, the last one included."""
    text = b'{"a":1}\n"' + b"x" * 300 + b'"\n{"c":2}\n"' + b"y" * 300 + b'"'
    found = feed(LineSplitter(100), text, [size])
    assert [element is OVERSIZED for element in found] == [False, True, False, True]


@pytest.mark.parametrize("splitter", [ArraySplitter(1000), LineSplitter(1000)])
def test_byte_order_mark(splitter: Any) -> None:
    """A byte order mark before the first check is let pass, one byte at a time too."""
    text = b'\xef\xbb\xbf[{"a":1}]' if isinstance(splitter, ArraySplitter) else b'\xef\xbb\xbf{"a":1}\n'
    assert decoded(feed(splitter, text, [1])) == [{"a": 1}]


def test_many_tiny_slices_cost_little() -> None:
    """A large element in slices of one byte is scanned once, not again with every byte."""
    text = b'[{"a":"' + b"x" * 60_000 + b'"}]'
    splitter = ArraySplitter(1 << 20)
    found: list[Element] = []
    for start in range(len(text)):
        found += splitter.feed(text[start : start + 1])
    assert len(found) == 1
