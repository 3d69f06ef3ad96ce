"""Runs the cases of ksql/tests against the pipeline's own files, in memory.

A case is in ksqlDB's own test-case form, without ``statements``: it gets those of the pipeline that its outputs need.
Only the topics that its outputs name are looked at. Every update is let out, as if no query had a cache, so that a case
shows each step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ksql.console import complain, say, say_json, table
from ksql.errors import FileError, ToolError
from ksql.files import Pipeline, read_pipeline
from ksql.lint.analysis import analyse
from ksql.settings import Settings
from ksqlite.testing.cases import Case, read
from ksqlite.testing.run import outputs_of, run_case
from schemas.files import read_schemas

_CACHE = "cache.max.bytes.buffering"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case went."""

    file: str
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the cases look at: of each object that writes a topic, its columns that some case expects a value in."""

    name: str
    columns: int
    covered: int
    missing: tuple[str, ...]


class Cases:
    """The cases of a folder and the pipeline they are run against."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pipeline = read_pipeline(settings.ksql_dir)
        self.folder = settings.ksql_dir / "tests"
        schemas = read_schemas(settings.schemas_dir)
        self._topics = [
            {"name": one.subject.removesuffix("-value"), "valueSchema": one.schema, "valueFormat": "AVRO"}
            for one in schemas
        ]

    def all(self, names: Sequence[str] = ()) -> list[Case]:
        """The cases whose file or name contains one of the words; all without any."""
        try:
            found = list(read(self.folder))
        except json.JSONDecodeError as error:
            raise FileError(str(self.folder), error.lineno, error.colno, f"not JSON: {error.msg}") from error
        chosen = [one for one in found if not names or any(word in one.file or word in one.name for word in names)]
        if not chosen:
            raise ToolError(f"No case of {self.folder} matches {', '.join(names) or 'anything: there is none'}.")
        return chosen

    def run(self, case: Case) -> CaseResult:
        """Run one case."""
        outcome = run_case(self.complete(case))
        return CaseResult(case.file, case.name, outcome.status == "passed", outcome.detail)

    def complete(self, case: Case) -> Case:
        """The case with statements and schemas."""
        if "statements" in case.body:
            return case
        outputs = {record["topic"] for record in case.body["outputs"]}
        body = {**case.body, "statements": self.statements(outputs), "topics": self._needed(case)}
        return Case(case.file, case.name, body, case.folder)

    def statements(self, topics: Iterable[str]) -> list[str]:
        """The statements that write these topics, and all that those need, in order, with their settings."""
        needed: set[str] = set()
        for topic in topics:
            writer = self.pipeline.writer_of(topic)
            if writer is None:
                raise ToolError(f"No query writes topic {topic}, which a case expects records in.")
            _add_upstream(self.pipeline, writer.name, needed)
        texts: list[str] = []
        in_force: dict[str, str] = {}
        for one in self.pipeline:
            if one.name in needed:
                for statement in one.statements:
                    wanted = {key: value for key, value in statement.settings.items() if key != _CACHE}
                    texts += [f"SET '{key}'='{value}';" for key, value in wanted.items() if in_force.get(key) != value]
                    in_force.update(wanted)
                    texts.append(statement.text + ";")
        return texts

    def _needed(self, case: Case) -> list[dict[str, Any]]:
        inputs = {record["topic"] for record in case.body["inputs"]}
        return [topic for topic in self._topics if topic["name"] in inputs]

    def coverage(self, cases: Iterable[Case]) -> list[Coverage]:
        """Which columns of which objects the cases expect a value in."""
        typed, _errors = analyse(self.settings, self.pipeline)
        seen: dict[str, set[str]] = {}
        for case in cases:
            for record in case.body.get("outputs") or ():
                value = record.get("value")
                if isinstance(value, dict):
                    seen.setdefault(record["topic"], set()).update(
                        key for key, part in value.items() if part is not None
                    )
        found = []
        for one in self.pipeline:
            if one.writes and one.name in typed:
                columns = list(typed[one.name].values)
                missing = tuple(name for name in columns if name not in seen.get(one.topic, set()))
                found.append(Coverage(one.name, len(columns), len(columns) - len(missing), missing))
        return found

    def update(self, cases: Iterable[Case]) -> list[Path]:
        """Write what comes out into the cases' files, for review; gives the files that changed."""
        fresh: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for case in cases:
            topics = list(dict.fromkeys(record["topic"] for record in case.body["outputs"]))
            fresh.setdefault(case.file, {})[case.name] = outputs_of(self.complete(case), topics)
        changed = []
        for name, outputs in fresh.items():
            file = self.folder / name
            before = file.read_text(encoding="utf-8")
            document = json.loads(before, parse_float=Decimal)
            for body in document["tests"]:
                if body["name"] in outputs:
                    body["outputs"] = outputs[body["name"]]
            after = case_text(document)
            if after != before:
                file.write_text(after, encoding="utf-8")
                changed.append(file)
        return changed


def _add_upstream(pipeline: Pipeline, name: str, needed: set[str]) -> None:
    if name not in needed:
        needed.add(name)
        for source in pipeline.sources_of(pipeline.objects[name]):
            _add_upstream(pipeline, source.name, needed)


def case_text(document: dict[str, Any]) -> str:
    """A file of cases as it is written: one record a line, decimals with their digits."""
    lines = ["{", '  "tests": [']
    tests = document["tests"]
    for number, body in enumerate(tests):
        lines.append("    {")
        parts = list(body.items())
        for position, (key, value) in enumerate(parts):
            comma = "," if position < len(parts) - 1 else ""
            if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                lines.append(f'      "{key}": [')
                ends = ["," if item is not value[-1] else "" for item in value]
                lines += [f"        {compact(item)}{end}" for item, end in zip(value, ends, strict=True)]
                lines.append(f"      ]{comma}")
            else:
                lines.append(f'      "{key}": {compact(value)}{comma}')
        lines.append("    }" + ("," if number < len(tests) - 1 else ""))
    lines += ["  ]", "}"]
    return "\n".join(lines) + "\n"


def compact(value: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON on one line; json itself would make binary floats of decimals."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {compact(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(compact(part) for part in value) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value, ensure_ascii=False)


def run_cases(settings: Settings, names: Sequence[str], *, update: bool, as_json: bool) -> int:
    """Run cases and tell how they went; 0 when all passed."""
    cases = Cases(settings)
    chosen = cases.all(names)
    if update:
        changed = cases.update(chosen)
        for file in changed:
            complain(f"{file.name}: outputs written; review them (git diff) before you trust them")
        cases = Cases(settings)
        chosen = cases.all(names)
    results = [cases.run(case) for case in chosen]
    coverage = cases.coverage(chosen)
    failed = [result for result in results if not result.passed]
    if as_json:
        say_json(
            {
                "passed": len(results) - len(failed),
                "failed": [{"file": one.file, "name": one.name, "detail": one.detail} for one in failed],
                "coverage": {one.name: {"columns": one.columns, "missing": list(one.missing)} for one in coverage},
            }
        )
        return 1 if failed else 0
    for one in failed:
        say(f"FAILED {one.file}: {one.name}\n{_indented(one.detail)}")
    rows = [(one.name, f"{one.covered}/{one.columns}", ", ".join(one.missing)) for one in coverage]
    say(table(rows, ("object", "columns", "without a case")))
    whole = sum(1 for one in coverage if one.covered)
    say(f"{len(results) - len(failed)} of {len(results)} cases passed; {whole} of {len(coverage)} statements covered")
    return 1 if failed else 0


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def watch(settings: Settings, names: Sequence[str], *, interval_s: float = 0.2) -> int:
    """Run the cases now and whenever a file of ksql/ or schemas/ changes, until Ctrl-C."""
    seen: dict[Path, int] = {}
    while True:
        files = [
            *settings.ksql_dir.rglob("*.sql"),
            *settings.ksql_dir.rglob("*.json"),
            *settings.schemas_dir.glob("*.avsc"),
        ]
        now = {file: file.stat().st_mtime_ns for file in files if file.exists()}
        if now != seen:
            seen = now
            if sys.stdout.isatty():
                sys.stdout.write("\033[2J\033[H")
            say(time.strftime("%H:%M:%S"))
            try:
                run_cases(settings, names, update=False, as_json=False)
            except ToolError as error:
                say(str(error))
        time.sleep(interval_s)
