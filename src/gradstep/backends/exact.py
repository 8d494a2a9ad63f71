"""How does a program run so that its numbers are the same everywhere? With sums that are rounded once.

Blocks of other lengths, rows in another order, more threads, another processor: each adds up in another
order, and float64 then rounds otherwise. Here a sum is not rounded before it is finished (`digits.py`), and
what acts entry by entry is one of the operations that IEEE 754 defines to the last bit: + − × ÷ √, |x|, max,
min and comparisons. A program with others, such as exp, is refused: each library rounds them in its own way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked
from gradstep.backends.digits import Cuts, Sum, contracted
from gradstep.backends.parts import Part
from gradstep.backends.program import Line, Program
from gradstep.backends.rows import Rows
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, rebuild, walk
from gradstep.expression.records import replaced
from gradstep.expression.shapes import Lengths
from gradstep.operations import (
    activations,
    arithmetic,
    broadcasting,
    choices,
    entries,
    extremes,
    flips,
    gates,
    leaves,
    lookups,
    permutations,
    steps,
)
from gradstep.operations.arithmetic import multiply
from gradstep.operations.evaluation import sizes_of
from gradstep.operations.leaves import number, symbol_op, value_of

# What is defined to the last bit, or only moves entries.
DEFINED: frozenset[Operation] = frozenset(
    {
        *(arithmetic.add_op, arithmetic.subtract_op, arithmetic.negate_op, arithmetic.multiply_op),
        *(arithmetic.divide_op, *arithmetic.COMPARISONS),
        *(activations.sqrt_op, activations.relu_op, activations.abs_op, activations.sign_op),
        *(activations.maximum_op, activations.minimum_op, gates.leaky_relu_op, choices.where_op),
        *(extremes.max_op, extremes.min_op, extremes.hardmax_op),
        *(steps.floor_op, steps.ceil_op, steps.round_op, steps.trunc_op),
        *(
            broadcasting.repeat_op,
            broadcasting.squeeze_op,
            permutations.transpose_op,
            permutations.permute_op,
        ),
        *(entries.slice_op, entries.embed_op, entries.concatenate_op, entries.reshape_op, flips.flip_op),
        *(lookups.take_op, lookups.one_hot_op),
        *(leaves.symbol_op, leaves.number_op, leaves.size_op, leaves.eye_op, leaves.triangle_op),
    }
)
MOST = 64  # the highest power that is multiplied out


def defined(program: Program) -> Program:
    """The same program in operations that have one right answer; a `MathError` names one that has none."""
    made: dict[Expr, Expr] = {}
    lines = tuple(
        Line(line.name, _defined(line.value, made), line.half, line.comment) for line in program.lines
    )
    outputs = {name: _defined(value, made) for name, value in program.outputs.items()}
    return replaced(program, lines=lines, outputs=outputs)


def _defined(root: Expr, made: dict[Expr, Expr]) -> Expr:
    for node in walk(root, stop=lambda node: node in made):
        if node not in made:
            made[node] = _one(node, rebuild(node, [made[arg] for arg in node.args]), made)
    return made[root]


def _one(node: Expr, cut: Expr, made: dict[Expr, Expr]) -> Expr:
    op = node.op
    if op in DEFINED or (op.indices is not None and len(node.args) <= 2):
        return cut
    if op is arithmetic.power_op:
        found = _power(*cut.args)
        if found is not None:
            return found
    if op.definition is not None:
        with contextlib.suppress(MathError):  # which names a part of the definition, not what stands here
            return _defined(op.definition(node.params, *cut.args), made)
    raise MathError(
        f"{op.name} is rounded in another way by each machine",
        facts=["exact sums are for programs of + − × ÷ √, max, min, absolute values and comparisons"],
        mend="leaky_relu or softsign as the activation, or sums that are not exact",
    )


def _power(x: Expr, n: Expr) -> Expr | None:
    """x to a whole number, or to a half, by products, a quotient and a root."""
    power = value_of(n)
    if power is None or abs(power) > MOST or (2 * power).denominator != 1:
        return None
    whole, half = divmod(abs(power), 1)
    factors = [x] * int(whole) + ([activations.sqrt(x)] if half else [])
    found = factors[0] if factors else number(1) + 0 * x
    for factor in factors[1:]:
        found = multiply(found, factor)
    return found if power >= 0 else 1 / found


def sums(node: Expr) -> bool:
    """Whether entries are added up here."""
    if node.op.indices is None:
        return False
    inputs, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).split("->")
    return not set(inputs) - {","} <= set(output)


def interpreted(program: Program, totals: Collection[str] = ()) -> Callable[..., tuple[Any, ...]]:
    """The function of a program of defined operations; the sums of `totals` are given before rounding."""
    inputs = [given.symbol for given in program.inputs]
    symbols = [symbol_op(params=(line.name, line.value.shape, ())) for line in program.lines]
    roots = [line.value for line in program.lines] + list(program.outputs.values())
    left = [symbol for symbol, line in zip(symbols, program.lines, strict=True) if line.name in totals]

    def run(*arrays: Any) -> tuple[Any, ...]:
        arrays = tuple(np.asarray(array, np.float64) for array in arrays)
        sizes = _sizes(program, arrays)
        cut = Cuts()
        known: dict[Expr, Any] = dict(zip(inputs, arrays, strict=True))

        def worth(root: Expr, rounding: bool = True) -> Any:
            done: dict[Expr, Any] = {}
            for node in walk(root, stop=lambda node: node in known):
                if node in known:
                    done[node] = known[node]
                    continue
                found = _worth(node, sizes, [done[arg] for arg in node.args], cut)
                if isinstance(found, Sum) and (rounding or node is not root):
                    found = found.rounded()
                done[node] = found
            return done[root]

        with np.errstate(all="ignore"):
            for symbol, root in zip(symbols, roots, strict=False):
                known[symbol] = worth(root, symbol not in left)
            return tuple(worth(output) for output in program.outputs.values())

    return run


def _sizes(program: Program, arrays: Sequence[Any]) -> Lengths:
    declared = {str(given.symbol.params[0]): given.symbol for given in program.inputs}
    return sizes_of(declared, dict(zip(declared, arrays, strict=True)))


def _worth(node: Expr, sizes: Lengths, values: Sequence[Any], cut: Cuts) -> Any:
    """What a node is worth; a sum that is not rounded yet where it is one."""
    if not sums(node):
        return node.op.meaning(np, sizes, node.params, *values)
    assert node.op.indices is not None
    inputs, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).split("->")
    letters, arrays = [], []
    for own, value in zip(inputs.split(","), values, strict=True):
        once = "".join(dict.fromkeys(own))
        arrays.append(np.einsum(f"{own}->{once}", value) if once != own else value)
        letters.append(once)
    return contracted(f"{','.join(letters)}->{output}", *arrays, cut=cut)


class Exact(Blocked):
    """A program of defined operations over its rows in blocks, whose totals are rounded at the end."""

    def __init__(self, program: Program, rows: Rows, threads: int | None = None) -> None:
        super().__init__(program, rows, threads, exactly=True)
        self.between = [Part("", (), interpreted(each)) for each in rows.between]
        self.passes = [Part("", (), interpreted(each.program, each.totals)) for each in rows.passes]

    def told(self) -> list[str]:
        first, *rest = super().told()
        return [f"{first}; sums are exact and rounded once: about 30 times the time", *rest]
