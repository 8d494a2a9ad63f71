"""What is a fit in a notebook's cell? The parts of its live page, two-way with Python. Needs anywidget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anywidget
import numpy as np
import traitlets

from gradstep.expression.errors import MathError
from gradstep.learn.fit import Fit
from gradstep.page import controls
from gradstep.page.document import Picture, Row, Section, font, fragment, sheet
from gradstep.page.fitted import report
from gradstep.page.live import as_json, coded, decoded, units_of
from gradstep.page.report import told
from gradstep.page.walking import Walker, settled, whole

# The settings as `gs.train` calls them, and as the page does.
SETTINGS = {
    "optimiser": "optimiser",
    "learning_rate": "rate",
    "momentum": "friction",
    "batch": "batch",
    "seed": "seed",
}
MOST_SHOWN = 50  # places on a way of many steps that the cell draws


class Named(dict[str, Any]):
    """What a cell has under a name, itself values by name: one that is set here is set in the cell."""

    def __init__(self, values: Mapping[str, Any], cell: Cell, name: str) -> None:
        super().__init__(values)
        self._place = cell, name

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, *values: Any, **named: Any) -> None:
        """Set several."""
        setattr(*self._place, dict(*values, **named))
        super().update(getattr(*self._place))


def _is_still(section: Section) -> bool:
    """Pictures come first, so that what moves is in sight together."""
    return not any(isinstance(block, Picture | Row) for block in section.blocks)


class Cell(anywidget.AnyWidget):  # type: ignore[misc]
    """A fit that trains in a cell: what is dragged or trained there is known here, and the other way.

    parameters  by name, in the user's units: arrays, and floats where they are numbers; set some or all of
                them, and the cell shows it
    steps       how many steps were taken
    running     whether the cell trains just now

    All three can be observed: `cell.observe(print, "parameters")`. What is shown runs in the browser, which
    tells where it is ten times a second; Python hears it when no other cell of the notebook is being run.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _sheet = traitlets.Unicode().tag(sync=True)
    _font = traitlets.Unicode().tag(sync=True)
    _body = traitlets.Unicode().tag(sync=True)
    _page = traitlets.Unicode().tag(sync=True)
    _settings = traitlets.Dict().tag(sync=True)
    _x = traitlets.Unicode().tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    steps = traitlets.Int(0).tag(sync=True)
    parameters = traitlets.Any()

    def __init__(self, fit: Fit) -> None:
        shown = told(replace(report(fit), codes=(), results=(), next_steps=()))
        sections, alive = shown.sections, shown.alive
        if alive is None:
            raise MathError(
                "this fit cannot train in a cell",
                facts=[shown.still],
                mend='fit.page("fit.html"), which shows it as it is',
            )
        self._walker, self._units = Walker(fit), units_of(fit)
        self._order = tuple(alive.model["parameters"])
        self._telling = False
        super().__init__(
            _esm=f"{alive.formulas}{controls.script('cell')}\nexport default {{ render }};\n",
            _sheet=sheet(),
            _font=font(),
            _body=controls.bar(alive.model) + fragment(sorted(sections, key=_is_still)),
            _page=as_json(alive.model),
            _settings=alive.model["settings"],
        )
        self._tell()

    def __repr__(self) -> str:
        return f"<{self._walker.fit.title} in a cell: step {self.steps}, loss {self.loss:.6g}>"

    @property
    def loss(self) -> float:
        """The loss of the parameters, on the rows that the cell shows."""
        return self._walker.loss

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it steps; set a dictionary of what is to change: `cell.settings = {"optimiser": "adam"}`.

        optimiser      "gradient descent", "momentum" or "adam"
        learning_rate  None where it is fitted to each step
        momentum       the share of the speed that is kept, of the optimiser of this name
        batch          rows in a step, None for all; `seed` of their order
        """
        found = {name: self._settings[key] for name, key in SETTINGS.items()}
        found["batch"] = found["batch"] or None
        return Named(found, self, "settings")

    @settings.setter
    def settings(self, changes: Mapping[str, Any]) -> None:
        found = settled(changes, self.settings)
        found["batch"] = found["batch"] or 0
        self._settings = {SETTINGS[name]: value for name, value in found.items()}

    def step(self, count: int = 1) -> int:
        """Take so many steps down from here, and say how many there were; fewer where none leads down."""
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise MathError(f"the number of steps cannot be {count!r}", mend="cell.step(10)")
        self.running = False
        begun, settings, apart = self.steps, self.settings, max(1, count // MOST_SHOWN)
        taken = 0
        try:
            while taken < count and self._walker.step(settings):
                taken += 1
                if taken % apart == 0:
                    self._tell(begun + taken)
        finally:
            if taken % apart:
                self._tell(begun + taken)
        return taken

    def train(self) -> None:
        """Press Train: the cell, which has to be shown, walks down until it is paused or has arrived."""
        self.running = True

    def pause(self) -> None:
        """Press Pause."""
        self.running = False

    def reset(self) -> None:
        """Press Reset: back to where the fit began."""
        self.running = False
        self._walker.begin()
        self._tell(0)

    def _tell(self, steps: int = 0) -> None:
        """Say where the walker is, to the cell and to whoever observes the parameters."""
        with self.hold_sync():
            self._x, self.steps = self._flat(), steps
        self._publish()

    def _flat(self) -> str:
        """The parameters end to end, in the units of the page."""
        inside = self._units.to_training(self._walker.parameters)
        return coded(np.concatenate([np.ravel(inside[name]) for name in self._order]))

    def _publish(self) -> None:
        self._telling = True
        try:
            self.parameters = self._walker.parameters
        finally:
            self._telling = False

    @traitlets.validate("parameters")  # type: ignore[untyped-decorator]
    def _whole(self, proposal: Any) -> dict[str, Any]:
        known = self._walker.parameters
        found = whole(proposal["value"], {name: known[name] for name in self._order})
        for array in found.values():
            array.flags.writeable = False  # a change of an entry would go unseen
        shown = {name: array if array.ndim else float(array) for name, array in found.items()}
        return Named(shown, self, "parameters")

    @traitlets.observe("parameters")  # type: ignore[untyped-decorator]
    def _moved(self, change: Any) -> None:
        if not self._telling:
            self._walker.put(self.parameters)
            self._x = self._flat()

    @traitlets.observe("_x")  # type: ignore[untyped-decorator]
    def _listened(self, change: Any) -> None:
        """The cell says where it is."""
        if self._x == self._flat():
            return
        shapes = [np.shape(self._walker.start[name]) for name in self._order]
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
        parts = np.split(decoded(self._x), ends[:-1])
        inside = {n: part.reshape(shape) for n, part, shape in zip(self._order, parts, shapes, strict=True)}
        self._walker.put(self._units.to_user(inside))
        self._publish()
