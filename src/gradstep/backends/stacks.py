"""What is computed for a row that is a matrix? A program of its own, whose rows are the lines of that matrix.

The heads of attention are rows of this kind. Of each the program is what is left without the axis that counts
them; axes of it are held apart that have the same length but never meet, queries and keys, so that it comes
apart along one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gradstep.backends.economy import vdot_op
from gradstep.backends.program import VIEWS, Input, Line, Program
from gradstep.backends.rows import ALONG, COMBINED, Combine, Pass, Rows, cut
from gradstep.backends.safe_names import Names
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Params, rebuild, uses, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Shape, Size, renamed, size_names
from gradstep.operations.arithmetic import multiply_op, power_op, scale_op
from gradstep.operations.broadcasting import repeat, repeat_op, squeeze_op, sum_op, sum_over
from gradstep.operations.extremes import max_op, min_op
from gradstep.operations.families import same_shape
from gradstep.operations.leaves import symbol_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op

# What an entry costs that machine code or NumPy computes, in multiplications of products of matrices.
ENTRY, ENTRY_IN_NUMPY = 12, 40
WHOLE = 2  # times as much costs what NumPy computes with new arrays
AXES = {sum_op, squeeze_op, max_op, min_op}  # whose parameters are axes of their operand


class NoStack(Exception):
    """Why the rows of a pass are no matrices that can be taken one by one."""


@record
class Stack:
    """A pass over matrices: what is computed for one of them, in passes over its own rows.

    along    what its rows are called in the pass
    totals   how the totals of two matrices are made one
    joined   what has entries for each matrix
    """

    program: Program
    rows: Rows
    along: str
    totals: Mapping[str, Combine]
    joined: tuple[str, ...]


def stack(step: Pass, size: Size, lengths: Mapping[Size, int]) -> Stack:
    """A pass over matrices, which are counted by `size`; raises `NoStack`.

    Of all axes the one is chosen along which a matrix costs least: what needs totals over its rows takes more
    passes, and what lies between them is computed by NumPy. All in all it has to cost less than in NumPy.
    """
    try:
        program, names = apart(_Single(step, size).program())
    except MathError as error:  # axes that were one are apart now
        raise NoStack(str(error)) from None
    known = Lengths(lengths)
    known.update({name: lengths[old] for name, old in names.items()})
    program = lighter(program, known)
    in_numpy = _work(program, known, ENTRY_IN_NUMPY)
    ways = []
    for name in names:
        try:
            rows = cut(program, name)
        except MathError:
            continue
        passes = sum(_work(step.program, known, ENTRY) for step in rows.passes)
        between = sum(WHOLE * _work(part, known, ENTRY_IN_NUMPY) for part in rows.between)
        if passes + between < in_numpy:
            ways.append((passes + between, -known[name], rows))
    if not ways:
        raise NoStack("each row is a matrix that does not come apart")
    _, _, rows = min(ways, key=lambda way: way[:2])
    return Stack(program, rows, names[rows.size], step.totals, tuple(step.joined))


def _work(program: Program, lengths: Lengths, entry: int) -> int:
    """What a program costs, in multiplications of its products; an entry of what is none costs `entry`."""
    work = 0
    for node in walk(*(line.value for line in program.lines)):
        if node.args and node.op not in VIEWS:
            entries = math.prod(lengths[size] for size in (node if node.rank else node.args[0]).shape)
            work += entries * (lengths[node.args[0].shape[-1]] if node.op is matmul_op else entry)
    return work


# ------------------------------------------------------------------------------------------- fewer entries


def lighter(program: Program, lengths: Lengths) -> Program:
    """The program with c (A B) as (c A) B where A has fewer entries, or as many and c A is there already."""
    values = [line.value for line in program.lines]
    counts = uses(values)
    there: set[tuple[Expr, Expr]] = set()
    chosen: dict[Expr, int] = {}  # of a product times a number which factor takes the number

    def entries(node: Expr) -> int:
        return math.prod(lengths[size] for size in node.shape)

    found = [node for node in walk(*values) if node.op is scale_op and node.args[1].op is matmul_op]
    found = [node for node in found if counts[node.args[1]] == 1]
    for most in (-1, 0):
        for node in found:
            c, product = node.args
            for at in sorted((0, 1), key=lambda at: entries(product.args[at])):
                more, factor = entries(product.args[at]) - entries(product), _beneath(product.args[at])
                if node not in chosen and more <= most and (more < 0 or (c, factor) in there):
                    chosen[node] = at
                    there.add((c, factor))
    made: dict[Expr, Expr] = {}
    for node in walk(*values):
        made[node] = rebuild(node, [made[arg] for arg in node.args])
        if node in chosen:
            (c, product), at = made[node].args, chosen[node]
            factor = product.args[at]
            turned = factor.op is transpose_op
            light = scale_op(c, _beneath(factor))
            factors = [transpose_op(light) if turned else light, product.args[1 - at]]
            made[node] = matmul_op(*factors[:: -1 if at else 1])
    lines = (Line(line.name, made[line.value], line.half) for line in program.lines)
    return Program(program.inputs, tuple(lines), program.outputs, program.sizes)


def _beneath(factor: Expr) -> Expr:
    return factor.args[0] if factor.op is transpose_op else factor


# ------------------------------------------------------------------------------------------- one of many


class _Single:
    """A pass while the axis that counts its rows is taken away: the first of all arrays that have it."""

    def __init__(self, step: Pass, size: Size) -> None:
        self.step, self.size = step, size

    def carries(self, node: Expr) -> bool:
        if self.size in node.shape[1:]:
            raise NoStack(f"{self.size} is not the first axis of all arrays")
        return node.shape[:1] == (self.size,)

    def program(self) -> Program:
        whole = self.step.program
        made: dict[Expr, Expr] = {}
        inputs = [self.symbol(given.symbol) for given in whole.inputs]
        if not any(len(given.symbol.shape) > 2 and self.carries(given.symbol) for given in whole.inputs):
            raise NoStack("no row is a matrix")
        lines = []
        for line in whole.lines:
            for node in walk(line.value):
                if node not in made:
                    made[node] = self.one(node, [made[arg] for arg in node.args])
            symbol = symbol_op(params=(line.name, line.value.shape, ()))
            lines.append(Line(line.name, made[line.value], line.half))
            made[symbol] = symbol_op(params=(line.name, made[line.value].shape, ()))
        outputs = {name: made[output] for name, output in whole.outputs.items()}
        return Program(tuple(Input(_name(s), s, s) for s in inputs), tuple(lines), outputs, _sizes(inputs))

    def symbol(self, symbol: Expr) -> Expr:
        shape = symbol.shape[1:] if self.carries(symbol) else symbol.shape
        return symbol_op(params=(_name(symbol), shape, ()))

    def one(self, node: Expr, args: Sequence[Expr]) -> Expr:
        """A node for one row, of operands for one row."""
        if node.op is symbol_op:
            return self.symbol(node)
        op, params = node.op, node.params
        carried = [self.carries(arg) for arg in node.args]
        if not self.carries(node):
            return self.total(node, args) if any(carried) else op(*args, params=params)
        if op is repeat_op:
            axes, sizes = params
            kept = [(axis - 1, size) for axis, size in zip(axes, sizes, strict=True) if axis]
            return repeat(args[0], *map(tuple, zip(*kept, strict=True))) if kept else args[0]
        if _entry_by_entry(node):
            return op(*args, params=params)
        if op is scale_op or (op is transpose_op and node.rank > 2):
            return op(*args, params=params)
        if op is matmul_op:
            return op(*args)
        if op in ALONG or op in AXES:
            return op(*args, params=_shifted(params))
        raise NoStack(f"{op.name} is not taken for one row alone")

    def total(self, node: Expr, args: Sequence[Expr]) -> Expr:
        """What one row adds to a total."""
        op, params = node.op, node.params
        if op in (sum_op, max_op, min_op):
            axes = tuple(axis - 1 for axis in params[0] if axis)
            if op is sum_op:
                return sum_over(args[0], axes)
            return op(args[0], params=(axes,)) if axes else args[0]
        if op is vdot_op and all(map(self.carries, node.args)):
            left, right = args
            product = multiply_op if not left.rank else matmul_op if left.rank == 1 else vdot_op
            return product(left, right)
        raise NoStack(f"{op.name} is not taken for one row alone")


def _name(symbol: Expr) -> str:
    return str(symbol.params[0])


def _shifted(params: Params) -> Params:
    """Axes when the first one is gone."""
    (axes,) = params
    each = (axes,) if isinstance(axes, int) else axes
    if 0 in each:
        raise NoStack("an operation brings the rows together")
    return (axes - 1,) if isinstance(axes, int) else (tuple(axis - 1 for axis in axes),)


def _entry_by_entry(node: Expr) -> bool:
    """Whether the axes of all operands but numbers are those of the result."""
    return all(arg.rank in (0, node.rank) for arg in node.args) and (
        node.op.slopes is not None or node.op.shape is same_shape or node.op is power_op
    )


def _sizes(inputs: Sequence[Expr]) -> dict[str, tuple[str, int]]:
    """Which input tells each size, and along which axis."""
    return {
        str(size): (_name(symbol), axis)
        for symbol in reversed(inputs)
        for axis, size in enumerate(symbol.shape)
        if size_names(size) == (size,)
    }


# ------------------------------------------------------------------------------------------- axes apart

Place = tuple[Expr, int]  # a node, and one of its axes


def apart(program: Program) -> tuple[Program, dict[str, str]]:
    """The program with a name of its own for each set of axes that meet; and what each was called before."""
    return _Apart(program).whole()


class _Apart:
    """A program while its axes are held apart: at first each axis of each input is alone."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.roots: dict[Place, Place] = {}
        self.bodies = {
            symbol_op(params=(line.name, line.value.shape, ())): line.value for line in program.lines
        }
        self.nodes = list(walk(*self.bodies.values(), *program.outputs.values()))
        for symbol, value in self.bodies.items():
            self.meet_all(symbol, value)
        for node in self.nodes:
            self.meet_in(node)
        self.called = self.names()

    def root(self, place: Place) -> Place:
        while (above := self.roots.get(place, place)) != place:
            self.roots[place] = self.roots.get(above, above)
            place = above
        return place

    def meet(self, places: Sequence[Place]) -> None:
        for other in places[1:]:
            a, b = self.root(places[0]), self.root(other)
            if a != b:
                self.roots[b] = a

    def meet_all(self, *nodes: Expr) -> None:
        """Axes at the same place."""
        for axis in range(nodes[0].rank):
            self.meet([(node, axis) for node in nodes])

    def meet_in(self, node: Expr) -> None:
        """The axes that an operation brings together; of one that is not known here, all of one length."""
        if node.op.indices is not None:
            inputs, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).split("->")
            letters: dict[str, list[Place]] = {}
            for word, whole in zip([*inputs.split(","), output], [*node.args, node], strict=True):
                for axis, letter in enumerate(word):
                    letters.setdefault(letter, []).append((whole, axis))
            for places in letters.values():
                self.meet(places)
        elif node.args and (_entry_by_entry(node) or (node.op in ALONG and node.shape == node.args[0].shape)):
            self.meet_all(node, *(arg for arg in node.args if arg.rank))
        elif node.op in COMBINED:
            (x,) = node.args
            along = ALONG[node.op](node.params, x.rank)
            for axis, kept in enumerate(k for k in range(x.rank) if k not in along):
                self.meet([(node, axis), (x, kept)])
        else:
            sizes: dict[str, list[Place]] = {}
            for whole in (node, *node.args) if node.op is not symbol_op else ():
                for axis, size in enumerate(whole.shape):
                    for name in size_names(size):
                        sizes.setdefault(name, []).append((whole, axis))
            for places in sizes.values():
                self.meet(places)

    def names(self) -> dict[Place, Size]:
        """What each set of axes is called; only names can be told apart."""
        given = [entry.symbol for entry in self.program.inputs]
        wholes = [*given, *self.nodes]
        mixed = {n for node in wholes for s in node.shape if size_names(s) != (s,) for n in size_names(s)}
        names = Names()
        names.taken.update([*map(_name, given), *(line.name for line in self.program.lines)])
        names.taken.update(name for node in wholes for size in node.shape for name in size_names(size))
        found: dict[Place, Size] = {}
        used: set[Size] = set(mixed)
        for node in given:
            for axis, size in enumerate(node.shape):
                new = size_names(size) == (size,) and size in used - mixed
                if (root := self.root((node, axis))) not in found:
                    found[root] = names.give(str(size)) if new else size
                    used.add(size)
        for node in self.nodes:
            for axis, size in enumerate(node.shape):
                found.setdefault(self.root((node, axis)), size)
        return found

    def shape(self, node: Expr) -> Shape:
        return tuple(self.called[self.root((node, axis))] for axis in range(node.rank))

    def whole(self) -> tuple[Program, dict[str, str]]:
        made: dict[Expr, Expr] = {}
        for node in (*(given.symbol for given in self.program.inputs), *self.nodes):
            if node.op is symbol_op:
                made[node] = symbol_op(params=(_name(node), self.shape(node), ()))
        for node in self.nodes:
            if node.op is not symbol_op:
                made[node] = self.one(node, [made[arg] for arg in node.args])
        inputs = [made[given.symbol] for given in self.program.inputs]
        lines = tuple(Line(line.name, made[line.value], line.half) for line in self.program.lines)
        outputs = {name: made[output] for name, output in self.program.outputs.items()}
        before = {
            str(new): str(old)
            for given, symbol in zip(self.program.inputs, inputs, strict=True)
            for old, new in zip(given.symbol.shape, symbol.shape, strict=True)
            if size_names(new) == (new,)
        }
        whole = Program(tuple(Input(_name(s), s, s) for s in inputs), lines, outputs, _sizes(inputs))
        return whole, before

    def one(self, node: Expr, args: Sequence[Expr]) -> Expr:
        """A node by its new names."""
        if node.op is repeat_op:
            axes = node.params[0]
            return repeat_op(args[0], params=(axes, tuple(self.shape(node)[axis] for axis in axes)))
        own = {
            str(old): str(new)
            for whole in (node, *node.args)
            for old, new in zip(whole.shape, self.shape(whole), strict=True)
            if size_names(old) == (old,)
        }
        found = node.op(*args, params=_with_names(node.params, own))
        if found.shape != self.shape(node):
            raise NoStack(f"{node.op.name} brings axes together")
        return found


def _with_names(params: Params, names: Mapping[str, str]) -> Params:
    return tuple(
        _with_names(p, names) if isinstance(p, tuple) else renamed(p, names) if isinstance(p, str) else p
        for p in params
    )
