"""Is what is printed of Jacobians and Hessians right, and can it be read in every view, style and layout?"""

import re
from functools import cache
from itertools import product

import pytest

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.notation.presentation import LAYOUTS
from gradstep.notation.views import STYLES, VIEWS

SHAPES = {
    "X": "N d", "W": "d k", "w": "d", "b": "", "x": "d", "y": "N", "t": "", "V": "h d", "U": "k h", "c": "h",
}  # fmt: skip


def read(text, **more):
    """The expression, with the variables that it has."""
    shapes = {**SHAPES, **more}
    return gs.parse(text, **{name: shapes[name] for name in shapes if re.search(rf"\b{name}\b", text)})


NEURON = "mean((y - relu(X @ w + b))**2)"
NETWORK = "U @ tanh(V @ x + c)"
DERIVATIONS = {
    "network": lambda: gs.jacobian(read(NETWORK), "x", seed=1),
    "softmax": lambda: gs.jacobian(read("softmax(x)"), "x", seed=1),
    "two paths": lambda: gs.jacobian(read("z = sum(x); a = tanh(z*x); a*x"), "x", seed=1),
    "layer": lambda: gs.jacobian(read("tanh(X @ W)"), "W", seed=1),
    "a number": lambda: gs.jacobian(read("t*x"), ["t", "x"], seed=1),
    "neuron": lambda: gs.hessian(read(NEURON), "w", seed=1),
    "blocks": lambda: gs.hessian(read(NEURON), ["w", "b"], seed=1),
    "by a number": lambda: gs.hessian(read("exp(-t**2)*sum(x)"), "t", seed=1),
    "deep": lambda: gs.hessian(read("mean((y - tanh(tanh(X @ W) @ u))**2)", u="k"), "W", seed=1),
    "jvp": lambda: gs.jvp(read(NETWORK), "x", "v", seed=1),
    "hvp": lambda: gs.hvp(read(NEURON), "w", "v", seed=1),
}


@cache
def derivation(name):
    """A derivation, made once for all tests of it."""
    return DERIVATIONS[name]()


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_view_tells_every_derivation(name):
    """What is printed is worked out again while it is told: a wrong line raises. Layouts take turns."""
    turn = list(DERIVATIONS).index(name)
    for k, (view, style) in enumerate(product(VIEWS, STYLES)):
        layout = LAYOUTS[(turn + k) % len(LAYOUTS)]
        text = derivation(name).text(view, style, layout=layout)
        assert "•" not in text and "could not be worked out" not in text, (view, style, layout)
        assert all(len(line) <= 100 for line in text.splitlines()), (view, style, layout)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_document_holds_it(name):
    d = derivation(name)
    for written in (d.latex(), d.markdown(), d.html()):
        assert "•" not in written
    assert d.to_json()["kind"] == d.kind


def told(name, *arguments, **options):
    return " ".join(derivation(name).text(*arguments, **options).split())


def test_the_hessian_of_the_neuron_is_the_textbooks():
    assert "∂²C/(∂w ∂wᵀ) = 2/N Xᵀ diag(1[z > 0]) X d×d" in told("neuron")
    assert "∂²C/(∂wⱼ ∂wₖ) = 2/N Σᵢ Xᵢⱼ 1[zᵢ > 0] Xᵢₖ" in told("neuron", "index")
    assert "d(∂C/∂w) = −2/N Xᵀ (de ⊙ 1[z > 0])" in told("neuron")


def test_the_vector_chain_rule_multiplies_jacobians():
    text = told("network")
    assert "∂f/∂x = (∂f/∂a) (∂a/∂z) ∂z/∂x vector chain rule" in text
    assert "∂a/∂z = diag(1 − a²)" in text
    assert "∂f/∂x = U diag(1 − a²) V k×d numerator layout" in text
    assert "∂fᵢ/∂xⱼ = Σₗ Σₘ (∂fᵢ/∂aₗ) (∂aₗ/∂zₘ) ∂zₘ/∂xⱼ" in told("network", "index")


def test_what_comes_along_several_paths_is_added():
    assert "total derivative: x reaches f along 2 paths" in told("two paths")


def test_the_layout_is_stated_and_followed():
    text = told("network", layout="denominator")
    assert "∂f/∂x = Vᵀ diag(1 − a²) Uᵀ d×k denominator layout: a row for each entry of x" in text
    loss = read(NEURON)
    rows = " ".join(gs.derive(loss, "w").text(layout="numerator").split())
    assert "In numerator layout ∂C/∂w = −2/N (e ⊙ 1[z > 0])ᵀ X" in rows


def test_an_array_of_four_axes_is_written_by_its_entries():
    assert "∂Fᵢⱼ/∂Wₗₘ = Xᵢₗ (1 − tanh(Zᵢⱼ)²) δⱼₘ N×k×d×k" in told("layer")


def test_an_unknown_layout_is_an_error():
    with pytest.raises(MathError, match="no layout"):
        derivation("softmax").text(layout="sideways")


def test_names_and_dependences_are_as_in_derive():
    f = read(NETWORK)
    written_out = gs.jacobian(f, "x", names="none", seed=1).text()
    assert "Name the parts" not in written_out and "U diag(1 − tanh(V x + c)²) V" in written_out
    one = gs.hessian(read(NEURON), "w", names="z", seed=1)
    assert set(one.names.values()) == {"z", "C"}
    dependent = read("x + t")
    total = gs.jacobian(dependent, "x", given={"t": "sum(x)"}, seed=1)
    assert total.answers["x"] is gs.parse("eye(d) + ones(d, d)", x="d")


def test_the_index_of_a_function_runs_over_its_own_axis():
    f = gs.parse("concatenate([A @ x, B @ x])", A="k n", B="m n", x="n")
    assert "j = 1 … k+m" in gs.jacobian(f, "x", seed=1).text("index")
