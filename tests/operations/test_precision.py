"""Is an expression worth the same to many digits as in float64, only closer?"""

import numpy as np
import pytest
from test_operations import Case, every

from gradstep.expression.errors import MathError, SingularError
from gradstep.notation.parsing import parse
from gradstep.operations.evaluation import belongs
from gradstep.operations.precision import evaluate_to

mpmath = pytest.importorskip("mpmath")


@every()
def test_long_numbers_round_to_the_float64_value(case: Case):
    y = belongs(case.y, [*case.args, *case.dargs, case.G])
    near = case.value(y)
    found = np.asarray(evaluate_to(30, y, **case.values), dtype=float)
    assert found.shape == near.shape
    np.testing.assert_allclose(found, near, rtol=1e-14, atol=1e-15 * np.abs(near).max(initial=0))


@pytest.mark.parametrize(
    "text, at, wanted",
    [
        ("exp(x)", 1, "2.718281828459045235360287471352662497757"),
        ("4*arctan(x)", 1, "3.141592653589793238462643383279502884197"),
        ("x/3", 1, "0.3333333333333333333333333333333333333333"),
        ("x/10", 1, "0.1"),
        (
            "x + 0.1",
            0.1,
            "0.2000000000000000055511151231257827021182",
        ),  # the binary number and the decimal one
        ("erf(x)", 1, "0.8427007929497148693412206350826092592961"),
    ],
)
def test_all_digits_are_right(text, at, wanted):
    found = evaluate_to(45, parse(text, x=""), x=at)
    with mpmath.workdps(45):
        assert abs(found / mpmath.mpf(wanted) - 1) < mpmath.mpf(10) ** -38


def test_what_does_not_fit_is_said():
    f = parse("inv(A) @ v", A="n n", v="n")
    with pytest.raises(MathError, match="v has no value"):
        evaluate_to(30, f, A=np.eye(2))
    with pytest.raises(SingularError):
        evaluate_to(30, f, A=np.ones((2, 2)), v=np.ones(2))
    with pytest.raises(MathError, match="does not fit"):
        evaluate_to(30, f, A=np.eye(2), v=np.ones(3))
