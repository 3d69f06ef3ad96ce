"""Kafka and the registry: the producer that answers wait for, and the schema that decides."""
