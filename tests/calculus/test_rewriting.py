"""Does a pattern find what it stands for, and nothing else?"""

import pytest

from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import Book, Law, Simplifier, build, match, simplify
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr, replace
from gradstep.operations.arithmetic import add_op, negate_op
from gradstep.operations.broadcasting import repeat, sum_over
from gradstep.operations.leaves import number, symbol
from gradstep.operations.permutations import transpose_op

A, B, D = (symbol(name, "N d") for name in "ABD")
u, v = symbol("u", "N"), symbol("v", "N")
s, t = symbol("s"), symbol("t")
x, y, z = (wildcard(letter, ("m", "n")) for letter in "xyz")

FOUND = {
    "any expression": (x, A * B, {x: A * B}),
    "operands in order": (x / y, A / B, {x: A, y: B}),
    "a sum either way round": (x + 1 / y, 1 / B + A, {x: A, y: B}),
    "the same twice": (x * x, A * A, {x: A}),
    "a second try, when the first way round leads nowhere": (
        x * y - x * z,
        A * B - D * A,
        {x: A, y: B, z: D},
    ),
    "a second try, deep inside": ((x * y - x * z) * y, (B * A - D * A) * B, {x: A, y: B, z: D}),
}
NOT_FOUND = {
    "another operation": (x / y, A * B),
    "operands the wrong way round": (x / (1 - y), (1 - A) / B),
    "a different expression for the same letter": (x * x, A * B),
    "another number": (2 * x, 3 * A),
    "another rank": (x + y, u + v),
    "another axis": (sum_over(x, (0,)), sum_over(A, (1,))),
}


@pytest.mark.parametrize(("pattern", "expr", "binding"), FOUND.values(), ids=FOUND)
def test_a_pattern_finds(pattern, expr, binding):
    found = match(pattern, expr, ())
    assert found is not None
    assert {letter: part for letter, part in found.items() if isinstance(letter, Expr)} == binding


@pytest.mark.parametrize(("pattern", "expr"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_pattern_does_not_find(pattern, expr):
    assert match(pattern, expr, ()) is None


def test_sizes_in_a_law_stand_for_any_sizes_but_each_for_one():
    square = x @ wildcard("w", ("n", "m"))
    assert match(square, A @ A.T, ()) is not None
    assert match(square, A @ symbol("W", "d k"), ()) is None
    assert build(repeat(wildcard("c"), (0, 1), ("m", "n")), {wildcard("c"): s, "m": "N", "n": 3}).shape == (
        "N",
        3,
    )


def test_a_named_part_is_one_symbol():
    e = A * B
    assert match(x * y, e, {e}) is None
    assert match(x, e, {e}) == match(x, e, ())
    assert simplify(negate_op(-e), BOOK, {-e}) is negate_op(-e)
    assert simplify(2 * (3 * e), BOOK, {e}) is 6 * e


def test_the_first_law_in_the_book_applies_first():
    halves = Law("halves", "why", ((wildcard("c") + wildcard("c"), wildcard("c")),))
    nothing = Law("nothing", "why", ((wildcard("c") + wildcard("d"), number(0)),))
    assert simplify(s + s, Book([halves, nothing])) is s
    assert simplify(s + s, Book([nothing, halves])) is number(0)
    assert simplify(s + t, Book([halves, nothing])) is number(0)


def test_every_rewrite_is_told_and_leads_from_the_first_line_to_the_last():
    before = 2 * (A * repeat(s, (0, 1), ("N", "d"))) + -B
    after, rewrites, laws = Simplifier(BOOK, ())(before)
    assert after is number(2) * s * A - B
    assert [rewrite.rule for rewrite in rewrites] == [law.name for law in laws]
    told = before
    for rewrite in rewrites:
        changed = replace(told, {rewrite.before: rewrite.after})
        assert changed is not told
        told = changed
    assert told is after


def test_a_deep_expression_meets_no_recursion_limit():
    deep = A
    for _ in range(1500):
        deep = negate_op(transpose_op(transpose_op(deep)) + B)
    assert simplify(deep, BOOK).shape == ("N", "d")


def test_what_is_shared_is_tidied_once():
    shared = A
    for _ in range(200):  # written as a tree this has 2²⁰⁰ leaves
        shared = add_op(shared, shared) * B
    assert simplify(shared, BOOK).shape == ("N", "d")
