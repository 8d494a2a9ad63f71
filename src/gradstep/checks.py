"""What does a user call to have a derivation checked? The function that joins derivations and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.calculus.derivation import derive as derive_expression
from gradstep.calculus.jacobians import hessian as hessian_of
from gradstep.calculus.jacobians import jacobian as jacobian_of
from gradstep.expression.node import Expr
from gradstep.notation.depending import Dependences
from gradstep.notation.judging import judge
from gradstep.notation.verdicts import Verdict
from gradstep.public import Names, asked


def check(
    f: Expr,
    wrt: str | Sequence[str],
    claim: str | Expr | Sequence[str],
    *,
    hessian: bool = False,
    given: Dependences | None = None,
    names: Names | None = None,
    structure: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> Verdict:
    """Whether a formula, or a chain of lines, for the derivative of `f` is right; if not, where it is wrong.

    `claim` is text: NumPy's syntax, LaTeX or what gradstep prints. One formula is the gradient (the Jacobian,
    if `f` is an array); lines such as `dz = …`, `∂C/∂w = … = …` or `dC = ⟨G, dN⟩` are checked one by one. It
    may use the names of parts, those of the loss and those that gradstep gives.

    `check(…).verdict` is True, False or None (no point could tell); the first wrong line, an example in small
    numbers, and the slip are in `first`, `example` and `slip`, and `str` tells them. What cannot be read is a
    `MathError` at its place.
    """
    f, called, only = asked(f, wrt, given, names)
    if hessian:
        derivation = hessian_of(f, wrt, names=called, only=only, seed=seed)
    elif isinstance(f, Expr) and f.rank:
        derivation = jacobian_of(f, wrt, names=called, only=only, seed=seed)
    else:
        derivation = derive_expression(f, wrt, names=called, only=only, structure=structure, seed=seed)
    text = str(claim) if isinstance(claim, Expr) else claim if isinstance(claim, str) else "\n".join(claim)
    return judge(derivation, called, text, seed)
