"""What may be wrong, though a training runs? One line for each fault: which column, how many rows, why.

`CHECKS` are those of data and loss, before a step is taken; where it has ended is looked at in `endings.py`.
What no training can run on (NaN, shapes that do not fit, no rows) is a `MathError` long before: `arrays.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.node import walk
from gradstep.learn.known import MOST_ROWS, Known, Place, Sum, called
from gradstep.learn.moments import FLAT
from gradstep.learn.scaling import Array, distinct
from gradstep.learn.structure import moving
from gradstep.learn.twins import Twin, twins
from gradstep.operations.evaluation import variables
from gradstep.operations.rowwise import softmax_op

EXACT = 2**53  # float64 rounds larger whole numbers
MOST_PAIRS = 1000
MOST_TOLD = 3
MOST_TERMS = 4
COARSE = 0.01  # of a spread: numbers that lie no nearer to each other are rounded too much
UNLIKE = 1e4
FAR = 1e3  # spreads
SLACK = 1e-9
OUTLYING = 1e4  # times as far out as half of the numbers lie apart
TINY = 1e-150

# ------------------------------------------------------------------------------------------- data and loss


def unvarying(seen: Known) -> Iterator[str]:
    """Features that are the same in every row."""
    for name in seen.features if seen.rows > 1 else ():
        flat = np.flatnonzero(seen.spans[name].low == seen.spans[name].high)
        if not len(flat):
            continue
        if seen.plan.data[name].ndim == 1:
            yield f"{name} is the same in every row, so there is nothing to learn from it"
            continue
        called = [seen.names[name][k] if name in seen.names else str(k) for k in flat[:5]]
        more = " …" if len(flat) > 5 else ""
        columns = "columns" if len(flat) > 1 else "column"
        yield (
            f"{columns} {', '.join(called)}{more} of {name}: the same in every row, so nothing to learn there"
        )


def one_value(seen: Known) -> Iterator[str]:
    """A target that does not vary, or a class that never occurs."""
    if seen.target is None or seen.rows < 2:
        return
    target, span = seen.target, seen.spans[seen.target]
    values = span.low if span.flat.all() else span.low[:0]
    if len(values) > 1 and seen.classes and np.array_equal(np.sort(values)[-2:], [0, 1]):
        which = int(values.argmax())
        yield f"{seen.aim} is of class {which} in every row: there is nothing to learn but that"
    elif len(values):
        yield f"{seen.aim} is {_listed(distinct(values))} in every row: there is nothing to learn but that"
    else:
        for k in np.flatnonzero(span.flat)[:MOST_TOLD]:
            none = ": no row is of that class" if seen.classes and not span.low[k] else ""
            yield f"{seen.told(target, int(k))} is {span.low[k]:g} in every row{none}"


def twin_columns(seen: Known) -> Iterator[str]:
    """Features that tell the same, and features that tell the target."""
    found = list(itertools.islice(_alike(seen), 3 * MOST_TOLD))
    goal = seen.target
    leaks = [each for each in found if each[2][0] == goal and each[0].exact]
    alone = sum(len(seen.spans[name].flat) - int(seen.spans[name].flat.sum()) for name in seen.features) == 1
    for twin, first, second in leaks[:MOST_TOLD]:
        if twin.equal or not alone:
            yield (
                f"{seen.told(*second)} is {_line(twin, seen.told(*first))} in every row{seen.where}: "
                "the answer may be among the features"
            )
    pairs = [each for each in found if each[2][0] != goal]
    for exact, how, what in (
        (True, "tell the same", "their weights cannot be told apart, only what they add up to"),
        (False, "tell nearly the same", "their weights can hardly be told apart"),
    ):
        told = [seen.both(a, b) for twin, a, b in pairs if twin.exact == exact]
        if told:
            more = " …" if len(told) > MOST_TOLD else ""
            yield f"{'; '.join(told[:MOST_TOLD])}{more} {how} in every row{seen.where}: {what}"


def made_of_others(seen: Known) -> Iterator[str]:
    """Features that are a sum of others: x₃ = x₁ + x₂."""
    return _shared(seen, [each for each in seen.sums if not each.switches])


def switches(seen: Known) -> Iterator[str]:
    """Columns of 0 and 1 of which one is 1 in every row, as categories give: no fault as such."""
    return _shared(seen, [each for each in seen.sums if each.switches])


def out_of_reach(seen: Known) -> Iterator[str]:
    """Targets that the answers of the network never come to, whatever is learnt."""
    if seen.goal is None or seen.reach is None or seen.plan.prediction is None:
        return
    span, y = seen.spans[seen.target or ""], seen.goal
    slack = SLACK * float(span.size.max(initial=0.0))
    low, high = float(seen.reach.low), float(seen.reach.high)
    answer = called(seen.plan.prediction, seen)
    values = distinct(y)
    two = len(values) == 2 and math.isfinite(high - low)
    for outside, share, end, word in (
        (span.low.min() < low - slack, y < low - slack, low, "below"),
        (span.high.max() > high + slack, y > high + slack, high, "above"),
    ):
        if outside:
            hint = f" (as {low:g} and {high:g}: {_scaled(seen, values, low, high)})" if two else ""
            yield f"{_percent(share)} of {seen.aim} is {word} {end:g}; {answer} never is{hint}"
            two = False


def unequal_sums(seen: Known) -> Iterator[str]:
    """Rows of a target that do not add up to 1, as the probabilities of a softmax do."""
    answer = seen.plan.prediction
    if seen.goal is None or answer is None or answer.op is not softmax_op or seen.goal.shape[1] < 2:
        return
    total = seen.goal.sum(axis=1)
    off = np.abs(total - 1) > 1e-6
    if off.any():
        ends = dict.fromkeys(f"{end:.4g}" for end in (total[off].min(), total[off].max()))
        yield (
            f"{int(off.sum()):,} of {len(off):,} rows of {seen.aim} add up to {' … '.join(ends)}"
            f"{seen.where}, not to 1 as probabilities do"
        )


def coarse(seen: Known) -> Iterator[str]:
    """Columns that lie so far from zero that their numbers are rounded."""
    for name in (*seen.features, *([seen.target] if seen.target else [])):
        span, kind = seen.spans[name], seen.kinds[name]
        largest = float(span.size.max(initial=0.0))
        if kind.kind in "iu" and largest > EXACT:
            yield f"{name} holds whole numbers up to {largest:.3g}: float64 keeps the first 15 digits of each"
        for k in np.flatnonzero(span.flat & (span.low < span.high))[:MOST_TOLD]:
            width = span.high[k] - span.low[k]
            yield (
                f"{seen.told(name, int(k))} lies at {span.mean[k]:.6g} and varies by {width:.2g} alone, too "
                "little to learn from: measured from its middle it may be enough"
            )
        step = float(np.finfo(kind).eps) if kind.kind == "f" else 2.0**-52
        far = np.abs(span.mean) / np.where(span.spread > FLAT * np.abs(span.mean), span.spread, np.inf)
        for k in np.flatnonzero(step * far > COARSE)[:MOST_TOLD]:
            yield (
                f"{seen.told(name, int(k))} lies {far[k]:.2g} times its spread from zero: {kind} keeps "
                f"{max(1.0, 1 / (step * far[k])):.0f} steps in a spread, and all if measured from the middle"
            )


def unlike_sizes(seen: Known) -> Iterator[str]:
    """Features that are trained on as they are, and not of like size."""
    loss, taken = seen.derivation.of, {each.data for each in seen.units.entrances}
    moves = moving(loss, set(seen.derivation.parameters.values()))
    declared = variables(loss)
    for name in seen.features:
        meets = any(declared[name] in node.args and node in moves for node in walk(loss))
        span = seen.spans[name]
        (there,) = np.nonzero(~span.flat)
        if name in taken or not meets or not len(there):
            continue
        size, spread = span.size[there], span.spread[there]
        least, most = int(size.argmin()), int(size.argmax())
        if size[most] > UNLIKE * size[least]:
            large, small = (seen.told(name, int(there[k])) for k in (most, least))
            yield (
                f"{large} is {size[most] / size[least]:.2g} times as large as {small}, and {name} is not "
                "standardised: steps that suit one do nothing to the other"
            )
        far = np.abs(span.mean[there]) / np.where(spread > 0, spread, np.inf)
        if far.max() > FAR:
            called = seen.told(name, int(there[far.argmax()]))
            yield (
                f"{called} lies {far.max():.2g} times its spread from zero, and {name} is not standardised: "
                "its weight and a bias pull against each other"
            )


def outlying(seen: Known) -> Iterator[str]:
    """Numbers so far out that squares see little else."""
    for name in (*seen.features, *([seen.target] if seen.target else [])):
        values, span = seen.plan.data[name].reshape(len(seen.plan.data[name]), -1), seen.spans[name]
        some = np.sort(values[:: max(1, len(values) // MOST_ROWS)], axis=0)
        low, middle, high = (some[len(some) * k // 4] for k in (1, 2, 3))
        width = np.where(high > low, high - low, np.inf)
        for k in np.flatnonzero(np.maximum(span.high - middle, middle - span.low) > OUTLYING * width)[
            :MOST_TOLD
        ]:
            far = span.high[k] if span.high[k] - middle[k] > middle[k] - span.low[k] else span.low[k]
            yield (
                f"the farthest number in {seen.told(name, int(k))} is {far:.4g}, where half of all lie from "
                f"{low[k]:.4g} to {high[k]:.4g}: squares see little else"
            )


def vanishing(seen: Known) -> Iterator[str]:
    """Numbers so small that their squares are 0."""
    for name in (*seen.features, *([seen.target] if seen.target else [])):
        size = seen.spans[name].size
        for k in np.flatnonzero((size > 0) & (size < TINY))[:MOST_TOLD]:
            called = seen.told(name, int(k))
            yield f"{called} holds no number above {size[k]:.2g}, and its square is 0: a smaller unit helps"


CHECKS: tuple[Callable[[Known], Iterator[str]], ...] = (
    *(one_value, out_of_reach, unequal_sums, twin_columns, made_of_others),
    *(unvarying, coarse, unlike_sizes, outlying, vanishing),
)


def at_first(seen: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may be wrong with the data and the loss, and what else is to be said of them."""
    return tuple(note for check in CHECKS for note in check(seen)), tuple(switches(seen))


# ------------------------------------------------------------------------------------------- words


def _alike(seen: Known) -> Iterator[tuple[Twin, Place, Place]]:
    """The twins among the features, and of a feature and the target, as arrays and columns of these."""
    plan, goal = seen.plan, seen.target
    if not seen.features:
        return
    names = [*seen.features, *([goal] if goal is not None else [])]
    rows = plan.train[:: max(1, len(plan.train) // MOST_ROWS)]
    columns = {name: plan.data[name].reshape(len(plan.data[name]), -1) for name in names}
    places = [(name, k) for name in names for k in range(columns[name].shape[1])]
    for twin in itertools.islice(twins(np.hstack([columns[name][rows] for name in names])), MOST_PAIRS):
        first, second = places[twin.first], places[twin.second]
        if first[0] == goal:  # of the target's own columns nothing has to be told
            continue
        x, y = (columns[name][plan.train, k] for name, k in (first, second))
        if len(rows) == len(plan.train) or _holds(twin, x, y):
            yield twin, first, second


def _holds(twin: Twin, x: Array, y: Array) -> bool:
    """Whether what was seen of some rows is so in all of them."""
    if twin.equal:
        return np.array_equal(x, y)
    most = (1e-5 if twin.exact else 1e-2) * float(y.std())
    return bool((np.abs(y - twin.factor * x - twin.shift) <= most).all())


def _line(twin: Twin, name: str) -> str:
    """2 × column 3 of X − 1."""
    factor = "" if math.isclose(twin.factor, 1) else f"{twin.factor:.4g} × "
    size = abs(twin.shift)
    shift = f" {'+' if twin.shift > 0 else '−'} {size:.4g}" if size > 1e-12 * abs(twin.factor) else ""
    return f"{factor}{name}{shift}"


def _shared(seen: Known, sums: Sequence[Sum]) -> Iterator[str]:
    """That columns are sums of others, and what follows."""
    for made in sums[:MOST_TOLD]:
        sample = "" if made.everywhere else seen.where
        bias = " with the bias" if made.shift else ""
        yield (
            f"{seen.told(*made.place)} is {_summed(seen, made)} in every row{sample}: the data do not tell "
            f"how they share their weights{bias}, and one of them can go"
        )
    if len(sums) > MOST_TOLD:
        yield f"so are {len(sums) - MOST_TOLD:,} more columns made of others"


def _summed(seen: Known, made: Sum) -> str:
    """column 0 + 2 × column 1 − 3."""
    names = [seen.told(*place) for place in made.of]
    if all(place[0] == made.place[0] for place in made.of) and made.place[0] not in seen.names:
        names = [name.removesuffix(f" of {made.place[0]}") for name in names]
    if len(names) > MOST_TERMS:
        return f"made of {', '.join(names[: MOST_TERMS - 1])} and {len(names) - MOST_TERMS + 1} more"
    terms = [
        (factor, f"{abs(factor):.4g} × {name}".removeprefix("1 × "))
        for factor, name in zip(made.factors, names, strict=True)
    ]
    terms.sort(key=lambda term: term[0] < 0)
    if made.shift:
        at = 0 if made.shift > 0 > terms[0][0] else len(terms)
        terms.insert(at, (made.shift, f"{abs(made.shift):.4g}"))
    first, text = terms[0]
    rest = "".join(f" {'−' if value < 0 else '+'} {term}" for value, term in terms[1:])
    return f"{'−' if first < 0 else ''}{text}{rest}"


def _scaled(seen: Known, values: Array, low: float, high: float) -> str:
    """Two values in the place of two others: (y + 1)/2."""
    first, width = float(values[0]), float(values[1] - values[0]) / (high - low)
    moved = f"{seen.aim} {'−' if first > 0 else '+'} {abs(first):g}" if first else seen.aim
    scaled = f"({moved})/{width:g}" if first and width != 1 else f"{moved}/{width:g}" if width != 1 else moved
    return f"{scaled} {'+' if low > 0 else '−'} {abs(low):g}" if low else scaled


def _percent(chosen: NDArray[np.bool_]) -> str:
    share = 100 * float(chosen.mean())
    return f"{share:.0f} %" if share >= 1 else "less than 1 %"


def _listed(values: Array) -> str:
    return ", ".join(f"{value:.6g}" for value in values[:5]) + (" …" if len(values) > 5 else "")
