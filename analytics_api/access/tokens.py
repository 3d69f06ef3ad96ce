"""Access tokens (JWT), and the opaque tokens stored as hashes: refresh tokens, personal API tokens, cookies."""

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

import jwt

from analytics_api.access.keys import Keys

ALGORITHM = "HS256"
ISSUER = "analytics_api"
API_TOKEN_PREFIX = "chk_"  # noqa: S105  (tells a personal token from a JWT, and a leaked one from other text)


class TokenError(Exception):
    """The token is not good; the message says why without repeating it."""


@dataclass(frozen=True)
class Claims:
    """What an access token says."""

    user_id: int
    session_id: UUID


def sign(keys: Keys, claims: Claims, *, life_s: int, now: dt.datetime) -> str:
    """An access token that is good for `life_s` seconds from `now`."""
    key_id, key = keys.signing()
    payload = {
        "iss": ISSUER,
        "sub": str(claims.user_id),
        "sid": str(claims.session_id),
        "iat": now,
        "exp": now + dt.timedelta(seconds=life_s),
    }
    return jwt.encode(payload, key, algorithm=ALGORITHM, headers={"kid": key_id})


def verify(keys: Keys, token: str) -> Claims:
    """Read an access token. Raises TokenError for one that is expired, forged, or no token at all."""
    try:
        key = keys.verifying(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise TokenError("The token is not valid.")
        payload = jwt.decode(
            token, key, algorithms=[ALGORITHM], issuer=ISSUER, options={"require": ["exp", "sub", "sid"]}
        )
        return Claims(user_id=int(payload["sub"]), session_id=UUID(payload["sid"]))
    except jwt.ExpiredSignatureError:
        raise TokenError("The token has expired.") from None
    except (jwt.PyJWTError, ValueError, UnicodeError):
        raise TokenError("The token is not valid.") from None


def new_secret(prefix: str = "") -> str:
    """A random token that nobody can guess."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of an opaque token: its randomness needs no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
