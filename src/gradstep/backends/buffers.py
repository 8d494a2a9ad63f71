"""How is a pass over rows written without new arrays? One call a line, results in buffers used again.

A block of rows is small, so that each call counts. Lines are taken apart into single operations; what NumPy
can put where it is told (`out=`) goes into a buffer, which is free again after the last line that reads it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradstep.backends.program import VIEWS, Line, Program
from gradstep.backends.safe_names import Names
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Shape
from gradstep.operations import activations
from gradstep.operations.arithmetic import exp
from gradstep.operations.leaves import symbol_op
from gradstep.operations.precise import log1p

UFUNCS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.MatMult: "matmul",
    ast.USub: "negative",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}


@record
class Buffer:
    """An array that results are put into, in the kind of the data or as truth values."""

    name: str
    shape: Shape
    mask: bool


# ------------------------------------------------------------------------------------------- one by one


def _vanishing(x: Expr) -> Expr:
    return exp(-activations.abs(x))


# The same numbers by operations that have a fast loop in NumPy and share e⁻ˡˣˡ.
SINGLE = {
    activations.softplus_op: lambda x: activations.maximum(x, 0) + log1p(_vanishing(x)),
    activations.sigmoid_op: lambda x: exp(activations.minimum(x, 0)) / (1 + _vanishing(x)),
}


def single(program: Program) -> list[Line]:
    """The lines with one operation on arrays each; views and numbers stay where they are used."""
    names = _names(program, program.lines)
    made: dict[Expr, Expr] = {}
    lines: list[Line] = []
    for line in program.lines:
        whole = _with_fast_loops(line.value)
        for node in walk(whole, stop=lambda node: node in made):
            if node in made:
                continue
            value = made[node] = rebuild(node, [made[arg] for arg in node.args])
            if node is not whole and node.rank and node.args and node.op not in VIEWS:
                lines.append(Line(names.give("t"), value, line.half))
                made[node] = _symbol(lines[-1])
        lines.append(Line(line.name, made[whole], line.half, line.comment))
        made[whole] = _symbol(line)
    return lines


def _names(program: Program, lines: Iterable[Line]) -> Names:
    """Names that are free in a program with these lines."""
    names = Names()
    names.taken.update(str(given.symbol.params[0]) for given in program.inputs)
    names.taken.update([*(line.name for line in lines), *program.sizes])
    return names


def _symbol(line: Line) -> Expr:
    return symbol_op(params=(line.name, line.value.shape, ()))


def _with_fast_loops(value: Expr) -> Expr:
    done: dict[Expr, Expr] = {}
    for node in walk(value):
        new = rebuild(node, [done[arg] for arg in node.args])
        done[node] = SINGLE[new.op](*new.args) if new.op in SINGLE else new
    return done[value]


# ------------------------------------------------------------------------------------------- calls


@dataclass(frozen=True, slots=True)
class _Call:
    """A function of NumPy's that can put its results where it is told, and what it takes, as text."""

    function: str
    takes: tuple[str, ...]


def _call(code: str) -> _Call | None:
    """z > 0 as np.greater(z, 0); nothing where the code is anything else."""
    node = ast.parse(code, mode="eval").body
    function, takes = "", []
    match node:
        case ast.BinOp(left, ast.Pow(), ast.Constant(2)):
            function, takes = "square", [left]
        case ast.BinOp(left, sign, right):
            function, takes = UFUNCS.get(type(sign), ""), [left, right]
        case ast.UnaryOp(sign, operand):
            function, takes = UFUNCS.get(type(sign), ""), [operand]
        case ast.Compare(left, [sign], [right]):
            function, takes = UFUNCS.get(type(sign), ""), [left, right]
        case ast.Call(ast.Attribute(ast.Name("np"), name), args, []):
            function, takes = name, args
    ufunc = getattr(np, function, None)
    if not isinstance(ufunc, np.ufunc) or ufunc.nin != len(takes) or ufunc.nout != 1:
        return None
    return _Call(function, tuple(map(ast.unparse, takes)))


@dataclass(slots=True)
class _Room:
    """The buffers that are free, by shape and kind, and all there are."""

    names: Names
    all: list[Buffer] = field(default_factory=list)
    free: defaultdict[tuple[Shape, bool], list[Buffer]] = field(default_factory=lambda: defaultdict(list))

    def take(self, shape: Shape, mask: bool) -> Buffer:
        if self.free[shape, mask]:
            return self.free[shape, mask].pop()
        self.all.append(Buffer(self.names.give("mask" if mask else "room"), shape, mask))
        return self.all[-1]

    def give_back(self, buffer: Buffer) -> None:
        self.free[buffer.shape, buffer.mask].append(buffer)


def in_place(
    program: Program, lines: Sequence[Line], codes: Sequence[str], masks: Collection[Expr]
) -> tuple[list[str], list[Buffer]]:
    """The code of single operations with a buffer for each result that can have one, and the buffers.

    What other code makes may show the entries of what it takes, which are kept as long as that.
    """
    calls = [_call(code) if line.value.rank else None for line, code in zip(lines, codes, strict=True)]
    ends = _ends(program, lines, calls)
    room = _Room(_names(program, lines))
    held: dict[Expr, Buffer] = {}
    written = []
    for number, (line, call) in enumerate(zip(lines, calls, strict=True)):
        symbol, code = _symbol(line), codes[number]
        over = [owner for owner in ends[number] if owner in held]
        if call:
            entrywise = line.value.args if call.function != "matmul" else ()
            for owner in [owner for owner in over if owner in entrywise]:
                room.give_back(held.pop(owner))
                over.remove(owner)
            buffer = held[symbol] = room.take(line.value.shape, symbol in masks)
            code = f"np.{call.function}({', '.join(call.takes)}, out={buffer.name})"
        for owner in over:
            room.give_back(held.pop(owner))
        written.append(code)
    return written, room.all


def _ends(
    program: Program, lines: Sequence[Line], calls: Sequence[_Call | None]
) -> Mapping[int, Sequence[Expr]]:
    """By line, whose entries are read there for the last time; what is given back outlives them all."""
    shown: dict[Expr, set[Expr]] = {}  # by symbol, whose entries it may show
    last: dict[Expr, int] = {}
    for number, (line, call) in enumerate(zip(lines, calls, strict=True)):
        symbol = _symbol(line)
        read = {owner for leaf in walk(line.value) for owner in shown.get(leaf, ())}
        shown[symbol] = {symbol} if call else read if symbol.rank else set()
        last.update(dict.fromkeys(read | shown[symbol], number))
    for output in program.outputs.values():
        last.update((owner, len(lines)) for leaf in walk(output) for owner in shown.get(leaf, ()))
    ends: dict[int, list[Expr]] = {number: [] for number in range(len(lines) + 1)}
    for owner, number in last.items():
        ends[number].append(owner)
    return ends
