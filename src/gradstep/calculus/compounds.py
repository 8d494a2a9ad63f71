"""Which parts are opened as a whole? What a layer normalises: x̂ = (x − mean x)/√(var x + ε).

The rules of its operations, one after the other, lead through the mean and the variance to what every paper
prints. Where ε is small x̂ moves neither when all entries of a row move alike, nor when the row is stretched:
the parts of a gradient along these two directions are taken away, and what is left is divided by σ. The
formula is exact for any ε. Where nothing is centred the same is root mean square normalisation.

Ioffe and Szegedy, Batch Normalization (2015); Ba, Kiros and Hinton, Layer Normalization (2016); Zhang and
Sennrich, Root Mean Square Layer Normalization (2019).
"""

from __future__ import annotations

from collections.abc import Container

from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.operations.activations import sqrt, sqrt_op
from gradstep.operations.arithmetic import (
    add_op,
    divide,
    divide_op,
    multiply_op,
    power_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, sum_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import value_of
from gradstep.operations.norms import norm_op
from gradstep.operations.sums import mean, sum

RULE = "normalisation rule"
CENTRED = "the mean and σ move with x: through the mean G loses its own mean, through σ its part along x̂"
STRETCHED = "σ moves with x: through it G loses its part along x̂"


@record
class Normalisation:
    """`node` is (`x` − its mean along `axes`)/`deviation`, or x/deviation where it is not `centred`.

    The deviation is √(weight · sum of squares + ε): `still` are weight and ε, which must not move with x.
    """

    node: Expr
    x: Expr
    inner: Expr
    axes: tuple[int, ...]
    deviation: Expr
    weight: Expr
    still: tuple[Expr, ...]

    @property
    def centred(self) -> bool:
        return self.inner is not self.x

    @property
    def why(self) -> str:
        return CENTRED if self.centred else STRETCHED

    def opens(self, moving: Container[Expr]) -> bool:
        """Whether x alone moves, of what the rule leaves free."""
        return self.x in moving and not any(part in moving for part in self.still)

    def adjoint(self, G: Expr) -> Expr:
        """What arrives at x: (G − mean G − x̂ ⊙ mean(G ⊙ x̂))/σ, along the axes."""
        y, axes = self.node, self.axes
        along = scale(self.weight, sum(G * y, axes))
        across = G - mean(G, axes, keepdims=True) if self.centred else G
        if y.op is scale_op:
            return scale(y.args[0], across - scale(along, y))
        sizes = tuple(y.shape[k] for k in axes)
        return divide(across - y * repeat(along, axes, sizes), y.args[1])


def normalisation(node: Expr) -> Normalisation | None:
    """`node` as a normalisation, if it is one."""
    if node.op is divide_op and node.args[1].op is repeat_op:
        inner, (deviation,), (axes, _) = node.args[0], node.args[1].args, node.args[1].params
    elif node.op is scale_op and node.args[0].op is divide_op and is_one(node.args[0].args[0]):
        inner, deviation, axes = node.args[1], node.args[0].args[1], tuple(range(node.rank))
    else:
        return None
    found = _squares(deviation, inner, axes)
    if found is None:
        return None
    weight, epsilon = found
    x = inner
    if inner.op is subtract_op and inner is inner.args[0] - mean(inner.args[0], axes, keepdims=True):
        x = inner.args[0]
    still = (weight, *epsilon)
    if any(part is x for part in walk(*still)):
        return None
    return Normalisation(node, x, inner, axes, deviation, weight, still)


def _squares(deviation: Expr, inner: Expr, axes: tuple[int, ...]) -> tuple[Expr, tuple[Expr, ...]] | None:
    """The weight and ε of √(weight · Σ inner² + ε)."""
    if deviation.op in (scale_op, multiply_op) and deviation.args[1].op is norm_op:
        root, length = deviation.args
        along = length.params[0] if length.params else tuple(range(inner.rank))
        return (root * root, ()) if length.args[0] is inner and along == axes else None
    if deviation.op is not sqrt_op:
        return None
    (below,) = deviation.args
    for variance, *epsilon in ((below,), below.args, below.args[::-1]) if below.op is add_op else ((below,),):
        if variance.op not in (scale_op, multiply_op) or variance.args[1].op is not sum_op:
            continue
        weight, total = variance.args
        (squares,) = total.args
        square = squares.op is power_op and value_of(squares.args[1]) == 2 and squares.args[0] is inner
        if square and total.params[0] == axes:
            return weight, tuple(epsilon)
    return None


def as_normalisation(expr: Expr) -> Expr | None:
    """A normalisation written otherwise, g (x − m)/σ or (x − m) σ⁻¹, as g x̂; None if there is none."""
    if expr.op is divide_op and expr.args[0].op is multiply_op:
        product, below = expr.args
        for factor, inner in (product.args, product.args[::-1]):
            if normalisation(made := divide(inner, below)) is not None:
                return factor * made
    if expr.op is scale_op and expr.args[1].op is multiply_op:
        inverse, product = expr.args
        for factor, inner in (product.args, product.args[::-1]):
            if normalisation(made := scale(inverse, inner)) is not None:
                return factor * made
    if expr.op is multiply_op and expr.rank:
        for inner, factor in (expr.args, expr.args[::-1]):
            deviation = _inverse(factor)
            if deviation is not None and normalisation(made := divide(inner, deviation)) is not None:
                return made
    return None


def _inverse(factor: Expr) -> Expr | None:
    """σ for a repeated 1/σ or (σ²)^(−1/2)."""
    if factor.op is not repeat_op:
        return None
    (inner,) = factor.args
    if inner.op is divide_op and is_one(inner.args[0]):
        return repeat(inner.args[1], *factor.params)
    if inner.op is power_op and value_of(inner.args[1]) == -0.5:
        return repeat(sqrt(inner.args[0]), *factor.params)
    return None
