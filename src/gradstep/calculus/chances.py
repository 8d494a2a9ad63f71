"""Which prime, which sizes, and with what chance does a wrong line pass?

A wrong line is a rational function that is not zero. At a random point it is zero with a chance of at most
its degree over the number of choices (Schwartz and Zippel), so the degrees of everything that is compared are
bounded here: a pair (n, d) bounds the degrees of the numerators and of the common denominator of an array.
What an oracle returns is a variable of its own; that two different arguments of an oracle coincide is counted
too. Every true square root doubles the degree (the product over both signs is rational) and halves the points
that have one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import prod
from operator import index
from random import Random, SystemRandom

from gradstep.calculus.arrays import MOVING_ENTRIES
from gradstep.calculus.steps import Line
from gradstep.calculus.unfolding import unfolded
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Lengths, Shape, Size, minus, size_names
from gradstep.operations.activations import sqrt_op
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    exp_op,
    multiply_op,
    negate_op,
    power_op,
    subtract_op,
)
from gradstep.operations.cumulative import prod_op
from gradstep.operations.entries import reshape_op
from gradstep.operations.inverses import det_op, inv_op
from gradstep.operations.leaves import (
    MOST_EXPONENT,
    eye_op,
    is_constant,
    number_op,
    pi_op,
    size_op,
    symbol_op,
    triangle_op,
    value_of,
)
from gradstep.operations.lengths import COUNTING, counted, needs, regrouped
from gradstep.operations.pseudoinverses import pinv_op
from gradstep.operations.toeplitz import diagonal_sums_op
from gradstep.operations.trigonometry import cos_op, sin_op

# ------------------------------------------------------------------------------------------- primes and sizes

_SMALL_PRIMES = tuple(n for n in range(3, 200, 2) if all(n % k for k in range(3, n, 2)))


def chosen_seed(seed: object) -> int:
    """The seed that is given, a whole number, or one that nobody knew before."""
    if seed is None:
        return SystemRandom().getrandbits(32)
    try:
        if isinstance(seed, bool):
            raise TypeError
        return index(seed)  # type: ignore[arg-type]  # NumPy's whole numbers too
    except TypeError:
        raise MathError(f"a seed is a whole number, not {seed!r:.60}", mend="seed=1") from None


def is_prime(n: int) -> bool:
    """Miller and Rabin's test: to the first 13 primes below 2**81, where that is certain, else to 25 of them.

    The smallest number that passes the first 13 is 3317044064679887385961981, above 2**81 (Sorenson and
    Webster, Mathematics of Computation 86, 2017). Above it is wrong once in 4**24.
    """
    if n < 40_000:
        return n == 2 or (n > 2 and n % 2 == 1 and all(n % k or n == k for k in _SMALL_PRIMES))
    if n % 2 == 0 or not all(map(n.__mod__, _SMALL_PRIMES)):
        return False
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    for base in (2, *_SMALL_PRIMES[: 12 if n < 2**81 else 24]):
        x = pow(base, n >> twos, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def random_prime(bits: int, rng: Random) -> int:
    """A random prime of so many bits for which 2, 3, 5, 7, 11 and 13 are squares and −1 is none.

    It is −1 modulo 8 and modulo each of them, so by quadratic reciprocity √2 and √N exist at every point.
    """
    step = 8 * 3 * 5 * 7 * 11 * 13
    top = (1 << bits) // step * step - 1
    while True:
        n = top - rng.getrandbits(bits - 1) // step * step
        if is_prime(n):
            return n


OWN_LENGTHS = 8  # up to so many sizes each gets a length of its own; beyond, sizes that meet do
KEPT = 6  # integer sizes up to this are taken as they are; larger ones are shortened at first


SIZED = COUNTING | {size_op}  # whose parameters name sizes too


def draw_sizes(
    nodes: Iterable[Expr], draws: int, rng: Random, literal: bool = False, alike: bool = False
) -> list[Lengths]:
    """For each draw a small length for every size of the nodes, another one than in the draw before.

    Integer sizes stay as they are if they are small, if they are counted (an axis is cut or joined), or if
    `literal`; other sizes get other lengths than these, and what is put together of them their product. Where
    they may be `alike`, all have the smallest.
    """
    met: set[tuple[Shape, ...]] = set()
    meeting = []
    numbers: set[Size] = set()
    exact: set[Size] = set()
    sums: set[Size] = set()
    needed: set[Size] = set()
    equations: list[tuple[Shape, Shape]] = []
    sizes: dict[Size, None] = {}
    for node in nodes:
        shapes = (node.shape, *[arg.shape for arg in node.args])
        if shapes in met and node.op not in SIZED:
            continue
        met.add(shapes)
        found: dict[Size, None] = {}
        for size in (size for shape in shapes for size in shape):
            names = size_names(size)
            found.update(dict.fromkeys(names or (size,)))
            if names and names != (size,):
                sums.add(size)
        if node.op in COUNTING:
            if node.op is reshape_op:
                equations.append(regrouped(node))
            else:
                exact.update(counted(node))
            needed.update(needs(node))
        if node.op is size_op:
            found[str(node.params[0])] = None
            numbers.update(found)
        if found:
            sizes.update(found)
            meeting.append(tuple(found))
    fixed: dict[Size, int] = {
        s: s for s in sizes if isinstance(s, int) and (literal or s <= KEPT or s in exact)
    }
    made = _made(equations, fixed)
    free = [s for s in sizes if s not in fixed and s not in made]
    rng.shuffle(free)
    if alike:
        colours = dict.fromkeys(free, 0)
    elif len(free) <= OWN_LENGTHS:
        colours = {s: k for k, s in enumerate(free)}
    else:
        neighbours: dict[Size, set[Size]] = {s: set() for s in sizes}
        for group in (*set(meeting), tuple(numbers)):
            for s in group:
                neighbours[s].update(group)
        colours = {}
        for s in free:
            taken = {colours[t] for t in neighbours[s] if t in colours}
            colours[s] = next(k for k in range(len(free)) if k not in taken)
    needed.update(minus(size, 1) for size in sums)  # an axis without entries would prove nothing
    lengths = [n for n in range(2, len(free) + len(fixed) + 5) if n not in fixed.values()]
    lengths = lengths[: max(3, 1 + max(colours.values(), default=0))]
    start = 0 if alike else rng.randrange(len(lengths))
    drawn = [
        Lengths({**fixed, **{s: lengths[(k + start + trial) % len(lengths)] for s, k in colours.items()}})
        for trial in range(draws)
    ]
    for draw in drawn:
        draw.lengthen(needed, len(lengths))
        draw.update({size: draw[size] for size in sums})
        draw.update({size: prod([draw[part] for part in parts]) for size, parts in made.items()})
    return drawn


def _made(equations: Iterable[tuple[Shape, Shape]], fixed: dict[Size, int]) -> dict[Size, Shape]:
    """The integer sizes that are products of others, where a shape becomes another: 400 = 16 · 5 · 5.

    The sizes of what cannot be read so are `fixed`.
    """
    made: dict[Size, Shape] = {}
    for pair in equations:
        short, parts = sorted(pair, key=len)
        whole, *more = short or (1,)
        numbers = {size for size in (whole, *more, *parts) if isinstance(size, int)}
        if numbers <= fixed.keys():
            continue
        read = not more and len(numbers) == len({whole, *parts})
        taken = whole in fixed or any(whole in others for others in made.values())
        if read and not taken and made.keys().isdisjoint(parts) and made.get(whole, parts) == parts:
            made[whole] = parts
        else:
            fixed.update((size, size) for size in numbers)
            return _made(equations, fixed)
    return made


# ------------------------------------------------------------------------------------------- degrees

Degree = tuple[int, int]  # of the numerators, of their common denominator
VARIABLE: Degree = (1, 0)


def _together(degrees: Sequence[Degree]) -> Degree:
    """The degree of a sum: everything over one denominator."""
    below = above = 0
    for _, d in degrees:
        below += d
    for n, d in degrees:
        above = max(above, n + below - d)
    return above, below


def _times(degrees: Iterable[Degree]) -> Degree:
    above = below = 0
    for n, d in degrees:
        above += n
        below += d
    return above, below


def _inverse(degree: Degree, entries: int) -> Degree:
    """The degree of one over each entry."""
    n, d = degree
    return d + (entries - 1) * n, entries * n


class Degrees:
    """Bounds on the degrees of expressions for these sizes; `roots` counts the true square roots met."""

    def __init__(self, sizes: Mapping[Size, int]) -> None:
        self.sizes = Lengths(sizes)
        self.known: dict[Expr, Degree] = {}
        self.roots = 0
        self.arguments = 0  # entries that an oracle was asked about
        self.argument = 0  # the highest degree among them

    def learn(self, order: Iterable[Expr]) -> None:
        """Bounds for these nodes, operands first."""
        for node in order:
            if node not in self.known:
                self.known[node] = self._degree(node, [self.known[arg] for arg in node.args])

    def entries(self, node: Expr) -> int:
        """How many entries an array has."""
        return prod([self.sizes[size] for size in node.shape])

    def _degree(self, node: Expr, args: list[Degree]) -> Degree:
        op = node.op
        if op in _SUMS or (op.indices is not None and len(args) == 1):
            return _together(args)
        if op is multiply_op or op.indices is not None:
            return _times(args)
        if op is prod_op:
            return _times(args * self.sizes[node.args[0].shape[node.params[0]]])
        if op is divide_op:
            return _times((args[0], _inverse(args[1], self.entries(node))))
        if op in (inv_op, det_op):
            return self._eliminated(node, args[0])
        if op is pinv_op:
            return _times((self._eliminated(node, _times((args[0], args[0]))), args[0]))
        if op is symbol_op:
            return self._symbol(node)
        if op in (number_op, size_op, eye_op, triangle_op):
            return 0, 0
        if op is pi_op:  # the fourth power of a random number
            return 4, 0
        if op is power_op:
            return self._power(node, args)
        if op is sqrt_op:
            return self._root(node.args[0], args[0])
        if op.definition is not None:
            parts = unfolded(op, node.params, tuple([arg.shape for arg in node.args]))
            inside = dict(zip(parts.marks, args, strict=True))
            for part in parts.order:
                inside[part] = self._degree(part, [inside[arg] for arg in part.args])
            return inside[parts.roots[0]]
        self._ask(node, args)
        if op in (sin_op, cos_op):  # of t: 2t and 1 − t² over 1 + t²
            return 2 * self.entries(node), 2 * self.entries(node)
        return (1, 1) if op is exp_op else VARIABLE

    def _eliminated(self, node: Expr, degree: Degree) -> Degree:
        """det(N/d) = det N/dⁿ, and the inverse is d adj N/det N; of a pseudoinverse that of XᵀX."""
        (numerator, denominator), n = degree, min(self.sizes[size] for size in node.args[0].shape)
        if node.op is det_op:
            return n * numerator, n * denominator
        return denominator + (n - 1) * numerator, n * numerator

    def _ask(self, node: Expr, args: Iterable[Degree]) -> None:
        self.arguments += self.entries(node)
        self.argument = max(self.argument, *(n + d for n, d in args), 1)

    def _symbol(self, node: Expr) -> Degree:
        words: Collection[str] = node.params[2]
        if "orthogonal" in words:
            return (2 * self.sizes[node.shape[0]],) * 2
        return (2, 0) if words else VARIABLE

    def _root(self, arg: Expr, degree: Degree) -> Degree:
        """√(n/d) = √(n d)/d."""
        if not is_constant(arg) and not (arg.op is symbol_op and "positive" in arg.params[2]):
            self.roots += self.entries(arg)
        return degree[0] + degree[1] + 1, degree[1]

    def _power(self, node: Expr, args: list[Degree]) -> Degree:
        base, exponent = args[0], value_of(node.args[1])
        if exponent is None:
            self._ask(node, args)
            most = MOST_EXPONENT + 1  # where it comes out as a whole number
            return most * (base[0] + base[1]) + 1, most * (base[0] * self.entries(node) + base[1])
        half = exponent.denominator == 2
        if half:
            base, exponent = self._root(node.args[0], base), Fraction(exponent.numerator)
        n, d = base if exponent >= 0 else _inverse(base, self.entries(node))
        times = abs(exponent).__ceil__()
        if exponent.denominator == 1:
            return n * times, d * times
        self._ask(node, args)
        return n * times + 1, d * times

    def change(
        self, expr: Expr, given: Mapping[Expr, Degree | None], moving: Collection[Expr]
    ) -> Degree | None:
        """The degree of how `expr` moves when `given` move like this; what is not in `moving` does not."""
        moves = dict(given)
        stack = [expr]
        while stack:
            node = stack[-1]
            if node in moves:
                stack.pop()
            elif node not in moving or not node.args:
                moves[node] = VARIABLE if node in moving else None
            elif waiting := [arg for arg in node.args if arg not in moves]:
                stack += waiting
            else:
                moves[node] = self._change(node, moves, self.known)
        return moves[expr]

    def _change(
        self, node: Expr, moves: Mapping[Expr, Degree | None], known: Mapping[Expr, Degree]
    ) -> Degree | None:
        changes = [change for arg in node.args if (change := moves[arg]) is not None]
        if not changes:
            return None
        slope, op = (0, 0), node.op
        args = [known[arg] for arg in node.args]
        if op is multiply_op or (op.indices is not None and len(args) > 1):
            slope = _times(args)
        elif op.definition is not None:
            parts = unfolded(op, node.params, tuple([arg.shape for arg in node.args]))
            inside = dict(zip(parts.marks, args, strict=True))
            inner: dict[Expr, Degree | None] = {
                mark: None if moves[arg] is None else VARIABLE
                for mark, arg in zip(parts.marks, node.args, strict=True)
            }
            for part in parts.order:
                inside[part] = self._degree(part, [inside[arg] for arg in part.args])
                inner[part] = self._change(part, inner, inside)
            slope = inner[parts.roots[0]] or slope
        elif op in (inv_op, det_op):  # −X⁻¹ dX X⁻¹, and det X tr(X⁻¹ dX)
            inverse = self._eliminated(inv_op(node.args[0]), args[0])
            slope = _times((inverse, inverse if op is inv_op else self._eliminated(node, args[0])))
        elif op is pinv_op:  # (XᵀX)⁻¹ (dXᵀ − (dXᵀX + Xᵀ dX) X⁺)
            inverse = self._eliminated(node, _times((args[0], args[0])))
            slope = _times((inverse, args[0], inverse, args[0]))
        elif op not in _SUMS and op.indices is None:
            # No slope in the field is worse than y/x, 1/x or 1/(2y), or y/x log x where an exponent moves.
            entries, (n, d) = self.entries(node), self._degree(node, args)
            worst = 2 * (n + d) + sum(2 * entries * (a + b) for a, b in args) + entries + 1
            slope = (worst, worst)
        return _times((slope, _together(changes)))

    def of_terms(self, terms: Line, frontier: Iterable[Expr], moving: Collection[Expr]) -> int:
        """A bound on the degree of a sum of inner products when the parts in `frontier` move freely."""
        given: dict[Expr, Degree | None] = {part: VARIABLE if part in moving else None for part in frontier}
        roots = self.roots
        changes = [(G, self.change(N, given, moving)) for G, N in terms]
        self.roots = roots  # they were counted when they were learnt
        return sum(sum(self.known[G]) + sum(change) for G, change in changes if change is not None)


_SUMS = frozenset({add_op, subtract_op, negate_op, diagonal_sums_op}) | MOVING_ENTRIES
PRIME_BITS = 61
CERTAIN_BITS = 60  # the chance of error of a certificate is at most 2**-60, below 1e-17


def bits_needed(weight: int, trials: int) -> int:
    """The size of the prime for which a chance of weight/2**(bits − 1) in each trial is small enough."""
    return max(PRIME_BITS, weight.bit_length() + 1 + -(-CERTAIN_BITS // trials))
