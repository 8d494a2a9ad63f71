"""What do columns of a table in files hold, as they are? Works that go over them, here or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.blocks import InMemory, Work
from gradstep.expression.records import record
from gradstep.learn.cluster import Cluster, spread
from gradstep.learn.frames import Frame, Raw, Words
from gradstep.learn.reading import Part
from gradstep.learn.stores import Array, Share, Store, Window, cuts

T = TypeVar("T")

ROWS = 1 << 18  # at a time
CODE = np.dtype(np.int32)


class RawStore(Store):
    """Columns of a table in files, numbers and texts; of each part all rows, or the `runs` asked for."""

    def __init__(
        self, frame: Frame, names: Sequence[str], runs: Mapping[int, Sequence[Window]] | None = None
    ) -> None:
        self.frame, self.source, self.columns, self.filled = frame, frame.source, {}, {}
        self.shapes = dict.fromkeys(names, ())
        self.kinds = {
            name: frame.fields[name].kind if frame.fields[name].holds in ("numbers", "dates") else CODE
            for name in names
        }
        if runs is None:
            runs = {part: cuts(0, rows, ROWS) for part, (_, _, rows) in enumerate(frame.parts)}
        starts = frame.starts
        self.runs: list[tuple[int, Sequence[Window]]] = [*runs.items()]
        if frame.anywhere:
            self.runs = [(part, [run]) for part, each in runs.items() for run in each]
        self.units = [[(starts[part] + a, starts[part] + b) for a, b in each] for part, each in self.runs]
        self.count = sum(stop - start for start, stop in self.windows())

    def read(self, unit: int, names: Sequence[str], share: Share) -> Iterator[dict[str, Array]]:
        """All rows of the windows: there are no shares of what is looked at as it is."""
        part, runs = self.runs[unit]
        found: Iterator[Any] = self.frame.read(part, names, runs)  # texts are there too
        yield from found

    def files(self) -> Sequence[str]:
        return self.frame.paths

    def prints(self) -> dict[str, str]:
        return self.frame.prints()

    def told(self, unit: int) -> str:
        return super().told(unit) if self.frame.anywhere else self.frame.told(self.runs[unit][0])

    def over(self, work: Work[T], workers: Cluster | None) -> T:
        """What a work finds out about all rows, of which there are some: the same, whoever reads them."""
        if workers is not None:
            workers.greet(self)
        return spread(Part(self), workers, True).total(work, self.names)


@record
class Presence:
    """In how many rows of each window a column has a value, by the first row of the window."""

    name: str

    def __call__(self, window: InMemory) -> dict[int, int]:
        return {window.at: int(is_there(window.arrays[self.name]).sum())}

    def added(self, one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
        return {**one, **other}


def is_there(raw: Raw) -> NDArray[np.bool_]:
    """Which values are not missing."""
    return np.asarray(raw.codes >= 0 if isinstance(raw, Words) else ~np.isnan(raw))
