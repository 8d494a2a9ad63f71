"""Where does a network begin, and is it awake there? A ReLU that is off for every row learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, describe
from gradstep.expression.shapes import Lengths, shape_text, size_names
from gradstep.learn.arrays import array_of
from gradstep.learn.columns import nearest
from gradstep.learn.coordinates import Coordinates, unit_of
from gradstep.learn.descent import start_parameters
from gradstep.learn.objective import exactly
from gradstep.learn.plan import Plan
from gradstep.learn.scaling import Array, median
from gradstep.learn.structure import affine, name_of, output, parents, rectifiers
from gradstep.operations.arithmetic import divide_op
from gradstep.operations.domains import CONDITIONS
from gradstep.operations.evaluation import evaluate, mentioned, variables, worked_out
from gradstep.operations.rowwise import softmax_op

if TYPE_CHECKING:
    from gradstep.learn.exactness import Exactly

MOST_ROWS = 2000  # enough to see who is awake
FEWEST_AWAKE = 0.5
QUIET = 0.1

Arrays = Mapping[str, Array]


def shapes_of(
    derivation: Derivation,
    told: Lengths,
    sizes: Mapping[str, int] | None,
    start: Mapping[str, ArrayLike] | None,
) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, by the sizes that the data, the user, or the start tell."""
    known = Lengths(told)
    for size, length in (sizes or {}).items():
        if known.setdefault(size, length) != length:
            raise MathError(
                f"sizes says that {size} is {length}, and the data that it is {known[size]}",
                mend=f"no {size} in sizes: the data tell it",
            )
    strangers = [name for name in start or {} if name not in derivation.parameters]
    if strangers:
        raise MathError(
            f"{strangers[0]} has a start but is not trained",
            facts=[f"to be trained: {', '.join(derivation.wrt)}"],
            mend=nearest(strangers[0], derivation.wrt) or derivation.wrt[0],
        )
    for name, value in (start or {}).items():
        for axis, length in zip(derivation.parameters[name].shape, np.shape(value), strict=False):
            if size_names(axis) == (axis,):
                known.setdefault(axis, length)
    shapes = {}
    for name, parameter in derivation.parameters.items():
        unknown = [name for size in parameter.shape for name in size_names(size) if name not in known]
        if unknown:
            raise MathError(
                f"how large {unknown[0]} should be is not known: no data have this size",
                facts=[f"{name} is {'×'.join(map(str, parameter.shape))}"],
                mend=f'sizes={{"{unknown[0]}": 16}}',
            )
        shapes[name] = tuple(known[size] for size in parameter.shape)
    return shapes


def start_of(
    derivation: Derivation,
    shapes: Mapping[str, tuple[int, ...]],
    start: Mapping[str, ArrayLike] | None,
    units: Coordinates,
    plan: Plan,
    seed: int,
    exact: Callable[[str], Exactly] | None = None,
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The parameters to begin with, in the units of training, and the names of those that the user gave.

    The last layer of a softmax begins small, so that at first every class is about as likely; the last layer
    of a number begins near the middle of the target, which `exact` knows to the last bit.
    """
    first = start_parameters(shapes, seed)
    trained = set(derivation.parameters.values())
    if plan.prediction is not None and plan.prediction.op is softmax_op:
        last = affine(plan.prediction.args[0], parents(derivation.of), trained, alone=False)
        if last is not None:
            first[name_of(last.weights)] *= QUIET
    elif plan.prediction is not None and plan.target is not None and units.unit is None:
        layer = output(derivation.of, plan.prediction, trained, alone=False)
        if layer is not None:
            if exact is not None:
                shift, size = exact(plan.target).unit(layer)
            else:
                shift, size = unit_of(plan.data[plan.target][plan.train], layer)
            weights, bias = name_of(layer.affine.weights), name_of(layer.affine.bias)
            first |= {weights: first[weights] * size, bias: first[bias] * size + shift}
    if not start:
        return first, ()
    given = units.to_user(first)
    for name, value in start.items():
        given[name], _ = array_of(
            f"the start of {name}",
            value,
            derivation.parameters[name].shape,
            *("finite starting values", "smaller starting values"),
        )
        if given[name].shape != shapes[name]:
            raise MathError(
                f"the start of {name} should be {shape_text(shapes[name])}",
                facts=[f"it is {shape_text(given[name].shape)}"],
                mend="no start, or one of that shape",
            )
    return units.to_training(given), tuple(start)


def alive(
    derivation: Derivation,
    first: dict[str, Array],
    data: Arrays,
    fixed: set[str],
    units: Coordinates,
    exact: bool = False,
) -> dict[str, Array]:
    """The same start with biases moved until every ReLU is on for at least half of the rows.

    A bias that the user gave stays as it is; a whole layer that is off for every row is a `MathError`. With
    `exact` no order of the rows and no processor changes a bit of it.
    """
    found = dict(first)
    above, trained = parents(derivation.of), set(derivation.parameters.values())
    for node in rectifiers(derivation.of, trained):
        z = values_of(node.args[0], found, data, exact)
        if z is None:
            continue
        place = affine(node.args[0], above, trained)
        asleep = (z > 0).mean(axis=0) < FEWEST_AWAKE
        bias = name_of(place.bias) if place is not None else None
        if bias is not None and bias not in fixed and np.any(asleep):
            found[bias] = _awake(found[bias], z, asleep)
        elif not (z > 0).any():
            called = derivation.names.get(node, str(node))
            awake = (
                None if bias is None else units.to_user({**found, bias: _awake(found[bias], z, asleep)})[bias]
            )
            if not z.any():
                mend = "no start, so that the weights are random"
            elif awake is not None and not awake.ndim:
                mend = f'start={{"{bias}": {awake:.3g}}}, on for half of the rows, no start, or leaky_relu'
            else:
                mend = "a start with a larger bias, no start at all, or leaky_relu"
            raise MathError(
                f"{called} is off at the start for all {len(z)} rows: every z ≤ 0, so the slope of max(0, z) "
                "is 0 and no step can be taken",
                facts=[f"the largest z is {z.max():.3g}"],
                mend=mend,
            )
    return found


def _awake(bias: Array, z: Array, asleep: Array) -> Array:
    """The bias with which units that sleep are on for half of the rows."""
    middle = median(z)
    slack = np.abs(z - middle).mean(axis=0) + 1e-3
    return np.where(asleep, bias - middle + 0.1 * slack, bias)


def undefined_part(
    derivation: Derivation, along: Collection[str], data: Arrays, parameters: Arrays
) -> tuple[str, str] | None:
    """The first part of a loss, or of its gradient, that is no finite number, and what would mend that."""
    arrays = {name: value[:MOST_ROWS] if name in along else value for name, value in data.items()}
    for formula in (derivation.of, *derivation.answers.values()):
        needed = variables(formula)
        done = worked_out(
            [formula], {name: v for name, v in {**arrays, **parameters}.items() if name in needed}
        )
        for node, value in done.items():
            bad = ~np.isfinite(value)
            if bad.any():
                operand = node.args[-1] if node.op is divide_op else node.args[0] if node.args else node
                asks = CONDITIONS.get(node.op.domain) if node.args else None
                found = np.asarray(value)[bad].flat[0]
                where = f" in {int(bad.sum()):,} of {bad.size:,} entries" if node.rank else ""
                mend = "smaller starting values, and features of spread about 1"
                if asks is not None or node.op is divide_op:
                    wish = asks(describe(operand)) if asks is not None else f"{describe(operand)} ≠ 0"
                    mend = f"a start, or data, with {wish}"
                return f"{describe(node)} is {found:.3g}{where}", mend
    return None


def values_at(nodes: Sequence[Expr], parameters: Arrays, data: Arrays) -> dict[Expr, Array]:
    """What parts of the loss that have rows are worth for the first of them.

    What several parts share is worked out once.
    """
    known = {name: v for name, v in mentioned(*nodes).items() if name in data and v.rank}
    found: dict[Expr, Array] = {}
    for rows in {v.shape[0] for v in known.values()}:
        mine = [node for node in nodes if node.rank and node.shape[0] == rows]
        needed = mentioned(*mine)
        arrays = {name: data[name] if name in data else parameters[name] for name in needed}
        for name in known.keys() & needed.keys():
            arrays[name] = arrays[name][:MOST_ROWS] if known[name].shape[0] == rows else arrays[name]
        done = worked_out(mine, arrays)
        found |= {node: np.asarray(done[node]) for node in mine}
    return found


def values_of(node: Expr, parameters: Arrays, data: Arrays, exact: bool = False) -> Array | None:
    """What a part of the loss is worth for the first rows; None where it is a number or too large to ask.

    With `exact` for all rows, from the least value to the largest.
    """
    if not node.rank:
        return None
    needed = mentioned(node)
    sizes = {v.shape[0] for name, v in needed.items() if name in data and v.rank}
    rows = node.shape[0]
    if rows not in sizes:
        return None
    arrays = {name: data[name] if name in data else parameters[name] for name in needed}
    if exact:
        return np.sort(exactly(node)(**arrays), axis=0)
    cut = {
        name: value[:MOST_ROWS] if name in data and needed[name].shape[:1] == (rows,) else value
        for name, value in arrays.items()
    }
    return np.asarray(evaluate(node, **cut))
