"""Is an exact sum the same whatever the order of its terms, the blocks, the threads and the processor?"""

import hashlib
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.backends import blocks
from gradstep.backends.digits import HALF, WIDTH, Sum, contracted, digits

FAR_APART = np.array([5e-324, 1.7e308, -1.7e308, 1e-310, 3.0, -1e16, 1e16, 2.0**-60])


def some(*shape, seed=0, spread=12):
    random = np.random.default_rng(seed)
    return random.normal(size=shape) * 10.0 ** random.integers(-spread, spread, shape)


@pytest.mark.parametrize("values", [some(300), some(300) * 1e290, some(300) * 1e-300, FAR_APART, np.zeros(3)])
def test_digits_are_all_there_is_of_a_number(values):
    cut = digits(values)
    back = [
        sum(Fraction(float(d[k])) * Fraction(2) ** (WIDTH * at) for at, d in cut) for k in range(len(values))
    ]
    assert back == [Fraction(float(value)) for value in values]
    assert all(np.abs(digit).max() <= HALF and (digit == np.rint(digit)).all() for _, digit in cut)


PRODUCTS = [
    "i,i->",
    "ij,i->j",
    "ij,j->i",
    "ij,ik->jk",
    "hij,hjk->hik",
    "hij,hjk->ik",
    "ij,ij->",
    "ij->j",
    "hij->i",
    "i,jk->ij",
]


@each("indices", PRODUCTS)
def test_a_contraction_is_the_exact_sum(indices):
    lengths = dict(zip("hijk", (2, 9, 4, 3), strict=True))
    inputs, _ = indices.split("->")
    arrays = [some(*(lengths[x] for x in letters), seed=k) for k, letters in enumerate(inputs.split(","))]
    exact = np.einsum(indices, *[np.vectorize(Fraction, otypes=[object])(array) for array in arrays])
    found = contracted(indices, *arrays).rounded()
    known = np.asarray(exact, dtype=object).astype(float)
    assert found.shape == known.shape
    assert (np.abs(found - known) <= np.spacing(np.abs(known))).all()


def test_sums_of_parts_are_the_sum_of_all():
    X, g = some(9000, 3), some(9000, seed=1)
    whole = contracted("ij,i->j", X, g).rounded()
    order = np.random.default_rng(2).permutation(9000)
    total = Sum((3,), {})
    for rows in np.array_split(order, 300):  # more than are added up before digits are carried
        total = contracted("ij,i->j", X[rows], g[rows]) + total
    assert (total.rounded() == whole).all()


def test_what_is_not_finite_stays_so():
    values = np.array([1.0, np.inf, 2.0])
    assert contracted("i->", values).rounded() == np.inf
    assert np.isnan((contracted("i->", values) + contracted("i->", -values)).rounded())
    assert np.isnan(contracted("i,i->", values, np.array([1.0, 0.0, 1.0])).rounded())


# formula, shapes, parameters
LOSSES = {
    "neuron": ("mean((y - relu(X@w + b))**2)", {"X": "N d", "y": "N", "w": "d", "b": ""}),
    "absolute": ("mean(abs(y - X@w - b))", {"X": "N d", "y": "N", "w": "d", "b": ""}),
    "hidden": ("sum((Y - relu(X@W + b)@V)**2)/N", {"X": "N d", "Y": "N k", "W": "d h", "b": "h", "V": "h k"}),
    "softsign": ("mean((y - softsign(X@w)**3)**2)", {"X": "N d", "y": "N", "w": "d"}),
    "norm": ("norm(y - X@w) + sqrt(mean(w**2))", {"X": "N d", "y": "N", "w": "d"}),
    "largest": ("max(abs(y - X@w))", {"X": "N d", "y": "N", "w": "d"}),
    "two passes": ("mean(((X@w - mean(X@w))/norm(X@w) - y)**2)", {"X": "N d", "y": "N", "w": "d"}),
}
LENGTHS = {"N": 700, "d": 5, "k": 2, "h": 6}
DATA = ("X", "y", "Y")
FEW = ("neuron", "hidden", "two passes")


def case(name, **options):
    text, shapes = LOSSES[name]
    loss = gs.parse(text, **shapes)
    wrt = [v for v in shapes if v not in DATA]
    arrays = {
        v: some(*(LENGTHS[x] for x in shape.split()), seed=k, spread=3)
        for k, (v, shape) in enumerate(shapes.items())
    }
    return gs.compile(gs.derive(loss, wrt), **options), arrays


def bits(found):
    value, slopes = found
    text = hashlib.sha256(np.float64(value).tobytes())
    for name in sorted(slopes):
        text.update(np.ascontiguousarray(slopes[name]).tobytes())
    return text.hexdigest()


@each("name", LOSSES)
def test_no_order_and_no_block_changes_a_bit(name):
    function, arrays = case(name, accumulate="exact")
    value, slopes = first = function(**arrays)
    plain, others = case(name, accumulate="float64")[0](**arrays)
    assert value == pytest.approx(plain, rel=1e-12)
    for v, slope in others.items():
        assert slopes[v] == pytest.approx(slope, rel=1e-9, abs=1e-9 * np.abs(slope).max())
    order = np.random.default_rng(0).permutation(LENGTHS["N"])
    mixed = {v: array[order] if v in DATA else array for v, array in arrays.items()}
    assert bits(function(**mixed)) == bits(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", 1 << 12)
        one, many = (case(name, accumulate="exact", threads=n)[0] for n in (1, 3))
        assert bits(one(**arrays)) == bits(many(**mixed)) == bits(first)


PRINT = """
import sys; sys.path[:0] = ["tests", "tests/backends"]
from test_exact import FEW, bits, case
for name in FEW:
    function, arrays = case(name, accumulate="exact")
    print(bits(function(**arrays)))
"""


def test_no_kernel_changes_a_bit():
    """OpenBLAS has kernels for each processor, which add up in different orders."""
    told = []
    for core, threads in (("Haswell", "1"), ("Sandybridge", "2")):
        kernel = {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": threads}
        ran = subprocess.run(
            [sys.executable, "-c", PRINT],
            env={**os.environ, **kernel},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(ran.stdout)
    assert (
        told[0]
        == told[1]
        == "".join(f"{bits(f(**a))}\n" for f, a in (case(n, accumulate="exact") for n in FEW))
    )


@each("text, named", [("mean((y - tanh(X@w))**2)", "tanh"), ("mean(log(1 + exp(-y*(X@w))))", "softplus")])
def test_what_machines_round_differently_is_refused(text, named):
    loss = gs.parse(text, X="N d", y="N", w="d")
    with pytest.raises(gs.MathError, match=f"^{named} is rounded in another way"):
        gs.compile(gs.derive(loss, "w"), accumulate="exact")


def test_other_back_ends_have_no_exact_sums():
    loss = gs.parse("mean((y - X@w)**2)", X="N d", y="N", w="d")
    with pytest.raises(gs.MathError, match="exact sums are made in NumPy"):
        gs.compile(gs.derive(loss, "w"), backend="native", accumulate="exact")
