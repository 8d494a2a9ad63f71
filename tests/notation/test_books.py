"""Do the rule book and the law book hold every rule and every law, in mathematics that a browser reads?"""

import re
from xml.etree import ElementTree

import pytest
from tables import each

from gradstep.calculus.laws import LAWS
from gradstep.notation.books import assumption_laws, law_book, rule, rule_book
from gradstep.notation.mathml import mathml
from gradstep.notation.spoken import spoken
from gradstep.notation.writing import Writer
from gradstep.operations import TABLE
from gradstep.operations.leaves import symbol

BOOKS = {"rules": rule_book(), "laws": law_book()}


@each("op", TABLE, ids=lambda op: op.name)
def test_a_rule_says_everything(op):
    said = [name for name, value in rule(op) if value.strip()]
    wanted = {"written", "on paper", "shapes", "moves by", "gradient", "rule", "reason", "defined"}
    assert wanted <= set(said) and ("at a kink" in said) == bool(op.kink)
    assert said.count("gradient") == len(op.example[0][1])


@each("op", TABLE, ids=lambda op: op.name)
def test_an_operation_can_be_read_aloud_and_shown(op):
    for params, shapes in op.example:
        args = [symbol("abcdefgh"[k], shape) for k, shape in enumerate(shapes)]
        box = Writer()(op(*args, params=params))
        words = spoken(box)
        assert "?" not in words and words.strip()
        ElementTree.fromstring(mathml(box))


@pytest.mark.parametrize("book", BOOKS)
def test_formulas_are_whole(book):
    formulas = re.findall(r"<math.*?</math>", BOOKS[book])
    assert len(formulas) > 50
    for source in formulas:
        ElementTree.fromstring(source)


def test_the_books_hold_all():
    assert re.findall(r"^### (.*)$", BOOKS["rules"], re.M) == [op.name.replace("_", "&#95;") for op in TABLE]
    rows = re.findall(r"^\| .* \| (?:quietly|as a step) \|$", BOOKS["laws"], re.M)
    laws = [*LAWS, *assumption_laws()]
    assert len(rows) == len(laws) and all("<math" in line for line in rows)
    assert any(law.name == "S is symmetric" for law in laws)
