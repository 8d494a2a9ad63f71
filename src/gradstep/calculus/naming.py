"""What are the parts of an expression called? The user's own names first, then z, a, e as in a textbook.

A name is a view and a fence: a renderer prints the name, and the rewriter does not look beneath it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from gradstep.expression.node import Expr, uses, walk
from gradstep.operations import FUNCTIONS
from gradstep.operations.leaves import symbol_op


@dataclass(frozen=True, slots=True)
class Part:
    """A named part: what it is called, and what it is ("affine function", "error")."""

    name: str
    role: str


# A role's letters, in the order in which they are tried; a matrix takes the capital.
LETTERS: Mapping[str, Sequence[str]] = {
    "affine function": ("z", "s", "u", "v"),
    "linear function": ("z", "s", "u", "v"),
    "argument": ("z", "s", "u", "v"),
    "activation": ("a", "h", "g", "r"),
    "softmax": ("p", "q", "s"),
    "prediction": ("p", "q", "s"),
    "error": ("e", "r", "d"),
    "part": ("u", "v", "t"),
    "loss": ("C", "L", "J", "E"),
}
ACTIVATIONS = {
    "relu": "activation (ReLU)",
    "leaky_relu": "activation (leaky ReLU)",
    "tanh": "activation (tanh)",
    "sigmoid": "activation (sigmoid)",
}
BENDS = frozenset({*ACTIVATIONS, "softplus", "softmax", "logsumexp", "log_softmax"})
FUNCTIONS_OF_ENTRIES = BENDS | {"maximum", "minimum", "exp", "log", "sqrt", "abs"}
PLUMBING = frozenset({"repeat", "squeeze", "transpose", "negate", "scale", "sum", "outer"})


def _is_linear(node: Expr, inner: Container[Expr]) -> bool:
    return node.op.name == "matmul" and any(arg in inner for arg in node.args)


def _is_affine(node: Expr, inner: Container[Expr]) -> bool:
    """A product plus a bias: X w + b."""
    return node.op.name == "add" and any(_is_linear(arg, inner) for arg in node.args)


def roles(of: Expr, inner: Container[Expr]) -> dict[Expr, str]:
    """The parts worth a name and what they are, innermost first; `inner` are the nodes that move."""
    order = [node for node in walk(of) if node in inner and node.args]
    counts = uses([of])
    found: dict[Expr, str] = {}

    def note(node: Expr, role: str) -> None:
        if node in inner and node.args and node is not of:
            found.setdefault(node, role)

    for node in order:
        name = node.op.name
        if name in ("power", "abs", "norm") and node.args[0].op.name == "subtract":
            note(node.args[0], "error")
    for node in order:
        name = node.op.name
        if name in BENDS:
            for arg in node.args:
                if arg.op.name not in PLUMBING and arg.op.name not in FUNCTIONS_OF_ENTRIES:
                    role = "affine function" if _is_affine(arg, inner) else "argument"
                    note(arg, "linear function" if _is_linear(arg, inner) else role)
        if name in ACTIVATIONS:
            note(node, ACTIVATIONS[name])
        elif name == "softmax":
            note(node, "softmax")
        elif _is_affine(node, inner):
            note(node, "affine function")
    for node in order:
        if node.op.name == "subtract" and node in found and found[node] == "error":
            for arg in node.args:
                if _is_linear(arg, inner):
                    note(arg, "linear function")
    for node in order:
        if counts.get(node, 0) > 1 and node.op.name not in PLUMBING and len(list(_below(node))) > 1:
            note(node, "part")
    return {node: found[node] for node in order if node in found}


def _below(node: Expr) -> Sequence[Expr]:
    return [arg for arg in node.args if arg.args] or node.args


def named_parts(
    of: Expr, inner: Container[Expr], given: Mapping[Expr, str], taken: Container[str]
) -> dict[Expr, Part]:
    """A name for every part worth one: the given names, then letters by role, numbered if there are several.

    Every part of a perceptron gets the number of its layer: Z1, A1, Z2, A2 …
    """
    wanted = {node: role for node, role in roles(of, inner).items() if node not in given}
    kinds: dict[str, list[Expr]] = {}
    for node, role in wanted.items():
        kinds.setdefault(_letters(role)[0], []).append(node)
    used = {*given.values()}

    def free(name: str) -> bool:
        return name not in taken and name not in used and name not in FUNCTIONS

    parts = {node: Part(name, describe(node, inner)) for node, name in given.items()}
    for nodes in kinds.values():
        for letter in _letters(wanted[nodes[0]]):
            names = [letter.upper() if node.rank > 1 else letter for node in nodes]
            if len(nodes) > 1:
                names = [f"{name}{layer}" for layer, name in enumerate(names, 1)]
            if all(map(free, names)):
                break
        else:
            names = []
            number = 1
            while len(names) < len(nodes):
                if free(f"u_{number}"):
                    names.append(f"u_{number}")
                number += 1
        used.update(names)
        parts.update({node: Part(name, wanted[node]) for node, name in zip(nodes, names, strict=True)})
    if of not in parts:
        name = next((letter for letter in LETTERS["loss"] if free(letter)), "cost")
        parts[of] = Part(name, "loss")
    return {node: parts[node] for node in walk(of) if node in parts}


def _letters(role: str) -> Sequence[str]:
    return LETTERS[role.split(" (")[0]]


def describe(node: Expr, inner: Container[Expr]) -> str:
    """What a part is, in words: for one that the user named."""
    name = node.op.name
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    if name == "softmax":
        return "softmax"
    if _is_affine(node, inner):
        return "affine function"
    if _is_linear(node, inner):
        return "linear function"
    if name == "subtract":
        return "error"
    if not node.rank and node.op is not symbol_op:
        return "loss" if name in ("multiply", "sum", "scale") else "a number"
    return "part"
