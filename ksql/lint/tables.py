"""Reads from the migrations, without a database, which tables the connectors write and what columns these have.

It knows the few forms that the migrations use for ``pipeline_template``: CREATE TABLE, and ALTER TABLE … ADD COLUMN,
DROP COLUMN. A test holds it against a real database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CREATE = re.compile(
    r"CREATE TABLE (?:IF NOT EXISTS )?pipeline_template\.(?P<name>\w+)\s*\((?P<body>.*?)\n\s*\)", re.DOTALL
)
_ALTER = re.compile(r"ALTER TABLE pipeline_template\.(?P<name>\w+)\s+(?P<actions>[^;]*);", re.DOTALL)
_ADD = re.compile(r"ADD COLUMN (?:IF NOT EXISTS )?(?P<column>\w+)\s+(?P<type>[^,;]+)")
_DROP = re.compile(r"DROP COLUMN (?:IF EXISTS )?(?P<column>\w+)")
_KEY = re.compile(r"PRIMARY KEY\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class PostgresTable:
    """A table's columns with their types, and its primary key."""

    columns: Mapping[str, str]
    key: frozenset[str]


def read_tables(migrations: Path) -> dict[str, PostgresTable]:
    """The tables as they are once all migrations have run, by name."""
    found: dict[str, PostgresTable] = {}
    for file in sorted(migrations.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        for match in _CREATE.finditer(text):
            found[match["name"]] = _table(match["body"])
        for match in _ALTER.finditer(text):
            if match["name"] in found:
                found[match["name"]] = _altered(found[match["name"]], match["actions"])
    return found


def _table(body: str) -> PostgresTable:
    key = {name.strip() for match in _KEY.finditer(body) for name in match[1].split(",")}
    columns = {}
    for line in _KEY.sub("", body).split("\n"):
        words = line.strip().rstrip(",").split()
        if len(words) >= 2 and words[0].islower():
            columns[words[0]] = words[1]
            if "PRIMARY KEY" in line.upper():
                key.add(words[0])
    return PostgresTable(columns, frozenset(key))


def _altered(table: PostgresTable, actions: str) -> PostgresTable:
    columns = dict(table.columns)
    for match in _ADD.finditer(actions):
        columns[match["column"]] = match["type"].split()[0]
    for match in _DROP.finditer(actions):
        columns.pop(match["column"], None)
    return PostgresTable(columns, table.key)
