"""ksqlDB's REST API over the engine, and the server that runs it."""
