"""What does a derivation know of a loss beyond its gradient? Its residuals, and its curvature, as code.

What an optimiser asks for is derived once in a training, certified as the gradient is, and compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends import compile_outputs
from gradstep.calculus.curvature import Product, gauss_newton_product, hessian_product
from gradstep.calculus.jacobians import jacobian
from gradstep.calculus.lines import line
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, replace, walk
from gradstep.learn.coordinates import Arrays
from gradstep.learn.objective import worth
from gradstep.learn.optimisers import Optimiser
from gradstep.learn.scaling import Array
from gradstep.learn.squares import Square, squares
from gradstep.learn.structure import depending
from gradstep.learn.surface import Along, Curvature, Line, Parameters, Place, Residuals
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.evaluation import belongs, mentioned, variables
from gradstep.operations.leaves import symbol
from gradstep.operations.permutations import transpose_op

MOST_ENTRIES = 2**24  # of a Jacobian that is written out
MOST_COLUMNS = 1000
_VIEWS = (repeat_op, transpose_op)

Shapes = Mapping[str, tuple[int, ...]]


def residuals_of(derivation: Derivation, data: Arrays, first: Parameters) -> Residuals | None:
    """The residuals of a sum of squares and their Jacobian on these data; None where that would be too large.

    A loss that is no sum of squares, or has negative weights, is a `MathError`.
    """
    terms = squares(derivation.of, list(derivation.parameters.values()))
    known = {**data, **first}
    weights = [_weights(term, known) for term in terms]
    columns = sum(value.size for value in first.values())
    rows = sum(worth(term.residual, known).size for term in terms)
    if columns > MOST_COLUMNS or rows * columns > MOST_ENTRIES:
        return None
    moves = [jacobian(term.residual, _moved_by(term, derivation)) for term in terms]
    functions = [compile_outputs({"": each.of, **each.answers}, each.names) for each in moves]

    starts = np.cumsum([0, *(value.size for value in first.values())])
    columns_of = {name: slice(*ends) for name, *ends in zip(first, starts, starts[1:], strict=False)}

    def measured(parameters: Parameters) -> tuple[Array, Array]:
        values, at = {**data, **parameters}, 0
        r, J = np.empty(rows), np.zeros((rows, columns))
        for function, factor in zip(functions, weights, strict=True):
            found, parts = function.raw(*(values[given.name] for given in function.program.inputs))
            here = slice(at, at := at + factor.size)
            r[here] = (factor * found).ravel()
            for name, part in parts.items():
                full = np.broadcast_to(part, factor.shape + first[name].shape).reshape(factor.size, -1)
                np.multiply(factor.reshape(-1, 1), full, out=J[here, columns_of[name]])
        return r, J

    parameters = set(derivation.parameters.values())
    moving = (node for each in moves for node in walk(*each.answers.values()))
    return Residuals(measured, constant=not any(node in parameters for node in moving))


def _moved_by(term: Square, derivation: Derivation) -> list[str]:
    """The parameters that a residual depends on."""
    return [name for name in mentioned(term.residual) if name in derivation.parameters]


def _weights(term: Square, known: Arrays) -> Array:
    """The roots of the weights of a term."""
    weights = worth(term.weights, known)
    if not (weights >= 0).all():
        raise MathError(
            "Levenberg–Marquardt takes a sum of squares, and here one is subtracted",
            facts=[f"the weight of ({term.residual})**2 is {float(weights.min()):.6g}"],
            mend='optimiser="l-bfgs", which takes every loss',
        )
    roots: Array = np.asarray(np.sqrt(weights))
    return roots


def gauss_newton_of(derivation: Derivation, data: Arrays) -> Curvature:
    """2 JᵀJ times a vector, without J."""
    terms = squares(derivation.of, list(derivation.parameters.values()))
    pairs = [(term.residual, term.weights) for term in terms]
    return _curvature(gauss_newton_product(pairs, derivation.wrt), derivation, data)


def curvature_of(derivation: Derivation, data: Arrays) -> Curvature:
    """The Hessian of a loss, for all parameters together, times a vector."""
    return _curvature(hessian_product(derivation.of, derivation.wrt), derivation, data)


def _curvature(product: Product, derivation: Derivation, data: Arrays) -> Curvature:
    """A product with a vector as code: what does not depend on the vector is computed once for each place."""
    parameters = set(derivation.parameters.values())
    fixed = _fixed(product, parameters)
    table = {node: symbol(f"fixed_{k}", node.shape) for k, node in enumerate(fixed)}
    told = variables(*product.answers.values())
    told |= {str(each.params[0]): each for each in table.values()}
    before = _Together({str(table[node].params[0]): belongs(node, told) for node in fixed})
    after = _Together({name: belongs(replace(e, table), told) for name, e in product.answers.items()})
    toward = {name: str(v.params[0]) for name, v in product.directions.items()}

    def at(parameters: Parameters) -> Callable[[Parameters], Mapping[str, ArrayLike]]:
        values = {**data, **parameters}
        values |= before(values)
        return lambda direction: after(values | {toward[name]: v for name, v in direction.items()})

    constant = not any(node in parameters for node in walk(*product.answers.values()))
    return Curvature(at, constant)


def line_of(derivation: Derivation, data: Arrays) -> Line:
    """The loss along lines: what is straight is worked out once for a line, and each place costs little."""
    found = line(derivation.of, derivation.wrt)
    ends, places = (
        _Together(found.ends),
        _Together(dict(zip(Place._fields, (found.value, found.slope, found.bend), strict=True))),
    )
    toward = {name: str(v.params[0]) for name, v in found.directions.items()}
    t = str(found.t.params[0])

    def through(parameters: Parameters, direction: Parameters) -> Along:
        given = {**data, **parameters, **{toward[name]: v for name, v in direction.items()}}
        given |= ends(given)
        return lambda at: Place(**{k: float(v) for k, v in places(given | {t: np.asarray(at)}).items()})

    return through


class _Together:
    """Some expressions by name, as one function of arrays by name."""

    def __init__(self, outputs: Mapping[str, Expr]) -> None:
        self.names = list(outputs)
        self.function = (
            compile_outputs(dict(zip(["", *self.names[1:]], outputs.values(), strict=True)))
            if outputs
            else None
        )

    def __call__(self, values: Arrays) -> dict[str, Array]:
        if self.function is None:
            return {}
        with np.errstate(all="ignore"):
            found = self.function.raw(*(values[given.name] for given in self.function.program.inputs))
        first, others = found if len(self.names) > 1 else (found, {})
        return {self.names[0]: first, **others}


def _fixed(product: Product, parameters: Collection[Expr]) -> list[Expr]:
    """What moves with the parameters but not with the direction, as large as possible; no mere views."""
    roots = list(product.answers.values())
    moves = depending(roots, parameters)
    turns = depending(roots, list(product.directions.values()))
    found: dict[Expr, None] = {}
    places = [*roots, *(arg for node in walk(*roots) if node in turns for arg in node.args)]
    while places:
        node = places.pop(0)
        if node in turns or node not in moves or not node.args:
            continue
        if node.op in _VIEWS:
            places += node.args
        else:
            found[node] = None
    return list(found)


def beyond(
    optimiser: Optimiser, derivation: Derivation, data: Mapping[str, Array], first: Mapping[str, Array]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the optimiser needs beside the gradient, as `descend` calls it, and what has to be said of it."""
    loss = derivation.names[derivation.of]
    if optimiser.needs == "curvature":
        curvature = curvature_of(derivation, data)
        same = ": the same everywhere, so the loss is a parabola" if curvature.constant else ""
        told = f"the curvature of {loss} times a vector is derived and proved like the gradient{same}"
        return {"curvature": curvature}, (told,)
    if optimiser.needs == "line":
        told = f"slope and curvature of {loss} along a line are derived and proved like the gradient"
        return {"line": line_of(derivation, data)}, (told,)
    if optimiser.needs == "residuals":
        residuals = residuals_of(derivation, data, dict(first))
        if residuals is not None:
            straight = ": the same everywhere, so one step is all" if residuals.constant else ""
            told = f"the Jacobian of the residuals r is derived and proved like the gradient{straight}"
            return {"residuals": residuals}, (told,)
        large = "the Jacobian of the residuals would be large: its products with vectors are used instead"
        return {"curvature": gauss_newton_of(derivation, data)}, (large,)
    return {}, ()
