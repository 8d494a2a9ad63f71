"""What does the loss look like around the descent? A plane through it, sampled on a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Parameters = Mapping[str, "Array | float"]
Objective = Callable[[dict[str, Array]], float]


@dataclass(frozen=True)
class Plane:
    """A loss over a plane: values are len(y) × len(x), path is steps × 2; `caption` says which plane.

    A point (u, v) of it is origin + u directions[0] + v directions[1], all parameters laid end to end.
    """

    x: Array
    y: Array
    values: Array
    path: Array
    labels: tuple[str, str]
    caption: str
    origin: Array
    directions: Array


@dataclass(frozen=True)
class Slice:
    """The same for a network with a single number to learn: a loss over a line."""

    x: Array
    values: Array
    path: Array
    losses: Array
    label: str
    origin: Array
    directions: Array


def sample(objective: Objective, path: Sequence[Parameters], *, size: int = 61) -> Plane | Slice:
    """The loss around the recorded parameters: their own plane if they are two numbers, else the best plane.

    `objective` takes parameters of the shapes recorded in `path` and returns the loss. With more than two
    numbers the plane goes through the end of the path along the two directions in which the path moved most
    (its principal components), so nearby heights are true heights on that plane, not of the whole landscape.
    """
    shapes = {name: np.shape(value) for name, value in path[-1].items()}
    numbers = [
        name if np.prod(shape) == 1 else f"{name}{_index(place)}"
        for name, shape in shapes.items()
        for place in np.ndindex(shape)
    ]
    recorded = np.stack([_flat(path[k]) for k in _some(len(path), 2000 if len(numbers) <= 1000 else 100)])
    end = recorded[-1]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()]).tolist()
    places = list(zip(shapes.items(), [0, *ends], ends, strict=False))

    def loss(point: Array) -> float:
        with np.errstate(all="ignore"):
            return float(objective({name: point[a:b].reshape(shape) for (name, shape), a, b in places}))

    if len(numbers) == 1:
        (grid,) = _frame(loss, recorded, np.zeros(1), np.eye(1), size)
        values = np.array([loss(np.array([u])) for u in grid])
        return Slice(
            grid,
            values,
            recorded[:, 0],
            np.array([loss(p) for p in recorded]),
            numbers[0],
            np.zeros(1),
            np.eye(1),
        )
    if len(numbers) == 2:
        directions, origin, labels, caption = np.eye(2), np.zeros(2), (numbers[0], numbers[1]), ""
    else:
        directions, share = _principal(recorded - end)
        origin, labels = end, ("u", "v")
        caption = (
            f"The network has {len(numbers)} parameters; this is the plane through the end of the descent "
            "along the two directions u and v in which it moved most. "
            f"They hold {100 * share:.0f} % of its movement."
        )
    track = (recorded - origin) @ directions.T
    x, y = _frame(loss, track, origin, directions, size)
    values = np.array([[loss(origin + u * directions[0] + v * directions[1]) for u in x] for v in y])
    return Plane(x, y, values, track, labels, caption, origin, directions)


def _flat(parameters: Parameters) -> Array:
    return np.concatenate([np.ravel(np.asarray(value, float)) for value in parameters.values()])


def _index(place: tuple[int, ...]) -> str:
    """w[2] is w_3: people count from one."""
    return "_" + ",".join(str(k + 1) for k in place) if place else ""


def _some(count: int, most: int) -> list[int]:
    return sorted({*np.linspace(0, count - 1, min(count, most)).astype(int).tolist(), count - 1})


def _principal(moves: Array) -> tuple[Array, float]:
    """Two orthonormal directions that hold most of the movement, and their share of it."""
    _, strengths, directions = np.linalg.svd(moves, full_matrices=False)
    total = float((strengths**2).sum())
    if (
        len(directions) < 2 or strengths[1] <= 1e-9 * strengths[0]
    ):  # a straight path: any direction across it will do
        first = directions[0] if total else np.eye(1, moves.shape[1])[0]
        across = np.eye(moves.shape[1])[int(np.argmin(np.abs(first)))]
        across = across - (across @ first) * first
        directions = np.stack([first, across / np.linalg.norm(across)])
    return directions[:2], float((strengths[:2] ** 2).sum()) / total if total else 1.0


def _frame(
    loss: Callable[[Array], float], track: Array, origin: Array, directions: Array, size: int
) -> list[Array]:
    """A window on the path: along each axis as far as the loss needs to climb back to where it started."""

    def height(point: Array) -> float:
        value = loss(origin + point @ directions)
        return value if np.isfinite(value) else np.inf

    end, axes = track[-1], []
    climb = height(track[0]) - height(end)
    for k, unit in enumerate(np.eye(len(directions))):
        low, high = float(track[:, k].min()), float(track[:, k].max())
        reach = 2.0**-6 * ((high - low) or 1.0)
        for _ in range(24):
            if 0.5 * (height(end + reach * unit) + height(end - reach * unit)) - height(end) >= climb:
                break
            reach *= 1.5
        reach = min(reach, 4 * (high - low)) if high > low else reach
        pad = 0.12 * (high - low)
        axes.append(
            np.linspace(min(low - pad, end[k] - 0.6 * reach), max(high + pad, end[k] + 0.6 * reach), size)
        )
    return axes
