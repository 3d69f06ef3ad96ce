"""Hourly snapshots: append-only revisions of each place's finished hours."""
