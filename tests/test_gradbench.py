"""Do the objectives of GradBench have the gradients that JAX, PyTorch and differences give?"""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gradbench import OBJECTIVES, TOLERANCE, Jax, Torch, error, ours
from gradstep.operations.evaluation import evaluate
from gradstep.operations.precision import evaluate_to

ALL = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)


def of(objective):
    return objective.data(np.random.default_rng(1), objective.small)


@ALL
def test_a_gradient_is_that_of_pytorch_and_of_jax(torch, jax, objective):
    values = of(objective)
    found = ours(objective, objective.small, values)()
    for peer in (Torch(), Jax()):
        assert error(found, peer.run(objective, values)()) < TOLERANCE


@ALL
def test_a_gradient_is_the_slope_of_the_value(objective):
    """Along one direction; in numbers of fifty digits a difference has lost nothing."""
    values, loss = of(objective), objective.ours(objective.small)
    if objective.newton:  # what is compared above is the step; its gradient is that of the loss
        objective = replace(objective, newton=False)
    found = ours(objective, objective.small, values)()
    rng = np.random.default_rng(2)
    way = {name: rng.normal(size=values[name].shape) for name in objective.wrt}
    assert evaluate(loss, **values) == pytest.approx(float(evaluate_to(50, loss, **values)), rel=1e-13)
    step = evaluate_to(50, loss, **values)  # a long number, to make the others long
    h = step * 0 + 10**-15
    ends = [
        evaluate_to(50, loss, **{**values, **{n: values[n] + sign * h * way[n] for n in objective.wrt}})
        for sign in (1, -1)
    ]
    slope = float((ends[0] - ends[1]) / (2 * h))
    assert sum((found[name] * way[name]).sum() for name in objective.wrt) == pytest.approx(slope, rel=1e-11)
