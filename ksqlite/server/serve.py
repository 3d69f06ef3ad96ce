"""``python -m ksqlite serve``: the REST API over a runner, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

from ksqlite import parser
from ksqlite.engine.engine import Engine
from ksqlite.runner.settings import RunnerSettings
from ksqlite.server.app import App
from ksqlite.server.http import HttpServer
from ksqlite.server.kafka import KafkaBackend
from ksqlite.settings import Settings, SettingsError, read_settings

_log = logging.getLogger("ksqlite")

PROCESSING_LOG = """CREATE STREAM IF NOT EXISTS KSQL_PROCESSING_LOG (LOGGER STRING, LEVEL STRING, TIME BIGINT,
MESSAGE STRUCT<TYPE INTEGER,
DESERIALIZATIONERROR STRUCT<TARGET STRING, ERRORMESSAGE STRING, RECORDB64 STRING, CAUSE ARRAY<STRING>, `topic` STRING>,
RECORDPROCESSINGERROR STRUCT<ERRORMESSAGE STRING, RECORD STRING, CAUSE ARRAY<STRING>>,
PRODUCTIONERROR STRUCT<ERRORMESSAGE STRING>,
SERIALIZATIONERROR STRUCT<TARGET STRING, ERRORMESSAGE STRING, RECORD STRING, CAUSE ARRAY<STRING>, `topic` STRING>,
KAFKASTREAMSTHREADERROR STRUCT<ERRORMESSAGE STRING, THREADNAME STRING, CAUSE ARRAY<STRING>>>)
WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON')"""


def main(_arguments: list[str] | None = None) -> int:
    """Runs the server; gives the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        settings = read_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return asyncio.run(_serve(settings))


def _declare(settings: Settings, engine: Engine) -> None:
    """The stream of the processing log is always there, as a ksqlDB server makes it."""
    text = PROCESSING_LOG.format(topic=f"{settings.service_id}ksql_processing_log")
    engine.execute(parser.parse(f"{text};")[0])


async def _serve(settings: Settings) -> int:
    runner_settings = RunnerSettings(
        bootstrap=settings.kafka,
        service_id=settings.service_id,
        state_dir=Path(settings.state_dir),
        commit_interval_ms=settings.commit_interval_ms,
        replicas=settings.replicas,
    )
    backend = KafkaBackend(
        runner_settings, settings.registry_url, settings.properties, lambda engine: _declare(settings, engine)
    )
    app = App(
        backend,
        service_id=settings.service_id,
        credentials=settings.credentials,
        clock_ms=lambda: time.time_ns() // 1_000_000,
    )
    backend.push_texts = app.queries.texts
    server = HttpServer(app, lambda error: _log.error("a request failed", exc_info=error))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        port = await server.start(settings.host, settings.port)
    except OSError as error:
        _log.error("cannot listen on %s:%s: %s", settings.host, settings.port, error.strerror or error)
        return 1
    backend.runner.start()
    _log.info("listening on http://%s:%s, Kafka at %s", settings.host, port, settings.kafka)
    ended = asyncio.create_task(asyncio.to_thread(backend.runner.stopped.wait))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    fenced, refused = backend.runner.fenced, backend.runner.refused
    stopping.cancel()
    await server.stop()
    await asyncio.to_thread(backend.runner.stop)
    await ended
    return 3 if fenced else 4 if refused else 0
