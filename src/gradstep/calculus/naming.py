"""What are the parts of an expression called? The user's own names first, then z, a, e as in a textbook.

A name is a view and a fence: a renderer prints the name, and the rewriter does not look beneath it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from itertools import chain, count

from gradstep.calculus.compounds import normalisation
from gradstep.calculus.intermediates import intermediates, is_of_numbers
from gradstep.calculus.layers import Place, places
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, uses, walk
from gradstep.expression.records import record
from gradstep.operations.arithmetic import power_op
from gradstep.operations.declared import DECLARED
from gradstep.operations.leaves import RESERVED, is_constant, symbol_op


@record
class Part:
    """A named part: what it is called, and what it is ("affine function", "error")."""

    name: str
    role: str


AFFINE = ("z", "s", "u", "v")
# A role's letters, in the order in which they are tried; a matrix takes the capital.
LETTERS: Mapping[str, Sequence[str]] = {
    "affine function": AFFINE,
    "linear function": AFFINE,
    "argument": ("z", "u", "s", "v"),
    "activation": ("a", "h", "g", "r"),
    "softmax": ("p", "q", "s"),
    "error": ("e", "r", "d"),
    "centred": ("e", "r", "u", "y", "w", "j", "l", "o", "i"),
    "deviation": ("sigma", "rho", "s", "tau"),
    "normalised": ("x_hat", "z_hat", "y_hat", "w_hat"),
    "shared part": ("u", "v", "t"),
    "inverse": ("m", "p", "k", "w"),
    "loss": ("C", "L", "J", "E"),
    "intermediate variable": ("u", "v", "t", "s"),
    "function": ("f", "g", "h", "F"),
}
ACTIVATIONS = {
    "relu": "activation (ReLU)",
    "leaky_relu": "activation (leaky ReLU)",
    "tanh": "activation (tanh)",
    "sigmoid": "activation (sigmoid)",
    "silu": "activation (SiLU)",
    "gelu": "activation (GELU)",
    "gelu_tanh": "activation (GELU by tanh)",
    "elu": "activation (ELU)",
    "selu": "activation (SELU)",
    "mish": "activation (mish)",
    "softsign": "activation (softsign)",
}
BENDS = frozenset({*ACTIVATIONS, "softplus", "softmax", "logsumexp", "log_softmax"})
PIECEWISE = frozenset({"softplus", "abs", "maximum", "minimum"})  # activations where a layer follows
PLUMBING = frozenset({"repeat", "squeeze", "transpose", "negate", "scale", "sum", "outer"})
SPARE = "uvwtyxzsqr"  # the first that nothing else is called by, where a role has run out of letters
GREEK = ("sigma", "rho", "tau")
_NUMBER = re.compile(r"_?[0-9]+(?=$|_hat$)")
MEASURES = frozenset({"power", "abs", "norm"})  # of an error


def _is_linear(node: Expr, inner: Container[Expr]) -> bool:
    return node.op.name == "matmul" and any(arg in inner for arg in node.args)


def _affine(order: Iterable[Expr], inner: Container[Expr]) -> set[Expr]:
    """The parts that are products plus a bias: X w + b, W x + U h + b; operands come first in `order`."""
    found: set[Expr] = set()
    for node in order:
        if node.op.name == "add" and any(_is_linear(arg, inner) or arg in found for arg in node.args):
            found.add(node)
    return found


def _is_error(node: Expr) -> bool:
    """One thing minus another, neither of them a number: y − a."""
    return node.op.name == "subtract" and not any(map(is_constant, node.args))


def _is_function(op: Operation) -> bool:
    """Whether `op` is a function such as exp: its value needs no name where another function takes it."""
    return op.name in BENDS | PIECEWISE or (op.slopes is not None and len(op.slopes) == 1)


def _is_short(node: Expr, named: Container[Expr]) -> bool:
    """A function of one symbol, such as exp(Z), or a power of one, such as s²."""
    alone = len(node.args) == 1 or (node.op is power_op and is_constant(node.args[1]))
    return alone and (not node.args[0].args or node.args[0] in named)


def roles(of: Expr, inner: Container[Expr]) -> dict[Expr, str]:
    """The parts worth a name and what they are, innermost first; `inner` are the nodes that move."""
    order = [node for node in walk(of) if node in inner and node.args]
    counts = uses([of])
    found: dict[Expr, str] = {}

    def note(node: Expr, role: str) -> None:
        if node in inner and node.args and node is not of:
            found.setdefault(node, role)

    for node in order if not of.rank else ():  # a Jacobian is followed forward, through each operation
        if (whole := normalisation(node)) is not None and whole.opens(inner):
            note(node, "normalised")
            note(whole.deviation, "deviation")
            note(whole.inner, "centred")
    for node in order:
        if node.op.name in MEASURES and node.args[0].op.name == "subtract":
            note(node.args[0], "error")
        if counts.get(node, 0) > 1 and _is_error(node):
            note(node, "error")
    affine = _affine(order, inner)
    terms = {arg for node in affine for arg in node.args if counts[arg] == 1}
    for node in order:
        name = node.op.name
        if name in BENDS or name in DECLARED:
            for arg in node.args:
                if arg.op.name not in PLUMBING and not _is_function(arg.op):
                    role = "affine function" if arg in affine else "argument"
                    note(arg, "linear function" if _is_linear(arg, inner) else role)
        if name in ACTIVATIONS:
            note(node, ACTIVATIONS[name])
        elif name in DECLARED and any(arg in affine or _is_linear(arg, inner) for arg in node.args):
            note(node, f"activation ({name})")
        elif name == "softmax":
            note(node, "softmax")
        elif node in affine:
            if node not in terms and not any(map(is_constant, node.args)):
                note(node, "affine function")
        elif _is_linear(node, inner):
            for arg in node.args:
                if arg.op.name in PIECEWISE:
                    note(arg, f"activation ({arg.op.name})")
    for node in order:
        if node.op.name == "subtract" and found.get(node) == "error":
            for arg in node.args:
                if _is_linear(arg, inner):
                    note(arg, "linear function")
    for node in order:
        if counts.get(node, 0) > 1 and node.op.name not in PLUMBING and not _is_short(node, found):
            note(node, "linear function" if _is_linear(node, inner) else "shared part")
    for node in order:
        if node.op.name == "inv" and not _is_short(node, found):  # its slope mentions it twice
            note(node, "inverse")
    return {node: found[node] for node in order if node in found}


def wanted_parts(of: Expr, inner: Container[Expr], given: Container[Expr]) -> dict[Expr, str]:
    """The parts that want a name and what they are: intermediate variables in a function of numbers.

    Where the user named such variables, these are the ones.
    """
    if measures(of):
        return {node: role for node, role in roles(of, inner).items() if node not in given}
    if any(node in given for node in walk(of) if node is not of):
        return {}
    return {node: "intermediate variable" for node in intermediates(of, inner)}


def measures(of: Expr) -> bool:
    """Whether `of` is told as the loss of a network, not as a function of numbers: arrays, or an error."""
    if not is_of_numbers(of):
        return True
    nodes = [*walk(of)]
    errors = any(node.op.name in MEASURES and _is_error(node.args[0]) for node in nodes)
    return errors and any(node.op.name in ACTIVATIONS for node in nodes)


def named_parts(
    of: Expr,
    inner: Container[Expr],
    given: Mapping[Expr, str],
    taken: Container[str],
    only: Collection[str] | None = None,
) -> dict[Expr, Part]:
    """A name for every part worth one: the given names, then letters by role, numbered if there are several.

    Every part of a perceptron gets the number of its layer: Z1, A1, Z2, A2 … With `only`, of these names
    those that stand there, and that of the whole; one that no part has is a `MathError`.
    """
    parts = _all_parts(of, inner, given, taken)
    if only is None:
        return parts
    known = [part.name for part in parts.values()]
    for name in only:
        if name not in known:
            raise MathError(
                f"no part of this is called {name}",
                facts=[f"the parts are {', '.join(known[:-1])}" if known[:-1] else "it has no named parts"],
                mend=f'names={{"{name}": "…"}} with what {name} is',
            )
    return {node: part for node, part in parts.items() if node is of or part.name in only}


def _all_parts(
    of: Expr, inner: Container[Expr], given: Mapping[Expr, str], taken: Container[str]
) -> dict[Expr, Part]:
    wanted = wanted_parts(of, inner, given)
    standing = places(of, wanted, given)
    kinds: dict[Sequence[str], list[Expr]] = {letters: [] for letters in LETTERS.values()}
    for node, role in wanted.items():
        kinds[_letters(role)].append(node)
    used = {*given.values(), *(_NUMBER.sub("", name) for name in given.values())}

    def free(name: str) -> bool:
        return not (name in taken or name in used or name in RESERVED)

    if any(node.op.name == "sigmoid" for node in walk(of)):
        used.add("sigma")
    affine = _affine(walk(of), inner)
    parts = {node: Part(name, describe(node, inner, affine)) for node, name in given.items()}
    layers: dict[Expr, str] = {}
    for letters, nodes in kinds.items():
        own = {node: layers.get(node.args[0], "") for node in nodes}
        shares = letters is LETTERS["activation"] and len({*own.values()} - {""}) == len(nodes)
        streams = [own] if shares else _streams(nodes, standing)
        names = _lettered(streams, letters, free) or _lettered([_counted(nodes)], letters, free)
        if names is None:
            stem = next((letter for letter in SPARE if free(letter) and free(letter.upper())), "u")
            others = (name for i in count(1) if free(name := f"{stem}_{i}"))
            names = {node: next(others) for node in nodes}
        used.update(names.values(), (_NUMBER.sub("", name) for name in names.values()))
        if letters is AFFINE:
            layers.update(
                {node: number[0] for node, name in names.items() if (number := re.findall("[0-9]+", name))}
            )
        parts.update({node: Part(name, wanted[node]) for node, name in names.items()})
    if of.op is symbol_op:
        return {of: Part(str(of.params[0]), "variable")}
    if of not in parts:
        role = "loss" if measures(of) else "function"
        letters = LETTERS[role]
        others = (f"{letters[0]}_{i}" for i in count(1))
        parts[of] = Part(next(filter(free, chain(letters, others))), role)
    return {node: parts[node] for node in walk(of) if node in parts}


def _streams(nodes: Sequence[Expr], standing: Mapping[Expr, Place]) -> list[dict[Expr, str]]:
    """The numbers of parts that are the same in each layer and share a letter."""
    streams: dict[object, list[Expr]] = {}
    for node in nodes:
        streams.setdefault(standing[node].stream if node in standing else None, []).append(node)
    return [
        {node: str(standing[node].layer) for node in stream} if key and len(stream) > 1 else _counted(stream)
        for key, stream in streams.items()
    ]


def _sized(letter: str, rank: int) -> str:
    """A matrix takes the capital: Z, X_hat; a Greek letter stays small."""
    return letter[0].upper() + letter[1:] if rank > 1 and letter not in GREEK else letter


def _numbered(base: str, number: str) -> str:
    """Z1, X1_hat, sigma_1 (sigma2 is σ²)."""
    if base.endswith("_hat"):
        return base.replace("_hat", f"{number}_hat")
    return f"{base}_{number}" if number and base in GREEK else base + number


def _counted(nodes: Sequence[Expr]) -> dict[Expr, str]:
    """1, 2, 3 …; no number for one alone."""
    return {node: "" if len(nodes) == 1 else str(k) for k, node in enumerate(nodes, 1)}


def _lettered(
    streams: Sequence[Mapping[Expr, str]], letters: Sequence[str], free: Callable[[str], bool]
) -> dict[Expr, str] | None:
    """A letter of its own for each stream of parts, with their numbers; None if there are too few letters."""
    names: dict[Expr, str] = {}
    used: set[str] = set()
    for numbers in streams:
        for letter in letters:
            bases = {node: _sized(letter, node.rank) for node in numbers}
            called = {node: _numbered(bases[node], number) for node, number in numbers.items()}
            if used.isdisjoint(bases.values()) and all(map(free, (*bases.values(), *called.values()))):
                break
        else:
            return None
        names |= called
        used.update(bases.values())
    return names


def _letters(role: str) -> Sequence[str]:
    return LETTERS[role.split(" (")[0]]


def describe(node: Expr, inner: Container[Expr], affine: Container[Expr]) -> str:
    """What a part is, in words: for one that the user named."""
    name = node.op.name
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    if name == "softmax":
        return "softmax"
    if name == "inv":
        return "inverse"
    if normalisation(node) is not None:
        return "normalised"
    if node in affine:
        return "affine function"
    if _is_linear(node, inner):
        return "linear function"
    if name == "subtract":
        return "error"
    if not node.rank and node.op is not symbol_op:
        return "loss" if name in ("multiply", "sum", "scale") else "a number"
    return "part"
