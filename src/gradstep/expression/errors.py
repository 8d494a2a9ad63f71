"""What does gradstep say when something is wrong, where it is, and how to mend it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from gradstep.expression.late import late

if TYPE_CHECKING:
    import difflib
else:
    difflib = late("difflib")

WIDTH = 80  # facts share a line up to here


class MathError(ValueError):
    """Anything gradstep cannot accept: the only error class of the project, with one kind that is told apart.

    `what` is one sentence; `source` the user's own text and `span` the (start, end) columns in it;
    `facts` are short lines such as "X is N×d"; `mend` is something that would work, without a full stop.
    """

    def __init__(
        self,
        what: str,
        *,
        source: str | None = None,
        span: tuple[int, int] | None = None,
        facts: Sequence[str] = (),
        mend: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.source = source
        self.span = span
        self.facts = tuple(facts)
        self.mend = mend

    def at(self, source: str, span: tuple[int, int]) -> MathError:
        """The same error with its place in the user's text, unless it already has one."""
        if self.source is None:
            self.source, self.span = source, span
        return self

    def __str__(self) -> str:
        parts = [self.what]
        if self.source is not None:
            parts += ["", *_pointed(self.source, self.span)]
        elif self.facts:
            parts.append("")
        together = ",  ".join(self.facts)
        lines = [together] if together and len(together) <= WIDTH else self.facts
        parts += [f"    {fact}" for fact in lines]
        if self.mend:
            parts.append(f"Perhaps {self.mend}")
        return "\n".join(parts)


Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


def shallow(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function`, where a formula that nests deeper than it can go is a `MathError`."""

    @wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except RecursionError:
            raise MathError(
                "this formula nests too deeply", mend="names for its parts, z = …; …, or a sum in place of +"
            ) from None

    return guarded


class SingularError(MathError):
    """A matrix whose columns depend on each other has no inverse: other values may have one."""

    def __init__(self, name: str = "the inverse of a matrix") -> None:
        super().__init__(
            f"{name} has no value here: the matrix is singular, its columns depend on each other",
            mend="adding a small multiple of the identity, X + 1e-6*eye(n)",
        )


def resembling(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known words that look like `word`, the likest first."""
    return difflib.get_close_matches(word, list(known), most, cutoff)


def _pointed(source: str, span: tuple[int, int] | None) -> list[str]:
    """The line of `source` that `span` falls in, and carets under it."""
    if span is None:
        return [f"    {line}" for line in source.splitlines()[:3]]
    start = max(0, min(span[0], len(source)))
    head = source.rfind("\n", 0, start) + 1
    tail = source.find("\n", start)
    tail = len(source) if tail < 0 else tail
    line = source[head:tail]
    first = start - head
    width = max(1, min(span[1], tail) - start)
    if len(line) > 90:  # a window around the place, so that the caret stays in sight
        left = max(0, first - 40)
        line = ("…" if left else "") + line[left : left + 88] + ("…" if left + 88 < len(line) else "")
        first += (1 if left else 0) - left
        width = min(width, len(line) - first)
    return [f"    {line}", "    " + " " * first + "^" * max(1, width)]
