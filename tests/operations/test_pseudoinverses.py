"""Is the pseudoinverse what undoes a matrix, does it move as its rule says, and is what it leaves tidied?"""

import numpy as np
import pytest

import gradstep as gs

RNG = np.random.default_rng(3)
TALL, WIDE = RNG.standard_normal((5, 3)), RNG.standard_normal((3, 5))
LOSSES = ["sum(pinv(X) * Y)", "norm(y - X @ pinv(X) @ y)**2"]


@pytest.mark.parametrize("X", [TALL, WIDE, TALL[:3]], ids=["tall", "wide", "square"])
@pytest.mark.parametrize("text", LOSSES)
def test_the_gradient_is_the_slope(text, X):
    loss = gs.parse(text, X="m n", **({"Y": "n m"} if "Y" in text else {"y": "m"}))
    d = gs.derive(loss, "X", seed=2)
    given = {"Y": RNG.standard_normal(X.shape[::-1])} if "Y" in text else {"y": RNG.standard_normal(len(X))}
    step, direction = 1e-5, RNG.standard_normal(X.shape)
    near = [gs.evaluate(loss, X=X + side * step * direction, **given) for side in (1, -1)]
    slope = np.sum(gs.evaluate(d.answers["X"], X=X, **given) * direction)
    assert slope == pytest.approx((near[0] - near[1]) / (2 * step), rel=1e-5, abs=1e-8)
    assert d.certificate.verdict


def test_the_condition_is_said():
    assert "where the rank changes" in gs.derive(gs.parse("sum(pinv(X))", X="m n"), "X").text()


def test_a_rank_that_is_less_than_the_sizes_allow_is_not_proved_and_not_called_wrong():
    assert (
        gs.derive(gs.parse("sum(pinv(outer(a, b)))", a="m", b="n"), "a", seed=1).certificate.verdict is None
    )


@pytest.mark.parametrize(
    "text, wrt, answer",
    [
        ("sum(X @ pinv(X) @ X * Y)", "Y", "X"),
        ("sum((eye(m) - X @ pinv(X)) @ X * Y)", "Y", "zeros(m, n)"),
        ("trace(Y.T @ X.T @ pinv(X).T)", "Y", "pinv(X) @ X"),
    ],
)
def test_projections_are_seen(text, wrt, answer):
    shape = "n n" if "trace" in text else "m n"
    assert str(gs.derive(gs.parse(text, X="m n", Y=shape), wrt).answers[wrt]) == answer


def test_a_jacobian_and_a_second_derivative():
    f = gs.jacobian(gs.parse("pinv(X) @ y", X="m n", y="m"), "X", seed=1)
    assert f.certificate.verdict and f.certificate.exact == f.certificate.lines
    assert gs.hvp(gs.parse("sum(pinv(X))", X="m n"), "X", "V", seed=1).certificate.verdict


def test_a_hessian_is_checked_at_sizes_where_its_matrices_have_inverses():
    certificate = gs.hessian(gs.parse("logdet(X.T @ X)", X="m n"), "X").certificate
    assert certificate.verdict and certificate.exact == certificate.lines


@pytest.mark.parametrize("text", ["pinv(x)", "pinv(3)"])
def test_only_a_matrix_has_one(text):
    with pytest.raises(gs.MathError, match="takes a matrix"):
        gs.parse(text, x="n")
