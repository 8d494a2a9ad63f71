"""How does a pass run whose rows are matrices, such as heads? One after the other, each in passes of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked, Division, InMemory, Source, Values, in_pairs
from gradstep.backends.native.layouts import Array
from gradstep.backends.program import Program
from gradstep.backends.rows import Pass, Rows
from gradstep.backends.stacks import Stack
from gradstep.backends.threads import shared_out
from gradstep.expression.shapes import Size

Runs = Callable[[Program, Rows, int], Blocked]


class HeadsCall:
    """A pass over `count` matrices. Each thread takes the next one, or all of them one where there are few.

    `runs` makes who runs the passes of one matrix, by so many threads.
    """

    def __init__(
        self,
        stack: Stack,
        step: Pass,
        size: Size,
        count: int,
        kind: np.dtype[Any],
        threads: int,
        runs: Runs,
    ) -> None:
        self.stack, self.kind = stack, kind
        self.division = Division(count, 1, 1)
        self.threads, inner = (threads, 1) if count >= threads else (1, threads)
        self.inner = runs(stack.program, stack.rows, inner)
        self.cut = [given.name for given in step.program.inputs if size in given.symbol.shape]
        self.fixed = [given.name for given in step.program.inputs if given.name not in self.cut]
        self.ready = False

    def __call__(self, source: Source, arrays: Mapping[str, Array], known: Values) -> Values | None:
        """Totals and joined arrays of all matrices."""
        axes = self.stack.rows.axes
        fixed = {name: np.asarray(known[name]) for name in self.fixed}
        joined: dict[str, Array] = {}
        count = self.division.count

        def one(number: int) -> Values:
            blocks = source.block(self.cut, number, number + 1)
            here = fixed | {name: block[0] for name, block in zip(self.cut, blocks, strict=True)}
            found = self.inner.of(here)
            for name in self.stack.joined:
                if name not in joined:
                    joined[name] = np.empty((count, *np.shape(found[name])), self.kind)
                joined[name][number] = found[name]
            return {name: np.asarray(found[name], np.float64)[()] for name in self.stack.totals}

        first = [one(0)]  # makes the code
        others = shared_out(lambda number: one(number + 1), count - 1, self.threads)
        return in_pairs(self.stack.totals, [*first, *others]) | joined
