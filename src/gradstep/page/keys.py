"""What on a page has a worth that can be shown? Variables, named parts and slopes, each with a key.

The same key stands at every place where the formulas mention the thing, and in what a live page computes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

from gradstep.calculus.cotangents import cotangent_op
from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.jacobians import jacobian
from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation
from gradstep.expression.boxes import Box, Of, Sub
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation.indices import whole
from gradstep.notation.presentation import Moved, Slope
from gradstep.operations.arithmetic import add, negate
from gradstep.operations.sums import sum

DOWN = "for a step down the slope with rate 1"
MOST_AXES = 2  # of a slope between two parts: what has more is no picture any more


def _whole(what: Any) -> Any:
    """The array that an entry is of."""
    if isinstance(what, Slope):
        return Slope(_whole(what.of), _whole(what.by))
    return whole(what) if isinstance(what, Expr) else what


@dataclass
class Keys:
    """The keys of one derivation, in the order in which they are asked for."""

    derivation: Derivation
    keys: dict[Hashable, str] = field(default_factory=dict)
    worth: dict[str, Expr] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def __call__(self, what: object) -> str | None:
        """The key of what a box shows; None where it has no worth, or none that is known."""
        return self._known(_whole(what)) if isinstance(what, Expr | Slope | Moved) else None

    def _known(self, what: Expr | Slope | Moved) -> str | None:
        if what not in self.keys:
            expr = self._worth(what)
            self.keys[what] = "" if expr is None else self._key(expr, self._title(what))
            if isinstance(what, Moved):
                self.notes[self.keys[what]] = DOWN
        return self.keys[what] or None

    def of_expr(self, expr: Expr, title: str) -> str:
        """The key of any expression."""
        return self._key(expr, title)

    def left(self, box: Box | None) -> tuple[str, bool]:
        """The key of the left side of a line, and whether it is one entry of it: zᵢ."""
        match box:
            case Of(what, inner):
                along = isinstance(what, Slope) and _whole(what.of) is not self.derivation.of
                return self(what) or "", along or isinstance(inner, Sub) or _whole(what) is not what
            case _:
                return "", False

    def _key(self, expr: Expr, title: str) -> str:
        known = (key for key, other in self.worth.items() if other is expr)
        key = next((key for key in known if self.titles[key] == (title or self.titles[key])), None)
        if key is None:
            key = f"k{len(self.worth)}"
            self.worth[key] = expr
            self.titles[key] = title
        return key

    @cached_property
    def names(self) -> dict[Expr, str]:
        """Variables and parts by name."""
        return {**{v: n for n, v in self.derivation.parameters.items()}, **self.derivation.names}

    def _name(self, expr: Expr) -> str:
        return self.names.get(expr) or (str(expr.params[0]) if expr.op.name == "symbol" else str(expr))

    def _title(self, what: Expr | Slope | Moved) -> str:
        if isinstance(what, Moved):
            return f"d{self._name(what.of)}"
        if isinstance(what, Slope):
            sign = "d" if what.by in what.of.args and what.of.op.slopes else "∂"
            return f"{sign}{self._name(what.of)}/{sign}{self._name(what.by)}"
        if what.op is cotangent_op:
            return f"∂{self._name(what.params[1])}/∂{self._name(what.params[0])}"
        return self._name(what)

    def _worth(self, what: Expr | Slope | Moved) -> Expr | None:
        if isinstance(what, Moved):
            if what.of is not self.derivation.of or self.derivation.kind != "gradient":
                return None
            return negate(
                reduce(add, (sum(G * G) if G.rank else G * G for G in self.derivation.answers.values()))
            )
        if isinstance(what, Slope):
            return self._slope(what.of, what.by)
        if what.op is cotangent_op:
            return self._slope(what.params[1], what.params[0])
        return what if what.op.name == "symbol" or what in self.derivation.parts else None

    def _slope(self, of: Expr, by: Expr) -> Expr | None:
        if of is self.derivation.of:
            answers = {self.derivation.parameters[name]: G for name, G in self.derivation.answers.items()}
            return answers.get(by, self.derivation.cotangents.get(by))
        if by in of.args and of.op.slopes is not None:
            return simplify(of.op.slopes[of.args.index(by)](of, *of.args), BOOK)
        if by.op.name != "symbol" or of.rank + by.rank > MOST_AXES or of not in moving_nodes(of, [by]):
            return None
        try:
            (answer,) = jacobian(of, str(by.params[0]), certify=False).answers.values()
        except MathError:
            return None
        return answer if answer.rank <= MOST_AXES else None
