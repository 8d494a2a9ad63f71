"""Which shapes do the parameters of a formula have? The largest that fit, where the user does not say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from gradstep.expression.errors import MathError
from gradstep.expression.shapes import Shape, shape_text
from gradstep.notation.declaring import declared
from gradstep.notation.mending import Slip
from gradstep.notation.parsing import Reader, parse_named
from gradstep.operations import FUNCTIONS

MOST_TRIALS = 20_000
WORD = re.compile(r"(?<![\w.])[A-Za-z]\w*(?!\w)(?!\s*\()")


def words(text: str) -> list[str]:
    """The names in a formula that are neither functions, nor given in it, nor keywords of a call."""
    given = set(re.findall(r"(?:^|[;\n])\s*([A-Za-z]\w*)\s*=(?!=)", text))
    known = {"axis", "keepdims", "size", "pi", "approximate", "none", *given}
    return [word for word in dict.fromkeys(WORD.findall(text)) if word not in known and word not in FUNCTIONS]


def completed(text: str, given: Mapping[str, Shape], rows: str) -> dict[str, Shape]:
    """`given` with a shape for every other name in `text`; no parameter has the axis `rows`.

    Of the shapes with which the formula is a number the largest are taken: w in X @ w has an entry for each
    feature, and a bias beside a matrix one for each column. Raises `MathError` where nothing fits.
    """
    sizes = list(dict.fromkeys(size for shape in given.values() for size in shape if size != rows))
    unknown = [word for word in words(text) if word not in given and word not in sizes and word != rows]
    if not unknown:
        return dict(given)
    choices: list[Shape] = [(), *((size,) for size in sizes), *itertools.product(sizes, repeat=2)]
    if len(choices) ** len(unknown) > MOST_TRIALS:
        raise _ask(text, unknown, f"{len(unknown)} shapes are too many to guess")
    trials = [
        {**given, **dict(zip(unknown, shapes, strict=True))}
        for shapes in _largest_first(choices, len(unknown))
    ]
    for trial in trials:
        if _rank(text, trial) == 0:
            return trial
    trial = next((each for each in trials if _rank(text, each) is not None), trials[len(trials) // 2])
    parsed = parse_named(text, shapes={name: list(shape) for name, shape in trial.items()})
    raise MathError(
        f"a loss is one number, but this is {shape_text(parsed.expr.shape)}",
        source=text,
        mend=f"mean({text})",
    )


def _largest_first(choices: Sequence[Shape], count: int) -> Iterable[tuple[Shape, ...]]:
    every = itertools.product(choices, repeat=count)
    return sorted(every, key=lambda shapes: -sum(map(len, shapes)))


def _rank(text: str, shapes: Mapping[str, Shape]) -> int | None:
    """How many axes the formula has with these shapes; None where they do not fit."""
    try:
        return Reader(text, declared(shapes)).parsed().expr.rank
    except (MathError, Slip):
        return None


def _ask(text: str, unknown: Sequence[str], why: str) -> MathError:
    listed = " ".join(f"{name}:…" for name in unknown)
    return MathError(
        f"the shapes of {', '.join(unknown)} cannot be worked out: {why}",
        source=text,
        facts=["such as  W1:d,16 b1:16 w2:16 b2:  (b2 is a number)"],
        mend=f"{listed} after the table",
    )
