"""May an answer that used an assumption be differentiated again?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.operations.leaves import KNOWN_ASSUMPTIONS

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3, 3)) + 3 * np.eye(3)
NUMBERS = RNG.standard_normal(5)
POINTS = {
    "symmetric": A + A.T,
    "symmetric positive definite": A @ A.T,
    "positive": np.exp(A),
    "invertible": A,
    "diagonal": np.diag([1.0, 2.0, -3.0]),
    "orthogonal": np.linalg.qr(A)[0],
    "lower triangular": np.tril(A),
    "upper triangular": np.triu(A),
    "toeplitz": NUMBERS[np.arange(3)[:, None] - np.arange(3)] + 3 * np.eye(3),
    "symmetric toeplitz": NUMBERS[abs(np.arange(3)[:, None] - np.arange(3))] + 3 * np.eye(3),
    "rows sum to one": A / A.sum(axis=1, keepdims=True),
}
LOSSES = (
    "trace(S @ S @ S)",
    "sum((S @ V)**2) + v @ S @ v",
    "sum(inv(S) @ V)",
    "sum((V @ S.T) * S)",
    "sum(sum(S, axis=1)**3)",
)
SYMMETRIC = {"S": "symmetric"}
TYING = {
    "symmetric",
    "symmetric positive definite",
    "diagonal",
    "orthogonal",
    "symmetric toeplitz",
    "rows sum to one",
}
VALUES = {"V": RNG.standard_normal((3, 3)), "v": RNG.standard_normal(3)}


def asked(text, fact):
    loss = gs.parse(text, S="n n", V="n n", v="n", assume={"S": fact})
    return loss, {"S": POINTS[fact], **VALUES}


def test_every_assumption_is_tried():
    assert POINTS.keys() == set(KNOWN_ASSUMPTIONS)


@pytest.mark.parametrize("fact", POINTS)
def test_an_answer_can_be_differentiated_again_or_says_that_it_cannot(fact):
    said = set()
    for text in LOSSES:
        loss, at = asked(text, fact)
        first = gs.derive(loss, "S", seed=1)
        notes = [note for note in first.notes if "again=True" in note]
        said.update(notes)
        free = gs.derive(loss, "S", again=True, seed=1) if notes else first
        second = gs.jacobian(free.answers["S"], "S", seed=1).answers["S"]
        wanted = gs.evaluate(gs.hessian(loss, "S", seed=1).answers["S"], **at)
        np.testing.assert_allclose(gs.evaluate(second, **at), wanted, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            gs.evaluate(first.answers["S"], **at), gs.evaluate(free.answers["S"], **at), rtol=1e-9, atol=1e-9
        )
    assert bool(said) == (fact in TYING)
    assert all(f"of S ({fact})" in note for note in said)


@pytest.mark.parametrize("derived", [gs.derive, gs.jacobian, gs.hessian])
def test_every_kind_of_answer_says_so(derived):
    loss = asked("trace(S @ S.T @ S @ S)", "symmetric")[0]
    assert any("S (symmetric)" in note for note in derived(loss, "S").notes)
    assert not any("S (symmetric)" in note for note in derived(loss, "S", again=True).notes)
    assert derived(loss, "S").answers != derived(loss, "S", again=True).answers


@pytest.mark.parametrize("along", [gs.jvp, gs.hvp])
def test_products_with_a_vector_say_so_too(along):
    loss = asked("trace(S @ S.T @ S @ S)", "symmetric")[0]
    assert any("S (symmetric)" in note for note in along(loss, "S", "D").notes)
    free = along(loss, "S", "D", again=True)
    assert not free.notes and along(loss, "S", "D").answers != free.answers


def test_what_is_assumed_of_what_stands_still_needs_no_note():
    assert not gs.derive(gs.parse("trace(A.T @ S.T @ A)", S="n n", A="n k", assume=SYMMETRIC), "A").notes


def test_of_several_answers_the_shortened_one_is_named():
    loss = gs.parse("trace(S @ S) * a**2", S="n n", a="", assume=SYMMETRIC)
    (note,) = gs.derive(loss, ["S", "a"]).notes
    assert note.startswith("The answer for S uses what is assumed of S (symmetric)")
