#!/usr/bin/env python3
"""Everything a developer does, on a machine that has nothing but Python 3.11 or newer.

    python3 dev.py demo      the article's neuron: derived, certified, trained and shown
    python3 dev.py test      format, lint, types and all tests (further words go to pytest)
    python3 dev.py setup     installs all extras and test tools (--peers: PyTorch and JAX as well)
    python3 dev.py lint      format, lint and types only
    python3 dev.py docs      builds docs/_build/html, with the gallery
    python3 dev.py gallery   writes the live pages of the gallery to docs/gallery (names: only these)
    python3 dev.py notebooks   runs the example notebooks, and writes them with their results
    python3 dev.py screenshots   pictures of pages and app, light, dark, on a phone, printed, to screenshots
    python3 dev.py bench     measures speed beside PyTorch, JAX, NumPy and scikit-learn (names: only these)

It all happens in .venv beside this file. What is installed there is noted, so the next run starts at once.
"""

import sys

# Before anything that an older Python lacks; so nothing above the functions may be newer than Python 3.6.
if sys.version_info < (3, 11):
    sys.exit(f"gradstep needs Python 3.11 or newer; this is Python {sys.version.split()[0]}.")

import ast
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "installed.json"

FORMAT = ["ruff", "format", "--check", "."]
LINT = ["ruff", "check", "."]
TYPES = ["mypy", "--strict"]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# One more than there are cores: some tests wait for a browser, a server or a cluster.
TESTS = ["pytest", "-n", str(CORES + 1), "--dist", "worksteal"]

# The questions of speed, each a script in benchmarks/.
MEASURED = ["start", "derivation", "certificates", "neuron", "perceptron", "attention", "descent", "solvers"]
MEASURED += ["sweep", "out_of_core", "first_result"]

BROWSERS = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
]

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


# ---- commands


def demo(words: list[str]) -> int:
    install(set())
    # Ctrl-C is for the demo, which stops and shows what it has reached; this process only waits for it.
    signal.signal(signal.SIGINT, lambda *_: None)
    return call(BIN / "gradstep", "demo", *words)


def test(words: list[str]) -> int:
    install({"test"})
    return run_all([FORMAT, LINT, [*TESTS, *words]], beside=TYPES, meanwhile=provide_browser)


def setup(words: list[str]) -> int:
    extras = set(pyproject()["project"]["optional-dependencies"]) - {"all", "jax", "torch"}
    install(extras | {"peers"} if "--peers" in words else extras)
    print(f"All tools are in {BIN}")
    return 0


def lint(words: list[str]) -> int:
    install({"test"})
    return run_all([FORMAT, LINT, TYPES])


def gallery(words: list[str]) -> int:
    install(set())
    return call(PYTHON, ROOT / "docs" / "gallery.py", *words)


def notebooks(words: list[str]) -> int:
    install({"test"})
    return call(PYTHON, "-m", "docs.notebooks", *words)


def screenshots(words: list[str]) -> int:
    install({"test"})
    provide_browser()
    return call(PYTHON, "-m", "tests.page.screenshots", *words)


def docs(words: list[str]) -> int:
    install({"docs"})
    built = ROOT / "docs" / "_build"
    code = gallery([])
    code |= call(PYTHON, "-m", "sphinx", "-q", "-d", built / "doctrees", "docs", built / "html", *words)
    if code == 0:
        print(f"Open {built / 'html' / 'index.html'}")
    return code


def bench(words: list[str]) -> int:
    """Every table of docs/performance.md, a script each; `bench neuron descent` runs these two."""
    install({"fast", "parquet", "peers", "sklearn"})
    unknown = [word for word in words if word not in MEASURED]
    if unknown:
        print(f"there is no benchmark {unknown[0]}; there are {', '.join(MEASURED)}")
        return 2
    code = 0
    for name in words or MEASURED:
        print(f"\n== {name} ==", flush=True)
        code |= call(PYTHON, "-m", f"benchmarks.{name}")
    return code


COMMANDS = {"demo": demo, "test": test, "setup": setup, "lint": lint, "docs": docs, "gallery": gallery}
COMMANDS |= {"notebooks": notebooks, "screenshots": screenshots, "bench": bench}


def main() -> int:
    command, *words = sys.argv[1:] or ["help"]
    if command not in COMMANDS:
        print(__doc__.strip())
        return 0 if command in ("help", "--help", "-h") else 2
    try:
        return COMMANDS[command](words)
    except KeyboardInterrupt:
        return 130


def call(*command: object) -> int:
    # Dozens of Pythons start here; each would compile everything anew where it may not note what it compiled.
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.call([str(word) for word in command], cwd=ROOT, env=given)


def run_all(
    tools: list[list[str]], beside: list[str] | None = None, meanwhile: Callable[[], None] = lambda: None
) -> int:
    """Run every tool, also after one has failed, and say at the end which did.

    What the last tool needs and the others do not is done beside these `meanwhile`. The tool `beside`, which
    keeps one core busy, runs at the same time as the others and is told after them.
    """
    lines = []
    aside = threading.Thread(target=meanwhile, daemon=True)
    aside.start()
    first = time.monotonic()
    other = started(PYTHON, "-m", *beside) if beside else None
    for tool in tools:
        if tool is tools[-1]:
            aside.join()
        print(f"\n== {' '.join(tool)} ==", flush=True)
        began = time.monotonic()
        code = call(PYTHON, "-m", *tool)
        lines.append(verdict(tool, code, time.monotonic() - began))
    if other and beside:
        told, _ = other.communicate()
        print(f"\n== {' '.join(beside)} ==\n{told}", end="", flush=True)
        lines.append(verdict(beside, other.returncode, time.monotonic() - first))
    print("\n== summary ==", *lines, sep="\n")
    return 1 if any(line.startswith("FAILED") for line in lines) else 0


def verdict(tool: list[str], code: int, seconds: float) -> str:
    return f"{'passed' if code == 0 else 'FAILED'}  {' '.join(tool[:2]):<14}{seconds:6.1f} s"


def started(*command: object) -> subprocess.Popen[str]:
    """A command that runs on while others do; what it says is kept."""
    words = [str(word) for word in command]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# ---- the virtual environment


def install(wanted: set[str]) -> None:
    """Make sure that .venv holds gradstep with the `wanted` extras ("peers" is a dependency group)."""
    key = stamp_key()
    noted = json.loads(STAMP.read_text()) if STAMP.exists() else {"key": "", "extras": []}
    if noted["key"] == key and wanted <= set(noted["extras"]) and PYTHON.exists():
        return
    if not usable():
        make_venv()
    # What an earlier run installed stays, and follows a changed pyproject.toml too.
    extras = sorted(wanted.union(noted["extras"]))
    print(f"Installing {' + '.join(['gradstep', *extras])} into .venv (once) ...", flush=True)
    began = time.monotonic()
    named = ",".join(extra for extra in extras if extra != "peers")
    peers = pyproject()["dependency-groups"]["peers"] if "peers" in extras else []
    pip_install("--editable", f".[{named}]" if named else ".", *peers)
    # So that a command starts at once, also the first time.
    subprocess.run([str(PYTHON), "-m", "compileall", "-q", "src"], cwd=ROOT, check=False)
    STAMP.write_text(json.dumps({"key": key, "extras": extras}))
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


def stamp_key() -> str:
    """What makes an installation stale when it changes: the requirements, the Python, the place."""
    facts = f"{sys.version_info[:2]} {ROOT} ".encode() + (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(facts).hexdigest()


def pyproject() -> dict:
    import tomllib  # not needed when everything is installed already

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def usable() -> bool:
    """Does .venv have a Python that runs, of our own version?"""
    if not PYTHON.exists():
        return False
    asked = [str(PYTHON), "-c", "import sys; print(*sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True).stdout
    return answer.split() == [str(part) for part in sys.version_info[:2]]


def make_venv() -> None:
    """Make .venv; where Debian has cut ensurepip out of its Python, make it without a pip of its own."""
    venv = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    for command in (venv, [*venv, "--without-pip"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return
    sys.exit(f"Python could not make a virtual environment in {VENV}: {last_word(done.stderr + done.stdout)}")


def installers() -> list[list[str]]:
    """The ways to install into .venv that this machine has, the fastest first.

    uv needs half of pip's time and a tenth of its work; where there is none, pip fetches it into .venv. pip
    need not compile everything (half of its time): Python compiles what is imported.
    """
    pip = []
    if subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode == 0:
        pip = [str(PYTHON), "-m", "pip"]
    elif importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    ways = [[*pip, "install", "--no-compile"]] if pip else []
    if pip and not find_uv():
        subprocess.run([*ways[0], "--retries", "0", "uv"], capture_output=True)
    uv = find_uv()
    if uv:
        ways.insert(0, [uv, "pip", "install", "--python", str(PYTHON), *indexes(pip)])
    return ways


def find_uv() -> str | None:
    return shutil.which("uv", path=os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]))


def indexes(pip: list[str]) -> list[str]:
    """Where pip is told to look for packages, for uv, which does not read that."""
    told = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout if pip else ""
    found = {}
    for line in told.splitlines():
        key, _, value = line.partition("=")
        found[key.rpartition(".")[2]] = ast.literal_eval(value).split()  # the last word is the environment's
    options = ("index-url", "extra-index-url", "find-links")
    places = [word for name in options for place in found.get(name, ()) for word in (f"--{name}", place)]
    return [*places, "--index-strategy", "unsafe-best-match"]  # of all places together, as pip looks


def pip_install(*requirements: str) -> None:
    ways = installers()
    if not ways:
        version = f"python3.{sys.version_info.minor}"
        apt = f"{'' if AS_ROOT else 'sudo '}apt-get install -y {version}-venv"
        line = apt if shutil.which("apt-get") else "dnf install python3-pip, apk add py3-pip, or the like"
        sys.exit(f"This Python has no pip. Run this, then the same command again:  {line}")
    # All ways are tried: uv may fail where pip does not, for it does not read all that pip is told.
    for way in ways:
        code, said = run_and_tell([*way, *requirements])
        if code == 0:
            return
    log = VENV / "install.log"
    log.write_text(said, encoding="utf-8")
    cause = "The package index cannot be reached" if "connect" in said else "Installing failed"
    sys.exit(f"{cause}. pip's last word: {last_word(said)}  (all it said: {log})")


def run_and_tell(command: list[str]) -> tuple[int, str]:
    """Run, keep what is said, and in a terminal show its newest line, so that a long wait is no riddle."""
    said = []
    width = shutil.get_terminal_size().columns - 1
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout:
            said.append(line)
            if sys.stdout.isatty():
                print(f"\r{line.strip()[:width]:<{width}}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r" + " " * width, end="\r")
    return process.returncode, "".join(said)


def last_word(said: str) -> str:
    """The last line that names an error; pip ends with general advice instead."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["nothing"]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    return (errors or lines)[-1].removeprefix("ERROR: ")


# ---- a browser for the tests that look at a page


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def provide_browser() -> None:
    if find_browser():
        return
    ways = [[[str(PYTHON), "-m", "playwright", "install", "--only-shell", "chromium"]]]
    if AS_ROOT and shutil.which("apt-get"):
        # What Debian recommends with it is a desktop: 150 packages more, and others upgraded.
        chromium = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        ways.insert(0, [["apt-get", "update"], chromium])
    for way in ways:
        print(f"No Chromium here: {' '.join(way[-1])} ...", flush=True)
        if all(run_and_tell(command)[0] == 0 for command in way):
            return
    print("No Chromium could be installed, so the browser tests are skipped (where CI=true they fail).")


if __name__ == "__main__":
    sys.exit(main())
