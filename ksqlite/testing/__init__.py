"""Runs cases in ksqlDB's own form (statements, inputs, outputs) against the engine in memory."""
