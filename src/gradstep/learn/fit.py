"""What came of a training? The parameters, how they were found, and how good they are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import Expr, upstairs
from gradstep.learn.comparison import Score
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.descent import Descent, Stopped
from gradstep.learn.encoding import Encoder
from gradstep.learn.progress import sparkline
from gradstep.learn.scaling import Array, Rows
from gradstep.learn.structure import name_of

if TYPE_CHECKING:
    from gradstep.learn import predicting, saving
else:
    predicting = late("gradstep.learn.predicting")
    saving = late("gradstep.learn.saving")

MOST_LISTED = 12
LONGEST_NAME = 40
ENDS: dict[Stopped, str] = {
    "converged": "nothing left to gain",
    "steps": "all steps used",
    "early": "the loss on the watched rows no longer fell",
    "interrupted": "interrupted",
    "stalled": "no step lowers the loss further",
    "stuck": "the slope is zero",
}


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained network. Everything in it is in the user's own units, but for `descent`.

    of             the loss, an expression
    parameters     the best ones found, by name: arrays, and floats where they are numbers
    loss           the loss on the rows trained with; `held_out_loss` on the rows kept for judging
    rounding       the size of the rounding errors in that loss
    history        the loss after each step, `history[0]` at the start
    stopped        why the descent ended (see `Descent`); `converged` if nothing was left to gain
    notes          what had to be said on the way; `faults` are those of them that deserve a second look
    derivation     the gradient, line by line, with its certificate; `source` is the code that ran
    scores         the network beside the mean and a straight line
    descent        the way, in the units of training: what `coordinates` change from and to
    data           the arrays; `rows` of them were trained with, `watched` told when to stop, `held_out` judge
    stored         how many rows are in files, where they are: then `data` are a sample of them
    prediction     what the network answers, where the loss shows it; `target` is what it is compared with
    ran            which back end trained, and why
    settings       what was asked for: learning_rate, batch, seed
    """

    of: Expr
    parameters: dict[str, Any]
    loss: float
    rounding: float
    held_out_loss: float | None
    history: tuple[float, ...] = field(repr=False)
    steps: int
    converged: bool
    stopped: Stopped
    notes: tuple[str, ...]
    derivation: Derivation = field(repr=False)
    function: Compiled = field(repr=False)
    scores: tuple[Score, ...]
    descent: Descent = field(repr=False)
    coordinates: Coordinates = field(repr=False)
    data: dict[str, Array] = field(repr=False)
    rows: Rows = field(repr=False)
    watched: Rows = field(repr=False)
    held_out: Rows = field(repr=False)
    prediction: Expr | None
    target: str | None
    features: str | None
    title: str = "the network"
    encoder: Encoder | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] = ()
    ran: tuple[str, ...] = ()
    stored: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    faults: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        """How many rows there are: those trained with, watched and held out."""
        return self.stored or len(self.rows) + len(self.watched) + len(self.held_out)

    @property
    def source(self) -> str:
        """The code of the loss and its gradients."""
        return self.function.source

    @property
    def optimiser(self) -> str:
        """The name of the optimiser."""
        return self.descent.optimiser

    @cached_property
    def path(self) -> dict[str, Array]:
        """The parameters on the way, stacked along a new first axis; `path_steps` says after which steps."""
        way = self.descent.path
        shots = [
            self.coordinates.to_user({name: stack[k] for name, stack in way.items()})
            for k in range(len(self.path_steps))
        ]
        return {name: np.stack([shot[name] for shot in shots]) for name in way}

    @property
    def path_steps(self) -> tuple[int, ...]:
        """The steps after which `path` was pictured."""
        return self.descent.path_steps

    @property
    def predictor(self) -> predicting.Predictor:
        """What is needed to answer for new data."""
        if self.prediction is None:
            raise MathError(
                "this loss does not show what it predicts",
                facts=[f"no part of it is compared with {self.target or 'a target'}"],
                mend="prediction=… in train(), an expression of the data and the parameters",
            )
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in self.parameters.items()}
        return predicting.Predictor(
            self.prediction, self.of, arrays, self.features or "X", self.encoder, self.title
        )

    def predict(self, data: Any) -> NDArray[Any]:
        """The answer for each row of new data: a table, arrays by name, or the one array that it needs."""
        return self.predictor.predict(data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a .safetensors file, from which `gradstep.load` makes it whole again."""
        saving.save(self.predictor, path, {each.data: each.scaler for each in self.coordinates.entrances})

    def page(self, path: str | os.PathLike[str]) -> Any:
        """Write the page of this fit, one file that works offline by double click; returns its path."""
        return upstairs("_write_page")(self, path)

    def widget(self) -> Any:
        """This fit as a widget for a notebook: it trains in the cell, two-way with Python.

        What is dragged or trained there is in `parameters`, which can be set; `step`, `train`, `pause` and
        `reset` do what the buttons do. Needs `pip install 'gradstep[notebook]'`.
        """
        return upstairs("_widget")(self)

    def report(self) -> str:
        """What happened, in words: the descent, what is to be said of it, the comparison, the parameters."""
        return self._told(self.notes)

    def outcome(self) -> str:
        """The report without `notes`, for where these stand beside it."""
        return self._told(())

    def _told(self, notes: Sequence[str]) -> str:
        parts = [self.descended(), self.exactness(), *notes, "", *self.compared(), "", *self.learnt()]
        return "\n".join([*parts, "", *self.ran])

    def __str__(self) -> str:
        return self.report()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle: dict[str, str] = upstairs("_fit")(self)
        return bundle

    def descended(self) -> str:
        """One line on the descent."""
        steps = f"{self.steps} step{'s' * (self.steps != 1)}"
        return (
            f"{self.optimiser}, {steps}: loss {self.history[0]:.6g} → {self.loss:.6g}   "
            f"{sparkline(self.history)}   {ENDS[self.stopped]}"
        )

    def exactness(self) -> str:
        """How exactly the loss is known."""
        return f"the loss is known to ± {self.rounding:.1g}: the size of its rounding errors"

    def compared(self) -> list[str]:
        """A table: the network beside the straight line and the mean, on rows it has seen and on others."""
        if not self.scores:
            return []
        held = self.scores[0].held_out is not None
        head, below = [""], [""]
        for measure in self.scores[0].training:
            head += [measure, ""] if held else [measure]
            below += ["training", "held out"] if held else [""]
        rows = []
        for score in self.scores:
            cells = [score.name]
            for measure, value in score.training.items():
                cells.append(_shown(measure, value))
                cells += [_shown(measure, score.held_out[measure])] if score.held_out else []
            rows.append(cells)
        return table([head, below, *rows] if held else [head, *rows])

    def learnt(self) -> list[str]:
        """The parameters, each weight beside the name of its feature, the weightiest first."""
        rows, rest = self.weighed()
        return [*(table(rows) if rows else ()), *(f"  {line}" for line in rest)]

    def weighed(self) -> tuple[list[list[str]], list[str]]:
        """The table of weights, its head first, if there is one for each feature; and the rest in lines."""
        weights = self.weights()
        if weights is None:
            return [], self._by_shape()
        order = np.argsort(-np.abs(weights[1]), kind="stable")[:MOST_LISTED]
        names = self.feature_names or tuple(f"{self.features}[:, {k}]" for k in range(len(weights[0])))
        rows = [["feature", "weight", "times its spread"]]
        rows += [[readable(names[k]), f"{weights[0][k]:+.6g}", f"{weights[1][k]:+.4g}"] for k in order]
        left = len(weights[0]) - len(order)
        rest = [f"… and {left} more features"] if left else []
        numbers = [name for name, value in self.parameters.items() if np.ndim(value) == 0]
        return rows, [*rest, *(f"{name} = {self.parameters[name]:.6g}" for name in numbers)]

    def _by_shape(self) -> list[str]:
        """The numbers themselves where they are few, else how many there are."""
        count = sum(np.size(value) for value in self.parameters.values())
        if count <= MOST_LISTED and all(np.ndim(value) < 2 for value in self.parameters.values()):
            return [
                f"{name} = {', '.join(f'{each:.6g}' for each in np.atleast_1d(value))}"
                for name, value in self.parameters.items()
            ]
        sizes = {name: "×".join(map(str, np.shape(value))) for name, value in self.parameters.items()}
        return [f"{count:,} parameters: {', '.join(f'{name} {size or 1}' for name, size in sizes.items())}"]

    def weights(self) -> tuple[Array, Array] | None:
        """For a single neuron its weight for each feature, and the weight times the spread of the feature."""
        vectors = [name for name, value in self.parameters.items() if np.ndim(value) == 1]
        entrances = [each for each in self.coordinates.entrances if each.data == self.features]
        if len(self.parameters) > 2 or len(vectors) != 1 or not entrances:
            return None
        (place, *_), scaler = entrances[0].places, entrances[0].scaler
        if name_of(place.weights) != vectors[0]:
            return None
        found = np.asarray(self.parameters[vectors[0]])
        return found, found * scaler.scale


def readable(name: str) -> str:
    """A name of one line and not too long."""
    text = "".join(letter if letter.isprintable() else "·" for letter in name)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def _shown(measure: str, value: float) -> str:
    return f"{100 * value:.1f} %" if measure == "right" else f"{value:.4g}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns, the first to the left and the others to the right; a heading may reach over two."""
    head, *body = rows
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    for k, cell in enumerate(head):
        reach = k + 1 < len(head) and k > 0 and not head[k + 1]
        room = widths[k] + (3 + widths[k + 1] if reach else 0)
        widths[k] += max(0, len(cell) - room)
    lines = []
    for row in rows:
        line = "  " + row[0].ljust(widths[0])
        k = 1
        while k < len(row):
            reach = row is head and k + 1 < len(row) and not row[k + 1]
            room = widths[k] + (3 + widths[k + 1] if reach else 0)
            line += "   " + row[k].rjust(room)
            k += 2 if reach else 1
        lines.append(line.rstrip())
    return lines
