"""How are several models measured in one pass over the rows? As one program that holds a copy for each.

What does not depend on a model's own inputs, its parameters and its own numbers, is there once, and so are
the data: each block of rows is read once for all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked
from gradstep.backends.program import Input, Line, Program
from gradstep.backends.rows import cut
from gradstep.backends.run import Run
from gradstep.backends.safe_names import Names
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Shape
from gradstep.operations.leaves import symbol_op

TOGETHER = (2, 4, 8)  # so many copies are compiled; other numbers of models are made of these


@record
class Copies:
    """A program with several copies of another.

    inputs    for each copy what its own inputs are called, by the user's names
    outputs   for each copy what its outputs are called, by theirs
    """

    program: Program
    inputs: tuple[Mapping[str, str], ...]
    outputs: tuple[Mapping[str, str], ...]


def copies_of(program: Program, own: Collection[str], count: int) -> Copies:
    """So many copies of a program, each with inputs of its `own`, by the user's names."""
    names = Names()
    names.taken |= {str(given.symbol.params[0]) for given in program.inputs} | set(program.sizes)
    names.taken |= {line.name for line in program.lines}
    tables: list[dict[Expr, Expr]] = [{} for _ in range(count)]
    inputs: list[Input] = []
    called: list[dict[str, str]] = [{} for _ in range(count)]
    firsts: dict[str, str] = {}

    def another(name: str, shape: Shape) -> Expr:
        return symbol_op(params=(names.give(name), shape, ()))

    for given in program.inputs:
        if given.name not in own:
            inputs.append(given)
            continue
        for table, mine in zip(tables, called, strict=True):
            symbol = table[given.symbol] = another(given.name, given.symbol.shape)
            name = mine[given.name] = str(symbol.params[0])
            firsts.setdefault(str(given.symbol.params[0]), name)
            inputs.append(Input(name, symbol, given.declared))
    lines: list[Line] = []
    for line in program.lines:
        if not any(node in tables[0] for node in walk(line.value)):
            lines.append(line)
            continue
        before = symbol_op(params=(line.name, line.value.shape, ()))
        for table in tables:
            value = replace(line.value, table)
            table[before] = another(line.name, line.value.shape)
            lines.append(Line(str(table[before].params[0]), value, line.half))
    results: dict[str, Expr] = {}
    told: list[dict[str, str]] = []
    for number, (table, mine) in enumerate(zip(tables, called, strict=True)):
        told.append({name: mine.get(name, f"{name or 'value'} {number}") for name in program.outputs})
        results |= {told[-1][name]: replace(value, table) for name, value in program.outputs.items()}
    sizes = {size: (firsts.get(name, name), axis) for size, (name, axis) in program.sizes.items()}
    return Copies(Program(tuple(inputs), tuple(lines), results, sizes), tuple(called), tuple(told))


class Several:
    """The function of a program for several models at once, which share all but their `own` inputs."""

    def __init__(self, run: Run, own: Collection[str]) -> None:
        self.run, self.own = run, frozenset(own)
        self.made: dict[int, tuple[Copies, Blocked]] = {}

    def pays(self, size: int) -> bool:
        """Whether shared arrays of so many bytes had better be read once for all models."""
        blocked = self.run.blocked if size >= self.run.many else None
        own = [given.symbol.shape for given in self.run.program.inputs if given.name in self.own]
        return blocked is not None and not any(blocked.rows.size in shape for shape in own)

    def __call__(self, shared: Mapping[str, Any], each: Sequence[Mapping[str, Any]]) -> list[Any]:
        """What the function gives for every model; `each` has its own arrays by name."""
        found: list[Any] = []
        while len(found) < len(each):
            left = each[len(found) :]
            if len(left) == 1:
                return [*found, self.alone(shared, left[0])]
            size = next((size for size in TOGETHER if size >= len(left)), TOGETHER[-1])
            here = [*left[:size], *[left[0]] * (size - len(left))]  # what is too much costs little
            found += self.together(shared, here)[: len(left)]
        return found

    def alone(self, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
        """The same for one model."""
        names = [given.name for given in self.run.program.inputs]
        return self.run(*[own[name] if name in own else shared[name] for name in names])

    def copies(self, count: int) -> tuple[Copies, Blocked]:
        """So many copies, and who runs them."""
        if count not in self.made:
            assert self.run.blocked is not None
            size, program = self.run.blocked.rows.size, self.run.program
            rows = next(
                str(declared)
                for given in program.inputs
                for here, declared in zip(given.symbol.shape, given.declared.shape, strict=True)
                if here == size
            )
            copies = copies_of(program, self.own, count)
            self.made[count] = copies, self.run.in_blocks(cut(copies.program, rows), copies.program)
        return self.made[count]

    def together(self, shared: Mapping[str, Any], each: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The same for a number of models for which there are copies."""
        copies, blocked = self.copies(len(each))
        arrays = {
            str(given.symbol.params[0]): shared[given.name]
            for given in self.run.program.inputs
            if given.name not in self.own
        }
        for called, own in zip(copies.inputs, each, strict=True):
            arrays |= {name: own[wanted] for wanted, name in called.items()}
        totals = blocked.of({name: np.asarray(array) for name, array in arrays.items()})
        results = []
        for outputs in copies.outputs:
            value, *slopes = (totals[name] for name in outputs.values())
            gradients = dict(zip(list(outputs)[1:], slopes, strict=True))
            results.append((value, gradients) if gradients else value)
        return results


@lru_cache(maxsize=16)
def several(run: Run, own: frozenset[str]) -> Several:
    """The function for several models at once, made once."""
    return Several(run, own)
