"""What would have worked? An error says "Perhaps X @ W.T" only after that has been read without an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gradstep.expression.errors import MathError, resembling
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.expression.shapes import Shape, shape_text

LONGEST = 2000  # in a longer text nothing is tried


@record
class Candidate:
    """A mend: what the reader is told, the whole text with it, and the shapes that it declares anew."""

    label: str
    text: str
    shapes: Mapping[str, Shape] | None = None


class Slip(Exception):
    """A text is wrong. Of each list of `choices` the error offers the first that works."""

    def __init__(self, error: MathError, *choices: Sequence[Candidate]) -> None:
        super().__init__(error.what)
        self.error = error
        self.choices = choices


def mended(slip: Slip, read: Callable[[Candidate], Expr]) -> MathError:
    """The error of `slip` with the mends that `read` accepts; those that give a number come first."""
    error = slip.error
    if error.source is not None and len(error.source) > LONGEST:
        return error
    found = [label for label in (_first(choice, read) for choice in slip.choices) if label]
    error.mend = ", or ".join(found) or None
    return error


def _first(candidates: Iterable[Candidate], read: Callable[[Candidate], Expr]) -> str | None:
    fallback = None
    for candidate in candidates:
        try:
            result = read(candidate)
        except (MathError, Slip):
            continue
        if not result.rank:
            return candidate.label
        fallback = fallback or candidate.label
    return fallback


def printable(text: str) -> str:
    """`text` fit for an error message: characters without a look of their own become ?."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


# Functions with a meaning of their own that are not here: no other name is what was meant.
OTHERS = frozenset({
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "max", "min", "argmax", "argmin",
    "floor", "ceil", "round", "std", "var", "median", "prod", "cumsum", "trace", "det", "inv", "diag", "eye",
    "solve", "where", "clip", "erf", "gamma", "sort",
})  # fmt: skip


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that `name` may be meant for: relU → relu, logsoftmax → log_softmax."""
    names = list(known)
    same = [other for other in names if _bare(other) == _bare(name)]
    close = resembling(name, names, most=3) if len(name) > 1 else []
    close = [] if name in OTHERS else close
    return list(dict.fromkeys([*same, *close]))


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


# ------------------------------------------------------------------------------------- clashes of shapes


@record
class Operand:
    """One of two operands: its text, whether that can stand anywhere without parentheses, and its value."""

    text: str
    atomic: bool
    value: Expr
    variable: str | None = None

    @property
    def atom(self) -> str:
        """The text, in parentheses if it needs them."""
        return self.text if self.atomic else f"({self.text})"

    @property
    def transposed(self) -> str:
        """X.T for X, and X for X.T; X.mT where X has more than two axes."""
        sign = ".T" if self.value.rank == 2 else ".mT"
        return self.text.removesuffix(sign) if self.text.endswith(sign) else f"{self.atom}{sign}"


@record
class Clash:
    """Two operands that do not fit; `written` puts two texts and a sign together, `around` the whole text."""

    sign: str
    left: Operand
    right: Operand
    written: Callable[[str, str, str], str]
    around: Callable[[str], str]
    source: str

    def choices(self) -> list[list[Candidate]]:
        """What may have been meant; of each list the first that can be read is offered."""
        if (pair := self._vector_and_column()) is not None:
            return pair
        return [
            [
                *self._by_rows(),
                *self._transposed(),
                *self._other_sign(),
                *self._redeclared(),
                *self._columns(),
            ]
        ]

    def _edited(self, left: str, right: str, sign: str | None = None) -> Candidate:
        local = self.written(left, sign or self.sign, right)
        return Candidate(local, self.around(local))

    def _transposed(self) -> list[Candidate]:
        a, b = self.left, self.right
        found = []
        if a.value.rank > 1:
            found.append(self._edited(a.transposed, b.text))
        if b.value.rank > 1:
            found.append(self._edited(a.text, b.transposed))
        if self.sign == "@":
            found.append(self._edited(b.atom, a.atom))
        return found

    def _other_sign(self) -> list[Candidate]:
        a, b = self.left, self.right
        other = {"*": "@", "@": "*"}.get(self.sign)
        return [self._edited(a.text, b.text, other)] if other else []

    def _redeclared(self) -> list[Candidate]:
        """Another shape for a variable: w:d."""
        a, b = self.left, self.right
        s, t = a.value.shape, b.value.shape
        found = []
        for operand, shape in ((b, _fitted(t, s, self.sign, 1)), (a, _fitted(s, t, self.sign, 0))):
            if operand.variable is not None and shape != operand.value.shape:
                label = f"{operand.variable}:{','.join(map(str, shape))}"
                found.append(Candidate(label, self.source, {operand.variable: shape}))
        return found

    def _by_rows(self) -> list[Candidate]:
        """A vector with an entry for each row of the matrix beside it: X / sum(X, axis=1)[:, None]."""
        a, b = self.left.value.shape, self.right.value.shape
        fits = {len(a), len(b)} == {1, 2} and a[0] == b[0] and self.sign != "@"
        return self._columns() if fits else []

    def _columns(self) -> list[Candidate]:
        """A vector as a column."""
        a, b = self.left, self.right
        found = []
        if b.value.rank == 1:
            found.append(self._edited(a.text, f"{b.atom}[:, None]"))
        if a.value.rank == 1:
            found.append(self._edited(f"{a.atom}[:, None]", b.text))
        return found if self.sign != "@" else []

    def _vector_and_column(self) -> list[list[Candidate]] | None:
        """A vector and a column: entry by entry, or every entry with every other?"""
        a, b = self.left, self.right
        if self.sign == "@" or sorted((a.value.rank, b.value.rank)) != [1, 2]:
            return None
        vector, matrix = (a, b) if a.value.rank == 1 else (b, a)
        if matrix.value.shape[1] != 1 or vector.value.shape == (1,):
            return None
        flat, wide = f"squeeze({matrix.text}, axis=1)", f"{vector.atom}[None, :]"
        options = []
        for old, new, meaning in ((matrix, flat, "entry by entry"), (vector, wide, "every pair")):
            texts = [new if operand is old else operand.text for operand in (a, b)]
            edited = self._edited(*texts)
            options.append([Candidate(f"{edited.label} ({meaning})", edited.text)])
        return options


def _fitted(shape: Shape, other: Shape, sign: str, side: int) -> Shape:
    """`shape` with the sizes that `other` asks for on the other side of `sign`."""
    sizes = list(shape)
    if not shape or not other:
        return shape
    if sign == "@":
        if side == 1:
            sizes[max(0, len(sizes) - 2)] = other[-1]
        else:
            sizes[-1] = other[max(0, len(other) - 2)]
        return tuple(sizes)
    for k in range(1, min(len(shape), len(other)) + 1):
        if other[-k] != 1:
            sizes[-k] = other[-k]
    return tuple(sizes)


def shape_facts(operands: Iterable[tuple[str, Expr]]) -> tuple[str, ...]:
    """ "X is N×d" for each operand."""
    return tuple(
        dict.fromkeys(
            f"{text if len(text) <= 40 else text[:37] + '…'} is {shape_text(value.shape)}"
            for text, value in operands
        )
    )
