"""What does a user call to have a derivation checked? The function that joins derivations and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gradstep.backends.foreign import Answer, Asked, Point, answers
from gradstep.calculus.derivation import derive as derive_expression
from gradstep.calculus.jacobians import hessian as hessian_of
from gradstep.calculus.jacobians import jacobian as jacobian_of
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.functions import judge_function
from gradstep.notation.depending import Dependences
from gradstep.notation.judging import LAYOUTS, judge
from gradstep.notation.verdicts import Verdict
from gradstep.operations.evaluation import mentioned, variables
from gradstep.operations.leaves import symbol
from gradstep.operations.sums import sum as total
from gradstep.public import Names, asked


def check(
    f: Expr,
    wrt: str | Sequence[str],
    claim: str | Expr | Sequence[str] | Mapping[str, str | Expr] | Callable[..., Any],
    *,
    hessian: bool = False,
    given: Dependences | None = None,
    names: Names | None = None,
    structure: Mapping[str, str] | None = None,
    layout: str | None = None,
    seed: int | None = None,
) -> Verdict:
    """Whether a formula, or a chain of lines, for the derivative of `f` is right; if not, where it is wrong.

    `claim` is text: NumPy's syntax, LaTeX or what gradstep prints. One formula is the gradient (the Jacobian,
    if `f` is an array); lines such as `dz = …`, `∂C/∂w = … = …` or `dC = ⟨G, dN⟩` are checked one by one. It
    may use the names of parts, those of the loss and those that gradstep gives. {"w": …, "b": …} has a
    formula for each.

    `claim` may also be a backward function, `backward(X, w, b, y)` with NumPy arrays, that returns the
    gradients (for an array `f` it takes the gradient that arrives too), or a `torch.autograd.Function`: it is
    called here, at many points in float64, and its values are compared.

    A matrix may stand in either layout, and the verdict says so where it is not gradstep's; with `layout`,
    "numerator" or "denominator", it has to be that one; square matrices are told from their transposes then.

    `check(…).verdict` is True, False or None (no point could tell); the first wrong line, an example in small
    numbers, and the slip are in `first`, `example` and `slip`, and `str` tells them. What cannot be read is a
    `MathError` at its place.
    """
    if layout is not None and layout not in LAYOUTS:
        raise MathError(f"there is no layout {layout!r:.40}", facts=[f"the layouts are {', '.join(LAYOUTS)}"])
    if callable(claim) and not isinstance(claim, Expr):
        if layout is not None:
            raise MathError(
                "a layout is that of a formula: a function returns each gradient like its parameter"
            )
        here = partial(answers, claim)
        name = getattr(claim, "__name__", "the function")
        return check_function(f, wrt, here, name, given=given, names=names, structure=structure, seed=seed)
    f, called, only = asked(f, wrt, given, names)
    if hessian:
        derivation = hessian_of(f, wrt, names=called, only=only, seed=seed)
    elif isinstance(f, Expr) and f.rank:
        derivation = jacobian_of(f, wrt, names=called, only=only, seed=seed)
    else:
        derivation = derive_expression(f, wrt, names=called, only=only, structure=structure, seed=seed)
    if isinstance(claim, Mapping):
        claim = [f"∂C/∂{name} = {formula}" for name, formula in claim.items()]
    text = claim if isinstance(claim, str) else str(claim) if isinstance(claim, Expr) else "\n".join(claim)
    return judge(derivation, called, text, seed, layout)


def check_function(
    f: Expr,
    wrt: str | Sequence[str],
    call: Callable[[Asked, Sequence[Point]], Sequence[Answer]],
    name: str,
    *,
    given: Dependences | None = None,
    names: Names | None = None,
    structure: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> Verdict:
    """Whether a function gives the gradients of `f`; `call` has its answers at the points that it is given.

    For an array `f` the function takes the gradient that arrives, G, and the loss is ⟨G, f⟩.
    """
    f, called, only = asked(f, wrt, given, names)
    arriving = next(letter for letter in ("G", "dY", "grad_output") if letter not in variables(f))
    order = tuple(mentioned(f))
    if f.rank:
        f = total(symbol(arriving, f.shape) * f)
    derivation = derive_expression(f, wrt, names=called, only=only, structure=structure, seed=seed)
    order = tuple(dict.fromkeys((*order, *derivation.wrt)))
    asked_for = Asked(order, arriving, derivation.wrt)
    return judge_function(derivation, called, name, lambda points: call(asked_for, points), seed)
