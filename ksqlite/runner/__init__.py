"""Runs the engine over Kafka, exactly once.

One transaction holds a stretch of the run: the records of all sink topics, of all changelogs, of the processing log,
and the positions up to which source topics were read. What a crash leaves unfinished never happened.
"""
