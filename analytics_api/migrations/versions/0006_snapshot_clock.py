# ruff: noqa: E501  (a comment on a column stands on its line)
"""What a snapshot run has looked at is measured by PostgreSQL's clock, as the rows' updated_at is."""

from analytics_api.migrations._sql import run

revision = "0006"
down_revision = "0005"

SQL = """
ALTER TABLE app.snapshot_runs ADD COLUMN looked_at timestamptz;
COMMENT ON COLUMN app.snapshot_runs.looked_at IS 'By PostgreSQL''s clock, before the run looked at the hours; the next run looks at what changed since, with a margin';
COMMENT ON COLUMN app.snapshot_runs.lag_records IS 'Records that the pipeline''s queries and sinks had not yet worked off at the start; empty when Kafka did not answer';
COMMENT ON COLUMN app.snapshot_runs.lag_s IS 'Age in seconds of the oldest check that waited, or of the newest that was through where only sinks were behind; 0 when nothing waited; empty when Kafka did not answer';
"""


def upgrade() -> None:
    """Add the column."""
    run(SQL)
