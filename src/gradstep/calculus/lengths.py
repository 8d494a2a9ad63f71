"""Which lengths may the sizes of a formula have? Those for which no inverted matrix is singular by its sizes.

XᵀX of an m×p matrix X has an inverse only where m ≥ p: lengths are drawn again until all inverses exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from gradstep.calculus.chances import draw_sizes
from gradstep.calculus.elimination import eliminated
from gradstep.calculus.field import NotInField, Point, Redraw, Singular
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Lengths, Size
from gradstep.operations.inverses import INVERTED

DRAWS = 40
LOOKS = 3  # points at which a matrix may be singular by chance, or by the lack of a root
PRIME = 2**61 - 1


def fitting_sizes(nodes: Sequence[Expr], draws: int, rng: Random, literal: bool = False) -> list[Lengths]:
    """`draw_sizes`, such that the matrices that are inverted among the nodes have inverses."""
    inverted = [node.args[0] for node in nodes if node.op in INVERTED]
    if not inverted:
        return draw_sizes(nodes, draws, rng, literal)
    fitting: list[Lengths] = []
    drawn: list[Lengths] = []
    for _ in range(DRAWS):
        drawn = draw_sizes(nodes, draws, rng, literal)
        fitting += [s for s in drawn if s not in fitting and _invertible(inverted, s, rng)]
        if len(fitting) >= draws:
            return fitting[:draws]
        if all(size == length for size, length in drawn[0].items()):  # there are no others
            break
    return (fitting * draws)[:draws] or draw_sizes(nodes, draws, rng, literal=True)


def smallest_sizes(nodes: Sequence[Expr], rng: Random) -> Lengths:
    """Lengths at which little is worked out: the smallest, also where that makes several the same."""
    (smallest,) = draw_sizes(nodes, 1, rng, alike=True)
    inverted = [node.args[0] for node in nodes if node.op in INVERTED]
    return smallest if _invertible(inverted, smallest, rng) else fitting_sizes(nodes, 1, rng)[0]


def _invertible(matrices: Sequence[Expr], sizes: Mapping[Size, int], rng: Random) -> bool:
    """Whether these matrices have inverses at some point with these lengths."""
    for _ in range(LOOKS):
        point = Point(PRIME, sizes, rng)
        try:
            return all(eliminated(PRIME, point.value(matrix))[0] is not None for matrix in matrices)
        except Singular:
            return False
        except Redraw:
            continue
        except NotInField:
            return True
    return True
