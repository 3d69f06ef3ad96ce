"""Measurements of the running product; `scripts/bench NAME` runs one. Results stand in README.md."""
