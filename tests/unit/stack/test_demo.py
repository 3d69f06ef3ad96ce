"""Sending checks: files in every form, batches, answers, and what makes it give up."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from stack.demo import Sender, SendError, read_file, send


class Intake:
    """Answers as intake does, one answer after the other, and keeps what it got."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.got: list[httpx.Request] = []

    def __call__(self, request: Any) -> httpx.Response:
        self.got.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def sender(intake: Any, key: Any = None) -> Any:
    made = Sender("http://intake.test", key, patience_s=0.0)
    made._http = httpx.Client(transport=httpx.MockTransport(intake), headers=made._http.headers)
    return made


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


def quiet() -> Any:
    return Console(quiet=True)


def test_checks_go_out_in_batches_and_rejected_ones_are_counted() -> None:
    """What was rejected is told with its errors, up to five."""
    rejected = {"index": 1, "errors": [{"pointer": "/items", "detail": "is empty"}]}
    intake = Intake(
        httpx.Response(200, json={"accepted": 500, "rejected_count": 0, "rejected": []}),
        httpx.Response(207, json={"accepted": 99, "rejected_count": 1, "rejected": [rejected]}),
    )
    sent = send(sender(intake), [b"{}"] * 600, rate=None, console=quiet())
    assert (599, 1, [rejected]) == (sent.accepted, sent.rejected, sent.examples)
    assert [request.content.count(b"\n") for request in intake.got] == [500, 100]


def test_one_at_a_time_at_a_rate() -> None:
    """Single checks go to the single address."""
    intake = Intake(
        httpx.Response(201, json={"transaction_id": "a", "status": "accepted"}),
        httpx.Response(422, json={"status": 422, "errors": [{"pointer": "", "detail": "bad"}]}),
    )
    sent = send(sender(intake), [b"{}", b"[]"], rate=1e9, console=quiet())
    assert (sent.accepted, sent.rejected) == (1, 1)
    assert {"/api/checks/"} == {request.url.path for request in intake.got}


def test_a_busy_intake_is_asked_again_with_the_same_body() -> None:
    """Sending again is safe, so a 503 in between loses nothing."""
    intake = Intake(
        httpx.Response(503, headers={"Retry-After": "1"}),
        httpx.Response(200, json={"accepted": 1, "rejected": []}),
    )
    patient = sender(intake)
    patient._patience_s = 60
    assert patient.batch([b"{}"]) == (1, [])
    assert intake.got[0].content == intake.got[1].content


def test_patience_ends() -> None:
    """An intake that stays away is one clear line."""
    with pytest.raises(SendError, match="answers 503"):
        sender(Intake(httpx.Response(503))).batch([b"{}"])


def test_a_missing_key_is_told() -> None:
    """401 names the option."""
    with pytest.raises(SendError, match="--key"):
        sender(Intake(httpx.Response(401))).batch([b"{}"])
    intake = Intake(httpx.Response(200, json={"accepted": 1, "rejected": []}))
    sender(intake, key="secret").batch([b"{}"])
    assert "secret" in intake.got[0].headers["Authorization"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1.10}\n{"a": 2}\n', [b'{"a": 1.10}', b'{"a": 2}']),
        ('[{"a": 1.10}, {"a": 2}]', [b'{"a": 1.10}', b'{"a": 2}']),
        ('{\n  "a": 1\n}\n', [b'{\n  "a": 1\n}']),
    ],
    ids=["lines", "array", "one"],
)
def test_files_are_read_in_every_form(tmp_path: Path, text: str, expected: list[Any]) -> None:
    """The checks' own text is sent: numbers keep their digits, mistakes reach intake as they are."""
    file = tmp_path / "checks.json"
    file.write_text(text, encoding="utf-8")
    assert expected == read_file(file)


def test_a_broken_file_is_one_clear_line(tmp_path: Path) -> None:
    """A JSON array that ends in the middle."""
    file = tmp_path / "checks.json"
    file.write_text('[{"a": 1}', encoding="utf-8")
    with pytest.raises(SendError, match="is not JSON"):
        read_file(file)
