"""What does a user call to derive? The functions that join the rooms of calculus and notation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.calculus.derivation import derive as derive_expression
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation import terminal
from gradstep.notation.folding import folded
from gradstep.notation.parsing import names_of
from gradstep.notation.views import present


def derive(
    loss: Expr,
    wrt: str | Sequence[str],
    *,
    names: Mapping[Expr, str] | None = None,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The gradient of a scalar `loss` with respect to the variables `wrt`, step by step.

    `wrt` is a name or several; `d.answers["w"]` is the gradient, in the shape of w. `names` calls parts by
    names of your own, beside those that the text of the loss gave; other parts worth a name get one. Every
    line is checked exactly, and a derivation whose check fails is never returned: it raises `MathError`, as
    do a loss that is not a number, an unknown name, and an operation without a derivative. `certify=False`
    leaves the check out; `seed` makes its random points repeatable.
    """
    if isinstance(loss, str):
        raise MathError("derive takes an expression, not text", mend='gs.parse(text, X="N d", …)')
    given = {**names_of(loss), **(names or {})} if isinstance(loss, Expr) else names
    return derive_expression(loss, wrt, names=given, certify=certify, seed=seed)


def text(
    derivation: Derivation,
    view: str = "matrix",
    style: str = "partials",
    *,
    width: int = 100,
    batch: str | None = None,
    opened: bool = False,
) -> str:
    """`Derivation.text`."""
    told = present(derivation, view=view, style=style, batch=batch)
    return terminal.text(told if opened else folded(told), width, opened=opened)
