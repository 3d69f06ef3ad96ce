"""docs/editing-ksql.md, carried out block by block on a copy of the checkout and a running pipeline."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from stack import free_ports
from tests.fix_stack import wait_for
from tests.integration.pipeline.conftest import ROOT
from tests.integration.pipeline.expected import login

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

BLOCK = re.compile(r"^```(?P<kind>\w+) (?P<options>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[Any]:
    """Kind, options and text of every block that is to be carried out."""
    text = (ROOT / "docs" / "editing-ksql.md").read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        options = dict(part.split("=", 1) for part in match["options"].split() if "=" in part)
        yield match["kind"], options, match["body"]


@pytest.fixture
def checkout(tmp_path: Path) -> Any:
    """A copy of the checkout whose scripts speak to the project's stack."""
    copy = tmp_path / "checkout"
    skipped = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=skipped)
    (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
    python = copy / "scripts" / "python"
    python.write_text(f'#!/bin/sh\ncd "{copy}" && exec "{ROOT}/.venv/bin/python" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return copy


def head_of_migrations(folder: Any) -> Any:
    """The revision that no other migration comes after."""
    texts = [file.read_text(encoding="utf-8") for file in folder.glob("[0-9]*.py") if not file.name.startswith("0100")]
    found = [re.search(r'^revision = "(\w+)"', text, re.MULTILINE) for text in texts]
    revisions = {each[1] for each in found if each is not None}
    earlier = {match[1] for text in texts if (match := re.search(r'^down_revision = "(\w+)"', text, re.MULTILINE))}
    (head,) = revisions - earlier
    return head


def carry_out(kind: Any, options: Any, body: Any, checkout: Any, environment: Any) -> None:
    """One block: a file, an edit of a file, or commands."""
    if kind == "sh":
        status = int(options.get("status", "0"))
        for line in body.strip().splitlines():
            done = subprocess.run(
                ["sh", "-c", line],
                cwd=checkout,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            assert done.returncode == status, f"{line}\n{done.returncode}\n{done.stdout}\n{done.stderr}"
        return
    file = checkout / options["file"]
    if kind == "edit":
        old, new = body.split("---\n", 1)
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{options['file']} does not contain\n{old}"
        file.write_text(text.replace(old, new), encoding="utf-8")
        return
    if "migrations" in options["file"]:
        body = body.replace('down_revision = "0006"', f'down_revision = "{head_of_migrations(file.parent)}"')
    file.write_text(body, encoding="utf-8")


def test_the_page_leads_from_a_query_to_a_field_of_the_api(project: Any, checkout: Any) -> None:
    """Each block is carried out as it stands; in the end the API tells revenue by payment method, exact."""
    # the page begins where the files are applied; a test before this one may have changed them
    project.reset()
    project.tool("ksql", "apply")
    environment = {
        **os.environ,
        **project.stack.environment,
        **{f"CHECKS_{name.upper()}_DIR": str(checkout / name) for name in ("ksql", "schemas", "connectors")},
        # modules come from the copy, its migrations above all
        "PYTHONPATH": str(checkout),
    }
    for kind, options, body in blocks():
        carry_out(kind, options, body, checkout, environment)
    document = json.loads((checkout / "ksql" / "tests" / "60_payments.json").read_text(encoding="utf-8"))
    values = [record["value"] for record in document["tests"][0]["outputs"]]
    assert [(value["PAYMENT_METHOD"], value["REVENUE"]) for value in values] == [("cash", 10.0), ("sbp", 5.0)]

    place_id = min(project.expected.totals)
    wanted: dict[str, Decimal] = {}
    for check in project.expected.checks:
        if check.place_id == place_id:
            wanted[check.payment_method] = wanted.get(check.payment_method, Decimal(0)) + check.total_amount

    def arrived() -> bool:
        with psycopg.connect(project.stack.owner_url) as connection:
            query = "SELECT payment_method, sum(revenue) FROM figures.payment_hours WHERE place_id = %s GROUP BY 1"
            return dict(connection.execute(query, (place_id,)).fetchall()) == wanted

    wait_for(arrived, limit_s=90, what="payment_hours are exact", every_s=0.5)
    assert wanted == field_of_the_api(checkout, environment, project, place_id)

    # back to the project's own files: the table goes, and its sink with it
    assert project.actions() == {"PAYMENT_HOURS": "removed"}
    project.tool("ksql", "apply")
    assert "sink_payment_hours" not in project.tool("connectors", "apply")


def field_of_the_api(checkout: Any, environment: Any, project: Any, place_id: Any) -> Any:
    """`payments` as an analytics_api started from the copy tells them."""
    ports = free_ports.choose()
    port = ports["CHECKS_ANALYTICS_PORT"]
    variables = {**environment, "CHECKS_ANALYTICS_PORT": port, "CHECKS_ANALYTICS_WORKERS": "1",
                 "CHECKS_SCHEDULER": "0", "CHECKS_JOURNAL_DIR": str(checkout / "journal")}  # fmt: skip
    log = (checkout / "api.log").open("wb")
    server = subprocess.Popen(
        [ROOT / ".venv" / "bin" / "python", "-m", "analytics_api"], cwd=checkout, env=variables, stdout=log, stderr=log
    )
    try:
        url = f"http://127.0.0.1:{port}"

        def signed_in() -> Any:
            try:
                return login(url, project.stack.admin_password)
            except httpx.TransportError:
                return None

        wait_for(signed_in, limit_s=60, what="the copy's API answers", every_s=0.5)
        with login(url, project.stack.admin_password) as client:
            answer = client.get(f"/api/analytics/{place_id}/")
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)["payments"]
    finally:
        server.terminate()
        server.wait(30)
        log.close()
