"""What does a user say about variables? Their shapes, `X="N d"` or `X:N,d`, and what is known of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, Size, shape_text, size_names
from gradstep.notation.mending import nearest, printable
from gradstep.operations.leaves import KNOWN_ASSUMPTIONS, checked_name, checked_size, symbol

MOST_AXES = 4
SQUARE = frozenset(KNOWN_ASSUMPTIONS) - {"positive", "rows sum to one"}

Given = str | int | Sequence[Size]  # a shape as a user writes it: "N d", "N,d", ("N", "d"), 3
Assumptions = Mapping[str, str | Iterable[str]]


def declared(shapes: Mapping[str, Given], assume: Assumptions | None = None) -> dict[str, Expr]:
    """The variables of these shapes, by name; `assume` says what is known of some of them.

    Raises `MathError` for a name or a size that cannot be, for a name that is both, and for an assumption
    that is unknown or does not fit the shape.
    """
    for name in shapes:
        checked_name(name)
    read = {name: shape_of(name, given) for name, given in shapes.items()}
    for name, shape in read.items():
        for size in (part for whole in shape for part in size_names(whole)):
            if size in read:
                raise MathError(
                    f"{size} is both a variable and a size",
                    facts=[f"{name} is {shape_text(shape)}", f"{size} is {shape_text(read[size])}"],
                    mend=f"another name for one of them, {_other_name(size, read)}",
                )
    known = _assumptions(assume, read)
    return {name: symbol(name, shape, known.get(name, ())) for name, shape in read.items()}


def _other_name(name: str, taken: Mapping[str, Shape]) -> str:
    sizes = {size for shape in taken.values() for size in shape}
    return next(
        new for k in range(len(taken) + len(sizes) + 1) if (new := f"{name}_{k}") not in {*taken, *sizes}
    )


def shape_of(name: str, given: object) -> Shape:
    """The shape that a user gives a variable: "N d", "N,d", ("N", "d"), [3, "d"], 3; "" is a number."""
    if isinstance(given, str):
        source = f"{name}:{printable(given)}"
        pieces: Iterable[tuple[object, int]] = (
            (piece[0], len(name) + 1 + piece.start()) for piece in re.finditer(r"[^\s,]+", given)
        )
    elif isinstance(given, list | tuple):
        source, pieces = None, ((piece, 0) for piece in given)
    elif isinstance(given, int) and not isinstance(given, bool):
        source, pieces = None, [(given, 0)]
    else:
        kind = type(given).__name__
        raise MathError(f"a shape is text, not {kind}", facts=[f"the shape of {name}"], mend=f'{name}="N d"')
    sizes: list[Size] = []
    for piece, start in pieces:
        try:
            sizes.append(checked_size(piece))
        except MathError as error:
            if source is not None:
                raise error.at(source, (start, start + len(str(piece)))) from None
            error.facts += (f"in the shape of {name}",)
            raise
    if len(sizes) > MOST_AXES:
        raise MathError(f"{name} has {len(sizes)} axes", facts=[f"at most {MOST_AXES} are possible"])
    return tuple(sizes)


def shapes_from_arguments(arguments: Iterable[str]) -> dict[str, Shape]:
    """The shapes in a command line: ["X:N,d", "b:"] gives {"X": ("N", "d"), "b": ()}."""
    shapes: dict[str, Shape] = {}
    said: dict[str, str] = {}
    for argument in arguments:
        name, colon, sizes = argument.partition(":")
        if not colon:
            raise MathError(
                f"{argument!r:.60} is no variable with a shape",
                mend="X:N,d for a matrix, w:d for a vector, b: for a number",
            )
        try:
            checked_name(name)
        except MathError as error:
            raise error.at(printable(argument), (0, max(1, len(name)))) from None
        if name in shapes:
            raise MathError(f"{name} is declared twice", facts=[said[name], printable(argument)])
        shapes[name], said[name] = shape_of(name, sizes), printable(argument)
    return shapes


def _assumptions(assume: Assumptions | None, shapes: Mapping[str, Shape]) -> dict[str, list[str]]:
    """What is known of each variable, checked."""
    found: dict[str, list[str]] = {}
    if assume is not None and not isinstance(assume, Mapping):
        raise MathError("assumptions are given by variable", mend='assume={"S": "symmetric"}')
    for name, words in (assume or {}).items():
        if name not in shapes:
            close = nearest(str(name), shapes)
            raise MathError(
                f"{name} is assumed to be something, but is no variable",
                facts=[f"the variables are {', '.join(shapes) or 'none'}"],
                mend=" or ".join(close) or None,
            )
        if not isinstance(words, str | list | tuple | set | frozenset):
            raise MathError(
                f"what is known of {name} is said in words", mend=f'assume={{"{name}": "symmetric"}}'
            )
        listed = [words] if isinstance(words, str) else [*words]
        for word in listed:
            _check_assumption(name, shapes[name], word)
        found[name] = sorted(set(listed))
    return found


def _check_assumption(name: str, shape: Shape, word: str) -> None:
    if word not in KNOWN_ASSUMPTIONS:
        raise MathError(
            f"gradstep does not know the assumption {word!r}",
            facts=[f"known: {', '.join(KNOWN_ASSUMPTIONS)}"],
            mend=" or ".join(nearest(str(word), KNOWN_ASSUMPTIONS)) or None,
        )
    if word in SQUARE and (len(shape) < 2 or shape[-1] != shape[-2]):
        raise MathError(f"only a square matrix is {word}", facts=[f"{name} is {shape_text(shape)}"])
    if word == "rows sum to one" and not shape:
        raise MathError("a number has no rows to sum", facts=[f"{name} is {shape_text(shape)}"])
