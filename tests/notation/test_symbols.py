"""Is a user's name written as a mathematician would write it?"""

import pytest

from gradstep.notation.plain import line
from gradstep.notation.symbols import ALIASES, SIGNS, numeral, symbol

NAMES = {
    "x": "x", "lam": "λ", "lambda_": "λ", "eps": "ε", "eta": "η", "Sigma": "Σ", "sigma2": "σ²", "tau2": "τ²",
    "sigma_2": "σ₂", "W1": "W₁", "W_1": "W₁", "beta1": "β₁", "z_i": "zᵢ", "W_ij": "Wᵢⱼ", "W_in": "Wᵢₙ",
    "W_out": "W_out", "x_1_2": "x_(1,2)", "w_bar": "w̄", "hat_y": "ŷ", "yhat": "ŷ", "y_hat_i": "ŷᵢ",
    "sigma2_y": "σ_y²", "price": "price", "price2": "price₂", "learning_rate": "learning_rate", "dW": "dW",
    "conv2d": "conv2d", "hat": "hat", "_": "_",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_written_as_on_paper(name):
    assert line(symbol(name)) == NAMES[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_written_name_stays_as_it_is(name):
    assert line(symbol(name, "matrix")) == line(symbol(name))


def test_numbers_are_written_with_a_true_minus():
    written = {
        "3": "3",
        "-2": "−2",
        "0.5": "0.5",
        "1/3": "1/3",
        "-1/3": "−1/3",
        "1e-05": "10⁻⁵",
        "2.5e3": "2.5·10³",
    }
    assert {text: line(numeral(text)) for text in written} == written


def test_every_other_spelling_means_a_known_sign():
    assert set(ALIASES.values()) <= set(SIGNS)
