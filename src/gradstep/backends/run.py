"""How does a function run? All rows at once where they are few, in blocks by several threads where many."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep.backends.compiled import Compiled
from gradstep.backends.options import EXACT, Options
from gradstep.backends.program import Program
from gradstep.backends.source import executed
from gradstep.backends.source import write as write
from gradstep.backends.threads import cores, kernels_told
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.operations.memory import spoken

if TYPE_CHECKING:
    from gradstep.backends import blocks, exact, rows
    from gradstep.backends.rows import Rows
else:
    blocks = late("gradstep.backends.blocks")
    exact = late("gradstep.backends.exact")
    rows = late("gradstep.backends.rows")

MANY = 8 << 20  # bytes of data; below that blocks save nothing
MANY_MATRICES = 1 << 20  # the same where each row is a matrix: products of two have more entries than they


class Run:
    """The function of a program: takes the arrays in the order of its inputs, checks nothing.

    It gives what the function of the whole program gives, which it calls for few data. Which way it goes
    depends on the size of the data alone, so that a result never depends on the number of threads.
    """

    def __init__(self, program: Program, whole: Callable[..., Any], options: Options) -> None:
        self.program, self.whole, self.options = program, whole, options
        self.names = [str(given.symbol.params[0]) for given in program.inputs]
        self.slopes = list(program.gradients)
        self.threads = options.threads or cores()
        self.matrices = any(given.symbol.rank > 2 for given in program.inputs)
        self.exact = options.accumulate == EXACT
        self.why_whole = ""
        self.size: int | None = None  # bytes of the data of the last call
        if options.batch:
            rows.cut(program, options.batch)  # says at once what is wrong with it

    @property
    def __name__(self) -> str:
        return self.whole.__name__

    @property
    def many(self) -> int:
        """From how many bytes of data on it runs in blocks."""
        if self.exact:
            return 0
        return MANY_MATRICES if self.matrices else MANY

    def in_blocks(self, rows: Rows, program: Program | None = None) -> blocks.Blocked:
        """Who runs it, or another program that is cut so, over its rows."""
        if self.exact:
            return exact.Exact(program or self.program, rows, self.threads)
        return blocks.Blocked(
            program or self.program, rows, self.threads, self.options.accumulate == "float64"
        )

    @cached_property
    def blocked(self) -> blocks.Blocked | None:
        """The program in blocks of rows, or nothing where it needs all of them."""
        try:
            return self.in_blocks(rows.cut(self.program, self.options.batch))
        except MathError as error:
            self.why_whole = "; ".join(error.facts)
            return None

    def __call__(self, *arrays: Any) -> Any:
        try:
            self.size = sum([array.nbytes for array in arrays])
        except AttributeError:
            return self(*map(np.asarray, arrays))
        blocked = self.blocked if self.size >= self.many else None
        if blocked is None:
            return self.whole(*arrays)
        value, *gradients = blocked.of(dict(zip(self.names, arrays, strict=True))).values()
        return (value, dict(zip(self.slopes, gradients, strict=True))) if self.slopes else value

    def report(self, size: int | None = None) -> str:
        """How it runs on so many bytes of data, which are those of the last call if not said, in words."""
        blocked, size = self.blocked, self.size if size is None else size
        if blocked is None:
            lines = [f"NumPy, all rows at once: {self.why_whole}"]
        elif size is None:
            lines = [*blocked.told(), f"below {spoken(self.many)} of data: NumPy, all rows at once"]
        elif size < self.many:
            first, *others = blocked.told()
            few = f"NumPy, all rows at once: {spoken(size)} of data are few"
            lines = [few, f"from {spoken(self.many)} on: {first}", *others]
        else:
            lines = blocked.told()
        return "\n".join([*lines, *kernels_told()])


def load(source: str, program: Program, options: Options) -> Compiled:
    """The function that `source` defines, which was written from `program`."""
    if options.accumulate != EXACT:
        return Compiled(source, program, Run(program, executed(source), options))
    program = exact.defined(program)
    whole = exact.interpreted(program)

    def called(*arrays: Any) -> Any:
        value, *slopes = whole(*arrays)
        return (value, dict(zip(program.gradients, slopes, strict=True))) if slopes else value

    return Compiled(source, program, Run(program, called, options))
