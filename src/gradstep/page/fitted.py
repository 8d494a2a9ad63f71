"""Which page belongs to a fit? Its network, derivation, descent, data and code, put together."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradstep.expression.node import walk
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.fit import Fit, readable
from gradstep.learn.objective import objective
from gradstep.learn.structure import name_of
from gradstep.notation.batches import batch_size, tells
from gradstep.operations.evaluation import variables
from gradstep.operations.lookups import lookups
from gradstep.page import pictures
from gradstep.page.diagram import doing
from gradstep.page.live import coded, features_of, layers_of, lengths, live, path_of, rows_of, units_of
from gradstep.page.networks import network_of
from gradstep.page.report import Descended, Report, page, save

Array = npt.NDArray[np.float64]
MOST_DRAWN = 20_000  # numbers of the rows that a live page draws


def report(fit: Fit, *, title: str = "", lead: Sequence[str] = (), next_steps: Sequence[str] = ()) -> Report:
    """The page of a fit as data."""
    derivation = fit.derivation
    told = "sample" if tells(derivation, batch_size(derivation)) else "matrix"
    picture, caption, drawn = fitted(fit)
    network = _network(fit)
    units = units_of(fit)
    name = _target_name(fit)
    seen = "the rows it learned from, and on rows held out" if _held(fit) else "the rows it learned from"
    return Report(
        title=title or f"{fit.title[:1].upper()}{fit.title[1:]} for {name}",
        lead=lead or _lead(fit, name),
        derivation=derivation,
        telling={"view": told},
        network=network,
        network_caption=_network_caption(network) if network else "",
        descended=_descended(fit, units),
        live=lambda keys, surface: live(fit, keys, units, surface, drawn),
        fitted=picture,
        fitted_caption=caption,
        head=head(fit),
        results=results(fit),
        results_caption=f"After training: each method on {seen}.",
        codes=[("NumPy", fit.source)],
        next_steps=next_steps or _next(fit),
        notes=fit.notes,
        faults=fit.faults,
    )


def write_page(
    fit: Fit, path: str | Path, *, title: str = "", lead: Sequence[str] = (), next_steps: Sequence[str] = ()
) -> Path:
    """The page of a fit as one file that works by double click, offline; returns its path."""
    return save(page(report(fit, title=title, lead=lead, next_steps=next_steps)), path)


# ------------------------------------------------------------------------------------- network and words


def _target_name(fit: Fit) -> str:
    return readable((fit.encoder.target if fit.encoder is not None else fit.target) or "the target")


def _feature_names(fit: Fit) -> Sequence[str]:
    if fit.feature_names:
        return [readable(name) for name in fit.feature_names]
    X = fit.data.get(features_of(fit) or "")
    count = 0 if X is None else X.shape[1] if X.ndim > 1 else 1
    return ["x"] if count == 1 else [f"x{k}" for k in range(1, 1 + count)]


def _network(fit: Fit) -> pictures.Network | None:
    outputs = [readable(str(each)) for each in fit.encoder.classes or ()] if fit.encoder is not None else []
    signals = layers_of(fit)
    names = _feature_names(fit)
    if signals and signals[0].inner is None:
        names = ["row" if signals[0].places is None else name_of(signals[0].places)]
    mirrored = fit.target is None and not outputs
    outputs = outputs or (list(names) if mirrored else [_target_name(fit)])
    network = network_of(signals, lengths(fit, fit.data), names, outputs)
    if network is None or len(network.layers) > 1 or network.layers[0].size > 1:
        return network
    return pictures.Network(network.inputs, network.layers, network.outputs, _example(fit, network))


def _example(fit: Fit, network: pictures.Network) -> pictures.Example | None:
    """One example in numbers: the row whose prediction is nearest to the mean of those above zero."""
    layer, X = network.layers[0], fit.data.get(fit.features or "")
    if X is None or fit.prediction is None or layer.weight not in fit.parameters:
        return None
    features = X if X.ndim > 1 else X[:, None]
    w, b = np.atleast_1d(fit.parameters[layer.weight]), float(fit.parameters.get(layer.bias, 0.0))
    z = features @ w + b
    active = z[z > 0] if (z > 0).any() else z
    row = int(np.argmin(np.abs(z - active.mean())))
    answer = float(np.asarray(fit.predictor.value({fit.features or "X": X}))[row])
    y = fit.data[fit.target] if fit.target else None
    seen = float(y[row]) if y is not None and y.ndim == 1 else None
    return pictures.Example(features[row], w, b, float(z[row]), [[answer]], seen)


def _network_caption(network: pictures.Network) -> str:
    if network.example is not None:
        return (
            "Each input is multiplied by its weight, the products are added, the bias is added, and the "
            "activation has the last word. The numbers are those of one example."
        )
    done = doing(network)
    return f"{done[0].upper()}{done[1:]}."


def _lead(fit: Fit, name: str) -> list[str]:
    rows = fit.row_count
    names = _feature_names(fit)
    inputs = names[0] if len(names) == 1 else f"{len(names)} features"
    return [
        f"{fit.title[:1].upper()}{fit.title[1:]} learns {name} from {inputs}, on {rows:,} rows. Here is "
        "all of it: the network, its loss, the gradient worked out line by line, and the descent."
    ]


def _next(fit: Fit) -> list[str]:
    target = escape(_target_name(fit))
    steps = [
        f"<code>gradstep train your.csv --target {target} --hidden 16</code> puts a hidden layer between."
    ]
    if fit.optimiser == "gradient descent":
        steps.append(
            "<code>--optimiser l-bfgs</code> learns the curvature on its way and needs fewer steps; "
            "<code>--optimiser momentum</code> or <code>--optimiser adam</code> takes another way down."
        )
    steps.append("<code>--model EXPR</code> trains a loss of your own, derived in the same way.")
    return steps


# ------------------------------------------------------------------------------------------- descent and fit


def _descended(fit: Fit, units: Coordinates) -> Descended:
    """The descent, seen in these units and told in the units of the user."""
    measured = objective(fit.function, units.data(rows_of(fit)[0]))
    worth = units.loss
    path = path_of(fit, units)
    line = next((s for s in fit.scores if s.name == "straight line"), None)
    baseline = None
    if line is not None and np.isclose(
        fit.scores[0].training.get("mean squared error", np.nan), fit.loss, rtol=1e-6
    ):
        baseline = ("straight line", line.training["mean squared error"])
    scaled = ["features of spread 1"] if units.entrances else []
    scaled += ["a target of size 1"] if units.unit is not None else []
    remark = (
        f"The axes are the parameters in the units of training: {' and '.join(scaled)}." if scaled else ""
    )
    return Descended(lambda p: worth * float(np.asarray(measured(p)[0])), path, fit.history, baseline, remark)


def fitted(fit: Fit) -> tuple[str, str, dict[str, Any]]:
    """A picture of the data with the fit, its caption, and of which rows a live page draws it anew.

    Nothing where the loss shows no prediction.
    """
    if fit.prediction is None or fit.target is None or fit.features is None:
        return "", "", {}
    y, X = fit.data[fit.target], fit.data[fit.features]
    answers = np.asarray(fit.predictor.value({name: fit.data[name] for name in fit.predictor.data}))
    rows = fit.held_out if len(fit.held_out) else np.arange(len(y))
    which = "held-out rows" if len(fit.held_out) else "all rows"
    classes = fit.encoder.classes if fit.encoder is not None else None
    name = _target_name(fit)
    if classes is not None:
        chances = np.stack([1 - answers, answers], axis=1) if answers.ndim == 1 else answers
        truth = y.argmax(axis=1) if y.ndim == 2 else y.astype(int)
        table = np.zeros((len(classes), len(classes)), dtype=int)
        np.add.at(table, (truth[rows], chances.argmax(axis=1)[rows]), 1)
        told = f"What the classes are, and what the network says, on {which}."
        named = [readable(str(each)) for each in classes]
        return pictures.confusion(table, named), told, _drawn("classes", fit, X[rows], truth[rows])
    if y.ndim != 1 or answers.shape != y.shape:
        return "", "", {}
    features = X if X.ndim > 1 else X[:, None]
    if features.shape[1] == 1 and variables(fit.of)[fit.features] not in lookups(walk(fit.of)):
        return _curves(fit, features[:, 0], y, name)
    rows = rows[pictures.some_of(len(rows))]
    return (
        pictures.predicted_against_true(y[rows], answers[rows], name),
        f"Predicted against true, on {which}: on the diagonal both agree.",
        _drawn("answers", fit, X[rows], y[rows]),
    )


def _drawn(kind: str, fit: Fit, X: Array, beside: Array) -> dict[str, Any]:
    """Rows of features in the units of training, and what stands beside each: the axis, the truth."""
    if X.size > MOST_DRAWN:
        return {}
    inside = units_of(fit).data({**fit.data, fit.features or "X": X})[fit.features or "X"]
    return {"kind": kind, "rows": len(X), "X": coded(inside), "beside": coded(beside), "dots": fit.row_count}


def _curves(fit: Fit, x: Array, y: Array, name: str) -> tuple[str, str, dict[str, Any]]:
    """One feature: the data, the fitted curve, and a straight line for comparison."""
    grid = np.linspace(x.min(), x.max(), 200)
    column = grid[:, None] if fit.data[fit.features or "X"].ndim > 1 else grid
    answer = np.asarray(fit.predictor.value({fit.features or "X": column}))
    slope, level = np.polyfit(x, y, 1)
    title = fit.title.removeprefix("a ")
    curves = [
        pictures.Curve(title, grid, answer),
        pictures.Curve("straight line", grid, slope * grid + level, "other"),
    ]
    labels = (str(_feature_names(fit)[0]), name)
    picture = pictures.data_and_fit(x, y, curves, labels)
    return picture, "The data, and what the network makes of them.", _drawn("curve", fit, column, grid)


# ------------------------------------------------------------------------------------------- results


def _held(fit: Fit) -> bool:
    return bool(fit.scores) and fit.scores[0].held_out is not None


def head(fit: Fit) -> list[str]:
    """The heads of the table of results."""
    if not fit.scores:
        return []
    measures = list(fit.scores[0].training)
    if not _held(fit):
        return ["model", *measures]
    return ["model", *(f"{m}, training" for m in measures), *(f"{m}, held out" for m in measures)]


def results(fit: Fit) -> list[list[str]]:
    """The scores, the simplest method first and the network last."""
    return [
        [
            score.name,
            *(_shown(m, v) for part in (score.training, score.held_out) if part for m, v in part.items()),
        ]
        for score in reversed(fit.scores)
    ]


def _shown(measure: str, value: float) -> str:
    return f"{100 * value:.1f} %" if measure == "right" else f"{value:.4g}"
