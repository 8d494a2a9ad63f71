"""Does the page of a derivation train, on data that are made up as the loss needs them?"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from page.test_live import script

import gradstep as gs
from gradstep.operations.evaluation import variables
from gradstep.page.fitted import report
from gradstep.page.made_up import ROWS, MadeUp
from gradstep.page.rehearsal import FEW, rehearse
from gradstep.page.report import page

LINE = {"X": "N d", "w": "d", "b": "", "y": "N"}
MANY = {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}
TABLE = {"R": "m n", "U": "m k", "V": "n k"}


def derived(text, wrt, assume=None, **shapes):
    return gs.derive(gs.parse(text, **shapes, assume=assume or {}), wrt.split(), certify=False)


LOSSES = {
    "a neuron": derived("mean((y - relu(X @ w + b))**2)", "w b", **LINE),
    "its weights": derived("mean((y - X @ w)**2) + lam*sum(w**2)", "w", X="N d", y="N", w="d", lam=""),
    "chances": derived(
        "-mean(y*log(sigmoid(X @ w + b)) + (1 - y)*log(1 - sigmoid(X @ w + b)))", "w b", **LINE
    ),
    "sides": derived("mean(log(1 + exp(-y*(X @ w + b))))", "w b", **LINE),
    "margins": derived("mean(relu(1 - y*(X @ w + b))) + 0.1*sum(w**2)", "w b", **LINE),
    "classes": derived("-sum(Y*log(softmax(X @ W + b, axis=1)))/N", "W b", **MANY),
    "numbered": derived(
        "-sum(one_hot(y, k)*log_softmax(X @ W + b, axis=1))/N", "W b", X="N d", W="d k", b="k", y="N"
    ),
    "counts": derived("mean(exp(X @ w + b) - y*(X @ w + b))", "w b", **LINE),
    "mirrored": derived("mean((X - tanh(X @ W) @ V)**2)", "W V", X="N d", W="d h", V="h d"),
    "a table": derived("mean((R - U @ V.T)**2)", "U V", **TABLE),
    "weighed": derived("sum(M*(R - U @ V.T)**2)/sum(M)", "U V", M="m n", **TABLE),
    "looked up": derived("mean((y - take(E, i) @ w)**2)", "E w", E="u k", i="N", w="k", y="N"),
    "a spread": derived("log(s) + mean((y - m)**2)/(2*s**2)", "s m", {"s": "positive"}, s="", m="", y="N"),
    "sizes that are sums": derived("sum((y - embed(x, zeros(n + 1)[1:]))**2)", "x", x="n", y="n+1"),
    "no data": derived("sum((x**2 - 1)**2)", "x", x="n"),
    "no lowest point": derived("x @ inv(A) @ x + logdet(A)", "A", x="n", A="n n"),
    "a power": derived("-sum(log(x))", "x", x="n"),
}
SEEN = {  # what each made-up answer may be
    "chances": ("y", {0.0, 1.0}),
    "sides": ("y", {-1.0, 1.0}),
    "margins": ("y", {-1.0, 1.0}),
    "classes": ("Y", {0.0, 1.0}),
    "numbered": ("y", set(map(float, range(4)))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_goes_down_on_made_up_data(name):
    derivation = LOSSES[name]
    fit, told = rehearse(derivation)
    assert fit.loss < fit.history[0] and np.isfinite(fit.loss)
    assert set(fit.data) == set(variables(derivation.of)) - set(derivation.parameters)
    assert len(told) == 1 + (fit.settings["learning_rate"] is not None)
    assert (fit.steps == FEW) == (name in ("no lowest point", "a power"))
    if "N" in {size for v in variables(derivation.of).values() for size in v.shape}:
        assert len(fit.rows) == ROWS
    assert all(name in told[0] for name in fit.data)


@pytest.mark.parametrize("name", SEEN)
def test_answers_are_what_the_loss_compares_with(name):
    target, values = SEEN[name]
    found = rehearse(LOSSES[name])[0].data[target]
    assert set(np.unique(found)) <= values and len(np.unique(found)) > 1
    if found.ndim == 2:
        np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_counts_are_whole_and_a_neuron_is_off_for_some():
    counts = MadeUp(LOSSES["counts"]).data["y"]
    assert np.all(counts == np.round(counts)) and np.all(counts >= 0) and counts.max() > 1
    fit, _ = rehearse(LOSSES["a neuron"])
    z = fit.data["X"] @ fit.parameters["w"] + fit.parameters["b"]
    assert 0.2 < np.mean(z > 0) < 0.8


@pytest.mark.parametrize("name", ["a neuron", "numbered", "weighed", "no lowest point"])
def test_the_page_walks_as_the_rehearsal_did(name, javascript):
    fit, _ = rehearse(LOSSES[name])
    made = page(report(fit))
    formulas = made.script[: made.script.index("\n};\n") + 4]
    steps = min(fit.steps, 12)
    found = javascript(script(made.model, formulas, steps))
    assert found["loss"] == pytest.approx(fit.history[steps], rel=1e-9)
    assert json.loads(made.model)["settings"]["rate"] == fit.settings["learning_rate"]


def test_the_page_says_what_is_made_up():
    html = gs.derive(LOSSES["a neuron"].of, ["w", "b"]).html(view="index", style="differential")
    assert "The data are made up" in html and "gs.train(loss, {" in html
    assert "⟨" in html and "script-src 'sha256-" in html


def test_a_function_of_numbers_is_alive_line_by_line(javascript):
    """A line has a number where its left side is the whole derivative, not with something held fixed."""
    derivation = gs.derive(gs.parse("u = x**2; u*x + sin(u)", x=""), "x", certify=False)
    fit, _ = rehearse(derivation)
    made = page(report(fit))
    model = json.loads(made.model)
    lines = re.findall(r'data-number="(\d+)".*?</summary>', made.html())
    keys = re.findall(r'data-worth="(k\d+)"', made.html())
    assert (len(lines), len(keys)) == (11, 9)
    formulas = made.script[: made.script.index("\n};\n") + 4]
    worth = javascript(script(made.model, formulas, 0))["shown"]
    x = float(fit.descent.path["x"][0])
    right = {"∂u/∂x": 2 * x, "∂f/∂u": x + np.cos(x * x), "∂f/∂x": 3 * x**2 + 2 * x * np.cos(x * x)}
    for key in keys:
        title = model["values"][key]["title"].replace("C", "f")
        assert worth[key] == pytest.approx([right[title]], rel=1e-12), title


def test_every_line_of_differentials_is_the_same_number(javascript):
    """dC for a step along −∂C: the lines that stand aside, ∂C/∂Z = …, have numbers of their own."""
    fit, _ = rehearse(LOSSES["mirrored"])
    made = page(replace(report(fit), telling={"style": "differential"}))
    model = json.loads(made.model)
    lines = re.findall(r'<li class="step".*?</summary>', made.html(), re.DOTALL)
    keys = {re.search(r'data-worth="(k\d+)"', line)[1] for line in lines if 'data-number=""' not in line}
    aside = [line for line in lines if 'data-number=""' in line][1:]
    (key,) = keys
    assert (model["values"][key]["title"], bool(model["values"][key]["note"])) == ("dC", True)
    assert aside and not any(f'"{key}"' in line for line in aside)
    assert all("Line " not in line or ": d C equals" in line for line in lines)
    formulas = made.script[: made.script.index("\n};\n") + 4]
    found = javascript(script(made.model, formulas, 0))["shown"][key]
    start = {name: stack[0] for name, stack in fit.descent.path.items()}
    _, gradients = fit.function(**fit.data, **start)
    assert found == pytest.approx([-sum(np.sum(G**2) for G in gradients.values())], rel=1e-9)


def test_a_deep_network_is_awake_and_a_deeper_one_is_not_tried():
    def network(layers):
        shapes = {"X": "N d", "Y": "N d"} | {f"W{k}": "d d" for k in range(layers)}
        text = "".join(f"A{k + 1} = relu({f'A{k}' if k else 'X'} @ W{k}); " for k in range(layers))
        return derived(f"{text}mean((Y - A{layers})**2)", " ".join(list(shapes)[2:]), **shapes)

    fit, _ = rehearse(network(8))
    answers = gs.evaluate(fit.prediction, X=fit.data["X"], **fit.parameters)
    assert fit.loss < fit.history[0] and np.ptp(answers, axis=0).max() > 0
    with pytest.raises(gs.MathError, match="tried out"):
        rehearse(network(50))


REASONS = {
    "assumed symmetric": ("sum((S @ x)**2)", {"S": "n n", "x": "n"}, "S", {"S": "symmetric"}),
    "too many for a page": ("mean((y - X @ w)**2)", {"X": "400 800", "w": "800", "y": "400"}, "w", {}),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_page_that_cannot_train_says_why(reason):
    text, shapes, wrt, assume = REASONS[reason]
    html = derived(text, wrt, assume, **shapes).html()
    assert "This page does not train: " in html and reason in html and "<script" not in html


def test_arrays_and_structures_do_not_train():
    assert "<script" not in gs.jacobian(gs.parse("tanh(W @ x)", W="m n", x="n"), "x").html()
    inside = gs.derive(gs.parse("sum((S @ x)**2)", S="n n", x="n"), "S", structure={"S": "symmetric"})
    assert "moves inside its structure" in inside.html()
