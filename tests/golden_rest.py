"""Holds answers of a REST API against those that a real ksqlDB 7.6.1 gave."""

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "rest.jsonl"


def shape(value: Any) -> Any:
    """The form of a JSON value: names and kinds, not what they hold."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        # a push query that was just ended may still be listed
        shapes = [shape(item) for item in value if not (isinstance(item, dict) and _is_push(item))]
        unique = {json.dumps(item, sort_keys=True): item for item in shapes}
        return [unique[text] for text in sorted(unique)]
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "str"


def _is_push(value: dict[str, Any]) -> bool:
    return value.get("queryType") == "PUSH" and "sinkKafkaTopics" in value


def _documents(text: str) -> Any:
    """The JSON documents of an answer."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line]


def differences(golden: dict[str, Any], status: int, answer: str) -> list[str]:
    """What an answer differs in from the golden one: status, error code, type, shape."""
    if golden["status"] != status:
        return [f"status {status} for {golden['status']}: {answer[:300]}"]
    try:
        expected, got = _documents(golden["response"]), _documents(answer)
    except ValueError:
        return [] if golden["response"].split()[:2] == answer.split()[:2] else [f"text {answer[:200]!r}"]
    problems = []
    if isinstance(expected, dict):
        problems += [
            f"{name}: {got.get(name)} for {expected[name]}"
            for name in ("@type", "error_code")
            if expected.get(name) != got.get(name)
        ]
    elif len(expected) != len(got):
        problems.append(f"{len(got)} documents for {len(expected)}: {answer[:300]}")
    if "error_code" not in expected and _loose(shape(expected)) != _loose(shape(got)):
        problems.append(f"shape\n  {shape(got)}\nfor\n  {shape(expected)}")
    if isinstance(expected, dict) and set(expected) != set(got):
        problems.append(f"members {sorted(got)} for {sorted(expected)}")
    return problems


def _loose(form: Any) -> Any:
    """The shape without what depends on time, figures and names."""
    if isinstance(form, dict):
        return {
            name: _loose(item)
            for name, item in form.items()
            if name not in {"clusterStatistics", "commandStatuses", "queryOffsetSummaries"}
        }
    if isinstance(form, list):
        return [_loose(item) for item in form]
    return form
