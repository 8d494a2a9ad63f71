"""Where does a program come apart? Along the rows of its data, into blocks that are computed one by one.

One axis of the data, that of the examples, is carried by no parameter, and the loss sums over it. Then every
part of a program has an entry for each row, or is a total over rows, or has nothing to do with them: so it
splits into what is computed once, what is computed for each block of rows, and what is added up. Blocks fit
into a cache, go to several threads, are read from a file, or are sent to other machines: who runs a `Rows`
decides that. What needs a total before it can go on, such as the mean of a batch, takes another pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gradstep.backends.program import VIEWS, Input, Line, Program
from gradstep.backends.safe_names import Names
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, rebuild, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Size, size_names
from gradstep.operations.activations import minimum
from gradstep.operations.arithmetic import equal, exp, power_op
from gradstep.operations.broadcasting import repeat, repeat_op
from gradstep.operations.coded import deviations_op
from gradstep.operations.convolutions import CHANNELS, FRONT
from gradstep.operations.cumulative import cumsum_op, prod_op, prod_others_op
from gradstep.operations.entries import concatenate_op, embed_op, reshape_op, slice_op
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.families import same_shape
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import size_op, symbol_op
from gradstep.operations.lookups import one_hot_op, take_op
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.pooling import POOLS
from gradstep.operations.precise import log1p
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax_op
from gradstep.operations.sums import mean, sum
from gradstep.operations.windows import overlap_add_op, windows_op

Combine = Literal["sum", "max", "min", "norm", "logsumexp", "prod"]  # how totals of two blocks make one


@record
class Pass:
    """What is computed for each block of rows.

    program   takes rows of the data, and what was computed before; gives totals and `joined` arrays by name
    totals    how the totals of two blocks are made one: they are summed, or the larger counts …
    joined    what has entries for each row, and along which axis blocks are put one after the other
    """

    program: Program
    totals: Mapping[str, Combine]
    joined: Mapping[str, int]


@record
class Rows:
    """A program cut into passes over rows, and what is computed before, between and after them.

    size      the axis of the rows, as it is called in the lines
    axes      the data that are cut into blocks, and along which axis
    between   what is computed before the first pass, between two, and after the last; one more than `passes`
    count     what the number of all rows is called where a line needs it
    outputs   what each output of the program is called
    """

    size: str
    axes: Mapping[str, int]
    between: tuple[Program, ...]
    passes: tuple[Pass, ...]
    count: str
    outputs: Mapping[str, str]


def cut(program: Program, batch: str = "") -> Rows:
    """The program in passes over the rows of its data; a `MathError` says why there are none.

    `batch` is the size that counts the rows, as the user calls it, where several would do.
    """
    reasons = []
    for size in _candidates(program, batch):
        try:
            return _Cutting(program, size).rows()
        except _Whole as reason:
            reasons.append(f"{size}: {reason}")
    raise MathError(
        "the program cannot be computed block by block",
        facts=reasons or ["nothing but the parameters has rows"],
    )


def _candidates(program: Program, batch: str) -> list[str]:
    """The sizes that may count rows, those first that parameters do not have and that come first in data."""
    data = [given for given in program.inputs if given.name not in program.gradients]
    fixed = {size for given in program.inputs if given not in data for size in given.symbol.shape}
    called = {
        str(size): str(name)
        for given in data
        for size, name in zip(given.symbol.shape, given.declared.shape, strict=True)
        if isinstance(size, str) and size_names(size) == (size,)
    }
    if batch:
        found = [size for size, name in called.items() if name == batch and size not in fixed]
        if not found:
            raise MathError(
                f"{batch!r:.60} does not count the rows of the data",
                facts=[f"sizes of data that no parameter has: {', '.join(called.values()) or 'none'}"],
            )
        return found
    firsts = [given.symbol.shape[0] for given in data if given.symbol.rank]
    able = [size for size in called if size not in fixed or size in firsts]
    return sorted(able, key=lambda size: (size in fixed, -firsts.count(size)))


# ------------------------------------------------------------------------------------------- one operation


class _Whole(Exception):
    """Why a part needs all rows at once."""


def _axis(params: Params, rank: int) -> tuple[int, ...]:
    return (params[0],)


def _axes(params: Params, rank: int) -> tuple[int, ...]:
    return tuple(params[0]) if params else tuple(range(rank))


# The axes along which the entries of an operation's only operand, or of all, meet.
ALONG = {
    **dict.fromkeys((softmax_op, log_softmax_op, logsumexp_op, cumsum_op, prod_op, prod_others_op), _axis),
    **dict.fromkeys((flip_op, concatenate_op), _axis),
    **dict.fromkeys((max_op, min_op, hardmax_op, norm_op, unit_op, deviations_op), _axes),
}
COMBINED: Mapping[Operation, Combine] = {
    max_op: "max",
    min_op: "min",
    norm_op: "norm",
    logsumexp_op: "logsumexp",
    prod_op: "prod",
}


def _by_totals(node: Expr) -> Expr | None:
    """An operation along the rows in terms of totals: the softmax of a column is eˣ⁻ᵐ / Σ eˣ⁻ᵐ.

    A total log Σ eˣ would have a digit less for each that x has before its point.
    """
    (x,) = node.args
    axes = ALONG[node.op](node.params, x.rank)
    sizes = tuple(x.shape[axis] for axis in axes)
    if node.op is deviations_op:
        return x - mean(x, axes, keepdims=True) if x.rank > len(axes) else x - repeat(mean(x), axes, sizes)
    if node.op in (softmax_op, log_softmax_op):
        top = repeat(max_op(x, params=(axes,)), axes, sizes)
        first = equal(x, top)
        below = exp(minimum(x - top, 0))  # an x that is computed again may be rounded otherwise
        rest = sum(first, axes) - 1 + sum(below * (1 - first), axes)
        if node.op is softmax_op:
            return below / repeat(1 + rest, axes, sizes)
        return x - top - repeat(log1p(rest), axes, sizes)
    if node.op is unit_op:  # 0 where the length is 0
        length = norm_op(x, params=node.params)
        return x / repeat(length + equal(length, 0), axes, sizes)
    return None


def _meets(node: Expr, size: Size) -> Combine | None:
    """How the rows of the operands meet in this operation: not at all (None), or in a total.

    Raises `_Whole` where they meet otherwise.
    """
    op, carried = node.op, [arg for arg in node.args if size in arg.shape]
    if not carried and op is not repeat_op:
        raise _Whole(f"{op.name} makes an array with entries for each row")
    if op.slopes is not None or op.shape is same_shape or op is power_op or not carried:
        return None
    if op.indices is not None or (op in FRONT and all(size not in arg.shape[CHANNELS:] for arg in carried)):
        return _summed(node, size)
    at = carried[0].shape.index(size)
    if op in ALONG:
        if at not in ALONG[op](node.params, carried[0].rank):
            return None
        if op in COMBINED:
            return COMBINED[op]
    whole = (0, size, 1)
    if (
        (op is slice_op and node.params[at] == whole)
        or (op is embed_op and node.params[0][at] == whole)
        or (op is windows_op and at < node.args[0].rank - len(node.params[1]))
        or (op is overlap_add_op and at < node.rank - len(node.params[1]))
        or (op in POOLS and at < node.args[-1].rank - len(node.params[1]))
        or (op is reshape_op and at == 0 and node.shape[:1] == (size,))
        or (op in (take_op, one_hot_op) and carried == [node.args[-1]])
    ):
        return None
    raise _Whole(f"{op.name} needs all rows at once")


def _summed(node: Expr, size: Size) -> Combine | None:
    """Of an operation that is linear in each operand: whether the index of the rows is summed over."""
    front, stated = FRONT.get(node.op), node.op.indices
    indices = front or (stated(node.params, *(arg.rank for arg in node.args)) if stated else "")
    inputs, output = indices.split("->")
    found = {
        letter
        for letters, arg in zip(inputs.split(","), node.args, strict=True)
        for letter, length in zip(letters, arg.shape, strict=front is None)
        if length == size
    }
    if len(found) != 1:
        raise _Whole(f"{node.op.name} brings every row together with every other")
    return None if found <= set(output) else "sum"


# ------------------------------------------------------------------------------------------- the cut

Kind = Literal["row", "total", "free"]


@record
class _Part:
    """A line, or a part of one that gets a line: what it is, and after how many passes it is known.

    A row is not kept: it is computed in every pass from `when` on that needs it.
    """

    value: Expr
    kind: Kind
    when: int
    combine: Combine = "sum"


@dataclass(slots=True)
class _Cutting:
    """A program while it is cut along the axis `size`."""

    program: Program
    size: str
    names: Names = field(default_factory=Names)
    parts: dict[Expr, _Part] = field(default_factory=dict)  # by symbol, in order
    made: dict[Expr, Expr] = field(default_factory=dict)  # what became of a node
    when: dict[Expr, int] = field(default_factory=dict)  # after how many passes it can be computed
    held: dict[Expr, Expr] = field(default_factory=dict)
    count: Expr = field(init=False)

    def __post_init__(self) -> None:
        taken = [str(given.symbol.params[0]) for given in self.program.inputs]
        taken += [line.name for line in self.program.lines] + list(self.program.sizes)
        self.names.taken.update(taken)
        self.count = self.symbol(f"all_{self.size}", ())

    def symbol(self, wanted: str, shape: tuple[Size, ...]) -> Expr:
        return symbol_op(params=(self.names.give(wanted), shape, ()))

    def rows(self) -> Rows:
        """The whole cut."""
        for line in self.program.lines:
            symbol = symbol_op(params=(line.name, line.value.shape, ()))
            self.put(symbol, self.cut(line.value, symbol))
        outputs = {name: self.output(name, value) for name, value in self.program.outputs.items()}
        needed = self.needed(outputs.values())
        totals = [symbol for symbol in needed if self.parts[symbol].kind == "total"]
        joined = [symbol for symbol in dict.fromkeys(outputs.values()) if self.carries(symbol)]
        if not totals and not joined:
            raise _Whole("nothing is summed over it")
        last = max(self.parts[symbol].when for symbol in [*totals, *joined])
        between, passes = [], []
        for number in range(last + 2):
            free = [s for s in needed if self.parts[s].kind == "free" and self.parts[s].when == number]
            between.append(self.straight(free, free))
            if number <= last:
                ends = [s for s in totals if self.parts[s].when == number]
                whole = [s for s in joined if self.parts[s].when == number]
                passes.append(self.one_pass(ends, whole))
        axes = {
            str(given.symbol.params[0]): given.symbol.shape.index(self.size)
            for given in self.program.inputs
            if self.carries(given.symbol)
        }
        called = {name: str(symbol.params[0]) for name, symbol in outputs.items()}
        return Rows(self.size, axes, tuple(between), tuple(passes), str(self.count.params[0]), called)

    def carries(self, node: Expr) -> bool:
        """Whether it has an entry for each row."""
        for size in node.shape:
            if size != self.size and self.size in size_names(size):
                raise _Whole(f"an axis has the length {size}")
        if node.shape.count(self.size) > 1:
            what = str(node.params[0]) if node.op is symbol_op else node.op.name
            raise _Whole(f"{what} has an entry for every pair of rows")
        return self.size in node.shape

    def cut(self, value: Expr, symbol: Expr | None = None) -> Expr:
        """`value` without its totals and without what is held fixed; a total on top is called `symbol`."""
        for node in walk(value):
            if node not in self.made:
                self.made[node] = self.one(node, symbol if node is value else None)
        return self.made[value]

    def one(self, node: Expr, symbol: Expr | None) -> Expr:
        """What becomes of a node whose operands are cut."""
        if node.op is size_op and node.params[0] == self.size:
            return self.count
        carries = self.carries(node)
        if node.op is symbol_op:
            return node
        args = [self.made[arg] for arg in node.args]
        when = max((self.when.get(arg, 0) for arg in args), default=0)
        if not carries and not any(map(self.carries, node.args)):
            return self.known(rebuild(node, args), when)
        if node.op in ALONG and len(node.args) == 1:
            (x,) = node.args
            if x.shape.index(self.size) in ALONG[node.op](node.params, x.rank):
                other = _by_totals(node)
                if other is not None:
                    return self.cut(other, symbol)
        combine = _meets(node, self.size)
        args = [arg if self.carries(arg) else self.hold(arg) for arg in args]
        cut = rebuild(node, args)
        if combine is None:
            return self.known(cut, when)
        symbol = self.symbol("total", node.shape) if symbol is None else symbol
        self.parts[symbol] = _Part(cut, "total", when, combine)
        return self.known(symbol, when + 1)

    def known(self, node: Expr, when: int) -> Expr:
        self.when[node] = when
        return node

    def put(self, symbol: Expr, value: Expr) -> None:
        """The line `symbol` = `value`."""
        when = self.when.get(value, 0)
        if symbol not in self.parts:
            self.parts[symbol] = _Part(value, "row" if self.carries(value) else "free", when)
        self.made[symbol] = self.known(symbol, max(when, self.when.get(symbol, 0)))

    def hold(self, node: Expr) -> Expr:
        """What does not depend on the row is computed before the pass, and has a name in it."""
        if not node.args:
            return node
        if node.op in VIEWS:
            return self.known(rebuild(node, [self.hold(node.args[0])]), self.when.get(node, 0))
        if node not in self.held:
            symbol = self.held[node] = self.symbol("held", node.shape)
            self.put(symbol, node)
        return self.held[node]

    def output(self, name: str, value: Expr) -> Expr:
        """The symbol of an output."""
        symbol = self.symbol(name or "value", value.shape)
        cut = self.cut(value, symbol)
        if cut.op is symbol_op and cut in self.parts:
            return cut
        self.put(symbol, cut)
        return symbol

    # What is needed, and in which order.

    def below(self, symbol: Expr) -> Iterator[Expr]:
        """The parts that a part is made of."""
        return (leaf for leaf in walk(self.parts[symbol].value) if leaf in self.parts)

    def needed(self, ends: Collection[Expr]) -> list[Expr]:
        """The parts that are needed for `ends`, in order."""
        seen, stack = set(ends), list(ends)
        while stack:
            for part in self.below(stack.pop()):
                if part not in seen:
                    seen.add(part)
                    stack.append(part)
        return [symbol for symbol in self.parts if symbol in seen]

    def one_pass(self, totals: Sequence[Expr], joined: Sequence[Expr]) -> Pass:
        """The pass that ends in these totals and arrays."""
        seen: set[Expr] = set()
        stack = [*totals, *joined]
        while stack:
            symbol = stack.pop()
            if symbol in seen:
                continue
            seen.add(symbol)
            stack += [part for part in self.below(symbol) if self.parts[part].kind == "row"]
        lines = [symbol for symbol in self.parts if symbol in seen]
        program = self.straight(lines, [*totals, *joined], rows=True)
        combine = {str(symbol.params[0]): self.parts[symbol].combine for symbol in totals}
        axes = {str(symbol.params[0]): symbol.shape.index(self.size) for symbol in joined}
        return Pass(program, combine, axes)

    def straight(self, lines: Sequence[Expr], outputs: Sequence[Expr], rows: bool = False) -> Program:
        """The lines as a program of their own; one over `rows` takes some of them, if only to count them."""
        own = set(lines)
        nodes = list(walk(*(self.parts[symbol].value for symbol in lines)))
        leaves = [node for node in nodes if node.op is symbol_op and node not in own]
        given = {str(each.symbol.params[0]): each.symbol for each in self.program.inputs}
        if rows and not any(map(self.carries, leaves)):
            leaves.append(next(symbol for symbol in given.values() if self.carries(symbol)))
        leaves.sort(key=lambda leaf: not self.carries(leaf))
        sizes = {
            str(size): (str(leaf.params[0]), axis)
            for leaf in reversed(leaves)
            for axis, size in reversed(list(enumerate(leaf.shape)))
            if size_names(size) == (size,)
        }
        for size in dict.fromkeys(name for node in nodes for name in _sizes_of(node)):
            if size not in sizes:
                sizes[size] = self.told(size)
                teller = given[sizes[size][0]]
                leaves += [teller] if teller not in leaves else []
        return Program(
            tuple(Input(str(leaf.params[0]), leaf, leaf) for leaf in leaves),
            tuple(Line(str(symbol.params[0]), self.parts[symbol].value, "forward") for symbol in lines),
            {str(symbol.params[0]): symbol for symbol in outputs},
            sizes,
        )

    def told(self, size: str) -> tuple[str, int]:
        """An input that tells this size, and along which axis; one without rows if there is one."""
        for given in self.program.inputs:
            if size in given.symbol.shape and not self.carries(given.symbol):
                return str(given.symbol.params[0]), given.symbol.shape.index(size)
        return self.program.sizes[size]


def _sizes_of(node: Expr) -> Iterator[str]:
    """The sizes that the code of a node may need."""
    if node.op is not symbol_op:
        yield from _names_in(node.params)


def _names_in(params: tuple[object, ...]) -> Iterator[str]:
    for param in params:
        if isinstance(param, tuple):
            yield from _names_in(param)
        elif isinstance(param, str):
            yield from size_names(param)
