"""What can go wrong with data, a loss and settings, as a table: faults × losses × types × where the rows are.

Every disaster makes its fault in sound data and says what has to be told of it: a pattern that is looked for
in the notes of a fit, or in an error. What is no fault says nothing, and nothing may be told of it.
"""

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.operations.evaluation import mentioned

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NET = {"X": "N d", "V": "d h", "c": "h", "w": "h", "b": "", "y": "N"}
MANY = {"X": "N d", "W": "d k", "b": "k", "y": "N k"}
LOSSES = {
    "neuron": gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES),
    "logistic": gs.parse("z = X @ w + b; mean(softplus(z) - y*z)", **SHAPES),
    "softmax": gs.parse("Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(y*Z, axis=1))", **MANY),
    "perceptron": gs.parse("mean((y - (relu(X @ V + c) @ w + b))**2)", **NET),
    "Huber": gs.parse("r = abs(y - (X @ w + b)); mean(where(r < 1, r**2/2, r - 1/2))", **SHAPES),
    "absolute": gs.parse("mean(abs(y - (X @ w + b)))", **SHAPES),
    "tanh": gs.parse("mean((y - tanh(tanh(X @ V + c) @ w + b))**2)", **NET),
    "Poisson": gs.parse("z = X @ w + b; mean(exp(z) - y*z)", **SHAPES),
    "logarithm": gs.parse("log(mean((y - (X @ w + b))**2))", **SHAPES),
    "likelihood": gs.parse("z = X @ w + b; mean(-y*z)", **SHAPES),
}
ALL = ("neuron", "logistic", "softmax", "perceptron", "Huber")
CLASSES = ("logistic", "softmax")
VECTORS = ("neuron", "logistic", "perceptron", "Huber")
NUMBERS = ("neuron", "perceptron", "Huber")
SINGLE = ("neuron", "logistic", "Huber")
SIZES = {"d": 3, "h": 4, "k": 3}
ROWS, STEPS = 60, 12
KINDS = ("f8", "f4")
MEMORY, FILES = "memory", "files"


@dataclass(frozen=True)
class Case:
    """Data and settings of one training."""

    loss: gs.Expr
    X: Any
    y: Any
    more: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def having(self, **settings: Any) -> "Case":
        return replace(self, settings={**self.settings, **settings})


@cache
def sound(loss: str, kind: str) -> Case:
    """Data that a loss is made for."""
    random = np.random.default_rng(0)
    X = random.normal(size=(ROWS, 3))
    z = X @ [1, -2, 0.5] + 0.5 * random.normal(size=ROWS)
    y = {
        "neuron": np.maximum(z + 1, 0),
        "logistic": z > 0,
        "softmax": np.eye(3)[np.digitize(z, [-0.7, 0.7])],
        "tanh": np.tanh(z),
        "Poisson": random.poisson(np.exp(z / 4)),
    }.get(loss, z)
    sizes = {"sizes": {"h": 4}} if loss in ("perceptron", "tanh") else {}
    return Case(LOSSES[loss], X.astype(kind), np.asarray(y).astype(kind), settings=sizes)


Make = Callable[[Case], Case]


@dataclass(frozen=True)
class Disaster:
    """What happens to sound data; `says` is what has to be told of it, of some losses something of their own.

    With `alike` the loss that is reached has to be about that of the sound data, as nothing was lost.
    """

    name: str
    make: Make
    says: str | Mapping[str, str] = ""
    losses: Sequence[str] = ALL
    kinds: Sequence[str] = KINDS
    places: Sequence[str] = (MEMORY, FILES)
    alike: bool = False

    def told(self, loss: str) -> str:
        return self.says if isinstance(self.says, str) else self.says.get(loss, "")


def X(change: Callable[[Any], Any]) -> Make:
    return lambda case: replace(case, X=change(case.X))


def y(change: Callable[[Any], Any]) -> Make:
    return lambda case: replace(case, y=change(case.y))


def rows(count: int) -> Make:
    return lambda case: replace(case, X=case.X[:count], y=case.y[:count])


def having(**settings: Any) -> Make:
    return lambda case: case.having(**settings)


def starting(value: float) -> Make:
    """With this in the place of every parameter."""

    def made(case: Case) -> Case:
        shapes = {name: v.shape for name, v in mentioned(case.loss).items() if name not in ("X", "y")}
        return case.having(start={n: np.full([SIZES[size] for size in s], value) for n, s in shapes.items()})

    return made


def beside(change: Callable[[Any, Any], Any]) -> Make:
    """A column more, made of X and of y (or of its middle column)."""

    def made(case: Case) -> Case:
        column = change(case.X, case.y if case.y.ndim == 1 else case.y[:, 1])
        return replace(case, X=np.column_stack([case.X, column]).astype(case.X.dtype))

    return made


def at(place: Any, value: Any) -> Callable[[Any], Any]:
    """An array with one value changed."""

    def changed(array: Any) -> Any:
        copy = array.copy()
        copy[place] = value
        return copy

    return changed


def each(*makes: Make) -> Make:
    def made(case: Case) -> Case:
        for make in makes:
            case = make(case)
        return case

    return made


def solved(case: Case) -> Case:
    """Targets that the start meets exactly."""
    w = np.array([1.0, -2.0, 0.5])
    whole = np.round(4 * case.X)
    case = replace(case, X=whole, y=(whole @ w).astype(case.y.dtype))
    return case.having(start={"w": w, "b": 0.0}, standardise=False)


def fitted(case: Case) -> Case:
    """Targets that the network can meet exactly."""
    return replace(case, y=case.X @ [1, -2, 0.5] + 1).having(steps=2000)


RAW = having(standardise=False)
COLUMN_0 = np.array([1, 0, 0])
NOISE = np.random.default_rng(1).normal(size=ROWS)

SOUND = (
    Disaster("nothing", lambda case: case, losses=[*LOSSES][:-2], alike=True),
    Disaster("a column × 1e8", X(lambda X: X * [1e8, 1, 1]), alike=True),
    Disaster("a column × 1e-8", X(lambda X: X * [1e-8, 1, 1]), alike=True),
    Disaster("X × 1e30", X(lambda X: (X * 1e30).astype(X.dtype)), alike=True),
    Disaster("X × 1e-30", X(lambda X: (X * 1e-30).astype(X.dtype)), alike=True),
    Disaster("X + 1e4", X(lambda X: X + 1e4), kinds=["f8"], alike=True),
    Disaster("y × 1e30", y(lambda y: (y * 1e30).astype(y.dtype)), losses=NUMBERS[:2]),
    Disaster("y × 1e-30", y(lambda y: (y * 1e-30).astype(y.dtype)), losses=NUMBERS[:2]),
    Disaster("y as 0 and 1", y(lambda y: y.astype(bool)), losses=CLASSES, alike=True),
    Disaster("X as bytes", X(lambda X: np.round(40 * X).astype(np.int8))),
    Disaster("X in half precision", X(lambda X: X.astype(np.float16))),
    Disaster("X as objects", X(lambda X: X.astype(object)), places=[MEMORY], alike=True),
    Disaster("X as text", X(lambda X: X.astype(str)), places=[MEMORY], alike=True),
    Disaster("X as a list", X(lambda X: X.tolist()), places=[MEMORY], alike=True),
    Disaster("X column by column", X(np.asfortranarray), alike=True),
    Disaster("X backwards", X(lambda X: X[::-1][::-1]), alike=True),
    Disaster("a huge seed", having(seed=10**30)),
    Disaster("a huge batch", having(batch=10**9)),
    Disaster("two columns that go together", beside(lambda X, y: X[:, 0] + 0.1 * NOISE)),
    Disaster("a column near the target", beside(lambda X, y: y + 0.1 * NOISE)),
)

DATA = (
    Disaster("NaN in X", X(at((7, 1), np.nan)), r"X holds nan in row 7, column 1"),
    Disaster("much NaN in X", X(at((slice(5), 2), np.nan)), r"X holds nan in row 0, column 2"),
    Disaster("infinity in X", X(at((7, 1), -np.inf)), r"X holds -inf in row 7, column 1"),
    Disaster("NaN in y", y(at(11, np.nan)), r"y holds nan in row 11"),
    Disaster("infinity in y", y(at(11, np.inf)), r"y holds inf in row 11"),
    Disaster("X × 1e300", X(lambda X: X * 1e300), "too large to train on", kinds=["f8"]),
    Disaster("y × 1e300", y(lambda y: y * 1e300), "too large to train on", kinds=["f8"]),
    Disaster("no rows", rows(0), "is empty|has no rows"),
    Disaster("no columns", X(lambda X: X[:, :0]), "is empty|has no columns"),
    Disaster("a row too few", y(lambda y: y[:-1]), "60.* 59"),
    Disaster("X on its side", X(lambda X: X.T), r"(?s)3.* 60.*(X\.T|a row for each)"),
    Disaster("X of three axes", X(lambda X: X[:, :, None, None]), "X should be a matrix"),
    Disaster("X as one column", X(lambda X: X[:, 0]), r"X should be a matrix"),
    Disaster("y of five columns", y(lambda y: np.stack([y] * 5, axis=1)), r"y should be a"),
    Disaster("y as a column", y(lambda y: y[:, None]), "taken as 60 numbers", losses=VECTORS),
    Disaster("y as a row", y(lambda y: y[None]), r"y.squeeze\(\)|number of rows", losses=VECTORS),
    Disaster("complex numbers", X(lambda X: X + 0j), "real numbers"),
    Disaster("dates", X(lambda X: X.astype("M8[D]")), "real numbers"),
    Disaster("named fields", X(lambda X: np.zeros(ROWS, "f8,f8,f8")), "real numbers"),
    Disaster("words", X(lambda X: np.where(X > 2, "a", X.astype(str))), "numbers.* it holds"),
    Disaster("objects", y(lambda y: at(4, None)(y.astype(object))), "numbers.* it holds", losses=VECTORS),
    Disaster("ragged rows", X(lambda X: [*X[:-1].tolist(), [1.0]]), "different lengths", places=[MEMORY]),
    Disaster(
        "masked",
        X(lambda X: np.ma.masked_greater(X, 1)),
        r"X has \d+ masked entries, the first in row 2",
        places=[MEMORY],
    ),
    Disaster("too large as a whole number", y(lambda y: [10**400] * ROWS), "in row 0", places=[MEMORY]),
    Disaster("not used", lambda case: replace(case, more={"q": case.X}), "q is not used"),
    Disaster(
        "a parameter as data",
        lambda case: replace(case, more={"b": case.y}).having(wrt=[*{*mentioned(case.loss)} - {"X", "y"}]),
        "b is given as data, but it is to be trained",
    ),
    Disaster(
        "a constant column", beside(lambda X, y: 0 * X[:, 0] + 3), "column 3 of X: the same in every row"
    ),
    Disaster("all of X constant", X(lambda X: 0 * X), "columns 0, 1, 2 of X: the same in every row"),
    Disaster("a column twice", beside(lambda X, y: X[:, 1]), "columns 1 and 3 of X tell the same"),
    Disaster(
        "a column in other units", beside(lambda X, y: 5 - 2 * X[:, 1]), "columns 1 and 3 of X tell the same"
    ),
    Disaster(
        "a column nearly twice",
        beside(lambda X, y: X[:, 1] + 1e-4 * NOISE),
        "1 and 3 of X tell nearly the same",
    ),
    Disaster(
        "a column that is the sum of two",
        beside(lambda X, y: X[:, 0] + X[:, 2]),
        r"column 3 of X is column 0 \+ column 2 in every row.* share their weights",
    ),
    Disaster(
        "a column made of three, in other units",
        beside(lambda X, y: 2 * X[:, 0] - X[:, 1] / 4 + X[:, 2] - 7),
        r"column 3 of X is 2 × column 0 \+ column 2 − 0.25 × column 1 − 7 in every row.* with the bias",
    ),
    Disaster(
        "a column for each category",
        X(lambda X: np.c_[X, np.eye(3)[np.digitize(NOISE, [-0.5, 0.5])]].astype(X.dtype)),
        r"column 5 of X is 1 − column 3 − column 4 in every row.* share their weights with the bias",
    ),
    Disaster("the target as a column", beside(lambda X, y: y), r"y is column 3 of X in every row"),
    Disaster(
        "the target in other units",
        beside(lambda X, y: 2 * y + 1),
        r"y is 0.5 × column 3 of X − 0.5 in every",
    ),
    Disaster("y all the same", y(lambda y: 0 * y + y[0]), r"y is (.*of class [012]|\d.*) in every row"),
    Disaster(
        "a class without rows",
        y(lambda y: np.c_[y, 0 * y[:, 0]]),
        "column 3 of y is 0 .*no row is of that class",
        losses=["softmax"],
    ),
    Disaster("an outlier in y", y(at(3, 1e9)), "farthest number in y is 1e.09", losses=NUMBERS),
    Disaster("an outlier in X", X(at((3, 1), -1e9)), "farthest number in column 1 of X is -1e.09"),
    Disaster("whole numbers of 18 digits", X(lambda X: (X * 1e17).astype(np.int64)), "whole numbers up to"),
    Disaster(
        "far off in float32",
        X(lambda X: (X + 1e6 * COLUMN_0).astype("f4")),
        r"column 0 of X lies .* float32",
        kinds=["f4"],
    ),
    Disaster(
        "far off in float64",
        X(lambda X: X + 1e14 * COLUMN_0),
        r"column 0 of X lies|lies too far",
        kinds=["f8"],
    ),
    Disaster("one row", rows(1), "one row alone"),
    Disaster("two rows", rows(2), r"\d+ parameters for 2 rows"),
    Disaster(
        "more columns than rows",
        X(lambda X: np.random.default_rng(2).normal(size=(ROWS, 90)).astype(X.dtype)),
        r"\d+ parameters for 60 rows",
    ),
    Disaster("X × 1e-200", X(lambda X: X * 1e-200), "column 0 of X holds no number above", kinds=["f8"]),
    Disaster("y × 1e-200", y(lambda y: y * 1e-200), "y holds no number above", losses=NUMBERS, kinds=["f8"]),
)

TARGETS = (
    Disaster("labels 1 and 2", y(lambda y: y + 1), "of y is above 1", losses=CLASSES),
    Disaster(
        "labels −1 and 1",
        y(lambda y: 2 * y - 1),
        {"logistic": r"of y is below 0.*\(y \+ 1\)/2", "softmax": "of y is below 0"},
        losses=CLASSES,
    ),
    Disaster(
        "labels in percent",
        y(lambda y: 100 * y),
        r"of y is above 1; .* never is \(as 0 and 1: y/100\)",
        losses=CLASSES,
    ),
    Disaster(
        "rows that do not add up to 1",
        y(lambda y: at(slice(7), 0.0)(y)),
        "7 of 60 rows of y add up to 0, not to 1",
        losses=["softmax"],
    ),
    Disaster(
        "two classes at a time",
        y(lambda y: np.maximum(y, np.roll(y, 1, 1))),
        "60 of 60 rows of y add up to 2",
        losses=["softmax"],
    ),
    Disaster(
        "y below what a ReLU reaches",
        y(lambda y: y - 1),
        r"\d+ % of y is below 0; relu\(.* never is",
        losses=["neuron"],
    ),
    Disaster(
        "all of y below what a ReLU reaches",
        y(lambda y: -y - 1),
        r"(?s)100 % of y is below 0",
        losses=["neuron"],
    ),
    Disaster(
        "y beyond what tanh reaches",
        y(lambda y: 50 * y),
        r"(?s)% of y is below -1;.*% of y is above 1",
        losses=["tanh"],
    ),
    Disaster(
        "a logarithm of errors that vanish",
        fitted,
        "no lowest value: it fell to -.*steeper",
        losses=["logarithm"],
        kinds=["f8"],
    ),
    Disaster("a loss that is a line", having(steps=99), "falls without bound", losses=["likelihood"]),
    Disaster(
        "counts below 0", y(lambda y: y - 3), r"% of y is below 0; exp\(.* never is", losses=["Poisson"]
    ),
)

STARTS = (
    Disaster("NaN in the start", starting(math.nan), "start of [bwVWc] holds nan"),
    Disaster("infinity in the start", starting(math.inf), "start of [bwVWc] holds inf"),
    Disaster("a huge start", starting(1e200), "start of [bwVWc] holds 1e.200"),
    Disaster("a start of another shape", having(start={"b": [1.0] * 7}), "start of b should be"),
    Disaster("a start of a stranger", having(start={"q": 1.0}), "q has a start but is not trained"),
    Disaster(
        "a dead start", having(start={"b": -50.0}), r"off at the start for all 60 rows", losses=["neuron"]
    ),
    Disaster(
        "all zero",
        starting(0.0),
        r"(?s)off at the start for all 60 rows.*random",
        losses=["neuron", "perceptron"],
    ),
    Disaster("units alike", starting(0.5), "all 4 units of h began alike", losses=["perceptron", "tanh"]),
    Disaster("all zero, in tanh", starting(0.0), "all 4 units of h began alike", losses=["tanh"]),
    Disaster(
        "saturated",
        each(X(lambda X: 1 + abs(X)), RAW, starting(1e3)),
        "slope is exactly zero",
        losses=["tanh"],
    ),
    Disaster("on a kink", solved, r"60 of 60 rows lie exactly on a kink of abs\(", losses=["absolute"]),
    Disaster(
        "overflow",
        each(X(lambda X: 1e6 * abs(X)), RAW, starting(1.0)),
        r"(?s)the loss is (inf|nan) at the start.*exp\(",
        losses=["Poisson"],
    ),
)

SETTINGS = (
    Disaster(
        "a rate too high", having(learning_rate=1e3), r"(?s)learning rate 1000.*rates below \S+ are safe"
    ),
    Disaster(
        "a rate too high over kinks",
        having(learning_rate=1e3),
        r"(?s)learning rate 1000.*learning_rate=0.\d",
        losses=["absolute"],
    ),
    Disaster(
        "a rate too high for Adam",
        having(learning_rate=1e6, optimiser="adam"),
        r"(?s)learning rate 1e.06.*learning_rate=0.\d",
    ),
    Disaster("a rate too low", having(learning_rate=1e-14), "not converged"),
    Disaster(
        "a rate far too low",
        having(learning_rate=1e-18, steps=400),
        r"(?s)rate is too small.*learning_rate=\d",
        losses=["neuron"],
    ),
    Disaster("a rate of 0", having(learning_rate=0.0), "learning rate should"),
    Disaster("a rate of NaN", having(learning_rate=math.nan), "learning rate should"),
    Disaster("no steps", having(steps=0), "steps should"),
    Disaster("half a step", having(steps=0.5), "steps should"),
    Disaster("a tolerance of 1", having(tolerance=1.0), "tolerance should"),
    Disaster("no batch", having(batch=0), "mini-batch"),
    Disaster("a strange optimiser", having(optimiser="sgd"), "no optimiser"),
    Disaster("a seed below 0", having(seed=-1), "a seed is"),
    Disaster("a seed below 0, and rows held out", having(seed=-1, holdout=0.3), "a seed is", losses=["tanh"]),
    Disaster("half a seed", having(seed=0.5), "a seed is"),
    Disaster("all rows held out", having(holdout=1.0), "held-out"),
    Disaster(
        "no answer for a row held out",
        each(X(at((ROWS - 1, 0), 1e5)), having(holdout=[ROWS - 1])),
        "rows held out is inf",
        losses=["Poisson"],
        places=[MEMORY],
    ),
    Disaster(
        "no answer for the last row, held out",
        each(X(at((ROWS - 1, 0), 1e5)), having(holdout=0.05)),
        "rows held out is inf",
        losses=["Poisson"],
        places=[FILES],
    ),
    Disaster("nearly all rows watched", having(watch=0.999), "rows tell when to stop|no rows are left"),
    Disaster(
        "nothing to hold out", each(rows(15), having(holdout=0.05)), "no rows are held out", places=[MEMORY]
    ),
    Disaster(
        "unstandardised, columns × 1e8",
        each(X(lambda X: X * [1e8, 1, 1]), RAW),
        "column 0 of X is .* times as large as column",
    ),
    Disaster(
        "unstandardised, columns × 1e-8",
        each(X(lambda X: X * [1e-8, 1, 1]), RAW),
        "column . of X is .* times as large as column 0",
    ),
    Disaster(
        "unstandardised, far from zero",
        each(X(lambda X: X + 1e5 * COLUMN_0), RAW),
        "column 0 of X lies .* not standardised",
    ),
    Disaster(
        "sizes that contradict",
        having(sizes={"d": 7, "h": 4}),
        "sizes says that d is 7, and the data that it is 3",
        losses=ALL,
    ),
)

CHAPTERS = {
    "The data": DATA,
    "What the network can answer": TARGETS,
    "Where it starts": STARTS,
    "How it is trained": SETTINGS,
}
DISASTERS = (*SOUND, *chain.from_iterable(CHAPTERS.values()))


def table(places: Sequence[str] = (MEMORY, FILES)) -> Iterator[tuple[Disaster, str, str, str]]:
    """Every disaster with each of its losses, by turns of one type or the other, in one place or the other.

    Where it has few losses, each is there in every place.
    """
    turn = 0
    for disaster in DISASTERS:
        there = [place for place in disaster.places if place in places]
        for loss in disaster.losses if there else ():
            for place in there if len(disaster.losses) < 3 else [there[turn // 2 % len(there)]]:
                yield disaster, loss, disaster.kinds[turn % len(disaster.kinds)], place
                turn += 1
        turn += 1


def clustered() -> Iterator[tuple[Disaster, str, str, str]]:
    """Some of the disasters that are there in files, with one loss each."""
    filed = [disaster for disaster in DISASTERS if FILES in disaster.places]
    for turn, disaster in enumerate(filed[1::8]):
        yield disaster, disaster.losses[turn % len(disaster.losses)], disaster.kinds[-1], FILES


def called(disaster: Disaster, loss: str, kind: str, place: str) -> str:
    return f"{disaster.name}, {loss}, {kind}, {place}"


def trained(
    disaster: Disaster, loss: str, kind: str, place: str, folder: Path, cluster: object = None
) -> gs.Fit:
    """The training that a disaster has come over, of rows in memory or in files."""
    case = disaster.make(sound(loss, kind))
    data = {"X": case.X, "y": case.y, **case.more}
    settings = {"steps": STEPS, **case.settings}
    wrt = settings.pop("wrt", None)
    if place == MEMORY:
        return gs.train(case.loss, data, wrt, **settings)
    for name, value in data.items():
        np.save(folder / f"{name}.npy", value)
    store = gs.open_rows({name: folder / f"{name}.npy" for name in data})
    return gs.train(case.loss, store, wrt, cluster=cluster, **settings)


def judge(disaster: Disaster, loss: str, kind: str, *where: Any) -> None:
    """Asserts that a disaster ends in an error with a mend, or in a sound fit that says what is wrong."""
    said = disaster.told(loss)
    try:
        fit = trained(disaster, loss, kind, *where)
    except MathError as error:
        assert said and re.search(said, str(error)), str(error)
        assert error.mend, str(error)
        return
    assert all(np.isfinite(value).all() for value in fit.parameters.values())
    slack = 2e-6 * (abs(fit.history[0]) + abs(fit.history[0] - fit.loss))
    assert math.isfinite(fit.loss) and fit.loss <= fit.history[0] + slack
    if said:
        assert re.search(said, "\n".join(fit.notes)), fit.notes
    else:
        assert not fit.faults
    if disaster.alike:
        assert fit.loss <= 1.1 * usual(loss) + 1e-3


@cache
def usual(loss: str) -> float:
    """The loss that is reached with sound data."""
    case = sound(loss, "f8")
    return gs.train(case.loss, {"X": case.X, "y": case.y}, steps=STEPS, **case.settings).loss


# ------------------------------------------------------------------------------------------- on a page


def told_of(disaster: Disaster, folder: Path) -> str:
    """What a user reads of a disaster in memory: the error, or the line among the notes."""
    loss = disaster.losses[0]
    said = disaster.told(loss)
    place = MEMORY if MEMORY in disaster.places else FILES
    try:
        fit = trained(disaster, loss, disaster.kinds[0], place, folder)
    except MathError as error:
        facts = [fact for fact in error.facts if re.search(said, fact)]
        return f"**Error**: {'; '.join([error.what, *facts[:1]])}. *Perhaps {error.mend}*"
    notes = "\n".join(fit.notes)
    found = re.search(said, notes)
    assert found is not None
    return notes[: found.end()].splitlines()[-1] + notes[found.end() :].partition("\n")[0]


def as_markdown(folder: Path) -> Iterator[str]:
    """The disasters as tables, which docs/faults.md shows."""
    for title, chapter in CHAPTERS.items():
        yield from ("", f"## {title}", "", "| what happens | what you read |", "|---|---|")
        for disaster in chapter:
            told = told_of(disaster, folder).replace("|", "\\|").replace("<", "&lt;")
            yield f"| {disaster.name} | {told} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print("\n".join(as_markdown(Path(place))))
