"""How is a function to run? What a user may say about it."""

from __future__ import annotations

from gradstep.expression.errors import MathError
from gradstep.expression.records import record

EXACT = "exact"


@record
class Options:
    """How a function is to run, where the user says so.

    threads      how many; None: as many as there are cores for this process
    batch        the size that counts the rows, as the user calls it; "" where it is clear
    accumulate   "float64" where float32 data are to be computed in float64, a block at a time; "exact" where
                 sums are to be rounded once, so that no order of rows and no processor changes a bit
    """

    threads: int | None = None
    batch: str = ""
    accumulate: str = ""


def checked(options: Options) -> Options:
    """The options; one that makes no sense is a `MathError`."""
    threads = options.threads
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise MathError(f"threads are counted from 1, not {threads!r:.40}", mend="threads=2")
    if not isinstance(options.batch, str):
        raise MathError(f"a size is named by text, not {options.batch!r:.40}", mend='batch="N"')
    if options.accumulate not in ("", "float64", EXACT):
        raise MathError(
            f"totals are added up in float64, or exactly, not {options.accumulate!r:.40}",
            mend=f'accumulate="float64", or accumulate="{EXACT}"',
        )
    return options
