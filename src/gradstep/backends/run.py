"""How does a function run? All rows at once where they are few, in blocks by several threads where many."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from gradstep.backends.blocks import BLOCK, Blocked, InMemory
from gradstep.backends.compiled import Compiled
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.rows import Rows, cut
from gradstep.backends.source import executed
from gradstep.backends.source import write as write
from gradstep.backends.threads import cores, kernels_told, one_thread_each
from gradstep.expression.errors import MathError

MANY = 8 * BLOCK  # bytes of data; below that blocks save nothing


class Run:
    """The function of a program: takes the arrays in the order of its inputs, checks nothing.

    It gives what the function of the whole program gives, which it calls for few data. Which way it goes
    depends on the size of the data alone, so that a result never depends on the number of threads.
    """

    def __init__(self, program: Program, whole: Callable[..., Any], options: Options) -> None:
        self.program, self.whole, self.options = program, whole, options
        self.threads = options.threads or cores()
        self.why_whole = ""
        if options.batch:
            cut(program, options.batch)  # says at once what is wrong with it

    @property
    def __name__(self) -> str:
        return self.whole.__name__

    @property
    def many(self) -> int:
        """From how many bytes of data on it runs in blocks."""
        return MANY

    @property
    def joins(self) -> bool:
        """Whether one product of matrices is faster than several of a matrix and a vector."""
        return True

    def in_blocks(self, rows: Rows, program: Program | None = None) -> Blocked:
        """Who runs it, or another program that is cut so, over its rows."""
        return Blocked(program or self.program, rows, self.threads, self.options.accumulate == "float64")

    @cached_property
    def blocked(self) -> Blocked | None:
        """The program in blocks of rows, or nothing where it needs all of them."""
        try:
            return self.in_blocks(cut(self.program, self.options.batch))
        except MathError as error:
            self.why_whole = "; ".join(error.facts)
            return None

    def __call__(self, *arrays: Any) -> Any:
        many = sum(array.nbytes for array in map(np.asarray, arrays)) >= self.many
        blocked = self.blocked if many else None
        if blocked is None:
            return self.whole(*arrays)
        named = {str(given.symbol.params[0]): a for given, a in zip(self.program.inputs, arrays, strict=True)}
        axes = blocked.rows.axes
        kind = np.result_type(*(named[name] for name in axes))
        if kind.kind != "f":
            kind = np.dtype(np.float64)
        with one_thread_each():
            found = blocked.run(
                InMemory({name: named[name] for name in axes}, axes),
                {name: array for name, array in named.items() if name not in axes},
                kind,
            )
        value, *gradients = found.values()
        names = list(self.program.gradients)
        return (value, dict(zip(names, gradients, strict=True))) if names else value

    def report(self) -> str:
        """How it runs, in words."""
        blocked = self.blocked
        lines = blocked.told() if blocked else [f"NumPy, all rows at once: {self.why_whole}"]
        return "\n".join([*lines, *kernels_told()])


def load(source: str, program: Program, options: Options) -> Compiled:
    """The function that `source` defines, which was written from `program`."""
    return Compiled(source, program, Run(program, executed(source), options))
