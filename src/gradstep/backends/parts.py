"""How does a part of a program read in NumPy? A function that gives several results at once.

The passes of a `Rows` and what lies between them are programs of this kind. A total that is a number is added
up in float64 whatever the data are in, so that a loss over many rows keeps its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from gradstep.backends.economy import vdot_op
from gradstep.backends.numpy import Speller
from gradstep.backends.program import Line, Program
from gradstep.backends.python import atom
from gradstep.backends.source import assignment, executed, sizes_of_inputs
from gradstep.operations.broadcasting import sum_op
from gradstep.operations.leaves import symbol_op
from gradstep.operations.products import matmul_op

Part = Callable[..., tuple[Any, ...]]

PRODUCT = (
    "def exact_product(a, b):\n"
    "    if a.dtype == np.float64:\n"
    "        return np.vdot(a, b)\n"
    "    return np.multiply(a, b, dtype=np.float64).sum()\n"
)


def write_part(program: Program, totals: Collection[str] = (), name: str = "part") -> str:
    """The source of a function that takes the inputs in order and returns the outputs as a tuple."""
    speller = Speller(program)
    lines: list[str] = []
    for line in program.lines:
        code = _exact(speller, line) if line.name in totals and not line.value.rank else ""
        lines += [f"    {line.name} = {code}"] if code else assignment(speller, line)
    returned = [speller.number(output)[0] for output in program.outputs.values()]
    inputs = ", ".join(str(given.symbol.params[0]) for given in program.inputs)
    return "\n".join(
        [
            "import numpy as np",
            *("\n\n" + helper.rstrip("\n") for helper in speller.helpers),
            "\n",
            f"def {name}({inputs}):",
            *sizes_of_inputs(program, speller.sizes),
            *lines,
            f"    return ({', '.join(returned)}{',' * (len(returned) == 1)})",
            "",
        ]
    )


def _exact(speller: Speller, line: Line) -> str:
    """A sum over all entries in float64, or nothing where it is another kind of total."""
    value = line.value
    if value.op in (matmul_op, vdot_op) and all(arg.op is symbol_op or arg.args for arg in value.args):
        speller.helpers[PRODUCT] = None
        return f"exact_product({', '.join(speller.number(arg)[0] for arg in value.args)})"
    if value.op is sum_op:
        code = speller.code(value.args[0])
        return (
            f"{atom(code)}.sum(dtype=np.float64)" if value.args[0].args else f"np.sum({code[0]}, dtype=float)"
        )
    return ""


def load_part(source: str) -> Part:
    """The function that `source` defines, which `write_part` has written."""
    function: Part = executed(source)
    return function


def part(program: Program, totals: Collection[str] = ()) -> Part:
    """The function of a part."""
    return load_part(write_part(program, totals))
