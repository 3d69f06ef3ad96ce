# ruff: noqa: E501  (a comment on a column stands on its line)
"""Accounts: users, sessions, refresh tokens, personal API tokens, login limits, audit."""

from analytics_api.migrations._sql import run

revision = "0002"
down_revision = "0001"

SQL = """
CREATE TABLE app.settings (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    timezone text NOT NULL
);
COMMENT ON TABLE app.settings IS 'One row: what SQL views need to know of the services'' settings; written at each start.';
COMMENT ON COLUMN app.settings.timezone IS 'CHECKS_TIMEZONE, an IANA name';
INSERT INTO app.settings (timezone) VALUES ('UTC');

CREATE TABLE app.users (
    user_id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username            text NOT NULL,
    username_key        text NOT NULL UNIQUE,
    password_hash       text NOT NULL,
    is_active           boolean NOT NULL DEFAULT true,
    is_analyst          boolean NOT NULL DEFAULT false,
    is_admin            boolean NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT now(),
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    last_login_at       timestamptz
);
COMMENT ON TABLE app.users IS 'Accounts. Roles: every active account is a user; is_analyst and is_admin add to that.';
COMMENT ON COLUMN app.users.username IS 'Name as it was registered';
COMMENT ON COLUMN app.users.username_key IS 'Name in normal form (NFKC, case folded): Ann and ann are one account';
COMMENT ON COLUMN app.users.password_hash IS 'Argon2id with its parameters';
COMMENT ON COLUMN app.users.is_active IS 'false: nothing is answered but 401';
COMMENT ON COLUMN app.users.is_analyst IS 'May read figures';
COMMENT ON COLUMN app.users.is_admin IS 'May do everything';

CREATE TABLE app.sessions (
    session_id uuid PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES app.users ON DELETE CASCADE,
    kind       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    address    text
);
CREATE INDEX sessions_user ON app.sessions (user_id);
COMMENT ON TABLE app.sessions IS 'One row for each login: the family of its refresh tokens, or a browser''s session.';
COMMENT ON COLUMN app.sessions.kind IS 'api (JWT and refresh tokens) or page (cookie)';
COMMENT ON COLUMN app.sessions.revoked_at IS 'Logged out, password changed, or a refresh token used twice';

CREATE TABLE app.refresh_tokens (
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES app.sessions ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_session ON app.refresh_tokens (session_id);
COMMENT ON TABLE app.refresh_tokens IS 'Refresh tokens (page cookies too), as SHA-256; each is good for one use.';

CREATE TABLE app.api_tokens (
    token_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES app.users ON DELETE CASCADE,
    name         text NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_tokens_user ON app.api_tokens (user_id);
COMMENT ON TABLE app.api_tokens IS 'Personal API tokens for scripts, as SHA-256; they act with their owner''s roles of the moment.';

CREATE TABLE app.attempts (
    limit_name   text,
    subject      text,
    window_start timestamptz NOT NULL,
    attempts     integer NOT NULL,
    PRIMARY KEY (limit_name, subject)
) WITH (fillfactor = 50);
COMMENT ON TABLE app.attempts IS 'Counters of the login and registration limits, shared by all processes.';
COMMENT ON COLUMN app.attempts.limit_name IS 'login_user, login_address, login_overall, registration_address';
COMMENT ON COLUMN app.attempts.subject IS 'Hash of the user name, or address, or empty';

CREATE TABLE app.audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text,
    action     text NOT NULL,
    target     text,
    details    jsonb NOT NULL DEFAULT '{}',
    address    text,
    request_id text
);
CREATE INDEX audit_actor ON app.audit (actor, audit_id);
CREATE INDEX audit_target ON app.audit (target, audit_id);
CREATE INDEX audit_action ON app.audit (action, audit_id);
COMMENT ON TABLE app.audit IS 'Who did what to whom: logins, failures, role changes, resets. The service may only add rows.';
COMMENT ON COLUMN app.audit.actor IS 'User name, or empty where nobody is signed in';
COMMENT ON COLUMN app.audit.target IS 'User name or thing that was acted upon';
"""


def upgrade() -> None:
    """Make the tables of accounts."""
    run(SQL)
