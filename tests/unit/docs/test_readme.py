"""The README tells of every setting, and of none that is not there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = ("intake", "analytics_api", "ksqlite", "stack", "ksql")
NAME = re.compile(r"CHECKS_[A-Z0-9]+(?:_[A-Z0-9]+)*")

# For those who work on the project, not for those who run it.
_DEVELOPMENT = {"CHECKS_ONLY"}


def _documented() -> set[str]:
    text = (ROOT / "README.md").read_text()
    short = {f"CHECKS_INTAKE_{name}" for name in re.findall(r"`…_([A-Z_]+)`", text)}
    return set(NAME.findall(text)) | short


def _known() -> set[str]:
    names = set()
    for package in SETTINGS:
        text = (ROOT / package / "settings.py").read_text()
        names |= set(NAME.findall(text)) | {f"CHECKS_INTAKE_{name}" for name in re.findall(r"…_([A-Z_]+)", text)}
    fields = re.findall(r"^    ([a-z_]+): ", (ROOT / "analytics_api" / "settings.py").read_text(), re.MULTILINE)
    return names | {f"CHECKS_{field.upper()}" for field in fields}


def test_every_setting_stands_in_the_readme() -> None:
    """Whoever adds a setting must tell of it."""
    assert set() == _known() - _documented() - _DEVELOPMENT


def test_the_readme_invents_no_setting() -> None:
    """A variable in the README is read somewhere."""
    sources = "".join(p.read_text() for p in ROOT.glob("*/**/*.py") if ".venv" not in p.parts and "var" not in p.parts)
    sources += (ROOT / "scripts" / "python").read_text()
    invented = {name for name in _documented() if name not in sources} - _known()
    assert set() == invented
