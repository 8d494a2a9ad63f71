"""How does a derivation become a function to walk down? Value and gradients as one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep.backends import compile_outputs
from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr
from gradstep.learn.coordinates import Arrays
from gradstep.learn.surface import Objective, Parameters
from gradstep.operations.evaluation import sizes_of


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


def worth(expr: Expr, known: Arrays) -> NDArray[np.float64]:
    """What an expression is worth; `known` may hold more than it needs."""
    function = compile_outputs({"": expr})
    names = [given.name for given in function.program.inputs]
    rest = _stand_ins(function, known)
    with np.errstate(all="ignore"):
        return np.asarray(
            function.raw(*(known[n] if n in known else rest[n] for n in names)), dtype=np.float64
        )


def objective(function: Compiled, data: Arrays) -> Objective:
    """The loss on these data as a function of the parameters."""
    names = [given.name for given in function.program.inputs]
    rest: dict[str, NDArray[np.float64]] | None = None

    def measured(parameters: Parameters) -> tuple[ArrayLike, Mapping[str, ArrayLike]]:
        nonlocal rest
        known = {**data, **parameters}
        rest = _stand_ins(function, known) if rest is None else rest
        found: tuple[ArrayLike, Mapping[str, ArrayLike]] = function.raw(
            *(known[name] if name in known else rest[name] for name in names)
        )
        return found

    return measured


def _stand_ins(function: Compiled, known: Arrays) -> dict[str, NDArray[np.float64]]:
    """Zeros for variables that were declared together with the formula, but that it does not use."""
    given = {each.name: each.declared for each in function.program.inputs}
    sizes = sizes_of(given, known)
    return {
        name: np.broadcast_to(
            0.0, [sizes.get(str(size), size if isinstance(size, int) else 1) for size in v.shape]
        )
        for name, v in given.items()
        if name not in known
    }


def watch_of(measured: Objective, enough: float = 0.0) -> Callable[[Parameters], float]:
    """The loss as `descend` watches it; below the share `enough` of its first value all is equally good."""
    first: list[float] = []

    def watch(parameters: Parameters) -> float:
        loss = float(np.asarray(measured(parameters)[0]))
        first.append(loss)
        del first[1:]
        return max(loss, enough * first[0])

    return watch
