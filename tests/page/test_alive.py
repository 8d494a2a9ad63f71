"""Does a live page do what a person asks of it: train, drag, show numbers, come back by a link?"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager

import numpy as np
import pytest

from gradstep.learn.data import from_arrays
from gradstep.learn.encoding import Encoder
from gradstep.learn.models import default_model
from gradstep.learn.training import train_model
from gradstep.page import live

RNG = np.random.default_rng(2)


@pytest.fixture(scope="module")
def fit():
    x = np.linspace(2001, 2017, 17)
    table = from_arrays({"year": x, "twh": np.maximum(1, 1.7 * (x - 2005)) + RNG.normal(size=17)})
    prepared = Encoder.fit(table, "twh", holdout=0)
    return train_model(default_model(prepared), prepared, learning_rate=0.1)


@pytest.fixture(scope="module")
def neuron(fit, tmp_path_factory):
    return fit.page(tmp_path_factory.mktemp("neuron") / "neuron.html").as_uri()


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    x, y = RNG.normal(size=(2, 45))
    kinds = np.array(["low", "middle", "high"])[(x > 0).astype(int) + (y > 0)]
    prepared = Encoder.fit(from_arrays({"x": x, "y": y, "kind": kinds}), "kind", holdout=0)
    fit = train_model(default_model(prepared, [4]), prepared, learning_rate=0.5, steps=60)
    return fit.page(tmp_path_factory.mktemp("layers") / "layers.html").as_uri()


@contextmanager
def opened(browser, address, **settings):
    """A tab in which nothing may go wrong and nothing may be fetched."""
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **settings})
    tab = context.new_page()
    wrong = []
    tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
    tab.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(address)
    tab.wait_for_selector("html.alive", state="attached")
    yield tab
    context.close()
    assert wrong == []


def until(true):
    """Waits until it is so."""
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.05)


def loss_of(tab):
    return float(tab.get_attribute("#loss", "data-value"))


def test_train_reaches_what_train_found(browser, neuron, fit):
    with opened(browser, neuron) as tab:
        first = loss_of(tab)
        assert first == pytest.approx(fit.history[0])
        tab.click("#step")
        assert loss_of(tab) == pytest.approx(fit.history[1], rel=1e-9)
        assert tab.inner_text("#updates") == "1"
        tab.click("#reset")
        assert loss_of(tab) == first
        tab.evaluate(f"gradstep.step({fit.steps})")
        assert loss_of(tab) == pytest.approx(fit.loss, rel=1e-9)
        tab.click("#reset")
        tab.select_option("#speed", "100", force=True)
        assert tab.inner_text("#train") == "Train"
        tab.click("#train")
        until(lambda: tab.inner_text("#message"))
        assert tab.inner_text("#train") == "Train"
        assert "Nothing is left to gain" in tab.inner_text("#message") or "No step" in tab.inner_text(
            "#message"
        )
        assert loss_of(tab) <= fit.loss * (1 + 1e-9)


def test_a_link_shows_the_same_state(browser, neuron):
    with opened(browser, neuron) as tab:
        assert "#" not in tab.url
        tab.evaluate("gradstep.step(5)")
        tab.click("#step")
        row = int(tab.inner_text("#example").split()[1])
        tab.click("#example-after")
        assert tab.url.endswith(f"#row={row + 1}&steps=6")
        seen, address = loss_of(tab), tab.url
        point = tab.locator(".gs-point")
        point.focus()
        tab.keyboard.press("ArrowRight")
        moved, other = loss_of(tab), tab.url
        assert moved != seen and "&at=" in other
    for link, loss in ((address, seen), (other, moved)):
        with opened(browser, link) as tab:
            assert loss_of(tab) == pytest.approx(loss, rel=1e-12)
            assert tab.inner_text("#updates") == "6" and tab.inner_text("#example").startswith(
                f"row {row + 1} of 17"
            )
    with opened(browser, neuron + "#rate=nonsense&steps=-3&at=%%%&row=99&line=x") as tab:
        assert np.isfinite(loss_of(tab))


def test_what_is_dragged_moves_everything(browser, neuron):
    with opened(browser, neuron) as tab:
        before, w = loss_of(tab), tab.evaluate("gradstep.descent.parameters().w[0]")
        chip = tab.locator("#gs-network [data-part='w-0'].chip")
        box = chip.bounding_box()
        tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"], steps=4)
        tab.mouse.up()
        assert tab.evaluate("gradstep.descent.parameters().w[0]") > w
        assert loss_of(tab) != before
        curve = tab.get_attribute("#gs-fit .fit.curve", "d")
        plot = tab.locator("#gs-surface svg.plot")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        tab.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"])
        assert tab.get_attribute("#gs-fit .fit.curve", "d") != curve
        there = loss_of(tab)
        assert abs(float(tab.evaluate("gradstep.descent.whole().value")) - there) < 1e-9 * there
        line = tab.locator("[data-worth]").first
        line.scroll_into_view_if_needed()
        until(line.inner_text)
        said = float(line.inner_text().split()[-1].replace("−", "-"))
        assert said == pytest.approx(tab.evaluate("gradstep.descent.whole().gradient[0]"), rel=2e-3)


def test_a_symbol_tells_what_it_is_worth(browser, neuron):
    with opened(browser, neuron) as tab:
        symbol = tab.locator(".step [data-k]", has_text="e").nth(1)
        symbol.scroll_into_view_if_needed()
        symbol.hover()
        card = tab.locator("#card")
        card.wait_for()
        assert "17" in card.inner_text() and tab.inner_text("#example").split(" of")[0] in card.inner_text()
        tab.keyboard.press("Escape")
        assert card.is_hidden()


def test_every_line_is_heard_in_words(browser, neuron):
    with opened(browser, neuron) as tab:
        heard = tab.locator("ol.steps").first.aria_snapshot()
        assert (
            "Line 2: the partial derivative of C with respect to w equals 2 over N times the sum over i"
            in heard
        )
        assert (
            "power rule and chain rule: d(e squared) over de equals 2e." in heard
            and "∂" not in heard
            and "ᵢ" not in heard
        )
        steps = tab.locator("ol.steps > .step")
        steps.nth(1).locator("summary").click()
        inside = steps.nth(1).locator(".why").aria_snapshot()
        assert "d(e squared)" in inside and "²" not in inside
        tab.click("#one-by-one")
        tab.keyboard.press("ArrowRight")
        newest = tab.locator("#newest")
        assert newest.text_content().startswith("Line 2: ") and newest.get_attribute("role") == "status"
        tab.click("#slides")
        assert "Line 2: the partial" in tab.locator("#slide").aria_snapshot()


def test_lines_one_at_a_time_and_as_slides(browser, neuron):
    with opened(browser, neuron) as tab:
        steps = tab.locator("ol.steps > .step:visible")
        count = steps.count()
        assert count > 5
        tab.click("#one-by-one")
        assert steps.count() == 1
        tab.locator("body").press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        assert steps.count() == 3
        tab.keyboard.press("ArrowLeft")
        assert steps.count() == 2
        tab.click("#slides")
        assert f"2 of {count}" in tab.inner_text("#slide")
        tab.keyboard.press("ArrowRight")
        assert f"3 of {count}" in tab.inner_text("#slide") and "difference rule" in tab.inner_text("#slide")
        tab.keyboard.press("Escape")
        assert tab.locator("#slide").is_hidden()


def test_a_rate_that_is_too_large_loses_nothing(browser, neuron):
    with opened(browser, neuron) as tab:
        tab.evaluate("gradstep.step(3)")
        tab.click(".settings > summary")
        tab.fill("#rate", "1e200")
        tab.keyboard.press("Tab")
        for _ in range(3):
            tab.click("#step")
        assert "smaller" in tab.inner_text("#message")
        assert np.isfinite(loss_of(tab))
        tab.fill("#rate", "fast")
        tab.keyboard.press("Tab")
        assert "above zero" in tab.inner_text("#message")
        assert float(tab.input_value("#rate")) == 1e200


def test_every_way_down_goes_down(browser, neuron):
    with opened(browser, neuron) as tab:
        tab.click(".settings > summary")
        for way in ("momentum", "adam", "gradient descent"):
            tab.click("#reset")
            first = loss_of(tab)
            tab.select_option("#optimiser", way)
            tab.fill("#rate", "0.01")
            tab.keyboard.press("Tab")
            assert tab.locator("#friction").is_visible() == (way == "momentum")
            tab.select_option("#batch", "4")
            tab.evaluate("gradstep.step(30)")
            assert loss_of(tab) < first, way
            tab.locator(".gs-point").press("ArrowRight")
            begun = {"momentum": "at rest", "adam": "slopes anew", "gradient descent": ""}[way]
            assert begun in tab.inner_text("#message") and bool(begun) == bool(tab.inner_text("#message"))
            tab.select_option("#batch", "0")
        tab.check("#automatic")
        tab.evaluate("gradstep.step(5)")
        assert tab.evaluate("gradstep.descent.settings.rate") is None


def test_a_line_is_copied(browser, neuron):
    with opened(browser, neuron) as tab:
        tab.locator("ol.steps > .step summary").first.click()
        buttons = tab.locator("ol.steps > .step").first.locator("[data-copy]")
        assert buttons.all_inner_texts() == ["LaTeX", "NumPy", "PyTorch", "JavaScript"]
        assert r"\frac{\partial C}{\partial \mathbf{w}}" in buttons.first.get_attribute("data-copy")
        buttons.first.click()
        until(lambda: buttons.first.inner_text() == "copied")
        until(lambda: buttons.first.inner_text() == "LaTeX")


def test_signal_and_gradient_run_through_the_network(browser, neuron):
    with opened(browser, neuron, reduced_motion="reduce") as tab:
        tab.click("#backward")
        slope = tab.locator("#gs-network [data-part='w-0'] .slope")
        assert slope.is_visible()
        row = tab.evaluate("gradstep.model.example")
        x = tab.evaluate(f"gradstep.descent.data.X[{row}]")
        dz = tab.evaluate(f"gradstep.worth(gradstep.model.network[0].slope)[{row}]")
        assert float(slope.text_content()[1:].replace("−", "-")) == pytest.approx(x * dz, rel=0.01)
        assert tab.locator("#gs-network [data-part='w-0'] .chain").text_content().startswith("=")
        tab.click("#forward")
        assert slope.is_hidden()


def test_layers_are_alive_too(browser, layers):
    with opened(browser, layers) as tab:
        first = loss_of(tab)
        tab.evaluate("gradstep.step(40)")
        assert loss_of(tab) < first
        counts = tab.locator("#gs-fit .count").all_text_contents()
        assert sum(int(count or 0) for count in counts) == 45
        grip = tab.locator("#gs-network .grip").first
        grip.scroll_into_view_if_needed()
        grip.dispatch_event("pointerenter")
        told = grip.locator("title").text_content().replace("−", "-").replace("×10", "e")
        told = told.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        grip.focus()
        tab.keyboard.press("PageDown")
        assert tab.evaluate("document.activeElement.dataset.part") == "1-1-0"
        slope, upstream, local = map(float, re.search(r"∂ (\S+) = (\S+) · (\S+);", told).groups())
        assert slope == pytest.approx(upstream * local, rel=0.02)
        before = tab.evaluate("[...gradstep.descent.x]")
        grip.dispatch_event("keydown", {"key": "ArrowRight"})
        after = tab.evaluate("[...gradstep.descent.x]")
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1600, "dark")])
def test_it_fits_the_screen(browser, neuron, width, scheme):
    with opened(browser, neuron, viewport={"width": width, "height": 800}, color_scheme=scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("#train").is_visible()
        tab.locator("#train").focus()
        tab.keyboard.press("Enter")
        until(lambda: tab.evaluate("gradstep.descent.updates > 2"))
        assert tab.inner_text("#train") == "Pause"
        tab.keyboard.press("Enter")
        assert tab.inner_text("#train") == "Train"


def test_it_reads_without_a_script(browser, neuron):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(neuron)
    assert tab.locator("#train").is_hidden() and tab.locator("ol.steps > .step").first.is_visible()
    context.close()


def test_a_page_with_some_of_the_rows_says_so(browser, fit, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "MOST_ROWS", 9)
    with opened(browser, fit.page(tmp_path / "some.html").as_uri()) as tab:
        assert "with 9 of the 17 rows" in tab.inner_text("#message")
        tab.click("#step")
        assert "with 9 of the 17 rows" in tab.inner_text("#message")


def test_a_network_too_large_for_a_page_is_still_shown(fit, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "MOST_PARAMETERS", 1)
    html = fit.page(tmp_path / "large.html").read_text(encoding="utf-8")
    assert "<script" not in html and "gs-loss" in html
