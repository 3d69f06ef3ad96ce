"""Service 2 (port 9000): accounts, figures over REST and pages, hourly snapshots, migrations of the database."""
