"""Where in the user's text was a part of a formula written? For errors that come later than reading."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from gradstep.expression.node import Expr

Place = tuple[str, tuple[int, int]]  # the text, and the (start, end) columns in it

_PLACES: WeakKeyDictionary[Expr, Place] = WeakKeyDictionary()


def written(expr: Expr, source: str, span: tuple[int, int]) -> None:
    """From here on `expr` is known to stand there; where it stands twice, the first place counts."""
    _PLACES.setdefault(expr, (source, span))


def place_of(expr: Expr) -> Place | None:
    """The text and the columns where `expr` was read, if it was."""
    return _PLACES.get(expr)
