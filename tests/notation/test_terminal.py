"""Is what the terminal shows aligned, complete and narrow enough?"""

import re

import pytest
from calculus.losses import LOSSES

from gradstep.calculus.certificate import certify
from gradstep.notation.plain import display_width
from gradstep.notation.terminal import text
from gradstep.notation.views import STYLES, VIEWS, present

NAMES = [
    "neuron", "logistic", "softmax, one hot", "3 layers", "ridge", "quantile", "log cosh", "Huber by minimum",
    "softmax spelled out", "skip connection", "recurrent", "symmetric quadratic", "a quotient", "x times x",
    "maximum with a row", "a parameter that does not occur", "masks only", "products of parameters",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_too_wide(name):
    """In every view, in one style; the next loss in the other."""
    d, style = LOSSES[name].derived(), STYLES[NAMES.index(name) % 2]
    for view in VIEWS:
        told = present(d, view=view, style=style)
        for width in (60, 100):
            for opened in (False, True):
                shown = text(told, width, opened=opened)
                assert max(map(display_width, shown.splitlines())) <= width, (view, style, width, opened)
                assert all(row == row.rstrip() for row in shown.splitlines())


def test_equals_signs_stand_under_each_other():
    told = present(LOSSES["neuron"].derived())
    rows = [row for row in text(told).splitlines() if re.match(r" *\d*  +(∂C/∂\w+ +|) *= ", row)]
    assert len(rows) == 9 and len({row.index("=") for row in rows}) == 1


def test_braces_are_tall():
    shown = text(present(LOSSES["neuron"].derived(), view="sample"))
    assert "−2/N Σᵢ ⎧ 0ᵀ       if w·xᵢ + b ≤ 0" in shown
    assert "⎩ eᵢ xᵢᵀ   otherwise" in shown


def test_the_last_line_says_how_it_was_checked():
    d = LOSSES["neuron"].derived()
    assert text(present(d)).splitlines()[-1] == "not checked"
    d.certificate = certify(d, seed=7)
    last = " ".join(text(present(d)).split("\n\n")[-1].split())
    assert last == present(d).proof and last.startswith("✓ proved")


def test_signs_are_explained_where_they_occur():
    shown = text(present(LOSSES["neuron"].derived()))
    assert "⊙ multiplies entry by entry" in shown and "1[z > 0] is 1 where z > 0" in shown
    assert "Signs" not in text(present(LOSSES["x times x"].derived()))


def test_a_line_opens_to_its_steps_and_its_proof():
    told = present(LOSSES["neuron"].derived(), opened=True)
    closed, opened = text(told), text(told, opened=True)
    assert "entry by entry\n" not in closed and "step by step" not in closed
    assert opened.count("\n      entry by entry\n") == opened.count("step by step") == 5
    assert "∂C/∂wⱼ = Σᵢ Xᵢⱼ ∂C/∂zᵢ" in opened


def test_colours_change_nothing_else():
    told = present(LOSSES["softmax, one hot"].derived())
    coloured = text(told, colour=True)
    assert "\033[1mThe loss\033[0m" in coloured
    assert re.sub("\033\\[[0-9]+m", "", coloured) == text(told)
    assert "\033" not in text(told)
