"""Are claims read as people write them, and judged rightly? Every answer of the cases, and its neighbours."""

from random import Random

import pytest
from cases import derivations

import gradstep as gs
from gradstep.calculus.edits import edits
from gradstep.calculus.floating import compare_values
from gradstep.expression.errors import MathError
from gradstep.notation.claiming import lines_of
from gradstep.notation.judging import outcome
from gradstep.notation.latex import latex
from gradstep.notation.plain import line
from gradstep.notation.truths import Truths
from gradstep.notation.writing import Writer

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES)

# Ways to write one gradient: ∂C/∂w of the neuron.
RIGHT = [
    "-2/N * X.T @ (e * (z > 0))",
    "2/N * X.T @ ((relu(X @ w + b) - y) * (X @ w + b > 0))",
    "np.mean(X.T, axis=1)*0 + np.dot(X.T, -2/N*(y - a)*(z > 0))",
    "−2/N Xᵀ (e ⊙ 1[z > 0])",
    "-2/N X^T (e * 1[z > 0])",
    "−2/N Σᵢ eᵢ 1[zᵢ > 0] xᵢ",
    "-2/N sum_i e_i 1[z_i > 0] x_i",
    r"-\frac{2}{N}\,\mathbf{X}^{\top}(\mathbf{e} \odot \mathbb{1}[\mathbf{z} > 0])",
    r"-\frac{2}{N}\sum_{i=1}^{N} e_i\,\mathbb{1}_{\{z_i > 0\}}\,\mathbf{x}_i",
    r"\frac{2}{N}\sum_{i=1}^N \begin{cases} \vec{0}^T & \mathbf{w}\cdot\mathbf{x}_i + b \le 0 \\"
    r" (\mathbf{w}\cdot\mathbf{x}_i+b-y_i)\,\mathbf{x}_i^T & \text{otherwise} \end{cases}",
    r"$$\frac{\partial C}{\partial w_j} = -\frac2N \sum_i e_i \mathbf{1}[z_i > 0] X_{ij}$$",
    r"\nabla_{\mathbf w} L = -\tfrac{2}{N} X^\top \operatorname{diag}(\mathbb{1}[z > 0]) e",
    "∂C/∂w = Xᵀ ∂C/∂z",
    "dC/dw = -2/N X^T (e * 1[z > 0])",
    "dz = -2/N*(y - a)*(z > 0); dw = X.T @ dz",
    "grad_z = -2*e*(z > 0)/N\ngrad_w = grad_z @ X",
    "r = a - y  # another sign than e\ndw = 2/N * X.T @ (r*(z > 0))",
    r"\begin{align*} \frac{\partial C}{\partial \mathbf{z}} &= -\frac{2}{N}\mathbf{e}\odot 1[\mathbf{z}>0] \\"
    r" \frac{\partial C}{\partial \mathbf{w}} &= \mathbf{X}^\top \frac{\partial C}{\partial \mathbf{z}}"
    r" \end{align*}",
    "dC = 1/N * d(sum(e**2))\n = 2/N ⟨e, de⟩ = −2/N ⟨e, da⟩\n"
    " = −2/N ⟨e ⊙ 1[z > 0], dz⟩ = −2/N ⟨Xᵀ (e ⊙ 1[z > 0]), dw⟩",
    "dC = sum(2/N*e*de); = -2/N*trace(outer(e*(z > 0), X @ dw))",
]


@pytest.mark.parametrize("claim", RIGHT)
def test_a_gradient_is_recognised_however_it_is_written(claim):
    assert gs.check(NEURON, "w", claim).verdict is True


@pytest.mark.parametrize("claim", [claim for claim in RIGHT if not claim.startswith("∂C")])
def test_and_is_wrong_for_another_loss(claim):
    other = gs.parse("mean((y - 2*relu(X @ w + b))**2)", **SHAPES)
    try:
        assert gs.check(other, "w", claim).verdict is False
    except MathError as error:  # that loss has other names
        assert "is not known" in error.what


def verdict(d, claim):
    found = [outcome(line, Random(1))[0].verdict for line in lines_of(claim, Truths(d, {}))]
    return False if False in found else None if None in found else True


def test_the_answers_of_the_cases_are_right_in_every_notation_and_their_neighbours_wrong(cases):
    count = 0
    for k, (case, d) in enumerate(derivations(c for c in cases if c["kind"] in ("gradient", "scalar"))):
        (answer,) = d.answers.values()
        box = Writer(d.names)(answer)
        text = (str(answer), line(box), latex(box))[k % 3]
        assert verdict(d, text) is True, (case["id"], text)
        for edit in edits(answer):
            if compare_values(answer, edit.expr, Random(1))[0] is False:
                count += 1
                assert verdict(d, str(edit.expr)) is False, (case["id"], str(edit.expr))
                break
    assert count > 150
