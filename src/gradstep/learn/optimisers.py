"""How does one step down the slope go? One record an optimiser: its formula, its memory, its update.

An optimiser works entry by entry, so one array `x` may hold one parameter or all of them laid end to end.
`learning_rate=None` never reaches these functions: `descent.py` chooses a safe rate and passes the number.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from string import Template
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError

Array: TypeAlias = NDArray[np.float64]
State: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Formula:
    """Lines of mathematics with `$w` for a parameter and `$C` for the loss."""

    plain: tuple[str, ...]
    tex: tuple[str, ...]

    def text(self, parameter: str = "w", loss: str = "C") -> tuple[str, ...]:
        """The lines as Unicode text: `("w ← w − η ∂C/∂w",)`."""
        return _filled(self.plain, parameter, loss)

    def latex(self, parameter: str = "w", loss: str = "C") -> tuple[str, ...]:
        """The lines as LaTeX mathematics, without dollar signs; `parameter` and `loss` are LaTeX already."""
        return _filled(self.tex, parameter, loss)


def _filled(lines: tuple[str, ...], parameter: str, loss: str) -> tuple[str, ...]:
    return tuple(Template(line).substitute(w=parameter, C=loss) for line in lines)


@dataclass(frozen=True)
class Optimiser:
    """A way to turn a gradient into the next parameters.

    `init(x)` is the memory before the first step; `update(x, gradient, state, rate)` is the next `x` and the
    next memory, both new arrays. `scales_with_gradient`: does a step twice as steep go twice as far?
    """

    name: str
    why: str
    formula: Formula
    init: Callable[[Array], State]
    update: Callable[[Array, Array, State, float], tuple[Array, State]]
    scales_with_gradient: bool


def _nothing(x: Array) -> State:
    return {}


def _downhill(x: Array, gradient: Array, state: State, rate: float) -> tuple[Array, State]:
    return x - rate * gradient, state


_FRICTION = 0.9


def _at_rest(x: Array) -> State:
    return {"v": np.zeros_like(x)}


def _roll(x: Array, gradient: Array, state: State, rate: float) -> tuple[Array, State]:
    v = _FRICTION * state["v"] + gradient
    return x - rate * v, {"v": v}


_MEAN_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8


def _moments(x: Array) -> State:
    return {"m": np.zeros_like(x), "s": np.zeros_like(x), "t": np.zeros(())}


def _adapt(x: Array, gradient: Array, state: State, rate: float) -> tuple[Array, State]:
    t = state["t"] + 1
    m = _MEAN_DECAY * state["m"] + (1 - _MEAN_DECAY) * gradient
    s = _SQUARE_DECAY * state["s"] + (1 - _SQUARE_DECAY) * gradient**2
    mean, square = m / (1 - _MEAN_DECAY**t), s / (1 - _SQUARE_DECAY**t)
    return x - rate * mean / (np.sqrt(square) + _TINY), {"m": m, "s": s, "t": t}


GRADIENT_DESCENT = Optimiser(
    name="gradient descent",
    why="the gradient points up the steepest slope, so a small step against it lowers the loss",
    formula=Formula(
        plain=("$w ← $w − η ∂$C/∂$w",),
        tex=(r"$w \leftarrow $w - \eta\, \frac{\partial $C}{\partial $w}",),
    ),
    init=_nothing,
    update=_downhill,
    scales_with_gradient=True,
)

MOMENTUM = Optimiser(
    name="momentum",
    why="like a ball it keeps nine tenths of its speed: less across a narrow valley, faster along it",
    formula=Formula(
        plain=("v ← 0.9 v + ∂$C/∂$w", "$w ← $w − η v"),
        tex=(
            r"v \leftarrow 0.9\, v + \frac{\partial $C}{\partial $w}",
            r"$w \leftarrow $w - \eta\, v",
        ),
    ),
    init=_at_rest,
    update=_roll,
    scales_with_gradient=True,
)

ADAM = Optimiser(
    name="adam",
    why="each entry moves by about η: the mean slope of late, divided by its usual size (Kingma & Ba 2015)",
    formula=Formula(
        plain=(
            "m ← 0.9 m + 0.1 ∂$C/∂$w",
            "s ← 0.999 s + 0.001 (∂$C/∂$w)²",
            "$w ← $w − η m̂ / (√ŝ + 10⁻⁸)        m̂ = m/(1 − 0.9ᵗ),  ŝ = s/(1 − 0.999ᵗ)",
        ),
        tex=(
            r"m \leftarrow 0.9\, m + 0.1\, \frac{\partial $C}{\partial $w}",
            r"s \leftarrow 0.999\, s + 0.001 \left(\frac{\partial $C}{\partial $w}\right)^{2}",
            r"$w \leftarrow $w - \eta\, \frac{\hat m}{\sqrt{\hat s} + 10^{-8}},"
            r" \qquad \hat m = \frac{m}{1 - 0.9^{t}},\; \hat s = \frac{s}{1 - 0.999^{t}}",
        ),
    ),
    init=_moments,
    update=_adapt,
    scales_with_gradient=False,
)

OPTIMISERS: dict[str, Optimiser] = {each.name: each for each in (GRADIENT_DESCENT, MOMENTUM, ADAM)}

AUTOMATIC_STEP = Formula(
    plain=(
        "$w ← $w − η ∂$C/∂$w,   η anew in each step:  Δ$w the last move, Δg the change of gradient",
        "η = ⟨Δ$w, Δ$w⟩/⟨Δ$w, Δg⟩ twice, then ⟨Δ$w, Δg⟩/⟨Δg, Δg⟩ once;  smaller if the loss would rise",
    ),
    tex=(
        r"$w \leftarrow $w - \eta\, \frac{\partial $C}{\partial $w}, \qquad"
        r" \eta = \frac{\langle \Delta $w, \Delta $w\rangle}{\langle \Delta $w, \Delta g\rangle}"
        r" \text{ twice, then } \frac{\langle \Delta $w, \Delta g\rangle}{\langle \Delta g, \Delta g\rangle}"
        r" \text{ once}",
    ),
)
"""The step of gradient descent when no learning rate is given (Barzilai & Borwein 1988, with a safeguard)."""


def optimiser_named(name: object) -> Optimiser:
    """The optimiser of that name; an unknown name is an error that lists the known ones."""
    if isinstance(name, str) and name in OPTIMISERS:
        return OPTIMISERS[name]
    near = difflib.get_close_matches(str(name).lower(), OPTIMISERS, n=1)
    raise MathError(
        f"there is no optimiser called {name!r}"
        if isinstance(name, str)
        else "an optimiser is named by text",
        facts=["known: " + ", ".join(OPTIMISERS)],
        mend=f'optimiser="{near[0] if near else GRADIENT_DESCENT.name}"',
    )
