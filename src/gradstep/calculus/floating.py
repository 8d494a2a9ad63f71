"""What if the field cannot tell? The same comparison in floating point, at random points away from kinks.

Differentials are central differences through five points, which depend on no declared rule and are good to
about 1e-11. Distinct sizes have distinct lengths, and integer sizes are taken as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import inf, isfinite, prod
from random import Random
from typing import Any

from gradstep.calculus.chances import draw_sizes
from gradstep.calculus.steps import Line
from gradstep.expression.errors import SingularError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.operations.arithmetic import add_op, subtract_op
from gradstep.operations.choices import where_op
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.leaves import number, symbol_op
from gradstep.operations.lookups import lookups
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.pooling import PICKS, pointing
from gradstep.operations.pseudoinverses import pinv_op

POINTS = 3  # as many random points must agree,
BENT_POINTS = 40  # or so many where it matters on which side of a kink each entry is
SIGNS = (0, -1, 1)  # of the entries, point by point: a law may hold for positive numbers only
ATTEMPTS = 60
TOLERANCE = 1e-9  # relative to the sum of the absolute values that are added
ENTRIES = 5_000_000  # larger arrays are not tried
STEP = 1e-3  # of the central differences
ROUNDING = 2 * 2**-52 / STEP  # of a difference, relative to what is subtracted
MARGIN = 0.01  # how far from a kink a point must lie
FURTHER = 30  # times as far where the curve bends the more the nearer it is: five points see (STEP/distance)⁴

Values = Mapping[Expr, Any]
Comparison = tuple[bool | None, float, float]  # None: no point was found; where they differ, both sides


def compare_values(before: Expr, after: Expr, rng: Random) -> Comparison:
    """Whether both have the same entries; `after` must be defined wherever `before` is."""
    import numpy as np

    agreed = 0
    for sizes, values in points((before, after), rng, (before,), enough(before, after)):
        left, right, *terms = compute(np, (before, after, *_terms(before)), sizes, values)
        scale = max(np.abs(term).max() for term in (left, right, *terms))
        wrong = ~(np.abs(left - right) <= TOLERANCE * scale)
        if wrong.any():
            return False, float(left[wrong].flat[0]), float(right[wrong].flat[0])
        agreed += 1
    return (True if agreed else None), 0.0, 0.0


def _terms(expr: Expr) -> Sequence[Expr]:
    """What is added in a sum or difference: where it cancels, rounding is relative to these."""
    return expr.args if expr.op in (add_op, subtract_op) else ()


def compare_lines(before: Line, after: Line, moving: Collection[Expr], rng: Random) -> Comparison:
    """Whether both lines are worth the same when the parts of `after`, and the parameters, move at random."""
    import numpy as np

    agreed = 0
    frontier = [N for _, N in after if N in moving]
    whole = [expr for term in (*before, *after) for expr in term]
    for sizes, values in points(whole, rng, whole, enough(*whole)):
        free = {part: compute(np, (part,), sizes, values)[0] for part in frontier}
        free.update({node: values[node] for node in walk(*whole) if node.op is symbol_op and node in moving})
        still = {node: value for node, value in values.items() if node not in free}
        generator = np.random.default_rng(rng.getrandbits(64))
        steps = {part: generator.uniform(-1, 1, value.shape) for part, value in free.items()}
        if near_a_kink(np, [N for _, N in (*before, *after)], sizes, {**still, **free}):
            continue
        one = partial(_worth, np, before, sizes, values, still, free, steps)
        other = partial(_worth, np, after, sizes, values, still, free, steps)
        verdict, left, right = _told_apart(one, other)
        if verdict is False:
            return False, left, right
        agreed += verdict is True
    return (True if agreed >= POINTS else None), 0.0, 0.0


Worth = Callable[[float], tuple[float, float]]  # a value, and how large what is added is; by the step


def _told_apart(before: Worth, after: Worth) -> Comparison:
    """Whether both sides are the same number, by differences with ever smaller steps.

    They are as soon as they agree for one of them. They are not if they differ and a smaller step changes
    neither: where a curve bends much within a step, as log does near zero, none of them has to be right.
    """
    last: tuple[float, float] | None = None
    left = right = moved = inf
    scale = 0.0
    for step in (STEP, STEP / 8, STEP / 64):
        (left, one), (right, other) = before(step), after(step)
        if not isfinite(left):
            continue
        scale = scale or max(one, other)  # a smaller step may not be less exact than the first
        if abs(left - right) <= TOLERANCE * scale:
            return True, left, right
        if last is not None:
            moved = max(abs(left - last[0]), abs(right - last[1]))
            if not moved > TOLERANCE * scale:
                break
        last = left, right
    return (False if last and not moved >= abs(left - right) / 2 else None), left, right


def compare_moves(
    part: Expr, given: Mapping[Expr, Expr], form: Expr, fixed: Sequence[Expr], rng: Random
) -> Comparison:
    """Whether `part` moves by `form` when each of `given` moves by what is given for it, `fixed` not."""
    import numpy as np

    agreed = 0
    whole = (part, form, *given, *given.values())
    for sizes, values in points(whole, rng, (part, form, *given), enough(part, form)):
        free = {n: compute(np, (n,), sizes, values)[0] for n in given}
        still = {node: value for node, value in values.items() if node not in free}
        still |= dict(zip(fixed, compute(np, fixed, sizes, values), strict=True))
        steps = dict(zip(given, compute(np, list(given.values()), sizes, values), strict=True))
        if near_a_kink(np, (part,), sizes, {**still, **free}):
            continue
        a, b, c, d = (
            compute(np, (part,), sizes, {**still, **{n: free[n] + k * STEP * steps[n] for n in free}})[0]
            for k in (-2, -1, 1, 2)
        )
        left = (a - 8 * b + 8 * c - d) / (12 * STEP)
        right, *terms = compute(np, (form, *_terms(form)), sizes, values)
        scale = max(np.abs(term).max(initial=0.0) for term in (left, right, *terms))
        wrong = ~(np.abs(left - right) <= TOLERANCE * (scale + np.abs(a).max(initial=0.0)))
        if not np.isfinite(left).all():
            continue
        if wrong.any():
            return False, float(left[wrong].flat[0]), float(right[wrong].flat[0])
        agreed += 1
    return (True if agreed else None), 0.0, 0.0


def compare_slopes(
    of: Expr,
    variable: Expr,
    answer: Expr,
    directions: Callable[[int], Iterable[tuple[Sequence[tuple[int, int]], Sequence[int]]]],
    rng: Random,
) -> Comparison:
    """Whether `answer` holds, at these places, the slopes of `of` when `variable` moves so."""
    import numpy as np

    agreed = 0
    line = ((number(1), of),)
    for sizes, values in points((of, variable, answer), rng, (of, answer), enough(of, answer)):
        start = values[variable]
        still = {node: value for node, value in values.items() if node is not variable}
        (entries,) = compute(np, (answer,), sizes, values)
        if near_a_kink(np, (of,), sizes, values):
            continue
        for places, step in directions(len(start)):
            along = {variable: np.reshape(np.asarray(step, dtype=float), start.shape)}
            slope, size = _worth(np, line, sizes, values, still, {variable: start}, along)
            for place in places:
                scale = max(size, float(np.abs(entries).max()), 1e-300)
                if not abs(slope - float(entries[place])) <= TOLERANCE * scale:
                    return False, slope, float(entries[place])
        agreed += 1
    return (True if agreed else None), 0.0, 0.0


def _worth(
    np: Any,
    line: Line,
    sizes: Mapping[Size, int],
    values: Values,
    still: Values,
    free: Values,
    steps: Values,
    step: float = STEP,
) -> tuple[float, float]:
    """Σ ⟨G, dN⟩, and the sum of the absolute values of what is added, rounding of N itself included."""
    parts = [N for _, N in line]
    stencil = [
        compute(np, parts, sizes, {**still, **{part: free[part] + k * step * steps[part] for part in free}})
        for k in (-2, -1, 1, 2)
    ]
    total = size = 0.0
    for k, G in enumerate(compute(np, [G for G, _ in line], sizes, values)):
        a, b, c, d = (at[k] for at in stencil)
        entries = G * (a - 8 * b + 8 * c - d) / (12 * step)
        total += float(entries.sum())
        rounded = ROUNDING * STEP / step / TOLERANCE * np.abs(G) * np.abs(a)
        size += float((np.abs(entries) + rounded).sum())
    return total, size


def compute(np: Any, roots: Sequence[Expr], sizes: Mapping[Size, int], known: Values) -> list[Any]:
    """The values of `roots` from the values of what is `known`."""
    done = dict(known)
    with np.errstate(all="ignore"):
        for node in walk(*roots, stop=done.__contains__):
            if node not in done:
                args = [done[arg] for arg in node.args]
                done[node] = np.asarray(node.op.meaning(np, sizes, node.params, *args), dtype=np.float64)
    return [done[root] for root in roots]


def points(
    exprs: Iterable[Expr], rng: Random, defined: Sequence[Expr], wanted: int = POINTS
) -> Iterator[tuple[dict[Size, int], dict[Expr, Any]]]:
    """Random values of the variables where all of `defined` are finite: at most `wanted` of them."""
    import numpy as np

    nodes = list(walk(*exprs))
    given = 0
    for attempt in range(ATTEMPTS + 3 * (wanted - POINTS)):
        (sizes,) = draw_sizes(nodes, 1, rng, literal=True)
        if any(prod(sizes[s] for s in node.shape) > ENTRIES for node in nodes):
            return
        generator = np.random.default_rng(rng.getrandbits(64))
        rows = lookups(nodes)
        values = {
            node: generator.integers(0, sizes[rows[node]], [sizes[s] for s in node.shape]) * 1.0
            if node in rows
            else draw_symbol(np, generator, node, [sizes[s] for s in node.shape], SIGNS[attempt % 3])
            for node in nodes
            if node.op is symbol_op
        }
        if _is_defined(np, defined, sizes, values):
            yield sizes, values
            given += 1
            if given == wanted:
                return


def enough(*exprs: Expr) -> int:
    """How many points must agree: more where signs decide what is done, or whole numbers do."""
    bent = any(node.op.kink or node.op is where_op or node.op.domain == "places" for node in walk(*exprs))
    return BENT_POINTS if bent else POINTS


def _is_defined(np: Any, exprs: Sequence[Expr], sizes: Mapping[Size, int], values: Values) -> bool:
    """Whether all of `exprs` are finite here."""
    try:
        return all(np.isfinite(value).all() for value in compute(np, exprs, sizes, values))
    except SingularError:
        return False


def draw_symbol(np: Any, generator: Any, node: Expr, lengths: Sequence[int], sign: int) -> Any:
    """Random entries of one sign (0: of both) that keep what is assumed of the variable."""
    words: Collection[str] = node.params[2]
    value = generator.standard_normal(lengths)
    if sign < 0:
        value = -np.abs(value)
    if sign > 0 or "positive" in words or "rows sum to one" in words:
        value = generator.uniform(0.3, 1.7, lengths)
    if "symmetric" in words:
        value = (value + value.T) / 2
    if "toeplitz" in words or "symmetric toeplitz" in words:
        down, right = value[:, 0], value[:, 0] if "symmetric toeplitz" in words else value[0]
        value = np.array(
            [[down[i - j] if i > j else right[j - i] for j in range(len(value))] for i in range(len(value))]
        )
    if "lower triangular" in words or "upper triangular" in words:
        value = np.tril(value) if "lower triangular" in words else np.triu(value)
    if "symmetric positive definite" in words:
        value = value @ value.T + np.eye(len(value))
    if "diagonal" in words:
        value = np.diag(np.diag(value))
    if "orthogonal" in words:
        value = np.linalg.qr(value)[0]
    if "rows sum to one" in words:
        value = value / value.sum(axis=-1, keepdims=True)
    return np.asarray(value, dtype=np.float64)


def near_a_kink(np: Any, parts: Sequence[Expr], sizes: Mapping[Size, int], known: Values) -> bool:
    """Whether an operation with a kink between `known` and `parts` sits too near to it to be moved."""
    bent = [node for node in walk(*parts, stop=known.__contains__) if node.op.kink and node not in known]
    bent = [pointing(node) if node.op in PICKS else node for node in bent]
    near = (distance_from_kink(np, node, *compute(np, node.args, sizes, known)) < MARGIN for node in bent)
    return any(some.any() for some in near)


def distance_from_kink(np: Any, node: Expr, first: Any, *others: Any) -> Any:
    """How far the operands of `node` are from its kink; 0 on it."""
    if node.op in (norm_op, unit_op):
        return np.asarray(norm_op.meaning(np, {}, node.params, first)) / FURTHER
    if node.op in (max_op, min_op, hardmax_op):  # the two largest, or the two smallest, tie
        axes = node.params[0]
        rows = np.moveaxis(first, axes, range(-len(axes), 0))
        rows = np.sort(rows.reshape(*rows.shape[: rows.ndim - len(axes)], -1), axis=-1)
        ends = rows[..., :2] if node.op is min_op else rows[..., -2:]
        return np.diff(ends, axis=-1) if rows.shape[-1] > 1 else np.ones(())
    if node.op is pinv_op:
        return np.linalg.svd(first, compute_uv=False)
    return np.abs(first - others[0] if others else first)
