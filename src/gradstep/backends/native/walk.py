"""What is a descent in machine code made of? Passes over the rows, what lies between, and the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.backends.native.free import Free, Memory
from gradstep.backends.native.held import ITEM
from gradstep.backends.native.plan import Plan
from gradstep.expression.records import record

OTHERS = ("watch", "watch_args", "watch_x", "watch_loss")  # another walker: its function, and its memory
FIRST = (
    *("scratch", "fixed", "count", "steps", "table", "pictures", "order", "batch", "from", "to"),
    *OTHERS,
)
TOLD = ("loss", "steep", "bend", "length", "farthest")  # of each step; all but the loss by the program `told`
COLUMNS = (*TOLD, "watched", "rate", "tries")  # of the table of a walk; these where there are such
OWN = "walk."  # begins the names of what belongs to the walk; no variable has a dot

BEFORE = (OWN + "x_before", OWN + "g_before")


@record
class Fitted:
    """How a rate is fitted to each step: the loss has to come clearly below the highest of the last `recent`,
    by the `sufficient` share of what the slope promises; where the slope has grown on the way down, the next
    step is `speed_up` times as long.
    """

    recent: int
    sufficient: float
    speed_up: float


@record
class Walk:
    """All that a descent is made of.

    passes    the plan of each pass over the rows, and for batches another; `between` what lies between
    single    where an update takes one row: all of it, from the row to the next parameters
    update    from "x", "g" and the optimiser's memory to what they are next
    told      from "x", "g", "x_before" and "g_before" to the numbers that are told of a step
    places    where the loss is, and for each parameter where its gradient is, by the parameter's own place
    size      numbers of all parameters together, in memory; `width` of them are stepped at a time
    fitted    how the rate is fitted to each step, if it is
    watched   "" for nothing, "own" for the loss itself, "others" for the loss on other rows
    rows      how many rows there are, and `batch` how many of them make an update; 0 for all
    """

    passes: tuple[Plan, ...]
    in_batches: tuple[Plan, ...]
    single: Free | None
    between: tuple[Free, ...]
    update: Free
    told: Free
    memory: Memory
    count: str
    loss: str
    gradients: Mapping[str, tuple[int, int, int]]
    size: int
    width: int
    rows: int
    batch: int
    data: tuple[str, ...]
    strides: Mapping[str, int]
    fitted: Fitted | None
    watched: str

    @property
    def gap(self) -> tuple[int, int]:
        """From where to where the memory of the gradient lies that no parameter has; it holds zeros."""
        end = max(to + numbers * ITEM for _, to, numbers in self.gradients.values())
        return end, self.memory.places[OWN + "g"] + self.size * ITEM


def argument_places(data: Sequence[str]) -> dict[object, int]:
    """At which byte of the arguments each stands; all have eight."""
    names: list[object] = [*FIRST, *(("data", name) for name in data)]
    return {name: 8 * k for k, name in enumerate(names)}
