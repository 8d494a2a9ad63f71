"""How does the local app read a table, and train on it? As `gradstep train` does, into files of its own."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from gradstep.app.questions import Formula, Question
from gradstep.commands.models import USUAL, widths, written_model
from gradstep.commands.sweeping import sweep_of
from gradstep.commands.tables import read_any
from gradstep.expression.errors import MathError
from gradstep.learn.columns import Column, Table
from gradstep.learn.encoding import Encoder, Prepared
from gradstep.learn.models import Model, default_model
from gradstep.learn.training import train_model
from gradstep.page.fitted import report
from gradstep.page.report import page, save

Tell: TypeAlias = Callable[[Mapping[str, Any]], None]

EVERY = 0.05  # seconds between two words about how far it is
MOST_SHOWN = 300  # columns
FIRST = 5  # values of a column
LONGEST = 40  # characters of a value
NETWORKS = ("formula", "default", "hidden")
SWEPT = ("learning_rate", "l2", "batch", "seed")  # several values, with commas between them, are all tried
MOST_VARIANTS = 24


def tabled(asked: Question, tell: Tell) -> dict[str, Any]:
    """What is in a table: its columns, what they hold, and how they begin."""
    table = _table(asked)
    if len(table.columns) > MOST_SHOWN:
        raise MathError(
            f"the table has {len(table.columns):,} columns, and this page shows at most {MOST_SHOWN}",
            mend="gradstep train in a terminal",
        )
    columns = [{"name": c.name, "kind": c.kind, "first": _first(c)} for c in table.columns.values()]
    return {"rows": table.rows, "columns": columns, "notes": list(table.notes)}


def trained(asked: Question, tell: Tell) -> dict[str, Any]:
    """Train; the live page and the model are written into `folder`, what came of it is told."""
    table = _table(asked)
    tell({"doing": "reading the table …"})
    share = asked.number("holdout", 0.2)
    settings, sweep = _settings(asked)
    prepared = Encoder.fit(
        table, asked.text("target"), holdout=0.2 if share is None else share, seed=settings.get("seed", 0)
    )
    model = _model(asked, prepared)
    tell({"doing": f"deriving the gradient of {model.title} …"})
    compared = []
    with _interruptible():
        if sweep:
            found = train_model(model, prepared, progress=_Teller(tell), sweep=sweep, **settings)
            fit, compared = found.best, [f"{found}\n\nThe best of them\n"]
        else:
            fit = train_model(model, prepared, progress=_Teller(tell), **settings)
    tell({"doing": "writing the page …", "reached": True, "faults": list(fit.faults)})
    folder = Path(asked.text("folder"))
    made = page(report(fit))
    save(made, folder / "page.html")
    fit.save(folder / "model.safetensors")
    return {
        "report": "\n".join([*compared, fit.outcome()]),
        "faults": list(fit.faults),
        "notes": [*table.notes, *prepared.notes, *(note for note in fit.notes if note not in fit.faults)],
        "loss": fit.loss,
        "policy": made.policy,
    }


def _settings(asked: Question) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """How to train, and what to try all values of."""
    given = sweep_of([f"{name}={text}" for name in SWEPT if (text := asked.text(name).strip())])
    count = math.prod(map(len, given.values()))
    if count > MOST_VARIANTS:
        raise MathError(
            f"{count} trainings are too many for this page, which compares at most {MOST_VARIANTS}",
            mend="gradstep train --sweep in a terminal",
        )
    settings = {name: values[0] for name, values in given.items() if len(values) == 1}
    settings["optimiser"] = asked.word("optimiser", "gradient descent")
    settings["steps"] = asked.whole("steps", 2000)
    return settings, {name: values for name, values in given.items() if len(values) > 1}


def _table(asked: Question) -> Table:
    style = {
        "separator": None,
        "decimal": asked.word("decimal", "."),
        "thousands": asked.text("thousands"),
    }
    table = read_any(asked.text("path"), style, None, asked.texts("kinds") or None)
    if not isinstance(table, Table):
        raise MathError("these are more rows than this page reads", mend="gradstep train in a terminal")
    return table


def _first(column: Column) -> list[str]:
    values = column.values[:FIRST].tolist()
    return [f"{v:.6g}" if isinstance(v, float) and not math.isnan(v) else str(v)[:LONGEST] for v in values]


def _model(asked: Question, prepared: Prepared) -> Model:
    network = asked.one_of("network", NETWORKS)
    if network == "hidden":
        return default_model(prepared, widths(asked.text("hidden")))
    if network == "default":
        return default_model(prepared)
    formula = Formula(asked)
    formula.read()
    left = [name for name in formula.names if name not in (*USUAL, *formula.parameters)]
    if left:
        raise MathError(
            f"{left[0]} is neither data nor a parameter",
            source=formula.text,
            facts=["data are X and y, or Y for classes"],
            mend="a number in its place in the loss, or a tick as a parameter",
        )
    model = written_model(formula.text, formula.shapes, prepared)
    chosen = asked.texts("sizes")
    return replace(model, sizes={**model.sizes, **{size: asked.size(size) for size in chosen}})


class _Teller:
    """Tells of some of the steps, and each time what may be wrong."""

    def __init__(self, tell: Tell) -> None:
        self.tell, self.told = tell, -math.inf
        self.faults: list[str] = []

    def foretold(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        self.tell({"doing": "beginning …", "faults": self.faults})

    def __call__(self, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.told >= EVERY and math.isfinite(loss):
            self.told = now
            self.tell({"step": int(step), "steps": int(steps), "loss": float(loss), "faults": self.faults})


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT, which is ignored otherwise, ends a training with what it has reached."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
