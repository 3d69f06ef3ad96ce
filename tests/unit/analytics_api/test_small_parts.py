"""Cursors, encoding, passwords, keys, tokens, settings, the journal: each by itself, without a server."""

import asyncio
import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from analytics_api import cursors
from analytics_api.access import keys as key_files
from analytics_api.access import tokens
from analytics_api.access.keys import Keys
from analytics_api.access.passwords import Passwords, broken_rule
from analytics_api.access.tokens import Claims, TokenError
from analytics_api.checks.forwarding import _is_batch
from analytics_api.encoding import encode
from analytics_api.figures.services import average, figures_of, money
from analytics_api.problems import Problem
from analytics_api.settings import Settings, SettingsError
from analytics_api.snapshots import journal

NOW = dt.datetime.now(dt.UTC)


def test_cursors_come_back_and_keep_to_their_query() -> None:
    """A cursor gives its position back, to its own query only; anything else is 422."""
    cursor = cursors.pack(("hours", None), (NOW, "a/b", 3))
    assert cursors.unpack(("hours", None), cursor, tuple[dt.datetime, str, int]) == (NOW, "a/b", 3)
    assert cursors.unpack(("hours", None), None, tuple[int]) is None
    for query, text in (
        (("places",), cursor),
        (("hours", None), "x"),
        (("hours", None), cursor[:-3]),
        (("hours", None), "é"),
    ):
        with pytest.raises(Problem) as caught:
            cursors.unpack(query, text, tuple[dt.datetime, str, int])
        assert caught.value.status == 422


def test_money_is_written_with_its_digits() -> None:
    """Decimals are numbers in JSON, digit by digit."""
    text = encode({"a": Decimal("27.40"), "b": Decimal("12345678901234567890123.45"), "c": Decimal("0.00")})
    assert text == b'{"a":27.40,"b":12345678901234567890123.45,"c":0.00}'


def test_rounding_is_half_up() -> None:
    """Half a cent goes up, after summing; averages come from the unrounded sum."""
    assert money(Decimal("0.005")) == Decimal("0.01")
    assert money(Decimal("2.67500")) == Decimal("2.68")
    assert average(Decimal("0.01"), 2) == Decimal("0.01")
    assert average(Decimal("10.00"), 3) == Decimal("3.33")
    assert average(Decimal(1), 0) is None


def test_unallocated_adds_up() -> None:
    """total_spent is always the categories' total_spent and unallocated together."""
    figures = figures_of(
        "1",
        "x",
        (2, Decimal("10.00"), None, None),
        [("b", 1, Decimal(1), Decimal("3.33335")), ("a", 1, Decimal(2), Decimal("7.005"))],
    )
    assert list(figures.category_analytics) == ["a", "b"]
    spent = sum(c.total_spent for c in figures.category_analytics.values())
    assert spent + figures.unallocated == figures.total_spent
    assert figures.unallocated == Decimal("-0.34")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "at least"),
        ("x" * 129, "at most"),
        ("Ann-Smith", "user name"),
        ("htims-nna", "user name"),
        ("PASSWORD123", "commonest"),
        ("йцукен123", "commonest"),
        ("zzzzzzzzzz", "commonest"),
    ],
)
def test_password_rules(password: str, said: str) -> None:
    """A refusal names the rule."""
    assert said in (broken_rule(password, "ann-smith") or "")


def test_good_passwords() -> None:
    """Eight characters of any kind will do."""
    assert broken_rule("пароль-Ж7", "ann") is None
    assert broken_rule("correct horse battery staple", "ann") is None


def test_hashes_verify() -> None:
    """The right password verifies however it was composed; a wrong one and an unknown user do not."""

    async def work() -> None:
        passwords = Passwords(2)
        stored = await passwords.hash("cafe\u0301-latte")
        assert stored.startswith("$argon2id$")
        assert await passwords.verify("caf\u00e9-latte", stored)
        assert not await passwords.verify("cafe-latte", stored)
        assert not await passwords.verify("nobody has this password", None)
        assert not await passwords.verify("x", "not a hash")

    asyncio.run(work())


def test_two_keys_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest key signs, the one before it verifies, the third from the end is gone; files are private."""
    keys = Keys(tmp_path)
    claims = Claims(user_id=7, session_id=uuid4())
    first = tokens.sign(keys, claims, life_s=3600, now=NOW)
    for second in (1, 2):
        monkeypatch.setattr("analytics_api.access.keys.time.time", lambda second=second: 2e9 + second)
        key_files.add(tmp_path)
    keys._read()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(TokenError):
        tokens.verify(keys, first)
    assert tokens.verify(keys, tokens.sign(keys, claims, life_s=3600, now=NOW)) == claims


def test_two_first_starts_make_one_key(tmp_path: Path) -> None:
    """Workers that start together share the key of whoever was first."""
    assert Keys(tmp_path).signing() == Keys(tmp_path).signing()
    key_files.add(tmp_path, first=True)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("token", ["", "a.b.c", "Ж", "\ud800", "x" * 5000])
def test_no_tokens(tmp_path: Path, token: str) -> None:
    """Whatever is no token is refused as such."""
    with pytest.raises(TokenError):
        tokens.verify(Keys(tmp_path), token)


def test_tokens_that_are_wrong(tmp_path: Path) -> None:
    """Expired, of another issuer, of no session: refused."""
    keys = Keys(tmp_path)
    key_id, key = keys.signing()
    good = {"iss": tokens.ISSUER, "sub": "1", "sid": str(uuid4()), "exp": NOW + dt.timedelta(minutes=1)}
    for change in ({"exp": NOW - dt.timedelta(1)}, {"iss": "else"}, {"sid": "x"}, {"sub": "one"}):
        with pytest.raises(TokenError):
            tokens.verify(keys, jwt.encode({**good, **change}, key, algorithm="HS256", headers={"kid": key_id}))


def test_settings() -> None:
    """Values are read by their type; what cannot be read names the variable; the owner's address has a default."""
    settings = Settings.from_environment(
        {
            "CHECKS_STATE": "/x",
            "CHECKS_TRUSTED_PROXIES": "10.0.0.1, ::1",
            "CHECKS_SCHEDULER": "no",
            "CHECKS_DATABASE_URL": "u",
        }
    )
    assert settings.keys_dir == Path("/x/secrets")
    assert settings.journal_dir == Path("/x/analytics_api/.journal")
    assert settings.trusted_proxies == ("10.0.0.1", "::1")
    assert (settings.scheduler, settings.database_owner_url) == (False, "u")
    for name, value in (("ANALYTICS_PORT", "x"), ("SCHEDULER", "maybe"), ("TIMEZONE", "Mars/Olympus")):
        with pytest.raises(SettingsError, match=f"CHECKS_{name}"):
            Settings.from_environment({f"CHECKS_{name}": value})


def test_journal_is_appended_and_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry is a line; a large journal is put aside; a folder that cannot be written stops nothing."""
    monkeypatch.setattr(journal, "LARGEST_BYTES", 60)
    for number in range(7):
        journal.write(tmp_path, {"event": "snapshot_run", "run_id": number})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[0] == "journal" or names == [f"journal.{number}" for number in range(1, len(names) + 1)]
    entries = [
        json.loads(line) for path in sorted(tmp_path.iterdir(), reverse=True) for line in path.read_text().splitlines()
    ]
    assert sorted(entry["run_id"] for entry in entries) == list(range(7))
    blocked = tmp_path / "file"
    blocked.write_text("")
    journal.write(blocked, {"event": "x"})


@pytest.mark.parametrize(
    ("first", "headers", "is_batch"),
    [
        (b' \n{"a": 1}', {}, False),
        (b" \r\n[{}]", {}, True),
        (b"\xef\xbb\xbf[", {}, True),
        (b"{}", {"content-type": "application/x-ndjson; charset=utf-8"}, True),
        (b"not gzip", {"content-encoding": "gzip"}, False),
        (b"", {}, False),
    ],
)
def test_lists_go_to_the_batch(first: bytes, headers: dict[str, str], is_batch: bool) -> None:
    """A list or NDJSON is a batch; anything else is one check."""
    assert _is_batch(first, headers) is is_batch
