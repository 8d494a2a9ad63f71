"""Does `gradstep check` say what is wrong, and leave with the right code?"""

import json

import pytest

from gradstep.cli import main

NEURON = ["check", "mean((y - relu(X @ w + b))**2)", "X:N,d", "w:d", "b:", "y:N", "--wrt"]
RIGHT = "-2/N * X.T @ (e * (z > 0))"
WRONG = "2/N * X.T @ (a - y)"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("claim", "code", "head"), [(RIGHT, 0, "✓ Right"), (WRONG, 1, "✗ This is not ∂C/∂w")]
)
def test_it_leaves_with_what_it_says(capsys, claim, code, head):
    left, out, _ = run(capsys, *NEURON, "w", claim)
    assert left == code and out.startswith(head)


def test_a_wrong_claim_is_explained(capsys):
    _, out, _ = run(capsys, *NEURON, "w", WRONG)
    for part in ("yours", "right", "1[z > 0] is missing", "See for yourself", "leaves it at line 3"):
        assert part in out


def test_what_cannot_be_read_is_bad_input(capsys):
    code, _, err = run(capsys, *NEURON, "w", "2/N * X.T @ (q - y)")
    assert code == 2 and "q is not known" in err and "^" in err


def test_several_lines(capsys):
    lines = ["dz = -2/N*e*(z > 0)", "dw = X.T @ dz", "db = mean(dz)"]
    code, out, _ = run(capsys, *NEURON, "w,b", *(part for line in lines for part in ("--claim", line)))
    assert code == 1 and "Line 3 is wrong" in out


def test_data(capsys):
    code, out, _ = run(capsys, *NEURON, "w", WRONG, "--json", "--seed", "1")
    data = json.loads(out)
    assert code == 1
    assert (data["verdict"], data["first"], data["kind"]) == (False, 1, "mask")
    assert data["example"]["yours"] != data["example"]["right"]


def test_without_a_claim_it_asks_for_one(capsys):
    code, _, err = run(capsys, "check", "x**2", "--wrt", "x")
    assert code == 2 and "where is the claim" in err


def test_a_shape_is_no_claim(capsys):
    code, _, err = run(capsys, "check", "mean((y - X @ w)**2)", "X:N,d", "w:d", "y:N", "--wrt", "w")
    assert code == 2 and "where is the claim? y:N is a shape" in err
