"""Are functions that are spelled out recognised: the same value, and safe for large operands?"""

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.calculus.recognising import RECOGNITION, Recognition
from gradstep.expression.node import walk
from gradstep.operations.evaluation import evaluate

EXAMPLES = [(law, example) for law in RECOGNITION for example in law.examples()]
BY_NAME = each(("law", "example"), EXAMPLES, ids=[f"{law.name}-{i}" for i, (law, _) in enumerate(EXAMPLES)])
SHAPES = {"x": (), "y": (), "u": (2,), "v": (3,), "w": (3,), "M": (2, 3)}
SPELLED = {
    "logistic": ("mean(log(1 + exp(-y*(X @ w))))", "X:N,d w:d y:N"),
    "cross-entropy by hand": (
        "p = 1/(1 + exp(-(X @ w))); -mean(y*log(p) + (1 - y)*log(1 - p))",
        "X:N,d w:d y:N",
    ),
    "softmax by hand": ("-log(exp(w @ X)/sum(exp(w @ X))) @ y", "X:N,d w:N y:d"),
    "log of a sum": ("log(sum(exp(X @ w)))", "X:N,d w:d"),
    "one against many": ("log(exp(w @ v) + sum(exp(K @ w))) - w @ v", "w:d v:d K:m,d"),
    "augmented neuron": (
        "mean((y - relu(concatenate((X, ones((N, 1))), axis=1) @ concatenate((w, b))))**2)",
        "X:N,d w:d b: y:N",
    ),
    "other letters": ("sum(t*log(exp(A.T @ w) + 1) - A.T @ w)", "A:d,N w:d t:N"),
}


def values(expr, scale=1.0):
    rng = np.random.default_rng(5)
    return {name: scale * rng.standard_normal(shape) for name, shape in SHAPES.items()}


WEIGHTS = {"exp": 4, "log": 4, "divide": 4, "relu": 4, "maximum": 4, "minimum": 4}
WEIGHTS |= dict.fromkeys(("subtract", "concatenate", "power", "sqrt", "abs", "sigmoid", "tanh", "erf"), 1)


def spelled(expr):
    """How much is left to recognise: every law replaces an exp, a log, a max, a gate, what is joined."""
    return sum(WEIGHTS.get(node.op.name, 0) + factors_beneath(node) for node in walk(expr))


def factors_beneath(node):
    """How many products stand where a normalisation could: beneath a deviation, or with its inverse."""
    if node.op.name in ("divide", "scale"):
        return sum(arg.op.name == "multiply" for arg in node.args)
    inverses = (arg.args[0].op.name for arg in node.args if arg.op.name == "repeat")
    return 8 * sum(name in ("divide", "power") for name in inverses) if node.op.name == "multiply" else 0


@BY_NAME
def test_what_is_recognised_has_the_same_value(law, example):
    found = law.apply(example, ())
    assert found is not None and found.shape == example.shape
    arrays = values(example)
    known = {str(node.params[0]) for node in walk(example) if node.op.name == "symbol"}
    given = {name: arrays[name] for name in known}
    np.testing.assert_allclose(evaluate(found, **given), evaluate(example, **given), rtol=1e-12)


@BY_NAME
def test_recognising_ends(law, example):
    assert spelled(law.apply(example, ())) < spelled(example)
    once = Recognition(example).expr
    assert Recognition(once).expr is once


@pytest.mark.parametrize(("text", "shapes"), SPELLED.values(), ids=SPELLED)
@pytest.mark.parametrize("scale", [1.0, 800.0])
def test_the_gradient_of_a_function_that_is_spelled_out_is_certified_and_does_not_overflow(
    text, shapes, scale
):
    loss = gs.parse(text, **dict(word.split(":") for word in shapes.split()))
    d = gs.derive(loss, "w")
    assert d.certificate.verdict is True
    assert d.recognised
    rng = np.random.default_rng(1)
    lengths = {"N": 4, "d": 3, "m": 5}
    given = {
        name: scale * rng.standard_normal([lengths[s] for s in sizes.split(",") if s])
        for name, _, sizes in (word.partition(":") for word in shapes.split())
    }
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(gs.evaluate(d.answers["w"], **given)).all()


def test_the_derivation_says_what_it_recognised():
    d = gs.derive(gs.parse("sum(1/(1 + exp(-X @ w)))", X="N d", w="d"), "w")
    assert "sigmoid" in d.text()
    assert [rewrite.rule for rewrite in d.recognised] == ["sigmoid"]


def test_a_function_with_a_name_of_its_own_is_not_read_as_another():
    body = gs.parse("x*sigmoid(x)", x="")
    assert Recognition(body).expr is gs.parse("silu(x)", x="")
    assert Recognition(body, own=True).expr is body
    assert not gs.derive(body, "x", names={body: "swish"}).recognised
