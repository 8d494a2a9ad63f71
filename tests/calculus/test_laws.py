"""Is every law true, never less defined than what it replaces, and does tidying end?

Tidying ends because every law makes an expression lighter. The weight is a triple that is compared from left
to right. First how many products of matrices and vectors there are: one of two matrices counts twice, a
Kronecker product as three and a product by indices as nine. Then a polynomial of what wildcards weigh (a
strictly monotone interpretation, so that an expression gets lighter whenever a part of it does): products of
arrays multiply, so that a number that comes out of them saves something; at rank 0 products add, so that
their order does not count. Then, for "numbers in front"
alone, the number of products that are not in order yet.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tables import each

from gradstep.calculus.counting import length
from gradstep.calculus.field import Point, Redraw
from gradstep.calculus.laws import LAWS, assumed
from gradstep.calculus.lifting import lifted_forms
from gradstep.calculus.procedures import gathered
from gradstep.calculus.rewriting import Book, Law, Simplifier, match, simplify
from gradstep.calculus.wildcards import wildcard_op
from gradstep.expression.errors import MathError, SingularError
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.shapes import Lengths
from gradstep.operations import FUNCTIONS
from gradstep.operations.arithmetic import EXCHANGES
from gradstep.operations.evaluation import belongs, evaluate, worked_out
from gradstep.operations.leaves import number, size, symbol, value_of

SIZES = Lengths({"m": 3, "n": 4, "k": 5, "N": 6, "h": 2, "batch0": 2})
SIZED = symbol("sized", "m n k N batch0 h")
BOOK = Book(LAWS)
ASSUMED = [
    *assumed(symbol("Y", "m n", ("rows sum to one",)), "rows sum to one"),
    *assumed(symbol("p", "n", ("rows sum to one",)), "rows sum to one"),
    *assumed(symbol("S", "n n", ("symmetric",)), "symmetric"),
]


def sides(law: Law) -> list[tuple[Expr, Expr]]:
    """Every equation that the law stands for: its forms, and what its procedure makes of its examples."""
    if law.propose:
        return [(example, proposal) for example in law.examples() for proposal in law.propose(example, ())]
    made = [(example, law.apply(example, ())) for example in law.examples()] if law.apply else []
    return [*law.forms, *made]


EQUATIONS = [(law, left, right) for law in LAWS for left, right in sides(law)]
STACKED = list(  # of each matrix that an axis in front counts; a form and a part of it may give the same
    dict.fromkeys(
        (law.name, law.oracle, left, right)
        for law in LAWS
        for form in law.forms
        for left, right in lifted_forms(form, 1)
    )
)


def said(expr: Expr) -> str:
    """The plain text of an expression, wildcards included, for the message of a failing test."""
    return expr.op.text(expr, lambda arg: (said(arg), 0))[0]


def told(value: Law | Expr | None) -> str:
    """A law by its name, a side by its text."""
    return value.name if isinstance(value, Law) else "unchanged" if value is None else said(value)


def instance(left: Expr, right: Expr) -> tuple[Expr, Expr, list[Expr]]:
    """Both sides over variables instead of wildcards; both know all sizes."""
    letters = [node for node in walk(left) if node.op is wildcard_op]
    table = {letter: symbol(f"{letter.params[0]}_", letter.shape) for letter in letters}
    known = [
        *table.values(),
        SIZED,
        *(n for n in walk(left) if n.op.name == "symbol"),
    ]
    return belongs(replace(left, table), known), belongs(replace(right, table), known), known


def draw(
    variables: Sequence[Expr], rng: np.random.Generator, values: Sequence[float] = ()
) -> dict[str, object]:
    """A value for each variable, entry by entry from `values`, or positive at random."""
    shapes = {v.params[0]: [SIZES[s] for s in v.shape] for v in variables if v is not SIZED}
    whole = {SIZED.params[0]: np.ones([SIZES[s] for s in SIZED.shape])}
    if "places" in shapes:  # what looks up
        whole["places"] = rng.integers(0, 5, shapes["places"])
    if values:
        return {name: rng.choice(values, shape) for name, shape in shapes.items()} | whole
    drawn = {name: rng.uniform(0.2, 2.0, shape) for name, shape in shapes.items()}
    for value in drawn.values():
        if value.ndim == 2 and len(set(value.shape)) == 1:
            value += 4 * np.eye(len(value))  # far from singular
    return drawn | whole


def worths(sides: Sequence[Expr], values: dict[str, object]) -> list[np.ndarray]:
    """What expressions are worth; nan where one has no value because a matrix is singular."""
    try:
        found = worked_out(sides, values)
        return [np.asarray(found[side], dtype=np.float64) for side in sides]
    except SingularError:
        return [np.asarray(np.nan)] if len(sides) == 1 else [worths([side], values)[0] for side in sides]


@each("law, left, right", EQUATIONS, told)
def test_both_sides_have_one_shape(law, left, right):
    assert right is not None, f"{law.name} does not change its example {said(left)}"
    assert right is not left
    assert right.shape == left.shape


EXACT = [(law, left, right) for law, left, right in EQUATIONS if law.oracle]


@each("law, left, right", EXACT, told, tests=2)
def test_both_sides_are_worth_the_same_in_exact_arithmetic(law, left, right):
    lhs, rhs, _ = instance(left, right)
    point = Point(2**61 - 1, {**SIZES, 1: 1}, Random(1), roots=True)
    assert list(point.value(lhs)) == list(point.value(rhs))


@each("law, left, right", EQUATIONS, told, tests=3)
def test_both_sides_are_worth_the_same(law, left, right):
    lhs, rhs, variables = instance(left, right)
    for seed in range(3):
        values = draw(variables, np.random.default_rng(seed))
        before, after = worths([lhs, rhs], values)
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def test_what_holds_for_a_matrix_holds_for_each_of_a_stack():
    """Every form that is lifted: the same shape, the same value exactly, and a weight that falls."""
    assert len(STACKED) > 90
    for name, oracle, left, right in STACKED:
        lhs, rhs, variables = instance(left, right)
        assert lhs.shape == rhs.shape
        if oracle:
            point = Point(2**61 - 1, {**SIZES, 1: 1}, Random(1), roots=True)
            assert list(point.value(lhs)) == list(point.value(rhs)), f"{name}: {said(left)} -> {said(right)}"
        else:
            values = draw(variables, np.random.default_rng(1))
            np.testing.assert_allclose(evaluate(rhs, **values), evaluate(lhs, **values), rtol=1e-12)
        assert falls(left, right), f"{name}: {said(left)} -> {said(right)}"


@each("law", LAWS, told, tests=12)
def test_a_law_is_defined_wherever_its_left_side_is(law):
    """The right side has a value wherever the left has one; the domain says whether that is everywhere."""
    undefined = False
    for left, right in sides(law):
        (lhs, rhs, variables), name = instance(left, right), told(left)
        for seed in range(40):
            values = draw(variables, np.random.default_rng(seed), (-2.0, -1.0, 0.0, 1.0, 1.5))
            before, after = worths([lhs, rhs], values)
            undefined |= not np.all(np.isfinite(before))
            defined = np.isfinite(before) & np.isfinite(before).all()
            if before.shape != after.shape:
                assert not defined.any(), name
                continue
            np.testing.assert_allclose(after[defined], before[defined], rtol=1e-12, atol=1e-12, err_msg=name)
    assert undefined == (law.domain != "everywhere")


@each("law", [law for law in LAWS if law.apply], told)
def test_a_procedure_has_nothing_to_do_twice(law):
    for written in law.examples():
        once = law.apply(written, ())
        again = law.apply(once, ()) if once.op in law.heads else None
        assert again in (None, once), f"{said(written)} -> {said(once)}"


@pytest.mark.parametrize("law", ASSUMED, ids=lambda law: law.name)
def test_what_the_user_assumes_is_used_for_that_variable_alone(law):
    for left, _ in law.forms:
        assert match(left, left, ()) is not None
        others = {n: symbol("Z", n.shape, n.params[2]) for n in walk(left) if n.op.name == "symbol"}
        assert match(left, replace(left, others), ()) is None


# -------------------------------------------------------------------------------------- weight


@dataclass(frozen=True)
class Weight:
    """A polynomial with whole coefficients: {(letters, sorted): coefficient}."""

    terms: tuple[tuple[tuple[str, ...], int], ...]

    @staticmethod
    def of(terms: dict[tuple[str, ...], int]) -> "Weight":
        return Weight(tuple(sorted((k, v) for k, v in terms.items() if v)))

    def __add__(self, other: "Weight | int") -> "Weight":
        total = dict(self.terms)
        for letters, coefficient in lifted(other).terms:
            total[letters] = total.get(letters, 0) + coefficient
        return Weight.of(total)

    def __mul__(self, other: "Weight | int") -> "Weight":
        total: dict[tuple[str, ...], int] = {}
        for a, x in self.terms:
            for b, y in lifted(other).terms:
                letters = tuple(sorted(a + b))
                total[letters] = total.get(letters, 0) + x * y
        return Weight.of(total)

    __rmul__, __radd__ = __mul__, __add__


def lifted(value: "Weight | int") -> Weight:
    return value if isinstance(value, Weight) else Weight.of({(): value})


def weigh(expr: Expr) -> Weight:
    """The polynomial of `expr`. A number weighs 0 (a negative one 1), any array at least 4."""
    done: dict[Expr, Weight] = {}
    for node in walk(expr):
        done[node] = lifted(_weigh(node, [done[arg] for arg in node.args]))
    return done[expr]


def _weigh(node: Expr, w: list[Weight]) -> Weight | int:
    array = bool(node.rank)
    n = value_of(node.args[-1]) if node.args else None
    whole = n is not None and n.denominator == 1
    match node.op.name:
        case "wildcard":
            return Weight.of({(node.params[0],): 1, (): 4 if array else 0})
        case "symbol":
            return 4 if array else 1
        case "number":
            return int(value_of(node) < 0)
        case "size" | "pi":
            return 0
        case "eye":
            return 11
        case "triangle":
            return 4
        case "diagonal_matrix":
            return 2 * w[0] + 7
        case "trace":
            return 4 * w[0]
        case "negate":
            return w[0] + (5 if node.rank >= 2 else 3 if array else 1)
        case "add":
            return 3 * w[0] + 3 * w[1] + 1
        case "subtract":
            return 3 * w[0] + 3 * w[1] + 2
        case "scale":
            return (4 if node.rank >= 2 else 2) * w[0] + 2 * w[1] + 8
        case "multiply":
            return w[0] * w[1] + w[0] + w[1] if array else w[0] + w[1]
        case "divide":
            return 4 * w[0] * w[1] if array else w[0] + w[1] + 1
        case "power" if whole and not array:
            known = value_of(node.args[0]) is not None  # and worked out
            return max(1, abs(int(n))) * w[0] + int(n < 0) + int(known)
        case "power" if array and whole:
            return reduce(mul, [w[0]] * max(2, abs(int(n))))
        case "power" if array:
            return w[0] * w[0] * (w[1] + 1) + 2
        case "repeat":
            return 3 * w[0] if node.args[0].rank else w[0] + 4
        case "sum":
            return 3 * w[0]
        case "transpose":
            return w[0] * w[0]
        case "permute":  # more where the last two axes change places, as a transpose does
            places = [node.params[0].index(axis) for axis in range(node.rank)]
            return (4 * w[0] * w[0] if places[-1] < places[-2] else 5) * w[0] * w[0]
        case "matmul" if [arg.rank for arg in node.args] == [1, 2]:
            return 24 * w[0] * w[1] * w[1]
        case "matmul":
            return (32 if all(arg.rank >= 2 for arg in node.args) else 16) * w[0] * w[1]
        case (
            "outer"
            | "kron"
            | "einsum"
            | "conv"
            | "conv_transpose"
            | "conv_weight"
            | "max_unpool"
            | "max_take"
        ):
            return 9 * reduce(mul, w)
        case "inv" | "pinv" | "matrix_power":
            return w[0] * w[0] * w[0] + -1
    total: Weight | int = 3 if node.op.name == "maximum" or node.params == EXCHANGES else 2
    for part in w:
        total = total + 2 * part
    return total


def products(expr: Expr) -> Weight:
    """How many products there are: a polynomial of those in what wildcards stand for."""
    done: dict[Expr, Weight] = {}
    for node in walk(expr):
        matrices = 2 if all(arg.rank >= 2 for arg in node.args) else 1
        own = {"matmul": matrices, "outer": 1, "kron": 3, "einsum": 9}.get(node.op.name, 0)
        letters = {(node.params[0],): 1} if node.op is wildcard_op else {(): own}
        done[node] = reduce(lambda a, b: a + b, (done[arg] for arg in node.args), Weight.of(letters))
    return done[expr]


def disorder(expr: Expr, fences: Container[Expr] = ()) -> int:
    """How many products of numbers "numbers in front" would still change."""
    heads = next(law for law in LAWS if law.apply is gathered).heads
    nodes = (node for node in walk(expr, stop=fences.__contains__) if node not in fences and node.op in heads)
    return sum(gathered(node, fences) not in (None, node) for node in nodes)


def worth(weight: Weight) -> int:
    """The weight of an expression without wildcards: a number."""
    return dict(weight.terms).get((), 0)


def falls(left: Expr, right: Expr) -> bool:
    """Whether the weight falls, whatever the wildcards stand for."""
    for measure in (products, weigh):
        difference = dict((measure(left) + -1 * measure(right)).terms)
        if any(coefficient < 0 for coefficient in difference.values()):
            return False
        if difference.get((), 0) > 0:
            return True
    return disorder(left) > disorder(right)


@each("left, right", [(left, right) for law, left, right in EQUATIONS if not law.propose], said)
def test_the_weight_falls_from_left_to_right(left, right):
    assert falls(left, right), f"{said(left)} -> {said(right)}"


@each("law, example", [(law, example) for law in LAWS if law.propose for example in law.examples()], told)
def test_a_law_that_proposes_is_used_where_that_is_shorter(law, example):
    alone = Book([*(other for other in LAWS if not other.propose), law])
    before = simplify(example, Book(other for other in LAWS if not other.propose))
    tidy = simplify(example, alone)
    assert tidy is not before
    assert length(tidy) < length(before), f"{said(before)} -> {said(tidy)}"


@pytest.mark.parametrize("law", ASSUMED, ids=lambda law: law.name)
def test_the_weight_falls_for_what_the_user_assumes(law):
    for left, right in law.forms:
        assert falls(left, right), f"{said(left)} -> {said(right)}"


# -------------------------------------------------------------------------------------- tidying as a whole

NUMBERS = (-2, -1, 0, 1, 2, 3)
SHAPES = ((), ("m",), ("n",), ("m", "n"), ("n", "m"))


@st.composite
def expressions(draw, shape=None, depth=4):
    """An expression of `shape` over a few variables of every shape, with much for the laws to do."""
    shape = draw(st.sampled_from(SHAPES)) if shape is None else shape

    def part(of=shape):
        return draw(expressions(of, depth - 1))

    if depth == 0 or draw(st.integers(0, 4)) == 0:
        letters = {(): "ab", ("m",): "uv", ("n",): "xy", ("m", "n"): "AB", ("n", "m"): "CD"}[shape]
        leaves = [symbol(letter, shape) for letter in letters]
        if not shape:
            leaves += [*map(number, NUMBERS), number(1) / 2, size("m"), size("n")]
        elif draw(st.booleans()):
            return FUNCTIONS["repeat"](draw(expressions((), 0)), tuple(range(len(shape))), shape)
        return draw(st.sampled_from(leaves))
    ways = [
        lambda: part() + part(),
        lambda: part() - part(),
        lambda: part() * part(),
        lambda: part(()) * part(),
        lambda: part() / part(),
        lambda: -part(),
        lambda: part() ** draw(st.sampled_from((2, 3))),
        lambda: FUNCTIONS["sigmoid"](part()),
        lambda: FUNCTIONS["exp"](part()),
    ]
    if len(shape) == 2:
        m, n = shape
        ways += [
            lambda: part((n, m)).T,
            lambda: FUNCTIONS["outer"](part((m,)), part((n,))),
            lambda: part((m, n)) @ part((n, m)) @ part((m, n)),
            lambda: FUNCTIONS["repeat"](part((n,)), 0, m),
            lambda: FUNCTIONS["repeat"](part((m,)), 1, n),
        ]
    elif len(shape) == 1:
        (m,) = shape
        n = "n" if m == "m" else "m"
        ways += [
            lambda: part((m, n)) @ part((n,)),
            lambda: part((n,)) @ part((n, m)),
            lambda: FUNCTIONS["sum"](part((n, m)), 0),
            lambda: FUNCTIONS["sum"](part((m, n)), 1),
        ]
    else:
        ways += [
            lambda: part(("m",)) @ part(("m",)),
            lambda: FUNCTIONS["sum"](part(("m", "n"))),
            lambda: FUNCTIONS["norm"](part(("n",))) ** 2,
        ]
    try:
        return draw(st.sampled_from(ways))()
    except MathError:  # a division by zero, said at the door
        return part()


@settings(max_examples=150)
@given(expressions(), st.integers(0, 7), st.integers(0, 2**32))
@example(symbol("m", ()) / number(-2), 0, 0)
@example(
    FUNCTIONS["sum"](symbol("A", ("m", "n"))) + FUNCTIONS["norm"](number(1) * -symbol("x", ("n",))) ** 2, 0, 0
)
def test_tidying_ends_keeps_the_value_and_has_nothing_to_do_twice(expr, fenced, seed):
    fences = {node for place, node in enumerate(walk(expr)) if node.args and place % 5 == fenced}
    tidy, rewrites, laws = Simplifier(BOOK, fences)(expr)
    assert tidy.shape == expr.shape
    assert len(rewrites) == len(laws)
    assert simplify(tidy, BOOK, fences) is tidy
    for law, step in zip(laws, rewrites, strict=True):
        if law.propose:
            before, after = (length(x, fences) for x in (step.before, step.after))
        else:
            before, after = (
                (worth(products(x)), worth(weigh(x)), disorder(x, fences)) for x in (step.before, step.after)
            )
        assert after < before, f"{said(step.before)} -> {said(step.after)}"
    # u @ repeat(a) is one operation, a*sum(u) two; sum(outer(u, x)) two, sum(u)*sum(x) three, with no matrix
    if all(node.op.name not in ("repeat", "outer") for node in walk(expr)):
        after = 0 if tidy in fences else length(tidy, fences)
        kept = fences & set(walk(tidy))  # a name whose number came out, norm(1*-x), is a name no more
        assert after <= length(expr, kept), f"{said(expr)} -> {said(tidy)}"
    if not all(law.oracle for law in laws):
        return
    try:
        point = Point(2**61 - 1, {"m": 2, "n": 3}, Random(seed), roots=True)
        before = list(point.value(expr))
    except Redraw:
        return  # not defined there
    assert list(point.value(tidy)) == before
