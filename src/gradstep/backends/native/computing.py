"""How does one cell become instructions? By what its operation has for vectors, or as a sum of products."""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.borrowed import borrowed
from gradstep.backends.native.cells import Cell
from gradstep.backends.native.elements import EMITTERS, as_number
from gradstep.operations.choices import where_op

CHAINS = 4  # parts of a long sum that do not wait for each other


def computed(writer: Writer, cell: Cell, args: Sequence[Vec], type: Type, chains: int = CHAINS) -> Vec:
    """The value of a cell whose operands have been computed."""
    if cell.op == "number":
        return writer.number(cell.params[0], type)
    numbers = [as_number(arg, type.kind) for arg in args]
    if cell.op == "dot":
        return dot(list(zip(numbers[::2], numbers[1::2], strict=True)), chains)
    assert not isinstance(cell.op, str)
    if cell.op is where_op:
        numbers[0] = args[0]
    if cell.op in EMITTERS:
        return EMITTERS[cell.op](cell.params, *numbers)
    return borrowed(cell.op, cell.params, *numbers)


def dot(pairs: Sequence[tuple[Vec, Vec]], chains: int = CHAINS) -> Vec:
    """Σ aᵢ bᵢ; a long one in parts, so that one product need not wait for the one before."""
    chains = chains if len(pairs) >= 2 * CHAINS else 1
    parts = []
    for k in range(chains):
        (a, b), *rest = pairs[k::chains]
        total = a * b
        for a, b in rest:
            total = a.times_plus(b, total)
        parts.append(total)
    while len(parts) > 1:
        parts = [x + y for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]
