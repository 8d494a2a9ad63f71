"""How does a loss look along a line, C(w + t v)? What is straight in the parameters is straight in t.

Parts of the loss whose differential does not depend on where they are, X w + b or y − X w, are a + t b along
the line; a and b are worked out once, and what is left is a function of one number with its own derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.calculus.assumptions import facts_of
from gradstep.calculus.curvature import fresh, fresh_directions
from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.forward import Forward, differential, is_nothing
from gradstep.calculus.jacobians import hessian
from gradstep.calculus.laws import book_with
from gradstep.calculus.recognising import Recognition
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.records import record
from gradstep.operations.arithmetic import scale
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.leaves import symbol


@record
class Line:
    """C(w + t v) as a function of t: `value`, `slope` and `bend` mention t, the data and the ends.

    `ends` are new variables a and b by name, and what they stand for; `directions` the v of each w.
    """

    t: Expr
    value: Expr
    slope: Expr
    bend: Expr
    ends: Mapping[str, Expr]
    directions: Mapping[str, Expr]


def line(loss: Expr, wrt: Sequence[str], *, certify: bool = True, seed: int | None = None) -> Line:
    """The loss along a line through the parameters `wrt`, derived twice by t."""
    known = variables(loss)
    loss = belongs(Recognition(loss).expr, known)
    parameters = {name: known[name] for name in wrt}
    directions = fresh_directions(parameters, known)
    told = {**known, **{str(v.params[0]): v for v in directions.values()}}
    straight = _straight(loss, {parameters[name]: v for name, v in directions.items()}, known)
    moving = moving_nodes(loss, parameters.values())
    t = symbol(fresh("t", told))
    told[str(t.params[0])] = t
    table: dict[Expr, Expr] = {}
    ends: dict[str, Expr] = {}
    for node in _outermost(loss, straight, moving):
        a = symbol(fresh("a1", told), node.shape)
        told[str(a.params[0])] = a
        ends[str(a.params[0])] = belongs(node, told)
        slope = straight[node]
        if slope is None:
            table[node] = a
            continue
        b = symbol(fresh("b1", told), node.shape)
        told[str(b.params[0])] = b
        ends[str(b.params[0])] = belongs(slope, told)
        table[node] = a + (scale(t, b) if b.rank else t * b)
    value = belongs(replace(loss, table), told)
    second = hessian(value, str(t.params[0]), certify=certify, seed=seed)
    base = second.base
    assert base is not None
    name = str(t.params[0])
    return Line(
        t, value, belongs(base.answers[name], told), belongs(second.answers[name], told), ends, directions
    )


def _straight(loss: Expr, given: Mapping[Expr, Expr], known: Mapping[str, Expr]) -> dict[Expr, Expr | None]:
    """How what is straight moves along the line: by a change that depends on v alone; None for not at all."""
    facts = facts_of(v for v in known.values() if v not in given)
    forward = Forward([loss], list(given), (), book_with(facts))
    straight: dict[Expr, Expr | None] = dict(given)
    for node in walk(loss):
        args = [arg for arg in node.args if arg in forward.moving]
        if node in straight or not args or any(arg not in straight for arg in args):
            continue
        changes = [straight.get(arg) for arg in node.args]
        if all(change is None for change in changes):
            straight[node] = None
            continue
        form = forward.tidy(differential(node, changes))[0]
        if not any(part in forward.moving for part in walk(form)):
            straight[node] = None if is_nothing(form) else form
    return straight


def _outermost(loss: Expr, straight: Mapping[Expr, Expr | None], moving: set[Expr]) -> list[Expr]:
    """The largest straight parts."""
    if loss in straight:
        return [loss]
    used = (arg for node in walk(loss) if node in moving and node not in straight for arg in node.args)
    return list(dict.fromkeys(arg for arg in used if arg in moving and arg in straight))
