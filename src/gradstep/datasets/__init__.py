"""What real data come with gradstep? Small public tables; `ORIGIN.md` beside them says from where."""

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
