"""Log files: rotation under a writer's feet, and the line that tells why a part died."""

from pathlib import Path

from stack import logs


def test_rotation_keeps_the_file_for_its_writer_and_moves_its_content(tmp_path: Path) -> None:
    """A process that has the log open goes on writing to it, in a file that is empty again."""
    log = tmp_path / "kafka.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n")
        assert logs.rotate(log, max_size_bytes=1)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "kafka.log.1").read_bytes() == b"old\n"


def test_rotation_keeps_three_generations(tmp_path: Path) -> None:
    """Old logs do not fill the disk."""
    log = tmp_path / "kafka.log"
    for number in range(6):
        log.write_text(f"{number}\n")
        logs.rotate(log, max_size_bytes=1)
    kept = {file.name: file.read_text() for file in tmp_path.iterdir() if file.stat().st_size}
    assert kept == {"kafka.log.1": "5\n", "kafka.log.2": "4\n", "kafka.log.3": "3\n"}


def test_a_small_log_stays(tmp_path: Path) -> None:
    """Nothing is rotated before its time."""
    log = tmp_path / "kafka.log"
    log.write_text("short\n")
    assert not logs.rotate(log)
    assert log.read_text() == "short\n"


def test_the_telling_line_is_the_last_that_names_an_error(tmp_path: Path) -> None:
    """What an operator sees of a dead part is its reason, not its last breath."""
    log = tmp_path / "kafka.log"
    log.write_text("start\nERROR no space left\n  at java.io.Error\nbye\n")
    assert logs.telling_line(log) == "ERROR no space left"


def test_lines_of_an_earlier_run_are_not_told(tmp_path: Path) -> None:
    """The reason of yesterday's death is not today's."""
    log = tmp_path / "kafka.log"
    log.write_text("ERROR of yesterday\n")
    before = log.stat().st_size
    with log.open("a") as stream:
        stream.write("all quiet\n")
    assert logs.telling_line(log, since_byte=before) == "all quiet"
