"""How does a whole gradient move when all parameters move? The Hessian of all of them, times a vector.

`hvp` follows one variable; here the directions of several are together, as an optimiser needs it. For a sum
of squares there is also the part of it that needs first derivatives alone: 2 JᵀJ (Gauss and Newton).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.calculus.assumptions import facts_of
from gradstep.calculus.derivation import derive
from gradstep.calculus.forward import Forward
from gradstep.calculus.jacobians import gradients_moving
from gradstep.calculus.laws import book_with
from gradstep.calculus.moves import Move, certify_moves, joined
from gradstep.calculus.verdicts import Certificate
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, replace
from gradstep.expression.records import record
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.leaves import symbol
from gradstep.operations.sums import sum


@record
class Product:
    """A matrix of curvatures times a direction: `answers` by parameter, in the shapes of the parameters.

    `directions` are the variables that stand for the direction.
    """

    answers: Mapping[str, Expr]
    directions: Mapping[str, Expr]
    certificate: Certificate | None


def hessian_product(
    loss: Expr, wrt: Sequence[str], *, certify: bool = True, seed: int | None = None
) -> Product:
    """∂²C/∂w² v for all parameters together: how each gradient moves when every parameter moves."""
    base = derive(loss, wrt, again=True, certify=certify, seed=seed)
    known = variables(loss)
    directions = fresh_directions(base.parameters, known)
    given = {base.parameters[name]: v for name, v in directions.items()}
    gradients = [base.answers[name] for name in base.wrt]
    others = facts_of(v for v in known.values() if v not in base.parameters.values())
    forward = gradients_moving(base, gradients, others)
    changes = forward.changes()
    told = {**known, **{str(v.params[0]): v for v in directions.values()}}
    answers = {
        name: belongs(forward.whole(g, changes, given), told)
        for name, g in zip(base.wrt, gradients, strict=True)
    }
    moves = [
        Move("answer", "the product with the vector", g, given, answers[name], True)
        for name, g in zip(base.wrt, gradients, strict=True)
    ]
    return Product(answers, directions, _certified(base.certificate, moves, seed) if certify else None)


def gauss_newton_product(
    residuals: Sequence[tuple[Expr, Expr]],
    wrt: Sequence[str],
    *,
    certify: bool = True,
    seed: int | None = None,
) -> Product:
    """2 Jᵀ(W ⊙ J v) for all parameters together, for the loss Σ W ⊙ r² of pairs (r, W)."""
    known = variables(*(part for pair in residuals for part in pair))
    parameters = {name: known[name] for name in wrt}
    directions = fresh_directions(parameters, known)
    told = {**known, **{str(v.params[0]): v for v in directions.values()}}
    facts = facts_of(v for v in known.values() if v not in parameters.values())
    given = {parameters[name]: v for name, v in directions.items()}
    answers: dict[str, Expr] = {}
    certificate: Certificate | None = None
    for r, weights in residuals:
        forward = Forward([r], list(parameters.values()), (), book_with(facts))
        moved = forward.whole(r, forward.changes(), given)
        u = symbol(fresh("u", told), r.shape)
        back = derive(
            belongs(sum(2 * weights * u * r), {**told, str(u.params[0]): u}), wrt, again=True, certify=certify
        )
        if certify:
            moves = [Move("answer", "the product with the vector", r, given, moved, True)]
            certificate = joined(certificate, _certified(back.certificate, moves, seed))
        for name, answer in back.answers.items():
            found = replace(answer, {u: moved})
            answers[name] = answers[name] + found if name in answers else found
    return Product({name: belongs(answers[name], told) for name in wrt}, directions, certificate)


def _certified(base: Certificate | None, moves: Sequence[Move], seed: int | None) -> Certificate:
    found = joined(base, certify_moves(moves, seed=seed))
    if found.verdict is False:
        raise MathError(
            "the product with the curvature failed its own check, so it is not used",
            facts=[str(found)],
            mend="reporting this formula to the authors of gradstep",
        )
    return found


def fresh_directions(parameters: Mapping[str, Expr], known: Mapping[str, Expr]) -> dict[str, Expr]:
    """A variable of its shape for each parameter, with a name that is not taken."""
    taken = dict(known)
    found = {}
    for name, w in parameters.items():
        v = symbol(fresh(f"v_{name}", taken), w.shape)
        found[name] = taken[str(v.params[0])] = v
    return found


def fresh(name: str, taken: Mapping[str, Expr]) -> str:
    """The name, with another number behind it where it is taken."""
    count = 0
    while name in taken:
        count += 1
        name = f"{name.rstrip('0123456789')}{count}"
    return name
