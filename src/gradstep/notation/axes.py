"""Which axes become indices in a view, and what letters do they get?

An axis that counts matrices, one for each head or for each text, becomes an index in every view: what is
written is a line about matrices. In the sample view the axis of examples does too, in the index view all do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from gradstep.calculus.steps import Derivation
from gradstep.expression.boxes import Box
from gradstep.expression.node import Expr, Operation, walk
from gradstep.expression.shapes import Size, size_names
from gradstep.notation.lowering import INDEX_LETTERS, Lowering
from gradstep.notation.plain import line
from gradstep.operations.entries import PLACED, reshape_op
from gradstep.operations.leaves import size_op
from gradstep.operations.lengths import SLIDING

MATRIX = 2  # axes that notation has: rows and columns
FEW = 2  # variables that a sentence lists


def counting_axes(derivation: Derivation) -> tuple[Size, ...]:
    """The sizes that count matrices, where arrays have more than two axes.

    As few as leave each array with rows and columns; first those that stand most often in front, and least
    often last. A Jacobian with more axes stands as it is, entry by entry.
    """
    if any(node.op in SLIDING for node in _formulas(derivation)):
        return ()  # W ⋆ X is written whole
    shapes = Counter(node.shape for node in _formulas(derivation) if node.rank > MATRIX)
    worth: Counter[Size] = Counter()
    for shape, times in shapes.items():
        for k, size in enumerate(shape):
            worth[size] += times if k < len(shape) - MATRIX else -times
    found: list[Size] = []
    for size, _ in worth.most_common():
        if any(sum(other not in found for other in shape) > MATRIX for shape in shapes):
            found.append(size)
    return tuple(found)


def _formulas(derivation: Derivation) -> Iterator[Expr]:
    """Every part of the loss and of the gradients; of a Jacobian of the function alone."""
    if derivation.kind in ("jacobian", "hessian"):
        return walk(derivation.of)
    return walk(derivation.of, *derivation.cotangents.values(), *derivation.answers.values())


def counting_letters(
    derivation: Derivation, sizes: Sequence[Size], taken: Container[str], placed: Container[Operation]
) -> Mapping[Size, str]:
    """The indices that go by the name of what they count: h for each head, b for each of B.

    Not where that name also says how many there are: where a formula computes with it, or an index with
    operations that are `placed` by it (x at n − 1 − i).
    """
    numbers = set[str]()
    for node in _formulas(derivation):
        if node.op is size_op:
            numbers.update(size_names(node.params[0]))
        elif node.op in placed:
            numbers.update(
                name for part in (node, *node.args) for size in part.shape for name in size_names(size)
            )
    found: dict[Size, str] = {}
    for size in sizes:
        letter = str(size)[:1].lower()
        if letter.isalpha() and letter not in {*numbers, *found.values()} and letter not in taken:
            found[size] = letter
    return found


def lowering(derivation: Derivation, view: str, batch: Size | None, known: Mapping[str, Expr]) -> Lowering:
    """What becomes an index in this view of a derivation whose variables are `known`."""
    names = {**{name: node for node, name in derivation.names.items()}, **known}
    sizes = {size for node in known.values() for size in node.shape}
    reserved = frozenset(map(str, {*names, *sizes, *(name for size in sizes for name in size_names(size))}))
    own = next(letter for letter in (*INDEX_LETTERS, "ι") if letter not in reserved)
    counting = counting_axes(derivation)
    letters: dict[Size, str] = {batch: own} if batch else {}
    letters |= counting_letters(
        derivation, counting, names, PLACED | {reshape_op} if view == "index" else PLACED
    )
    lowered = (batch, *counting) if batch and view == "sample" else counting
    return Lowering(
        None if view == "index" else lowered,
        {part for part in derivation.parts if part is not derivation.of},
        letters,
        reserved,
        {node for name, node in names.items() if node.rank > 1 and name[0].lower() + name[1:] in names},
    )


def stacked_words(named: Iterable[Expr], lower: Lowering, write: Callable[[Expr], Box]) -> str:
    """Q_h is matrix h of Q, K_h of K, for every h."""
    told: list[str] = []
    letters: list[str] = []
    for variable in named:
        at = lower.indices(variable)
        own = [i for i in at if i]
        if variable.rank > MATRIX and own and len(at) == len(own) + MATRIX:
            matrix = "" if told else f"is matrix {', '.join(own)} "
            told.append(f"{line(write(lower(variable, at)))} {matrix}of {line(write(variable))}")
            letters += [i for i in own if i not in letters]
    return f"{', '.join(told[:FEW])}, for every {' and '.join(letters)}" if told else ""
