"""Brings the JVM parts into the shared cache: side by side, each file checked against its hash in `jars.lock.json`."""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stack.archives import unpack
from stack.locks import file_lock

LOCK_FILE = Path(__file__).with_name("jars.lock.json")
ATTEMPTS = 4
LAYOUT = 1
"""To be raised when `_lay_out` changes: a folder made before is then made anew."""
CONVERTER_CLASS = "io.apicurio.registry.utils.converter.AvroConverter"
NOT_NEEDED_BY_SINK = ("kafka-clients", "connect-api", "ojdbc", "mssql-jdbc", "mysql-connector", "mariadb", "jcc-")
"""Jars of the sink's archive that Connect brings itself, or that are other databases' drivers."""

Progress = Callable[[int], None]


class DownloadError(Exception):
    """A part could not be fetched, or is not what was pinned; the message says which and what to do."""


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository."""

    group: str
    name: str
    version: str
    packaging: str = "jar"
    classifier: str = ""
    sha256: str = ""
    size_bytes: int = 0

    @classmethod
    def parse(cls, coordinates: str, sha256: str = "", size_bytes: int = 0) -> Self:
        """From `group:name:version[:packaging[:classifier]]`."""
        return cls(*coordinates.split(":"), sha256=sha256, size_bytes=size_bytes)  # type: ignore[misc, arg-type] # three to five parts, all texts

    @property
    def coordinates(self) -> str:
        """As `parse` reads it, without what is the default."""
        parts = [self.group, self.name, self.version, self.packaging, self.classifier]
        while parts[-1] in {"", "jar"}:
            parts.pop()
        return ":".join(parts)

    @property
    def filename(self) -> str:
        """The file's name in a Maven repository."""
        return f"{self.name}-{self.version}{'-' + self.classifier if self.classifier else ''}.{self.packaging}"


@dataclass(frozen=True)
class Installed:
    """Where the JVM parts are, ready to run."""

    kafka_jars: Path
    """Folder of the jars of broker and Connect."""
    registry: Path
    """Folder that holds `quarkus-run.jar`."""
    plugins: Path
    """Connect's plugin path."""
    archives: Path
    """Folder of class-data archives, which make a second start quicker."""


def locked() -> dict[str, list[Artifact]]:
    """Every pinned artifact by bundle."""
    document = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    return {
        bundle: [Artifact.parse(e["coordinates"], e["sha256"], e["size_bytes"]) for e in entries]
        for bundle, entries in document.items()
    }


def fetch(artifact: Artifact, folder: Path, progress: Progress | None = None) -> Path:
    """The artifact's file, through jgo, under `folder`. Raises what the connection raises, or RuntimeError."""
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 (costs 0.3 s, seldom needed)

    @contextmanager
    def report(_name: str, _size_bytes: int) -> Iterator[Progress]:
        yield progress or (lambda _count: None)

    mirror = os.environ.get("CHECKS_MAVEN_URL")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=folder,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=60,
    )
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    return Path(component.artifact(classifier=artifact.classifier, packaging=artifact.packaging).resolve())


def fetch_checked(artifact: Artifact, target: Path, progress: Progress) -> None:
    """Puts the artifact at `target`, complete and verified or not at all. Raises DownloadError."""
    if target.exists():
        progress(artifact.size_bytes)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        # a folder of its own each time: jgo takes a file that is there, half written or not, for the whole one
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as folder:
            received = [0]

            def count(size_bytes: int, received: list[int] = received) -> None:
                received[0] += size_bytes
                progress(size_bytes)

            try:
                file = fetch(artifact, Path(folder), count)
                _verify(artifact, file)
            except Exception as error:
                progress(-received[0])
                if attempt == ATTEMPTS:
                    if isinstance(error, DownloadError):
                        raise
                    raise DownloadError(
                        f"{artifact.coordinates} could not be downloaded ({error}): check the network, or set "
                        "CHECKS_MAVEN_URL to a Maven mirror that this machine reaches, and start again"
                    ) from error
                time.sleep(2**attempt / 2)
            else:
                file.replace(target)
                return


def install(cache: Path, report: Callable[[str, int, int], None]) -> Installed:
    """Everything the JVM parts need, in `cache`; what is there already is not fetched again.

    `report(what, done_bytes, total_bytes)` is called as the download moves. Raises DownloadError.
    """
    bundles, home = locked(), _home(cache)
    installed = Installed(home / "kafka", home / "registry", home / "plugins", home / "archives")
    if home.exists():
        return installed
    cache.mkdir(parents=True, exist_ok=True)
    with file_lock(cache / "install.lock", waiting=lambda: report("waiting for another download", 0, 0)):
        if home.exists():
            return installed
        files = _fetch_all(bundles, cache / "artifacts", report)
        report("unpacking", 0, 0)
        building = Path(tempfile.mkdtemp(dir=cache, prefix=".jvm-"))
        building.chmod(0o755)
        _lay_out(building, bundles, files)
        building.replace(home)
    return installed


def is_installed(cache: Path) -> bool:
    """Whether nothing is left to download."""
    return _home(cache).exists()


def _home(cache: Path) -> Path:
    return cache / f"jvm-{hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]}-{LAYOUT}"


def _fetch_all(
    bundles: dict[str, list[Artifact]], folder: Path, report: Callable[[str, int, int], None]
) -> dict[Artifact, Path]:
    # the largest first, so that the last connection does not end alone with 150 MB to go
    artifacts = sorted((a for entries in bundles.values() for a in entries), key=lambda a: -a.size_bytes)
    total = sum(artifact.size_bytes for artifact in artifacts)
    done = 0

    def progress(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        report("downloading Kafka, Connect and the schema registry", done, total)

    targets = {a: folder / a.group / a.name / a.version / a.filename for a in artifacts}
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(fetch_checked, a, targets[a], progress) for a in artifacts]
        try:
            for future in futures:
                future.result()
        except DownloadError:
            pool.shutdown(cancel_futures=True)
            raise
    return targets


def _lay_out(home: Path, bundles: dict[str, list[Artifact]], files: dict[Artifact, Path]) -> None:
    kafka, plugins = home / "kafka", home / "plugins"
    (home / "archives").mkdir(parents=True)
    for folder, bundle in ((kafka, "kafka"), (plugins / "apicurio-converter", "converter")):
        folder.mkdir(parents=True)
        for artifact in bundles[bundle]:
            _link(files[artifact], folder / artifact.filename)
    # Connect finds plugins by service files alone (plugin.discovery=service_load); the converter's jar has none
    with zipfile.ZipFile(plugins / "apicurio-converter" / "converter-service.jar", "w") as jar:
        jar.writestr("META-INF/services/org.apache.kafka.connect.storage.Converter", CONVERTER_CLASS + "\n")
    (home / "registry").mkdir()
    with tarfile.open(files[bundles["registry"][0]]) as archive:
        unpack(archive, home / "registry")
    with tarfile.open(files[bundles["jdbc_sink"][0]]) as archive:
        members = [m for m in archive if not Path(m.name).name.startswith(NOT_NEEDED_BY_SINK)]
        unpack(archive, plugins, members)
    _flatten(home / "registry", "quarkus-run.jar")


def _flatten(folder: Path, marker: str) -> None:
    """Lifts the archive's only top folder away when there is one."""
    if (folder / marker).exists():
        return
    (inner,) = (entry for entry in folder.iterdir() if (entry / marker).exists())
    for entry in inner.iterdir():
        shutil.move(entry, folder / entry.name)
    inner.rmdir()


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _verify(artifact: Artifact, file: Path) -> None:
    found = _sha256(file)
    if artifact.sha256 not in {"", found}:
        raise DownloadError(
            f"{artifact.coordinates} is not the pinned file (SHA-256 {found[:16]}…, pinned {artifact.sha256[:16]}…): "
            "try again; if it stays so, a proxy or mirror on the way changes files"
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
