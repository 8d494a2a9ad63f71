"""What do all tests share: browser, KaTeX, reference cases, PyTorch, JAX; and where may these be missing?"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cases as reference
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from dev import find_browser
from gradstep import cli
from gradstep.operations import FUNCTIONS
from gradstep.operations.declared import DECLARED
from gradstep.operations.leaves import RESERVED

CI = os.environ.get("CI", "").lower() in {"true", "1"}
# A test with this marker may be skipped on a user's machine; where the value is true, a skip is a failure.
REQUIRED = {"browser": CI, "cases": CI, "extras": CI, "peers": bool(os.environ.get("GRADSTEP_REQUIRE_PEERS"))}
MARKER_OF_FIXTURE = {
    "browser": "browser",
    "cases": "cases",
    "notebooks": "extras",
    "torch": "peers",
    "jax": "peers",
}

# What is tested is what programs say in JAX, not how fast XLA makes them, which takes it most of the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

settings.register_profile("gradstep", deadline=None, derandomize=CI)
settings.load_profile("gradstep")


def pytest_collection_modifyitems(items):
    for item in items:
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in item.fixturenames:
                item.add_marker(marker)


def pytest_runtest_setup(item):
    if item.get_closest_marker("peers") and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (python3 dev.py setup --peers)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    required = any(REQUIRED[marker.name] for marker in item.iter_markers() if marker.name in REQUIRED)
    if required and report.skipped and not hasattr(report, "wasxfail"):
        *_, reason = report.longrepr
        report.outcome, report.longrepr = "failed", f"may not be skipped here: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A module is skipped where a package is missing, of which all extras have some."""
    report = yield
    if report.skipped and REQUIRED["extras"]:
        *_, reason = report.longrepr
        report.outcome, report.longrepr = "failed", f"may not be skipped here: {reason}"
    return report


@contextmanager
def taken_back():
    """What is declared in here is a function in here only."""
    before = dict(FUNCTIONS), dict(DECLARED), set(RESERVED)
    yield
    for table, kept in zip((FUNCTIONS, DECLARED, RESERVED), before, strict=True):
        table.clear()
        table.update(kept)


@pytest.fixture(autouse=True)
def _no_function_outlives_its_test():
    with taken_back():
        yield


@pytest.fixture(scope="module")
def declaring():
    """For what declares functions that the tests of a module share."""
    with taken_back():
        yield


@pytest.fixture(scope="session", autouse=True)
def _a_core_for_each_worker():
    """Where there are as many workers as cores, threads of OpenBLAS's own would take time to wait, busily."""
    with threadpool_limits(1 if "PYTEST_XDIST_WORKER" in os.environ else None, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="session")
def jax():
    module = pytest.importorskip("jax")
    module.config.update("jax_enable_x64", True)
    return module


@pytest.fixture(scope="session")
def browser():
    """A Chromium of Playwright's; `browser.new_page()` opens a page."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        try:
            # Without a path Playwright looks for the one that `playwright install` has fetched.
            chromium = driver.chromium.launch(executable_path=find_browser(), args=CHROMIUM_OPTIONS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def javascript(request, tmp_path_factory):
    """Runs a module's text and gives its `globalThis.answer`: by Node.js, or where none is by Chromium."""
    node = shutil.which("node")
    if node is None:
        page = request.getfixturevalue("browser").new_page()

        def in_browser(text):
            page.goto("about:blank")
            page.add_script_tag(content=text, type="module")
            page.wait_for_function("'answer' in globalThis")
            return page.evaluate("globalThis.answer")

        return in_browser

    def in_node(text):
        file = tmp_path_factory.mktemp("javascript") / "run.mjs"
        file.write_text(f"{text}\nconsole.log(JSON.stringify(globalThis.answer));", encoding="utf-8")
        done = subprocess.run([node, file], capture_output=True, text=True, encoding="utf-8", check=False)
        assert not done.returncode, done.stderr[-3000:]
        return json.loads(done.stdout)

    return in_node


@pytest.fixture(scope="session")
def katex(browser):
    """What KaTeX, at its strictest, has against each of many formulas; "" where it reads one.

    The KaTeX is the one that sphinxcontrib-katex brings along, so that nothing but pip has to be there.
    """
    extension = importlib.util.find_spec("sphinxcontrib.katex")
    assert extension is not None and extension.origin is not None, "python3 dev.py setup"
    page = browser.new_page()
    page.add_script_tag(path=Path(extension.origin).parent / "katex.min.js")
    judge = """sources => sources.map(source => {
        try {
            katex.renderToString(source, {throwOnError: true, strict: "error", displayMode: true});
            return "";
        } catch (error) {
            return error.message;
        }
    })"""
    yield lambda sources: page.evaluate(judge, list(sources))
    page.close()


@pytest.fixture(scope="session")
def cases():
    """The reference cases of ../shared/cases."""
    if not reference.FILE.exists():
        pytest.skip(f"no {reference.FILE}")
    return reference.load()


@pytest.fixture
def gradstep(capsys, monkeypatch, tmp_path):
    """Types a command in an empty folder: gradstep("train", "x.csv") gives (status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def typed(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradstep", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        output, errors = capsys.readouterr()
        return left.value.code, output, errors

    return typed
