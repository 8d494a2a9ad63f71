"""How is a tape told? A line for each value: what it is, how large, who reads it, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.calculus.cotangents import cotangent
from gradstep.calculus.tape import Kept, Tape
from gradstep.expression.shapes import shape_text
from gradstep.notation.folding import folded
from gradstep.notation.plain import line
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.terminal import text
from gradstep.notation.wording import listed
from gradstep.notation.writing import Writer

TITLE = "What the way back reads of the way forward"


def section(tape: Tape) -> Section:
    """The tape as lines."""
    write = Writer(tape.derivation.names)
    return Section(TITLE, tuple(_line(kept, kept in tape.spared, write, tape) for kept in tape.kept))


def _line(kept: Kept, spared: bool, write: Writer, tape: Tape) -> Said:
    names, loss = tape.derivation.names, tape.derivation.of
    readers = listed([line(write(cotangent(part, loss))) for part in kept.needed])
    values = {one.value for one in tape.kept}
    lost = {source for source in kept.again if source.args and source not in values}
    sources = listed([line(write(x)) + (" (not kept)" if x in lost else "") for x in kept.again])
    how = "entry by entry or row by row" if kept.is_cheap else f"{kept.work} multiplications"
    cheap = "; it need not be kept" if spared else ""
    named = kept.value in names
    return Said(
        write(kept.value) if named else None,
        (write.opened(kept.value),),
        rule=f"for {readers}",
        why=f"again from {sources}, {how}{cheap}",
        shape=shape_text(kept.value.shape),
    )


def notes(tape: Tape) -> Sequence[str]:
    """How much that is together."""
    whole = f"Together {tape.entries} numbers, beside the parameters and the data"
    if not tape.spared:
        return (f"{whole}.",)
    return (f"{whole}; {tape.least} if what is cheap to work out again is not kept.",)


def tape(of: Tape, width: int = 100) -> str:
    """The tape as text."""
    told = Presentation("matrix", "partials", (section(of),), tuple(notes(of)))
    return text(folded(told), width).rstrip()
