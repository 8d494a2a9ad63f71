"""How does one step down go? One record an optimiser: its formula, and where it comes from.

A rule works entry by entry, so one array `x` may hold one parameter or all of them laid end to end.
`learning_rate=None` never reaches its update: `descent.py` chooses a safe rate and passes the number. The
others see all parameters as one vector and choose their steps themselves, in modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError, resembling
from gradstep.expression.late import late
from gradstep.expression.records import record

if TYPE_CHECKING:
    import string
else:
    string = late("string")

Array: TypeAlias = NDArray[np.float64]
State: TypeAlias = dict[str, Array]


@record
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
    return tuple(string.Template(line).substitute(w=parameter, C=loss) for line in lines)


@dataclass(frozen=True)
class Optimiser:
    """A way down: its name, the sentence that makes it believable, and its step as mathematics.

    `needs` says what it asks of the loss beside its gradient: nothing, its "curvature" (the Hessian times a
    vector), the "residuals" whose squares it adds up, or what it is along a "line".
    """

    name: str
    why: str
    formula: Formula
    needs: Literal["gradient", "curvature", "residuals", "line"] = "gradient"


@dataclass(frozen=True)
class Rule(Optimiser):
    """A way to turn a gradient and a rate into the next parameters.

    `init(x)` is the memory before the first step; `update(x, gradient, state, rate)` is the next `x` and the
    next memory, both new arrays; it takes expressions too, of which machine code is made.
    `scales_with_gradient`: does a step twice as steep go twice as far?
    """

    _: KW_ONLY
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
    mean, square = m * (1 / (1 - _MEAN_DECAY**t)), s * (1 / (1 - _SQUARE_DECAY**t))
    return x - rate * mean / (square**0.5 + _TINY), {"m": m, "s": s, "t": t}


GRADIENT_DESCENT = Rule(
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

MOMENTUM = Rule(
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

ADAM = Rule(
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

L_BFGS = Optimiser(
    name="l-bfgs",
    why="how the gradient changed along the last ten moves tells how the loss bends; the step goes to the "
    "lowest point of what bends so, and is fitted by a line search (Nocedal 1980; Nocedal & Wright, ch. 7)",
    formula=Formula(
        plain=(
            "$w ← $w − η H ∂$C/∂$w,   H Δg = Δ$w for the last ten moves Δ$w and changes Δg of the gradient",
            "η = 1 where loss and slope fall enough with it (strong Wolfe conditions), else fitted",
        ),
        tex=(
            r"$w \leftarrow $w - \eta\, H \frac{\partial $C}{\partial $w}, \qquad"
            r" H\, \Delta g = \Delta $w \text{ for each of the last ten moves}",
        ),
    ),
)

CONJUGATE_GRADIENTS = Optimiser(
    name="conjugate gradients",
    why="a new direction keeps what was won along the last one, and each step goes to the lowest point of "
    "its line; on a parabola in d dimensions d steps are all (Hestenes & Stiefel 1952; Polak & Ribière 1969)",
    formula=Formula(
        plain=(
            "$w ← $w + η p,   η = argmin $C($w + η p):  a division where $C is a parabola, else by Newton",
            "p ← −g + β p,   g = ∂$C/∂$w,   β = max(0, ⟨g, g − g₀⟩/⟨g₀, g₀⟩),   g₀ the gradient before",
        ),
        tex=(
            r"$w \leftarrow $w + \eta\, p, \qquad \eta = \operatorname*{argmin}_{\eta}\, $C($w + \eta\, p)",
            r"p \leftarrow -g + \beta\, p, \qquad g = \frac{\partial $C}{\partial $w},\;"
            r" \beta = \max\Bigl(0, \frac{\langle g, g - g_0 \rangle}{\langle g_0, g_0 \rangle}\Bigr)",
        ),
    ),
    needs="line",
)

NEWTON_CG = Optimiser(
    name="newton-cg",
    why="the step goes to the lowest point of the parabola that touches the loss, found by conjugate "
    "gradients with Hessian–vector products, and no farther than the parabola can be trusted "
    "(Steihaug 1983; Nocedal & Wright, ch. 7)",
    formula=Formula(
        plain=(
            "$w ← $w + p,   p = argmin ⟨∂$C/∂$w, p⟩ + 1/2 ⟨p, (∂²$C/∂$w²) p⟩  with ‖p‖ ≤ Δ",
            "Δ grows where the loss falls as the parabola says, and shrinks where it does not",
        ),
        tex=(
            r"$w \leftarrow $w + p, \qquad p = \operatorname*{argmin}_{\lVert p \rVert \le \Delta}"
            r" \Bigl\langle \frac{\partial $C}{\partial $w}, p \Bigr\rangle"
            r" + \frac{1}{2} \Bigl\langle p, \frac{\partial^{2} $C}{\partial $w^{2}}\, p \Bigr\rangle",
        ),
    ),
    needs="curvature",
)

LEVENBERG_MARQUARDT = Optimiser(
    name="levenberg-marquardt",
    why="the residuals are taken as straight, r + J p, and their sum of squares is made smallest, with λ so "
    "large that the step stays where that may be believed (Levenberg 1944, Marquardt 1963, Moré 1978)",
    formula=Formula(
        plain=(
            "$w ← $w + p,   (JᵀJ + λ D²) p = −Jᵀr,   $C = ⟨r, r⟩,   J = ∂r/∂$w",
            "D measures each parameter by its column of J (layers by one measure);  λ ≥ 0 so that ‖D p‖ ≤ Δ",
        ),
        tex=(
            r"$w \leftarrow $w + p, \qquad (J^{\top} J + \lambda D^{2})\, p = -J^{\top} r, \qquad"
            r" $C = \langle r, r \rangle,\; J = \frac{\partial r}{\partial $w}",
        ),
    ),
    needs="residuals",
)

RULES = (GRADIENT_DESCENT, MOMENTUM, ADAM)
OPTIMISERS: dict[str, Optimiser] = {
    each.name: each for each in (*RULES, L_BFGS, CONJUGATE_GRADIENTS, NEWTON_CG, LEVENBERG_MARQUARDT)
}

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
    near = resembling(str(name).lower(), OPTIMISERS)
    raise MathError(
        f"there is no optimiser called {name!r}"
        if isinstance(name, str)
        else "an optimiser is named by text",
        facts=["known: " + ", ".join(OPTIMISERS)],
        mend=f'optimiser="{near[0] if near else GRADIENT_DESCENT.name}"',
    )
