"""Does the work of a derivation, and of its proof, grow with the formula and no faster? Calls are counted."""

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
    "LSTM": (3, 6),
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
