"""Which network was asked for? A loss in the user's own words, or the widths of hidden layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.commands.shapes import completed, mentioned_of
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import Shape
from gradstep.learn.encoding import Prepared
from gradstep.learn.models import Model, own_model
from gradstep.notation.parsing import names_of, parse

USUAL: Mapping[str, Shape] = {"X": ("N", "d"), "y": ("N",), "Y": ("N", "k")}  # what data are


def written_model(
    text: str, declared: Mapping[str, Shape], prepared: Prepared, numbers: Sequence[str] = ()
) -> Model:
    """The loss that a text writes, of X and y, or of classes Y; `numbers` in it are set, not trained.

    Shapes that are not `declared` are worked out.
    """
    usual = {**USUAL, **{name: () for name in numbers}}
    given = mentioned_of(usual, text) | dict(declared)
    shapes = completed(text, given, rows="N")
    one_hot = {"Y": "rows sum to one"} if prepared.classes and len(shapes.get("Y", ())) == 2 else None
    loss = parse(text, {name: list(shape) for name, shape in shapes.items()}, assume=one_hot)
    return own_model(loss, prepared, names_of(loss), numbers)


def widths(text: str) -> list[int]:
    """32,16 as numbers."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(part.isdigit() and len(part) < 9 for part in parts):
        raise MathError(
            f"the widths of hidden layers are whole numbers, not {text!r:.40}", mend="--hidden 32,16"
        )
    return [int(part) for part in parts]
