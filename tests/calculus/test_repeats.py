"""A layer that repeats is derived once, and its lines are those that it would have by itself."""

import pytest

import gradstep as gs
from gradstep.calculus import repeats
from gradstep.calculus.chains import links
from gradstep.calculus.opening import Opening
from gradstep.expression.records import replaced

DEPTHS = {
    "perceptron": (40, 60),
    "residual block": (20, 30),
    "LSTM": (8, 11),
    "GRU": (8, 11),
    "transformer": (4, 6),
    "language model": (4, 6),
}
ALIKE = {"LSTM": 3, "GRU": 3, "perceptron": 4, "transformer": 3, "residual block": 3}
ALIKE |= {"variational autoencoder": None, "convolutional network": None, "contrastive loss": None}


def network(name, depth):
    made = gs.networks[name]
    return (made.loss(), made.parameters()) if depth is None else (made.loss(depth), made.parameters(depth))


@pytest.mark.parametrize("name", DEPTHS)
def test_the_laws_are_asked_about_one_layer_only(name, monkeypatch):
    asked, stages = [], Opening.stages
    monkeypatch.setattr(Opening, "stages", lambda self, H, G=None: asked.append(H) or stages(self, H, G))
    counts = []
    for depth in DEPTHS[name]:
        asked.clear()
        d = gs.derive(*network(name, depth), certify=False)
        derived = len(asked)
        links(d)
        counts.append((derived, len(asked) - derived))
    assert counts[0] == counts[1] and min(counts[0]) > 5, counts


@pytest.mark.parametrize("name", ALIKE)
def test_a_layer_has_the_lines_that_it_would_have_by_itself(name, monkeypatch):
    loss, parameters = network(name, ALIKE[name])
    monkeypatch.setattr(repeats, "FEW", 0)
    known = gs.derive(loss, parameters, certify=False)
    monkeypatch.setattr(repeats, "FEW", 10**9)
    anew = gs.derive(loss, parameters, certify=False)
    assert known.answers == anew.answers and known.fences == anew.fences
    for one, other in zip(known.steps, anew.steps, strict=True):
        assert replaced(one, details=()) == replaced(other, details=())
        assert {*one.details} >= {*other.details}  # one that was told before may not be told again


def test_what_is_assumed_of_one_symbol_is_not_said_of_another(monkeypatch):
    """Four layers that look alike but for what is known of their matrices: S is symmetric, Q orthogonal."""
    monkeypatch.setattr(repeats, "FEW", 0)
    text = "sum(tanh(A @ S @ tanh(B @ Q @ tanh(C @ T @ tanh(D @ R @ x)))))"
    shapes = dict.fromkeys("ABCDSTQR", "n n") | {"x": "n"}
    assume = {"S": "symmetric", "T": "symmetric", "Q": "orthogonal"}
    d = gs.derive(gs.parse(text, assume=assume, **shapes), ["x", "A", "B", "C", "D"])
    turned = [law for step in d.steps if "symmetric" in step.rule for law in step.details]
    assert [str(law.before) for law in turned] == ["S.T", "T.T"]
    assert d.certificate.verdict


DEEP = {
    "is it symmetric?": (
        "P{k} = A{k}.T @ {it}; Q{k} = 2*P{k}; R{k} = Q{k} + diag(v{k}); l{k} = sum(tanh(R{k} @ x{k}))",
        ("A{k}", "B{k}"),
    ),
    "is it never negative?": (
        "g{k} = {it}; e{k} = g{k} + exp(v{k}); f{k} = exp(u{k}); c{k} = e{k}*f{k}; z{k} = A{k} @ x{k}; "
        "l{k} = sum(where(abs(z{k}) <= c{k}, z{k}**2/2, c{k}*abs(z{k}) - c{k}**2/2))",
        ("exp(v{k})", "tanh(v{k})"),
    ),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_is_known_of_a_part_by_what_lies_deep_beneath_it_counts(name, order, monkeypatch):
    layer, which = DEEP[name]
    layers = [layer.replace("{it}", which[it]).replace("{k}", str(k)) for k, it in enumerate(order)]
    shapes = {f"{letter}{k}": "n n" if letter in "AB" else "n" for letter in "ABuvx" for k in (0, 1)}
    loss = gs.parse("; ".join([*layers, "l0 + l1"]), **shapes)
    answers = []
    for few in (0, 10**9):
        monkeypatch.setattr(repeats, "FEW", few)
        answers.append(gs.derive(loss, ["x0", "x1"]).answers)
    assert answers[0] == answers[1]
