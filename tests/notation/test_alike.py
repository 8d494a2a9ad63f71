"""The printed lines of a layer that repeats are worked out once, and a wrong one is wrong in every layer."""

import pytest

import gradstep as gs
from gradstep.expression.node import replace
from gradstep.expression.records import replaced
from gradstep.notation import checking, views
from gradstep.notation.alike import alike
from gradstep.operations.arithmetic import scale
from gradstep.operations.leaves import number

SEED = 3


def told(name, depth, monkeypatch, view="matrix"):
    """A derivation, and the claims of its view."""
    d = gs.networks[name].derive(depth)
    kept = []
    monkeypatch.setattr(
        views, "check", lambda d, claims, seed: kept.extend(claims) or ("exact",) * len(claims)
    )
    d.text(view, layers="all")
    return d, kept


def kinds(d, claims):
    lines = [(claim.shown, claim.meant, claim.at) for claim in claims]
    return [*alike(lines, d.cotangents, {*d.parts, *d.fences})]


@pytest.mark.parametrize("view", ["matrix", "index"])
def test_most_lines_are_those_of_another_layer(view, monkeypatch):
    counts = []
    for depth in (5, 7):
        d, claims = told("perceptron", depth, monkeypatch, view)
        found = kinds(d, claims)
        counts.append((len(found), len(claims) - sum(len(places) for _, places in found)))
    assert counts[0] == counts[1] and counts[0][1] < 12, counts


def test_what_is_alike_is_not_worked_out_again(monkeypatch):
    d, claims = told("transformer", 3, monkeypatch)
    given, outcomes = [], checking._outcomes

    def noted(cotangents, some, *more, **named):
        given.append(len(some))
        return outcomes(cotangents, some, *more, **named)

    monkeypatch.setattr(checking, "_outcomes", noted)
    assert set(checking.check(d, claims, SEED)) == {"exact"}
    assert sum(given) < len(claims) / 2


@pytest.mark.parametrize("view", ["matrix", "index"])
def test_a_wrong_line_is_wrong_in_one_layer_and_in_all(view, monkeypatch):
    d, claims = told("perceptron", 5, monkeypatch, view)
    _, places = max(kinds(d, claims), key=lambda kind: len(kind[1]))
    for wrong in (places[2:3], places):
        spoiled = [*claims]
        for place in wrong:
            spoiled[place] = replaced(claims[place], shown=scale(number(2), claims[place].shown))
        found = checking.check(d, spoiled, SEED)
        assert [k for k, outcome in enumerate(found) if outcome == "wrong"] == [*wrong]


def test_a_line_with_another_layers_symbol_is_wrong(monkeypatch):
    """W₂ where W₃ should stand: the same formula, and no renaming of the right one."""
    d, claims = told("perceptron", 5, monkeypatch)
    W2, W3 = d.parameters["W2"], d.parameters["W3"]
    spoiled = [replaced(claim, shown=replace(claim.shown, {W3: W2})) for claim in claims]
    changed = [k for k, claim in enumerate(claims) if claim.shown is not spoiled[k].shown]
    found = checking.check(d, spoiled, SEED)
    assert changed and [k for k, outcome in enumerate(found) if outcome == "wrong"] == changed
