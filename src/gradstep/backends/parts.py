"""How does a part of a program read in NumPy? A function that gives several results at once.

The passes of a `Rows` and what lies between them are programs of this kind. A total that is a number is added
up in float64 whatever the data are in, so that a loss over many rows keeps its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from gradstep.backends.buffers import Buffer, in_place, single
from gradstep.backends.economy import vdot_op
from gradstep.backends.numpy import Speller
from gradstep.backends.program import Line, Program
from gradstep.backends.python import atom
from gradstep.backends.source import executed, sizes_of_inputs
from gradstep.expression.records import record
from gradstep.operations.broadcasting import sum_op
from gradstep.operations.leaves import symbol_op
from gradstep.operations.products import matmul_op

PRODUCT = (
    "def exact_product(a, b):\n"
    "    x = a.astype(np.float64, copy=False)\n"
    "    return np.vdot(x, x if a is b else b.astype(np.float64, copy=False))\n"
)


@record
class Part:
    """Called with the inputs in order and then its buffers, it gives the outputs in order as a tuple.

    What it gives may lie in the buffers: it is there until the next call with them.
    """

    source: str
    buffers: tuple[Buffer, ...]
    function: Callable[..., tuple[Any, ...]]


def part(program: Program, totals: Collection[str] | None = None, name: str = "part") -> Part:
    """The function of a part. One over rows ends in totals, of which numbers are exact, and has buffers."""
    speller = Speller(program)
    lines = program.lines if totals is None else single(program)
    codes = []
    for line in lines:
        if speller.is_mask(line.value):
            speller.masks.add(symbol_op(params=(line.name, line.value.shape, ())))
        exact = _exact(speller, line) if totals and line.name in totals and not line.value.rank else ""
        codes.append(exact or speller.code(line.value)[0])
    buffers: list[Buffer] = []
    if totals is not None:
        codes, buffers = in_place(program, lines, codes, speller.masks)
    returned = [speller.number(output)[0] for output in program.outputs.values()]
    inputs = [str(given.symbol.params[0]) for given in program.inputs]
    source = "\n".join(
        [
            "import numpy as np",
            *("\n\n" + helper.rstrip("\n") for helper in speller.helpers),
            "\n",
            f"def {name}({', '.join([*inputs, *(buffer.name for buffer in buffers)])}):",
            *sizes_of_inputs(program, speller.sizes),
            *(f"    {line.name} = {code}" for line, code in zip(lines, codes, strict=True)),
            f"    return ({', '.join(returned)}{',' * (len(returned) == 1)})",
            "",
        ]
    )
    return Part(source, tuple(buffers), executed(source))


def _exact(speller: Speller, line: Line) -> str:
    """A sum over all entries in float64, or nothing where it is another kind of total."""
    value = line.value
    if value.op in (matmul_op, vdot_op) and all(arg.op is symbol_op or arg.args for arg in value.args):
        speller.helpers[PRODUCT] = None
        return f"exact_product({', '.join(speller.number(arg)[0] for arg in value.args)})"
    if value.op is sum_op:
        return f"{atom(speller.code(value.args[0]))}.sum(dtype=np.float64)"
    return ""
