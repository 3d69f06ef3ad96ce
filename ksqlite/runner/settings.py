"""What the runner needs to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """Addresses, names and limits of one server's runner."""

    bootstrap: str
    """Kafka, host:port."""
    service_id: str
    """Names all that the server has in Kafka; a second server with the same one puts the first out of action."""
    state_dir: Path
    """Where RocksDB lives."""
    commit_interval_ms: int = 100
    """How long processed records wait, at most, for their transaction to be committed."""
    busy_factor: float = 4.0
    """How many times the interval a transaction may last while there is a backlog."""
    batch_records: int = 2000
    """How many records are processed between two looks at the clock."""
    transaction_records: int = 20_000
    """How many source records a transaction holds at most, however short the interval."""
    memory_entries: int = 20_000
    """Values of a state store and partition that are kept in memory."""
    transaction_timeout_ms: int = 60_000
    """After this the broker aborts the transaction of a server that hangs."""
    replicas: int = 1
    """Replication factor of the server's own topics."""
    client: dict[str, str] = field(default_factory=dict)
    """librdkafka settings for all clients (security, for instance)."""

    @property
    def prefix(self) -> str:
        """What the names of internal topics begin with."""
        return f"_confluent-ksql-{self.service_id}"

    @property
    def common(self) -> dict[str, str | int | bool]:
        """Librdkafka settings of every client."""
        return {"bootstrap.servers": self.bootstrap, "client.id": f"ksqlite-{self.service_id}", **self.client}
