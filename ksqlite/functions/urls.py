"""Functions over URLs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote, unquote_plus, urlsplit

from ksqlite.errors import EvaluationError
from ksqlite.functions.registry import scalar

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_BAD = frozenset(' "<>\\^`{|}')


@scalar("URL_ENCODE_PARAM", "STRING -> STRING", never_null=True, fallible=False)
def url_encode_param(text: str) -> str:
    """Text as a parameter of a URL."""
    return quote_plus(text, safe="*").replace("~", "%7E")


@scalar("URL_DECODE_PARAM", "STRING -> STRING", never_null=True, fallible=False)
def url_decode_param(text: str) -> str:
    """A parameter of a URL as text."""
    return unquote_plus(text)


def _split(url: str) -> SplitResult:
    if _BAD & set(url):
        raise EvaluationError(f"URL is not valid: {url}")
    return urlsplit(url)


def _port(parts: SplitResult) -> int | None:
    return parts.port


_PARTS: dict[str, tuple[Callable[[SplitResult], str | None], str]] = {
    "URL_EXTRACT_FRAGMENT": (lambda parts: unquote(parts.fragment) or None, "What stands behind #."),
    "URL_EXTRACT_HOST": (lambda parts: parts.hostname, "The host."),
    "URL_EXTRACT_PATH": (lambda parts: unquote(parts.path), "The path."),
    "URL_EXTRACT_PROTOCOL": (lambda parts: parts.scheme or None, "The protocol."),
    "URL_EXTRACT_QUERY": (lambda parts: unquote(parts.query) or None, "What stands behind the question mark."),
}


def _extractor(part: Callable[[SplitResult], str | None]) -> Callable[[str], str | None]:
    return lambda url: part(_split(url))


for _name, (_part, _text) in _PARTS.items():
    scalar(_name, "STRING -> STRING", description=_text)(_extractor(_part))


@scalar("URL_EXTRACT_PORT", "STRING -> INTEGER")
def url_extract_port(url: str) -> int | None:
    """The port, NULL when none is written."""
    return _port(_split(url))


@scalar("URL_EXTRACT_PARAMETER", "STRING, STRING -> STRING")
def url_extract_parameter(url: str, name: str) -> str | None:
    """The value of the first parameter of that name."""
    for pair in unquote(_split(url).query).split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return value
    return None
