"""What sizes does an expression have along its axes?

A size is a name ("N") or an integer; a shape is a tuple of sizes, leading axes first, as in NumPy. Shape
rules raise a `MathError` that says what is wrong; who called adds where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradstep.expression.errors import MathError

Size = str | int
Shape = tuple[Size, ...]


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


def axis_number(axis: int, rank: int) -> int:
    """`axis` counted from the front; negative axes count from the back, as in NumPy."""
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise MathError(f"an axis is a whole number, not {axis!r:.40}")
    if not -rank <= axis < rank:
        axes = {0: "no axes", 1: "one axis, 0"}.get(rank, f"axes 0 to {rank - 1}")
        raise MathError(f"there is no axis {axis} here: {axes}")
    return axis % rank
