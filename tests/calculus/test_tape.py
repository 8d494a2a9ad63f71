"""Does the tape hold what the way back reads, and no more? And how large is it?"""

from __future__ import annotations

import re

import pytest
from tables import each

import gradstep as gs
from gradstep.calculus.tape import VIEWS, Count
from gradstep.expression.errors import MathError
from gradstep.expression.node import walk

LAYERS = [name for name in gs.networks if name not in ("transformer", "language model")]


@each("name", LAYERS)
def test_the_gradients_stand_on_the_tape_and_on_what_is_given(name: str) -> None:
    """Cut off at the values on the tape, a gradient has nothing left of the way forward that is a product."""
    d = gs.networks[name].derive()
    tape = d.tape
    kept = {one.value for one in tape.kept}
    forward = set(walk(d.of))
    read = {node for G in d.answers.values() for node in walk(G, stop=kept.__contains__)}
    for node in read & forward - kept:
        made = node.op.slopes is not None or not node.rank or not node.args or node.op.name in VIEWS
        assert made or not any(arg.args for arg in node.args), node
    every = set(walk(*d.cotangents.values()))
    assert kept <= every, "what is on the tape is read"
    for one in tape.kept:
        assert one.needed and all(source is not one.value for source in one.again)
    values = kept
    assert all(not x.args or x in values for one in tape.spared for x in one.again)


def test_the_tape_of_attention() -> None:
    d = gs.networks["attention"].derive()
    assert [(d.names[one.value], str(one.entries), str(one.work)) for one in d.tape.kept] == [
        ("P", "m n", "d m n"),
        ("O", "e n", "e m n"),
    ]
    assert str(d.tape.entries) == "e n + m n"
    assert d.tape.bytes("float32", n=512, m=512, e=64) == 4 * (512 * 64 + 512 * 512)
    assert d.tape.bytes("float64", n=2, m=3, e=4) == 8 * (8 + 6)
    text = str(d.tape)
    assert "P = softmax(S)" in text and "again from Q, K and M, d m n multiplications" in text
    assert repr(d.tape).startswith("<tape of 2 values, e n + m n numbers")


def test_what_is_made_entry_by_entry_need_not_be_kept() -> None:
    """Of a perceptron the activations follow from what the ReLU is taken of: half of the tape."""
    tape = gs.networks["perceptron"].derive(depth=6).tape
    assert (str(tape.entries), str(tape.least)) == ("12 N d", "6 N d")
    told = str(tape)
    assert re.search(r"Aₗ = max\(0, Zₗ\) +N×d +for ∂C/∂Wₗ₊₁: again from Zₗ", told)
    assert "(l = 1 … 5)" in told and "6 N d if what is cheap to work out again is not kept" in " ".join(
        told.split()
    )


def test_a_count_is_written_in_powers() -> None:
    count = Count({("n", "n"): 2, ("n",): 1}) + Count({("n",): -1, (): 3})
    assert str(count) == "2 n² + 3" and count.at({"n": 5}) == 53
    assert str(Count({})) == "0"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda d: d.tape.bytes("int8", n=1), "no type 'int8'"),
        (lambda d: d.tape.bytes(n=4, m=3), "the size e has no number"),
        (lambda d: gs.hessian(gs.parse("sum(w**3)", w="n"), "w").tape, "belongs to a gradient"),
    ],
)
def test_what_has_no_tape_says_so(act: object, said: str) -> None:
    with pytest.raises(MathError, match=said):
        act(gs.networks["attention"].derive())  # type: ignore[operator]
