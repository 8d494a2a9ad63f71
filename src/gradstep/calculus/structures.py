"""What is the derivative along the independent entries of a structured matrix? (The Matrix Cookbook, 2.8.)

Where Xᵢⱼ and Xⱼᵢ are one variable, moving it moves both entries, and both slopes count. The gradient G of
independent entries is worked out first; what it becomes is checked for what it is: the slope of the loss
itself when X moves inside its structure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from gradstep.calculus.field import Direction, Point
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.expression.shapes import shape_text
from gradstep.operations.broadcasting import spread
from gradstep.operations.diagonals import eye
from gradstep.operations.leaves import number
from gradstep.operations.toeplitz import diagonal_sums

if TYPE_CHECKING:
    from gradstep.calculus import floating
else:
    floating = late("gradstep.calculus.floating")

Place = tuple[int, int]


@record
class Structure:
    """A kind of structured matrix.

    gradient  what the gradient of independent entries becomes; of an array, what its last two axes become.
              The matrix with a single one becomes the direction in which that entry moves
    moves     (moved, other) -> whether the entry at `other` moves when the one at `moved` does
    """

    rule: str
    why: str
    gradient: Callable[[Expr], Expr]
    moves: Callable[[Place, Place], bool]


def _on_diagonal(G: Expr) -> Expr:
    return G * spread(eye(G.shape[-1]), G.shape)


def _symmetric(G: Expr) -> Expr:
    return G + G.mT - _on_diagonal(G)


STRUCTURES: Mapping[str, Structure] = {
    "symmetric": Structure(
        "derivative along a symmetric matrix",
        "the entries Xᵢⱼ and Xⱼᵢ are one variable: both slopes count, on the diagonal the only one",
        _symmetric,
        lambda moved, other: other in (moved, moved[::-1]),
    ),
    "diagonal": Structure(
        "derivative along a diagonal matrix",
        "only the entries on the diagonal are variables",
        _on_diagonal,
        lambda moved, other: moved == other and moved[0] == moved[1],
    ),
    "toeplitz": Structure(
        "derivative along a Toeplitz matrix",
        "all entries on one diagonal are one variable: their slopes are added, α(G)",
        diagonal_sums,
        lambda moved, other: moved[1] - moved[0] == other[1] - other[0],
    ),
    "symmetric toeplitz": Structure(
        "derivative along a symmetric Toeplitz matrix",
        "all entries on two mirrored diagonals are one variable: their slopes are added, α(G) + α(G)ᵀ",
        lambda G: _symmetric(diagonal_sums(G)),
        lambda moved, other: abs(moved[1] - moved[0]) == abs(other[1] - other[0]),
    ),
}


@record
class Inside:
    """How a parameter moves inside its structure, and its gradient as if all entries were independent."""

    kind: str
    gradient: Expr

    @property
    def structure(self) -> Structure:
        """The record of this kind."""
        return STRUCTURES[self.kind]


def structure_of(name: str, kind: object, variable: Expr) -> Structure:
    """The record of `kind`, which must fit `variable`."""
    found = STRUCTURES.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise MathError(
            f"gradstep does not know the structure {kind!r:.60}", facts=[f"known: {', '.join(STRUCTURES)}"]
        )
    if variable.rank != 2 or variable.shape[0] != variable.shape[1]:
        raise MathError(f"only a square matrix is {kind}", facts=[f"{name} is {shape_text(variable.shape)}"])
    return found


# ------------------------------------------------------------------------------------------- the check


def directions(kind: str, n: int) -> Iterable[tuple[list[Place], list[int]]]:
    """The places that share a variable, and the direction in which it moves; each variable once."""
    moves = STRUCTURES[kind].moves
    every = [(i, j) for i in range(n) for j in range(n)]
    seen: set[Place] = set()
    for moved in every:
        if moved not in seen:
            step = [int(moves(moved, other)) for other in every]
            together = [other for other, moving in zip(every, step, strict=True) if moving] or [moved]
            seen.update(together)
            yield together, step


@record
class Along:
    """A claim: the answer holds the slopes of `of` when `variable` moves inside its structure."""

    step: int
    rule: str
    what: str
    by_law: bool
    of: Expr
    variable: Expr
    answer: Expr
    kind: str

    @property
    def exprs(self) -> Iterable[Expr]:
        """Everything that is evaluated."""
        return number(1), self.of, self.variable, self.answer

    @property
    def halves(self) -> tuple[Iterable[Expr], Iterable[Expr]]:
        """What is evaluated on either side."""
        return (self.of,), (self.answer,)

    def frontier(self) -> Iterable[Expr]:
        """The variable, which moves by itself."""
        return ()

    def exchanged(self, table: Mapping[Expr, Expr]) -> Along:
        """The whole is looked at."""
        return self

    def sides(self, point: Point, moving: Collection[Expr] = ()) -> Iterator[Sequence[int]]:
        """The slopes in every direction, and the entries of the answer at their places."""
        n = point.dims(self.variable.shape)[0]
        slopes, at = [], []
        for places, step in directions(self.kind, n):
            change = Direction(point, {self.variable: step}).of(self.of)
            slopes += [0 if change is None else change[0]] * len(places)
            at += [i * n + j for i, j in places]
        yield slopes
        answer = point.value(self.answer)
        yield [answer[k] for k in at]

    def keeps_points(self, rng: Random) -> bool:
        """Whether the right side is known to have a real value wherever the left one has."""
        return False

    def compare(self, moving: Collection[Expr], rng: Random) -> floating.Comparison:
        """The same in floating point."""
        ways = partial(directions, self.kind)
        return floating.compare_slopes(self.of, self.variable, self.answer, ways, rng)
