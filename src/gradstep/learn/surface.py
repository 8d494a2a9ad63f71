"""What is the surface that a descent walks on? The user's objective as a function of one long vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.optimisers import Array

Parameters: TypeAlias = dict[str, Array]
Objective: TypeAlias = Callable[[Parameters], tuple[ArrayLike, Mapping[str, ArrayLike]]]
Together: TypeAlias = Callable[[Sequence[Parameters]], Sequence[tuple[ArrayLike, Mapping[str, ArrayLike]]]]
"""An objective in several places at once: what an objective may have under the name `together`."""


@record
class Residuals:
    """What a loss adds up the squares of: `at(parameters)` gives residuals r (m) and their Jacobian J (m, n).

    J has a column for each entry of the parameters, in their order; it is `constant` where r is straight.
    """

    at: Callable[[Parameters], tuple[Array, Array]]
    constant: bool = False


@record
class Curvature:
    """How the gradient moves: `at(parameters)` gives the function that turns a direction into H times it.

    `constant` where H is the same everywhere: the loss is a parabola.
    """

    at: Callable[[Parameters], Callable[[Parameters], Mapping[str, ArrayLike]]]
    constant: bool = False


class Place(NamedTuple):
    """The loss at a place on a line, its slope along the line and its curvature."""

    loss: float
    slope: float
    bend: float


Along: TypeAlias = Callable[[float], Place]
Line: TypeAlias = Callable[[Parameters, Parameters], Along]
"""The loss along a line, from parameters in a direction, as a function of how far."""


class Point(NamedTuple):
    """A place on the loss surface: all parameters end to end, the loss there and its gradient."""

    x: Array
    loss: float
    gradient: Array

    @property
    def finite(self) -> bool:
        if not math.isfinite(self.loss):
            return False
        return math.isfinite(self.gradient.sum()) or bool(np.isfinite(self.gradient).all())


@record
class Layout:
    """Where each parameter lies in the one vector that the walks see."""

    shapes: dict[str, tuple[int, ...]]
    start: Array

    @classmethod
    def of(cls, start: Mapping[str, ArrayLike]) -> Layout:
        if not isinstance(start, Mapping) or not start:
            raise MathError("there is no parameter to train", mend='start={"w": …, "b": …}')
        arrays = {name: _real(f"the start of {name}", value) for name, value in start.items()}
        for name, value in arrays.items():
            if not np.isfinite(value).all():
                raise MathError(f"the start of {name} holds NaN or infinity", mend="a finite start")
        shapes = {name: value.shape for name, value in arrays.items()}
        if not any(value.size for value in arrays.values()):
            raise MathError(
                "the parameters have no entries",
                facts=[f"{name} is {_shape(shape)}" for name, shape in shapes.items()],
            )
        return cls(shapes, np.concatenate([value.ravel() for value in arrays.values()]))

    def open(self, flat: Array) -> Parameters:
        """The parameters in a vector; leading axes (snapshots) stay in front."""
        parts, at = {}, 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            parts[name] = flat[..., at : at + size].reshape((*flat.shape[:-1], *shape))
            at += size
        return parts

    def close(self, parts: Mapping[str, ArrayLike]) -> Array:
        """Gradients, each in the shape of its parameter, as one vector."""
        gradients = []
        for name, shape in self.shapes.items():
            if name not in parts:
                raise MathError(
                    f"the objective gives no gradient for {name}",
                    facts=[f"it gives gradients for: {', '.join(map(str, parts)) or 'nothing'}"],
                )
            gradient = _real(f"the gradient for {name}", parts[name])
            if gradient.shape != shape:
                raise MathError(
                    f"the gradient for {name} should have the shape of {name}",
                    facts=[f"{name} is {_shape(shape)},  its gradient is {_shape(gradient.shape)}"],
                )
            gradients.append(gradient.ravel())
        return np.concatenate(gradients)

    def products(self, curvature: Curvature) -> Callable[[Array], Callable[[Array], Array]]:
        """The Hessian at x times v, both as vectors."""

        def at(x: Array) -> Callable[[Array], Array]:
            with np.errstate(all="ignore"):
                product = curvature.at(self.open(x.copy()))
            return lambda v: self.close(product(self.open(v)))

        return at

    def lines(self, line: Line) -> Callable[[Array, Array], Along]:
        """The loss from x along v, both as vectors."""

        def through(x: Array, v: Array) -> Along:
            return line(self.open(x.copy()), self.open(v))

        return through

    def residuals(self, residuals: Residuals) -> Callable[[Array], tuple[Array, Array]]:
        """The residuals at x and their Jacobian."""

        def at(x: Array) -> tuple[Array, Array]:
            with np.errstate(all="ignore"):
                return residuals.at(self.open(x.copy()))

        return at

    def sizes(self, x: Array) -> list[str]:
        return [
            f"the largest entry of {name} is {float(np.abs(part).max(initial=0)):.3g} in size"
            for name, part in list(self.open(x).items())[:6]
        ]


class Measured:
    """The user's objective as a function of one vector, with a count of its evaluations."""

    def __init__(
        self, objective: Objective, layout: Layout, listen: Callable[[], None] = lambda: None
    ) -> None:
        """`listen` raises `KeyboardInterrupt` where the descent is to end, whatever is being tried."""
        self.objective, self.layout, self.count, self.listen = objective, layout, 0, listen

    def __call__(self, x: Array) -> tuple[float, Array]:
        return self.of(self.objective, x)

    def at(self, x: Array) -> Point:
        """The place x on the surface."""
        return Point(x, *self(x))

    def all_at(self, xs: Sequence[Array]) -> list[Point]:
        """Several places on the surface."""
        return [Point(x, *found) for x, found in zip(xs, self.all_of(self.objective, xs), strict=True)]

    def of(self, objective: Objective, x: Array) -> tuple[float, Array]:
        return self.all_of(objective, [x])[0]

    def all_of(self, objective: Objective, xs: Sequence[Array]) -> list[tuple[float, Array]]:
        """Loss and gradient in several places, measured together by an objective that can do that."""
        self.count += len(xs)
        places = [self.layout.open(x.copy()) for x in xs]
        together: Together | None = getattr(objective, "together", None)
        with np.errstate(all="ignore"):  # overflow shows in the numbers, and is judged there
            found = together(places) if together and len(xs) > 1 else [objective(each) for each in places]
        return [self.checked(*each) for each in found]

    def checked(self, loss: ArrayLike, gradients: Mapping[str, ArrayLike]) -> tuple[float, Array]:
        value = _real("the loss", loss)
        if value.size != 1:
            raise MathError("the loss should be one number", facts=[f"it is {_shape(value.shape)}"])
        return float(value.item()), self.layout.close(gradients)


def _real(what: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise MathError(f"{what} should be an array of real numbers", facts=[f"it is {kind}"])
    return array.astype(np.float64)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"


def inner(a: Array, b: Array) -> float:
    """a · b, added up in the same order by every processor, which a product of BLAS is not."""
    return float(np.add.reduce(a * b))


def norm_of(x: Array) -> float:
    """The Euclidean length, without overflow of the squares."""
    with np.errstate(all="ignore"):
        square = inner(x, x)
    if 1e-200 < square < 1e200:
        return math.sqrt(square)
    top = float(np.abs(x).max(initial=0.0))
    return top * float(np.linalg.norm(x / top)) if 0 < top < math.inf else top


def curvature_near(loss: Measured, here: Point) -> float:
    """The largest curvature of the loss near a point: power iteration on differences of gradients."""
    direction = here.gradient / norm_of(here.gradient) if here.gradient.any() else np.ones_like(here.x)
    reach = 1e-4 * max(1.0, norm_of(here.x))
    largest = 0.0
    for _ in range(12):
        _, gradient = loss(here.x + reach * direction)
        bend = (gradient - here.gradient) / reach
        length = norm_of(bend)
        if not 0 < length < math.inf:
            break
        largest = max(largest, length)
        direction = bend / length
    return largest
