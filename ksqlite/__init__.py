"""ksqlite: an embedded runtime for a documented subset of ksqlDB's SQL over a real Kafka broker."""
