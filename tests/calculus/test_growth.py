"""Does the work of a derivation, its proof and its story grow with the formula only? Calls are counted."""

import sys
from functools import partial
from math import log

import pytest

import gradstep as gs
from benchmarks.derivation import FAMILIES
from gradstep.calculus.certificate import certify

# Sizes at which the counts do not depend on what is looked at up to a bound only.
SIZES = {
    "perceptron": (8, 16),
    "recurrent network": (6, 12),
    "LSTM": (6, 12),
    "residual blocks": (6, 12),
    "softmax after softmax": (8, 16),
    "attention": (3, 6),
    "sum of sines": (30, 60),
    "sum of least squares": (30, 60),
    "polynomial": (10, 20),
    "product of matrices": (16, 32),
}
EXPONENT = 1.2  # of the calls, by the size


def calls(work):
    """How many functions, and steps of generators, are called while this runs."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("family", SIZES)
def test_work_grows_with_the_formula(family):
    make, _ = FAMILIES[family]
    counted = []
    for size in SIZES[family]:
        loss, parameters = make(size)
        derive = partial(gs.derive, loss, parameters, certify=False)
        d = derive()
        certify(d, seed=1)
        counted.append((calls(derive), calls(partial(certify, d, seed=1))))
    small, large = SIZES[family]
    for few, many in zip(*counted, strict=True):
        assert log(many / few) / log(large / small) <= EXPONENT, (family, few, many)


def test_one_slope_of_a_product_is_told_in_work_that_grows_with_it():
    counted = []
    for factors in (12, 24):
        loss, _ = FAMILIES["product of sines"][0](factors)
        d = gs.derive(loss, "x0", certify=False)
        d.text()
        counted.append(calls(d.text))
    assert log(counted[1] / counted[0]) / log(2) <= EXPONENT, counted


def test_a_line_that_no_one_would_read_asks_for_names():
    loss, parameters = FAMILIES["LSTM"][0](5)
    written_out = gs.derive(loss, parameters, names="none", certify=False)
    with pytest.raises(gs.MathError, match="too long to be read"):
        written_out.text()
    assert gs.derive(loss, parameters, names="auto", certify=False).text()
