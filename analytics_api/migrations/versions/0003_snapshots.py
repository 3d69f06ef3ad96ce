# ruff: noqa: E501  (a comment on a column stands on its line)
"""Hourly snapshots: append-only revisions of each place's hours, and the runs that wrote them."""

from analytics_api.migrations._sql import run

revision = "0003"
down_revision = "0002"

SQL = """
CREATE TABLE app.snapshot_runs (
    run_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scheduled_for    timestamptz UNIQUE,
    started_at       timestamptz NOT NULL,
    finished_at      timestamptz NOT NULL,
    trigger          text NOT NULL,
    actor            text,
    is_full          boolean NOT NULL,
    pipeline_version integer,
    hours_before     timestamptz NOT NULL,
    rows_added       bigint NOT NULL,
    first_revisions  bigint NOT NULL,
    lag_records      bigint,
    lag_s            double precision
);
CREATE INDEX snapshot_runs_started ON app.snapshot_runs (started_at);
COMMENT ON TABLE app.snapshot_runs IS 'One row for each finished run of the hourly snapshot.';
COMMENT ON COLUMN app.snapshot_runs.scheduled_for IS 'The hour''s minute 5 that the run is for; empty for a run by hand. One run each, however many instances';
COMMENT ON COLUMN app.snapshot_runs.started_at IS 'By the service''s clock';
COMMENT ON COLUMN app.snapshot_runs.trigger IS 'schedule, start (catching up) or manual';
COMMENT ON COLUMN app.snapshot_runs.is_full IS 'Looked at all hours rather than at those changed since the last run';
COMMENT ON COLUMN app.snapshot_runs.pipeline_version IS 'Version of the pipeline''s tables that was read';
COMMENT ON COLUMN app.snapshot_runs.hours_before IS 'Hours that begin before this were finished';
COMMENT ON COLUMN app.snapshot_runs.rows_added IS 'Revisions written';
COMMENT ON COLUMN app.snapshot_runs.first_revisions IS 'Those of them that were an hour''s first';
COMMENT ON COLUMN app.snapshot_runs.lag_records IS 'Records of topic checks that the pipeline had not yet counted at the start; empty when Kafka did not answer';
COMMENT ON COLUMN app.snapshot_runs.lag_s IS 'Age in seconds of the oldest of them';

CREATE TABLE app.snapshots (
    place_id    text,
    hour_start  timestamptz,
    revision    integer,
    purchases   bigint NOT NULL,
    nds         numeric NOT NULL,
    tips        numeric NOT NULL,
    computed_at timestamptz NOT NULL,
    run_id      bigint NOT NULL REFERENCES app.snapshot_runs,
    PRIMARY KEY (place_id, hour_start, revision)
);
CREATE INDEX snapshots_hour ON app.snapshots (hour_start, place_id, revision);
CREATE INDEX snapshots_run ON app.snapshots (run_id);
COMMENT ON TABLE app.snapshots IS 'What an hour at a place came to when it was looked at. Append-only: late checks add a revision.';
COMMENT ON COLUMN app.snapshots.revision IS '1 for the first figures of the hour, then one more for each change';
COMMENT ON COLUMN app.snapshots.purchases IS 'Number of checks';
COMMENT ON COLUMN app.snapshots.nds IS 'Sum of nds_amount';
COMMENT ON COLUMN app.snapshots.tips IS 'Sum of tips_amount';
COMMENT ON COLUMN app.snapshots.computed_at IS 'When the run that wrote it began, by the service''s clock';
"""


def upgrade() -> None:
    """Make the tables of snapshots."""
    run(SQL)
