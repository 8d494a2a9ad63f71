"""Does a fit in a notebook's cell go where it is put, from Python and from the browser?"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

import gradstep as gs

pytest.importorskip("anywidget", reason="no widgets without anywidget (pip install 'gradstep[notebook]')")

RNG = np.random.default_rng(7)
X = RNG.normal([3.0, 100.0], [1.0, 25.0], (40, 2))
ONE = np.linspace(2001, 2017, 17)
NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
SHAPES = {"X": "N d", "W": "d h", "b": "h", "V": "h k", "c": "k", "Y": "N k"}
LAYERS = gs.parse("-sum(Y * log_softmax(tanh(X @ W + b) @ V + c, axis=1))/N", **SHAPES)
DATA = {"X": X, "y": np.maximum(0, X @ [1.0, 0.1] - 8) + 0.1 * RNG.normal(size=40)}
CLASSES = {"X": X, "Y": np.eye(3)[(X[:, 0] > 3).astype(int) + (X[:, 1] > 100)]}
WALKS = {
    "as its formula says": (NEURON, DATA, {"learning_rate": 0.1}),
    "the rate fitted": (NEURON, DATA, {}),
    "momentum": (NEURON, DATA, {"optimiser": "momentum", "learning_rate": 0.02}),
    "Adam": (NEURON, DATA, {"optimiser": "adam", "learning_rate": 0.05}),
    "mini-batches": (LAYERS, CLASSES, {"batch": 7, "learning_rate": 0.1, "sizes": {"h": 4}, "seed": 3}),
}


def trained(name, steps=7):
    loss, data, settings = WALKS[name]
    return gs.train(loss, data, steps=steps, tolerance=0, **settings)


@pytest.fixture(scope="module")
def fit():
    y = np.maximum(1, 1.7 * (ONE - 2005)) + RNG.normal(size=17)
    return gs.train(NEURON, {"X": ONE[:, None], "y": y}, learning_rate=0.1, steps=50)


@pytest.fixture(scope="module")
def cell(fit):
    """For tests that leave it where it is."""
    return fit.widget()


@pytest.mark.parametrize("name", WALKS)
def test_it_steps_as_train_does(name):
    fit = trained(name)
    cell = fit.widget()
    assert cell.loss == pytest.approx(fit.history[0], rel=1e-12)
    blocks = -(-40 // 7) if "batch" in WALKS[name][2] else 1
    for k in (1, 3, 7):
        count = k * blocks - cell.steps
        assert cell.step(count) == count
        assert cell.steps == k * blocks and cell.loss == pytest.approx(fit.history[k], rel=1e-9)
    last = {name: stack[-1] for name, stack in fit.path.items()}
    for parameter, value in cell.parameters.items():
        np.testing.assert_allclose(value, last[parameter], rtol=1e-7, atol=1e-9)
    cell.reset()
    assert cell.steps == 0 and cell.loss == pytest.approx(fit.history[0], rel=1e-12)


def test_parameters_are_set_and_observed(fit):
    cell, seen = fit.widget(), []
    assert {name: np.shape(value) for name, value in cell.parameters.items()} == {"w": (1,), "b": ()}
    cell.observe(lambda change: seen.append(change.new), "parameters")
    cell.parameters = fit.parameters
    assert cell.loss == pytest.approx(fit.loss, rel=1e-9)
    cell.parameters = {"b": -3.5}
    assert cell.parameters["b"] == -3.5 and cell.parameters["w"] == fit.parameters["w"]
    held = cell.parameters
    held["w"] = [0.25]
    assert isinstance(held["w"], np.ndarray) and held["b"] == -3.5
    assert cell.parameters["w"] == [0.25] and cell.parameters["b"] == -3.5 and len(seen) == 3
    right = np.mean((fit.data["y"] - np.maximum(0, 0.25 * ONE - 3.5)) ** 2)
    assert cell.loss == pytest.approx(right, rel=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        cell.parameters["w"][0] = 1.0
    assert cell.step(3) == 3 and len(seen) == 6
    assert "step 3" in repr(cell)


def test_settings_are_those_of_train(fit):
    cell = fit.widget()
    asked = {"optimiser": "gradient descent", "learning_rate": 0.1, "momentum": 0.9, "batch": None, "seed": 0}
    assert cell.settings == asked
    cell.settings = {"optimiser": "momentum", "momentum": 0.0}
    cell.settings["batch"] = 5
    assert cell.settings == {**asked, "optimiser": "momentum", "momentum": 0.0, "batch": 5}
    cell.settings = {"batch": None}
    cell.step(4)
    assert cell.loss == pytest.approx(fit.history[4], rel=1e-9)  # momentum without any is gradient descent


WRONG = {
    "a name": ("parameters", {"v": 1.0}, "no 'v'"),
    "a shape": ("parameters", {"w": [1.0, 2.0]}, "another shape"),
    "no number": ("parameters", {"b": "one"}, "should be numbers"),
    "NaN": ("parameters", {"b": float("nan")}, "NaN"),
    "no names": ("parameters", [1.0, 2.0], "by name"),
    "a setting": ("settings", {"rate": 0.1}, "no 'rate'"),
    "an optimiser": ("settings", {"optimiser": "l-bfgs"}, "l-bfgs"),
    "a rate": ("settings", {"learning_rate": -1}, "learning_rate cannot be -1"),
    "a share": ("settings", {"momentum": 1}, "momentum cannot be 1"),
    "rows": ("settings", {"batch": 0}, "batch cannot be 0"),
    "a seed": ("settings", {"seed": 0.5}, "seed cannot be 0.5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_set_is_explained(cell, name):
    what, value, told = WRONG[name]
    before = dict(cell.settings), cell.parameters["b"], cell.loss
    with pytest.raises(gs.MathError, match=told) as error:
        setattr(cell, what, value)
    assert error.value.facts or error.value.mend
    assert before == (dict(cell.settings), cell.parameters["b"], cell.loss)


def test_a_rate_that_is_too_large_loses_nothing(cell):
    before, usual = cell.loss, cell.settings["learning_rate"]
    cell.settings["learning_rate"] = 1e300
    with pytest.raises(gs.MathError, match="range of numbers"):
        cell.step(5)
    cell.settings["learning_rate"] = usual
    assert np.isfinite(cell.loss) and (cell.steps, cell.loss) == (0, before)
    with pytest.raises(gs.MathError, match="-1"):
        cell.step(-1)


def test_what_has_no_live_page_has_no_cell(fit, monkeypatch):
    monkeypatch.setattr("gradstep.page.live.MOST_PARAMETERS", 1)
    with pytest.raises(gs.MathError, match=r"cannot train in a cell[^$]*fit\.page"):
        fit.widget()
    monkeypatch.delitem(sys.modules, "gradstep.page.cells")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(gs.MathError, match=r"anywidget[^$]*pip install 'gradstep\[notebook\]'"):
        fit.widget()


# ------------------------------------------------------------------------------------------- in a browser

NOTEBOOK = """<!doctype html><html><body style="background: {ground}"><h2>Mine</h2><button>Mine</button>
<div id="first" style="width: 900px"></div><div id="second" style="width: 500px"></div></body></html>"""
MODEL = """async state => {
  const heard = {}, same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  let changed = {};
  globalThis.model = {
    get: name => state[name],
    set(name, value) {
      if (same(state[name], value)) return;
      changed[name] = state[name] = value;
      for (const hear of heard[`change:${name}`] ?? []) hear();
    },
    on: (event, hear) => (heard[event] ??= []).push(hear),
    off: (event, hear) => (heard[event] = heard[event].filter(each => each !== hear)),
    save_changes() {
      if (Object.keys(changed).length) python(changed);
      changed = {};
    },
    receive(given) {
      const news = Object.keys(given).filter(name => !same(state[name], given[name]));
      Object.assign(state, given);
      for (const name of news) for (const hear of heard[`change:${name}`] ?? []) hear();
    },
  };
  const address = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  globalThis.widget = (await import(address)).default;
  globalThis.show = id => widget.render({ model, el: document.getElementById(id) });
  globalThis.closing = show("first");
}"""


@contextmanager
def shown(browser, cell, ground="white", scheme="light"):
    """A page in the place of a notebook, which carries what is synchronised to and fro."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    wrong = []
    tab.on("request", lambda r: None if r.url.startswith(("blob:", "data:")) else wrong.append(r.url))
    tab.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.expose_function("python", cell.set_state)
    tab.set_content(NOTEBOOK.replace("{ground}", ground))
    tab.evaluate(MODEL, {name: getattr(cell, name) for name in cell.keys if name in OURS})
    yield tab
    context.close()
    assert wrong == []


OURS = ("_esm", "_sheet", "_font", "_body", "_page", "_settings", "_x", "running", "steps")


def sent(tab, cell):
    """What Python has changed goes to the browser."""
    tab.evaluate("given => model.receive(given)", {name: getattr(cell, name) for name in OURS[5:]})


def until(tab, true):
    ends = time.monotonic() + 40
    while not true():
        assert time.monotonic() < ends, "it never came true"
        tab.wait_for_timeout(30)


def loss_of(tab, place="first"):
    return float(tab.locator(f"#{place} #loss").get_attribute("data-value"))


def test_browser_and_python_go_together(browser, fit):
    cell = fit.widget()
    with shown(browser, cell) as tab:
        first = tab.locator("#first")
        assert loss_of(tab) == pytest.approx(fit.history[0], rel=1e-9)
        first.locator("#step").click()
        until(tab, lambda: cell.steps == 1)
        assert cell.loss == pytest.approx(fit.history[1], rel=1e-9) == loss_of(tab)
        assert first.locator("#updates").inner_text() == "1"
        assert cell.parameters["b"] == pytest.approx(fit.path["b"][1], rel=1e-9)
        cell.step(9)
        sent(tab, cell)
        assert loss_of(tab) == pytest.approx(fit.history[10], rel=1e-9)
        assert first.locator("#updates").inner_text() == "10"
        chip = first.locator("#gs-network [data-part='w-0'].chip")
        box, w = chip.bounding_box(), cell.parameters["w"][0]
        tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"], steps=4)
        tab.mouse.up()
        until(tab, lambda: cell.parameters["w"][0] > w and cell.loss == pytest.approx(loss_of(tab), rel=1e-9))
        cell.parameters = fit.parameters
        cell.settings = {"optimiser": "adam", "learning_rate": 0.02}
        sent(tab, cell)
        assert loss_of(tab) == pytest.approx(fit.loss, rel=1e-9)
        assert first.locator("#optimiser").input_value() == "adam"
        first.locator(".settings > summary").click()
        first.locator("#optimiser").select_option("momentum")
        until(tab, lambda: cell.settings["optimiser"] == "momentum")
        cell.reset()
        sent(tab, cell)
        until(tab, lambda: first.locator("#updates").inner_text() == "0")
        cell.train()
        sent(tab, cell)
        until(tab, lambda: cell.steps > 5)
        assert cell.running and first.locator("#train").inner_text() == "Pause"
        first.locator("#train").click()
        until(tab, lambda: not cell.running)
        cell.train()
        sent(tab, cell)
        cell.pause()
        sent(tab, cell)
        assert first.locator("#train").inner_text() == "Train"


def test_two_views_show_the_same_and_one_of_them_trains(browser, fit):
    cell = fit.widget()
    with shown(browser, cell) as tab:
        tab.evaluate("void (closing = show('second'))")
        tab.locator("#second #train").click()
        until(tab, lambda: cell.steps > 5)
        assert tab.locator("#first #train").inner_text() == "Train"
        tab.locator("#first #train").click()
        until(tab, lambda: tab.locator("#second #train").inner_text() == "Train")
        tab.locator("#first #train").click()
        until(tab, lambda: not cell.running)
        until(tab, lambda: loss_of(tab) == loss_of(tab, "second"))
        cell.train()
        sent(tab, cell)
        tab.evaluate("closing()")
        assert tab.locator("#second > *").count() == 0


@pytest.mark.parametrize(("ground", "scheme"), [("white", "dark"), ("oklch(0.2 0 0)", "light")])
def test_it_looks_as_its_notebook_and_leaves_it_alone(browser, cell, ground, scheme):
    look = """() => JSON.stringify(["h2", "body > button"].map(name => {
      const style = getComputedStyle(document.querySelector(name));
      return [style.font, style.color, style.backgroundColor, style.padding, style.margin];
    }))"""
    with shown(browser, cell, ground, scheme) as tab:
        after = tab.evaluate(look)
        tab.evaluate("closing()")
        assert tab.evaluate(look) == after and tab.evaluate("document.styleSheets.length") == 0
        tab.evaluate("void (closing = show('second'))")
        cell_in_it = "document.querySelector('#second > div').shadowRoot.querySelector('.cell')"
        paper = f"getComputedStyle({cell_in_it}).backgroundColor"
        until(tab, lambda: tab.evaluate(f"document.fonts.check('12px \"STIX Two Math\"') && {paper}"))
        light = tab.evaluate(f"{paper}.match(/\\d+/)[0] > 128")
        assert light == (ground == "white")
        second = tab.locator("#second")
        assert second.locator(".picture .narrow").first.is_visible()
        symbol = second.locator(".step [data-k]", has_text="e").nth(1)
        symbol.scroll_into_view_if_needed()
        symbol.hover()
        card, box = second.locator("#card"), symbol.bounding_box()
        card.wait_for()
        assert abs(card.bounding_box()["x"] - max(8, box["x"])) < 2
        tab.mouse.move(1090, 5)
        assert card.is_hidden()


def test_the_state_is_what_json_can_hold(cell):
    state = cell.get_state(OURS)
    assert json.loads(json.dumps(state)) == state
    assert len(json.dumps(state)) < 600_000
