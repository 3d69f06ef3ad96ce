"""Everything intake reads from the environment, in one place."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from intake.contract.rules import DAY_MS, Limits

CHECKOUT = Path(__file__).resolve().parent.parent
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
N = TypeVar("N", int, float)


class SettingsError(Exception):
    """A setting that cannot be used; the message names its environment variable and the mend."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One intake service."""

    host: str = "127.0.0.1"
    """Address to listen on (CHECKS_HOST); without API keys the loopback whatever it says, unless `keyless`."""
    port: int = 8000
    """Port to listen on (CHECKS_INTAKE_PORT)."""
    workers: int = 1
    """Processes that share the port (CHECKS_INTAKE_WORKERS). One makes full use of a core."""
    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers (CHECKS_KAFKA)."""
    kafka_config: dict[str, Any] = field(default_factory=dict)
    """More librdkafka settings, such as those of TLS and SASL, as a JSON object (CHECKS_KAFKA_CONFIG)."""
    registry_url: str = "http://127.0.0.1:8081/apis/ccompat/v7"
    """Base of the registry's Confluent-compatible API (CHECKS_REGISTRY_URL)."""
    checks_topic: str = "checks"
    """Topic of accepted checks (CHECKS_CHECKS_TOPIC)."""
    rejected_topic: str = "rejected_checks"
    """Topic of rejected ones (CHECKS_REJECTED_TOPIC)."""
    checks_subject: str = "checks-value"
    """Subject whose latest schema decides what a check is (CHECKS_CHECKS_SUBJECT; topic's name and -value)."""
    rejected_subject: str = "rejected_checks-value"
    """Subject of the schema of rejections (CHECKS_REJECTED_SUBJECT; topic's name and -value)."""
    partitions: int | None = None
    """Partitions that the topic of checks was made with (CHECKS_PARTITIONS); another count is refused, None: any."""
    schema_refresh_s: float = 2.0
    """How often the registry is asked for a new schema version (CHECKS_INTAKE_SCHEMA_REFRESH_S)."""
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    """Time zone of timestamps without an offset (CHECKS_TIMEZONE, an IANA name)."""
    limits: Limits = field(default_factory=Limits)
    """Limits of one check (CHECKS_INTAKE_MAX_ITEMS, …_MAX_ID_LENGTH, …_MAX_NAME_LENGTH, …_MAX_TEXT_LENGTH,
    …_MAX_ENCODED_BYTES, …_MAX_FUTURE_MINUTES, …_MAX_AGE_DAYS)."""
    max_check_bytes: int = 1_048_576
    """Bytes of a single check's JSON, unpacked (CHECKS_INTAKE_MAX_CHECK_BYTES); in a batch: of each check."""
    max_batch_bytes: int = 268_435_456
    """Bytes of a batch as sent (CHECKS_INTAKE_MAX_BATCH_BYTES)."""
    max_unpacked_bytes: int = 1_073_741_824
    """Bytes of a compressed batch once unpacked (CHECKS_INTAKE_MAX_UNPACKED_BYTES)."""
    max_batch_checks: int = 1_000_000
    """Checks of one batch (CHECKS_INTAKE_MAX_BATCH_CHECKS)."""
    max_batches: int = 16
    """Batches that one process reads at the same time (CHECKS_INTAKE_MAX_BATCHES); more get 503."""
    body_timeout_s: float = 60.0
    """How long a client may send nothing in the middle of a body (CHECKS_INTAKE_BODY_TIMEOUT_S)."""
    queue_messages: int = 20_000
    """Records that one process holds for Kafka before it answers 503 (CHECKS_INTAKE_QUEUE_MESSAGES)."""
    queue_bytes: int = 134_217_728
    """The same in bytes (CHECKS_INTAKE_QUEUE_BYTES)."""
    delivery_timeout_s: float = 10.0
    """How long Kafka may take to acknowledge before the answer is 503 (CHECKS_INTAKE_DELIVERY_TIMEOUT_S)."""
    linger_ms: float = 0.0
    """How long records wait for company (CHECKS_INTAKE_LINGER_MS). 0: while one request is under way, no longer."""
    compression: str = "lz4"
    """Compression of records (CHECKS_INTAKE_COMPRESSION: none, lz4, zstd, gzip, snappy)."""
    journal_dir: Path = CHECKOUT / "var" / "intake" / ".journal"
    """Folder of the journal (CHECKS_JOURNAL_DIR)."""
    journal_file_bytes: int = 67_108_864
    """Size at which the journal begins a new file (CHECKS_INTAKE_JOURNAL_FILE_BYTES)."""
    journal_files: int = 32
    """Files that are kept, the one being written included (CHECKS_INTAKE_JOURNAL_FILES)."""
    journal_queue_bytes: int = 33_554_432
    """Journal lines that may wait for a slow disk; more are dropped, with an alarm
    (CHECKS_INTAKE_JOURNAL_QUEUE_BYTES)."""
    metrics_dir: Path = CHECKOUT / "var" / "intake" / "metrics"
    """Folder through which the processes add up their metrics (under CHECKS_STATE)."""
    keys: tuple[str, ...] = ()
    """SHA-256 of each API key, in hex, separated by commas, each with a name before it if wanted: till-7:ab12…
    (CHECKS_INTAKE_KEYS). Several at once allow a change of keys without a gap."""
    keyless: bool = False
    """Listen on CHECKS_HOST even without keys, because something in front keeps strangers out
    (CHECKS_INTAKE_KEYLESS=1): compose.yaml's inner network, with nginx published on the loopback."""
    rate_per_s: float = 200.0
    """Requests a second of one key or address (CHECKS_INTAKE_RATE_PER_S); 0: no limit; none on the loopback."""
    rate_burst: int = 1000
    """Requests that may come at once before the rate counts (CHECKS_INTAKE_RATE_BURST)."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose X-Forwarded-For is believed (CHECKS_INTAKE_TRUSTED_PROXIES, separated by commas)."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of pages that may call intake (CHECKS_INTAKE_ALLOWED_ORIGINS); none: no CORS headers at all."""
    log_level: str = "info"
    """debug, info, warning or error (CHECKS_LOG_LEVEL)."""
    log_requests: bool = False
    """Log every request, not only refused ones (CHECKS_INTAKE_LOG_REQUESTS=1). The journal has every check anyhow."""

    @property
    def listens_on(self) -> str:
        """The address that is really listened on."""
        return self.host if self.keys or self.keyless or is_loopback(self.host) else "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    if host in {"localhost", "localhost."}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class _Environment:
    """Reads typed values, and says what is wrong with them by name."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def number(self, name: str, default: N, least: N, most: N) -> N:
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        try:
            value = type(default)(text)
        except ValueError:
            raise SettingsError(f"{name}={text} is no number; give one from {least} to {most}") from None
        if not least <= value <= most:
            raise SettingsError(f"{name}={text} is out of bounds; give a number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        text = self._environ.get(name, "").strip().lower()
        if text in {"", "0", "false", "no"}:
            return False
        if text in {"1", "true", "yes"}:
            return True
        raise SettingsError(f"{name}={text} is neither 1 nor 0")

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for word in re.split(r"[,\s]+", self._environ.get(name, "")) if word)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        text = self.text(name, default).lower()
        if text not in choices:
            raise SettingsError(f"{name}={text} is none of {', '.join(choices)}")
        return text


def _keys(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if not re.fullmatch(r"(?:[\w.@-]{1,64}:)?[0-9a-fA-F]{64}", word):
            raise SettingsError(
                "CHECKS_INTAKE_KEYS holds SHA-256 hashes of keys, each 64 hex digits with an optional name and colon "
                "before it, not the keys themselves: make one with `python -m intake key`"
            )
    return words


def _networks(words: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(word, strict=False) for word in words)
    except ValueError as error:
        raise SettingsError(f"CHECKS_INTAKE_TRUSTED_PROXIES: {error}; give networks such as 172.16.0.0/12") from None


def _timezone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"CHECKS_TIMEZONE={name} is no IANA time zone; give one such as Europe/Moscow") from None


def _kafka_config(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError('CHECKS_KAFKA_CONFIG is no JSON object such as {"security.protocol": "SASL_SSL"}')
    return found


def _registry(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise SettingsError(f"CHECKS_REGISTRY_URL={url} is no http address")
    return url.rstrip("/")


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process. Raises SettingsError."""
    env = _Environment(environ)
    default = Settings()
    state = Path(env.text("CHECKS_STATE", str(CHECKOUT / "var"))).expanduser().absolute()
    checks_topic = env.text("CHECKS_CHECKS_TOPIC", default.checks_topic)
    rejected_topic = env.text("CHECKS_REJECTED_TOPIC", default.rejected_topic)
    limits = default.limits
    return Settings(
        host=env.text("CHECKS_HOST", default.host),
        port=env.number("CHECKS_INTAKE_PORT", default.port, 1, 65535),
        workers=env.number("CHECKS_INTAKE_WORKERS", default.workers, 1, 256),
        kafka=env.text("CHECKS_KAFKA", default.kafka),
        kafka_config=_kafka_config(env.text("CHECKS_KAFKA_CONFIG", "")),
        registry_url=_registry(env.text("CHECKS_REGISTRY_URL", default.registry_url)),
        checks_topic=checks_topic,
        rejected_topic=rejected_topic,
        checks_subject=env.text("CHECKS_CHECKS_SUBJECT", f"{checks_topic}-value"),
        rejected_subject=env.text("CHECKS_REJECTED_SUBJECT", f"{rejected_topic}-value"),
        partitions=env.number("CHECKS_PARTITIONS", 0, 0, 100_000) or None,
        schema_refresh_s=env.number("CHECKS_INTAKE_SCHEMA_REFRESH_S", default.schema_refresh_s, 0.05, 3600.0),
        timezone=_timezone(env.text("CHECKS_TIMEZONE", "UTC")),
        limits=Limits(
            max_items=env.number("CHECKS_INTAKE_MAX_ITEMS", limits.max_items, 1, 100_000),
            max_id_length=env.number("CHECKS_INTAKE_MAX_ID_LENGTH", limits.max_id_length, 1, 10_000),
            max_name_length=env.number("CHECKS_INTAKE_MAX_NAME_LENGTH", limits.max_name_length, 1, 10_000),
            max_text_length=env.number("CHECKS_INTAKE_MAX_TEXT_LENGTH", limits.max_text_length, 1, 100_000),
            # check_arrivals holds a check several times over, and its topic takes 8 MiB: 1 MiB is the most that fits.
            max_encoded_bytes=env.number("CHECKS_INTAKE_MAX_ENCODED_BYTES", limits.max_encoded_bytes, 256, 1_048_576),
            max_future_ms=env.number("CHECKS_INTAKE_MAX_FUTURE_MINUTES", limits.max_future_ms // 60_000, 0, 2880)
            * 60_000,
            max_age_ms=env.number("CHECKS_INTAKE_MAX_AGE_DAYS", limits.max_age_ms // DAY_MS, 1, 3650) * DAY_MS,
        ),
        max_check_bytes=env.number("CHECKS_INTAKE_MAX_CHECK_BYTES", default.max_check_bytes, 256, 4_194_304),
        max_batch_bytes=env.number("CHECKS_INTAKE_MAX_BATCH_BYTES", default.max_batch_bytes, 256, 1 << 40),
        max_unpacked_bytes=env.number("CHECKS_INTAKE_MAX_UNPACKED_BYTES", default.max_unpacked_bytes, 256, 1 << 40),
        max_batch_checks=env.number("CHECKS_INTAKE_MAX_BATCH_CHECKS", default.max_batch_checks, 1, 1 << 30),
        max_batches=env.number("CHECKS_INTAKE_MAX_BATCHES", default.max_batches, 1, 10_000),
        body_timeout_s=env.number("CHECKS_INTAKE_BODY_TIMEOUT_S", default.body_timeout_s, 0.1, 3600.0),
        queue_messages=env.number("CHECKS_INTAKE_QUEUE_MESSAGES", default.queue_messages, 1, 10_000_000),
        queue_bytes=env.number("CHECKS_INTAKE_QUEUE_BYTES", default.queue_bytes, 1_048_576, 2_000_000_000),
        delivery_timeout_s=env.number("CHECKS_INTAKE_DELIVERY_TIMEOUT_S", default.delivery_timeout_s, 0.5, 300.0),
        linger_ms=env.number("CHECKS_INTAKE_LINGER_MS", default.linger_ms, 0.0, 1000.0),
        compression=env.choice(
            "CHECKS_INTAKE_COMPRESSION", default.compression, ("none", "lz4", "zstd", "gzip", "snappy")
        ),
        journal_dir=Path(env.text("CHECKS_JOURNAL_DIR", str(state / "intake" / ".journal"))).expanduser().absolute(),
        journal_file_bytes=env.number("CHECKS_INTAKE_JOURNAL_FILE_BYTES", default.journal_file_bytes, 4096, 1 << 40),
        journal_files=env.number("CHECKS_INTAKE_JOURNAL_FILES", default.journal_files, 1, 100_000),
        journal_queue_bytes=env.number("CHECKS_INTAKE_JOURNAL_QUEUE_BYTES", default.journal_queue_bytes, 4096, 1 << 34),
        metrics_dir=state / "intake" / f"metrics-{env.number('CHECKS_INTAKE_PORT', default.port, 1, 65535)}",
        keys=_keys(env.words("CHECKS_INTAKE_KEYS")),
        keyless=env.flag("CHECKS_INTAKE_KEYLESS"),
        rate_per_s=env.number("CHECKS_INTAKE_RATE_PER_S", default.rate_per_s, 0.0, 1e6),
        rate_burst=env.number("CHECKS_INTAKE_RATE_BURST", default.rate_burst, 1, 10_000_000),
        trusted_proxies=_networks(env.words("CHECKS_INTAKE_TRUSTED_PROXIES")),
        allowed_origins=env.words("CHECKS_INTAKE_ALLOWED_ORIGINS"),
        log_level=env.choice("CHECKS_LOG_LEVEL", default.log_level, ("debug", "info", "warning", "error")),
        log_requests=env.flag("CHECKS_INTAKE_LOG_REQUESTS"),
    )
