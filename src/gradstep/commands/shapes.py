"""Which shapes do the parameters of a formula have? The largest that fit, where the user does not say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.shapes import Shape, shape_text
from gradstep.notation.calling import LIBRARIES
from gradstep.notation.declaring import declared
from gradstep.notation.mending import Slip
from gradstep.notation.parsing import Reader, parse_named
from gradstep.operations import FUNCTIONS

if TYPE_CHECKING:
    from gradstep.notation import typed
else:
    typed = late("gradstep.notation.typed")

MOST_TRIALS = 20_000
MOST_MENDS = 40  # shapes with which a mend is looked for
WORD = re.compile(r"(?<![\w.\\])[A-Za-z][A-Za-z0-9_]*(?![A-Za-z0-9_])(?!\s*\()")


def words(text: str) -> list[str]:
    """The names in a formula that are neither functions, nor given in it, nor keywords of a call."""
    given = set(re.findall(r"(?:^|[;\n])\s*([A-Za-z]\w*)\s*=(?!=)", text))
    known = {"axis", "keepdims", "size", "pi", "approximate", "none", *FUNCTIONS, *given}
    known |= {name for name in re.findall(r"(?<![\w.])([A-Za-z]\w*)\s*\.", text) if name in LIBRARIES}
    return [word for word in dict.fromkeys(WORD.findall(text)) if word not in known]


def mentioned_of(usual: Mapping[str, Shape], text: str) -> dict[str, Shape]:
    """The usual variables that a formula is about; on paper it may be so by rows xᵢ and entries y_i alone."""
    found = set(words(text))
    entries = {word.split("_")[0] for word in found} if typed.WRITTEN.search(text) else set()
    rows = {word.upper() for word in entries if word not in usual}
    return {name: shape for name, shape in usual.items() if name in found | entries | rows}


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
    fitting = _fitting(text, given, unknown, choices)
    trial = next((each for each in fitting if _rank(text, each) == 0), None)
    if trial is not None:
        return trial
    every = list(_largest_first(choices, len(unknown)))
    if not fitting:
        _mend(text, given, unknown, choices)
    trial = fitting[0] if fitting else {**given, **dict(zip(unknown, every[len(every) // 2], strict=True))}
    parsed = parse_named(text, shapes={name: list(shape) for name, shape in trial.items()})
    raise MathError(
        f"a loss is one number, but this is {shape_text(parsed.expr.shape)}",
        source=text,
        mend=f"mean({text})",
    )


def _mend(text: str, given: Mapping[str, Shape], unknown: Sequence[str], choices: Sequence[Shape]) -> None:
    """Raises the error for the largest shapes with which something would mend it."""
    paper = typed.WRITTEN.search(text)
    onto = as_on_paper(text, given, unknown, choices) if paper else None
    for shapes in itertools.islice(_largest_first(choices, len(unknown)), MOST_MENDS):
        trial = {**given, **dict(zip(unknown, shapes, strict=True))}
        try:
            parse_named(text, shapes={name: list(shape) for name, shape in trial.items()})
        except MathError as error:
            if paper and " instead of " not in (error.mend or ""):
                error.mend = onto
            if paper or error.mend is not None:
                raise


def as_on_paper(
    text: str, given: Mapping[str, Shape], unknown: Sequence[str], choices: Sequence[Shape]
) -> str | None:
    """What is written as mathematics as it is typed: the shortest that is a number for some shapes."""
    bare = dict.fromkeys(word.split("_")[0] for word in unknown)  # y_i and xᵢ are entries and rows
    names = [word for word in bare if not {word, word.upper()} & given.keys()]
    found = []
    every = sorted(_largest_first(choices, len(names)), key=lambda s: any(len(shape) > 1 for shape in s))
    for shapes in every[:MOST_MENDS]:
        trial = {**given, **dict(zip(names, shapes, strict=True))}
        formula = typed.typed(text, declared(trial))
        if formula is not None and _rank(formula, trial) == 0:
            found.append(formula)
    return min(found, key=len, default=None)


def _fitting(
    text: str, given: Mapping[str, Shape], unknown: Sequence[str], choices: Sequence[Shape]
) -> list[dict[str, Shape]]:
    """The shapes with which the formula can be read, the largest first.

    They are found statement by statement: what does not fit in one cannot fit in all.
    """
    trials: list[dict[str, Shape]] = [dict(given)]
    fitting: list[dict[str, Shape]] = []
    for end in [*(match.start() for match in re.finditer(r"[;\n]", text)), len(text)]:
        mentioned = words(text[:end])
        new = [word for word in unknown if word in mentioned and word not in trials[0]]
        if not new and end < len(text):
            continue
        wider = [
            {**trial, **dict(zip(new, shapes, strict=True))}
            for trial in trials
            for shapes in itertools.product(choices, repeat=len(new))
        ]
        fitting = [trial for trial in wider if _rank(text[:end], trial) is not None]
        trials = fitting or wider  # a statement may go on in the next line
    at = {shape: k for k, shape in enumerate(choices)}
    return sorted(fitting, key=lambda t: (-sum(len(t[w]) for w in unknown), [at[t[w]] for w in unknown]))


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
