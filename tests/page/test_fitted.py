"""Does the page of a fit work in a browser, offline, and tell the whole story?"""

import numpy as np
import pytest

import gradstep as gs


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    X = np.linspace(-1, 2, 40)[:, None]
    fit = gs.train(loss, {"X": X, "y": np.maximum(0, 2 * X[:, 0] - 1)}, ["w", "b"], learning_rate=0.1)
    return fit.page(tmp_path_factory.mktemp("fit") / "fit.html")


def test_the_page_tells_the_story(page):
    html = page.read_text(encoding="utf-8")
    for part in (
        "gs-network",
        "Name the parts",
        "<math",
        "gs-surface",
        "gs-loss",
        "gs-fit",
        "def value_and_gradients",
    ):
        assert part in html, part
    assert len(html) < 600_000


def test_the_page_asks_no_network_and_has_no_errors(page, browser):
    tab = browser.new_page()
    asked, errors = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(page.as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and errors == []
    first = tab.locator("details").first
    first.locator("summary").click()
    assert first.evaluate("d => d.open")
    tab.close()


def test_nothing_is_ticked_that_was_not_checked():
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    checked, not_checked = (gs.derive(loss, ["w", "b"], certify=how).html() for how in (True, False))
    assert "✓" in checked.split("<script")[0] and "✓" not in not_checked.split("<script")[0]
