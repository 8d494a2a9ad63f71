"""What does a page need to train itself? The formulas as JavaScript, and the data, parameters and settings.

A live page walks in the units of training: features of spread 1. The target keeps its own unit wherever that
changes nothing about the walk, so that the loss on the page is the loss of the fit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradstep.backends import compile_outputs
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import replaced
from gradstep.expression.shapes import Lengths, Size, shape_text
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.fit import Fit, readable
from gradstep.learn.objective import compiled
from gradstep.learn.structure import name_of
from gradstep.notation.batches import batch_size
from gradstep.notation.presentation import Slope
from gradstep.operations.evaluation import variables
from gradstep.page.keys import Keys
from gradstep.page.networks import Signal, signals_of
from gradstep.page.surface import Plane, Slice

Array = npt.NDArray[np.float64]
MOST_ROWS = 2000
MOST_NUMBERS = 40_000  # of data in a page: 0.4 MB
MOST_PARAMETERS = 20_000
MOST_SHOWN = 200_000  # numbers that the lines are worth
RULES = ("gradient descent", "momentum", "adam")


@dataclass(frozen=True)
class Live:
    """The `model` of a live page as plain data, and its `formulas`, a script that defines them."""

    model: Mapping[str, Any]
    formulas: str


def units_of(fit: Fit) -> Coordinates:
    """The units of a live page: those of training, but for the target's where the walk is the same without.

    Where all parameters are weights and bias of one layer and the loss is of squares, a step in other units
    of the target is the same step.
    """
    unit = fit.coordinates.unit
    if unit is None or unit.degree != 2 or fit.optimiser == "adam":
        return fit.coordinates
    layer = {name_of(unit.layer.affine.weights), name_of(unit.layer.affine.bias)}
    return replaced(fit.coordinates, unit=None) if layer == set(fit.parameters) else fit.coordinates


def path_of(fit: Fit, units: Coordinates) -> list[dict[str, Array]]:
    """The parameters on the way in these units, from the start to the end."""
    way = fit.descent.path
    shots = [{name: stack[k] for name, stack in way.items()} for k in range(len(fit.path_steps))]
    if units is fit.coordinates:
        return shots
    return [units.to_training(fit.coordinates.to_user(shot)) for shot in shots]


def rows_of(fit: Fit) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The data of the rows trained with, at most some thousand of them; and which data have rows."""
    if not len(fit.rows):
        return dict(fit.data), ()
    batch = batch_size(fit.derivation)
    declared = variables(fit.of)
    along = tuple(name for name in fit.data if name in declared and declared[name].shape[:1] == (batch,))
    width = sum(int(np.prod(fit.data[name].shape[1:])) for name in along) or 1
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // width))
    rows = fit.rows if len(fit.rows) <= most else fit.rows[:: -(-len(fit.rows) // most)]
    return {n: values[rows] if n in along else values for n, values in fit.data.items()}, along


def live(
    fit: Fit, keys: Keys, units: Coordinates, surface: Plane | Slice | None, fitted: Mapping[str, Any]
) -> Live:
    """What the page of a fit trains with; `MathError` where it cannot.

    `keys` are what the formulas on the page mention; `fitted` is how the data are drawn.
    """
    data, along = rows_of(fit)
    data = {name: np.asarray(values, float) for name, values in units.data(data).items()}
    declared = variables(fit.of)
    data = {name: values for name, values in data.items() if name in declared}
    path = path_of(fit, units)
    size = sum(np.size(value) for value in path[-1].values())
    numbers = sum(values.size for values in data.values())
    if size > MOST_PARAMETERS:
        raise MathError(f"{size:,} parameters are more than the {MOST_PARAMETERS:,} that a page holds")
    if numbers > 2 * MOST_NUMBERS:
        raise MathError(
            f"{numbers:,} numbers of data are more than the {2 * MOST_NUMBERS:,} that a page holds"
        )
    if fit.path_steps[:1] != (0,):
        raise MathError("its training went on from another, so that its start is not known")
    sizes = lengths(fit, data)
    signals = layers_of(fit)
    axis = _axis(declared, along, signals)
    network = [_signal(keys, signal) for signal in signals]
    formulas = _formulas(fit, keys, sizes)
    rows = len(data[along[0]]) if along else 0
    model = {
        "loss": fit.derivation.names[fit.of],
        "sizes": sizes,
        "rows": rows,
        "examples": Lengths(sizes)[axis] if axis is not None else 0,
        "example": _example(data.get(fit.target or ""), rows),
        "rowSize": batch_size(fit.derivation),
        "allRows": len(fit.rows),
        "along": [name for name in along if name in data],
        "data": {name: {"shape": [*values.shape], "values": coded(values)} for name, values in data.items()},
        "parameters": {
            name: {
                "shape": [*np.shape(path[0][name])],
                "start": coded(path[0][name]),
                "found": coded(path[-1][name]),
            }
            for name in fit.derivation.parameters
        },
        "settings": _settings(fit),
        "reach": _reach(fit, units),
        "features": features_of(fit),
        "target": fit.target,
        "names": _names(fit),
        "units": _units(fit, units),
        "values": _values(keys, sizes, axis),
        "network": network,
        "surface": _surface(surface),
        "fitted": fitted,
    }
    return Live(model, formulas)


def layers_of(fit: Fit) -> list[Signal]:
    """The layers of the network that a loss describes."""
    return signals_of(fit.of, fit.derivation.parameters, fit.prediction)


def features_of(fit: Fit) -> str | None:
    """The data that the network is made of, as far as it is seen."""
    signals = layers_of(fit)
    inner = signals[0].inner if signals else None
    return name_of(inner) if inner is not None and inner.op.name == "symbol" else fit.features


def coded(values: npt.ArrayLike) -> str:
    """Numbers as text, to the last bit."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def decoded(text: str) -> Array:
    """The same the other way."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)


def lengths(fit: Fit, data: Mapping[str, Array]) -> dict[str, int]:
    """What the sizes in the formulas are on the page."""
    found: dict[str, int] = {}
    arrays: Mapping[str, Any] = {**data, **fit.parameters}
    for variable in variables(fit.of).values():
        shape = np.shape(arrays.get(str(variable.params[0]), 0.0))
        found.update({s: n for s, n in zip(variable.shape, shape, strict=False) if isinstance(s, str)})
    return found


def _settings(fit: Fit) -> dict[str, Any]:
    """What was asked of the training, as far as a page can do it too."""
    asked = dict(fit.settings)
    known = fit.optimiser in RULES
    rate = asked.get("learning_rate")
    automatic = rate is None and (fit.optimiser == "gradient descent" or not known) and not asked.get("batch")
    if rate is None and not automatic:
        rate = fit.descent.learning_rate_used
    return {
        "optimiser": fit.optimiser if known else "gradient descent",
        "rate": rate,
        "friction": 0.9,
        "batch": asked.get("batch") or 0,
        "seed": asked.get("seed", 0),
    }


def _axis(declared: Mapping[str, Expr], along: Sequence[str], signals: Sequence[Signal]) -> Size | None:
    """The axis of the examples: of the rows, or, where there are none, of what the network looks up."""
    rows = [declared[name].shape[0] for name in along if name in declared]
    looked_up = [each.sum.shape[0] for each in signals[:1] if each.inner is None]
    return next(iter([*rows, *looked_up]), None)


def _example(y: Array | None, rows: int) -> int:
    """The row that is shown first: one whose target is not far from the mean."""
    return int(np.argmin(np.abs(y - y.mean()))) if y is not None and y.shape == (rows,) and rows else 0


def _reach(fit: Fit, units: Coordinates) -> float:
    """How long the first move may be in ten: the length of the start in the units of training, at least 1."""
    first = np.concatenate([np.ravel(stack[0]) for stack in fit.descent.path.values()])
    unit = fit.coordinates.unit
    size = 1.0 if unit is None or units is fit.coordinates else unit.size
    return max(1.0, float(np.linalg.norm(first))) * size


def _names(fit: Fit) -> dict[str, Any]:
    """The features and classes by name, and what is known of the rows in the user's own units."""
    classes = list(fit.encoder.classes or ()) if fit.encoder is not None else []
    return {
        "features": [readable(name) for name in fit.feature_names],
        "target": readable((fit.encoder.target if fit.encoder is not None else fit.target) or ""),
        "classes": [readable(str(each)) for each in classes],
    }


def _units(fit: Fit, units: Coordinates) -> dict[str, Any]:
    """How the data on the page come from the user's."""
    found: dict[str, Any] = {"worth": units.loss, "features": None, "target": None}
    for entrance in units.entrances:
        if entrance.data == features_of(fit):
            scaler = entrance.scaler
            found["features"] = {"mean": scaler.mean.tolist(), "scale": scaler.scale.tolist()}
    if units.unit is not None:
        found["target"] = {"shift": np.ravel(units.unit.shift).tolist(), "size": units.unit.size}
    return found


def _formulas(fit: Fit, keys: Keys, sizes: Mapping[str, int]) -> str:
    """The loss with its gradients, everything that the page shows, and what the network answers."""
    names = {**fit.derivation.names}
    loss = names[fit.of]
    parts = [("gradient", compiled(fit.derivation, "javascript").source)]
    shown = {
        key: expr for key, expr in keys.worth.items() if expr.args and _length(expr, sizes) <= MOST_SHOWN
    }
    made = compile_outputs({loss: fit.of, **shown}, names, backend="javascript", function="everything")
    parts.append(("everything", made.source))
    if fit.prediction is not None:
        made = compile_outputs({"": fit.prediction}, names, backend="javascript", function="predict")
        parts.append(("predict", made.source))
    modules = [
        f"  {name}: (() => {{\n{source.replace('export function', 'return function', 1)}\n  }})(),"
        for name, source in parts
    ]
    return "const formulas = {\n" + "\n".join(modules) + "\n};\n"


def _length(expr: Expr, sizes: Mapping[str, int]) -> int:
    """How many numbers an array holds."""
    known = Lengths(sizes)
    return int(np.prod([known[size] for size in expr.shape], dtype=float))


def _values(keys: Keys, sizes: Mapping[str, int], axis: Size | None) -> dict[str, Any]:
    """What each key stands for: its name, shape, and where its numbers are; examples go along the axis."""
    known = Lengths(sizes)
    found = {}
    for key, expr in keys.worth.items():
        name = str(expr.params[0]) if expr.op.name == "symbol" else ""
        found[key] = {
            "title": keys.titles[key],
            "note": keys.notes.get(key, ""),
            "shape": [known[size] for size in expr.shape],
            "sizes": shape_text(expr.shape),
            "rows": expr.shape[:1] == (axis,),
            "input": name,
        }
    return found


def _signal(keys: Keys, signal: Signal) -> dict[str, Any]:
    """One layer: the keys of what it adds up, of what it puts out, and of the slopes at both."""
    cotangents = keys.derivation.cotangents
    return {
        "weight": signal.weight,
        "bias": signal.bias,
        "transposed": signal.transposed,
        "activation": signal.activation,
        "looksUp": signal.inner is None,
        "places": keys.of_expr(signal.places, "") if signal.places is not None else None,
        "sum": keys.of_expr(signal.sum, "z"),
        "out": keys.of_expr(signal.out, "a"),
        "local": keys(Slope(signal.out, signal.sum)) if signal.sum in signal.out.args else None,
        "slope": keys.of_expr(cotangents[signal.sum], "") if signal.sum in cotangents else None,
        "outSlope": keys.of_expr(cotangents[signal.out], "") if signal.out in cotangents else None,
    }


def _surface(surface: Plane | Slice | None) -> dict[str, Any] | None:
    """The plane of the picture, by its origin and two directions in the space of the parameters."""
    if surface is None:
        return None
    return {"origin": coded(surface.origin), "directions": [coded(each) for each in surface.directions]}


def scripts(read: Callable[[str], str], names: Sequence[str]) -> str:
    """Modules as one script: what they import stands before them already."""
    parts = []
    for name in names:
        lines = [line for line in read(name).splitlines() if not line.startswith("import ")]
        parts.append("\n".join(line.removeprefix("export ") for line in lines))
    return "\n".join(parts)


def as_json(model: Mapping[str, Any]) -> str:
    """The model as it stands in the page: nothing in it can end the element that it stands in."""
    text = json.dumps(model, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")
