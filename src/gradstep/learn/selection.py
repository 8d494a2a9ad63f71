"""Which columns of a table in files become features? As `Encoder.fit` decides it for a table in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn import stores
from gradstep.learn.cells import MOST_WORDS, PLAIN, READ_AS_YEARS, Reading, Seen, Style, judged
from gradstep.learn.cluster import Cluster
from gradstep.learn.columns import Kind, listed, nearest, no_column, shown
from gradstep.learn.data import wanted_kinds
from gradstep.learn.encoding import Encoder, Task, classes_of
from gradstep.learn.features import Category, Feature, Number, category_feature, in_rows, number_feature
from gradstep.learn.frames import Frame
from gradstep.learn.profiles import Column, Look, Range, profiled, to_look_at
from gradstep.learn.tabular import TableStore

MANY = 4  # windows: from there on it is said that another kind of file is faster


def selected(
    frame: Frame,
    target: object,
    features: Sequence[object] | None = None,
    *,
    kinds: Mapping[str, str] | None = None,
    task: Task | None = None,
    style: Style = PLAIN,
    workers: Cluster | None = None,
) -> TableStore:
    """The table with its target as y, and all other columns, or `features`, as X.

    Only what must be known of the columns is read: texts, the target, and numbers that may not vary. If there
    are workers, they read it.
    """
    goal, names = _named(frame, target, features)
    wanted = wanted_kinds(kinds, dict(enumerate(frame.fields)))
    if not frame.count:
        raise MathError(
            f"{frame.source} has no rows",
            facts=["columns: " + listed(frame.fields)],
            mend="at least two rows with a target",
        )
    look = Look(to_look_at(frame, [*names, *goal], wanted, goal), goal[0] if goal else None, wanted, style)
    profile = profiled(frame, look, workers)
    known = profile.columns
    readings = _readings(frame, known, wanted)
    notes = [
        *frame.notes,
        *(f"{shown(name)} {READ_AS_YEARS}" for name in names if _dated(frame, readings, name)),
    ]
    classes: tuple[str, ...] | None = None
    if goal:
        notes += _without(frame, goal[0], known[goal[0]])
        classes, said = _classes(goal[0], known[goal[0]], readings, task)
        notes += said
    chosen: list[Feature] = []
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        found, said = _feature(name, known.get(name), readings)
        if isinstance(found, str) and features is not None and isinstance(known[name], Range):
            found = Number(name, 0.0)  # it was asked for
        if isinstance(found, str):
            reasons[found].append(name)
        else:
            chosen.append(found)
            notes += said
    left_out = [f"left out {listed(each)}: {reason}" for reason, each in reasons.items()]
    if not chosen:
        raise MathError(
            f"there is nothing to predict {shown(goal[0])} from"
            if goal
            else f"{frame.source} has no features",
            facts=left_out or [f"the columns of {frame.source} are {listed(frame.fields)}"],
            mend="a table with columns that differ from row to row",
        )
    parts = np.searchsorted(frame.starts, list(profile.without), side="right") - 1
    store = TableStore(
        frame,
        chosen,
        goal[0] if goal else None,
        readings,
        classes,
        style,
        set(parts.tolist()),
        [*notes, *left_out],
        workers=workers,
    )
    if frame.decoded and store.count * store.bytes_of(store.names) > MANY * stores.WINDOW:
        source = repr(frame.paths[0] if len(frame.paths) == 1 else list(frame.paths))
        store.notes += (
            f"each pass decodes the {frame.decoded} again: as a .npy file, with columns 0, 1, 2 …, rows come "
            f"several times as fast; gradstep.open_rows({source}, {target!r}).save('x.npy') writes one",
        )
    return store


def applied(frame: Frame, encoder: Encoder, style: Style = PLAIN) -> TableStore:
    """The features of a table on which a model was trained, made of another table in files."""
    absent = [name for name in encoder.kinds if name not in frame.fields]
    if absent:
        raise MathError(
            f"{frame.source} has no column {shown(absent[0])}, which the model needs",
            facts=[f"it has {listed(frame.fields)}", f"missing: {listed(absent)}"],
            mend=nearest(absent[0], [name for name in frame.fields if name not in encoder.kinds]),
        )
    kinds = encoder.kinds
    looked = [
        name for name in kinds if frame.fields[name].holds in ("texts", "truth") or kinds[name] == "category"
    ]
    known = profiled(frame, Look(tuple(looked), None, kinds, style)).columns
    notes: list[str] = []
    for feature in encoder.features:
        seen = known.get(feature.column)
        if isinstance(feature, Category) and isinstance(seen, Seen) and seen.counts is not None:
            _, unseen = feature.places(list(seen.counts))
            notes += feature.said(Counter({word: seen.counts[word] for word in unseen}))
    truth = encoder.target if encoder.target in frame.fields else None
    readings = _readings(frame, known, kinds)
    store = TableStore(frame, encoder.features, None, readings, style=style, notes=notes, truth=truth)
    means = [f.mean if isinstance(f, Number) else np.nan for f in encoder.features for _ in f.names]
    store.filled = {"X": np.array(means)}
    return store


def _named(frame: Frame, target: object, features: Sequence[object] | None) -> tuple[list[str], list[str]]:
    """The target, if there is one, and the columns that may become features."""
    names = list(frame.fields)
    for name in [*([] if target is None else [target]), *(features or ())]:
        if name not in names:
            raise no_column(name, names, frame.source, frame.notes)
    if target is None and features is None:
        raise MathError(
            "which column is to be predicted?",
            facts=[f"the columns are {listed(names)}"],
            mend=f'target="{names[-1]}"' if names else None,
        )
    chosen = [name for name in names if name != target] if features is None else list(map(str, features))
    if features is None and not chosen:
        raise MathError(
            f"{shown(target)} is the only column of {frame.source}: there is nothing to predict it from",
            mend="a table with more columns",
        )
    if target in chosen or not chosen or len(set(chosen)) < len(chosen):
        raise MathError(
            "the features are other columns than the target, and at least one",
            facts=[f"the columns are {listed(names)}"],
        )
    return [] if target is None else [str(target)], chosen


def _readings(frame: Frame, known: Mapping[str, Column], wanted: Mapping[str, Kind]) -> dict[str, Reading]:
    """What texts are read as; a column that is neither one nor the other is a `MathError`."""
    return {
        name: "category"
        if frame.fields[name].holds == "truth"
        else judged(name, seen, wanted.get(name), frame.place)
        for name, seen in known.items()
        if isinstance(seen, Seen)
    }


def _dated(frame: Frame, readings: Mapping[str, Reading], name: str) -> bool:
    return frame.fields[name].holds == "dates" or readings.get(name) == "date"


def _feature(
    name: str, known: Column | None, readings: Mapping[str, Reading]
) -> tuple[Feature | str, list[str]]:
    """What a column becomes, or why it is left out; of one not looked at it is known that it varies."""
    if known is None:
        return Number(name, 0.0), []
    if isinstance(known, Range):
        return number_feature(name, known.numbers()), []
    if readings[name] == "category":
        if known.counts is None:
            return f"more than {MOST_WORDS:,} different texts, or very long ones", []
        return category_feature(name, known.counts, known.missing)
    if known.counts is not None and len(known.counts) < 2:
        return category_feature(name, known.counts, 0)
    return Number(name, 0.0), []


def _without(frame: Frame, target: str, known: Column) -> list[str]:
    """What is said of rows without a target; a `MathError` where hardly any has one."""
    there = known.present
    if there < 2:
        found = "no row" if not there else "only one row"
        raise MathError(
            f"{frame.source} has {found} with a value for {shown(target)}: nothing to learn from",
            facts=[f"it has {in_rows(frame.count)} in all"],
            mend="at least two rows with a target",
        )
    return [f"{in_rows(known.missing)} without {shown(target)} left out"] if known.missing else []


def _classes(
    target: str, known: Column, readings: Mapping[str, Reading], task: Task | None
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The classes of a target of texts, or of numbers that are to be read as texts."""
    if isinstance(known, Range) or readings[target] != "category":
        return None, []
    if known.counts is None:
        raise MathError(
            f"the target {shown(target)} has more than {MOST_WORDS:,} different texts: too many for classes",
            mend="a column with fewer values as the target",
        )
    return classes_of(target, sorted(known.counts), known.present, task)
