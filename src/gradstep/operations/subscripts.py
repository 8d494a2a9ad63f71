"""How is x[…] read? Entries and slices as in NumPy, new axes, and rows looked up by data."""

from __future__ import annotations

from typing import Any

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, minus, plus, shape_text
from gradstep.operations.broadcasting import repeat
from gradstep.operations.entries import Cut, cut
from gradstep.operations.flips import flip
from gradstep.operations.leaves import checked_size, size_op
from gradstep.operations.lookups import take


def subscript(x: Expr, key: Any) -> Expr:
    """x[key]: whole numbers, slices and None as in NumPy; a variable with whole numbers looks up rows.

    Entries are counted from 0, negative ones from the end. What is not there is a `MathError`, where NumPy
    would give fewer entries.
    """
    items: list[Any] = list(key) if isinstance(key, tuple) else [key]
    if len(items) == 1 and isinstance(items[0], Expr) and items[0].op is not size_op:
        return take(x, items[0])
    taken = [item for item in items if item is not None]
    if sum(1 for item in taken if item is Ellipsis) > 1:
        raise MathError("one … is enough in a subscript")
    if Ellipsis in [item for item in taken if item is Ellipsis]:
        at = next(k for k, item in enumerate(items) if item is Ellipsis)
        items[at : at + 1] = [slice(None)] * (x.rank - len(taken) + 1)
        taken = [item for item in items if item is not None]
    if len(taken) > x.rank:
        many = "no axis" if not x.rank else f"only {x.rank} axis" if x.rank == 1 else f"only {x.rank} axes"
        raise MathError(f"{shape_text(x.shape)} has {many} for {len(taken)} subscripts")
    items += [slice(None)] * (x.rank - len(taken))
    axis = 0
    cuts: list[Cut] = []
    new: list[int] = []
    for item in items:
        if item is None:
            new.append(len(new) + sum(1 for _, count, _ in cuts if count != 0))
            continue
        if isinstance(item, slice) and _is_negative(item.step):
            if item.start is not None or item.stop is not None:
                raise MathError(
                    "a slice that runs backwards takes the whole axis: x[::-1]", mend="flip(…) of a slice"
                )
            x = flip(x, axis)
            item = slice(None, None, -item.step)
        cuts.append(_cut(item, x.shape[axis]))
        axis += 1
    found = cut(x, cuts)
    return repeat(found, tuple(new), (1,) * len(new)) if new else found


def _is_negative(step: Any) -> bool:
    return isinstance(step, int) and step < 0


def _cut(item: Any, size: Size) -> Cut:
    if not isinstance(item, slice):
        return _place(item, size, True), 0, 1
    step = 1 if item.step is None else item.step
    if isinstance(step, bool) or not isinstance(step, int) or step == 0:
        raise MathError(f"the step of a slice is a whole number, not {step!r:.40}")
    start = 0 if item.start is None else _place(item.start, size, False)
    stop = size if item.stop is None else _place(item.stop, size, False)
    count = minus(stop, start)
    if isinstance(count, int):
        if count <= 0:
            raise MathError(f"there are no entries from {start} to before {stop}")
        return start, -(-count // step), step
    if step != 1:
        raise MathError(
            f"every {step} entries of an axis of size {size}: how many is that?",
            facts=["a slice with a step needs an axis whose size is a number"],
        )
    return start, count, 1


def _place(item: Any, size: Size, single: bool) -> Size:
    """A place on an axis of this size, counted from its front."""
    if isinstance(item, Expr):
        item = item.params[0] if item.op is size_op else None
    if isinstance(item, bool) or not isinstance(item, int | str):
        index = getattr(item, "__index__", None)
        if index is None or isinstance(item, bool):
            raise MathError(
                "a subscript is a whole number, a slice, None, or a variable with whole numbers",
                mend="X[0], X[1:3, :], v[:, None] or take(X, idx)",
            )
        item = int(index())
    if isinstance(item, int) and item < 0:
        item = plus(size, item)
    elif isinstance(item, str):
        item = checked_size(item)
    place: Size = item
    room = minus(minus(size, place), 1 if single else 0)
    for bound in (place, room):
        if isinstance(bound, int) and bound < 0:
            what = "has no entry" if single else "ends before"
            raise MathError(f"an axis of size {size} {what} {item}", facts=["entries are counted from 0"])
    return place
