"""What is read from the numbered files, and what is refused with its place."""

from pathlib import Path
from typing import Any

import pytest

from ksql.errors import FileError
from ksql.files import read_pipeline

KSQL = Path(__file__).parents[3] / "ksql"
SETTINGS = "SET 'auto.offset.reset'='earliest';\n"
SOURCE = "CREATE STREAM a (k STRING KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='AVRO');\n"


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """Writes files and reads the pipeline they make."""

    def read(*texts: str, version: int = 1) -> Any:
        for number, text in enumerate(texts):
            (tmp_path / f"{number:02d}.sql").write_text(text, encoding="utf-8")
        return read_pipeline(tmp_path, version)

    return read


def test_the_projects_own_files_make_the_pipeline_of_the_design() -> None:
    """Every object of the design, each after what it reads."""
    expected = [
        "CHECKS", "CHECK_ARRIVALS", "ARRIVALS", "SALES", "REPEATED_CHECKS", "PLACE_TOTALS", "PLACE_HOURS", "PLACE_DAYS",
        "NUMBERED_LINES", "SALE_LINES", "CATEGORY_HOURS", "CATEGORY_DAYS",
    ]  # fmt: skip
    assert expected == [one.name for one in read_pipeline(KSQL)]


def test_settings_hold_across_files_until_set_again(folder: Any) -> None:
    """SET in one file is in force in the next."""
    pipeline = folder(
        SETTINGS,
        SOURCE + "SET 'x'='0';",
        "CREATE TABLE t WITH (KAFKA_TOPIC='t') AS SELECT k, COUNT(*) AS n FROM a GROUP BY k;",
    )
    assert dict(pipeline.objects["T"].settings) == {"auto.offset.reset": "earliest", "x": "0"}
    assert dict(pipeline.objects["A"].settings) == {"auto.offset.reset": "earliest"}


def test_comments_white_space_and_place_are_no_change(folder: Any) -> None:
    """The checksum is of what a statement says."""
    first = folder(SOURCE, "CREATE STREAM s WITH (KAFKA_TOPIC='s') AS SELECT k, v FROM a;").objects["S"].checksum
    again = (
        folder(SOURCE, "-- why\n\ncreate stream S with (kafka_topic='s')\n as select K, v  /* ? */ FROM a;")
        .objects["S"]
        .checksum
    )
    other = (
        folder(SOURCE, "CREATE STREAM s WITH (KAFKA_TOPIC='s') AS SELECT k, v FROM a WHERE v > 0;")
        .objects["S"]
        .checksum
    )
    assert first == again
    assert first != other


def test_what_depends_on_what(folder: Any) -> None:
    """A stream declared over a table's topic depends on the table."""
    pipeline = folder(
        SOURCE,
        "CREATE TABLE t WITH (KAFKA_TOPIC='t') AS SELECT k, COUNT(*) AS n FROM a GROUP BY k;"
        "CREATE STREAM u WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO');"
        "CREATE STREAM w WITH (KAFKA_TOPIC='w') AS SELECT n FROM u;",
    )
    assert {"T", "U", "W"} == pipeline.downstream({"T"})
    assert {"W"} == pipeline.downstream({"W"})


def test_an_insert_belongs_to_its_target(folder: Any) -> None:
    """INSERT INTO makes its target depend on what it reads."""
    pipeline = folder(
        SOURCE,
        "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='AVRO', PARTITIONS=1);"
        "INSERT INTO s SELECT k, v FROM a;",
    )
    assert pipeline.objects["S"].reads == ("A",)
    assert len(pipeline.objects["S"].statements) == 2


def test_the_version_is_a_variable(folder: Any) -> None:
    """${version} in a file is the version that is applied."""
    text = "CREATE STREAM s WITH (KAFKA_TOPIC='s') AS SELECT k, 'v${version}' AS made_by FROM a;"
    assert "'v3'" in folder(SOURCE, text, version=3).objects["S"].create.text


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("CREATE STREAM s WITH (KAFKA_TOPIC='s') AS\nSELECT k FROM nowhere;", 2, "NOWHERE is read before"),
        ("CREATE STREAM s WITH (KAFKA_TOPIC='s') AS\nSELEC k FROM a;", 2, "SELEC"),
        ("CREATE STREAM s AS SELECT k FROM a;", 1, "does not name its topic"),
        ("\nSELECT * FROM a EMIT CHANGES;", 2, "belong into a pipeline"),
        ("CREATE STREAM a (k STRING KEY) WITH (KAFKA_TOPIC='z', VALUE_FORMAT='AVRO');", 1, "created twice"),
        ("INSERT INTO b SELECT k FROM a;", 1, "B is not created before"),
    ],
)
def test_a_mistake_is_refused_with_its_place(folder: Any, text: str, line: int, reason: str) -> None:
    """File, line and reason, before anything is applied."""
    with pytest.raises(FileError) as caught:
        folder(SOURCE, text)
    assert ("01.sql", line) == (caught.value.file, caught.value.line)
    assert reason in str(caught.value)
