"""State of queries: on disk in RocksDB, in memory as far as it is hot, and in Kafka as changelogs."""

FORMAT = 3
"""The form of all state: bytes of keys and values in the database and in changelogs, what stores hold, their names.

Raised with every change of that form (``tests/unit/ksqlite/test_state_format.py`` fails until it is). A database of
another form is thrown away and read anew from the changelogs; changelogs of another form are refused at the start.
Before 2 it was not written down in Kafka; 3 has values as MessagePack.
"""
