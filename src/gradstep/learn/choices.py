"""Who trains: machine code that walks alone, machine code that measures, or NumPy? And why?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.compiled import Compiled
from gradstep.backends.options import EXACT, Options
from gradstep.backends.threads import cores
from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError, resembling
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.expression.records import record, replaced
from gradstep.learn.objective import compiled
from gradstep.learn.optimisers import GRADIENT_DESCENT, MOMENTUM, Optimiser, Rule
from gradstep.learn.plan import Plan
from gradstep.learn.scaling import Array, check_seed
from gradstep.learn.walks import MEMORY, SPEED_UP, SUFFICIENT
from gradstep.operations.evaluation import sizes_of

if TYPE_CHECKING:
    from gradstep.backends.native import cells, engine, making, striding, walk, walker
    from gradstep.learn import stretches
else:
    cells = late("gradstep.backends.native.cells")
    engine = late("gradstep.backends.native.engine")
    making = late("gradstep.backends.native.making")
    striding = late("gradstep.backends.native.striding")
    walk = late("gradstep.backends.native.walk")
    walker = late("gradstep.backends.native.walker")
    stretches = late("gradstep.learn.stretches")

BACKENDS = ("fastest", "numpy", "native")
CALL, SPEED = 3e-5, 3e9  # seconds of a call in NumPy, and bytes a second that it reads
PAYS = 0.25  # seconds: what takes less in NumPy is over before code is compiled
FITTED = 100  # steps that gradient descent without a given rate may take
ALONE = 8 << 20  # bytes that one core keeps near; more are measured by all cores
KEPT = 32  # losses that are remembered


Task: TypeAlias = tuple[Expr, str | tuple[str, ...], tuple[tuple[Expr, str], ...]]
"""A loss, its parameters, and names of parts."""


@lru_cache(KEPT)
def derived(task: Task) -> Derivation:
    """The gradient of a loss, derived once."""
    loss, wrt, names = task
    return derive(loss, wrt, names=dict(names) or None)


@lru_cache(KEPT)
def translated(task: Task, language: str, threads: int | None, exact: bool = False) -> Compiled:
    """The value and the gradient as code, written once; with `exact` sums are rounded once."""
    return compiled(derived(task), language, Options(threads=threads, accumulate=EXACT if exact else ""))


def order_of(rows: int, seed: int, turn: int) -> NDArray[Any]:
    """The order of the rows in a pass through mini-batches."""
    return np.random.default_rng([seed, turn]).permutation(rows)


@record
class Choice:
    """What was asked for, and what that decides: who trains."""

    backend: str
    threads: int | None
    optimiser: Optimiser
    rate: float | None
    steps: int
    batch: int | None
    seed: int
    exact: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.exact and self.backend == "native":
            raise MathError("exact sums are made in NumPy, not in machine code", mend='backend="numpy"')
        if self.exact and self.optimiser.needs != "gradient":
            raise MathError(
                f"exact sums are for optimisers that need the gradient alone, not for {self.optimiser.name}",
                mend='optimiser="l-bfgs"',
            )
        if not isinstance(self.backend, str) or self.backend not in BACKENDS:
            near = resembling(str(self.backend), BACKENDS)
            raise MathError(
                f"there is no back end {self.backend!r:.60} to train with",
                facts=[f"known: {', '.join(BACKENDS)}"],
                mend=f'backend="{(near or BACKENDS)[0]}"',
            )
        batch = self.batch
        if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
            raise MathError(f"a mini-batch has a whole number of rows, not {batch!r:.40}", mend="batch=32")

    @property
    def fitted(self) -> bool:
        """Whether each step gets a rate of its own."""
        return self.rate is None and self.optimiser is GRADIENT_DESCENT and self.batch is None

    def language(self, data: Mapping[str, Array], rows: int, variants: int = 1) -> tuple[str, str]:
        """ "numpy" or "native", and why; what is compiled serves all variants."""
        if self.exact:
            return "numpy", "exact sums are made there"
        if self.backend != "fastest":
            return self.backend, "asked for"
        steps = self.steps if isinstance(self.steps, int) else 1
        steps = min(steps, FITTED) if self.fitted else steps
        size = sum(array.nbytes for array in data.values())
        blocks = math.ceil(rows / self.batch) if self.batch else 0
        if variants * steps * (CALL * (1 + blocks) + 2 * size / SPEED) < PAYS:
            return "numpy", "so little has to be computed that compiling would take longer"
        if not engine.available():
            return "numpy", "machine code needs pip install 'gradstep[fast]'"
        return "native", "compiling takes less than it saves"

    def machine(
        self,
        function: Compiled,
        data: Mapping[str, Array],
        first: Mapping[str, Array],
        plan: Plan,
        watched: Mapping[str, Array] | None = None,
        enough: float = 0.0,
    ) -> stretches.Machine | str:
        """What walks alone, or why nothing does; `watched` are data with other rows."""
        if not isinstance(self.optimiser, Rule):
            return f"{self.optimiser.name} chooses each step by itself"
        called = {given.name: str(given.symbol.params[0]) for given in function.program.inputs}

        def renamed(data: Mapping[str, Array]) -> dict[str, Array]:
            return {called[name]: array for name, array in {**data, **first}.items() if name in called}

        arrays, names = renamed(data), tuple(first)
        rule = making.Rule(self.optimiser.name, self.optimiser.init, self.optimiser.update)
        rule = replaced(rule, fitted=walk.Fitted(MEMORY, SUFFICIENT, SPEED_UP)) if self.fitted else rule
        try:
            others = None if watched is None else renamed(watched)
            eye = self.eye(function, others, names, enough) if others or enough else None
            walking = self.walking(function, arrays, names, rule, eye)
        except cells.Unsupported as reason:
            return str(reason)
        eye = eye if isinstance(walking, walker.Walker) else None
        if self.batch is None:
            rolling = partial(self.rolling, function, arrays, names, eye) if self.fitted else None
            return stretches.Machine(walking, rule, eye=eye, rolling=rolling)
        along = {called[name] for name in plan.along if name in called}
        if along != walking.axes.keys() or any(walking.axes.values()):
            return "the rows of mini-batches are not those that the loss is summed over"
        rows, seed = len(plan.train), self.seed

        def orders(before: int, steps: int) -> NDArray[np.int64]:
            return np.stack([order_of(rows, seed, turn) for turn in range(before, before + steps)])

        return stretches.Machine(walking, rule, orders, rows, math.ceil(rows / self.batch), eye)

    def eye(
        self, function: Compiled, others: Mapping[str, Array] | None, names: tuple[str, ...], enough: float
    ) -> stretches.Eye | None:
        """What watches the other rows, or the loss itself; none where there is no code for it."""
        rule = making.Rule(GRADIENT_DESCENT.name, GRADIENT_DESCENT.init, GRADIENT_DESCENT.update)
        whole = replaced(self, batch=None)
        try:
            return stretches.Eye(
                None if others is None else whole.alone(function, others, names, rule, None), enough
            )
        except cells.Unsupported:
            return None

    def rolling(
        self,
        function: Compiled,
        arrays: Mapping[str, Array],
        names: tuple[str, ...],
        eye: stretches.Eye | None,
    ) -> stretches.Machine:
        """What goes on over kinks where a rate was fitted to each step."""
        rule = making.Rule(MOMENTUM.name, MOMENTUM.init, MOMENTUM.update)
        return stretches.Machine(self.alone(function, arrays, names, rule, eye), rule, eye=eye)

    def alone(
        self,
        function: Compiled,
        arrays: Mapping[str, Array],
        names: tuple[str, ...],
        rule: making.Rule,
        eye: stretches.Eye | None,
    ) -> walker.Walker:
        """Who walks with all of a step in one function; raises `Unsupported`."""
        program, batch = function.program, self.batch or 0
        declared = {str(given.symbol.params[0]): given.symbol for given in program.inputs}
        others = None if eye is None else eye.walker
        watched = "" if eye is None else "own" if others is None else "others"
        code = making.code_of(program, sizes_of(declared, arrays), names, rule, batch, watched)
        return walker.Walker(code, arrays, batch, others)

    def walking(
        self,
        function: Compiled,
        arrays: Mapping[str, Array],
        names: tuple[str, ...],
        rule: making.Rule,
        eye: stretches.Eye | None,
    ) -> walker.Walker | striding.Strider:
        """Who walks: all in one function where no matrices are multiplied; raises `Unsupported`."""
        program, batch = function.program, self.batch or 0
        size = sum(array.nbytes for array in arrays.values())
        try:
            if self.batch is None and size > ALONE:
                told = f"each step reads {size / 2**20:.0f} MB, which all threads do together"
                raise cells.Unsupported(told)
            return self.alone(function, arrays, names, rule, eye)
        except cells.Unsupported:
            if not striding.multiplies_matrices(program):
                raise
            return striding.Strider(program, arrays, names, rule, batch, self.threads or cores())

    def told(
        self,
        language: str,
        why: str,
        machine: stretches.Machine | str,
        function: Compiled,
        data: Mapping[str, Array],
        watched: bool,
    ) -> list[str]:
        """Which back end trained, and why."""
        if language == "numpy":
            return [f"trained in NumPy: {why}"]
        if isinstance(machine, stretches.Machine):
            reason = "other rows are watched" if watched else "the rate is fitted to each"
            alone = machine.alone(self.fitted, watched)
            how = "many steps at a time" if alone else f"step by step, since {reason}"
            runs = machine.walker
            blocks = runs.report() if isinstance(runs, striding.Strider) else []
            return [f"trained in machine code, {how}: {why}", *blocks]
        each = function.told(sum(array.nbytes for array in data.values()))
        return [f"trained step by step: {machine}", *each.splitlines()]
