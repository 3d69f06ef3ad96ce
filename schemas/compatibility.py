"""Says in words why two Avro schemas are not fully compatible, and names the field, so that its line can be shown.

The registry decides; this finds the reasons beforehand, without a server, and where they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_PROMOTIONS = {
    ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double"),
    ("string", "bytes"), ("bytes", "string"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason, and the path of the field it is about, such as ``items.price``."""

    path: str
    reason: str


def incompatibilities(new: object, old: object) -> list[Incompatibility]:
    """Why records of either schema cannot be read with the other (FULL compatibility); empty when they can."""
    found = dict.fromkeys(_read("", new, old, "records written so far could not be read"))
    found.update(dict.fromkeys(_read("", old, new, "readers of the registered version could not read new records")))
    return list(found)


def _read(path: str, reader: Any, writer: Any, effect: str) -> Iterator[Incompatibility]:  # noqa: ANN401 - JSON
    if isinstance(writer, list):
        for branch in writer:
            yield from _read(path, reader, branch, effect)
        return
    if isinstance(reader, list):
        if all(any(True for _ in _read(path, branch, writer, effect)) for branch in reader):
            yield Incompatibility(path, f"{_name(writer)} is not among {[_name(b) for b in reader]}: {effect}")
        return
    kinds = _kind(reader), _kind(writer)
    if kinds[0] != kinds[1]:
        # a decimal's bytes can be read as a string, and mean nothing
        if (kinds[1], kinds[0]) not in _PROMOTIONS or _logical(reader)[0] or _logical(writer)[0]:
            yield Incompatibility(path, f"{_name(writer)} cannot be read as {_name(reader)}: {effect}")
    elif kinds[0] == "record":
        yield from _record(path, reader, writer, effect)
    elif kinds[0] in {"array", "map"}:
        inner = "items" if kinds[0] == "array" else "values"
        yield from _read(path, reader[inner], writer[inner], effect)
    elif kinds[0] == "enum":
        lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if lost and "default" not in reader:
            yield Incompatibility(path, f"symbols {lost} are unknown: {effect}")
    elif _logical(reader) != _logical(writer):
        yield Incompatibility(path, f"{_name(writer)} would be taken for {_name(reader)}: {effect}")


def _record(path: str, reader: dict[str, Any], writer: dict[str, Any], effect: str) -> Iterator[Incompatibility]:
    if reader["name"] != writer["name"]:
        yield Incompatibility(path, f"record {writer['name']} was renamed {reader['name']}: {effect}")
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        inner = f"{path}.{field['name']}".lstrip(".")
        twin = next((written[name] for name in (field["name"], *field.get("aliases", ())) if name in written), None)
        if twin is not None:
            yield from _read(inner, field["type"], twin["type"], effect)
        elif "default" not in field:
            yield Incompatibility(inner, f"the field has no default and is not in the other version: {effect}")


def _kind(schema: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(schema, dict):
        inner = schema["type"]
        return inner if isinstance(inner, str) else _kind(inner)
    return str(schema)


def _logical(schema: Any) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    if not isinstance(schema, dict):
        return (None, None, None)
    decimal = schema.get("logicalType") == "decimal"
    return (schema.get("logicalType"), schema.get("precision"), schema.get("scale", 0 if decimal else None))


def _name(schema: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(schema, list):
        return "[" + ", ".join(_name(branch) for branch in schema) + "]"
    logical, precision, scale = _logical(schema)
    if logical == "decimal":
        return f"decimal({precision},{scale})"
    return str(logical or (schema.get("name") if isinstance(schema, dict) and "name" in schema else _kind(schema)))
