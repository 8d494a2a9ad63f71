"""Is every mistake noticed? Every rule and law, broken in every way of a list, and a derivation made with it.

A mutant is a derivative rule, forward or reverse, or the right side of a law, changed in one place. A small
derivation that uses it is made again, and its certificate must say False. Whether a mutant changes any value
at all is decided by numbers in floating point, which know nothing of certificates; those that do not are
equivalent, and their derivations must not be refuted.

    python benchmarks/mutants.py [--all] [words that a name starts with …]

Without --all one example of each operation and one form of each law is broken.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from gradstep.calculus import derivation as deriving
from gradstep.calculus import recognising, structures
from gradstep.calculus.certificate import certify
from gradstep.calculus.derivation import derive
from gradstep.calculus.duals import STANDING_STILL
from gradstep.calculus.jacobians import jacobian, jvp
from gradstep.calculus.laws import LAWS, assumed
from gradstep.calculus.recognising import RECOGNITION
from gradstep.calculus.rewriting import Book, Law
from gradstep.calculus.wildcards import wildcard_op
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, describe, walk
from gradstep.expression.node import replace as exchanged
from gradstep.expression.records import replaced
from gradstep.expression.shapes import Lengths
from gradstep.operations import TABLE
from gradstep.operations.activations import sign_op
from gradstep.operations.arithmetic import (
    COMPARISONS,
    add_op,
    greater,
    multiply,
    multiply_op,
    one_like,
    subtract_op,
)
from gradstep.operations.evaluation import belongs, evaluate
from gradstep.operations.extremes import hardmax_op
from gradstep.operations.leaves import number, size_op, symbol, symbol_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.sums import sum

SLIGHTLY = number(1 + Fraction(1, 10**7))
LENGTHS = Lengths({"m": 2, "n": 3, "k": 4, "N": 5})
LARGER = 6  # times the numbers at every other pair of points
SAME = 1e-9  # relative: far less than the smallest change, 1e-7

Edit = tuple[str, Expr]


# ------------------------------------------------------------------------------------------- ways to be wrong


def edits(expr: Expr) -> Iterator[Edit]:
    """Every way in which this formula is broken: the name of the slip, and the broken formula."""
    yield "a factor of 1 + 1e-7", SLIGHTLY * expr
    yield "the sign", -expr
    yield "a factor of 2", 2 * expr
    for node in walk(expr):
        for name, other in slips(node):
            if other.shape == node.shape and other is not node:
                try:
                    broken = exchanged(expr, {node: other})
                except MathError:
                    continue
                if broken is not expr and broken.shape == expr.shape:
                    yield f"{name}, {describe(node)}", broken


def slips(node: Expr) -> Iterator[Edit]:
    """What may stand by mistake in the place of a node."""
    makers: list[tuple[str, Callable[[], Expr]]] = []
    if node.rank == 2:
        makers.append(("a transposed operand", lambda: transpose_op(node, params=())))
    if node.op in COMPARISONS or node.op in (sign_op, hardmax_op):
        makers.append(("a lost mask", lambda: one_like(node)))
    if node.op is size_op:
        makers.append(("a lost mean", lambda: number(1)))
    if node.op in (add_op, subtract_op):
        a, b = node.args
        makers.append(("a dropped term", lambda: a))
        makers.append(("a dropped term", lambda: b if node.op is add_op else -b))
    elif len(node.args) == 2 and node.op is not multiply_op:
        makers.append(("swapped operands", lambda: node.op(*node.args[::-1], params=node.params)))
    for k, param in enumerate(node.params if node.args else ()):
        for other in axes_beside(param, max(node.rank, *(arg.rank for arg in node.args))):
            params = (*node.params[:k], other, *node.params[k + 1 :])
            makers.append(("a wrong axis", partial(node.op, *node.args, params=params)))
    for name, make in makers:
        try:
            yield name, make()
        except (MathError, IndexError, TypeError, ValueError):
            continue


def axes_beside(param: Any, rank: int) -> Iterator[Any]:
    """Other axes than this one, or than these."""
    if isinstance(param, int) and not isinstance(param, bool):
        yield from (axis for axis in range(rank) if axis != param)
    elif isinstance(param, tuple) and param and all(isinstance(axis, int) for axis in param):
        yield from ((axis,) for axis in range(rank) if len(param) == 1 and axis != param[0])


# ------------------------------------------------------------------------------------------- is it a change?


def values(exprs: Sequence[Expr], seed: int) -> dict[str, Any]:
    """Numbers for all variables: of both signs, or positive; some of them are larger than all sizes."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}
    for node in walk(*exprs):
        if node.op is not symbol_op:
            continue
        shape = [LENGTHS[size] for size in node.shape]
        value = rng.uniform(0.3, 1.8, shape) * (rng.choice([-1, 1], shape) if seed % 2 else 1)
        value *= LARGER if seed % 4 > 1 else 1
        words = node.params[2]
        if str(node.params[0]).startswith("places"):
            value = rng.integers(0, 3, shape) * 1.0
        if "positive" in words or "rows sum to one" in words:
            value = abs(value)
        if "rows sum to one" in words:
            value = value / value.sum(axis=-1, keepdims=True)
        if any("symmetric" in word for word in words):
            value = value @ value.T + 3 * np.eye(len(value))
        if "orthogonal" in words:
            value = np.linalg.qr(value)[0]
        drawn[str(node.params[0])] = value
    return drawn


def changes(before: Expr, after: Expr) -> bool:
    """Whether these are worth different numbers anywhere."""
    known = [node for node in walk(before, after) if node.op is symbol_op]
    sized = symbol("sized", tuple(LENGTHS))
    one, other = (belongs(expr, [*known, sized]) for expr in (before, after))
    looked = False
    for seed in range(8):
        drawn = {**values(known, seed), "sized": np.zeros(list(LENGTHS.values()))}
        try:
            with np.errstate(all="ignore"):
                a, b = (np.asarray(evaluate(expr, **drawn)) for expr in (one, other))
        except MathError:
            continue
        fine = np.isfinite(a)
        looked |= bool(fine.any())
        if a.shape != b.shape or not np.allclose(a[fine], b[fine], rtol=SAME, atol=SAME):
            return True
    return not looked


# ------------------------------------------------------------------------------------------- what is broken


@dataclass(frozen=True)
class Mutant:
    """A rule with a slip in it; `refuted` makes a derivation with it and says whether that was noticed."""

    of: str
    slip: str
    changes: Callable[[], bool]
    refuted: Callable[[], bool]

    @property
    def kind(self) -> str:
        """The slip, without the place."""
        return self.slip.partition(",")[0]

    def __str__(self) -> str:
        return f"{self.of}: {self.slip}"


@contextmanager
def broken(op: Operation, **fields: Any) -> Iterator[None]:
    """An operation with other rules, for a while."""
    kept = {name: getattr(op, name) for name in fields}
    try:
        for name, value in fields.items():
            object.__setattr__(op, name, value)
        yield
    finally:
        for name, value in kept.items():
            object.__setattr__(op, name, value)


def noticed(make: Callable[[], Any]) -> bool:
    """Whether a derivation is refuted, or refused while it is made."""
    try:
        made = make()
    except MathError as error:
        return "failed its own check" in str(error)
    return made.certificate.verdict is False


def squared(shapes: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The same shapes with one size for all that have names, so that more slips fit."""
    return [tuple("n" if isinstance(size, str) else size for size in shape) for shape in shapes]


def witnesses(op: Operation, every: bool) -> Iterator[Expr]:
    """The operation on variables: as square as it may be; one example, or every one."""
    ranked = sorted(op.example, key=lambda example: -len([size for shape in example[1] for size in shape]))
    for params, shapes in ranked if every else ranked[:1]:
        for tried in (squared(shapes), shapes):
            names = [f"x{k}" for k in range(len(shapes))]
            if op.domain == "places":
                names[-1] = "places"
            try:
                args = [symbol(name, shape) for name, shape in zip(names, tried, strict=True)]
                if op.domain == "mask":
                    args[0] = greater(args[0], 0)
                yield op(*args, params=params)
                break
            except MathError:
                continue


def can_move(arg: Expr) -> bool:
    """Whether an operand is a variable that is no whole number."""
    return arg.op is symbol_op and arg.params[0] != "places"


def of_operations(every: bool = False) -> Iterator[Mutant]:
    """Every adjoint and every differential, with every slip."""
    for op in TABLE:
        if op.adjoint is None or not op.example:
            continue
        for y in witnesses(op, every):
            yield from of_adjoint(y)
            yield from of_differential(y)


def of_adjoint(y: Expr) -> Iterator[Mutant]:
    """Slips in the cotangents of the operands of `y`."""
    op = y.op
    R = symbol("R", y.shape)
    loss = sum(multiply(R, y)) if y.rank else R * y
    sent = op.adjoint(R, y, y.args)
    moving = [k for k, H in enumerate(sent) if H is not None and can_move(y.args[k])]
    names = [f"x{k}" for k in moving]
    if op in STANDING_STILL or not names:
        return

    def made(k: int, H: Expr) -> Any:
        def adjoint(G: Expr, value: Expr, args: Sequence[Expr]) -> Sequence[Expr | None]:
            found = list(kept(G, value, args))
            if value is y:
                found[k] = exchanged(H, {R: G})
            return found

        kept = op.adjoint
        with broken(op, adjoint=adjoint, alone=None):
            return derived(loss, names)

    for k in moving:
        dropped = [("a dropped term", 0 * sent[k])] if len(moving) > 1 else []
        for slip, H in (*edits(sent[k]), *dropped):
            yield Mutant(
                f"adjoint of {op.name}",
                slip,
                partial(changes, sent[k], H),
                partial(noticed, partial(made, k, H)),
            )


def derived(loss: Expr, names: Sequence[str], **options: Any) -> Any:
    """A derivation with its certificate, whatever that says."""
    d = derive(loss, names, certify=False, **options)
    d.certificate = certify(d, seed=1)
    return d


def forward(y: Expr, name: str) -> Any:
    """A derivation in which the differential of `y` is used: its Jacobian, or a product with a vector."""
    try:
        return jacobian(y, [name], seed=1)
    except MathError as error:
        if "failed its own check" in str(error):
            raise
        return jvp(y, name, "v", seed=1)


def of_differential(y: Expr) -> Iterator[Mutant]:
    """Slips in how `y` moves with each of its operands."""
    op = y.op
    if op.differential is None or op in STANDING_STILL:
        return
    for k, arg in enumerate(y.args):
        if not can_move(arg):
            continue
        d = symbol(f"d{k}", arg.shape)
        dargs = [d if i == k else None for i in range(len(y.args))]
        dy = op.differential(y, y.args, dargs)

        def made(moved: Expr, k: int = k, d: Expr = d) -> Any:
            def differential(value: Expr, args: Sequence[Expr], moves: Sequence[Expr | None]) -> Expr:
                change = moves[k]
                right: Expr = kept(value, args, moves)
                return right if value is not y or change is None else exchanged(moved, {d: change})

            kept = op.differential
            with broken(op, differential=differential):
                return forward(y, str(y.args[k].params[0]))

        for slip, moved in edits(dy):
            refuted = partial(noticed, partial(made, moved))
            yield Mutant(f"differential of {op.name}", slip, partial(changes, dy, moved), refuted)


# ------------------------------------------------------------------------------------------- laws


def instance(expr: Expr, sizes: Callable[[Any], Any]) -> Expr:
    """A side of a law over variables, with these sizes."""
    table: dict[Any, Any] = {}
    for node in walk(expr):
        if node.op is wildcard_op:
            table[node] = symbol(f"{node.params[0]}_", tuple(map(sizes, node.shape)))
        elif node.op is symbol_op:
            table[node] = symbol(node.params[0], tuple(map(sizes, node.shape)), node.params[2])
        for shape in (node.shape, *(arg.shape for arg in node.args)):
            table.update({size: sizes(size) for size in shape if isinstance(size, str)})
        if node.op is size_op:
            table[node.params[0]] = sizes(node.params[0])
    done: dict[Expr, Expr] = {}
    for node in walk(expr):
        if node in table:
            done[node] = table[node]
        else:
            params = tuple(resized(p, table) for p in node.params)
            done[node] = node.op(*(done[arg] for arg in node.args), params=params)
    return done[expr]


def resized(param: Any, table: dict[Any, Any]) -> Any:
    """A parameter of an operation with other sizes."""
    return tuple(resized(p, table) for p in param) if isinstance(param, tuple) else table.get(param, param)


def equations(law: Law, every: bool) -> Iterator[tuple[Expr, Expr]]:
    """Both sides of a law over variables: as square as it may be."""
    lefts = [left for left, _ in law.forms] or list(law.examples())
    found = 0
    for left in sorted(lefts, key=lambda left: -left.rank):
        for sizes in (lambda size: "n" if isinstance(size, str) else size, lambda size: size):
            try:
                over = instance(left, sizes)
                rights = applied(law, over)
            except MathError:
                continue
            if rights:
                yield from ((over, right) for right in (rights if every else rights[:1]))
                found += 1
                break
        if found and not every:
            return


def applied(law: Law, left: Expr) -> list[Expr]:
    """What the law makes of this expression."""
    if law.propose is not None:
        return [other for other in law.propose(left, ()) if other is not left]
    once = Book([law]).first(left, ())
    return [] if once is None else [once[1]]


def of_laws(every: bool = False) -> Iterator[Mutant]:
    """Every law of the book, what the user may assume, what is recognised, and the structures."""
    S, Q, Y = (
        symbol("S", "n n", ["symmetric"]),
        symbol("Q", "n n", ["orthogonal"]),
        symbol("Y", "n n", ["rows sum to one"]),
    )
    told = [*assumed(S, "symmetric"), *assumed(Q, "orthogonal"), *assumed(Y, "rows sum to one")]
    for law in (*LAWS, *told):
        for left, right in equations(law, every):
            yield from of_law(law, left, right, by_the_book)
    for law in RECOGNITION:
        for left, right in equations(law, every):
            yield from of_law(law, left, right, by_recognition)
    for kind, structure in structures.STRUCTURES.items():
        yield from of_structure(kind, structure)


def of_law(law: Law, left: Expr, right: Expr, made: Callable[..., Any]) -> Iterator[Mutant]:
    """Slips in what a law makes of an expression."""
    for slip, other in edits(right):
        if left not in set(walk(other)):
            yield Mutant(
                f"law {law.name}",
                slip,
                partial(changes, left, other),
                partial(noticed, partial(made, law, left, other)),
            )


def instead(law: Law, left: Expr, right: Expr) -> Book:
    """A book of one law, which makes this of that."""
    return Book(
        [Law(law.name, law.why, apply=lambda expr, _: right if expr is left else None, heads=(left.op,))]
    )


def by_the_book(law: Law, left: Expr, right: Expr) -> Any:
    """A derivation in which the law is used: left is the slope with respect to T."""
    T = symbol("T", left.shape)
    loss = sum(multiply(T, left)) if left.rank else T * left
    book = instead(law, left, right)
    with patch.object(deriving, "book_with", lambda _: book), reading_with(Book([])):
        d = derived(loss, ["T"])
    used = [rewrite.before for step in d.steps for rewrite in step.details]
    assert left in used or any(step.rule == law.name for step in d.steps), law.name
    return d


def reading_with(book: Book) -> Any:
    """Functions that are spelled out are recognised by this book."""
    return patch.object(recognising, "_book", lambda sides, own: book)


def by_recognition(law: Law, left: Expr, right: Expr) -> Any:
    """A derivation of a loss that is read by this law."""
    T = symbol("T", left.shape)
    loss = sum(multiply(T, left)) if left.rank else T * left
    with reading_with(instead(law, left, right)):
        return derived(loss, ["T"])


def of_structure(kind: str, structure: structures.Structure) -> Iterator[Mutant]:
    """Slips in what the gradient of independent entries becomes."""
    X, A = symbol("X", "n n"), symbol("A", "n n")
    loss = sum(multiply(A, X) * X)
    G = symbol("G", "n n")

    def made(wrong: Expr) -> Any:
        other = replaced(structure, gradient=lambda own: exchanged(wrong, {G: own}))
        with patch.dict(structures.STRUCTURES, {kind: other}):
            return derived(loss, ["X"], structure={"X": kind})

    right = structure.gradient(G)
    for slip, wrong in edits(right):
        yield Mutant(
            f"structure {kind}", slip, partial(changes, right, wrong), partial(noticed, partial(made, wrong))
        )


# ------------------------------------------------------------------------------------------- the score


def all_mutants(every: bool = False) -> list[Mutant]:
    """Every operation and every law, with every slip."""
    return [*of_operations(every), *of_laws(every)]


def a_few(mutants: Sequence[Mutant]) -> list[Mutant]:
    """One slip for each record, of the kind that has had the fewest turns."""
    records: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        records.setdefault(mutant.of, []).append(mutant)
    turns: Counter[str] = Counter()
    chosen = []
    for slips in records.values():
        mutant = min(slips, key=lambda slip: turns[slip.kind])
        turns[mutant.kind] += 1
        chosen.append(mutant)
    return chosen


def judge(mutants: Iterator[Mutant] | Sequence[Mutant]) -> tuple[Counter[str], list[str], list[str]]:
    """Counts of what was caught, the mutants that were not, and those that change no value."""
    caught: Counter[str] = Counter()
    missed, equivalent = [], []
    for mutant in mutants:
        if mutant.refuted():
            caught[mutant.kind] += 1
            if not mutant.changes():
                missed.append(f"{mutant} (changes nothing, yet is refuted)")
        elif mutant.changes():
            missed.append(str(mutant))
        else:
            equivalent.append(str(mutant))
    return caught, missed, equivalent


def main(arguments: Sequence[str]) -> int:
    """Prints the score; the exit status says whether a mutant was missed."""
    every = "--all" in arguments
    words = tuple(word for word in arguments if not word.startswith("--"))
    start = time.perf_counter()
    mutants = [mutant for mutant in all_mutants(every) if str(mutant).startswith(words or "")]
    caught, missed, equivalent = judge(mutants)
    for name in sorted(set(equivalent)):
        print(f"  equivalent   {name} ({equivalent.count(name)})")
    for name in missed:
        print(f"  MISSED       {name}")
    for slip, count in caught.most_common():
        print(f"{count:6}  {slip}")
    total = caught.total()
    print(
        f"{total} of {total + len(missed)} mutants that change a value caught, "
        f"{len(equivalent)} equivalent; {time.perf_counter() - start:.0f} s"
    )
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
