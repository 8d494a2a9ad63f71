"""Is there room for the arrays of a formula? Their sizes are looked at before one is made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from math import prod

from gradstep.expression.errors import MathError
from gradstep.expression.shapes import Shape, Size, shape_text

SHARE = 4  # an array takes at most one such part of the memory
UNKNOWN = 8 << 30  # bytes, where the system does not say
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


@cache
def memory() -> int:
    """The bytes of memory that this machine, or the container around this process, has."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        found = UNKNOWN
    for limit in LIMITS:
        try:
            with open(limit, encoding="ascii") as file:
                found = min(found, int(file.read()))
        except (OSError, ValueError):
            continue
    return found


def check_room(shapes: Iterable[Shape], lengths: Mapping[Size, int]) -> None:
    """Raises `MathError`, with the number, for an array of float64 that takes more than its share."""
    for shape in shapes:
        needed = 8 * prod(lengths[size] for size in shape)
        if needed > memory() // SHARE:
            raise MathError(
                f"an array of {shape_text(tuple(lengths[size] for size in shape))} numbers takes "
                f"{spoken(needed)}: more than a quarter of the {spoken(memory())} of memory here",
                facts=[f"its shape is {shape_text(shape)}"],
                mend="fewer rows at a time, or a formula without this array",
            )


def spoken(count: int) -> str:
    """So many bytes in words: 3.2 GB."""
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"
