"""How does a derivation become a function to walk down? Value and gradients as one compiled program."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep.backends import compile_outputs
from gradstep.backends.compiled import Compiled
from gradstep.backends.options import EXACT, Options
from gradstep.backends.run import Run
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.learn.coordinates import Arrays
from gradstep.learn.surface import Objective, Parameters
from gradstep.operations.evaluation import sizes_of, variables
from gradstep.operations.memory import check_room

if TYPE_CHECKING:
    from gradstep.backends import several
else:
    several = late("gradstep.backends.several")

Measured: TypeAlias = tuple[ArrayLike, Mapping[str, ArrayLike]]

KEPT = 64  # functions that are remembered
LONG = 120  # a loss that is longer is not repeated above its code


# What each kind of derivation answers, of the function and the variable.
SIGNS = {
    "gradient": "∂{0}/∂{1}",
    "jacobian": "∂{0}/∂{1}",
    "hessian": "∂²{0}/∂({1})²",
    "jvp": "∂{0}/∂{1} in a direction",
    "hvp": "∂²{0}/∂({1})² in a direction",
}


# What the function is called.
CALLED = {
    "gradient": "value_and_gradients",
    "jacobian": "value_and_jacobians",
    "hessian": "value_and_hessians",
    "jvp": "value_and_product",
    "hvp": "value_and_product",
}


def compiled(
    derivation: Derivation, backend: str = "numpy", options: Options | None = None, story: str = ""
) -> Compiled:
    """The value and all gradients of a derivation as code, which calls the parts by their names."""
    names = derivation.names
    loss = names[derivation.of]
    cotangents = {
        G: f"∂{loss}/∂{names[part]}"
        for part, G in derivation.cotangents.items()
        if part in names and part is not derivation.of
    }
    outputs = {loss: derivation.of, **derivation.answers}
    written = str(derivation.of)
    answers = ", ".join(SIGNS[derivation.kind].format(loss, name) for name in derivation.answers)
    header = f"{loss} = {written} and {answers}."
    return compile_outputs(
        outputs,
        {**cotangents, **names},
        backend=backend,
        header=header if len(written) < LONG else "",
        function=CALLED[derivation.kind],
        options=options,
        story=story,
    )


def worth(expr: Expr, known: Arrays) -> NDArray[np.float64]:
    """What an expression is worth; `known` may hold more than it needs."""
    function = _function_of(expr, tuple(variables(expr).items()))
    arrays = [known[name] for name in needed(function, known)]
    check_memory(function, known)
    with np.errstate(all="ignore"):
        return np.asarray(function.raw(*arrays), dtype=np.float64)


@lru_cache(KEPT)
def _function_of(expr: Expr, declared: tuple[tuple[str, Expr], ...]) -> Compiled:
    """The function of an expression with these variables, written once."""
    return compile_outputs({"": expr})


def exactly(expr: Expr) -> Compiled:
    """The function of an expression, whose sums are rounded once."""
    return compile_outputs({"": expr}, options=Options(accumulate=EXACT))


def check_memory(function: Compiled, arrays: Arrays) -> None:
    """Raises `MathError` where the function would make an array that is too large for this machine."""
    declared = {given.name: given.declared for given in function.program.inputs}
    check_room(function.program.grown, sizes_of(declared, arrays))


@dataclass(frozen=True, eq=False)
class Measuring:
    """The loss on some data as a function of the parameters, or of several sets of them at once."""

    function: Compiled
    data: Arrays

    def __call__(self, parameters: Parameters) -> Measured:
        arrays = [self.data[name] if name in self.data else parameters[name] for name in self.names]
        found: Measured = self.function.raw(*arrays)
        return found

    @cached_property
    def names(self) -> list[str]:
        return [given.name for given in self.function.program.inputs]

    def together(self, places: Sequence[Parameters]) -> list[Measured]:
        """In one pass over the data where they are many."""
        run, size = self.function.raw, sum(np.asarray(array).nbytes for array in self.data.values())
        if isinstance(run, Run) and size >= run.many:
            own = frozenset(name for name in self.names if name not in self.data)
            models = several.several(run, own)
            if models.pays(size):
                return models(self.data, places)
        return [self(parameters) for parameters in places]


def objective(function: Compiled, data: Arrays) -> Objective:
    """The loss on these data as a function of the parameters."""
    return Measuring(function, data)


def needed(function: Compiled, known: Collection[str]) -> list[str]:
    """The inputs of a function in order; one that is not known is a `MathError`."""
    names = [given.name for given in function.program.inputs]
    absent = next((name for name in names if name not in known), None)
    if absent is not None:
        raise MathError(f"{absent} has no data: it is needed, if only to tell a size", mend=f'"{absent}": …')
    return names


def floor_of(first: float, enough: float) -> float:
    """The loss below which all is equally good: the share `enough` of the first; none without a share."""
    return enough * first if enough else -math.inf


def watch_of(measured: Objective, enough: float = 0.0) -> Callable[[Parameters], float]:
    """The loss as `descend` watches it; below the share `enough` of its first value all is equally good."""
    first: list[float] = []

    def watch(parameters: Parameters) -> float:
        loss = float(np.asarray(measured(parameters)[0]))
        first.append(loss)
        del first[1:]
        return max(loss, floor_of(first[0], enough))

    return watch
