"""Kafka Connect: one worker in distributed mode, which runs the JDBC sink connectors."""

from collections.abc import Mapping

from stack.downloads import Installed
from stack.parts.base import NotReadyError, Part, http_answers, own_environment
from stack.parts.java import java, properties
from stack.settings import Settings

MAIN_CLASS = "org.apache.kafka.connect.cli.ConnectDistributed"
SINK_CLASS = "io.debezium.connector.jdbc.JdbcSinkConnector"


def part(settings: Settings, installed: Installed, values: Mapping[str, str]) -> Part:
    """The Connect worker as a part of the stack."""
    home = settings.state / "connect"
    config = home / "connect.properties"
    jvm = java(installed, "connect", 768, "-Djava.net.preferIPv4Stack=true")
    return Part(
        name="connect",
        command=[
            *jvm,
            "-cp",
            f"{installed.kafka_jars}/*",
            "org.apache.kafka.connect.cli.ConnectDistributed",
            str(config),
        ],
        # the connectors read the database's address and password from here, so that no JSON file holds them
        environment=own_environment(settings, values, "CHECKS_SINK_URL", "CHECKS_SINK_USER", "CHECKS_SINK_PASSWORD"),
        cwd=home,
        ports=("connect",),
        prepare=lambda: properties(config, worker_properties(settings, installed)),
        ready=lambda: worker_has_joined_and_knows_the_sink(settings.connect_url),
        stop_limit_s=30,
        stop_wave=1,
    )


def worker_properties(settings: Settings, installed: Installed) -> dict[str, object]:
    """The worker's settings; the connectors' own stand in `connectors/`."""
    return {
        "bootstrap.servers": settings.kafka,
        "group.id": "checks-connect",
        "listeners": f"http://{settings.host}:{settings.ports['connect']}",
        "rest.advertised.host.name": settings.host,
        "rest.advertised.port": settings.ports["connect"],
        "config.storage.topic": "_connect_configs",
        "offset.storage.topic": "_connect_offsets",
        "status.storage.topic": "_connect_status",
        "config.storage.replication.factor": 1,
        "offset.storage.replication.factor": 1,
        "status.storage.replication.factor": 1,
        "offset.storage.partitions": 1,
        "status.storage.partitions": 1,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "io.apicurio.registry.utils.converter.AvroConverter",
        "value.converter.apicurio.registry.url": settings.registry_native_url,
        "value.converter.apicurio.registry.as-confluent": "true",
        "value.converter.apicurio.registry.headers.enabled": "false",
        "value.converter.apicurio.registry.use-id": "contentId",
        # a schema id never changes its meaning: an outage of the registry must not send good records to the DLQ
        "value.converter.apicurio.registry.check-period-ms": 86_400_000,
        "plugin.path": installed.plugins,
        "plugin.discovery": "service_load",
        "connector.client.config.override.policy": "All",
        "config.providers": "env",
        "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        "config.providers.env.param.allowlist.pattern": "CHECKS_SINK_.*",
        # a rebuild and scripts/status wait for these commits
        "offset.flush.interval.ms": 1_000,
        "consumer.max.partition.fetch.bytes": 8 * 1024 * 1024,
        "consumer.fetch.max.wait.ms": 100,
        "producer.max.request.size": 8 * 1024 * 1024,
        # a lone worker need not wait for others that left
        "scheduled.rebalance.max.delay.ms": 0,
        "session.timeout.ms": 10_000,
    }


def worker_has_joined_and_knows_the_sink(url: str) -> None:
    """Proves that the worker has joined its group, read its topics and loaded the JDBC plugin. Raises NotReadyError."""
    http_answers(f"{url}/connectors")
    plugins = {plugin["class"] for plugin in http_answers(f"{url}/connector-plugins").json()}
    if SINK_CLASS not in plugins:
        raise NotReadyError(f"Connect does not know {SINK_CLASS}, only {', '.join(sorted(plugins))}")
