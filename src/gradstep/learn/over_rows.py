"""What do files tell of a loss beyond its gradient? Curvature, lines and residuals, by passes.

They are derived and proved as for rows in memory. Of residuals r and their Jacobian J a pass keeps the
triangle R of QR = [J r] alone: it has the same products JᵀJ and Jᵀr, and R of two windows is that of their R
(tall and skinny QR, Demmel et al. 2012), so that no digit is lost to JᵀJ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked, InMemory, Stream, Values, along
from gradstep.backends.threads import one_thread_each
from gradstep.backends.trees import Tree
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.records import record, replaced
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.knowledge import MOST_COLUMNS
from gradstep.learn.optimisers import Optimiser
from gradstep.learn.recipes import Recipe, What, directions_of
from gradstep.learn.scaling import Array
from gradstep.learn.surface import Along, Curvature, Line, Parameters, Place, Residuals
from gradstep.operations.evaluation import mentioned

CHUNK = 1 << 25  # bytes of a Jacobian that are there at a time


@dataclass(frozen=True, eq=False)
class OverRows:
    """A loss on a part of stored rows, with what is beside them, seen in the units of training."""

    derivation: Derivation
    recipe: Recipe
    units: Coordinates
    part: Stream
    beside: Mapping[str, Array]

    def beyond(self, optimiser: Optimiser, first: Parameters, kind: Any) -> tuple[dict[str, Any], list[str]]:
        """What the optimiser needs beside the gradient, as `descend` calls it, and what has to be said."""
        loss = self.derivation.names[self.derivation.of]
        if optimiser.needs == "curvature":
            told = f"the curvature of {loss} times a vector is derived and proved like the gradient"
            return {"curvature": self.curvature("curvature", kind)}, [told]
        if optimiser.needs == "line":
            told = f"slope and curvature of {loss} along a line are derived and proved like the gradient"
            return {"line": self.line(kind)}, [told]
        if optimiser.needs == "residuals":
            residuals = self.residuals(first)
            if residuals is not None:
                return {"residuals": residuals}, ["of the Jacobian of the residuals its triangle R is kept"]
            told = "the Jacobian of the residuals would be large: its products with vectors are used instead"
            return {"curvature": self.curvature("gauss-newton", kind)}, [told]
        return {}, []

    def wanted(self, what: What) -> Recipe:
        """The recipe of something else about the same loss."""
        return replaced(self.recipe, loss=self.derivation.of, names=(), what=what)

    def asked(self, program: Blocked, kind: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """The outputs of a program over the rows, by name."""

        def asked(values: Mapping[str, Any]) -> dict[str, Any]:
            with one_thread_each():
                return program.run(self.part, {**self.beside, **values}, kind)

        return asked

    def program(self, recipe: Recipe) -> tuple[Blocked, bool]:
        """It over rows, and whether it is the same for all parameters."""
        outputs = recipe.outputs().values()
        return recipe.blocked(recipe.function()), not set(mentioned(*outputs)) & set(recipe.wrt)

    def curvature(self, what: What, kind: Any) -> Curvature:
        """The Hessian times a vector, or 2 JᵀJ times one."""
        recipe = self.wanted(what)
        program, constant = self.program(recipe)
        run, toward = self.asked(program, kind), directions_of(recipe.loss, recipe.wrt)

        def at(parameters: Parameters) -> Callable[[Parameters], Mapping[str, Array]]:
            user = self.units.to_user(parameters)

            def product(direction: Parameters) -> Mapping[str, Array]:
                moved = self.units.moved(direction)
                found = run({**user, **{toward[name]: value for name, value in moved.items()}})
                return self.units.pulled(dict(zip(recipe.wrt, found.values(), strict=True)))

            return product

        return Curvature(at, constant)

    def line(self, kind: Any) -> Line:
        """The loss, its slope and its bend along a line."""
        recipe = self.wanted("line")
        program, _ = self.program(recipe)
        run, toward = self.asked(program, kind), directions_of(recipe.loss, recipe.wrt)
        (t,) = {each.name for each in program.program.inputs} - {
            *recipe.wrt,
            *toward.values(),
            *program.rows.axes,
            *self.beside,
        }

        def through(parameters: Parameters, direction: Parameters) -> Along:
            values = dict(self.units.to_user(parameters))
            values |= {toward[name]: value for name, value in self.units.moved(direction).items()}

            def along(at: float) -> Place:
                found = run(values | {t: np.asarray(at)})
                return Place(*(float(np.asarray(each)) / self.units.loss for each in found.values()))

            return along

        return through

    def residuals(self, first: Parameters) -> Residuals | None:
        """The triangle R of residuals and their Jacobian; None where products with vectors are better."""
        recipe, columns = self.wanted("residuals"), sum(value.size for value in first.values())
        program, constant = self.program(recipe)
        last = program.rows.passes[-1]
        if columns > MOST_COLUMNS or last.totals or any(step.joined for step in program.rows.passes[:-1]):
            return None
        starts = np.cumsum([0, *(value.size for value in first.values())])
        places = {name: slice(*ends) for name, *ends in zip(first, starts, starts[1:], strict=False)}

        def at(parameters: Parameters) -> tuple[Array, Array]:
            values = {**self.beside, **self.units.to_user(parameters)}
            with one_thread_each():
                R = triangle_over(program, self.part, values, places, columns)
            size = np.sqrt(self.units.loss)
            J = np.empty((len(R), columns))
            for row, mine in zip(R, J, strict=True):
                slopes = {name: row[place].reshape(first[name].shape) for name, place in places.items()}
                pulled = self.units.pulled(slopes)
                for name, place in places.items():
                    mine[place] = size * np.asarray(pulled[name]).ravel()
            return R[:, -1] / size, J

        return Residuals(at, constant)


def triangle_over(
    program: Blocked, part: Stream, values: Values, places: Mapping[str, slice], columns: int
) -> Array:
    """R of [J r] over all rows, and over residuals that have none; the columns of J are at these places."""
    kind, last = np.dtype(np.float64), len(program.passes) - 1
    known = program.known(part, values)
    for number in range(last):
        program.compute(number, known)
        known |= program.over_windows(number, part, known, kind)
    program.compute(last, known)
    outputs = program.rows.outputs
    mine = {key: name for key, name in outputs.items() if name in program.rows.passes[-1].joined}
    work = Triangles(program, last, known, mine, places, columns)
    names = [each.name for each in program.rows.passes[-1].program.inputs if each.name in program.rows.axes]
    R = part.total(work, names)
    program.compute(last + 1, known)
    apart = {key: known[name] for key, name in outputs.items() if key not in mine}
    return work.added(R, work.rows(apart)) if apart else R


@record
class Triangles:
    """The work of a QR: R of [J r] of each window, and R of two of them one above the other.

    `outputs` are what the program calls the residuals, weights and slopes that have rows.
    """

    program: Blocked
    number: int
    known: Values
    outputs: Mapping[str, str]
    places: Mapping[str, slice]
    columns: int

    def __call__(self, window: InMemory) -> Array:
        tree: Tree[Array] = Tree(self.added)
        rows = max(self.columns + 1, CHUNK // (8 * (self.columns + 1)))
        for number, start in enumerate(range(0, window.count, rows)):
            stop = min(start + rows, window.count)
            cut = {
                name: array[along(window.axes[name], start, stop)] for name, array in window.arrays.items()
            }
            found = self.program.over_rows(
                self.number, InMemory(cut, window.axes), self.known, np.dtype(np.float64)
            )
            parts = {key: found[name] for key, name in self.outputs.items()}
            tree.put(number, 1, _triangle(self.rows(parts)))
        return tree.top()

    def added(self, one: Array, other: Array) -> Array:
        return _triangle(np.vstack([one, other]))

    def rows(self, parts: Mapping[str, Any]) -> Array:
        """[J r] of some terms, each row times the root of its weight; parts are called as in the recipe."""
        found: list[Array] = []
        keys = {"r0" if key == "" else key: value for key, value in parts.items()}
        for key in [key for key in keys if key[0] == "r"]:
            term, r = key[1:], np.asarray(keys[key], dtype=np.float64)
            weights = np.broadcast_to(keys[f"W{term}"], r.shape)
            if not (weights >= 0).all():
                raise MathError(
                    "Levenberg–Marquardt takes a sum of squares, and here one is subtracted",
                    facts=[f"a weight is {float(weights.min()):.6g}"],
                    mend='optimiser="l-bfgs", which takes every loss',
                )
            table, roots = np.zeros((r.size, self.columns + 1)), np.sqrt(weights).reshape(-1, 1)
            table[:, -1:] = roots * r.reshape(-1, 1)
            for name, place in self.places.items():
                slopes = keys.get(f"J{term} {name}")
                if slopes is not None:
                    shape = (*r.shape, *np.shape(slopes)[r.ndim :])
                    table[:, place] = roots * np.broadcast_to(slopes, shape).reshape(r.size, -1)
            found.append(table)
        return np.vstack(found)


def _triangle(table: Array) -> Array:
    """R of a QR, with as many rows as columns at most."""
    if not np.isfinite(table).all():
        return np.full((1, table.shape[1]), np.nan)
    return np.asarray(np.linalg.qr(table, mode="r"))
