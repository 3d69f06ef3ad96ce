"""The token that forms carry: another one on each page, good for one browser only."""

from types import SimpleNamespace
from typing import Any

from analytics_api.pages import sessions


def browser(cookie: str) -> Any:
    """A connection with a session cookie."""
    return SimpleNamespace(cookies={sessions.SESSION: cookie}, scope={"state": {}})


def test_each_page_has_a_token_of_its_own_and_all_of_them_are_good() -> None:
    """The size of a compressed page tells nothing about the next page's token."""
    first, second = (sessions.csrf_token(browser("one")) for _ in range(2))
    assert first != second
    for token in (first, second):
        assert sessions.csrf_token(browser("one"), token.partition(".")[0]) == token


def test_the_token_of_another_browser_is_not_good() -> None:
    """What one session was given says nothing in another."""
    token = sessions.csrf_token(browser("one"))
    assert sessions.csrf_token(browser("two"), token.partition(".")[0]) != token
