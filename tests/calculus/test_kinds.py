"""Is a layer that repeats checked once, and is nothing taken for the same that is not?"""

from dataclasses import replace

import pytest

import gradstep as gs
from benchmarks.derivation import FAMILIES
from gradstep.calculus.certificate import MANY, certify
from gradstep.calculus.checks import Lines, Values, gather
from gradstep.calculus.kinds import DEPTHS, kinds
from gradstep.calculus.steps import Rewrite
from gradstep.expression.records import replaced
from gradstep.operations.activations import tanh
from gradstep.operations.broadcasting import ones
from gradstep.operations.leaves import number, symbol
from gradstep.operations.products import matmul
from gradstep.operations.rowwise import softmax

A, B, C, D = (symbol(letter, "n n") for letter in "ABCD")
Y, Z = (symbol(letter, "n n", ["rows sum to one"]) for letter in "YZ")
ENOUGH = 10**6


def values(before, after, by_law=False):
    return Values(1, "a rule", "differ", by_law, before, after)


def line(before, after):
    return Lines(1, "a rule", "differ", False, (before,), (after,))


def alike(one, other, named=(), moving=(), depth=0):
    """Whether two checks are of one kind."""
    return len(kinds({0: one, 1: other}, set(named), set(moving), depth, ENOUGH)) == 1


ALIKE = {
    "other names": (values(A * B, B * A), values(C * D, D * C)),
    "names of parts": (values(A @ B, A.T), values(tanh(A) @ B, tanh(A).T), [tanh(A)]),
    "lines": (line((A, B), (A.T, C)), line((D, C), (D.T, B))),
}
DIFFERENT = {
    "one is shared": (values(A * B, B * A), values(A * A, A * A)),
    "another order": (values(A * B, A), values(A * B, B)),
    "an assumption": (values(A @ B, A), values(Y @ B, Y)),
    "one that is shared has an assumption": (values(Y @ Z, Y), values(Y @ Y, Y)),
    "a shape": (values(A, A), values(symbol("a", "n"), symbol("a", "n"))),
    "a law": (values(A, B, True), values(A, B)),
    "what moves": (line((A, B), (A, B)), line((A, C), (A, C)), (), [B]),
    "on which side it stands": (line((A, B), (A, B)), Lines(1, "", "", False, ((A, B), (A, B)), ())),
}


@pytest.mark.parametrize("case", ALIKE.values(), ids=ALIKE)
def test_checks_that_differ_in_names_are_one_kind(case):
    assert alike(*case)


@pytest.mark.parametrize("case", DIFFERENT.values(), ids=DIFFERENT)
def test_checks_that_differ_in_more_are_two_kinds(case):
    assert not alike(*case)


def test_what_a_part_is_made_of_counts_where_one_side_alone_mentions_it():
    S, T, e = softmax(A, 1), tanh(A), ones("n")
    one, other = values(S @ e, e), values(T @ e, e)
    first, then = DEPTHS
    assert alike(one, other, [S, T], depth=first)
    assert not alike(one, other, [S, T], depth=then)


@pytest.mark.parametrize("name", ["transformer", "language model"])
def test_there_are_no_more_kinds_in_more_blocks(name):
    counts = []
    for depth in (3, 5):
        d = gs.networks[name].derive(depth, certify=False)
        checks = dict(enumerate(gather(d)[0]))
        moving = {node for step in d.steps for _, node in (*step.before, *step.after)}
        counts.append(len(kinds(checks, {*d.parts, *d.fences}, moving, 0, ENOUGH)))
    assert counts[0] == counts[1] < 100


@pytest.fixture(scope="module")
def deep():
    loss, parameters = FAMILIES["perceptron"][0](30)
    return gs.derive(loss, parameters, certify=False)


def test_a_deep_network_is_proved(deep):
    certificate = certify(deep, seed=1)
    assert len(deep.steps) >= MANY and certificate.verdict is True
    assert certificate.exact == certificate.lines and certificate.chance < 1e-17
    assert len({checked.number for checked in certificate.checked}) == 1
    assert certificate == certify(deep, seed=1)


SLIPS = {
    "a factor": lambda G: number(1000001) / 1000000 * G,
    "the sign": lambda G: -G,
    "a number more": lambda G: G + 1,
    "the square": lambda G: G * G,
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
@pytest.mark.parametrize("at", [0, 1, 7, 30, 61, 97, -1])
def test_a_slip_in_one_layer_is_found_there(deep, slip, at):
    steps = [*deep.steps]
    ((G, part), *others) = steps[at].after
    steps[at] = replaced(steps[at], after=((slip(G), part), *others))
    certificate = certify(replace(deep, steps=tuple(steps)), seed=1)
    worth = [failure.step for failure in certificate.failures if failure.left is not None]
    assert certificate.verdict is False and steps.index(steps[at]) + 1 in worth


def test_a_rewrite_that_is_true_of_another_layer_is_refuted(deep):
    layers = [part for part in deep.parts if part.op.name == "tanh"]
    here, there = layers[7], layers[8]
    for before, after, right in (
        (tanh(here.args[0]) * here, here * here, True),
        (matmul(here.T, there), matmul(there.T, here).T, True),
        (here, tanh(there.args[0]), False),
        (matmul(here.T, there), matmul(there.T, here), False),
    ):
        steps = [*deep.steps]
        steps[40] = replaced(steps[40], details=(Rewrite("a law", "because", before, after),))
        certificate = certify(replace(deep, steps=tuple(steps)), seed=1)
        assert certificate.verdict is right, (str(before), str(after))
