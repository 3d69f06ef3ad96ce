# ruff: noqa: E501  (a comment on a column stands on its line)
"""Reconciliation: what the log and the sales topic say, summed on the way, to hold PostgreSQL's figures against."""

from analytics_api.migrations._sql import run

revision = "0004"
down_revision = "0003"

SQL = """
CREATE TABLE app.reconcile_offsets (
    topic        text,
    partition_no integer,
    next_offset  bigint NOT NULL,
    PRIMARY KEY (topic, partition_no)
);
COMMENT ON TABLE app.reconcile_offsets IS 'How far reconciliation has read each topic; moves in the transaction that stores what was read.';

CREATE TABLE app.reconcile_minutes (
    minute       timestamptz PRIMARY KEY,
    log_records  bigint NOT NULL DEFAULT 0,
    sale_records bigint NOT NULL DEFAULT 0,
    is_settled   boolean NOT NULL DEFAULT false,
    touched_at   timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX reconcile_minutes_open ON app.reconcile_minutes (minute) WHERE NOT is_settled;
COMMENT ON TABLE app.reconcile_minutes IS 'Records by the minute of their receipt: log records = sales + repeated checks.';
COMMENT ON COLUMN app.reconcile_minutes.log_records IS 'Records of topic checks received in this minute';
COMMENT ON COLUMN app.reconcile_minutes.sale_records IS 'Records of topic sales received in this minute';
COMMENT ON COLUMN app.reconcile_minutes.is_settled IS 'PostgreSQL agreed after the last record came';

CREATE TABLE app.reconcile_hours (
    place_id   text,
    hour_start timestamptz,
    purchases  bigint NOT NULL,
    revenue    numeric NOT NULL,
    nds        numeric NOT NULL,
    tips       numeric NOT NULL,
    is_settled boolean NOT NULL DEFAULT false,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (place_id, hour_start)
) WITH (fillfactor = 50);
CREATE INDEX reconcile_hours_open ON app.reconcile_hours (hour_start) WHERE NOT is_settled;
COMMENT ON TABLE app.reconcile_hours IS 'Place hours summed by reconciliation itself from topic sales.';

CREATE TABLE app.reconcile_category_hours (
    hour_start timestamptz,
    category   text,
    lines      bigint NOT NULL,
    checks     bigint NOT NULL,
    quantity   numeric NOT NULL,
    revenue    numeric NOT NULL,
    is_settled boolean NOT NULL DEFAULT false,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (hour_start, category)
) WITH (fillfactor = 50);
CREATE INDEX reconcile_category_hours_open ON app.reconcile_category_hours (hour_start) WHERE NOT is_settled;
COMMENT ON TABLE app.reconcile_category_hours IS 'Category hours over all places, summed by reconciliation itself from topic sales.';

CREATE TABLE app.reconcile_missing (
    transaction_id text PRIMARY KEY,
    partition_no   integer NOT NULL,
    offset_no      bigint NOT NULL,
    found_at       timestamptz NOT NULL
);
CREATE INDEX reconcile_missing_found ON app.reconcile_missing (found_at);
COMMENT ON TABLE app.reconcile_missing IS 'Checks in the log that were not among PostgreSQL''s sales when looked for; looked for again each time.';

CREATE TABLE app.reconcile_runs (
    run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome     text NOT NULL,
    details     jsonb NOT NULL
);
COMMENT ON TABLE app.reconcile_runs IS 'One row for each comparison; the newest is what status shows.';
COMMENT ON COLUMN app.reconcile_runs.outcome IS 'equal, catching_up (within the lag allowed for), difference, or failed';
"""


def upgrade() -> None:
    """Make the tables of reconciliation."""
    run(SQL)
