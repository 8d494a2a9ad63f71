"""How does a derivation become a function to walk down? Value and gradients as one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends import compile_outputs
from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr
from gradstep.learn.coordinates import Arrays
from gradstep.learn.surface import Objective, Parameters


def compiled(derivation: Derivation, backend: str = "numpy") -> Compiled:
    """The value and all gradients of a derivation as code, which calls the parts by their names."""
    names = derivation.names
    loss = names[derivation.of]
    cotangents = {
        G: f"∂{loss}/∂{names[part]}"
        for part, G in derivation.cotangents.items()
        if part in names and part is not derivation.of
    }
    outputs = {loss: derivation.of, **derivation.answers}
    return compile_outputs(outputs, {**cotangents, **names}, backend=backend)


def expression(expr: Expr) -> Compiled:
    """An expression as a function of its variables."""
    return compile_outputs({"": expr})


def objective(function: Compiled, data: Arrays) -> Objective:
    """The loss on these data as a function of the parameters."""
    inputs = [given.name for given in function.program.inputs]

    def measured(parameters: Parameters) -> tuple[ArrayLike, Mapping[str, ArrayLike]]:
        arrays = [data[name] if name in data else parameters[name] for name in inputs]
        found: tuple[ArrayLike, Mapping[str, ArrayLike]] = function.raw(*arrays)
        return found

    return measured


def watch_of(measured: Objective, enough: float = 0.0) -> Callable[[Parameters], float]:
    """The loss as `descend` watches it; below the share `enough` of its first value all is equally good."""
    first: list[float] = []

    def watch(parameters: Parameters) -> float:
        loss = float(np.asarray(measured(parameters)[0]))
        first.append(loss)
        del first[1:]
        return max(loss, enough * first[0])

    return watch
