"""Are Kronecker products differentiated as in the textbook, and is what arrives at a factor told by it?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.operations.evaluation import variables

SHAPES = {
    **{"A": "m n", "B": "k p", "X": "m m", "Y": "n n", "Z": "n m", "a": "m", "b": "n"},
    **{"C": "m*k n*p", "u": "n*p", "v": "m*k", "c": "m*n"},
}
SIZES = {"m": 2, "n": 3, "k": 4, "p": 2}
# A loss, a factor in it, and the formula that the gradient is.
GRADIENTS = [
    ("trace(kron(X, Y))", "Y", "trace(X)*eye(n)"),
    ("trace(kron(X, Y))", "X", "trace(Y)*eye(m)"),
    ("sum(kron(A, 2*B))", "B", "repeat(2*sum(A), axis=(0, 1), size=(k, p))"),
    ("v @ kron(A, B) @ u", "A", "reshape(v, (m, k)) @ B @ reshape(u, (n, p)).T"),
    ("v @ kron(A, B) @ u", "B", "reshape(v, (m, k)).T @ A @ reshape(u, (n, p))"),
    ("logdet(kron(X, Y))", "X", "n*inv(X).T"),
    ("sum(kron(a, b)*c)", "b", "reshape(c, (m, n)).T @ a"),
    ("sum(kron(A, B)*C)", "B", 'einsum("kilj,kl->ij", reshape(C, (m, k, n, p)), A)'),
    ("trace(kron(A, Z))", "Z", 'einsum("kilj,kl->ij", reshape(eye(m*n), (m, n, n, m)), A)'),
    ("c @ inv(kron(X, Y)) @ c", "X", None),
    ("sum(tanh(kron(A, A)))", "A", None),
]


@pytest.mark.parametrize(("text", "wrt", "formula"), GRADIENTS)
def test_what_arrives_at_a_factor(text, wrt, formula):
    loss = gs.parse(text, **SHAPES)
    d = gs.derive(loss, wrt)
    assert d.certificate.verdict is True and d.certificate.floating == 0
    assert formula is None or str(d.answers[wrt]) == formula
    draw = np.random.default_rng(0).standard_normal
    values = {name: draw([np.prod([SIZES[s] for s in size.split("*")], dtype=int) for size in shape.split()])
              for name, shape in SHAPES.items() if name in variables(loss)}  # fmt: skip
    values |= {name: values[name] + 3 * np.eye(len(values[name])) for name in "XY" if name in values}
    gradient = gs.evaluate(d.answers[wrt], **values)
    for place in np.ndindex(gradient.shape):
        step = np.zeros(gradient.shape)
        step[place] = 1e-5
        there, here = (gs.evaluate(loss, **{**values, wrt: values[wrt] + s * step}) for s in (1, -1))
        assert gradient[place] == pytest.approx((there - here) / 2e-5, rel=1e-6, abs=1e-6)


def test_a_number_scales_and_ranks_do_not_mix():
    A, b = gs.parse("A", **SHAPES), gs.parse("b", **SHAPES)
    assert gs.kron(2, A) is 2 * A and gs.kron(A, 2) is 2 * A
    for pair in ((A, b), (b, A)):
        with pytest.raises(MathError, match="two matrices or two vectors"):
            gs.kron(*pair)


def test_it_stands_in_parentheses_beside_other_products():
    shown = gs.derive(gs.parse("sum(kron(A, B)*C)", **SHAPES), "B").text()
    assert "(A ⊗ B) ⊙ C" in shown and "A ⊗ B has the blocks Aᵢⱼ B" in shown
