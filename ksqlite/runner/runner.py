"""The loop that feeds the engine and commits what it makes of it."""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ksqlite import ast
from ksqlite.engine.api import EngineApi, Environment, Input, QueryInfo, QueryState
from ksqlite.engine.murmur import murmur2
from ksqlite.errors import KsqlError, TopicError
from ksqlite.runner.changelogs import ChangelogStores, Drained
from ksqlite.runner.commands import Command, CommandLog
from ksqlite.runner.failures import STEADY_S, Failures, is_outside
from ksqlite.runner.feed import Feed, Run
from ksqlite.runner.log import TopicLog
from ksqlite.runner.metrics import Metrics
from ksqlite.runner.positions import PositionLog, StateFormatError
from ksqlite.runner.reading import Place
from ksqlite.runner.settings import RunnerSettings
from ksqlite.runner.topics import KafkaTopics
from ksqlite.runner.transactions import FencedError, Transactions
from ksqlite.state.database import Database
from ksqlite.statements import NewRecord, changes

_T = TypeVar("_T")
_log = logging.getLogger("ksqlite.runner")

IDLE_S = 0.05
SLICE_S = 0.02
"""How long the loop looks for records before it looks after calls."""
GATHER_SHARE = 0.7
"""The part of the commit interval for which records are gathered; the rest is for working and committing."""
HOLD_S = 0.25
"""How long nothing is read after a statement that starts or ends a query."""
SIZES_S = 15.0
"""How old figures of the stores' sizes may be."""
SHOW_S = 5.0
"""How old the positions may be that tools see in the consumer group."""
COLLECT_S = 60.0
"""How often Python's cycle collector runs, in a quiet moment."""
PROVEN_S = 2.0
"""How long a session must run, at least, before what ended the ones before it counts as past."""
CLOSE_TO_END = 20_000
"""A query that lags by no more records than this catches up in one go and is attached."""


class StoppedError(Exception):
    """The runner does not take calls any more."""


class StatementError(Exception):
    """A statement that was accepted once breaks the server when it is run again."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What SET and DEFINE said: it is in no topic, and must outlive a session that fails between two statements."""

    properties: Mapping[str, str]
    variables: Mapping[str, str]


class Session:
    """The graph from one start to the next error: engine, positions, feeds, one transactional producer."""

    def __init__(
        self,
        settings: RunnerSettings,
        make_engine: Callable[[Environment], EngineApi],
        registry: Any,  # noqa: ANN401 - a SchemaRegistry
        server_settings: Mapping[str, Any],
        metrics: Metrics,
        *,
        carried: Carried | None = None,
        failed: dict[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.topics = KafkaTopics(settings)
        self.topics.refresh()
        self.commands = CommandLog(settings, self.topics)
        self.position_log = PositionLog(settings, self.topics)
        self.log = TopicLog(settings)
        self.topics.create_all([self.commands.prepare(), self.position_log.prepare(), self.log.prepare()])
        self.transactions = Transactions(settings)
        self.database: Database | None = None
        self.feed: Feed | None = None
        self.history: dict[str, Feed] = {}
        self.failed = failed if failed is not None else {}
        """Queries in ERROR and why; a statement that gives one another state takes it out."""
        self.commits = 0
        self._committer = ThreadPoolExecutor(1, "ksqlite-commit")
        self.restored = 0
        """Changelog records that were read to bring the database up to date."""
        try:
            self.transactions.initialise()
            self.positions = self.position_log.read()
            self.database = Database(Path(settings.state_dir) / "state")
            self.stores = ChangelogStores(settings, self.topics, self.database)
            self.engine = make_engine(
                Environment(
                    topics=self.topics,
                    stores=self.stores,
                    registry=registry,
                    log=self.log,
                    counters=metrics,
                    settings=server_settings,
                )
            )
            self._replay()
            if carried is not None:
                self.engine.catalog.properties.update(carried.properties)
                self.engine.catalog.variables.update(carried.variables)
            self._fail()
            self._reconcile()
            self.stores.bury()
        except BaseException:
            self.close()
            raise
        self._since: float | None = None
        self._records = 0
        self._gathered: list[Run] = []
        self._gathered_by: dict[Place, list[Any]] = {}
        self._gathered_count = 0
        self._gathered_since = 0.0
        self._shown = time.monotonic()
        self._is_shown = True
        self._held_until = 0.0
        self._sizes: tuple[float, list[tuple[str, str, int]]] | None = None
        self._in_flight: tuple[Future[None], Drained, float] | None = None
        self._broken: BaseException | None = None

    def close(self) -> None:
        """Lets go of everything; what was not committed is given up."""
        parts = [feed.close for feed in (self.feed, *self.history.values()) if feed is not None]
        parts += [self._committer.shutdown, self.transactions.abort, self.transactions.close]
        if self.database is not None:
            parts.append(self.database.close)
        for part in parts:
            try:
                part()
            except Exception as problem:  # noqa: BLE001 - the rest must be closed all the same
                _log.info("while closing: %s", problem)

    # ------------------------------------------------------------------------------------------------------- statements

    def _replay(self) -> None:
        from ksqlite.parser import parse  # noqa: PLC0415 - a server without statements does not need it yet

        self.topics.replaying = True
        self.engine.catalog.replaying = True
        for command in self.commands.read():
            self.engine.catalog.give_query_number(command.number)
            try:
                for located in parse(command.text):
                    self.engine.execute(located, command.properties)
            except TopicError:
                raise  # Kafka's trouble, not the statement's: without its query, the query's positions would be lost
            except KsqlError as problem:
                _log.error("statement %s does not run any more: %s\n%s", command.number, problem, command.text)
            except Exception as problem:
                if is_outside(problem):
                    raise
                what = f"statement {command.number} breaks the server: {type(problem).__name__}: {problem}"
                raise StatementError(f"{what}\n{command.text}") from problem
        self.engine.catalog.give_query_number(None)
        self.engine.catalog.replaying = False
        self.topics.replaying = False

    def _fail(self) -> None:
        """Sets queries to ERROR that had ended earlier sessions."""
        known = {info.query_id for info in self.engine.queries()}
        for query_id in list(self.failed):
            if query_id in known:
                self.engine.fail(query_id, self.failed[query_id])
            else:
                del self.failed[query_id]

    def execute(self, located: ast.Located, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a statement between two transactions and, when it is one to remember, writes it down."""
        self.commit()
        if not changes(located.statement):
            entity = self.engine.execute(located, properties)
            self._since = self._since or time.monotonic()
            return entity
        before = {info.query_id for info in self.engine.queries()}
        in_force = {**self.engine.catalog.properties, **properties}
        number = self.commands.next_number()
        self.engine.catalog.give_query_number(number)
        try:
            entity = self.engine.execute(located, properties)
        finally:
            self.engine.catalog.give_query_number(None)
        text = located.text.rstrip().rstrip(";") + ";"
        if isinstance(located.statement, ast.CreateSource):
            # with the columns that came from the registry: it may have others at the next start
            text = self.engine.catalog.require(located.statement.name).statement
        command = Command(number, text, in_force, _command_key(located))
        for query_id in list(self.failed):
            if self.engine.state(query_id) is not QueryState.ERROR:
                del self.failed[query_id]
        try:
            self._reconcile()
            after = {info.query_id for info in self.engine.queries()}
            for query_id in before - after:
                self.metrics.forget(query_id)
            self.transactions.begin()
            self.transactions.send_to(self.commands.topic, 0, [command.record()])
            self.commit()
            self.commands.appended()
            self.stores.bury()
            self.topics.bury()
        except BaseException as problem:
            # the engine has the statement, the command topic has not: only a new session knows which is right
            self._broken = problem
            raise
        if after != before:
            # statements come in files: queries that begin together need not catch up with one another
            self._held_until = time.monotonic() + HOLD_S
        return entity

    def insert(self, record: NewRecord) -> bool:
        """Writes a record of INSERT … VALUES where the graph passes its topic's records on in memory.

        Gives False, having done nothing, where it would be read from Kafka like any other.
        """
        if record.topic in self.engine.source_topics() or not self.engine.readers(record.topic):
            return False
        self.commit()
        count = self.topics.partitions(record.topic) or 1
        partition = murmur2(record.key) % count if record.key is not None else 0
        self.engine.process(record.topic, partition, [Input(record.key, record.value, record.timestamp, -1)])
        self._count(1)
        self.transactions.begin()
        self.transactions.send(record.topic, [(record.key, record.value, record.timestamp, None, partition)])
        self.commit()
        return True

    # -------------------------------------------------------------------------------------------------------- positions

    def _running(self) -> list[QueryInfo]:
        return [info for info in self.engine.queries() if self.engine.state(info.query_id) is QueryState.RUNNING]

    def _places(self, topic: str) -> list[Place]:
        return [(topic, partition) for partition in range(self.topics.partitions(topic) or 0)]

    def _reconcile(self) -> None:
        """Brings positions and feeds in line with the engine's queries. Only between transactions."""
        queries = {info.query_id: info for info in self.engine.queries()}
        self.restored += self.stores.prepare(
            [
                (info.query_id, spec, partition)
                for info in queries.values()
                for spec in info.stores
                for partition in range(info.partitions)
            ]
        )
        sources = self.engine.source_topics()
        positions = self.positions
        for query_id in [known for known in positions.queries if known not in queries]:
            del positions.queries[query_id]
        # topics that the graph reads from Kafka now, and did not before because one of its queries wrote them
        known_topics = {topic for topic, _ in positions.sources}
        fresh = [topic for topic in sources if topic not in known_topics]
        read_before = {topic for query in positions.attached() for topic in queries[query].topics}
        for topic in fresh:
            if topic in read_before:
                positions.sources.update(self.topics.settled_ends(self._places(topic)))
        for info in queries.values():
            state = self.engine.state(info.query_id)
            if info.query_id not in positions.queries:
                positions.queries[info.query_id] = self._start(info, sources)
            elif state in {QueryState.PAUSED, QueryState.ERROR} and positions.queries[info.query_id] is None:
                positions.queries[info.query_id] = self._now(info.topics)
        self._release(queries, sources)
        self._attach_feeds()

    def _release(self, queries: Mapping[str, QueryInfo], sources: frozenset[str]) -> None:
        """Lets go of topics that are not read from Kafka any more.

        Where a query writes such a topic from now on, its readers get the new records in memory, and what was there
        before as history.
        """
        positions = self.positions
        gone = sorted({topic for topic, _ in positions.sources if topic not in sources})
        for topic in gone:
            places = {place: positions.sources[place] for place in self._places(topic) if place in positions.sources}
            readers = [query for query in positions.attached() if query in queries and topic in queries[query].topics]
            if readers:
                ends = self.topics.settled_ends(list(places))
                for query_id in readers if any(places[place] < ends[place] for place in places) else ():
                    others = tuple(each for each in queries[query_id].topics if each != topic)
                    positions.queries[query_id] = {**self._now(others), **places}
        for place in [place for place in positions.sources if place[0] in gone]:
            del positions.sources[place]

    def _now(self, topics: tuple[str, ...]) -> dict[Place, int]:
        """Where the graph stands in some topics."""
        made = {}
        for topic in topics:
            places = self._places(topic)
            own = {place: self.positions.sources[place] for place in places if place in self.positions.sources}
            made.update(own if len(own) == len(places) else self.topics.settled_ends(places))
        return made

    def _start(self, info: QueryInfo, sources: frozenset[str]) -> dict[Place, int] | None:
        """Where a new query begins: None when that is where the graph stands."""
        places = [place for topic in info.topics for place in self._places(topic)]
        starts = self.topics.end_offsets(places, earliest=info.offset_reset == "earliest")
        now = {}
        for topic in info.topics:
            mine = {place: starts[place] for place in self._places(topic)}
            if topic in sources and not any(place in self.positions.sources for place in mine):
                self.positions.sources.update(mine)  # nobody reads it yet: the graph begins where this query does
            now.update(self._now((topic,)))
        return None if all(starts[place] >= now[place] for place in places) else starts

    def _attach_feeds(self) -> None:
        merge = any(
            sum(topic in self.engine.source_topics() for topic in info.topics) > 1 for info in self.engine.queries()
        )
        if self.feed is None:
            self.feed = Feed(self.settings, self.positions.sources, merge=merge)
        else:
            self.feed.merge = self.feed.merge or merge
            self.feed.remove([place for place in self.feed.positions if place not in self.positions.sources])
            self.feed.add(self.positions.sources)
        behind = {query for query, places in self.positions.queries.items() if places is not None}
        self.engine.detach(frozenset(behind))
        running = {info.query_id for info in self._running()}
        for query_id in [query for query in self.history if query not in behind or query not in running]:
            self.history.pop(query_id).close()
        for query_id in behind & running:
            places = self.positions.queries[query_id]
            if query_id not in self.history and places is not None:
                several = len({topic for topic, _ in places}) > 1
                self.history[query_id] = Feed(self.settings, places, merge=several)

    def store_sizes(self) -> list[tuple[str, str, int]]:
        """Query, store and bytes of each store; looked at once in a while, for it takes long."""
        now = time.monotonic()
        if self._sizes is None or now - self._sizes[0] > SIZES_S:
            self._sizes = (now, list(self.stores.sizes()))
        return self._sizes[1]

    # ------------------------------------------------------------------------------------------------------------- work

    def step(self) -> None:
        """Reads what is there, runs it through the queries, commits when it is time."""
        settings, feed = self.settings, self.feed
        if self._broken is not None or feed is None:
            raise RuntimeError(f"the session cannot go on: {self._broken}")
        if (held_s := self._held_until - time.monotonic()) > 0:
            time.sleep(min(held_s, 0.005))
            return
        self._gather(feed.poll(settings.batch_records, 0 if self.history else SLICE_S))
        gather_s = settings.commit_interval_ms / 1000 * GATHER_SHARE
        full = self._gathered_count >= settings.batch_records
        if full or self.history or (self._gathered and time.monotonic() - self._gathered_since >= gather_s):
            self._work()
        for query_id, behind in list(self.history.items()):
            places = self.positions.queries[query_id]
            for (topic, partition), records in behind.poll(settings.batch_records, SLICE_S):
                self.engine.process(topic, partition, records, frozenset((query_id,)))
                full = full or len(records) >= settings.batch_records // 4
                self._count(len(records))
                if places is not None:
                    places[topic, partition] = records[-1][3] + 1
        self._send()
        if self._since is not None:
            # what lags is not late: longer transactions coalesce more
            due_s = settings.commit_interval_ms / 1000 * settings.busy_factor if full else 0.0
            if time.monotonic() - self._since >= due_s or self._records >= settings.transaction_records:
                self.commit(wait=bool(self.history))
                self._catch_up()
        elif self.history:
            self._settle()
            self._catch_up()
        else:
            self._settle(only_if_done=True)
            self._show()

    def _gather(self, runs: list[Run]) -> None:
        """Keeps records until they are worth a round through the graph, or have waited long enough."""
        if not runs:
            return
        if not self._gathered:
            self._gathered_since = time.monotonic()
        for place, records in runs:
            there = self._gathered_by.get(place)
            if there is None or (self.feed is not None and self.feed.merge):
                self._gathered.append((place, records))
                self._gathered_by[place] = records
            else:
                there.extend(records)
            self._gathered_count += len(records)

    def _work(self) -> None:
        """Runs what was gathered through the graph."""
        runs, self._gathered, self._gathered_by, self._gathered_count = self._gathered, [], {}, 0
        for place, records in runs:
            self.engine.process(*place, records)
            self.positions.sources[place] = records[-1][3] + 1
            self._count(len(records))
        self._send()

    def _count(self, records: int) -> None:
        self._records += records
        self._since = self._since or time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether everything that was read is committed."""
        return self._since is None and self._in_flight is None and not self._gathered

    def _send(self) -> None:
        outputs = self.engine.take_outputs()
        if outputs:
            self._settle()
        for topic, records in outputs.items():
            if records:
                self.transactions.begin()
                self.transactions.send(topic, records)

    def commit(self, *, wait: bool = True) -> None:
        """Commits all that was done since the last time; nothing when there is nothing.

        Without ``wait`` Kafka's answer is awaited beside the next batch, whose records go into the next transaction.
        """
        self._work()
        self._settle()
        if self._since is None and not self.transactions.is_open:
            return
        began = time.monotonic()
        transactions = self.transactions
        self.engine.flush()
        self._send()
        self.stores.sweep()
        transactions.begin()
        drained = self.stores.drain()
        for opened, written in drained:
            transactions.send_to(opened.topic, opened.partition, written)
        entries = self.log.take()
        if entries:
            transactions.send_to(self.log.topic, 0, [(None, entry) for entry in entries])
        transactions.send_to(self.position_log.topic, 0, [(PositionLog.KEY, self.positions.encode())])
        self._since = None
        self._records = 0
        self._in_flight = (self._committer.submit(transactions.commit), drained, began)
        if wait:
            self._settle()

    def _settle(self, *, only_if_done: bool = False) -> None:
        """Waits for the commit that is under way, and keeps its state on disk."""
        if self._in_flight is None:
            return
        future, drained, began = self._in_flight
        if only_if_done and not future.done():
            return
        future.result()
        self._in_flight = None
        self.stores.settle(drained)
        self.commits += 1
        self.metrics.committed(time.monotonic() - began)
        self._is_shown = False
        self._show()

    def _show(self) -> None:
        """Tells the consumer group the positions, once in a while; the last ones too when nothing comes any more."""
        now = time.monotonic()
        if not self._is_shown and now - self._shown > SHOW_S and self.feed is not None:
            self._shown, self._is_shown = now, True
            self.feed.show()

    def _catch_up(self) -> None:
        """Attaches queries that are close to where the graph stands, after reading what they lack."""
        for query_id, behind in list(self.history.items()):
            places = self.positions.queries[query_id]
            info = next(info for info in self.engine.queries() if info.query_id == query_id)
            if places is None:
                continue
            now = self._now(info.topics)
            if not behind.at_end and sum(max(0, now[place] - places[place]) for place in places) > CLOSE_TO_END:
                continue
            last = Feed(self.settings, places, merge=behind.merge)
            try:
                self._finish(query_id, last, places, now)
            finally:
                last.close()
            self.positions.queries[query_id] = None
            self._since = self._since or time.monotonic()
            self._attach_feeds()
            self.commit()
            _log.info("query %s has caught up", query_id)

    def _finish(self, query_id: str, feed: Feed, places: dict[Place, int], now: Mapping[Place, int]) -> None:
        only = frozenset((query_id,))
        limit = time.monotonic() + 60
        while not feed.at_end and any(feed.positions[place] < now[place] for place in places):
            for (topic, partition), records in feed.poll(self.settings.batch_records, IDLE_S):
                upto = now[topic, partition]
                wanted = [record for record in records if record[3] < upto]
                if wanted:
                    self.engine.process(topic, partition, wanted, only)
                    self._since = self._since or time.monotonic()
                    self._send()
            if time.monotonic() > limit:
                raise TopicError(f"{query_id} does not reach the end of its topics")
        places.update(now)


def _command_key(located: ast.Located) -> str:
    """The id that ksqlDB gives to the command of a statement."""
    statement = located.statement
    if isinstance(statement, (ast.CreateSource, ast.CreateAsSelect)):
        return f"{'table' if statement.is_table else 'stream'}/`{statement.name}`/create"
    if isinstance(statement, ast.DropSource):
        return f"{'table' if statement.is_table else 'stream'}/{statement.name}/drop"
    if isinstance(statement, ast.InsertInto):
        return f"stream/`{statement.target}`/create"
    if isinstance(statement, ast.QueryControl):
        return f"terminate/{statement.query_id or 'ALL'}/execute"
    return f"{type(statement).__name__.lower()}/execute"


class Runner:
    """Runs sessions in a thread of its own, one after the other when Kafka fails; takes calls from others.

    ``ready`` is set while statements are taken. ``problem`` says in one line why it is not running, or is None.
    """

    def __init__(
        self,
        settings: RunnerSettings,
        make_engine: Callable[[Environment], EngineApi],
        registry: Any,  # noqa: ANN401 - a SchemaRegistry
        server_settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.ready = threading.Event()
        self.stopped = threading.Event()
        self.problem: str | None = "starting"
        self.fenced = False
        self.refused = False
        """What is in Kafka is of another version: it will be no better next time."""
        self.failures = Failures()
        self._carried: Carried | None = None
        self._make: Callable[[], Session] = lambda: Session(
            settings,
            make_engine,
            registry,
            server_settings or {},
            self.metrics,
            carried=self._carried,
            failed=self.failures.queries,
        )
        self._session: Session | None = None
        self._calls: queue.SimpleQueue[tuple[Callable[[Session], Any], Future[Any]]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ksqlite-runner", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Commits, lets go of everything, ends the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    # ------------------------------------------------------------------------------------------------------- for others

    def submit(self, call: Callable[[Session], _T]) -> Future[_T]:
        """Has something done between two batches, by the runner's thread."""
        future: Future[_T] = Future()
        if self.stopped.is_set():
            future.set_exception(StoppedError(self.problem or "the server has stopped"))
        else:
            self._calls.put((call, future))
        return future

    def call(self, call: Callable[[EngineApi], _T], timeout_s: float = 60.0) -> _T:
        """Has something done with the engine between two batches; for reading."""
        return self.submit(lambda session: call(session.engine)).result(timeout_s)

    def execute(
        self, located: ast.Located, properties: Mapping[str, Any] | None = None, timeout_s: float = 120.0
    ) -> dict[str, Any]:
        """Runs one statement; a KsqlError of it is raised here. Survives restarts when it returned."""
        return self.submit(lambda session: session.execute(located, properties or {})).result(timeout_s)

    def lags(self) -> list[tuple[str, str, int]]:
        """Query, topic and records that the query has not read yet."""
        return self.submit(_lags).result(10)

    def metrics_text(self) -> str:
        """All figures in Prometheus' format."""
        if not self.ready.is_set():
            return self.metrics.text((), (), ())
        return self.submit(
            lambda session: self.metrics.text(
                _lags(session),
                session.store_sizes(),
                [(info.query_id, session.engine.state(info.query_id).value) for info in session.engine.queries()],
            )
        ).result(10)

    # ------------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        # Rows are no cycles, and there are very many of them: looking for cycles took 40 % of the time.
        gc.disable()
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            try:
                self._session = self._make()
                self._work(self._session, pause_s)
            except (FencedError, StateFormatError) as problem:
                self.fenced = isinstance(problem, FencedError)
                self.refused = not self.fenced
                what = "another server has taken over: " if self.fenced else ""
                self.problem = f"service id {self.settings.service_id}: {what}{problem}"
                _log.error("%s", self.problem)
                break
            except Exception as problem:  # noqa: BLE001 - whatever it was, the next session starts from what is committed
                pause_s = self._note(problem)
            finally:
                self.ready.clear()
                self._let_go()
            # the session is in cycles with its queries, and no collector runs by itself
            gc.collect()
        gc.enable()
        self.stopped.set()
        while True:
            try:
                _, future = self._calls.get_nowait()
            except queue.Empty:
                break
            future.set_exception(StoppedError(self.problem or "the server has stopped"))

    def _work(self, session: Session, pause_s: float) -> None:
        """Runs a session until the server stops. ``pause_s``: how long the server paused before it."""
        began = collected = time.monotonic()
        if not self.failures.in_a_row:
            self.problem = None
        self.ready.set()
        while not self._stopping.is_set():
            self._serve(session)
            session.step()
            now = time.monotonic()
            waited_s = now - collected
            if waited_s > COLLECT_S and (session.idle or waited_s > 10 * COLLECT_S):
                gc.collect()
                collected = now
            if self.failures.in_a_row:
                if self.problem is not None and now - began > max(PROVEN_S, pause_s):
                    self.problem = None
                if now - began > STEADY_S:
                    self.failures.did_well()
                    self.metrics.failures_in_a_row = 0
        session.commit()

    def _note(self, problem: Exception) -> float:
        """Takes in what ended a session; gives the pause before the next, in seconds."""
        committed = self._session is not None and self._session.commits > 0
        failure = self.failures.count(problem, committed=committed)
        self.problem = failure.reason
        self.metrics.restarts += 1
        self.metrics.failures_in_a_row = self.failures.in_a_row
        told = "the graph is started anew in %.1f s: %s (%d)"
        _log.error(told, failure.pause_s, failure.reason, failure.count, exc_info=failure.count == 1)
        return failure.pause_s

    def _let_go(self) -> None:
        if self._session is not None:
            catalog = self._session.engine.catalog
            self._carried = Carried(dict(catalog.properties), dict(catalog.variables))
            self._session.close()
            self._session = None

    def _serve(self, session: Session) -> None:
        while True:
            try:
                call, future = self._calls.get_nowait()
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call(session))
            except KsqlError as refusal:
                future.set_exception(refusal)
            except BaseException as problem:
                future.set_exception(problem)
                raise


def _lags(session: Session) -> list[tuple[str, str, int]]:
    per_topic: dict[str, int] = {}
    if session.feed is not None:
        for (topic, _), lag in session.feed.lags().items():
            per_topic[topic] = per_topic.get(topic, 0) + lag
    made: list[tuple[str, str, int]] = []
    for info in session.engine.queries():
        behind = session.history.get(info.query_id)
        own: dict[str, int] = {}
        for (topic, _), lag in behind.lags().items() if behind is not None else ():
            own[topic] = own.get(topic, 0) + lag
        made.extend((info.query_id, topic, own.get(topic, per_topic.get(topic, 0))) for topic in info.topics)
    return made
