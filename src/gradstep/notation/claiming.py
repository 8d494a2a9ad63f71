"""How is a claim read? A formula, or a chain of lines, each saying that two things are the same.

A line is `∂C/∂z = …`, `dw = …`, `dC = ⟨G, dN⟩`, `z = X w + b`, or goes on from the line before: `= …`. Each
is read in NumPy's syntax where it is that, and as written mathematics else. What a line must equal follows
from its left side: a derivative of the loss, how the loss moves, a part of the loss.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import permutations

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape
from gradstep.notation.calling import WHICH
from gradstep.notation.coding import Reader
from gradstep.notation.handwriting import Reader as WrittenReader
from gradstep.notation.mending import Slip, mended
from gradstep.notation.pieces import cleaned, pieces
from gradstep.notation.places import Formula
from gradstep.notation.raising import Raised, lengths, settled
from gradstep.notation.scanning import MOST_CHARACTERS, statements
from gradstep.notation.truths import Subject, Truths
from gradstep.notation.vocabulary import Words
from gradstep.operations.leaves import checked_name

MOST_LINES = 200
WRITTEN = re.compile(r"[^\x00-\x7f]|[\\^{}|$]|_\{|\bd\w+\s*/\s*d\w|\d\s*\[|\.grad\b")
PRIMED = re.compile(r"([A-Za-z]\w*)\s*(?:['′’]|\^\{?\\prime\}?)\s*(?:\(\s*([A-Za-z]\w*)\s*\))?")
PLAIN_NAME = re.compile(r"[A-Za-z]\w*(?:\.grad)?")
# How people call ∂C/∂w in code.
GRADIENTS = (
    "grad_{}",
    "d_{}",
    "d{}",
    "{}_grad",
    "{}.grad",
    "g_{}",
    "g{}",
    "{}_bar",
    "{}bar",
    "grad{}",
    "D{}",
    "delta_{}",
)
LIBRARY = re.compile(r"\b(?:np|numpy|jnp|torch|math)\.(?:linalg\.)?(?=[A-Za-z])(?!a?m(?:ax|in)\b)")
QUOTED = re.compile(r"'([A-Za-z, ]{0,200}->[A-Za-z ]{0,40})'")
TABLE = re.compile(r"\\(begin|end)\s*\{(?:cases|[pbBvV]?matrix|smallmatrix)\}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `claim` should have the entries of `truth`; what stands there is source[start:end].

    `free` are indices that no sum binds and that do not stand on the left side; the claim has an axis for
    each, in front, and the truth is repeated along them. `truth` is None where the line gives a name.
    """

    subject: Subject
    start: int
    end: int
    claim: Expr
    truth: Expr | None
    free: tuple[str, ...] = ()
    raised: Raised | None = None


def lines_of(source: str, truths: Truths) -> list[Line]:
    """All lines of a claim; raises `MathError` at what cannot be read."""
    if not isinstance(source, str):
        raise MathError(f"a claim is text, not {type(source).__name__}")
    if len(source) > MOST_CHARACTERS:
        raise MathError(f"a claim has at most {MOST_CHARACTERS:,} characters")
    found = list(_Claiming(source, truths).lines())
    if not found:
        raise MathError("there is no claim here", source=source.strip()[:80] or None)
    return found


class _Claiming:
    """Reads one claim from its first line to its last."""

    def __init__(self, source: str, truths: Truths) -> None:
        self.source, self.truths = source, truths
        self.text = cleaned(source)
        self.differential = any(_is_change(self.text[a:b], truths.losses) for a, b in _statements(self.text))
        self.defined: dict[str, Expr] = {}
        self.subject: Subject | None = None
        self.indices: tuple[str, ...] = ()

    def lines(self) -> Iterator[Line]:
        spans = list(_statements(self.text))
        if len(spans) > MOST_LINES:
            raise MathError(f"a claim has at most {MOST_LINES} lines")
        for start, end in spans:
            yield from self.statement(start, end)

    def statement(self, start: int, end: int) -> Iterator[Line]:
        """One statement: a = b = c, or = b, or b alone."""
        parts = list(_sides(self.text, start, end))
        first, *others = parts
        begin = self._bare(*first)
        if not others:
            self.subject = self.subject if self.subject and self.subject.kind == "gradient" else None
            yield self.line(self.only(first), *begin)
            return
        if begin[0] < begin[1]:
            self.subject = None
            self.subject = self.left(*begin)
        elif self.subject is None:
            raise self.error("this line goes on from one that is not there", first[0], others[0][0] + 1)
        for part in others:
            a, b = self._bare(*part)
            if a == b:
                raise self.error("nothing follows this =", part[0] - 1, part[0])
            yield self.line(self.subject, a, b)

    def _bare(self, start: int, end: int) -> tuple[int, int]:
        """A span without the space around it."""
        text = self.text[start:end]
        lead = len(text) - len(text.lstrip(" \n&"))
        return start + min(lead, len(text)), start + max(lead, len(text.rstrip(" \n&.,")))

    def error(self, what: str, start: int, end: int, mend: str | None = None) -> MathError:
        return MathError(what, source=self.source, span=(start, end), mend=mend)

    def only(self, span: tuple[int, int]) -> Subject:
        """A formula without a left side is ∂C/∂w, if one parameter is asked for."""
        names = self.truths.wrt
        if len(names) > 1:
            lines = "; ".join(f"d{name} = …" for name in names)
            raise self.error("which gradient is this? Several are asked for", *self._bare(*span), lines)
        return self.truths.gradient(names[0])

    # ------------------------------------------------------------------------------------ left sides

    def left(self, start: int, end: int) -> Subject:
        """What the left side of a line is."""
        text = self.text[start:end]
        self.indices = ()
        if PLAIN_NAME.fullmatch(text):
            return self.named(text, start, end)
        slope = self.slope(start, end) or self.primed(text)
        if slope is not None:
            return slope
        if (change := self.change(start, end)) is not None:
            return change
        if (given := self.indexed(start, end)) is not None:
            return given
        value = self.read(start, end)
        return Subject("equation", text, settled(value, value.over, value.expr.shape)[0])

    def named(self, text: str, start: int, end: int) -> Subject:
        """A name: a part of the loss, a gradient as code calls it, or a name of the claim's own."""
        truths = self.truths
        if text in truths.own or (text in truths.values and text in truths.variables):
            return Subject("part", text, truths.values[text])
        if text[0] == "d" and text[1:] in truths.losses:
            return Subject("change", text, truths.loss)
        for pattern in GRADIENTS:
            head, tail = pattern.split("{}")
            inner = text.removeprefix(head).removesuffix(tail)
            if head + inner + tail == text and inner and inner in truths.values and inner not in truths.sizes:
                part = truths.values[inner]
                if self.differential and pattern == "d{}":
                    return Subject("change", text, part)
                if truths.moves(part):
                    return replace(truths.gradient(inner), name=text)
        if (
            text in truths.values
            and text not in truths.sizes
            and text not in self.defined
            and text not in truths.losses
        ):
            return Subject("definition", text, truths.values[text])
        try:
            checked_name(text)
        except MathError as error:
            raise error.at(self.source, (start, end)) from None
        return Subject("definition", text)

    def slope(self, start: int, end: int) -> Subject | None:
        """∂C/∂z, \\frac{\\partial C}{\\partial z}, dC/dz, ∇_w C."""
        reader = self.written(start, end)
        head = reader.peek()
        named = head.kind == "name" and head.text[:1] == "d" and reader.peek(1).text == "/"
        if head.text not in ("∂", "∇", "frac") and not named:
            return None
        noted: list[tuple[Expr | None, Expr]] = []

        def noting(of: Expr | None, by: Expr) -> Expr:
            noted.append((of, by))
            return self.truths.slope(of, by)

        reader.words = replace(reader.words, slope=noting)
        value = reader.sum()
        if reader.at < len(reader.pieces) or len(noted) != 1:
            return None
        of, by = noted[0]
        self.indices = value.over
        whole = settled(value, value.over, value.expr.shape)[0]
        name, entry = self.text[start:end], bool(self.indices)
        if of is None or of is self.truths.loss:
            if entry:
                whole_name = self.truths.gradient_name(by)
                return Subject("gradient", f"{whole_name}, entry {', '.join(self.indices)}", whole, entry)
            return Subject("gradient", self.truths.gradient_name(by), by)
        total = None if entry else self.truths.total(of, by)
        return Subject("slope", name, whole, entry, total)

    def primed(self, text: str) -> Subject | None:
        """f′(x), f'(x) or f', where one parameter is asked for."""
        found = PRIMED.fullmatch(text)
        if found is None or found[1] not in self.truths.losses or self.truths.loss.rank:
            return None
        (name,) = self.truths.wrt if len(self.truths.wrt) == 1 else ("",)
        return self.truths.gradient(name) if name and found[2] in (None, name) else None

    def change(self, start: int, end: int) -> Subject | None:
        """dC, d\\mathbf{z}."""
        reader = self.written(start, end)
        first = reader.peek()
        if first.kind != "name" or first.text[:1] != "d":
            return None
        if first.text == "d":
            reader.take()
            name = reader.take()
            text = name.text
        else:
            reader.take()
            text = first.text[1:]
        if reader.at < len(reader.pieces):
            return None
        if text in self.truths.losses:
            return Subject("change", self.text[start:end], self.truths.loss)
        if text in reader.words.keys:
            return Subject("change", self.text[start:end], reader.words.keys[text])
        return None

    def indexed(self, start: int, end: int) -> Subject | None:
        """zᵢ of a part that is known, or the entries rᵢ of one that gets its name here."""
        try:
            value = self.written(start, end).sum()
        except MathError:
            found = re.fullmatch(
                r"(?:\\\w+\{)?([A-Za-z])\}?(?:_\{?([i-n,\s]+)\}?|([ᵢⱼₖₗₘₙ]+))", self.text[start:end].strip()
            )
            if found is None:
                return None
            letters = found[2] or found[3].translate(str.maketrans("ᵢⱼₖₗₘₙ", "ijklmn"))
            self.indices = tuple(letter for letter in letters if letter.isalpha())
            return Subject("definition", found[1])
        self.indices = value.over
        return Subject("part", self.text[start:end], settled(value, value.over, value.expr.shape)[0])

    # ------------------------------------------------------------------------------------ right sides

    def line(self, subject: Subject, start: int, end: int) -> Line:
        """One side, and what it should be."""
        truth = self.truths.truth(subject)
        value = self.read(start, end, subject, () if truth is None else truth.shape)
        over = self.indices or entries_of(value, truth)
        shape = value.expr.shape if truth is None else truth.shape
        try:
            claim, free = settled(value, over, shape)
        except MathError as error:
            raise error.at(self.source, (start, end)) from None
        if subject.kind == "definition" or (
            subject.kind == "gradient" and PLAIN_NAME.fullmatch(subject.name)
        ):
            self.defined[subject.name] = claim
        return Line(subject, start, end, claim, truth, free, value)

    def read(self, start: int, end: int, subject: Subject | None = None, shape: Shape = ()) -> Raised:
        """What text[start:end] writes, in NumPy's syntax or as mathematics."""
        changing = subject is not None and subject.kind == "change"
        if not WRITTEN.search(self.text[start:end]):
            try:
                return Raised(self.numpy(start, end, changing))
            except MathError as error:
                if error.what == WHICH:
                    raise self.placed(error) from None
                try:
                    return self.whole(self.written(start, end, changing, shape))
                except MathError as other:
                    side_by_side = error.what.startswith("an operator is missing")
                    raise (other if side_by_side else self.placed(error)) from None
        return self.whole(self.written(start, end, changing, shape))

    def placed(self, error: MathError) -> MathError:
        if error.source is not None:
            error.source = self.source
        return error

    def whole(self, reader: WrittenReader) -> Raised:
        value = reader.sum()
        if reader.at < len(reader.pieces):
            reader.wrong("this is left over")
        return value

    def written(self, start: int, end: int, changing: bool = False, shape: Shape = ()) -> WrittenReader:
        """The reader of written mathematics for this piece of text; a result of this shape is expected."""
        truths = self.truths
        words = Words(
            truths.values | self.defined,
            truths.slope,
            truths.losses,
            truths.change if changing else None,
            truths.values[truths.wrt[0]] if len(truths.wrt) == 1 else None,
        )
        source = self.source if len(self.source) == len(self.text) else self.text
        found = pieces(self.text, start, end)
        reader = WrittenReader(source, found, words)
        reader.shape = shape
        reader.sizes.update(zip(self.indices, shape, strict=False))
        return reader

    def numpy(self, start: int, end: int, changing: bool) -> Expr:
        """The formula in NumPy's syntax; its places are those in the whole text."""
        known = self.truths.values | self.defined
        if changing:
            moving = {f"d{name}": part for name, part in known.items() if f"d{name}" not in known}
            used = set(re.findall(r"[A-Za-z]\w*", self.text[start:end]))
            known |= {name: self.truths.change(part) for name, part in moving.items() if name in used}

        def expression(text: str) -> Expr:
            reader = Reader(text, self.truths.variables)
            reader.sizes |= self.truths.sizes.keys()
            reader.given = {
                name: part
                for name, part in known.items()
                if name not in reader.variables and name not in reader.sizes
            }
            (statement,) = statements(text)
            return reader.value(Formula.read(text, statement))

        text = QUOTED.sub(r'"\1"', LIBRARY.sub(lambda found: " " * len(found[0]), self.text[start:end]))
        try:
            return expression(" " * start + text)
        except Slip as slip:
            raise mended(slip, lambda candidate: expression(candidate.text)) from None


def entries_of(value: Raised, truth: Expr | None) -> tuple[str, ...]:
    """The indices of a claim that tells one entry of what is asked, as in eᶻⁱ/Σⱼ eᶻʲ: each an axis of it."""
    if truth is None or not value.over or value.rank + len(value.over) != truth.rank:
        return ()
    for order in permutations(sorted(value.over)):
        known = lengths(value)
        if tuple(known[index] for index in order) == truth.shape[: len(order)]:
            return order
    return ()


# ------------------------------------------------------------------------------------------- text


def _is_change(statement: str, losses: Collection[str]) -> bool:
    """Whether a statement says how the loss moves: dC = …"""
    head, sign, _ = statement.partition("=")
    bare = re.sub(r"\\(?:mathrm|mathit|mathcal|,|!)|[{}\s&]", "", head)
    return bool(sign) and bare[:1] == "d" and bare[1:] in losses


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Where each statement stands: they end at a line's end, ; or \\\\ outside all brackets."""
    depth = cases = 0
    start = at = 0
    while at < len(text):
        if (found := TABLE.match(text, at)) is not None:
            cases += 1 if found[1] == "begin" else -1
        letter = text[at]
        ends = depth <= 0 and not cases and (letter in "\n;" or text.startswith("\\\\", at))
        if letter == "\\" and not text.startswith("\\\\", at):
            at += 1  # \{ and \} are brackets of the formula, \; is space
            letter = text[at] if at < len(text) and text[at] in "{}" else ""
        depth += (letter in "([{⟨" if letter else 0) - (letter in ")]}⟩" if letter else 0)
        if ends:
            if text[start:at].strip(" &") and not _goes_on(text, at):
                yield start, at
                start = at + 1 + text.startswith("\\\\", at)
            elif not text[start:at].strip(" &"):
                start = at + 1 + text.startswith("\\\\", at)
            at += text.startswith("\\\\", at)
        at += 1
    if text[start:].strip(" &\n"):
        yield start, len(text)


def _goes_on(text: str, at: int) -> bool:
    """Whether the next line begins with + or −, or this one ends with a sign."""
    rest = text[at + 1 + text.startswith("\\\\", at) :].lstrip(" \n&")
    return text[at] == "\n" and (rest[:1] == "+" or text[:at].rstrip(" &")[-1:] in "+-−*/@=·⊙")


def _sides(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sides of a = b = c: the = outside brackets that are no part of ==, <= or >=."""
    depth, begin = 0, start
    at = start
    while at < end:
        letter = text[at]
        depth += (letter in "([{⟨") - (letter in ")]}⟩")
        if letter == "=" and depth == 0:
            if text[at + 1 : at + 2] == "=" or text[at - 1 : at] in ("<", ">", "!", "="):
                at += 1
                continue
            yield begin, at - (text[at - 1 : at] == ":")
            begin = at + 1
        at += 1
    yield begin, end
