"""Makes `.venv` and installs the pinned packages, with nothing but Python's own library at hand.

Called by `scripts/python` as `bootstrap.py CHECKOUT REQUIREMENTS` under whatever Python 3.11+ the machine has.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEEDED_BYTES = 1_500_000_000
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""What a machine has configured for pip, and where uv looks for the same."""
SPEED = """
import sys, time
known, text = {str(n): n for n in range(100)}, bytes(range(200))
def loop():
    out, at = [], 0
    for name in known:
        if name is not None:
            out.append((known[name], name, len(name)))
    while at < 190:
        at += 1 if text[at:at + 3] else 2
best_s = 1.0
for _ in range(1000):
    began = time.perf_counter()
    loop()
    best_s = min(best_s, time.perf_counter() - began)
print(*sys.version_info[:2], best_s)
"""
ROUNDS = 4
"""How often each build is measured, in turns: a machine that is busy lends its time unevenly."""
FASTER = 0.85
"""The share of the time within which another build must be done to be taken: less is noise."""


class BootstrapError(Exception):
    """The packages cannot be installed; the message is one line that names the mend."""


def main(root: Path, requirements: str) -> None:
    """Brings `.venv` up to date with the requirements file; two callers at once wait for each other."""
    venv, wanted = root / ".venv", root / requirements
    installed = venv / ".installed" / requirements
    try:
        (root / "var").mkdir(exist_ok=True)
        lock = (root / "var" / "bootstrap.lock").open("w")
    except OSError as error:
        raise BootstrapError(
            f"{root} cannot be written to ({error.strerror}): run once as its owner, or use a copy of your own"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is installing the packages; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_bytes() == wanted.read_bytes() and works(venv):
            return
        free = shutil.disk_usage(root).free
        if free < NEEDED_BYTES and not works(venv):
            raise BootstrapError(
                f"{root} has {free / 1e9:.1f} GB free, {NEEDED_BYTES / 1e9:.1f} GB are needed: free some disk space"
            )
        began = time.monotonic()
        if not works(venv):
            make_venv(venv)
        count = len(re.findall(r"^[a-z0-9][^ ]*==", wanted.read_text("utf-8"), re.MULTILINE))
        say(f"installing {count} pinned Python packages into {venv} ...")
        install(venv, wanted)
        installed.parent.mkdir(exist_ok=True)
        shutil.copyfile(wanted, installed)
        say(f"Python packages are installed ({time.monotonic() - began:.0f} s)")


def works(venv: Path) -> bool:
    """Whether the environment has a Python that runs, and pip."""
    python = venv / "bin" / "python"
    return python.exists() and run([python, "-m", "pip", "--version"]).returncode == 0


def seconds_of(python: str) -> "float | None":
    """How long a short loop takes in this Python; None when it is not of this one's version, or does not run."""
    words = run([python, "-c", SPEED]).stdout.split()
    if words[:2] != [str(number) for number in sys.version_info[:2]]:
        return None
    return float(words[2])


def other_builds() -> "list[str]":
    """Other Pythons of this one's version on the machine."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    found = {os.path.realpath(Path(folder) / name) for folder in folders if (Path(folder) / name).is_file()}
    return sorted(found - {os.path.realpath(sys.executable)})


def fastest() -> str:
    """The Python to make the environment with: this one, unless another build of its version is clearly faster.

    Builds without profile-guided optimisation, as version managers make them, take up to twice the time that
    distributions' own do. CHECKS_PYTHON leaves no choice.
    """
    if os.environ.get("CHECKS_PYTHON"):
        return sys.executable
    best_s: dict[str, float] = {}
    for _ in range(ROUNDS):
        for python in (sys.executable, *other_builds()):
            took_s = seconds_of(python)
            if took_s is not None:
                best_s[python] = min(took_s, best_s.get(python, took_s))
    quickest = min(best_s, key=lambda python: best_s[python], default=sys.executable)
    is_clear = best_s.get(quickest, 0.0) < FASTER * best_s.get(sys.executable, 0.0)
    return quickest if is_clear else sys.executable


def make_venv(venv: Path) -> None:
    """Makes the environment, with pip in it. Raises BootstrapError."""
    for python in dict.fromkeys((fastest(), sys.executable)):
        say(f"making a virtual environment with Python {sys.version_info.major}.{sys.version_info.minor}, {python}")
        shutil.rmtree(venv, ignore_errors=True)
        made = run([python, "-m", "venv", venv])
        if made.returncode == 0 and works(venv):
            return
        # Debian keeps ensurepip in a package of its own; the machine's pip can stand in for it
        shutil.rmtree(venv, ignore_errors=True)
        without = run([python, "-m", "venv", "--without-pip", venv])
        if without.returncode == 0:
            run([sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "-q", "pip"])
        if works(venv):
            return
    shutil.rmtree(venv, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise BootstrapError(
        f"this Python has no venv or no pip to make {venv} with: install them (Debian, Ubuntu: apt install "
        f"python{version}-venv; Fedora: dnf install python3-pip), then run again"
    )


def install(venv: Path, requirements: Path) -> None:
    """Installs exactly what is pinned: by uv, which is quick, or by pip where uv cannot. Raises BootstrapError."""
    python = venv / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    text = requirements.read_text(encoding="utf-8")
    block = re.search(r"^uv==(?:.*\\\n)*.*$", text, re.MULTILINE)
    if block is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
            only_uv.write(block.group(0) + "\n")
            only_uv.flush()
            run([*pip, "install", "-q", "--require-hashes", "-r", only_uv.name])
        uv = [venv / "bin" / "uv", "pip", "install", "--python", python, "--require-hashes", "-r", requirements]
        if (venv / "bin" / "uv").exists():
            done = run(uv, environment={**os.environ, **settings_for_uv(python)}, shown=sys.stderr.isatty())
            if done.returncode == 0:
                return
            say("uv could not; trying pip")
    done = run([*pip, "install", "--progress-bar=off", "-q", "--require-hashes", "-r", requirements], shown=True)
    if done.returncode != 0:
        raise BootstrapError(
            "the Python packages could not be installed (see above): check that this machine reaches a package index "
            "(pip's settings apply: PIP_INDEX_URL, pip.conf), then run again"
        )


def settings_for_uv(python: Path) -> dict[str, str]:
    """The machine's configuration of pip, files and environment, in uv's words; what is set for uv itself wins."""
    found: dict[str, str] = {}
    for line in run([python, "-m", "pip", "config", "list"]).stdout.splitlines():
        name, _, value = line.partition("=")
        variable = PIP_TO_UV.get(name.rsplit(".", 1)[-1])
        value = value.strip().strip("'\"")
        if variable == "UV_FIND_LINKS" and "://" not in value and not Path(value).exists():
            continue  # pip passes over a folder that is not there, uv gives up
        if variable is not None and variable not in os.environ:
            found.setdefault(variable, value)  # pip lists the environment first, which wins over its files
    return found


def run(
    command: "list[object]", *, environment: "dict[str, str] | None" = None, shown: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end; its output is kept, or shown."""
    pipe = None if shown else subprocess.PIPE
    words = [str(word) for word in command]
    return subprocess.run(
        words, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, env=environment, text=True, check=False
    )


def say(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except BootstrapError as error:
        say(str(error))
        sys.exit(1)
