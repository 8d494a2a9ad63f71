"""Do parts get the names a textbook gives them, each name once, and the user's own first?"""

import pytest
from calculus.losses import LOSSES, Loss, perceptron, written
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from gradstep.calculus.derivation import derive, moving_nodes
from gradstep.calculus.naming import LETTERS, named_parts
from gradstep.expression.node import walk
from gradstep.operations import FUNCTIONS
from gradstep.operations.leaves import RESERVED, size_op, symbol


def names(loss: Loss, own=None) -> dict[str, str]:
    """The name of each part, and its role."""
    d = derive(loss.expr, loss.wrt, names=own, certify=False)
    return {part.name: part.role for part in d.parts.values()}


def taken(loss: Loss) -> set[str]:
    """What no part may be called: variables, sizes and functions."""
    sizes = {str(axis) for v in loss.variables.values() for axis in v.shape}
    return {
        *loss.variables,
        *sizes,
        *(node.params[0] for node in walk(loss.expr) if node.op is size_op),
        *RESERVED,
    }


EXPECTED = {
    "neuron": {"z": "affine function", "a": "activation (ReLU)", "e": "error", "C": "loss"},
    "scalar neuron": {"z": "argument", "a": "activation (ReLU)", "e": "error", "C": "loss"},
    "linear": {"z": "affine function", "e": "error", "C": "loss"},
    "sum of squares": {"z": "linear function", "e": "error", "C": "loss"},
    "neuron as a product": {"z": "affine function", "a": "activation (ReLU)", "e": "error", "C": "loss"},
    "quantile": {"z": "linear function", "e": "error", "C": "loss"},
    "logistic": {"z": "affine function", "a": "activation (sigmoid)", "C": "loss"},
    "hinge": {"z": "affine function", "u": "argument", "a": "activation (ReLU)", "C": "loss"},
    "softmax": {"Z": "affine function", "P": "softmax", "C": "loss"},
    "Huber by minimum": {"z": "linear function", "e": "error", "u": "shared part", "C": "loss"},
    "2 layers": {
        "Z1": "affine function",
        "A1": "activation (ReLU)",
        "Z2": "affine function",
        "E": "error",
        "C": "loss",
    },
    "2 layers, softplus": {
        "Z1": "affine function",
        "A1": "activation (softplus)",
        "Z2": "affine function",
        "E": "error",
        "C": "loss",
    },
    "two-layer classifier": {
        "Z1": "affine function",
        "A1": "activation (ReLU)",
        "Z2": "affine function",
        "P": "softmax",
        "C": "loss",
    },
    "x times x": {"f": "function"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_parts_are_called_as_in_a_textbook(name):
    assert names(LOSSES[name]) == EXPECTED[name]


@each("loss", LOSSES.values(), ids=LOSSES, tests=2)
def test_every_name_is_used_once_and_for_nothing_else(loss):
    d = derive(loss.expr, loss.wrt, certify=False)
    given_names = [part.name for part in d.parts.values()]
    assert len(set(given_names)) == len(given_names)
    assert not set(given_names) & taken(loss)
    assert all(name.isidentifier() and name.isascii() for name in given_names)
    numbers = all(not node.rank for node in walk(d.of))
    assert d.parts[d.of].role in ({"function", "loss"} if numbers else {"loss"})
    assert all(part.role.split(" (")[0] in LETTERS for part in d.parts.values())


@pytest.mark.parametrize("layers", [3, 12])
def test_the_parts_of_a_layer_have_its_number(layers):
    loss = perceptron(layers)
    d = derive(loss.expr, loss.wrt, certify=False)
    part = {part.name: node for node, part in d.parts.items()}
    for i in range(1, layers):
        assert part[f"A{i}"].args == (part[f"Z{i}"],)
        assert loss.variables[f"W{i}"] in part[f"Z{i}"].args[0].args
    assert f"Z{layers}" in part


def test_a_linear_layer_in_between_keeps_the_numbers():
    loss = Loss(
        "Z = (X @ V) @ W + c; mean((Y - relu(relu(Z) @ U))**2)", "X:N,d V:d,h W:h,h c:h U:h,k Y:N,k", "V W U"
    )
    d = derive(loss.expr, loss.wrt, certify=False)
    number = {part.name[1:]: part.name for part in d.parts.values() if part.role.startswith("activation")}
    for node, part in d.parts.items():
        if part.role.startswith("activation"):
            assert d.parts[node.args[0]].name[1:] == part.name[1:]
    assert len(number) == 2


@given(st.sets(st.sampled_from([*"zsuvahgrepqdtCLJE", "cost", "Z1", "z1", "u_1", "C_1"])))
def test_names_give_way_to_whatever_is_taken(reserved):
    loss = LOSSES["hinge"]
    moving = moving_nodes(loss.expr, [loss.variables["w"]])
    parts = named_parts(loss.expr, moving, {}, reserved)
    chosen = [part.name for part in parts.values()]
    assert len(chosen) == len(set(chosen)) == 4
    assert not reserved & set(chosen)


def test_ones_own_names_come_first_and_push_others_aside():
    loss = LOSSES["neuron"]
    z = written("X @ w + b", loss.names)
    a = FUNCTIONS["relu"](z)
    assert list(names(loss, {z: "score"})) == ["score", "a", "e", "C"]
    assert list(names(loss, {a: "z"})) == ["s", "z", "e", "C"]
    assert names(loss, {a: "p", loss.expr: "risk"}) == {
        "z": "affine function",
        "p": "activation (ReLU)",
        "e": "error",
        "risk": "loss",
    }


def test_a_part_with_a_name_of_ones_own_is_told_by_what_it_is():
    loss = LOSSES["linear"]
    squares = written("(X @ w + b - y)**2", loss.names)
    assert names(loss, {squares: "q"})["q"] == "part"


def test_a_letter_is_no_letter_of_a_variable():
    z, e = symbol("z", "N"), symbol("e", "N")
    loss = FUNCTIONS["mean"]((e - FUNCTIONS["relu"](z * 2)) ** 2)
    chosen = [part.name for part in derive(loss, "z", certify=False).parts.values()]
    assert not {"z", "e", "N"} & set(chosen)
