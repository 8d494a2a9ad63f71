"""How does an expression read example by example, or entry by entry? Axes lowered to explicit indices.

Lowering an axis replaces an array by its entry or row at an index: X by xᵢ (row i of X), relu(z) by
max(0, zᵢ), Xᵀe by Σᵢ eᵢ xᵢ. What is lowered is an expression again, with two operations more: the entry of a
named thing, and the sum over an index.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from gradstep.calculus.cotangents import cotangent_op
from gradstep.expression.node import Expr, Operation, Params, walk
from gradstep.expression.records import record, replaced
from gradstep.expression.shapes import Size, minus, plus, size_names, times
from gradstep.notation.indices import Index, block_op, choice_op, entry_op, product_op, sigma, sigma_op
from gradstep.notation.regrouping import one_block, regrouped
from gradstep.operations.arithmetic import (
    divide_op,
    multiply,
    multiply_op,
    power_op,
    scale,
)
from gradstep.operations.broadcasting import repeat, repeat_op, sum_op, sum_over
from gradstep.operations.convolutions import CONVOLUTIONS
from gradstep.operations.cumulative import cumsum_op, prod_op, prod_others_op
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.einsums import einsum_of
from gradstep.operations.entries import (
    Cut,
    concatenate_op,
    cut,
    embed_op,
    is_whole,
    reshape_op,
    slice_op,
)
from gradstep.operations.flips import flip_op
from gradstep.operations.inverses import INVERTED
from gradstep.operations.leaves import eye_op, number, symbol_op, triangle_op
from gradstep.operations.lookups import one_hot_op, take_op
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.permutations import matrix_transpose
from gradstep.operations.pooling import POOLS
from gradstep.operations.products import matmul_op, outer
from gradstep.operations.pseudoinverses import pinv_op
from gradstep.operations.toeplitz import diagonal_sums_op
from gradstep.operations.windows import overlap_add_op, windows_op

INDEX_LETTERS = "ijklmnpqrstuvacfgh"


@record
class Without:
    """A collection, one item left out."""

    items: Container[Expr]
    out: Expr

    def __contains__(self, item: object) -> bool:
        return item is not self.out and item in self.items


@dataclass(slots=True)
class Lowering:
    """Lowers expressions: axes whose size is in `sizes` (all axes when None); `named` parts are not opened.

    `letters` are indices that belong to a size, `reserved` are letters that are no index, and rows of the
    matrices in `capitals` keep the capital letter, because the small one means something else.
    """

    sizes: Container[Size] | None
    named: Container[Expr]
    letters: Mapping[Size, str] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    capitals: Container[Expr] = ()
    done: dict[object, Expr] = field(default_factory=dict)  # of this very lowering: another starts anew

    def __post_init__(self) -> None:
        self.done = {}

    def opening(self, part: Expr) -> Lowering:
        """The same, but `part` is opened one level, although it has a name."""
        return replaced(self, named=Without(self.named, part))

    def fully(self) -> Lowering:
        """The same down to entries: every axis is lowered."""
        return replaced(self, sizes=None)

    def is_lowered(self, size: Size) -> bool:
        """Whether an axis of this size becomes an index."""
        return self.sizes is None or size in self.sizes

    def indices(self, expr: Expr) -> tuple[Index, ...]:
        """An index for each axis of `expr` that is lowered: i along the batch, j, k … along the others."""
        taken: set[str] = set()
        found: list[Index] = []
        for size in expr.shape:
            letter = self.letter(size, taken) if self.is_lowered(size) else None
            taken |= {letter} if letter else set()
            found.append(letter)
        return tuple(found)

    def letter(self, size: Size, taken: Container[str]) -> str:
        """A letter that is still free: the size's own, if it has one, or else one that no size owns."""
        own = self.letters.get(size)
        if own is not None and own not in taken:
            return own
        return next(
            (
                letter
                for letter in INDEX_LETTERS
                if letter not in taken and letter not in self.reserved and letter not in self.letters.values()
            ),
            "ι",
        )

    def entry(self, of: Expr, at: tuple[Index, ...]) -> Expr:
        """A named thing at its indices."""
        named = of.params[0] if of.op is cotangent_op else of
        return entry_op(params=(of, at, "capital") if named in self.capitals else (of, at))

    def __call__(self, expr: Expr, indices: Sequence[Index], taken: frozenset[str] = frozenset()) -> Expr:
        """`expr` at `indices` (one per axis); `taken` are letters already in use outside."""
        at = tuple(indices)
        taken = taken | {i for i in at if i}
        key = expr, at, taken
        if key not in self.done:  # what is shared is lowered once
            self.done[key] = self._lowered(expr, at, taken)
        return self.done[key]

    def _lowered(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        if expr in self.named or expr.op is symbol_op or expr.op is cotangent_op:
            return self.entry(expr, at) if any(at) else expr
        if expr.op is entry_op:
            rest = iter(at)
            return self.entry(expr.params[0], tuple(next(rest) if i is None else i for i in expr.params[1]))
        if expr.op in (eye_op, triangle_op):
            return self.entry(expr, at) if any(at) else expr
        if not expr.args:
            return expr
        if expr.op is diagonal_matrix_op:
            return self._diagonal_matrix(expr, at, taken)
        if expr.op is repeat_op:
            axes = expr.params[0]
            kept = [(a, expr.shape[a]) for a in axes if at[a] is None]
            inner = self(expr.args[0], [i for a, i in enumerate(at) if a not in axes], taken)
            left = [a for a in range(expr.rank) if at[a] is None]
            return repeat(inner, tuple(left.index(a) for a, _ in kept), tuple(s for _, s in kept))
        if expr.op.indices is not None:
            return self._linear(expr, at, taken)
        if expr.op.slopes is not None:
            args = [self(arg, at, taken) for arg in expr.args]
            if expr.op is multiply_op and args[0].rank != args[1].rank:
                return multiply(*args)
            return expr.op(*args, params=expr.params)
        if expr.op is power_op:
            base, exponent = expr.args
            return expr.op(self(base, at, taken), self(exponent, at if exponent.rank else (), taken))
        if expr.op in ENTRIES:
            return ENTRIES[expr.op](self, expr, at, taken)
        return self._whole(expr, at, taken)

    def opened(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """An operation that stays whole, nothing in it lowered, with the indices outside."""
        whole = replaced(self, sizes=())
        result = expr.op(*(whole(arg, (None,) * arg.rank, taken) for arg in expr.args), params=expr.params)
        return self.entry(result, at) if any(at) else result

    def _slice(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """x[1:3] at i is x at i + 1; of a lowered array also a single place is an index."""
        (arg,), rest = expr.args, iter(at)
        whole = all(i is not None for i in at) and (bool(at) or self.sizes is None)
        inner: list[Index] = []
        left: list[Cut] = []
        for cut_, size in zip(expr.params, arg.shape, strict=True):
            start, count, step = cut_
            index = next(rest) if count != 0 else str(start) if whole or self.is_lowered(size) else None
            if index is None:
                left.append(cut_)
            elif count != 0:
                index = str(plus(start, times(step, index)))
            inner.append(index)
        return cut(self(arg, inner, taken), left)

    def _windows(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """Place j of window i is x at s i + d j."""
        (arg,), (_, paces) = expr.args, expr.params
        lead, axes = arg.rank - len(paces), len(paces)
        starts, within = at[lead : lead + axes], at[lead + axes :]
        if None in starts or None in within:
            return self.opened(expr, at, taken)
        slid = zip(starts, within, paces, strict=True)
        places = [str(plus(times(s, str(i)), times(d, str(j)))) for i, j, (s, d) in slid]
        return self(arg, [*at[:lead], *places], taken)

    def _by_definition(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """What it is made of, where all indices are there."""
        if None in at or expr.op.definition is None:
            return self.opened(expr, at, taken)
        return self(expr.op.definition(expr.params, *expr.args), at, taken)

    def _embed(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """Where the index is outside of what was put there, it is 0; what stands at one place goes by δ."""
        cuts, shape = expr.params
        parts = list(zip(cuts, shape, at, strict=True))
        if any((i is None and not is_whole(part, size)) or part[2] != 1 for part, size, i in parts):
            return self.opened(expr, at, taken)
        places = [None if i is None else str(minus(i, start)) for (start, _, _), _, i in parts]
        kept = [place for place, (_, count, _) in zip(places, cuts, strict=True) if count != 0]
        inner = self(expr.args[0], kept, taken)
        for part, size, i in parts:
            start, count, _ = part
            if i is not None and count == 0:
                inner = multiply(inner, self.entry(eye_op(params=(size,)), (i, str(start))))
            elif i is not None and not is_whole(part, size):
                inner = choice_op(inner, zeros_like(inner), params=(i, start, plus(start, count), size))
        return inner

    def _flip(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """flip(x) at i is x at n − 1 − i; flip(cumsum(flip(x))) at i is the sum from i on."""
        (axis,), (arg,) = expr.params, expr.args
        i = at[axis]
        if i is None:
            return self._whole(expr, at, taken)
        below = arg.args[0] if arg.op is cumsum_op and arg not in self.named else arg
        if below.op is flip_op and below.params == arg.params == expr.params and below not in self.named:
            return self._partial_sum(below.args[0], axis, at, taken, "≥")
        back = str(minus(minus(expr.shape[axis], 1), i))
        return self(arg, [back if k == axis else j for k, j in enumerate(at)], taken)

    def _cumsum(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        (axis,) = expr.params
        if at[axis] is None:
            return self._whole(expr, at, taken)
        return self._partial_sum(expr.args[0], axis, at, taken, "≤")

    def _partial_sum(
        self, body: Expr, axis: int, at: tuple[Index, ...], taken: frozenset[str], relation: str
    ) -> Expr:
        """Σ over the index j ≤ i, or j ≥ i."""
        i = str(at[axis])
        letter = self.letter(body.shape[axis], taken | set(size_names(i)))
        inner = self(body, [letter if k == axis else j for k, j in enumerate(at)], taken | {letter})
        return sigma_op(inner, params=(letter, body.shape[axis], relation, i))

    def _prod(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """∏ over an index, if that axis is lowered."""
        (axis,), (arg,) = expr.params, expr.args
        size = arg.shape[axis]
        if not self.is_lowered(size):
            return self._whole(expr, at, taken)
        letter = self.letter(size, taken)
        inner = self(arg, [*at[:axis], letter, *at[axis:]], taken | {letter})
        return product_op(inner, params=(letter, size))

    def _prod_others(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """∏ over the index j ≠ i."""
        (axis,), (arg,), i = expr.params, expr.args, at[expr.params[0]]
        if i is None:
            return self._whole(expr, at, taken)
        letter = self.letter(arg.shape[axis], taken)
        inner = self(arg, [letter if k == axis else j for k, j in enumerate(at)], taken | {letter})
        return product_op(inner, params=(letter, arg.shape[axis], "≠", i))

    def _unit(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """An entry of x/‖x‖ is xᵢ/‖x‖."""
        (arg,) = expr.args
        if not at or any(i is None for i in at):
            return self._whole(expr, at, taken)
        axes = expr.params[0] if expr.params else tuple(range(arg.rank))
        length = norm_op(arg, params=expr.params)
        return divide_op(
            self(arg, at, taken), self(length, [i for k, i in enumerate(at) if k not in axes], taken)
        )

    def _concatenate(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        (axis,) = expr.params
        i, (first, second) = at[axis], expr.args
        if i is not None:
            size = first.shape[axis]
            back = str(minus(i, size))
            inside = self(first, at, taken)
            outside = self(second, [back if k == axis else j for k, j in enumerate(at)], taken)
            return choice_op(inside, outside, params=(i, 0, size, expr.shape[axis]))
        place = sum(1 for i in at[:axis] if i is None)
        return expr.op(*(self(arg, at, taken) for arg in expr.args), params=(place,))

    def _diagonal_matrix(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """diag(v) at i, j is vᵢ δᵢⱼ."""
        first = at[0] or at[1]
        if first is None:
            return expr.op(self(expr.args[0], at[:1], taken))
        return scale(self(expr.args[0], (first,), taken), self.entry(eye_op(params=expr.shape[:1]), at))

    def _linear(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """A product or a sum, by its indices: what is contracted along a lowered axis becomes Σ."""
        assert expr.op.indices is not None
        spec = expr.op.indices(expr.params, *(arg.rank for arg in expr.args))
        inputs, output = spec.split("->")
        places = dict(zip(output, at, strict=True))
        sums: list[tuple[str, Size]] = []
        for letters, arg in zip(inputs.split(","), expr.args, strict=True):
            for letter, size in zip(letters, arg.shape, strict=True):
                if letter not in places:
                    fresh = None
                    if self.is_lowered(size):
                        fresh = self.letter(size, taken)
                        taken = taken | {fresh}
                        sums.append((fresh, size))
                    places[letter] = fresh
        if not any(places.values()):
            return expr.op(*(self(arg, (None,) * arg.rank, taken) for arg in expr.args), params=expr.params)
        operands, left = [], []
        for letters, arg in zip(inputs.split(","), expr.args, strict=True):
            operands.append(self(arg, [places[letter] for letter in letters], taken))
            left.append("".join(letter for letter in letters if places[letter] is None))
        result = contracted(operands, left, "".join(letter for letter in output if places[letter] is None))
        for index, size in reversed(sums):
            result = sigma(index, size, result)
        return result

    def _whole(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """A function of whole rows (softmax, logsumexp, norm): lowered along other axes, then an entry.

        An inverse, a determinant, a solution and the sums of diagonals are functions of whole matrices.
        """
        if expr.op in INVERTED or expr.op in (pinv_op, diagonal_sums_op) or len(expr.args) != 1:
            return self.opened(expr, at, taken)
        (arg,), said = expr.args, expr.params[:1]
        axes = (said if isinstance(said[0], int) else said[0]) if said else tuple(range(arg.rank))
        if said and isinstance(said[0], int) and expr.op.definition and self.is_lowered(arg.shape[said[0]]):
            return self(expr.op.definition(expr.params, arg), at, taken)
        same = expr.rank == arg.rank
        rest = iter(at)
        outside = [next(rest) if same or k not in axes else None for k in range(arg.rank)]
        inner = [None if k in axes else i for k, i in enumerate(outside)]
        lowered = self(arg, inner, taken)
        left = [k for k in range(arg.rank) if inner[k] is None]
        places = tuple(left.index(k) for k in axes)
        params: Params = (places[0] if isinstance(said[0], int) else places, *expr.params[1:]) if said else ()
        if params and params[0] == tuple(range(lowered.rank)) and expr.op in (norm_op, unit_op):
            params = ()
        result = expr.op(lowered, params=params)
        inside = tuple(outside[k] if k in axes and same else None for k in left)
        return self.entry(result, inside) if any(inside) else result


def zeros_like(x: Expr) -> Expr:
    """Zeros in the shape of `x`."""
    return repeat(number(0), tuple(range(x.rank)), x.shape)


Opening = Callable[[Lowering, Expr, tuple[Index, ...], frozenset[str]], Expr]

# What moves entries, by what happens to the indices.
ENTRIES: Mapping[Operation, Opening] = {
    slice_op: Lowering._slice,
    embed_op: Lowering._embed,
    flip_op: Lowering._flip,
    windows_op: Lowering._windows,
    **dict.fromkeys((overlap_add_op, *CONVOLUTIONS, *POOLS), Lowering._by_definition),
    cumsum_op: Lowering._cumsum,
    concatenate_op: Lowering._concatenate,
    prod_op: Lowering._prod,
    prod_others_op: Lowering._prod_others,
    unit_op: Lowering._unit,
    reshape_op: regrouped,
    block_op: one_block,
    one_hot_op: Lowering.opened,
    take_op: Lowering.opened,
}


def _is_product(letters: Sequence[str], output: str) -> bool:
    """Whether two operands with these axes multiply as vectors and matrices do."""
    a, b = letters
    if a == b == output or not a or not b or (a == b and not output):
        return True
    if len(a) == len(b) == 1:
        return sorted(output) == sorted(a + b)
    if {len(a), len(b)} == {1, 2}:
        return len(output) == 1 and len({*a, *b}) == 2 and output not in (a if len(a) == 1 else b)
    different = {*a} ^ {*b}
    return (
        len({*a}) == len({*b}) == len(a) == len(b) == len(different) == 2 == len(output)
        and {*output} == different
    )


def _entries(operands: Sequence[Expr], letters: Sequence[str], output: str) -> Expr:
    """A product that no matrix notation has: numbers in front, and the rest by its indices."""
    numbers = [x for x, have in zip(operands, letters, strict=True) if not have]
    arrays = [x for x, have in zip(operands, letters, strict=True) if have]
    if not arrays:
        return reduce(multiply, numbers)
    if len(arrays) == 1 and [have for have in letters if have] == [output]:
        return reduce(multiply, [*numbers, *arrays])
    codes = [[ord(letter) for letter in have] for have in letters if have]
    return reduce(multiply, [*numbers, einsum_of(codes, [ord(letter) for letter in output], arrays)])


def contracted(operands: Sequence[Expr], letters: Sequence[str], output: str) -> Expr:
    """What is left of a product when some axes are indices: a product of numbers, a dot or outer product …"""
    if len(operands) == 1:
        (x,), (have,) = operands, letters
        products = len(have) == 1 and not output and x.op is multiply_op
        vectors = products and x.args[0].rank == x.args[1].rank == 1
        if vectors and any(node.op is entry_op for node in walk(x)):
            return contracted(x.args, [have, have], "")  # of one example Σ x ⊙ y is x·y
        x = sum_over(x, tuple(k for k, letter in enumerate(have) if letter not in output))
        have = "".join(letter for letter in have if letter in output)
        return x if have == output else matrix_transpose(x)
    if len(operands) > 2 or not _is_product(letters, output):
        return _entries(operands, letters, output)
    (x, y), (a, b) = operands, letters
    if a == b == output:
        return multiply(x, y)
    if not a or not b:
        return multiply(x, y)
    if len(a) == len(b) == 1 and a != b:
        return outer(x, y) if output == a + b else outer(y, x)
    if a == b and not output:
        if len(a) == 1:  # w·xᵢ, as it is usually written
            return matmul_op(y, x) if x.op is entry_op and y.op is symbol_op else matmul_op(x, y)
        return sum_op(multiply(x, y), params=(tuple(range(len(a))),))
    if len(b) == 1 and len(a) == 2:
        return matmul_op(x if a[1] == b else matrix_transpose(x), y)
    if len(a) == 1 and len(b) == 2:
        return matmul_op(matrix_transpose(y) if b[0] == a else y, x)
    (shared,) = {*a} & {*b}
    if output[0] in b:
        x, y, a, b = y, x, b, a
    return matmul_op(
        x if a[1] == shared else matrix_transpose(x), y if b[0] == shared else matrix_transpose(y)
    )
