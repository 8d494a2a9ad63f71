"""What is computed, line by line? The interned graph of value and gradients as a straight-line program.

Each line gives one name to one expression over the inputs and earlier lines, once. A back end only has to write
the lines down in its language; what is shared, what is stable and what is cheap is settled here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from gradstep.backends.economy import LEAN, LINEAR, scaled
from gradstep.backends.safe_names import Names
from gradstep.backends.stabilising import improved, stabilised
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Spelled, rebuild, uses, walk
from gradstep.expression.shapes import Shape, Size
from gradstep.operations.arithmetic import scale
from gradstep.operations.broadcasting import repeat_op, squeeze_op
from gradstep.operations.evaluation import variables
from gradstep.operations.leaves import NAME, pi_op, size_op, symbol_op
from gradstep.operations.products import transpose_op

VIEWS = frozenset({repeat_op, transpose_op, squeeze_op})  # cost nothing, so they get no line of their own
COLUMNS = 72  # the text of a line is cut into several above this

# What a line is called that nobody named, by the operation at its head; a matrix takes the capital.
LETTERS: Mapping[str, str] = {
    "matmul": "z",
    "add": "z",
    "subtract": "e",
    "relu": "a",
    "leaky_relu": "a",
    "tanh": "a",
    "sigmoid": "a",
    "softmax": "p",
    "log_softmax": "log_p",
    "logsumexp": "s",
    "norm": "s",
    "greater": "mask",
    "greater_equal": "mask",
    "equal": "mask",
}


@dataclass(frozen=True, slots=True)
class Input:
    """A variable: the user's `name`, the `symbol` that the lines call it by, and as the user `declared` it."""

    name: str
    symbol: Expr
    declared: Expr


@dataclass(frozen=True, slots=True)
class Line:
    """`name` = `value`, whose leaves are inputs, earlier lines, numbers and sizes.

    A line is forward when the value needs it, and backward when only gradients do.
    """

    name: str
    value: Expr
    half: Literal["forward", "backward"]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """Straight-line code in single assignment.

    inputs   the variables, in the order in which they are taken
    lines    one name for one expression each, operands before what uses them
    outputs  by name; the first is the value, the others are gradients by the user's name of the parameter
    sizes    for every size by name: the input that has it, and along which axis
    header   what is computed, in one sentence
    """

    inputs: tuple[Input, ...]
    lines: tuple[Line, ...]
    outputs: Mapping[str, Expr]
    sizes: Mapping[str, tuple[str, int]]
    header: str = ""

    @property
    def value(self) -> Expr:
        """The first output."""
        return next(iter(self.outputs.values()))

    @property
    def gradients(self) -> Mapping[str, Expr]:
        """The other outputs, by the name of the parameter."""
        return dict(list(self.outputs.items())[1:])

    def __str__(self) -> str:
        lines = [f"{line.name} = {spelled(line.value)[0]}" for line in self.lines]
        return "\n".join([*lines, *(f"{name or 'value'}: {spelled(e)[0]}" for name, e in self.outputs.items())])


def program(
    outputs: Mapping[str, Expr],
    names: Mapping[Expr, str] | None = None,
    comments: Mapping[str, str] | None = None,
    header: str = "",
) -> Program:
    """The outputs as one straight-line program.

    The first output is the value (its name may be "", where a parameter could have the same), the others are
    gradients. A part of the value that `names` names has a line of its own under that name; any other named
    expression, such as a cotangent ∂C/∂z, is called so where it needs a line. `comments` are put beside
    the line of that name. Raises `MathError` for a size that no input has.
    """
    if not outputs:
        raise MathError("a program computes something: it needs an output")
    roots = list(outputs.values())
    _check(roots)
    names = {node: name for node, name in (names or {}).items() if node.args}
    writing = _Writing(Names(), comments or {})
    inputs, sizes = writing.inputs(roots)

    stable = stabilised(roots, list(names))
    called: dict[Expr, str] = {}
    for node, name in names.items():
        called.setdefault(stable[node], name)
    roots = _by_known_cotangents([stable[root] for root in roots], called)
    named = _lines_by_name(roots, called)
    pieces, hints = writing.pieces(roots, called, named)
    pieces, hints = _lean(pieces, hints)
    key = next(iter(outputs))
    finished = writing.straight(pieces, hints, key if len(outputs) > 1 else None)
    results = dict(zip(outputs, finished, strict=True))
    return Program(inputs, tuple(writing.lines), results, sizes, header or _header(outputs, inputs))


# ------------------------------------------------------------------------------------------- the check


def _check(roots: Sequence[Expr]) -> None:
    """Nothing but names, numbers and axes goes into a program: what is written as code comes from here."""
    for node in walk(*roots):
        for param in node.params:
            if not _is_plain(param):
                raise MathError(f"{param!r:.60} cannot be written as code", facts=[f"in {node.op.name}"])


def _is_plain(param: object) -> bool:
    if isinstance(param, tuple):
        return all(map(_is_plain, param))
    if isinstance(param, str):
        return len(param) <= 64 and all(NAME.match(word) for word in param.split())
    return isinstance(param, int | float | Fraction)


# ------------------------------------------------------------------------------------------- names that become lines


def _demand(order: Sequence[Expr], roots: Sequence[Expr], body: Mapping[Expr, Expr] = {}) -> dict[Expr, int]:  # noqa: B006
    """How many places use each node, where a view passes on what is asked of it."""
    counts = dict.fromkeys(order, 0)
    for root in roots:
        counts[root] += 1
    for node in reversed(order):
        asked = counts[node] if node.op in VIEWS else 1
        for arg in (body[node],) if node in body else node.args:
            counts[arg] += asked
    return counts


def _lines_by_name(roots: Sequence[Expr], called: Mapping[Expr, str]) -> set[Expr]:
    """Named parts of the value, and other named expressions that are used in several places."""
    forward = set(walk(roots[0]))
    order = list(walk(*roots))
    asked = _demand(order, roots)
    return {node for node in order if node in called and (node in forward or asked[node] > 1)}


def _by_known_cotangents(roots: list[Expr], called: Mapping[Expr, str]) -> list[Expr]:
    """c Xᵀ g becomes Xᵀ (c g) where c g has a name and several places want it: ∂C/∂z once for w and b."""
    known = {part: (node, part[0]) for node in called if (part := scaled(node)) is not None}
    if not known:
        return roots
    numbers = {c for c, _ in known}
    wanted: dict[Expr, dict[Expr, Expr]] = {}
    for node in walk(*roots):
        part = scaled(node)
        if part is None or part[0] not in numbers or node in called:
            continue
        for k, arg in enumerate(part[1].args if part[1].op in LINEAR else ()):
            target = known.get((part[0], arg))
            if target is not None:
                args = [target[0] if j == k else other for j, other in enumerate(part[1].args)]
                wanted.setdefault(target[0], {})[node] = rebuild(part[1], args)
                break
    table = {old: new for sites in wanted.values() if len(sites) > 1 for old, new in sites.items()}
    return [_replaced(root, table) for root in roots] if table else roots


def _replaced(root: Expr, table: Mapping[Expr, Expr]) -> Expr:
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        done[node] = table.get(node) or rebuild(node, [done[arg] for arg in node.args])
    return done[root]
