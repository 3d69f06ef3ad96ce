"""Checks as they arrived: search, repeats and conflicts, rejected ones, and forwarding new ones to intake."""
