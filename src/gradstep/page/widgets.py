"""How does a fit come into a notebook? As a cell that trains, where the package for widgets is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn.fit import Fit

if TYPE_CHECKING:
    from gradstep.page import cells
else:
    cells = late("gradstep.page.cells")


def widget(fit: Fit) -> cells.Cell:
    """`Fit.widget`."""
    try:
        made = cells.Cell
    except ModuleNotFoundError as error:
        raise MathError(
            f"a widget needs the package {error.name}, which is not installed",
            mend="pip install 'gradstep[notebook]'",
        ) from None
    return made(fit)
