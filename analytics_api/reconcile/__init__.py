"""Holds PostgreSQL's figures against the log, every few minutes."""
