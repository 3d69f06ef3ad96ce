"""Checks the schemas of schemas/ against the registry, and registers what is new."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ksql.errors import FileError, ToolError
from ksql.settings import Settings
from schemas.compatibility import incompatibilities
from schemas.files import SubjectSchema, read_schemas
from schemas.registry import RegisteredSchema, Registry


@dataclass(frozen=True, slots=True)
class SubjectChange:
    """What applying would do, or did, to one subject."""

    subject: str
    file: str
    action: str
    """unchanged, new, new version, or compatibility set."""
    schema_id: int | None


def check_schemas(settings: Settings, registry: Registry) -> list[SubjectChange]:
    """Say what apply would do; raises FileError (file, line, reason) for a schema that would not be accepted."""
    return [_check(local, registry) for local in read_schemas(settings.schemas_dir)]


def apply_schemas(settings: Settings) -> list[SubjectChange]:
    """Register what is new and set each subject's compatibility; everything is checked before anything changes."""
    with Registry(settings.registry_url) as registry:
        planned = check_schemas(settings, registry)
        return [
            _apply(local, change, registry)
            for local, change in zip(read_schemas(settings.schemas_dir), planned, strict=True)
        ]


def _check(local: SubjectSchema, registry: Registry) -> SubjectChange:
    versions = registry.versions(local.subject)
    if not versions:
        return SubjectChange(local.subject, local.file.name, "new", None)
    twin = next((version for version in versions if same_schema(version.schema, local.schema)), None)
    if twin is None:
        for version in versions if local.compatibility.endswith("TRANSITIVE") else versions[-1:]:
            _refuse_incompatible(local, version)
        refused = registry.incompatibilities(local.subject, local.text)
        if refused:
            raise FileError(local.file.name, 1, 1, f"the registry refuses it for {local.subject}: {'; '.join(refused)}")
        return SubjectChange(local.subject, local.file.name, "new version", None)
    action = "unchanged" if registry.compatibility(local.subject) == local.compatibility else "compatibility set"
    return SubjectChange(local.subject, local.file.name, action, twin.schema_id)


def _apply(local: SubjectSchema, change: SubjectChange, registry: Registry) -> SubjectChange:
    if change.action == "unchanged":
        return change
    registry.set_compatibility(local.subject, local.compatibility)
    schema_id = registry.register(local.subject, local.text)
    if registry.compatibility(local.subject) != local.compatibility:
        raise ToolError(f"The registry did not keep compatibility {local.compatibility} for {local.subject}.")
    return SubjectChange(local.subject, local.file.name, change.action, schema_id)


def same_schema(one: object, other: object) -> bool:
    """Whether two schemas say the same, whatever their documentation and the order of their attributes."""
    return _bare(one) == _bare(other)


def _bare(schema: object) -> object:
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "doc"}
    if isinstance(schema, list):
        return [_bare(part) for part in schema]
    return schema


def _refuse_incompatible(local: SubjectSchema, version: RegisteredSchema) -> None:
    reasons = incompatibilities(local.schema, version.schema)
    if reasons:
        first, *others = reasons
        line = line_of_field(local.file.read_text(encoding="utf-8"), first.path)
        more = "".join(f"; {other.path or 'the record'}: {other.reason}" for other in others)
        raise FileError(
            local.file.name,
            line,
            None,
            f"{first.path or 'the record'}: {first.reason} (version {version.version} of {local.subject}){more}",
        )


def line_of_field(text: str, path: str) -> int:
    """The line on which the innermost field of the path that stands in the text is named; 1 when none is."""
    for name in reversed(path.split(".")):
        quoted = json.dumps(name, ensure_ascii=False)
        for number, line in enumerate(text.splitlines(), start=1):
            if f'"name": {quoted}' in line or f'"name":{quoted}' in line:
                return number
    return 1
