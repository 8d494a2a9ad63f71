"""What does a sum come to, exactly? The same for any order of its terms, and on any machine.

A number is cut into digits of 20 bits at places that are the same for all numbers. A product of two digits
has at most 38 bits, so thousands of products add up in float64 without rounding: in whatever order, and with
whatever kernel, the processor adds them, the digits of the sum are these integers. Only the finished sum is
rounded, once. (Ozaki, Ogita, Oishi & Rump 2012 cut products of matrices so; here the places are fixed, so
that the sums of parts add up as well.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Digits: TypeAlias = list[tuple[int, Array]]

WIDTH = 20  # bits of a digit, which lies between −2¹⁹ and 2¹⁹
BASE, HALF = 1 << WIDTH, 1 << (WIDTH - 1)
TERMS = 1 << 12  # products that are added up in float64: 2·19 + 12 bits are fewer than 53
PARTS = 1 << 8  # sums of so many terms that are added up in 64 bits before digits are carried
FAR = 50  # places whose worth is a number in float64
RANGE = 960  # numbers that are smaller by so many bits are cut by themselves


def digits(values: Array) -> Digits:
    """Finite numbers as Σ dₖ 2²⁰ᵏ: the places k that occur, and the digits there, whole numbers in float64.

    The digits of a number depend on that number alone.
    """
    top = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if not top:
        return []
    place = -((WIDTH - 1 - math.frexp(top)[1]) // WIDTH)  # the first where no digit is above 2¹⁹
    if place > 0:  # what is scaled down must not leave the range
        sizes, least = np.abs(values), 2.0 ** (WIDTH * place - RANGE)
        small = (sizes < least) & (sizes > 0)
        if small.any():
            return [*digits(np.where(small, 0.0, values)), *digits(np.where(small, values, 0.0))]
    rest = np.ldexp(values, -WIDTH * place) if abs(place) > FAR else values * 2.0 ** (-WIDTH * place)
    found = []
    while True:
        whole = np.rint(rest)
        found.append((place, whole))
        np.subtract(rest, whole, out=rest)
        if not rest.any():
            return found
        np.multiply(rest, BASE, out=rest)
        place -= 1


class Sum:
    """A sum that is not rounded yet: `digits[k]` counts how often 2²⁰ᵏ, for each entry.

    `special` is what entries that are not finite come to, and 0 elsewhere. `parts` is how much has been added
    up since digits were carried.
    """

    __slots__ = ("digits", "parts", "shape", "special")

    def __init__(
        self,
        shape: tuple[int, ...],
        digits: Mapping[int, Array],
        special: Array | None = None,
        parts: int = 1,
    ) -> None:
        self.shape, self.digits, self.special, self.parts = shape, dict(digits), special, parts

    def __add__(self, other: Sum) -> Sum:
        one, two = (each if each.parts < PARTS else each.carried() for each in (self, other))
        found = dict(one.digits)
        for place, digit in two.digits.items():
            found[place] = found[place] + digit if place in found else digit
        special = one.special
        if two.special is not None:
            with np.errstate(invalid="ignore"):
                special = two.special if special is None else special + two.special
        return Sum(self.shape, found, special, one.parts + two.parts)

    def carried(self) -> Sum:
        """The same sum in the only digits between −2¹⁹ and 2¹⁹ that make it."""
        if not self.digits:
            return Sum(self.shape, {}, self.special)
        found: dict[int, Array] = {}
        place, last, carry = min(self.digits), max(self.digits), np.zeros(self.shape, np.int64)
        while place <= last or carry.any():
            here = self.digits[place] + carry if place in self.digits else carry
            carry = (here + HALF) >> WIDTH
            found[place] = here - (carry << WIDTH)
            place += 1
        return Sum(self.shape, found, self.special)

    def fractions(self) -> list[Fraction]:
        """The sum as it is, entry by entry; not for entries that are not finite."""
        found = [Fraction(0)] * math.prod(self.shape)
        for place, digit in self.digits.items():
            unit = Fraction(2) ** (WIDTH * place)
            found = [one + int(d) * unit for one, d in zip(found, digit.reshape(-1), strict=True)]
        return found

    def rounded(self) -> Array:
        """The sum in float64, of its digits from the last to the first: off by the last bit at most."""
        total = np.zeros(self.shape)
        with np.errstate(over="ignore"):
            for place, digit in sorted(self.carried().digits.items()):
                total = total + np.ldexp(digit.astype(np.float64), WIDTH * place)
        return total if self.special is None else total + self.special


class Cuts:
    """Arrays that have been cut into digits: one that is used twice, perhaps transposed, is cut once."""

    def __init__(self) -> None:
        self.known: dict[object, tuple[Array, Digits]] = {}

    def __call__(self, values: Array) -> Digits:
        order = sorted(range(values.ndim), key=lambda axis: -abs(values.strides[axis]))
        lying = values.transpose(order)
        key = (lying.ctypes.data, lying.shape, lying.strides)
        if key not in self.known:
            self.known[key] = (
                values,
                digits(lying),
            )  # which is kept, so that nothing else comes to lie there
        back = np.argsort(order)
        return [(place, digit.transpose(back)) for place, digit in self.known[key][1]]


def contracted(indices: str, *values: Array, cut: Callable[[Array], Digits] = digits) -> Sum:
    """Σ over the letters that `indices`, "ij,jk->ik", lacks on the right: of an array, or of products of two.

    A letter stands for one axis in each array. `cut` is what cuts arrays into digits.
    """
    inputs, output = indices.split("->")
    letters = inputs.split(",")
    if not output and len(set(letters)) == 1:
        letters, values = ["i"] * len(values), tuple(array.reshape(-1) for array in values)
    shapes = [dict(zip(each, array.shape, strict=True)) for each, array in zip(letters, values, strict=True)]
    lengths = {x: n for each in shapes for x, n in each.items()}
    shape, special = tuple(lengths[x] for x in output), None
    if not all(np.isfinite(array).all() for array in values):
        with np.errstate(all="ignore"):
            worth = np.einsum(f"{','.join(letters)}->{output}", *values)
        special = np.where(np.isfinite(worth), 0.0, worth)
        values = tuple(np.where(np.isfinite(array), array, 0.0) for array in values)
    summed = [x for x in lengths if x not in output]
    cuts = [cut(np.asarray(array, np.float64)) for array in values]
    longest = max(summed, key=lengths.__getitem__, default="")
    others = "".join(x for x in summed if x != longest)
    total: dict[int, Array] = {}
    parts = math.prod(lengths[x] for x in others)
    for start in range(0, lengths.get(longest, 1), TERMS):
        here = slice(start, start + TERMS)
        cuts_here = [
            [
                (place, array[tuple(here if x == longest else slice(None) for x in each)])
                for place, array in pieces
            ]
            for each, pieces in zip(letters, cuts, strict=True)
        ]
        for place, product in _products(letters, others + output, cuts_here):
            found = product.astype(np.int64).sum(axis=tuple(range(len(others))))
            total[place] = total[place] + found if place in total else found
        parts += 1
    made = Sum(shape, total, special, max(1, parts))
    return made.carried() if parts >= PARTS else made


def _products(letters: list[str], output: str, cuts: list[Digits]) -> Iterator[tuple[int, Array]]:
    """The sums of the digits of one array, or of products of those of two, and at which places they stand."""
    if len(cuts) == 1:
        for place, digit in cuts[0]:
            yield place, np.einsum(f"{letters[0]}->{output}", digit)
        return
    left, right = letters
    common = [x for x in left if x in right]
    rows = [x for x in left if x not in right and x in output]
    columns = [x for x in right if x not in left and x in output]
    shared, along = [x for x in common if x in output], [x for x in common if x not in output]

    def matrices(digits: Digits, own: str, order: list[str]) -> Digits:
        """Each as a stack of matrices; a letter that only this array has is summed over."""
        lost = tuple(k for k, x in enumerate(own) if x not in order)
        rest = [x for x in own if x in order]
        axes = [rest.index(x) for x in order]
        return [(place, (each.sum(axis=lost) if lost else each).transpose(axes)) for place, each in digits]

    lefts = matrices(cuts[0], left, shared + rows + along)
    rights = matrices(cuts[1], right, shared + along + columns)
    if not lefts or not rights:
        return
    sizes = dict(zip(shared + rows + along, lefts[0][1].shape, strict=True))
    sizes |= dict(zip(shared + along + columns, rights[0][1].shape, strict=True))

    def length(names: list[str]) -> int:
        return math.prod(sizes[x] for x in names)

    batch = [length(shared)] if shared else []
    first, second = [*batch, length(rows), length(along)], [*batch, length(along), length(columns)]
    made = shared + rows + columns
    axes = [made.index(x) for x in output]
    # The digits of the one on the right side by side, so that the other is read once.
    side_by_side = np.concatenate([b.reshape(second) for _, b in rights], axis=-1)
    for one, a in lefts:
        products = np.split(a.reshape(first) @ side_by_side, len(rights), axis=-1)
        for (other, _), product in zip(rights, products, strict=True):
            yield one + other, product.reshape([sizes[x] for x in made]).transpose(axes)
