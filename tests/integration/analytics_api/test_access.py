"""Signing in, refreshing, signing out; limits; changes that count from the next request on."""

import asyncio
import dataclasses
import statistics
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from analytics_api.access import accounts
from analytics_api.access import limits as counting
from analytics_api.access.keys import Keys, add
from analytics_api.access.limits import Limit, Limits
from analytics_api.access.passwords import Passwords
from analytics_api.access.schemas import NewApiToken
from analytics_api.access.services import Access
from analytics_api.db import Database
from analytics_api.problems import Problem
from analytics_api.settings import Settings
from tests.integration.analytics_api.servers import ADMIN, Api, Postgres

GOOD = "a-good-password"


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


@pytest.fixture
def admin(api: Api) -> Iterator[httpx.Client]:
    with api.client(api.token()) as client:
        yield client


def register(client: httpx.Client, name: str) -> None:
    answer = client.post("/auth/registration/", json={"username": name, "password1": GOOD, "password2": GOOD})
    assert answer.status_code == 201, answer.text


def login(client: httpx.Client, name: str, password: str = GOOD) -> dict[str, Any]:
    answer = client.post("/auth/login/", json={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_whole_way_of_an_account(client: httpx.Client, admin: httpx.Client) -> None:
    """Register, sign in, be a user, be ticked as analyst, be unticked: each change counts at the next request."""
    register(client, "way")
    pair = login(client, "way")
    assert pair["expires_in"] == 900
    mine = bearer(pair["token"])
    assert client.get("/auth/me/", headers=mine).json()["role"] == "user"
    assert client.get("/api/analytics/", headers=mine).status_code == 403
    assert admin.patch("/api/users/way/", json={"is_analyst": True}).json()["role"] == "analyst"
    assert client.get("/api/analytics/", headers=mine).status_code == 200
    assert admin.patch("/api/users/WAY/", json={"is_analyst": False}).json()["role"] == "user"
    assert client.get("/api/analytics/", headers=mine).status_code == 403
    assert admin.patch("/api/users/way/", json={"is_active": False}).status_code == 200
    assert client.get("/auth/me/", headers=mine).status_code == 401
    refused = client.post("/auth/login/", json={"username": "way", "password": GOOD})
    assert refused.status_code == 401
    assert "wrong" in refused.json()["detail"]
    actions = [entry["action"] for entry in admin.get("/api/audit/", params={"target": "way"}).json()["items"]]
    assert actions == ["login_failed", "user_changed", "user_changed", "user_changed", "login", "registration"]


def test_refresh_rotates_and_reuse_ends_the_family(client: httpx.Client) -> None:
    """Each refresh token works once; using one again ends the session, its newest tokens included."""
    register(client, "refresher")
    first = login(client, "refresher")
    second = client.post("/auth/refresh/", json={"refresh_token": first["refresh_token"]}).json()
    assert client.get("/auth/me/", headers=bearer(second["token"])).status_code == 200
    third = client.post("/auth/refresh/", json={"refresh_token": second["refresh_token"]}).json()
    again = client.post("/auth/refresh/", json={"refresh_token": first["refresh_token"]})
    assert again.status_code == 401
    assert client.get("/auth/me/", headers=bearer(third["token"])).status_code == 401
    assert client.post("/auth/refresh/", json={"refresh_token": third["refresh_token"]}).status_code == 401
    other = login(client, "refresher")
    assert client.get("/auth/me/", headers=bearer(other["token"])).status_code == 200


def test_one_refresh_token_used_by_many_at_once(client: httpx.Client, api: Api) -> None:
    """Of ten simultaneous uses of one refresh token at most one gets a pair, and the session ends."""
    register(client, "racer")
    token = login(client, "racer")["refresh_token"]
    codes: list[int] = []

    def use() -> None:
        with api.client() as mine:
            codes.append(mine.post("/auth/refresh/", json={"refresh_token": token}).status_code)

    threads = [threading.Thread(target=use) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] + [401] * 9


def test_logout_ends_both_tokens(client: httpx.Client) -> None:
    """After logout neither the access token nor the refresh token works."""
    register(client, "leaver")
    pair = login(client, "leaver")
    assert client.post("/auth/logout/", headers=bearer(pair["token"])).status_code == 204
    assert client.get("/auth/me/", headers=bearer(pair["token"])).status_code == 401
    assert client.post("/auth/refresh/", json={"refresh_token": pair["refresh_token"]}).status_code == 401


def test_password_change_ends_other_sessions(client: httpx.Client) -> None:
    """The session that changes the password goes on; others and API tokens end; the old password is wrong."""
    register(client, "changer")
    here, there = login(client, "changer"), login(client, "changer")
    made = client.post("/auth/tokens/", json={"name": "script"}, headers=bearer(there["token"])).json()
    body = {"password": GOOD, "password1": "another-good-one", "password2": "another-good-one"}
    wrong = client.post("/auth/password/", json={**body, "password": "not it"}, headers=bearer(here["token"]))
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (403, "/password")
    assert client.post("/auth/password/", json=body, headers=bearer(here["token"])).status_code == 204
    assert client.get("/auth/me/", headers=bearer(here["token"])).status_code == 200
    assert client.get("/auth/me/", headers=bearer(there["token"])).status_code == 401
    assert client.get("/auth/me/", headers=bearer(made["token"])).status_code == 401
    assert client.post("/auth/login/", json={"username": "changer", "password": GOOD}).status_code == 401
    login(client, "changer", "another-good-one")


def test_personal_api_tokens(client: httpx.Client) -> None:
    """Made, shown once, listed without the secret, revoked; another user's token is not there."""
    register(client, "scripter")
    mine = bearer(login(client, "scripter")["token"])
    made = client.post("/auth/tokens/", json={"name": "nightly", "expires_in_days": 1}, headers=mine)
    assert made.status_code == 201
    secret = made.json()["token"]
    assert client.get("/auth/me/", headers={"Authorization": f"Token {secret}"}).json()["username"] == "scripter"
    listed = client.get("/auth/tokens/", headers=mine).json()["items"]
    assert [item["name"] for item in listed] == ["nightly"]
    assert secret not in str(listed)
    register(client, "stranger")
    strangers = bearer(login(client, "stranger")["token"])
    address = f"/auth/tokens/{made.json()['token_id']}/"
    assert client.delete(address, headers=strangers).status_code == 404
    assert client.delete(address, headers=mine).status_code == 204
    assert client.get("/auth/me/", headers=bearer(secret)).status_code == 401


def test_an_api_token_makes_no_further_tokens(client: httpx.Client) -> None:
    """A token that leaked cannot outlive its revocation through tokens of its own."""
    register(client, "minter")
    mine = bearer(login(client, "minter")["token"])
    made = client.post("/auth/tokens/", json={"name": "first"}, headers=mine).json()
    refused = client.post("/auth/tokens/", json={"name": "second"}, headers=bearer(made["token"]))
    assert refused.status_code == 403
    assert "Sign in with the password" in refused.json()["detail"]
    assert [item["name"] for item in client.get("/auth/tokens/", headers=mine).json()["items"]] == ["first"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"username": "x1", "password1": "short", "password2": "short"}, ["/password1"]),
        ({"username": "x2", "password1": "p" * 129, "password2": "p" * 129}, ["/password1"]),
        ({"username": "somebody-new", "password1": "Somebody-New", "password2": "Somebody-New"}, ["/password1"]),
        ({"username": "x3", "password1": "Password123", "password2": "Password123"}, ["/password1"]),
        ({"username": "x4", "password1": "qwerty123", "password2": "qwerty124"}, ["/password1", "/password2"]),
        ({"username": "a b", "password1": GOOD, "password2": GOOD}, ["/username"]),
        ({"username": "../admin", "password1": GOOD, "password2": GOOD}, ["/username"]),
        ({"username": 7, "password1": GOOD, "password2": GOOD}, ["/username"]),
        ({"password1": GOOD, "password2": GOOD}, ["/username"]),
    ],
)
def test_rules_of_registration(client: httpx.Client, body: dict[str, Any], pointers: list[str]) -> None:
    """A refusal names the field and the rule."""
    answer = client.post("/auth/registration/", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers


def test_a_taken_name_is_409(client: httpx.Client) -> None:
    """Ann and ann are one name."""
    register(client, "Ann-Taken")
    body = {"username": "ann-taken", "password1": GOOD, "password2": GOOD}
    assert client.post("/auth/registration/", json=body).status_code == 409


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"username": "\\ud800", "password": "x"}']
)
def test_bodies_that_do_not_fit(client: httpx.Client, content: bytes) -> None:
    """Whatever the body, the answer is a 4xx problem document."""
    answer = client.post("/auth/login/", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 401, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_unknown_user_and_wrong_password_look_the_same(client: httpx.Client) -> None:
    """The same answer, and about the same time."""
    register(client, "known")
    times: dict[str, list[float]] = {"known": [], "unknown-at-all": []}
    answers = set()
    for _ in range(12):
        for name, taken in times.items():
            begun = time.perf_counter()
            answer = client.post("/auth/login/", json={"username": name, "password": "wrong-password"})
            taken.append(time.perf_counter() - begun)
            answers.add((answer.status_code, answer.text))
    assert len(answers) == 1
    known, unknown = (statistics.median(taken) for taken in times.values())
    assert 0.5 < known / unknown < 2


def test_the_last_administrator_is_protected(admin: httpx.Client, client: httpx.Client) -> None:
    """The only administrator cannot be demoted or deactivated; with a second one it can."""
    for change in ({"is_admin": False}, {"is_active": False}):
        assert admin.patch("/api/users/admin/", json=change).status_code == 409
    register(client, "second")
    assert admin.patch("/api/users/second/", json={"is_admin": True}).json()["role"] == "administrator"
    second = bearer(login(client, "second")["token"])
    assert client.patch("/api/users/admin/", json={"is_admin": False}, headers=second).status_code == 200
    assert client.patch("/api/users/second/", json={"is_admin": False}, headers=second).status_code == 409
    assert client.patch("/api/users/admin/", json={"is_admin": True}, headers=second).status_code == 200
    assert admin.patch("/api/users/second/", json={"is_admin": False}).status_code == 200


def test_deactivation_ends_what_was_handed_out(admin: httpx.Client, client: httpx.Client) -> None:
    """Sessions, refresh tokens and API tokens from before are worth nothing when the account is active again."""
    register(client, "suspended")
    pair = login(client, "suspended")
    session = bearer(pair["token"])
    token = client.post("/auth/tokens/", json={"name": "nightly"}, headers=session).json()["token"]
    for is_active in (False, True):
        assert admin.patch("/api/users/suspended/", json={"is_active": is_active}).status_code == 200
        assert client.get("/auth/me/", headers=session).status_code == 401
        assert client.get("/auth/me/", headers=bearer(token)).status_code == 401
        assert client.post("/auth/refresh/", json={"refresh_token": pair["refresh_token"]}).status_code == 401
    login(client, "suspended")


def test_an_administrator_resets_a_password(admin: httpx.Client, client: httpx.Client) -> None:
    """The old password and the old sessions end; the rules hold for the new one."""
    register(client, "forgetful")
    old = bearer(login(client, "forgetful")["token"])
    assert admin.patch("/api/users/forgetful/", json={"password": "12345678"}).status_code == 422
    assert admin.patch("/api/users/forgetful/", json={"password": "a-new-beginning"}).status_code == 200
    assert client.get("/auth/me/", headers=old).status_code == 401
    login(client, "forgetful", "a-new-beginning")
    assert admin.patch("/api/users/forgetful/", json={}).json()["is_analyst"] is False
    assert admin.patch("/api/users/forgetful/", json={"is_analyst": 1}).status_code == 422
    assert admin.patch("/api/users/forgetful/", json={"is_analist": True}).status_code == 422
    assert admin.patch("/api/users/nobody-at-all/", json={"is_analyst": True}).status_code == 404


def access_over(postgres: Postgres, database: str, folder: Path, **settings: int) -> tuple[Access, Database]:
    chosen = Settings(database_url=postgres.url(database, "checks_api"), keys_dir=folder, **settings)  # type: ignore[arg-type] # whatever a test sets
    pool = Database(chosen)
    return Access(pool, chosen, Keys(folder), Passwords(2), Limits.of(chosen)), pool


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_login_limits_are_shared(postgres: Postgres, new_database: Callable[[], str], tmp_path: Path) -> None:
    """Two workers count together: per user whatever the address, per address whatever the user, and overall."""
    name = new_database()
    limits = {"login_limit_user": 3, "login_limit_address": 5, "login_limit_overall": 12}

    async def work() -> None:
        one, first = access_over(postgres, name, tmp_path, **limits)
        two, second = access_over(postgres, name, tmp_path, **limits)
        await first.open()
        await second.open()

        async def fails(access: Access, user: str, address: str) -> int:
            with pytest.raises(Problem) as caught:
                await access.login(user, "wrong", address=address)
            if caught.value.status == 429:
                assert 1 <= int(caught.value.headers["Retry-After"]) <= 901
            return caught.value.status

        await one.register("victim", GOOD, GOOD, address="a")
        assert [await fails(access, "victim", f"a{n}") for n, access in enumerate((one, two, one))] == [401] * 3
        assert await fails(two, "VICTIM", "a9") == 429
        assert [await fails(one, f"u{n}", "same") for n in range(5)] == [401] * 5
        assert await fails(two, "u9", "same") == 429
        # Overall: 10 were counted above; the twelfth is the last one.
        assert [await fails(two, f"w{n}", f"w{n}") for n in range(3)] == [401, 401, 429]
        await first.close()
        await second.close()

    run(work())


def test_good_logins_do_not_use_the_limits_up(
    postgres: Postgres, new_database: Callable[[], str], tmp_path: Path
) -> None:
    """A user who signs in often is not locked out, and failures are forgotten one by one, not wiped."""
    name = new_database()

    async def work() -> None:
        access, pool = access_over(postgres, name, tmp_path, login_limit_user=2, login_limit_address=2)
        await pool.open()
        await access.register("busy", GOOD, GOOD, address="a")
        for _ in range(8):
            await access.login("busy", GOOD, address="a")
        await pool.close()

    run(work())


class Interrupted(Passwords):
    """Something happens between the reading of a password's hash and the opening of the session."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__(2)
        self.happens = happens

    async def verify(self, password: str, password_hash: str | None) -> bool:
        is_right = await super().verify(password, password_hash)
        self.happens()
        return is_right


@pytest.mark.parametrize("change", ["is_active = false", "password_hash = 'new', password_changed_at = now()"])
def test_a_change_during_the_login(
    postgres: Postgres, new_database: Callable[[], str], tmp_path: Path, change: str
) -> None:
    """Whoever is deactivated or given a new password while signing in with the old one is not let in."""
    name = new_database()

    def happens() -> None:
        with psycopg.connect(postgres.url(name)) as connection:
            connection.execute(f"UPDATE app.users SET {change}")

    async def work() -> None:
        access, pool = access_over(postgres, name, tmp_path)
        await pool.open()
        await access.register("hurried", GOOD, GOOD, address="a")
        slow = dataclasses.replace(access, passwords=Interrupted(happens))
        for sign_in in (slow.login, slow.login_page):
            with psycopg.connect(postgres.url(name)) as connection:
                connection.execute("UPDATE app.users SET is_active = true")
            with pytest.raises(Problem) as caught:
                await sign_in("hurried", GOOD, address="a")
            assert (caught.value.status, str(caught.value)) == (401, "The user name or the password is wrong.")
        await pool.close()

    run(work())
    with psycopg.connect(postgres.url(name)) as connection:
        assert connection.execute("SELECT count(*) FROM app.sessions").fetchone() == (0,)
        assert connection.execute("SELECT last_login_at FROM app.users").fetchone() == (None,)
        assert connection.execute("SELECT count(*) FROM app.audit WHERE action = 'login_failed'").fetchone() == (2,)


def test_a_new_hash_does_not_undo_a_change(
    postgres: Postgres, new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that hashes the password anew stores it; not where the password was changed meanwhile."""
    name = new_database()
    monkeypatch.setattr(Passwords, "needs_rehash", lambda *_: True)

    def hashes() -> Any:
        with psycopg.connect(postgres.url(name)) as connection:
            return connection.execute("SELECT password_hash FROM app.users").fetchone()

    async def work() -> None:
        access, pool = access_over(postgres, name, tmp_path)
        await pool.open()
        await access.register("rehashed", GOOD, GOOD, address="a")
        first = hashes()
        await access.login("rehashed", GOOD, address="a")
        assert hashes() != first
        await access.login("rehashed", GOOD, address="a")
        with psycopg.connect(postgres.url(name)) as connection:
            connection.execute("UPDATE app.users SET password_hash = 'changed'")
        await access._rehash(1, GOOD, "as it was read")
        assert hashes() == ("changed",)
        await pool.close()

    run(work())


def test_no_token_for_a_session_that_ended(postgres: Postgres, new_database: Callable[[], str], tmp_path: Path) -> None:
    """A request that came in just before its session ended gets 401, not a token for months."""
    name = new_database()

    async def work() -> None:
        access, pool = access_over(postgres, name, tmp_path)
        await pool.open()
        await access.register("leaving", GOOD, GOOD, address="a")
        token = (await access.login("leaving", GOOD, address="a")).token
        account = await accounts.by_header(pool, access.keys, f"Bearer {token}")
        await access.add_api_token(account, NewApiToken("before"), address="a")
        await access.logout(account, address="a")
        with pytest.raises(Problem) as caught:
            await access.add_api_token(account, NewApiToken("after"), address="a")
        assert caught.value.status == 401
        assert [item.name for item in await access.api_tokens(account)] == ["before"]
        await pool.close()

    run(work())


def test_attempts_are_forgiven_in_the_order_of_counting(
    postgres: Postgres, new_database: Callable[[], str], tmp_path: Path
) -> None:
    """Who waits for the first row holds none of the later ones, so that parallel logins never deadlock."""
    name = new_database()

    async def work() -> None:
        access, pool = access_over(postgres, name, tmp_path)
        await pool.open()
        attempts = [(access.limits.login_user, "ann"), (access.limits.login_address, "a")]
        async with pool.connection() as connection:
            await counting.count(connection, attempts)
        for given in (attempts, attempts[::-1]):
            with psycopg.connect(postgres.url(name)) as first:
                first.execute("SELECT FROM app.attempts WHERE limit_name = 'login_address' FOR UPDATE")

                async def forgive(given: list[tuple[Limit, str]] = given) -> None:
                    async with pool.transaction() as connection:
                        await counting.forgive(connection, given)

                waiting = asyncio.create_task(forgive())
                await asyncio.sleep(0.5)
                assert not waiting.done()
                with psycopg.connect(postgres.url(name)) as second:
                    second.execute("SELECT FROM app.attempts WHERE limit_name = 'login_user' FOR UPDATE NOWAIT")
            await waiting
        await pool.close()

    run(work())
    with psycopg.connect(postgres.url(name)) as connection:
        assert connection.execute("SELECT DISTINCT attempts FROM app.attempts").fetchall() == [(0,)]


def test_a_window_passes(postgres: Postgres, new_database: Callable[[], str], tmp_path: Path) -> None:
    """After a quarter of an hour the user may try again."""
    name = new_database()

    async def work() -> None:
        access, pool = access_over(postgres, name, tmp_path, login_limit_user=1)
        await pool.open()
        await access.register("patient", GOOD, GOOD, address="a")
        for status in (401, 429):
            with pytest.raises(Problem) as caught:
                await access.login("patient", "wrong", address="a")
            assert caught.value.status == status
        with psycopg.connect(postgres.url(name)) as connection:
            connection.execute("UPDATE app.attempts SET window_start = window_start - interval '15 minutes'")
        await access.login("patient", GOOD, address="a")
        await pool.close()

    run(work())


def test_keys_rotate_without_ending_sessions(api: Api, client: httpx.Client) -> None:
    """After a rotation old tokens still work, new ones are signed with the new key; after two the oldest ends."""
    folder = Path(api.environment["CHECKS_STATE"]) / "secrets"
    old = login(client, ADMIN["username"], ADMIN["password"])["token"]
    add(folder)
    assert client.get("/auth/me/", headers=bearer(old)).status_code == 200
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("access_tokens.*"))
    assert len(list(folder.glob("access_tokens.*"))) == 2


def test_security_headers_and_request_ids(client: httpx.Client) -> None:
    """Every answer has the headers, errors included; a good request id is taken, a bad one replaced."""
    for path in ("/auth/me/", "/no-such-thing", "/health/live", "/swagger/"):
        answer = client.get(path, headers={"X-Request-Id": "till-7:42"})
        assert answer.headers["x-request-id"] == "till-7:42"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"]
        assert answer.headers["cache-control"]
    assert client.get("/health/live", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def test_nothing_comes_from_another_host(client: httpx.Client) -> None:
    """The Swagger page and what it loads come from this service; metrics name no addresses of requests."""
    page = client.get("/swagger/")
    assert "http" not in page.text.replace("https://www.w3.org", "")
    for path in ("/swagger/assets/swagger-ui.css", "/swagger/assets/swagger-ui-bundle.js", "/swagger/start.js"):
        assert client.get(path).status_code == 200
    document = client.get("/swagger/openapi.json").json()
    assert {"bearer", "token"} <= document["components"]["securitySchemes"].keys()
    client.get("/made-up/address")
    assert "made-up" not in client.get("/metrics").text
    assert "analytics_requests_total" in client.get("/metrics").text
