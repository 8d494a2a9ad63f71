"""What sizes does an expression have along its axes?

A size is a name ("N"), an integer, or what sums and products of them make ("N+1", "m*n-2"): always written in
the one way that `plus` and `times` give, so that equal sizes are equal texts. A shape is a tuple of sizes,
leading axes first, as in NumPy. Shape rules raise a `MathError` that says what is wrong; who called adds
where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import prod

from gradstep.expression.errors import MathError

Size = str | int
Shape = tuple[Size, ...]

# ------------------------------------------------------------------------------------------- sizes

Polynomial = Mapping[tuple[str, ...], int]  # the names in a product, and how often it is added

_TERM = re.compile(r"([+-]?)((?:[A-Za-z0-9_]+\*)*[A-Za-z0-9_]+)")
MOST_TERMS = 40
MOST_FACTORS = 12


@lru_cache(maxsize=4096)
def terms(size: Size) -> Polynomial:
    """What is added in a size: "m*n+2*n-1" is {(m, n): 1, (n,): 2, (): -1}."""
    if isinstance(size, int):
        return {(): size}
    found: dict[tuple[str, ...], int] = {}
    for sign, factors in _TERM.findall(size):
        names = tuple(sorted(factor for factor in factors.split("*") if not factor.isdecimal()))
        times = prod(int(factor) for factor in factors.split("*") if factor.isdecimal())
        found[names] = found.get(names, 0) + (-times if sign == "-" else times)
    return found


def _size_of(polynomial: Polynomial) -> Size:
    """The one way to write a size: products before names before numbers, what is taken away last."""
    kept = [(names, times) for names, times in polynomial.items() if times]
    if len(kept) > MOST_TERMS:
        raise MathError(f"a size that is a sum of more than {MOST_TERMS} terms")
    if any(len(names) > MOST_FACTORS for names, _ in kept):
        raise MathError(f"a size that is a product of more than {MOST_FACTORS} sizes")
    if all(not names for names, _ in kept):
        return sum(times for _, times in kept)
    text = ""
    for names, times in sorted(kept, key=lambda term: (term[1] < 0, -len(term[0]), term[0])):
        front = [] if abs(times) == 1 and names else [str(abs(times))]
        text += ("-" if times < 0 else "+") + "*".join([*front, *names])
    return text.removeprefix("+")


def plus(*sizes: Size) -> Size:
    """The sum of sizes: n+1."""
    total: dict[tuple[str, ...], int] = {}
    for size in sizes:
        for names, times in terms(size).items():
            total[names] = total.get(names, 0) + times
    return _size_of(total)


def times(*sizes: Size) -> Size:
    """The product of sizes: m*n."""
    total: dict[tuple[str, ...], int] = {}
    for choice in product(*(terms(size).items() for size in sizes)):
        names = tuple(sorted(name for part, _ in choice for name in part))
        total[names] = total.get(names, 0) + prod(factor for _, factor in choice)
    return _size_of(total)


def minus(a: Size, b: Size) -> Size:
    """The difference of sizes: n-1."""
    return plus(a, times(-1, b))


def quotient(size: Size, by: int) -> Size:
    """How often a number goes into a size: 2 goes h times into 2*h+1. A `MathError` where that is no size."""
    parts = terms(size)
    if any(names and count % by for names, count in parts.items()):
        raise MathError(
            f"how often {by} goes into {size} depends on its value",
            mend=f"a size that is a number, or a multiple of {by} such as {by}*h",
        )
    return _size_of({names: count // by for names, count in parts.items()})


@lru_cache(maxsize=1024)
def size_names(size: Size) -> tuple[str, ...]:
    """The names that a size is made of: m and n for m*n+1."""
    return tuple(dict.fromkeys(name for names in terms(size) for name in names))


def renamed(size: Size, names: Mapping[str, str]) -> Size:
    """A size with other names."""
    if size in names:
        return names[str(size)]
    return plus(*(times(k, *(names.get(x, x) for x in part)) for part, k in terms(size).items()))


class Lengths(dict[Size, int]):
    """The length of every size: of those that are given, of integers, and of what is made of them."""

    def __missing__(self, size: Size) -> int:
        if isinstance(size, int):
            return size
        if terms(size).keys() == {(size,)}:
            raise KeyError(size)
        return sum(k * prod(self[name] for name in names) for names, k in terms(size).items())

    def lengthen(self, needed: Iterable[Size], by: int) -> None:
        """Longer lengths, in steps of `by`, where what is `needed` would be negative."""
        needed = list(needed)
        for _ in range(MOST_LENGTHENED):
            growing = {
                name
                for size in needed
                if self[size] < 0
                for names, times in terms(size).items()
                if times > 0
                for name in names
            }
            if not growing:
                return
            self.update({name: self[name] + by for name in growing})


MOST_LENGTHENED = 200  # steps; what is still not there then is said where it is computed


# ------------------------------------------------------------------------------------------- shapes


def shape_text(shape: Shape) -> str:
    """A shape for people: N×d, d, or "a number"."""
    return "×".join(map(str, shape)) if shape else "a number"


def same(sizes: Iterable[Size]) -> Size:
    """The one size that all of `sizes` are."""
    first, *others = sizes
    for other in others:
        if other != first:
            raise MathError(f"the sizes {first} and {other} should be equal")
    return first


def contraction(indices: str, shapes: Sequence[Shape]) -> Shape:
    """The shape that `indices` ("ik,kj->ij") give operands of these shapes."""
    inputs, output = indices.split("->")
    found: dict[str, Size] = {}
    for letters, shape in zip(inputs.split(","), shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            found[letter] = same((found.get(letter, size), size))
    return tuple(found[letter] for letter in output)


def broadcast(a: Shape, b: Shape) -> Shape:
    """NumPy's broadcast shape, except that a vector never silently becomes a matrix.

    (N,) with (N, 1) would give (N, N), the commonest silent error in losses: that is a `MathError`.
    """
    rank = max(len(a), len(b))
    sizes: list[Size] = []
    for x, y in zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True):
        if x != y and 1 not in (x, y):
            raise MathError(f"the sizes {x} and {y} should be equal")
        sizes.append(y if x == 1 else x)
    result = tuple(sizes)
    if min(len(a), len(b)) == 1 and rank == 2 and result not in (a, b):
        vector, matrix = sorted((a, b), key=len)
        raise MathError(
            f"a vector of size {vector[0]} and a {shape_text(matrix)} matrix "
            f"would silently become a {shape_text(result)} matrix: say which was meant"
        )
    return result


def listed_axes(axis: object) -> tuple[int, ...]:
    """An axis, or several, as written: 0, (0, -1)."""
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if len(set(map(repr, axes))) < len(axes):
        raise MathError("an axis is given twice", facts=[f"the axes are {axes!r:.60}"])
    return axes


def listed_sizes(size: object) -> tuple[Size, ...]:
    """A size, or several, as written: "N", ("N", 3)."""
    return tuple(size) if isinstance(size, tuple | list) else (size,)  # type: ignore[return-value]


def axis_number(axis: int, rank: int) -> int:
    """`axis` counted from the front; negative axes count from the back, as in NumPy."""
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise MathError(f"an axis is a whole number, not {axis!r:.40}")
    if not -rank <= axis < rank:
        axes = {0: "no axes", 1: "one axis, 0"}.get(rank, f"axes 0 to {rank - 1}")
        raise MathError(f"there is no axis {axis} here: {axes}")
    return axis % rank
