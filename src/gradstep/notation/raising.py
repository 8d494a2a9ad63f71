"""How are formulas with indices arrays? Each index becomes an axis in front, and the formula an expression.

Σᵢ eᵢ xᵢ is read from the inside: eᵢ is the array e with the axis i, xᵢ the array X with the axis i and an
axis of its own, their product has both, and the sum takes i away. It is the mirror of `lowering.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, Size
from gradstep.operations.arithmetic import multiply
from gradstep.operations.broadcasting import repeat, squeeze
from gradstep.operations.diagonals import eye
from gradstep.operations.einsums import einsum_of
from gradstep.operations.leaves import number
from gradstep.operations.leaves import size as size_of
from gradstep.operations.products import outer
from gradstep.operations.sums import sum as total

Over = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Raised:
    """An array with an axis for each index in `over`, in front of its own axes.

    row       a vector that lies: vᵀ
    loose     own axes, counted from the first, that are of any length and hold the same number everywhere;
              in the array they have length one
    sized     a square matrix of any size, such as I: for a size the matrix; `expr` says nothing then
    """

    expr: Expr
    over: Over = ()
    row: bool = False
    loose: frozenset[int] = frozenset()
    sized: Callable[[Size], Expr] | None = None

    @property
    def own(self) -> Shape:
        """The shape without the indices."""
        return self.expr.shape[len(self.over) :]

    @property
    def rank(self) -> int:
        """The number of own axes."""
        return 2 if self.sized else len(self.own)


ONES = Raised(repeat(number(1), 0, 1), loose=frozenset({0}))
UNIT = Raised(number(1), sized=eye)


def scalar(expr: Expr) -> Raised:
    return Raised(expr)


def described(value: Raised) -> str:
    """What a value is, in an error."""
    sizes = ("…" if k in value.loose else size for k, size in enumerate(value.own))
    own = "an identity matrix" if value.sized else "×".join(map(str, sizes)) or "a number"
    if value.rank == 1:
        own = f"a {'row' if value.row else 'vector'} of {own}"
    return own + (f" for each {', '.join(value.over)}" if value.over else "")


# ------------------------------------------------------------------------------------------- alignment


def lengths(*values: Raised) -> dict[str, Size]:
    """How far the indices of the values run; two lengths for one index are an error."""
    found: dict[str, Size] = {}
    for value in values:
        for index, size in zip(value.over, value.expr.shape, strict=False):
            if found.setdefault(index, size) != size:
                raise MathError(
                    f"the index {index} runs to {found[index]} in one place and to {size} in another"
                )
    return found


def spread(value: Raised, over: dict[str, Size], own: Shape) -> Expr:
    """The array with these indices in front, in this order, and this own shape."""
    expr, at = value.expr, len(value.over)
    thin = tuple(at + k for k in sorted(value.loose) if own[len(own) - len(value.own) + k] != 1)
    kept = [k for k in range(len(value.own)) if at + k not in thin]
    expr = squeeze(expr, thin)
    order = [index for index in over if index in value.over]
    if order != list(value.over):
        places = {index: k for k, index in enumerate(value.over)}
        rest = range(at, expr.rank)
        expr = einsum_of([range(expr.rank)], [*(places[index] for index in order), *rest], [expr])
    missing = [k for k, index in enumerate(over) if index not in value.over]
    expr = repeat(expr, tuple(missing), tuple(list(over.values())[k] for k in missing))
    lead = len(own) - len(value.own)
    new = [k for k in range(len(own)) if k < lead or k - lead not in kept]
    return repeat(expr, tuple(len(over) + k for k in new), tuple(own[k] for k in new))


def of_size(value: Raised, n: Size) -> Raised:
    """A matrix of any size, now with one."""
    return value if value.sized is None else Raised(value.sized(n))


def common(*values: Raised) -> Shape:
    """The own shape that all values take: a number stands everywhere, what is loose gives way."""
    rank = max(value.rank for value in values)
    sizes: list[Size | None] = [None] * rank
    for value in values:
        for k, size in enumerate(value.own):
            place = rank - len(value.own) + k
            if k in value.loose:
                continue
            if sizes[place] not in (None, size):
                shapes = " and ".join(dict.fromkeys(map(described, values)))
                raise MathError(f"these do not have one shape: {shapes}")
            sizes[place] = size
    return tuple(1 if size is None else size for size in sizes)


def entrywise(make: Callable[..., Expr], *values: Raised) -> Raised:
    """A function of entries, of values that take one shape."""
    if any(value.sized for value in values):
        return _with_sized(make, values)
    own, over = common(*values), lengths(*values)
    rank = len(own)
    loose = frozenset(
        k
        for k in range(rank)
        if all(k < rank - len(v.own) or k - rank + len(v.own) in v.loose for v in values)
    )
    row = all(v.row for v in values if v.rank == 1) and any(v.row for v in values)
    made = make(*(spread(value, over, own) for value in values))
    return Raised(made, tuple(over), row and rank == 1, loose)


def _with_sized(make: Callable[..., Expr], values: Sequence[Raised]) -> Raised:
    """The same where some have any size: that of another matrix, or still any."""
    others = [value for value in values if value.sized is None]
    known = [size for v in others if v.rank == 2 for k, size in enumerate(v.own) if k not in v.loose]
    if known:
        return entrywise(make, *(of_size(value, known[0]) for value in values))
    if any(value.over or value.rank for value in others):
        raise MathError("how large is this identity matrix?")

    def sized(n: Size) -> Expr:
        return make(*(spread(of_size(value, n), {}, (n, n)) for value in values))

    return Raised(number(1), sized=sized)


def each(make: Callable[[Expr], Expr], value: Raised) -> Raised:
    """A function of one value that keeps its shape."""
    inner = value.sized
    if inner is not None:
        return replace(value, sized=lambda n: make(inner(n)))
    return replace(value, expr=make(value.expr))


# ------------------------------------------------------------------------------------------- products


def times(a: Raised, b: Raised) -> Raised:
    """What two values side by side mean: a number times an array, or the product of matrices."""
    if a.sized or b.sized:
        return _times_sized(a, b)
    if 0 in (a.rank, b.rank):
        made = _scaled(a, b)
        return replace(made, row=a.row or b.row) if made.rank == 1 else made
    match a.rank, b.rank:
        case 2, 2:
            return contracted(a, b)
        case 2, 1 if not b.row:
            return contracted(a, b)
        case 1, 2 if a.row:
            return replace(contracted(a, b), row=True)
        case 1, 1 if a.row and not b.row:
            return contracted(a, b)
        case 1, 1 if b.row and not a.row:
            return outer_product(a, b)
    raise MathError(f"{described(a)} and {described(b)} have no product as they stand")


def _scaled(a: Raised, b: Raised) -> Raised:
    number_, array = (a, b) if a.rank == 0 else (b, a)
    if not number_.over and not array.over:
        return replace(array, expr=multiply(a.expr, b.expr))
    if not number_.over or not array.rank:
        return entrywise(multiply, a, b)
    over = lengths(number_, array)
    codes = {index: k for k, index in enumerate(over)}
    own = [len(over) + k for k in range(array.rank)]
    inputs = [[codes[i] for i in number_.over], [*(codes[i] for i in array.over), *own]]
    made = einsum_of(inputs, [*codes.values(), *own], [number_.expr, array.expr])
    return replace(array, expr=made, over=tuple(over))


def _times_sized(a: Raised, b: Raised) -> Raised:
    """A product with a matrix of any size: it takes that of the other factor."""
    if a.sized and b.sized:
        return Raised(number(1), sized=lambda n: of_size(a, n).expr @ of_size(b, n).expr)
    other = b if a.sized else a
    if not other.rank:
        return entrywise(multiply, a, b)
    n = other.own[0] if a.sized else other.own[-1]
    return times(of_size(a, n), of_size(b, n))


def contracted(a: Raised, b: Raised) -> Raised:
    """The sum over the last own axis of `a` and the first of `b`."""
    left, right = a.rank - 1 in a.loose, 0 in b.loose
    if left and right:
        raise MathError("how long are these vectors of ones?")
    if left or right:
        return _with_ones(a, b, left)
    if a.own[-1] != b.own[0]:
        raise MathError(
            f"the sizes {a.own[-1]} and {b.own[0]} should be equal",
            facts=[f"{described(a)} times {described(b)}"],
        )
    loose = frozenset(k for k in a.loose if k < a.rank - 1) | frozenset(a.rank - 2 + k for k in b.loose if k)
    if not a.over and not b.over:
        return Raised(a.expr @ b.expr, loose=loose)
    return Raised(*_summed(a, b, 1), loose=loose)


def _with_ones(a: Raised, b: Raised, left: bool) -> Raised:
    """An axis of equal entries times one of any entries: the entries are added."""
    if left:
        a = Raised(squeeze(a.expr, len(a.over) + a.rank - 1), a.over, loose=a.loose - {a.rank - 1})
        b = Raised(total(b.expr, len(b.over)), b.over, loose=frozenset(k - 1 for k in b.loose))
    else:
        a = Raised(total(a.expr, len(a.over) + a.rank - 1), a.over, loose=a.loose)
        b = Raised(squeeze(b.expr, len(b.over)), b.over, loose=frozenset(k - 1 for k in b.loose if k))
    return outer_product(a, b) if a.rank and b.rank else _scaled(a, b)


def outer_product(a: Raised, b: Raised) -> Raised:
    """a bᵀ."""
    loose = a.loose | {a.rank + k for k in b.loose}
    if not a.over and not b.over and a.rank == b.rank == 1:
        return Raised(outer(a.expr, b.expr), loose=loose)
    return Raised(*_summed(a, b, 0), loose=loose)


def _summed(a: Raised, b: Raised, contracted_axes: int) -> tuple[Expr, Over]:
    over = lengths(a, b)
    codes = {index: k for k, index in enumerate(over)}
    first = [len(over) + k for k in range(a.rank)]
    second = [len(over) + a.rank - contracted_axes + k for k in range(b.rank)]
    output = [*codes.values(), *first[: a.rank - contracted_axes], *second[contracted_axes:]]
    inputs = [[*(codes[i] for i in a.over), *first], [*(codes[i] for i in b.over), *second]]
    return einsum_of(inputs, output, [a.expr, b.expr]), tuple(over)


def inner(a: Raised, b: Raised) -> Raised:
    """The sum of all products of entries at the same place."""
    product = entrywise(multiply, replace(a, row=False), replace(b, row=False))
    return added_up(product)


def added_up(value: Raised) -> Raised:
    """The sum of all own entries."""
    if value.loose or value.sized:
        raise MathError("how many entries are added here?")
    axes = tuple(range(len(value.over), value.expr.rank))
    return Raised(total(value.expr, axes) if axes else value.expr, value.over)


# ------------------------------------------------------------------------------------------- indices


def lowered(value: Raised, indices: Sequence[str | int]) -> Raised:
    """The part at these indices, a letter or a place counted from one: xᵢ, Xᵢⱼ, w₁."""
    if value.loose or value.sized:
        raise MathError("this has entries of any number: it takes no index")
    if len(indices) > value.rank:
        raise MathError(f"{len(indices)} indices for {described(value)}")
    at = len(value.over)
    letters = [index for index in indices if isinstance(index, str) and index != ":"]
    codes = {index: k for k, index in enumerate(dict.fromkeys([*value.over, *letters]))}
    expr, inputs = value.expr, [codes[i] for i in value.over]
    rest: list[int] = []
    taken = 0
    for k in range(value.rank):
        index = indices[k] if k < len(indices) else ":"
        if isinstance(index, int):
            expr = _entry(expr, at + k - taken, index)
            taken += 1
        elif index == ":":
            rest.append(len(codes) + k)
            inputs.append(rest[-1])
        else:
            inputs.append(codes[index])
    output = [*codes.values(), *rest]
    made = expr if inputs == output else einsum_of([inputs], output, [expr])
    return Raised(made, tuple(codes))


def entries(value: Raised, indices: Sequence[str]) -> Raised:
    """The array whose entries these are: [Aᵢₖ Bⱼ]ᵢⱼₖ has an axis for i, j and k."""
    missing = [index for index in indices if index not in value.over]
    if missing or len(set(indices)) < len(indices):
        raise MathError(f"the entries do not depend on {missing[0]}" if missing else "an index stands twice")
    rest = [index for index in value.over if index not in indices]
    known = lengths(value)
    return Raised(spread(value, {index: known[index] for index in (*rest, *indices)}, ()), tuple(rest))


def delta(indices: Sequence[str | int], sizes: Mapping[str, Size]) -> Raised:
    """δᵢⱼ, where it is known how far one of both indices runs."""
    known = [sizes[str(index)] for index in indices if index in sizes]
    if len(indices) != 2 or not all(isinstance(index, str) for index in indices) or not known:
        raise MathError("δ takes two indices, and it should be known how far they run")
    return lowered(Raised(eye(known[0])), indices)


def _entry(expr: Expr, axis: int, place: int) -> Expr:
    key = [slice(None)] * expr.rank
    found: Expr = expr[(*key[:axis], place - 1 if place > 0 else place, *key[axis + 1 :])]
    return found


def summed(value: Raised, index: str, size: Size | None) -> Raised:
    """Σ over an index; what does not depend on it is taken as often as it runs."""
    if index in value.over:
        at = value.over.index(index)
        over = value.over[:at] + value.over[at + 1 :]
        return replace(value, expr=total(value.expr, at), over=over)
    if size is None:
        raise MathError(f"the sum runs over {index}, but nothing here depends on {index}")
    return _scaled(Raised(size_of(size)), value)


def transposed(value: Raised) -> Raised:
    """vᵀ, Aᵀ."""
    if value.rank == 1:
        return replace(value, row=not value.row)
    if value.sized:
        return each(lambda x: x.mT, value)
    if value.rank < 2:
        return value
    swap = {value.rank - 1: value.rank - 2, value.rank - 2: value.rank - 1}
    loose = frozenset(swap.get(k, k) for k in value.loose)
    return replace(value, expr=value.expr.mT, loose=loose)


def settled(value: Raised, over: Sequence[str], shape: Shape) -> tuple[Expr, Over]:
    """The array that a line claims: these indices as its first axes, what is loose as in `shape`.

    Indices that are left over, bound by no sum, stay in front.
    """
    if value.sized:
        if len(shape) != 2:
            raise MathError("how large is this identity matrix?")
        value = of_size(value, shape[-1])
    free = tuple(index for index in value.over if index not in over)
    known = lengths(value)
    rank = len(shape) - len(over)
    own = value.own
    if value.loose and len(own) == rank:
        own = tuple(shape[len(over) + k] if k in value.loose else n for k, n in enumerate(own))
    elif value.loose:
        value = replace(
            value,
            expr=squeeze(value.expr, tuple(len(value.over) + k for k in value.loose)),
            loose=frozenset(),
        )
        own = value.own
    if not own and rank > 0:
        own = shape[len(over) :]
    order = {
        index: known[index] if index in known else shape[list(over).index(index)] for index in (*free, *over)
    }
    return spread(value, order, own), free
