"""Starts the real parts of the pipeline on one machine, without containers, and keeps them running."""
