"""Does it matter to a back end how long arrays are, or how they lie in memory?

A sample of `benchmarks/layouts.py`, over the reference cases where they lie beside the clone.
"""

from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from benchmarks import layouts
from benchmarks.closed_forms import cases, folder

CASES = {case["id"]: case for case in cases(folder())}
TAKEN = ["ph-act-relu-w", "logreg-bce-w", "softreg-W-probs", "hetero-s", "cox-listwise", "resblock-W1"]


def test_every_layout_holds_the_same_numbers_and_lies_otherwise():
    array = np.arange(24.0).reshape(4, 6)
    lying = {name: lay(array) for name, lay in layouts.LAYOUTS.items()}
    assert all(np.array_equal(found, array) for found in lying.values())
    assert not lying["unaligned"].flags.aligned and not lying["read_only"].flags.writeable
    assert lying["backwards"].strides == (-48, -8) and lying["transposed"].flags.f_contiguous
    assert lying["strided"].strides[1] == 24 and lying["part_of_rows"].strides == (72, 8)
    assert not lying["swapped"].dtype.isnative


@pytest.mark.parametrize("name", [name for name in TAKEN if name in CASES])
def test_layouts_and_odd_sizes_change_nothing(name):
    rng = np.random.default_rng(1)
    tried = layouts.Tried(CASES[name], Path())
    for backend in ("numpy", "numpy", "numpy", "native"):
        found = layouts.compared(tried, backend, rng)
        assert found is None or found.good, found


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_softmax_along_the_rows_keeps_its_digits_beside_large_numbers(backend):
    """log Σ eᶻ as one number would leave none of the probability 1 − 10⁻¹³ of the largest."""
    loss = gs.parse("-y @ log_softmax(x)", x="N", y="N")
    x = 1e6 + np.array([30.0, 0, -2, 0, 0, -5, 0, 0, 0])
    y = np.eye(9)[0]
    f = gs.compile(gs.derive(loss, ["x"], certify=False), backend=backend, threads=2)
    with layouts.small(2):
        value, slopes = f(x=x, y=y)
    below = np.exp(x[1:] - x[0])
    assert value == pytest.approx(np.log1p(below.sum()), rel=1e-12)
    assert slopes["x"][1:] == pytest.approx(below / (1 + below.sum()), rel=1e-12)
