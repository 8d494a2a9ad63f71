"""Is mathematics readable in a terminal?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notation.samples import (
    BOXES,
    SAMPLES,
    C,
    N,
    affine,
    brackets,
    ei,
    mask,
    nested,
    slope,
    total,
    two_over_n,
    w,
    zi,
)

import gradstep as gs
from gradstep.expression.boxes import Accent, Big, Cases, Fence, Frac, Of, Root, Sup, Sym, number, row, word
from gradstep.notation.plain import block, columns, display_width, line, wrap
from gradstep.notation.writing import Writer
from gradstep.operations.leaves import symbol


@pytest.mark.parametrize("name", SAMPLES)
def test_one_line(name):
    box, text, _ = SAMPLES[name]
    assert line(box) == text


DRAWINGS = {
    "a short fraction stays in line": (row(slope(C, w), "=", two_over_n, w), ["∂C/∂w = −2/N w"]),
    "a long fraction gets a bar": (
        row(N, "+", Frac(row(C, "+", number(1)), row(number(2), w))),
        ["    C + 1", "N + ─────", "     2w"],
    ),
    "two pieces behind a brace": (
        row(two_over_n, total(Cases(((number(0), row(affine, "≤", number(0))), (ei, word("otherwise")))))),
        ["−2/N Σᵢ ⎧ 0    if w·xᵢ + b ≤ 0", "        ⎩ eᵢ   otherwise"],
    ),
    "brackets grow": (
        row(Sym("exp", "function"), Sup(brackets("−", Frac(row(C, "+", N), row(N, w))), number(2))),
        ["   ⎛  C + N⎞²", "exp⎜− ─────⎟", "   ⎝   N w ⎠"],
    ),
    "limits stand below": (
        Big("Σ", row(Sym("i", "index"), "=", number(1)), N, ei),
        [" N", " Σ  eᵢ", "i=1"],
    ),
    "three pieces": (
        Cases(tuple((number(k), row(zi, "=", number(k))) for k in range(3))),
        ["⎧ 0   if zᵢ = 0", "⎨ 1   if zᵢ = 1", "⎩ 2   if zᵢ = 2"],
    ),
    "a power of a fraction": (
        Sup(Frac(row(C, "+", N), row(C, "−", N)), Frac(row(C, "+", N), row(C, "−", N))),
        ["       C + N", "       ─────", "       C − N", "⎛C + N⎞", "⎜─────⎟", "⎝C − N⎠"],
    ),
}


@pytest.mark.parametrize(
    "text, read",
    [("(u @ v)*w", "(u·v) w"), ("2*(u @ v)", "2u·v"), ("2*(u @ v)*w", "(2u·v) w"), ("c*(u @ v)", "c u·v"),
     ("(u @ v)*c", "(u·v) c"), ("(u @ v)**2", "(u·v)²"), ("u @ v + c", "u·v + c"), ("-(u @ v)", "−u·v")],
)  # fmt: skip
def test_a_dot_product_in_front_of_a_factor_has_brackets(text, read):
    expr = gs.parse(text, u="n", v="n", w="n", c="")
    assert line(Writer()(expr)) == read


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing(name):
    box, lines = DRAWINGS[name]
    assert list(block(box).lines) == lines


def test_a_drawing_that_is_too_wide_breaks_under_its_equals_sign():
    terms = row(slope(C, w), "=", ei, *(part for _ in range(5) for part in ("+", mask)))
    assert block(terms, width=30).lines == (
        "∂C/∂w = eᵢ + 1[z > 0]",
        "        + 1[z > 0] + 1[z > 0]",
        "        + 1[z > 0] + 1[z > 0]",
    )


def test_marks_over_letters_take_no_column():
    assert display_width(line(Accent(w, "bar"))) == 1
    assert display_width("データ") == 6


def test_columns_point_at_what_they_show():
    box = row(Of("slope", slope(C, Of("w", w))), "=", Of("value", row("−", Of("mask", mask))))
    text, spans = columns(box)
    assert text == "∂C/∂w = −1[z > 0]"
    assert [(what, text[start:end]) for what, start, end in spans] == [
        ("slope", "∂C/∂w"),
        ("w", "w"),
        ("value", "−1[z > 0]"),
        ("mask", "1[z > 0]"),
    ]


def test_a_long_line_breaks_at_the_loosest_sign():
    text = "C = alpha (a + b + c) + beta (d + e + f) + gamma (g + h)"
    assert wrap(text, 46) == ("C = alpha (a + b + c) + beta (d + e + f)", "    + gamma (g + h)")
    assert wrap(text, 100) == (text,)


@given(BOXES)
def test_any_box_is_one_line(box):
    assert len(line(box).splitlines()) <= 1


@given(BOXES)
def test_any_box_can_be_drawn(box):
    drawn = block(box)
    assert 0 <= drawn.baseline < len(drawn.lines)


@given(BOXES)
def test_any_span_lies_in_its_line(box):
    text, spans = columns(box)
    assert all(0 <= start <= end <= len(text) for _, start, end in spans)


@given(st.text("ab +=()− ", max_size=60), st.integers(1, 40))
def test_breaking_loses_nothing(text, width):
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


def test_depth_has_no_limit():
    assert line(nested(1500)).count("(") == 1500
    assert line(Root(Fence("(", nested(1500), ")"))).startswith("√((")


def test_a_fraction_that_has_a_name_stands_before_an_array_by_its_name():
    x, a, b = (symbol(letter, ("n",)) for letter in "xab")
    ratio = (a @ x) / (b @ x)
    assert line(Writer({ratio: "C"})(ratio * b)) == "C b"
    assert line(Writer()(ratio * b)) == "(a·x) b/(b·x)"
