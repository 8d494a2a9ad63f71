"""What are stored data like? One pass for means, spreads, ranges, and all that could be wrong with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.threads import cores, one_thread_each, shared_out
from gradstep.expression.errors import MathError
from gradstep.learn.arrays import LARGEST
from gradstep.learn.columns import shown
from gradstep.learn.reading import Part
from gradstep.learn.scaling import Array, Rows, Scaler
from gradstep.learn.stores import Share, Store
from gradstep.learn.structure import Affine, Linear, Output

CHUNK = 1 << 20  # bytes
MOST_LINES = 256  # features, for a straight line by normal equations
MOST_DISTINCT = 101
SAMPLE = 10_000  # rows
FEW = 5
FLAT = 1e-12


@dataclass(eq=False)
class Columns:
    """The columns of one array, flattened: what was added up over the rows to learn from.

    Sums are those of what is beyond `shift`, a first guess at the mean; a missing value adds nothing.
    `low` and `high` are those of all rows.
    """

    shape: tuple[int, ...]
    shift: Array
    count: NDArray[np.intp]
    total: Array
    squares: Array
    low: Array
    high: Array
    missing: NDArray[np.intp]
    distinct: set[float] = field(default_factory=set)

    @classmethod
    def of(cls, shape: tuple[int, ...], shift: Array) -> Columns:
        d = len(shift)
        zeros, none = np.zeros(d), np.zeros(d, dtype=np.intp)
        return cls(
            shape, shift, none.copy(), zeros, zeros.copy(), np.full(d, np.inf), np.full(d, -np.inf), none
        )

    @property
    def mean(self) -> Array:
        """The mean of each column, of the values that are there."""
        return np.asarray(self.shift + self.total / np.maximum(self.count, 1))

    def variance(self, rows: int) -> Array:
        """The mean square about the mean, where a missing value is taken as the mean."""
        count = np.maximum(self.count, 1)
        return np.asarray(np.maximum(self.squares - self.total**2 / count, 0) / rows)

    @property
    def constant(self) -> NDArray[np.intp]:
        """The columns that are the same in every row."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        return np.flatnonzero(self.high - self.low <= FLAT * size)


@dataclass(eq=False)
class Sample:
    """Rows taken evenly from all: arrays by name, and for each row its place in its window of so many."""

    parts: dict[str, list[Array]] = field(default_factory=dict)
    places: list[NDArray[np.intp]] = field(default_factory=list)
    lengths: list[NDArray[np.intp]] = field(default_factory=list)

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

    `products` are Σ zᵢzⱼ over those rows for the columns of `lined` beyond their shifts and a last one of
    ones, from which a straight line follows; None where there are too many columns, or missing values.
    """

    rows: int
    columns: dict[str, Columns]
    lined: tuple[str, ...]
    products: Array | None
    sample: Sample = field(default_factory=Sample)

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

    def line(self) -> tuple[Array, float] | None:
        """The weights and the level of the straight line nearest to the last column of `lined`."""
        if self.products is None:
            return None
        S, n = self.products, self.products[-1, -1]
        centred = S[:-1, :-1] - np.outer(S[:-1, -1], S[-1, :-1]) / n
        scale = np.sqrt(np.maximum(np.diag(centred)[:-1], 0))
        scale = np.where(scale > FLAT * np.sqrt(np.diag(S)[:-2] + 1e-300), scale, np.inf)
        normal = centred[:-1, :-1] / np.outer(scale, scale)
        w = np.linalg.lstsq(normal, centred[:-1, -1] / scale, rcond=1e-12)[0] / scale
        means = np.concatenate([self.columns[name].mean for name in self.lined])
        return w, float(means[-1] - means[:-1] @ w)

    def said(self, store: Store, name: str) -> Iterator[str]:
        """What has to be said of the columns of an array: those that never change, and missing values."""
        found, names = self.columns[name], store.columns.get(name)
        flat = found.constant
        if len(flat) and len(store.shapes[name]) == 1:
            which = ", ".join(names[k] if names else str(k) for k in flat[:5]) + (
                " …" if len(flat) > 5 else ""
            )
            columns = "columns" if len(flat) > 1 else "column"
            yield f"{columns} {which} of {name}: the same in every row, so nothing to learn there"
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
            moving = spread > FLAT * np.abs(found.mean)
            worst = max(worst, float((np.abs(found.mean[moving]) / spread[moving]).max(initial=0.0)))
        return worst


@dataclass(eq=False)
class _Chunk:
    """What one chunk of rows adds, by array."""

    rows: int
    sums: dict[str, tuple[Array, ...]]
    products: Array | None


def surveyed(part: Part, names: Sequence[str], learnt: float, target: str | None) -> Survey:
    """The survey of a whole store; the first share `learnt` of each window is to learn from.

    What is not a finite number, and not marked as missing by the file, is a `MathError` that says where.
    """
    store = part.store
    features = [name for name in names if name != target]
    lined = (*features, target) if target is not None and features else ()
    firsts = next(iter(part.arrays(names)))
    shapes = {name: firsts[name].shape[1:] for name in names}
    shifts = {name: _first_guess(firsts[name]) for name in names}
    if all(array.dtype == np.float32 for array in firsts.values()):  # then what is beyond it is exact enough
        shifts = {name: shift.astype(np.float32).astype(np.float64) for name, shift in shifts.items()}
    del firsts
    columns = {name: Columns.of(shapes[name], shifts[name]) for name in names}
    width = sum(math.prod(shapes[name]) for name in lined)
    survey = Survey(0, columns, lined, np.zeros((width + 1,) * 2) if 0 < width <= MOST_LINES else None)
    every = max(1, -(-store.count // SAMPLE))
    starts = iter([start for start, _ in store.windows()])
    with one_thread_each():
        for arrays in part.timed(names):
            at = next(starts)
            survey.sample.take(arrays, at, every)
            _window(survey, arrays, learnt, at, part, target)
    if any(found.missing.any() for found in columns.values()):
        survey.products = None
    store.filled = {
        name: found.mean.reshape(shapes[name]) for name, found in columns.items() if found.missing.any()
    }
    return survey


def _first_guess(array: Array) -> Array:
    flat = array[:1000].reshape(min(len(array), 1000), -1).astype(np.float64)
    good = np.isfinite(flat) & (np.abs(flat) < LARGEST)
    return np.asarray(np.where(good, flat, 0).sum(axis=0) / np.maximum(good.sum(axis=0), 1))


def _window(
    survey: Survey, arrays: Mapping[str, Array], learnt: float, at: int, part: Part, target: str | None
) -> None:
    count = len(next(iter(arrays.values())))
    mine = math.floor(count * learnt + 1e-9)
    width = sum(math.prod(array.shape[1:]) for array in arrays.values())
    rows = max(16, CHUNK // (8 * width))
    borders = sorted({*range(0, count, rows), mine, count})
    chunks = list(itertools.pairwise(borders))
    gaps = part.store.gaps

    def one(number: int) -> _Chunk:
        start, stop = chunks[number]
        return _added(survey, {n: a[start:stop] for n, a in arrays.items()}, stop <= mine, gaps)

    for (start, stop), chunk in zip(chunks, shared_out(one, len(chunks), cores()), strict=True):
        for name, (low, high, *sums) in chunk.sums.items():
            found = survey.columns[name]
            found.low, found.high = np.minimum(found.low, low), np.maximum(found.high, high)
            bad = ~((low >= -LARGEST) & (high <= LARGEST))
            if name in gaps:
                bad &= ~(np.isposinf(low) & np.isneginf(high))
            if bad.any():
                _refuse(part, name, arrays[name][start:stop], at + start)
            if sums:
                count_, total, squares = sums
                found.count = found.count + count_.astype(np.intp)
                found.total, found.squares = found.total + total, found.squares + squares
                found.missing = found.missing + (stop - start) - count_.astype(np.intp)
        if chunk.products is not None and survey.products is not None:
            survey.products += chunk.products
        survey.rows += chunk.rows
    if target is not None and len(survey.columns[target].distinct) <= MOST_DISTINCT:
        y = arrays[target]
        if y.ndim == 1:
            seen = survey.columns[target].distinct
            for start, stop in chunks:
                if len(seen) <= MOST_DISTINCT:
                    seen.update(np.unique(y[start:stop]).tolist())


def _added(survey: Survey, arrays: Mapping[str, Array], learn: bool, gaps: Collection[str]) -> _Chunk:
    """What one chunk adds; NaN in an array with `gaps` is a missing value, elsewhere it shows in the ends."""
    count = len(next(iter(arrays.values())))
    flat = {name: array.reshape(count, -1) for name, array in arrays.items()}
    with np.errstate(all="ignore"):
        sums: dict[str, tuple[Array, ...]] = {name: _ends(rows, name in gaps) for name, rows in flat.items()}
        if not learn:
            return _Chunk(0, sums, None)
        lined = survey.lined if survey.products is not None else ()
        short = all(flat[name].dtype == np.float32 for name in lined)
        z = np.ones(
            (count, 1 + sum(flat[name].shape[1] for name in lined)), np.float32 if short else np.float64
        )
        at, places = 0, {}
        for name in lined:
            places[name] = slice(at, at := at + flat[name].shape[1])
        for name, rows in flat.items():
            beyond = z[:, places[name]] if name in places else np.empty(rows.shape)
            np.subtract(rows, survey.columns[name].shift.astype(beyond.dtype), out=beyond, casting="unsafe")
            there = np.full(rows.shape[1], count)
            if name in gaps:
                holes = np.isnan(beyond)
                there = count - holes.sum(axis=0)
                beyond[holes] = 0
            if name not in places:
                sums[name] += (there, beyond.sum(axis=0), np.einsum("ij,ij->j", beyond, beyond))
            else:
                sums[name] += (there,)
        products = (z.T @ z).astype(np.float64) if lined else None
    if products is not None:
        for name, place in places.items():
            sums[name] += (products[-1, place], np.diag(products)[place])
    return _Chunk(count, sums, products)


def _ends(rows: Array, gaps: bool) -> tuple[Array, Array]:
    """The lowest and the highest of each column."""
    lowest, highest = (np.fmin, np.fmax) if gaps else (np.minimum, np.maximum)
    low, high = (f.reduce(rows, axis=0).astype(np.float64) for f in (lowest, highest))
    if gaps:
        low, high = np.where(np.isnan(low), np.inf, low), np.where(np.isnan(high), -np.inf, high)
    return low, high


def _refuse(part: Part, name: str, rows: Array, at: int) -> None:
    """Says where the first number is that cannot be used."""
    with np.errstate(all="ignore"):
        bad = np.argwhere(~(np.abs(rows.astype(np.float64)) <= LARGEST))
    if not len(bad):
        return
    row, *column = (int(k) for k in bad[0])
    value = float(rows[tuple(bad[0])])
    names = part.store.columns.get(name)
    which = f"the column {shown(names[column[0] if column else 0])}" if names else name
    where = part.store.place(at + row) + ("" if names or not column else f", column {column[0]}")
    facts = [f"the rows are those of {part.store.source}"]
    if math.isnan(value) and part.store.gaps:
        raise MathError(f"{which} has no value {where}", facts=facts, mend=part.store.mend)
    why = "too large to train on" if math.isfinite(value) else "not a finite number"
    mend = part.store.mend if math.isnan(value) else None
    raise MathError(f"{which} holds {value:.3g} {where}: {why}", facts=facts, mend=mend)
