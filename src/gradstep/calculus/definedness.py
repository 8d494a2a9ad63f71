"""Is a line undefined where the line before it was defined? What it asks of divisors, logarithms and roots.

What a formula asks of its parts is compared as it is written: x² ≠ 0 asks what x ≠ 0 does, x > 0 asks more. A
rewrite that asks for something new is worked out at points with zeros, ties and both signs: it must have a
value wherever what it replaces has one. A derivative may ask for more than its function, √x for x ≠ 0; a line
that does so says what it needs.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gradstep.calculus.chances import draw_sizes
from gradstep.calculus.steps import Derivation, Rewrite
from gradstep.calculus.verdicts import Failure
from gradstep.expression.errors import SingularError
from gradstep.expression.late import late
from gradstep.expression.node import Expr, describe, walk
from gradstep.operations.activations import sqrt_op
from gradstep.operations.arithmetic import (
    divide_op,
    log_op,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
)
from gradstep.operations.broadcasting import repeat_op, squeeze_op
from gradstep.operations.inverses import INVERTED, det_op, inv_op
from gradstep.operations.leaves import symbol_op, value_of
from gradstep.operations.lookups import lookups
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op
from gradstep.operations.ranges import Range, range_of

if TYPE_CHECKING:
    from gradstep.calculus import floating
else:
    floating = late("gradstep.calculus.floating")

SPECIAL = (-2.0, -1.0, 0.0, 1.0, 1.5)  # entries that tie, vanish and have both signs
DRAWS = 24

Demand = tuple[str, Expr]  # what is asked, of which part
ASKING = (INVERTED - {det_op}) | {divide_op, log_op, sqrt_op, power_op}
INVERTIBLE = "invertible"
INVERTIBLES = frozenset({INVERTIBLE, "orthogonal", "symmetric positive definite"})
_RANGES: WeakKeyDictionary[Expr, Range] = WeakKeyDictionary()
STRONGER = {" ≠ 0": (" > 0",), " ≥ 0": (" > 0",)}


class Domains:
    """Follows the lines after `of`: what each asks for that none before did; `nodes` are all that occur."""

    def __init__(
        self, of: Iterable[Expr], nodes: Iterable[Expr], names: Mapping[Expr, str], rng: Random
    ) -> None:
        self.names, self.rng = names, rng
        self.seen = set(walk(*of))
        self.asking = _asking(nodes, self.seen)
        self.asked: set[Demand] = set()
        self.passed: list[Expr] = []  # and not yet seen

    def follow(
        self, before: Sequence[Expr], after: Sequence[Expr], details: Iterable[Rewrite]
    ) -> tuple[tuple[str, ...], list[str]]:
        """What a line asks for, and which rewrites in it lose points: have no value where there was one."""
        asked: list[Demand] = []
        lost = []
        rewrites = [rewrite for rewrite in details if rewrite.after in self.asking]
        if rewrites or not self.asking.isdisjoint(after):
            self.seen.update(walk(*self.passed, stop=self.seen.__contains__))
            self.passed.clear()
            fresh = fresh_demands(demands(after, self.seen), before)
            asked = [demand for demand in fresh if demand not in self.asked]
            self.asked.update(asked)
        for rewrite in rewrites:
            fresh = fresh_demands(demands([rewrite.after], self.seen), [rewrite.before])
            if fresh and loses(rewrite.before, rewrite.after, self.rng):
                needs = ", ".join(said(demand, {}) for demand in fresh)
                lost.append(f"“{rewrite.rule}” loses points: it needs {needs}")
        self.passed += (*before, *after)
        return tuple(dict.fromkeys(said(demand, self.names) for demand in asked)), lost


def domains(
    derivation: Derivation, nodes: Iterable[Expr], rng: Random
) -> tuple[list[tuple[str, ...]], list[Failure]]:
    """What each line asks for that none before does, and the rewrites that lose points.

    `nodes` are all that occur.
    """
    found: list[tuple[str, ...]] = [()] * (len(derivation.steps) + 1)
    failures: list[Failure] = []
    work = Domains((derivation.of,), nodes, derivation.names, rng)
    if not work.asking:
        return found, failures
    for k, step in enumerate(derivation.steps, 1):
        before, after = ([e for term in line for e in term] for line in (step.before, step.after))
        found[k], lost = work.follow(before, after, step.details)
        failures += (Failure(k, step.rule, what) for what in lost)
    return found, failures


def _asking(nodes: Iterable[Expr], seen: Container[Expr]) -> set[Expr]:
    """The nodes that ask something of their parts, or have a part that does, but for what is `seen`."""
    asking: set[Expr] = set()
    for node in nodes:
        own = node.op in ASKING and node not in seen and any(True for _ in _own(node))
        if own or not asking.isdisjoint(node.args):
            asking.add(node)
    return asking


def demands(exprs: Iterable[Expr], seen: Iterable[Expr] = ()) -> list[Demand]:
    """What these ask of their parts, without what is said of the nodes in `seen`."""
    known = seen if isinstance(seen, set) else set(seen)
    nodes = (node for node in walk(*exprs, stop=known.__contains__) if node not in known)
    return list(dict.fromkeys(part for node in nodes for part in _own(node)))


def said(demand: Demand, names: Mapping[Expr, str]) -> str:
    """x ≠ 0, in words where there is no sign."""
    asked, part = demand
    short = names.get(part) or describe(part)
    return f"{short}{asked}" if asked[0] == " " else f"{short} {asked}"


def fresh_demands(new: Iterable[Demand], before: Iterable[Expr]) -> list[Demand]:
    """What these did not ask before, nor follows from that."""
    asking = list(new)
    if not asking:
        return []
    old = {part for asked in demands(before) for part in (asked, *_parts((_weaker(asked), asked[1])))}
    return [
        (asked, part)
        for asked, part in asking
        if not any((stronger, part) in old for stronger in (asked, *STRONGER.get(asked, ())))
    ]


def _own(node: Expr) -> Iterator[Demand]:
    """What a node asks of its operands."""
    return (part for asked in _asked(node) for part in _parts(asked))


def _weaker(demand: Demand) -> str:
    """What is asked where this is: what is positive is not zero."""
    return " ≠ 0" if demand[0] == " > 0" else demand[0]


def _asked(node: Expr) -> Iterator[Demand]:
    op = node.op
    if op is divide_op:
        yield " ≠ 0", node.args[1]
    elif op is log_op:
        yield " > 0", node.args[0]
    elif op is sqrt_op:
        yield " ≥ 0", node.args[0]
    elif op in INVERTED and op is not det_op:
        yield INVERTIBLE, node.args[0]
    elif op is power_op:
        exponent = value_of(node.args[1])
        if exponent is None or (exponent < 0 and exponent.denominator > 1):
            yield " > 0", node.args[0]
        elif exponent < 0:
            yield " ≠ 0", node.args[0]
        elif exponent.denominator > 1:
            yield " ≥ 0", node.args[0]


def _parts(demand: Demand) -> Iterator[Demand]:
    """The same, of parts: a product is not zero where no factor is."""
    stack = [demand]
    while stack:
        asked, part = stack.pop()
        value = value_of(part)
        if (value is not None and value > 0) or is_certain(asked, part):
            continue
        if part.op in (repeat_op, squeeze_op) or (asked == INVERTIBLE and part.op in (inv_op, transpose_op)):
            stack.append((asked, part.args[0]))
        elif asked == INVERTIBLE and part.op is matmul_op and len({arg.shape for arg in part.args}) == 1:
            stack += [(asked, factor) for factor in reversed(part.args)]
        elif asked == " ≠ 0" and part.op is det_op:
            stack.append((INVERTIBLE, part.args[0]))
        elif asked != " ≠ 0":
            yield asked, part
        elif value is not None and value != 0:
            continue
        elif part.op in (multiply_op, scale_op):
            stack += [(asked, factor) for factor in reversed(part.args)]
        elif part.op in (divide_op, negate_op, power_op, sqrt_op):
            stack.append((asked, part.args[0]))
        else:
            yield asked, part


def is_certain(asked: str, part: Expr) -> bool:
    """Whether a part is surely so, as what is assumed of variables and the sizes of numbers say."""
    if asked == INVERTIBLE:
        return part.op is symbol_op and not INVERTIBLES.isdisjoint(part.params[2])
    for node in walk(part, stop=_RANGES.__contains__):
        if node not in _RANGES:
            _RANGES[node] = range_of(node, [_RANGES[arg] for arg in node.args])
    where = _RANGES[part]
    return (
        where.not_negative if asked == " ≥ 0" else where.is_positive or (asked == " ≠ 0" and 0 not in where)
    )


def loses(before: Expr, after: Expr, rng: Random) -> bool:
    """Whether `after` has no value at a point where `before` has one."""
    import numpy as np

    nodes = list(walk(before, after))
    rows = lookups(nodes)
    for draw in range(DRAWS):
        (sizes,) = draw_sizes(nodes, 1, rng)
        generator = np.random.default_rng(rng.getrandbits(64))
        values = {}
        for node in nodes:
            if node.op is symbol_op:
                shape = [sizes[size] for size in node.shape]
                alike = draw < len(SPECIAL)  # at first all entries of all variables are the same
                chosen = np.full(shape, SPECIAL[draw]) if alike else generator.choice(SPECIAL, shape)
                words = node.params[2]
                if node in rows:
                    chosen = generator.integers(0, sizes[rows[node]], shape) * 1.0
                if "positive" in words or "rows sum to one" in words:
                    chosen = np.abs(chosen) + 0.5
                values[node] = np.asarray(chosen)
        with np.errstate(all="ignore"):
            try:
                (start,) = floating.compute(np, (before,), sizes, values)
            except SingularError:
                continue
            if not np.isfinite(start).all():
                continue
            try:
                (end,) = floating.compute(np, (after,), sizes, values)
            except SingularError:
                return True
        if not np.isfinite(end).all():
            return True
    return False
