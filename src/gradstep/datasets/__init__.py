"""What real data come with gradstep? Small public tables and a text; `ORIGIN.md` says from where."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from gradstep.expression.errors import MathError, resembling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IOWA = "iowa-renewables.csv"


def path(name: str = IOWA) -> Path:
    """Where a table lies on disk."""
    folder = Path(str(files(__name__)))
    known = sorted(each.name for each in folder.glob("*.csv"))
    if name not in known:
        near = resembling(str(name), known)
        raise MathError(
            f"no table called {name!r} comes with gradstep",
            facts=["these do: " + ", ".join(known)],
            mend=f'"{near[0]}"' if near else None,
        )
    return folder / name


def iowa() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Electricity from renewables in Iowa: the years 2001 to 2017 (17,) and terawatt-hours in each (17,)."""
    import numpy as np

    table = np.loadtxt(path(IOWA), delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1]


def sonnets() -> str:
    """Five sonnets of Shakespeare, one after the other: a text to learn from."""
    return Path(str(files(__name__)), "sonnets.txt").read_text("utf-8")


def windows(
    text: str, length: int, step: int | None = None
) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
    """A text as a language model reads it: its letters, windows of them, and what comes next at each place.

    The letters are those of the text, sorted; the windows (b, length) hold their numbers from 0 on, each
    begins `step` letters after the one before (`length` if not given), and the second array is one letter on.
    """
    import numpy as np

    step = length if step is None else step
    if min(length, step) < 1 or len(text) <= length:
        raise MathError(
            f"a text of {len(text)} letters has no windows of {length} with a next letter",
            mend="a length from 1 on that is shorter than the text, and a step from 1 on",
        )
    letters = "".join(sorted(set(text)))
    numbers = np.array([letters.index(letter) for letter in text])
    starts = np.arange(0, len(text) - length, step)[:, None] + np.arange(length)
    return letters, numbers[starts], numbers[starts + 1]
