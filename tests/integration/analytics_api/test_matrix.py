"""Every route for every role, generated from the routes: a new one cannot be forgotten."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from analytics_api.access import guards, tokens
from analytics_api.access.keys import Keys
from analytics_api.app import build
from analytics_api.settings import Settings
from tests.integration.analytics_api.servers import Api

LEVELS = {
    guards.requires_user: "user",
    guards.requires_analyst: "analyst",
    guards.requires_administrator: "administrator",
}
RANK = ["user", "analyst", "administrator"]
PASSWORD = "a-password-of-tests"
# What the paths' parameters stand for.
SAMPLES = {
    "place_id": "000",
    "username": "nobody-of-that-name",
    "token_id": "999999999",
    "name": "none",
    "file_path": "swagger-ui.css",
    "path": "none",
    "rejection_id": "none",
    "table": "places",
    "language": "en",
}


def routes_of(application: Litestar) -> list[tuple[str, str, str]]:
    """Method, path and least role (or public, page, unguarded) of every route."""
    found = set()
    for route in application.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            levels = [LEVELS[guard] for guard in handler.resolve_guards() if guard in LEVELS]
            marks = [mark for mark in ("public", "page") if handler.opt.get(mark)]
            kind = [*levels[-1:], *marks, "unguarded"][0]
            found |= {(str(method), route.path_format, kind) for method in handler.http_methods}
    return sorted(route for route in found if route[0] not in {"OPTIONS", "HEAD"})


with tempfile.TemporaryDirectory() as _folder:
    ROUTES = routes_of(build(Settings(keys_dir=Path(_folder))))


@pytest.fixture(scope="module")
def roles(api: Api) -> dict[str, str | None]:
    """An Authorization header for each role; personal API tokens, which outlive a logout."""
    headers: dict[str, str | None] = {"none": None}
    url = api.environment["CHECKS_DATABASE_OWNER_URL"]
    for role in (*RANK, "deactivated"):
        name = f"matrix-{role}"
        with api.client() as client:
            registered = client.post(
                "/auth/registration/", json={"username": name, "password1": PASSWORD, "password2": PASSWORD}
            )
            assert registered.status_code == 201, registered.text
        with api.client(api.token(name, PASSWORD)) as client:
            made = client.post("/auth/tokens/", json={"name": "matrix"})
            assert made.status_code == 201, made.text
            headers[role] = f"Bearer {made.json()['token']}"
        with psycopg.connect(url) as connection:
            connection.execute(
                "UPDATE app.users SET is_analyst = %s, is_admin = %s, is_active = %s WHERE username = %s",
                (role == "analyst", role == "administrator", role != "deactivated", name),
            )
    # JWTs of the administrator, each with one thing wrong.
    good = api.token()
    keys = Keys(Path(api.environment["CHECKS_STATE"]) / "secrets")
    key_id, key = keys.signing()
    payload = jwt.decode(good, options={"verify_signature": False})
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    forged = {
        "expired": jwt.encode({**payload, "exp": yesterday}, key, algorithm="HS256", headers={"kid": key_id}),
        "other key": jwt.encode(payload, b"x" * 32, algorithm="HS256", headers={"kid": key_id}),
        "unknown key": jwt.encode(payload, b"x" * 32, algorithm="HS256", headers={"kid": "000000000099"}),
        "no signature": jwt.encode(payload, "", algorithm="none", headers={"kid": key_id}),
        "other algorithm": jwt.encode(payload, key * 2, algorithm="HS512", headers={"kid": key_id}),
        "no session": jwt.encode({**payload, "sid": str(uuid4())}, key, algorithm="HS256", headers={"kid": key_id}),
        "other user": jwt.encode({**payload, "sub": "999999"}, key, algorithm="HS256", headers={"kid": key_id}),
        "no expiry": jwt.encode({k: v for k, v in payload.items() if k != "exp"}, key, headers={"kid": key_id}),
        "made-up API token": tokens.new_secret(tokens.API_TOKEN_PREFIX),
        "two words": f"{good} {good}",
        "a dot": ".",
    }
    headers |= {f"forged: {name}": f"Bearer {token}" for name, token in forged.items()}
    headers |= {
        f"scheme: {scheme}": f"{scheme} {good}" for scheme in ("Basic", "JWT", "Digest", "Tokens", "bearer-token")
    }
    return headers


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def ask(client: httpx.Client, method: str, path: str, authorization: str | None) -> httpx.Response:
    address = path.format(**SAMPLES)
    # a refusal may come before the body is read, and the server then closes: nobody may count on the same connection
    headers = {"Connection": "close"}
    if authorization is not None:
        headers["Authorization"] = authorization
    body: dict[str, Any] = {"json": {}} if method in {"POST", "PATCH", "PUT"} else {}
    return client.request(method, address, headers=headers, **body)


@pytest.mark.parametrize("route", ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_each_role_gets_exactly_what_is_allowed(
    client: httpx.Client, roles: dict[str, str | None], route: tuple[str, str, str]
) -> None:
    """The least role and those above pass; lower ones get 403; whoever is nobody gets 401 with a challenge."""
    method, path, kind = route
    assert kind != "unguarded", f"{method} {path} has no guard and is not declared public"
    if kind == "page":  # signed in by cookie, which tests/e2e does; no header opens them
        stranger = ask(client, method, path, None).status_code
        assert dict.fromkeys(roles, stranger) == {
            role: ask(client, method, path, authorization).status_code for role, authorization in roles.items()
        }
        assert stranger in {303, 401, 403} or not path.startswith(("/analytics", "/admin")), f"{path}: {stranger}"
        return
    for role, authorization in roles.items():
        answer = ask(client, method, path, authorization)
        told = f"{method} {path} as {role}: {answer.status_code} {answer.text[:300]}"
        if kind == "public":
            assert answer.status_code not in {401, 403}, told
        elif role not in RANK:
            assert answer.status_code == 401, told
            assert answer.headers["www-authenticate"].startswith("Bearer"), told
        elif RANK.index(role) < RANK.index(kind):
            assert answer.status_code == 403, told
        else:
            assert answer.status_code not in {401, 403}, told
            assert answer.status_code < 500 or answer.status_code == 503, told
        if answer.status_code >= 400:
            document = answer.json()
            assert answer.headers["content-type"] == "application/problem+json", told
            assert {"type", "title", "status", "detail"} <= document.keys(), told
            assert document["status"] == answer.status_code, told


def test_both_schemes_and_both_slashes(client: httpx.Client, api: Api) -> None:
    """Token and Bearer carry the same token, in any case; addresses work with and without the slash at the end."""
    token = api.token()
    for scheme in ("Token", "Bearer", "bearer", "TOKEN"):
        for path in ("/auth/me", "/auth/me/"):
            assert client.get(path, headers={"Authorization": f"{scheme} {token}"}).status_code == 200


def test_the_contract_is_all_there() -> None:
    """Every operation of the contract has a route with the role that the contract names."""
    found = {(method, path.rstrip("/")): kind for method, path, kind in ROUTES}
    for kind, operations in CONTRACT.items():
        for operation in operations:
            method, path = operation.split()
            assert found.get((method, path.rstrip("/"))) == kind, operation


CONTRACT = {
    "public": [
        "POST /auth/registration/",
        "POST /auth/login/",
        "POST /auth/refresh/",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
        "GET /swagger/",
    ],
    "user": [
        "POST /auth/logout/",
        "POST /auth/password/",
        "GET /auth/me/",
        "GET /auth/tokens/",
        "POST /auth/tokens/",
        "DELETE /auth/tokens/{token_id}/",
        "GET /api/places/",
        "POST /api/add_checks/",
    ],
    "analyst": ["GET /api/analytics/", "GET /api/analytics/{place_id}/", "GET /api/hours/", "GET /api/snapshots/"],
    "administrator": [
        "GET /api/users/",
        "PATCH /api/users/{username}/",
        "GET /api/checks/",
        "GET /api/rejected_checks/",
        "GET /api/status/",
        "GET /api/audit/",
        "POST /api/snapshots/run/",
    ],
}
