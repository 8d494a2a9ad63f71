"""Do the operations of linear algebra have PyTorch's values and gradients?"""

import numpy as np
import pytest

import gradstep as gs

# A loss, and the same for PyTorch (t), given its tensors.
TABLE = {
    "inv": ("sum(inv(X)*Y)", lambda t, X, Y, A, b: (t.linalg.inv(X) * Y).sum()),
    "det": ("det(X)", lambda t, X, Y, A, b: t.linalg.det(X)),
    "logdet": ("logdet(X)", lambda t, X, Y, A, b: t.linalg.slogdet(X)[1]),
    "solve": ("sum(solve(X, b)**2)", lambda t, X, Y, A, b: (t.linalg.solve(X, b) ** 2).sum()),
    "solve a matrix": ("sum(solve(X, Y)*Y)", lambda t, X, Y, A, b: (t.linalg.solve(X, Y) * Y).sum()),
    "power": ("sum(matrix_power(X, 3)*Y)", lambda t, X, Y, A, b: (t.linalg.matrix_power(X, 3) * Y).sum()),
    "negative power": (
        "b @ matrix_power(X, -2) @ b",
        lambda t, X, Y, A, b: b @ t.linalg.matrix_power(X, -2) @ b,
    ),
    "trace": ("trace(X @ Y @ X)", lambda t, X, Y, A, b: t.trace(X @ Y @ X)),
    "diagonal": ("sum(diag(X)**3)", lambda t, X, Y, A, b: (t.diagonal(X) ** 3).sum()),
    "diagonal matrix": ("sum((X @ diag(b) @ Y)**2)", lambda t, X, Y, A, b: ((X @ t.diag(b) @ Y) ** 2).sum()),
    "kron": ("sum(tanh(kron(X, A)))", lambda t, X, Y, A, b: t.tanh(t.kron(X, A)).sum()),
    "kron of vectors": (
        "sum(kron(b, X @ b)**2)",
        lambda t, X, Y, A, b: (t.kron(b, X @ b) ** 2).sum(),
    ),
    "einsum": (
        'sum(tanh(einsum("ij,jk,lk->il", X, Y, A)))',
        lambda t, X, Y, A, b: t.tanh(t.einsum("ij,jk,lk->il", X, Y, A)).sum(),
    ),
}
SHAPES = {"X": "n n", "Y": "n n", "A": "m n", "b": "n"}


@pytest.mark.parametrize(("text", "theirs"), TABLE.values(), ids=TABLE)
def test_values_and_gradients_are_those_of_pytorch(torch, text, theirs):
    rng = np.random.default_rng(0)
    values = {
        name: rng.standard_normal([{"n": 4, "m": 2}[s] for s in SHAPES[name].split()]) for name in SHAPES
    }
    values["X"] += 3 * np.eye(4)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    expected = theirs(torch, **tensors)
    expected.backward()
    moved = [name for name, tensor in tensors.items() if tensor.grad is not None]
    loss = gs.parse(text, **{name: SHAPES[name] for name in moved})
    given = {name: values[name] for name in moved}
    answers = gs.derive(loss, moved).answers
    np.testing.assert_allclose(gs.evaluate(loss, **given), expected.item(), rtol=1e-10)
    for name in moved:
        gradient = gs.evaluate(answers[name], **given)
        np.testing.assert_allclose(gradient, tensors[name].grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["inner", "vdot"])
@pytest.mark.parametrize(
    "shapes", [("", ""), ("n", "n"), ("m n", "m n"), ("m n", "n"), ("n", "m n"), ("m n", "k n")]
)
def test_inner_products_are_those_of_numpy(name, shapes):
    rng, lengths = np.random.default_rng(1), {"m": 3, "n": 4, "k": 2}
    a, b = (rng.standard_normal([lengths[size] for size in shape.split()]) for shape in shapes)
    if name == "vdot" and a.shape != b.shape:
        with pytest.raises(gs.MathError, match="the same shape"):
            gs.parse("vdot(a, b)", a=shapes[0], b=shapes[1])
        return
    f = gs.parse(f"{name}(a, b)", a=shapes[0], b=shapes[1])
    np.testing.assert_allclose(gs.evaluate(f, a=a, b=b), getattr(np, name)(a, b), rtol=1e-14)
