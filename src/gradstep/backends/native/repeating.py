"""How does a run go that went before with arrays of the same shapes and kinds, which lie alike? Nothing is
decided again: from Python to the code of the passes and back it is a few steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked, InMemory, Values, along
from gradstep.backends.native.calls import Call
from gradstep.backends.native.layouts import Array
from gradstep.backends.native.matrices import MatrixCall
from gradstep.backends.program import Program
from gradstep.backends.threads import one_thread_each
from gradstep.expression.node import walk


class Repeated:
    """A run over rows by passes whose calls are made."""

    def __init__(self, run: Blocked, calls: Sequence[Call | MatrixCall], arrays: Mapping[str, Array]) -> None:
        axes, programs = run.rows.axes, run.rows.between
        self.run, self.axes = run, axes
        self.others = [name for name in arrays if name not in axes]
        self.divisions = {number: call.division for number, call in enumerate(calls)}
        self.steps: list[tuple[Any, list[str], list[str], Call | MatrixCall | None]] = []
        self.constant: Values = {run.rows.count: np.float64(InMemory(arrays, axes).count)}
        for program, part, call in zip(programs, run.between, [*calls, None], strict=True):
            names, outputs = [given.name for given in program.inputs], list(program.outputs)
            function: Any = part.function
            if all(name in self.constant for name in names):
                found = function(*[self.constant[name] for name in names])
                if all(isinstance(value, float) for value in found):
                    self.constant.update(zip(outputs, found, strict=True))
                    function = None
            self.steps.append((function, names, outputs, call))
        needed = {name for function, names, _, _ in self.steps if function for name in names}
        self.firsts = [(name, along(axis, 0, 1)) for name, axis in axes.items() if name in needed]
        self.numbers = all(map(_of_numbers, programs))

    def __call__(self, arrays: Mapping[str, Array]) -> Values | None:
        """The outputs by name; nothing where squares have left the range of numbers."""
        run, source = self.run, InMemory(arrays, self.axes)
        known = self.constant | {name: arrays[name] for name in self.others}
        for name, first in self.firsts:
            known[name] = arrays[name][first]
        with nullcontext() if self.numbers else one_thread_each():
            for function, names, outputs, call in self.steps:
                if function is not None:
                    known.update(zip(outputs, function(*[known[name] for name in names]), strict=True))
                if call is not None:
                    found = call(source, arrays, known)
                    if found is None:
                        return None
                    known.update(found)
        run.divisions.update(self.divisions)
        return {name: known[called] for name, called in run.rows.outputs.items()}


def _of_numbers(program: Program) -> bool:
    """Whether nothing but numbers is computed."""
    return not any(node.rank for line in program.lines for node in walk(line.value))
