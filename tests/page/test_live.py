"""Does a page that trains itself find what `gs.train` finds, and show what the derivation is worth?"""

from __future__ import annotations

import json
import re
from importlib import resources

import numpy as np
import pytest

import gradstep as gs
from gradstep.page.controls import MODULES, PLACES
from gradstep.page.fitted import report
from gradstep.page.report import page

RNG = np.random.default_rng(5)
X = RNG.normal([3.0, -2.0, 100.0], [1.0, 4.0, 25.0], (60, 3))
DATA = {"X": X, "y": np.maximum(0, X @ [1.0, 0.5, -0.1] + 8) + 0.1 * RNG.normal(size=60)}
CLASSES = {"X": X, "Y": np.eye(3)[(X[:, 0] > 3).astype(int) + (X[:, 1] > -1)]}
NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
SHAPES = {"X": "N d", "W": "d h", "b": "h", "V": "h k", "c": "k", "Y": "N k"}
LAYERS = gs.parse("-sum(Y * log_softmax(tanh(X @ W + b) @ V + c, axis=1))/N", **SHAPES)
WALKS = {
    "as its formula says": (NEURON, DATA, {"learning_rate": 0.1}),
    "the rate fitted": (NEURON, DATA, {}),
    "momentum": (NEURON, DATA, {"optimiser": "momentum", "learning_rate": 0.02}),
    "a penalty": (NEURON, DATA, {"l2": 0.3, "learning_rate": 0.1}),
    "layers, a penalty": (LAYERS, CLASSES, {"l2": 0.02, "sizes": {"h": 4}, "learning_rate": 0.2}),
    "Adam": (NEURON, DATA, {"optimiser": "adam", "learning_rate": 0.05}),
    "mini-batches": (NEURON, DATA, {"batch": 16, "learning_rate": 0.05, "seed": 3}),
    "layers": (LAYERS, CLASSES, {"learning_rate": 0.3, "sizes": {"h": 4}}),
    "layers, mini-batches": (LAYERS, CLASSES, {"batch": 7, "learning_rate": 0.1, "sizes": {"h": 4}}),
}
STEPS = {"the rate fitted": 12}
WALK = """
const descent = new Descent(model, formulas.gradient);
for (let k = 0; k < {steps}; k++) descent.step();
const shown = formulas.everything({...descent.data, ...descent.parameters()}, model.sizes).gradients;
const flat = x => typeof x === "number" ? [x] : Array.from(x);
const of = table => Object.fromEntries(Object.entries(table).map(([key, x]) => [key, flat(x)]));
globalThis.answer = {
  parameters: of(descent.parameters()), loss: descent.whole().value, shown: of(shown),
  updates: descent.updates,
};
"""


def source(name):
    return (resources.files("gradstep.page") / "scripts" / f"{name}.js").read_text("utf-8")


def script(model, formulas, steps):
    """The walk of a page, without the page."""
    modules = "\n".join(source(name) for name in ("random", "descent"))
    lines = [line.removeprefix("export ") for line in modules.splitlines() if not line.startswith("import ")]
    return f"{formulas}const model = {model};\n" + "\n".join(lines) + WALK.replace("{steps}", str(steps))


def alive(fit):
    """The page of a fit, and its model and formulas."""
    made = page(report(fit))
    assert made.script
    formulas = made.script[: made.script.index("\n};\n") + 4]
    return made, json.loads(made.model), formulas


def trained(name):
    loss, data, settings = WALKS[name]
    return gs.train(loss, data, steps=STEPS.get(name, 40), tolerance=0, **settings)


@pytest.mark.parametrize("name", WALKS)
def test_the_page_walks_as_train_does(name, javascript):
    fit = trained(name)
    made, model, formulas = alive(fit)
    batch = model["settings"]["batch"]
    updates = STEPS.get(name, 40) * (-(-60 // batch) if batch else 1)
    found = javascript(script(made.model, formulas, updates))
    assert found["updates"] == updates
    units = model["units"]
    assert found["loss"] * units["worth"] == pytest.approx(fit.history[-1], rel=1e-9)
    path = fit.descent.path
    last = {key: stack[-1] for key, stack in path.items()}
    if fit.coordinates.unit is not None and units["target"] is None:  # the page keeps the target's own unit
        last = {key: value * fit.coordinates.unit.size for key, value in last.items()}
    for key, right in last.items():
        np.testing.assert_allclose(found["parameters"][key], np.ravel(right), rtol=1e-9, atol=1e-9)


def test_orders_are_those_of_numpy(javascript):
    wanted = [(17, 0, 0), (60, 3, 5), (1000, 12345678901234, 2), (2, 1, 1), (1, 0, 0)]
    text = (
        source("random") + f"\nglobalThis.answer = {json.dumps(wanted)}.map(each => [...orderOf(...each)]);"
    )
    for (rows, seed, turn), found in zip(wanted, javascript(text), strict=True):
        assert found == np.random.default_rng([seed, turn]).permutation(rows).tolist()


def test_numbers_read_as_elsewhere(javascript):
    values = [0, 1, -0.5, 1 / 3, 12345.678, 1234567.0, 1e9, -2.5e-7, 0.00012, 99.995]
    text = source("numbers") + f"\nglobalThis.answer = {json.dumps(values)}.map(v => shown(v, 4));"
    assert javascript(text) == [
        *("0", "1", "−0.5", "0.3333", "12346", "1234567", "1×10⁹", "−2.5×10⁻⁷", "0.00012", "100")
    ]


def test_every_line_knows_what_it_is_worth(javascript):
    fit = trained("as its formula says")
    made, model, formulas = alive(fit)
    html = made.html()
    steps = re.findall(r'data-number="(\d+)".*?</summary>', html)
    worth = re.findall(r'data-worth="(k\d+)"', html)
    assert len(worth) == len(steps) == 10
    titles = [model["values"][key]["title"] for key in worth]
    assert titles[0] == "∂C/∂w" and titles[-1] == "∂C/∂b" and "da/dz" in titles and "∂z/∂w" in titles
    found = javascript(script(made.model, formulas, 0))["shown"]
    keys = {value["title"]: key for key, value in model["values"].items()}
    inside = fit.coordinates.data(fit.data)["X"]
    start = {key: stack[0] * fit.coordinates.unit.size for key, stack in fit.descent.path.items()}
    z = inside @ start["w"] + start["b"]
    e = fit.data["y"] - np.maximum(z, 0)
    np.testing.assert_allclose(found[keys["da/dz"]], z > 0)
    np.testing.assert_allclose(found[keys["e"]], e, rtol=1e-9)
    np.testing.assert_allclose(found[keys["∂C/∂w"]], -2 / 60 * inside.T @ (e * (z > 0)), rtol=1e-9)


def test_only_the_script_of_the_page_may_run():
    made, _, _ = alive(trained("as its formula says"))
    html = made.html()
    assert (
        html.count("<script") == 2
        and "script-src 'sha256-" in html
        and "unsafe-inline" not in html.split("script-src")[1][:80]
    )
    assert "<" not in made.model
    assert {*MODULES, *PLACES} == {
        each.name.removesuffix(".js")
        for each in (resources.files("gradstep.page") / "scripts").iterdir()
        if each.name.endswith(".js")
    }
