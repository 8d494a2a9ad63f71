"""Which network does a loss describe? Its layers, read off the expression, for the picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Size
from gradstep.learn.structure import Above, Affine, Linear, affine, name_of, parents
from gradstep.operations.arithmetic import scale_op
from gradstep.operations.lookups import take_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op
from gradstep.page.diagram import ACTIVATIONS, Layer, Network

# What a part of a loss says about the layer beneath it, where it is not an activation itself.
MEANT = {"softplus": "sigmoid", "logsumexp": "softmax", "log_softmax": "softmax"}
_RANKS = {(2, 2), (2, 1), (1, 0)}  # of what comes in and of the weights


@record
class Signal:
    """One layer as something that is computed: what it is made of, what it adds up, and what it puts out.

    A layer that looks up a row of its weights has no `inner`; `places` says which row for each example, if
    that is not the row of the example itself.
    """

    weight: str
    bias: str
    transposed: bool
    activation: str
    inner: Expr | None
    sum: Expr
    out: Expr
    places: Expr | None = None

    @property
    def width(self) -> Size:
        """How many numbers it puts out."""
        return self.sum.shape[1] if self.sum.rank == 2 else 1


def signals_of(loss: Expr, parameters: Mapping[str, Expr], prediction: Expr | None) -> list[Signal]:
    """The layers from the data to the prediction, in order; none where they are no chain.

    What the last puts out is what is predicted.
    """
    root = loss if prediction is None else prediction
    above, chosen = parents(loss, root), set(parameters.values())
    layers = {node: layer for node in walk(root) if (layer := _layer(node, above, chosen)) is not None}
    buried = {node for layer in layers.values() for node in walk(layer.inner)}
    ends = [node for node in layers if node not in buried]
    if len(ends) != 1:
        return []
    last = ends[0]
    bent = next((user for user in above[last] if user.op.name in ACTIVATIONS), last)
    chain = [
        _signal(layers[last], _activation(last, above), last, bent if prediction is None else prediction)
    ]
    while (inner := chain[0].inner) is not None and (inner.op.name != "symbol" or inner in chosen):
        before = _before(inner, layers, chosen)
        if before is None:
            return []
        chain.insert(0, before)
    return chain


def _layer(node: Expr, above: Above, chosen: Collection[Expr]) -> Linear | None:
    """A @ W + b, or A @ W alone, whatever else W and b are used for."""
    found = affine(node, above, chosen, alone=False)
    if found is not None or node.op not in (matmul_op, scale_op):
        return found
    inner, written = node.args if node.op is matmul_op else node.args[::-1]
    weights = written.args[0] if written.op is transpose_op else written
    if weights not in chosen or (inner.rank, weights.rank) not in _RANKS:
        return None
    part = any(affine(user, above, chosen, alone=False) is not None for user in above.get(node, ()))
    return None if part else Linear(inner, weights, written is not weights)


def _before(inner: Expr, layers: Mapping[Expr, Linear], chosen: Collection[Expr]) -> Signal | None:
    """The layer that puts out what comes in: another one, bent or not, or rows of a matrix of weights."""
    if inner in layers:
        return _signal(layers[inner], "linear", inner, inner)
    if len(inner.args) == 1 and inner.op.slopes and inner.args[0] in layers:
        return _signal(layers[inner.args[0]], inner.op.name, inner.args[0], inner)
    looked_up, *places = inner.args if inner.op is take_op else (inner,)
    if looked_up not in chosen or looked_up.rank != 2:
        return None
    return Signal(name_of(looked_up), "", False, "linear", None, inner, inner, *places)


def _signal(layer: Linear, activation: str, total: Expr, out: Expr) -> Signal:
    bias = name_of(layer.bias) if isinstance(layer, Affine) else ""
    return Signal(name_of(layer.weights), bias, layer.transposed, activation, layer.inner, total, out)


def network_of(
    signals: Sequence[Signal], sizes: Mapping[str, int], inputs: Sequence[str], outputs: Sequence[str]
) -> Network | None:
    """The network as it is drawn; None for a loss that is not made of layers."""
    if not signals or not inputs:
        return None
    lengths = Lengths(sizes)
    layers = [
        Layer(lengths[each.width], each.activation, each.weight, each.bias, each.inner is None)
        for each in signals
    ]
    return Network(inputs, layers, outputs if len(outputs) == layers[-1].size else ())


def _activation(node: Expr, above: Above) -> str:
    """The function that the result of a layer goes through first."""
    for parent in above.get(node, ()):
        name = MEANT.get(parent.op.name, parent.op.name)
        if name in ACTIVATIONS:
            return name
    return "linear"
