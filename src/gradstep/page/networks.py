"""Which network does a loss describe? Its layers, read off the expression, for the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.learn.structure import Affine, affine, name_of, parents
from gradstep.page.diagram import ACTIVATIONS, Layer, Network

# What a part of a loss says about the layer beneath it, where it is not an activation itself.
MEANT = {"softplus": "sigmoid", "logsumexp": "softmax", "log_softmax": "softmax"}


def layers_of(loss: Expr, parameters: Mapping[str, Expr], sizes: Mapping[str, int]) -> list[Layer]:
    """The layers A @ W + b in order, each with the activation that its result goes through."""
    above = parents(loss)
    chosen = list(parameters.values())
    found: list[tuple[Affine, str]] = []
    for node in walk(loss):
        layer = affine(node, above, chosen)
        if layer is not None:
            found.append((layer, _activation(node, above)))
    return [
        Layer(_width(layer.bias, sizes), activation, name_of(layer.weights), name_of(layer.bias))
        for layer, activation in found
    ]


def network_of(
    loss: Expr,
    parameters: Mapping[str, Expr],
    sizes: Mapping[str, int],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Network | None:
    """The network as it is drawn; None for a loss that is not made of layers."""
    layers = layers_of(loss, parameters, sizes)
    if not layers or not inputs:
        return None
    last = layers[-1].size
    return Network(inputs, layers, outputs if len(outputs) == last else ())


def _activation(node: Expr, above: Mapping[Expr, Sequence[Expr]]) -> str:
    """The function that the result of a layer goes through first."""
    for parent in above.get(node, ()):
        name = MEANT.get(parent.op.name, parent.op.name)
        if name in ACTIVATIONS:
            return name
    return "linear"


def _width(bias: Expr, sizes: Mapping[str, int]) -> int:
    width: Size = bias.shape[0] if bias.rank else 1
    return width if isinstance(width, int) else sizes[width]


@dataclass(frozen=True)
class Signal:
    """One layer as something that is computed: what it adds up, and what it puts out."""

    weight: str
    bias: str
    transposed: bool
    activation: str
    sum: Expr
    out: Expr


def signals_of(loss: Expr, parameters: Mapping[str, Expr], prediction: Expr | None) -> list[Signal]:
    """The layers A @ W + b in order with their results; what the last puts out is what is predicted."""
    above = parents(loss)
    chosen = list(parameters.values())
    found = []
    for node in walk(loss):
        layer = affine(node, above, chosen)
        if layer is not None:
            bent = next((each for each in above.get(node, ()) if each.op.name in ACTIVATIONS), node)
            names = name_of(layer.weights), name_of(layer.bias)
            found.append(Signal(*names, layer.transposed, _activation(node, above), node, bent))
    if found and prediction is not None:
        found[-1] = replace(found[-1], out=prediction)
    return found
