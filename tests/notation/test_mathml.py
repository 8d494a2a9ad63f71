"""Is the MathML well formed, safe, and beautiful in a browser that has our font? Does it read well aloud?"""

from importlib.resources import files
from xml.etree import ElementTree

import pytest
from hypothesis import given
from notation.samples import BOXES, SAMPLES, C, N, X, ei, mask, nested, slope, transposed, two_over_n, w

from gradstep.expression.boxes import Of, Root, Sub, Sup, Sym, number, row
from gradstep.notation.mathml import BOLD, ITALIC, LARGE, MARKS, mathml
from gradstep.notation.spoken import spoken
from gradstep.notation.symbols import LETTER_NAMES, SIGNS

FONTS = files("gradstep") / "page" / "fonts"


@given(BOXES)
def test_any_box_is_well_formed(box):
    ElementTree.fromstring(mathml(box, display=True, describe=str, colour=lambda what: "a&b"))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_fraction_and_script_has_as_many_parts_as_it_should(name):
    parts = {
        "mfrac": 2,
        "msup": 2,
        "msub": 2,
        "msubsup": 3,
        "munder": 2,
        "munderover": 3,
        "mover": 2,
        "msqrt": 1,
    }
    root = ElementTree.fromstring(mathml(SAMPLES[name][0]))
    for element in root.iter():
        assert len(element) == parts.get(element.tag, len(element)), element.tag


def test_letters_have_their_typeface():
    assert "<mi>𝐗</mi>" in mathml(X)
    assert "<mi>𝐰</mi>" in mathml(w)
    assert "<mi>x</mi>" in mathml(Sym("x"))
    assert "<mi>𝑝𝑟𝑖𝑐𝑒</mi>" in mathml(Sym("price"))
    assert "<mi>log</mi>" in mathml(Sym("log", "function"))


def test_a_fraction_does_not_touch_the_next_letter():
    assert '</mfrac><mspace width="0.167em"/>' in mathml(row(two_over_n, transposed(X)))


def test_a_minus_knows_whether_it_is_a_sign():
    assert '<mo form="prefix">−</mo><mi>C</mi>' in mathml(row("−", C))
    assert '<mo form="infix">−</mo><mi>C</mi>' in mathml(row(N, Of(1, row("−", C))), colour=lambda what: "c")


def test_a_part_tells_what_it_shows():
    box = row(Of("N×d", X), Of("<d>", w), Of("silent", N))
    html = mathml(box, describe=lambda what: None if what == "silent" else what, colour=lambda what: None)
    assert '<mrow class="of" data-shape="N×d" title="N×d"><mi>𝐗</mi></mrow>' in html
    assert 'data-shape="&lt;d&gt;"' in html
    assert html.count("<mrow") == 2


def test_scripts_of_a_marked_part_stay_above_one_another():
    html = mathml(Sup(Of("e", ei), number(2)), colour=lambda what: "c")
    assert html.count("<msubsup>") == 1
    assert html.count('class="of c"') == 2


def test_nothing_of_a_users_text_becomes_an_element():
    for kind in ("scalar", "operator", "text", "function", "number"):
        html = mathml(Of("<script>", Sym("<script>'\"&", kind)), describe=str, colour=str)
        assert "<script>" not in html


def test_display_stands_on_its_own_line():
    assert mathml(C, display=True).startswith('<math display="block" ')
    assert mathml(C).startswith("<math alttext=")


SPOKEN = {
    "the gradient": "the partial derivative of C with respect to w equals minus 2 over N times X transposed "
    "times open paren e entrywise times ones where z is greater than 0 close paren",
    "two pieces": "0 if z sub i is at most 0; 1 if z sub i is greater than 0",
    "an update": "w becomes w minus eta times the partial derivative of C with respect to w",
    "limits": "the sum from i equals 1 to N of e sub i",
    "powers": "P inverse plus e to the power minus C plus the square root of b squared",
    "a bar": "Z bar sub 2 transposed plus z bar",
}


@pytest.mark.parametrize("name", SPOKEN)
def test_it_reads_well_aloud(name):
    assert spoken(SAMPLES[name][0]) == SPOKEN[name]


def test_depth_has_no_limit():
    assert mathml(nested(1500)).count("<mrow>") == 1500


# ------------------------------------------------------------------------------------- the font


def characters_of_the_font():
    text = (FONTS / "unicodes.txt").read_text(encoding="ascii").replace("\n", "")
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


def test_the_font_has_every_letter_and_sign():
    texts = [*SIGNS, *LETTER_NAMES, *LARGE.values(), *MARKS.values(), "⊤⋅‖⟨⟩⌊⌋⌈⌉{}√𝟙ℝ"]
    needed = {*BOLD.values(), *ITALIC.values(), *(ord(letter) for text in texts for letter in text)}
    assert needed - {ord("ᵀ")} <= set(characters_of_the_font())  # ᵀ is shown as ⊤


def test_the_font_is_small_and_free():
    assert len((FONTS / "STIXTwoMath-subset.woff2").read_bytes()) < 110_000
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FONTS / "OFL.txt").read_text(encoding="utf-8")


def test_a_browser_sets_it_in_our_font(browser, tmp_path):
    (tmp_path / "font.woff2").write_bytes((FONTS / "STIXTwoMath-subset.woff2").read_bytes())
    style = "@font-face{font-family:F;src:url(font.woff2)} math{font-family:F;font-size:20px}"
    box = row(slope(C, w), "=", two_over_n, transposed(X), mask)
    indexed = mathml(row(*(Sub(Sym(letter), Sym("i")) for letter in "eyz"), Root(Sym("n"))))
    html = f"<!doctype html><meta charset=utf-8><style>{style}</style>{mathml(box, display=True)}{indexed}"
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.evaluate("document.fonts.ready")
    assert page.evaluate("document.fonts.check('20px F')")
    parts = "[...document.querySelector('mfrac').children].map(part => part.getBoundingClientRect().top)"
    top, bottom = page.evaluate(parts)
    assert bottom > top + 15
    box = "(element => element.getBoundingClientRect())"
    levels = page.evaluate(f"[...document.querySelectorAll('msub')].map(m => {box}(m.lastElementChild).top)")
    assert max(levels) - min(levels) < 0.1  # an index below y hangs no deeper than one below e
    sign, letter = page.evaluate(
        f"['msqrt', 'msqrt mi'].map(name => {box}(document.querySelector(name)).bottom)"
    )
    assert sign - letter < 8
    page.close()
