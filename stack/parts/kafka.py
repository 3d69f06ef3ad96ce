"""The broker: one node that is its own controller."""

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from functools import cache
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.downloads import Installed
from stack.parts.base import NotReadyError, Part, PrepareError
from stack.parts.java import java, properties
from stack.settings import Settings


def part(settings: Settings, installed: Installed) -> Part:
    """The broker as a part of the stack."""
    home = settings.state / "kafka"
    config = home / "server.properties"
    classpath = f"{installed.kafka_jars}/*"
    jvm = [*java(installed, "kafka", 512, "-Djava.net.preferIPv4Stack=true"), "-cp", classpath]

    def prepare() -> None:
        properties(config, server_properties(settings, home / "data"))
        format_storage(settings, installed, home)

    return Part(
        name="kafka",
        command=[*jvm, "kafka.Kafka", str(config)],
        cwd=home,
        ports=("kafka", "kafka_controller"),
        prepare=prepare,
        ready=lambda: broker_answers_metadata(settings.kafka),
        stop_limit_s=30,
        stop_wave=2,
    )


def server_properties(settings: Settings, data: Path) -> dict[str, object]:
    """The broker's settings, each for one machine with one broker."""
    host, controller = settings.host, settings.ports["kafka_controller"]
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{host}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{settings.kafka},CONTROLLER://{host}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{settings.kafka}",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 10,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 10,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        # a lone voter has nobody to wait for; a killed broker may register again as soon as its JVM is up
        "controller.quorum.election.timeout.ms": 100,
        "broker.session.timeout.ms": 6_000,
        # a windowed table's topic carries the check's own time; a clock may be wrong by a day or two
        "message.timestamp.after.max.ms": 48 * 3_600_000,
        # an accepted check may be 256 KiB and is held several times over in check_arrivals
        "message.max.bytes": 8 * 1024 * 1024,
        "replica.fetch.max.bytes": 8 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.segment.bytes": 256 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
        "offsets.retention.minutes": 365 * 24 * 60,
        "log.cleaner.threads": 1,
    }


def format_storage(settings: Settings, installed: Installed, home: Path) -> None:
    """Makes the broker's data folder, whole or not at all. Raises PrepareError."""
    data, draft, config = home / "data", home / "data.new", home / "format.properties"
    if data.exists():
        return
    shutil.rmtree(draft, ignore_errors=True)  # left by a start that was cut off
    properties(config, server_properties(settings, draft))
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    jvm = [*java(installed, "kafka-format", 128, light=True), "-cp", f"{installed.kafka_jars}/*"]
    command = [*jvm, "kafka.tools.StorageTool", "format", "-t", cluster_id.replace("-", "A", 1), "-c", str(config)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if result.returncode != 0 or not (draft / "meta.properties").exists():
        raise PrepareError(f"Kafka could not format {draft}: {(result.stderr or result.stdout).strip()[-400:]}")
    os.sync()
    draft.rename(data)


def broker_answers_metadata(address: str) -> None:
    """Proves that the broker is registered with its controller and answers clients. Raises NotReadyError."""
    try:
        metadata = admin(address).list_topics(timeout=3)
    except KafkaException as error:
        raise NotReadyError(f"broker at {address}: {error.args[0].str()}") from error
    if not metadata.brokers:
        raise NotReadyError(f"broker at {address} names no brokers")


@cache
def admin(address: str) -> AdminClient:
    """An administration client of this process; silent, as its callers report failures themselves."""
    return AdminClient(
        {"bootstrap.servers": address, "log_level": 0, "socket.timeout.ms": 5000, "reconnect.backoff.max.ms": 500}
    )
