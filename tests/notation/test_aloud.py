"""Are reasons read aloud in words alone?"""

import pytest

from gradstep.calculus.laws import BOOK
from gradstep.notation.aloud import aloud
from gradstep.operations import TABLE

ALOUD = {
    "d(e²)/de = 2e": "d(e squared) over de equals 2e",
    "yᵢ does not depend on w": "y sub i does not depend on w",
    "Σᵢ eᵢ xᵢⱼ moves": "the sum over i of e sub i x sub i j moves",
    "⟨G, X dw⟩ = ⟨Xᵀ G, dw⟩": "the inner product of G, X dw end product equals "
    "the inner product of X transposed G, dw end product",
    "lines 4–6 put together": "lines 4 to 6 put together",
    "∂C/∂w, which is −2/N Xᵀ e": "the partial derivative of C with respect to w, which is "
    "minus 2 over N X transposed e",
    "max collapses on the active branch": "max collapses on the active branch",
    "d(xⁿ) = n xⁿ⁻¹ dx": "d(x to the power n) equals n x to the power n minus 1 dx",
    "1[z > 0] is a mask": "1 where z is greater than 0 and 0 elsewhere is a mask",
    "‖e‖ ≤ λ": "the norm of e end norm is at most lambda",
}


@pytest.mark.parametrize("text", ALOUD)
def test_signs_are_words(text):
    assert aloud(text) == ALOUD[text]


def test_every_reason_and_rule_has_words_for_all_its_signs():
    told = [*TABLE, *BOOK.laws]
    texts = [each.why or "" for each in told] + [getattr(each, "rule", None) or each.name for each in told]
    assert len(texts) > 300
    assert [text for text in texts if not aloud(text).isascii()] == []
