"""Which part of every window of rows trains, which tells when to stop, and which judges?"""

from __future__ import annotations

from dataclasses import dataclass

from gradstep.expression.errors import MathError
from gradstep.learn.stores import Share


@dataclass(frozen=True)
class Shares:
    """Which part of every window trains, tells when to stop, and judges; `learnt` is both of the first."""

    train: Share
    watched: Share
    learnt: Share
    held: Share

    @classmethod
    def of(cls, holdout: object, watch: object) -> Shares:
        """The last share `holdout` of each window is held out; the last of what is before it is watched."""
        held, watched = _share("held-out", "holdout", holdout), _share("watched", "watch", watch)
        learnt = 1 - held
        train = learnt * (1 - watched)
        return cls((0.0, train), (train, learnt), (0.0, learnt), (learnt, 1.0))


def _share(what: str, name: str, value: object) -> float:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if real and 0 <= float(value) < 1:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise MathError(
        f"of rows in files the {what} ones are a share, a number from 0 to below 1",
        facts=[f"{name} is {value!r:.60}"],
        mend=f"{name}=0.2",
    )
