"""Are the numbers that a certificate rests on shown, and do they agree?"""

import json
import re

import pytest

import gradstep as gs
from gradstep.cli import main
from gradstep.notation.views import STYLES, VIEWS

NEURON = {"X": "N d", "w": "d", "b": "", "y": "N"}
LOSSES = {
    "neuron": ("mean((y - relu(X @ w + b))**2)", NEURON, ["w", "b"]),
    "squared hinge": ("mean(relu(1 - y*(X @ w + b))**2)", NEURON, ["w", "b"]),
    "roots": ("norm(X @ w - y)/norm(w)", NEURON, ["w"]),
    "exponents": ("log(exp(a) + exp(c))", {"a": "", "c": ""}, ["a", "c"]),
}


@pytest.fixture(scope="module", params=LOSSES)
def derived(request):
    text, shapes, wrt = LOSSES[request.param]
    return gs.derive(gs.parse(text, **shapes), wrt, seed=3)


def test_all_lines_are_the_same_integer(derived):
    certificate = derived.certificate
    numbers = {line.number for line in certificate.checked}
    assert len(certificate.checked) == certificate.lines == len(derived.steps) + 1
    assert len(numbers) == 1 and None not in numbers
    assert [line.rule for line in certificate.checked[1:]] == [step.rule for step in derived.steps]
    assert [line.method for line in certificate.checked] == list(certificate.methods)
    by_laws = [line for line in certificate.checked if line.reason]
    assert all("signs and exponents" in line.reason for line in by_laws)
    table = certificate.table()
    assert table.count(str(numbers.pop())) == certificate.lines
    for fact in (certificate.prime, certificate.seed, certificate.degree):
        assert str(fact) in table


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("style", STYLES)
def test_the_integers_stand_under_every_telling_and_both_sides_of_a_line_agree(derived, view, style):
    text = derived.text(view, style, certify=True)
    assert text.count(f"= {derived.certificate.checked[0].number}") == derived.certificate.lines
    pairs = re.findall(r"(\d+) = (\d+)", text)
    assert pairs and all(one == other for one, other in pairs)
    assert len(text.splitlines()) > len(derived.text(view, style).splitlines()) + len(derived.steps)


def test_both_sides_of_the_lines_of_a_jacobian_are_shown():
    d = gs.hessian(gs.parse("sum(tanh(A @ x))", A="m n", x="n"), "x", seed=3)
    lines = d.certificate.checked
    assert len(lines) == d.certificate.lines
    text = d.text(certify=True)
    for line in lines:
        assert f"= {line.number}" in text
    assert text.count("both sides = ") == len(lines) - len(d.base.steps) - 1


@pytest.mark.parametrize("to", ["text", "latex", "markdown", "html", "json"])
def test_documents_and_the_command_show_them_too(to, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*["derive", "sum(tanh(w)**2)", "w:d", "--wrt", "w", "--seed", "3", "--certify", "--to"], to])
    assert not stopped.value.code
    said = capsys.readouterr().out
    lines = gs.derive(gs.parse("sum(tanh(w)**2)", w="d"), "w", seed=3).certificate.checked
    assert said.count(str(lines[0].number)) >= len(lines)
    if to == "json":
        checked = json.loads(said)["certificate"]["checked"]
        assert [line["rule"] for line in checked] == [line.rule for line in lines]
        assert {line["method"] for line in checked} == {"exact"}
