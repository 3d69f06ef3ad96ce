"""`scripts/lock`: resolves the Python packages and the JVM parts once, and pins every file of theirs by its hash.

Neither list names a host: pip and uv have the machine's package index, jgo knows where Maven artifacts are.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext

from stack.downloads import LOCK_FILE, Artifact, fetch
from stack.settings import CHECKOUT

KAFKA = "4.3.1"
REGISTRY = "3.3.3"
CONVERTER = "2.6.13.Final"
JDBC_SINK = "3.6.0.Final"
LOG4J = "2.25.4"

ROOTS: dict[str, list[str]] = {
    "kafka": [
        f"org.apache.kafka:kafka_2.13:{KAFKA}",
        f"org.apache.kafka:kafka-clients:{KAFKA}",
        f"org.apache.kafka:kafka-tools:{KAFKA}",
        f"org.apache.kafka:connect-runtime:{KAFKA}",
        f"org.apache.kafka:connect-json:{KAFKA}",
        f"org.apache.kafka:connect-transforms:{KAFKA}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    ],
    "converter": [f"io.apicurio:apicurio-registry-utils-converter:{CONVERTER}"],
}
"""What is resolved with everything it depends on, by bundle."""

ARCHIVES = {
    "registry": f"io.apicurio:apicurio-registry-app:{REGISTRY}:tar.gz:all",
    "jdbc_sink": f"io.debezium:debezium-connector-jdbc:{JDBC_SINK}:tar.gz:plugin",
}
"""What comes as one archive that holds all it needs, by bundle."""

BROUGHT_BY_CONNECT = ("org.apache.kafka", "org.slf4j", "com.github.luben", "org.lz4", "org.xerial.snappy")
"""Groups that a plugin must take from the worker instead of bringing its own."""


def resolve(bundle: str, cache: Path) -> list[Artifact]:
    """All artifacts of one bundle, hashes still empty, as Maven's own rules choose them."""
    context = MavenContext(repo_cache=cache, timeout=60)
    dependencies = [context.create_dependency(coordinates) for coordinates in ROOTS[bundle]]
    for dependency in dependencies:
        dependency.raw = True  # jgo would otherwise let one root's dependencyManagement rule the others
    roots, others = context.resolver.resolve(dependencies)
    found = [
        Artifact(group=d.groupId, name=d.artifactId, version=d.version, packaging="jar", classifier=d.classifier)
        for d in [*roots, *others]
    ]
    if bundle != "kafka":
        found = [artifact for artifact in found if artifact.group not in BROUGHT_BY_CONNECT]
    return sorted(found, key=lambda artifact: artifact.coordinates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the lock files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/lock", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["python", "jars"], help="only these (default: both)")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that requirements*.in allow")
    options = parser.parse_args(arguments)
    if options.what != "jars":
        lock_python(upgrade=options.upgrade)
    if options.what != "python":
        lock_jars()
    return 0


def lock_python(*, upgrade: bool) -> None:
    """Writes requirements.txt and requirements-dev.txt; the first holds to the versions of the second."""
    uv = str(Path(sys.executable).with_name("uv"))
    form = ["--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
    no_hosts = ["--no-emit-index-url", "--no-emit-find-links"]
    chosen = [*form, *no_hosts, *(["--upgrade"] if upgrade else [])]
    environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "scripts/lock"}
    for words in (
        ["--output-file", "requirements-dev.txt", "requirements-dev.in"],
        ["--constraint", "requirements-dev.txt", "--output-file", "requirements.txt", "requirements.in"],
    ):
        subprocess.run([uv, "pip", "compile", *chosen, *words], cwd=CHECKOUT, check=True, env=environment)


def lock_jars() -> None:
    """Writes jars.lock.json."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        bundles = {name: resolve(name, cache) for name in ROOTS}
        for name, coordinates in ARCHIVES.items():
            bundles[name] = [Artifact.parse(coordinates)]
        document: dict[str, list[dict[str, Any]]] = {}
        with ThreadPoolExecutor(8) as pool:
            for name, artifacts in bundles.items():
                files = pool.map(lambda artifact: fetch(artifact, cache), artifacts)
                document[name] = [
                    {
                        "coordinates": artifact.coordinates,
                        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                        "size_bytes": file.stat().st_size,
                    }
                    for artifact, file in zip(artifacts, files, strict=True)
                ]
    LOCK_FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    total = sum(entry["size_bytes"] for entries in document.values() for entry in entries)
    print(f"{LOCK_FILE.name}: {sum(map(len, document.values()))} files, {total / 1e6:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
