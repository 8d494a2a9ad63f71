"""What are stored data like? One pass for means, spreads, ranges, and all that could be wrong with them."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.blocks import InMemory
from gradstep.backends.threads import cores, one_thread_each, shared_out
from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.arrays import LARGEST
from gradstep.learn.columns import shown
from gradstep.learn.moments import FLAT, MOST_DISTINCT, Columns, Products, extreme, fits_short, paired
from gradstep.learn.reading import Part
from gradstep.learn.scaling import Array, Rows, Scaler
from gradstep.learn.stores import Share, Store
from gradstep.learn.structure import Affine, Linear, Output

CHUNK = 1 << 22  # bytes
MOST_LINES = 256  # features, for a straight line by normal equations
SAMPLE = 10_000  # rows
FEW = 5
GUESSED = 64  # rows for a guess at the mean
FAR_OFF = 1e4  # times the variance: a guess that costs digits


@dataclass(eq=False)
class Sample:
    """Rows taken evenly from all: arrays by name, and for each row its place in its window of so many."""

    parts: dict[str, list[Array]] = field(default_factory=dict)
    places: list[NDArray[np.intp]] = field(default_factory=list)
    lengths: list[NDArray[np.intp]] = field(default_factory=list)

    def __add__(self, other: Sample) -> Sample:
        parts = {name: [*parts, *other.parts[name]] for name, parts in self.parts.items()}
        return Sample(parts, [*self.places, *other.places], [*self.lengths, *other.lengths])

    def take(self, arrays: Mapping[str, Array], at: int, every: int) -> None:
        """Every so many rows of a window that begins at a row."""
        count = len(next(iter(arrays.values())))
        places = np.arange(-at % every, count, every)
        self.places.append(places)
        self.lengths.append(np.full(len(places), count))
        for name, array in arrays.items():
            self.parts.setdefault(name, []).append(array[places].astype(np.float64))

    @property
    def arrays(self) -> dict[str, Array]:
        """The rows, as float64."""
        return {name: np.concatenate(parts) for name, parts in self.parts.items()}

    def rows(self, share: Share) -> Rows:
        """Which of them belong to a share of their windows."""
        places, lengths = np.concatenate(self.places), np.concatenate(self.lengths)
        low, high = (np.floor(lengths * part + 1e-9) for part in share)
        return np.flatnonzero((low <= places) & (places < high))


@dataclass(eq=False)
class Survey:
    """What one pass over the rows has found: `rows` of them to learn from, and each array's columns.

    `products` are those of the columns of `lined`, from which a straight line follows; None where there are
    too many columns. Surveys of two runs of rows add up to that of both.
    """

    rows: int
    columns: dict[str, Columns]
    lined: tuple[str, ...]
    products: Products | None
    sample: Sample = field(default_factory=Sample)

    def __add__(self, other: Survey) -> Survey:
        both = self.products is not None and other.products is not None
        return Survey(
            self.rows + other.rows,
            {name: found + other.columns[name] for name, found in self.columns.items()},
            self.lined,
            self.products + other.products if both else None,  # type: ignore[operator]
            self.sample + other.sample,
        )

    @property
    def means(self) -> dict[str, Array]:
        """What a missing value is taken as, in the arrays that have some."""
        return {
            name: found.mean.reshape(found.shape)
            for name, found in self.columns.items()
            if found.missing.any()
        }

    def rename(self, old: str, new: str) -> None:
        """Calls an array by another name."""
        self.columns = {new if name == old else name: found for name, found in self.columns.items()}
        self.lined = tuple(new if name == old else name for name in self.lined)
        self.sample.parts = {new if name == old else name: p for name, p in self.sample.parts.items()}

    def filled(self, names: Sequence[str]) -> dict[str, Array]:
        """The sample, with the mean in the place of a missing value."""
        found = {}
        for name in names:
            array, columns = self.sample.arrays[name], self.columns[name]
            holes = np.isnan(array)
            found[name] = (
                np.where(holes, columns.mean.reshape(columns.shape), array) if holes.any() else array
            )
        return found

    def scaler(self, name: str, places: Sequence[Linear]) -> Scaler:
        """Mean and spread; where a place has no bias to take up the mean, the size about zero alone."""
        found = self.columns[name]
        mean, variance = found.mean, found.variance(self.rows)
        if all(isinstance(place, Affine) for place in places):
            spread = np.sqrt(variance)
            flat = spread <= FLAT * np.maximum(1e-300, np.maximum(np.abs(mean), np.abs(found.high)))
            return Scaler(mean, np.where(flat, 1.0, spread))
        size = np.sqrt(mean**2 + variance)
        return Scaler(np.zeros_like(size), np.where(size > 0, size, 1.0))

    def unit(self, name: str, layer: Output) -> tuple[Array, float]:
        """The middle and the size of a target, as far as the last layer can take them up."""
        found = self.columns[name]
        mean, variance = (each.reshape(found.shape) for each in (found.mean, found.variance(self.rows)))
        shift = np.asarray(mean if layer.affine.bias.rank else mean.mean())
        if not layer.shifts:
            shift = np.zeros_like(shift)
        top = float(np.maximum(np.abs(found.low), np.abs(found.high)).max()) or 1.0
        size = math.sqrt(float((variance + (mean - shift) ** 2).mean()))
        return shift, size if size > FLAT * top else 1.0

    def line(self) -> tuple[Array, Array] | None:
        """The weights (d, …) and the level (…) of the straight line nearest to the target."""
        if self.products is None or not np.isfinite(self.products.about).all():
            return None
        goal = self.columns[self.lined[-1]].shape
        k = math.prod(goal)
        about, means, n = self.products.about, self.products.mean, self.rows
        scale = np.sqrt(np.diag(about)[:-k])
        size = np.sqrt(n * means[:-k] ** 2 + np.diag(about)[:-k] + 1e-300)
        scale = np.where(scale > FLAT * size, scale, np.inf)
        normal = about[:-k, :-k] / np.outer(scale, scale)
        w = np.linalg.lstsq(normal, (about[:-k, -k:].T / scale).T, rcond=1e-12)[0].T / scale
        return w.T.reshape(-1, *goal), np.asarray(means[-k:] - w @ means[:-k]).reshape(goal)

    def residue(self, factors: Mapping[tuple[str, int], float]) -> float | None:
        """The mean square of a sum of columns beside its mean; None where their products are not known."""
        if self.products is None or not {name for name, _ in factors} <= set(self.lined):
            return None
        widths = [math.prod(self.columns[name].shape) for name in self.lined]
        starts = {name: place.start for name, place in zip(self.lined, _places(widths), strict=True)}
        at, sizes = [starts[name] + k for name, k in factors], np.array([*factors.values()])
        return float(sizes @ self.products.about[np.ix_(at, at)] @ sizes) / max(self.rows, 1)

    def said(self, store: Store, name: str) -> Iterator[str]:
        """What has to be said of the missing values in an array."""
        found, names = self.columns[name], store.columns.get(name)
        for k in np.flatnonzero(found.missing)[:FEW] if names else ():
            count = int(found.missing[k])
            yield (
                f"{shown(names[k] if names else k)} has no value in {count:,} row{'s' * (count != 1)} of "
                f"{self.rows:,}: taken as {found.mean[k]:.6g}, the mean in training"
            )

    def offset(self) -> float:
        """How far from zero the columns lie, measured by their spread: so many digits of float32 are lost."""
        worst = 0.0
        for found in self.columns.values():
            spread = np.sqrt(found.variance(self.rows))
            unit = np.where(spread > FLAT * np.abs(found.mean), spread, 1.0)
            worst = max(worst, float((np.abs(found.mean) / unit).max(initial=0.0)))
        return worst


def surveyed(part: Part, names: Sequence[str], learnt: float, target: str | None) -> Survey:
    """The survey of a whole store; the first share `learnt` of each window is to learn from.

    What is not a finite number, and not marked as missing by the file, is a `MathError` that says where.
    """
    store = part.store
    with one_thread_each():
        survey = part.total(Surveying(store, learnt, target), names)
    store.filled = survey.means
    return survey


@record
class Surveying:
    """The work of a survey: that of each window, and they add up."""

    store: Store
    learnt: float
    target: str | None

    def __call__(self, window: InMemory) -> Survey:
        return survey_of(self.store, window.arrays, window.at, self.learnt, self.target)

    def added(self, one: Survey, other: Survey) -> Survey:
        return one + other


def survey_of(
    store: Store, arrays: Mapping[str, Array], at: int, learnt: float, target: str | None
) -> Survey:
    """The survey of one window, whose first row is number `at`."""
    features = [name for name in arrays if name != target]
    lined = (*features, target) if target is not None and features else ()
    width = sum(math.prod(array.shape[1:]) for array in arrays.values())
    count = len(next(iter(arrays.values())))
    mine = math.floor(count * learnt + 1e-9)
    rows = max(16, CHUNK // (8 * width))
    chunks = list(itertools.pairwise(sorted({*range(0, count, rows), mine, count})))
    products = lined if width <= MOST_LINES else ()

    def one(number: int) -> Survey:
        start, stop = chunks[number]
        found = {name: array[start:stop] for name, array in arrays.items()}
        columns, beside = _added(found, stop <= mine, store.gaps, products)
        for name, array in found.items():
            _check(store, name, array, columns[name], at + start)
        if target is not None and found[target].ndim == 1:
            columns[target].distinct = _values_of(found[target])
        return Survey(stop - start if stop <= mine else 0, columns, lined, beside)

    survey = paired(shared_out(one, len(chunks), cores()), operator.add)
    assert survey is not None
    survey.sample.take(arrays, at, max(1, -(-store.count // SAMPLE)))
    return survey


def _values_of(array: Array) -> frozenset[float]:
    """The different values of a target, or some of them where they are many."""
    few = np.unique(array[: 10 * MOST_DISTINCT])
    return frozenset((few if len(few) > MOST_DISTINCT else np.unique(array))[:MOST_DISTINCT].tolist())


def _added(
    arrays: Mapping[str, Array],
    learn: bool,
    gaps: Collection[str],
    lined: Sequence[str],
    means: Mapping[str, Array] | None = None,
) -> tuple[dict[str, Columns], Products | None]:
    """What one chunk adds; NaN in an array with `gaps` is a missing value, elsewhere it shows in the ends.

    Sums are those of what lies beside a guess at the mean; where that was far off, once more beside the mean.
    """
    count = len(next(iter(arrays.values())))
    flat = {name: array.reshape(count, -1) for name, array in arrays.items()}
    places = dict(zip(lined, _places([flat[name].shape[1] for name in lined]), strict=True))
    width = max((place.stop for place in places.values()), default=0)
    ends = {name: _ends(rows, name in gaps) for name, rows in flat.items()}
    short = all(flat[name].dtype == np.float32 and fits_short(*ends[name]) for name in lined)
    z = np.ones((count if learn else 0, width + 1), np.float32 if short else np.float64)
    guesses, theres, besides, found = {}, {}, {}, {}
    with np.errstate(all="ignore"):
        for name, rows in flat.items():
            rows = rows[: len(z)]
            beside = z[:, places[name]] if name in places else np.empty(rows.shape)
            guess = _guess(rows) if means is None else means[name]
            guesses[name], besides[name] = guess.astype(beside.dtype).astype(np.float64), beside
            theres[name] = _set_beside(rows, guesses[name], beside, name in gaps)
        about = (z.T @ z).astype(np.float64)
        for name, beside in besides.items():
            if name in places:
                total, squares = about[-1, places[name]], np.diag(about)[places[name]]
            else:
                total, squares = beside.sum(axis=0), np.einsum("ij,ij->j", beside, beside)
            there = theres[name]
            off = total / np.maximum(there, 1)
            squares = np.maximum(squares - total * off, 0)
            mean = guesses[name] + off
            if means is None and (total * off > FAR_OFF * (squares + there * (1e-7 * mean) ** 2)).any():
                near = {
                    each: guesses[each] + one.sum(axis=0) / np.maximum(theres[each], 1)
                    for each, one in besides.items()
                }
                return _added(arrays, learn, gaps, lined, near)
            shape = arrays[name].shape[1:]
            found[name] = Columns(shape, there, mean, squares, *ends[name], len(z) - there)
        if not lined:
            return found, None
        mean = np.concatenate([found[name].mean for name in lined])
        if any((theres[name] < len(z)).any() for name in lined):
            there = np.concatenate(
                [~np.isnan(flat[name][: len(z)]) for name in lined], axis=1, dtype=z.dtype, casting="unsafe"
            )
            sums = ((one.T @ there).astype(np.float64) for one in (z[:, :-1], there))
            guess = np.concatenate([guesses[name] for name in lined])
            return found, Products(len(z), guess, about[:-1, :-1], *sums).moved(mean)
        total = about[-1, :-1] / math.sqrt(max(len(z), 1))
        return found, Products(len(z), mean, about[:-1, :-1] - np.outer(total, total))


def _guess(rows: Array) -> Array:
    """The mean of each column over a few rows."""
    few = rows[:: max(1, len(rows) // GUESSED)].astype(np.float64)
    good = np.isfinite(few)
    return np.asarray(np.where(good, few, 0).sum(axis=0) / np.maximum(good.sum(axis=0), 1))


def _set_beside(rows: Array, guess: Array, beside: Array, gaps: bool) -> NDArray[np.intp]:
    """Puts what lies beside the guess into `beside`, 0 where a value is missing, and counts what is there."""
    np.subtract(rows, guess.astype(beside.dtype), out=beside, casting="unsafe")
    count = np.full(rows.shape[1], len(rows), dtype=np.intp)
    holes = np.isnan(beside) if gaps else np.zeros(0, dtype=bool)
    if holes.any():
        beside[holes] = 0
        count -= holes.sum(axis=0)
    return count


def _places(widths: Sequence[int]) -> list[slice]:
    """Where arrays of so many columns lie beside each other."""
    ends = [0, *itertools.accumulate(widths)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def _ends(rows: Array, gaps: bool) -> tuple[Array, Array]:
    """The lowest and the highest of each column."""
    lowest, highest = (np.fmin, np.fmax) if gaps else (np.minimum, np.maximum)
    low, high = (extreme(f, rows).astype(np.float64) for f in (lowest, highest))
    if gaps:
        low, high = np.where(np.isnan(low), np.inf, low), np.where(np.isnan(high), -np.inf, high)
    return low, high


def _check(store: Store, name: str, rows: Array, found: Columns, at: int) -> None:
    """Raises where the first number is that cannot be used."""
    bad = ~((found.low >= -LARGEST) & (found.high <= LARGEST))
    if name in store.gaps:
        bad &= ~(np.isposinf(found.low) & np.isneginf(found.high))
    if not bad.any():
        return
    with np.errstate(all="ignore"):
        places = np.argwhere(~(np.abs(rows.astype(np.float64)) <= LARGEST))
    row, *column = (int(k) for k in places[0])
    value = float(rows[tuple(places[0])])
    names = store.columns.get(name)
    which = f"the column {shown(names[column[0] if column else 0])}" if names else name
    where = store.place(at + row) + ("" if names or not column else f", column {column[0]}")
    facts = [f"the rows are those of {store.source}"]
    if math.isnan(value) and store.gaps:
        raise MathError(f"{which} has no value {where}", facts=facts, mend=store.mend)
    why = "too large to train on" if math.isfinite(value) else "not a finite number"
    mend = store.mend if math.isnan(value) else "finite numbers, of a larger unit where they are huge"
    raise MathError(f"{which} holds {value:.3g} {where}: {why}", facts=facts, mend=mend)
