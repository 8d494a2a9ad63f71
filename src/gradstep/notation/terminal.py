"""How does a derivation stand in a terminal? Numbered lines, aligned at the equals sign, remarks beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from gradstep.expression.boxes import Box
from gradstep.expression.errors import MathError
from gradstep.expression.records import record, replaced
from gradstep.notation.plain import block, display_width, line, wrap
from gradstep.notation.presentation import Presentation, Said, Section

MARGIN = 4  # before a line without a number
ASIDE = 2  # a remark between the lines stands so much further in
GAP = 4  # between a formula and what is said of it
NARROW = 24  # columns that remarks need beside formulas, or they go below
WIDE = 0.45  # of the room, for what stands before an equals sign, or it gets a row of its own
CROWDED = 76  # columns; below, shapes stand among the remarks
TOGETHER = 48  # several forms of one thing stay on one row up to this width
FLAT = 32  # up to this width a fraction stays in line
TRIES = 12  # places that are tried for the column of remarks
UNBROKEN = 24  # a bracket in a sentence is not broken if it is no longer

BOLD, FAINT, GREEN, RED = "1", "2", "32", "31"


def text(presentation: Presentation, width: int = 100, *, opened: bool = False, colour: bool = False) -> str:
    """The presentation as plain text, no line wider than `width` (at least 40).

    `opened` shows under each line the steps that make it and its proof entry by entry; `colour` is for ANSI.
    """
    if not isinstance(width, int):
        raise MathError(f"a width is a number of columns, not {width!r:.40}", mend="width=100")
    page = _Page(max(40, width), opened, colour)
    for section in presentation.sections:
        page.section(section)
    for note in presentation.notes:
        page.paragraph(note, FAINT)
    page.paragraph(presentation.proof, {"✓": GREEN, "✗": RED}.get(presentation.proof[:1], FAINT))
    return "\n".join(page.lines)


# ------------------------------------------------------------------------------------------- the page


class _Page:
    """The rows written so far."""

    def __init__(self, width: int, opened: bool, colour: bool) -> None:
        self.width, self.opened, self.colour = width, opened, colour
        self.lines: list[str] = []

    def section(self, section: Section) -> None:
        """A heading and what stands under it."""
        if self.lines:
            self.lines.append("")
        self.lines.append(self.painted(section.title, BOLD))
        self.table(section.lines)

    def table(self, said: Sequence[Said]) -> None:
        """Lines in common columns."""
        table = _Table(said, self.width)
        for entry in table.entries:
            self.rows(table, entry)
            if self.opened:
                self.behind(entry.said)

    def rows(self, table: _Table, entry: _Entry) -> None:
        for number, formula, shape, remark in table.rows(entry):
            parts = [_padded(number, table.indent), _padded(formula, table.formula)]
            parts += [self.painted(_padded(shape, table.shape), FAINT), self.painted(remark, FAINT)]
            self.lines.append("".join(parts).rstrip())

    def behind(self, said: Said) -> None:
        """What a line opens to: its steps, and its proof entry by entry."""
        margin = " " * (MARGIN + ASIDE)
        for heading, lines in said.openings():
            inner = _Page(self.width - len(margin), False, self.colour)
            inner.table(lines)
            self.lines.append(margin + self.painted(heading, FAINT))
            self.lines += [margin + text for text in inner.lines]
        if said.details or said.proof:
            self.lines.append("")

    def paragraph(self, words: str, colour: str) -> None:
        """A sentence on its own."""
        self.lines += ["", *(self.painted(row, colour) for row in _wrapped(words, self.width, "  "))]

    def painted(self, words: str, code: str) -> str:
        """`words` in a colour, if colours are wanted."""
        return f"\033[{code}m{words}\033[0m" if self.colour and words.strip() else words


# ------------------------------------------------------------------------------------------- a section


@record
class _Band:
    """A drawn formula: its rows, the one that joins its line, and what is said of it."""

    rows: tuple[str, ...]
    baseline: int
    remark: str

    @property
    def width(self) -> int:
        """Columns on the screen."""
        return max(map(display_width, self.rows), default=0)


@record
class _Entry:
    """A line and its bands, one for each form."""

    said: Said
    bands: tuple[_Band, ...]


class _Table:
    """The columns of a section: number, formula, shape, remark."""

    def __init__(self, lines: Sequence[Said], width: int) -> None:
        last = max((said.number or 0 for said in lines), default=0)
        self.indent = max(MARGIN, len(str(last)) + 3)
        self.room = width - self.indent
        bare: list[Said] = []
        rest: list[Said] = []
        for said in lines:
            (bare if said.left is None and said.number is None and not _remark(said) else rest).append(said)
        if width < CROWDED:  # no column for shapes
            rest = [replaced(said, shape="", rule=_and(said.shape, said.rule)) for said in rest]
        self.lefts = [0, 0]
        for said in rest:
            if said.left is not None and (size := display_width(line(said.left))) <= self.room * WIDE:
                self.lefts[said.indent > 0] = max(self.lefts[said.indent > 0], size)
        self.entries = [_Entry(said, tuple(self.bands(said))) for said in rest]
        self.entries += [_Entry(Said(None, ()), (band,)) for band in self.side_by_side(bare)]
        self.shape = max((display_width(said.shape) for said in rest), default=0)
        if self.shape and any(map(_remark, rest)):
            self.shape += 3
        self.formula = self.column()
        self.remark = self.room - self.formula - self.shape

    def column(self) -> int:
        """How wide the formulas' column is: so that there are as few rows as possible."""
        bands = [
            (band.width, len(band.rows) - band.baseline, display_width(band.remark), band is entry.bands[0])
            for entry in self.entries
            for band in entry.bands
            if band.remark or entry.said.shape
        ]
        most = self.room - self.shape - (NARROW if any(words for _, _, words, _ in bands) else 0)
        widths = sorted({width + GAP for width, *_ in bands if width + GAP <= most})
        if not widths:
            return MARGIN + GAP if bands else 0

        def rows(column: int) -> int:
            room = self.room - column - self.shape
            total = 0
            for width, height, words, _ in bands:
                below = -(-words // max(1, room))
                total += max(height, below) if width + GAP <= column else height + max(1, below) + 1
            return total

        tried = [widths[-1 - k * len(widths) // TRIES] for k in range(min(TRIES, len(widths)))]
        return min(sorted(tried), key=rows)

    def rows(self, entry: _Entry) -> Iterator[tuple[str, str, str, str]]:
        """The rows of one line: number, formula, shape, remark."""
        number = f"{entry.said.number:>{self.indent - 2}}" if entry.said.number is not None else ""
        shape = entry.said.shape
        for band in entry.bands:
            lead = [""] * band.baseline
            words = _wrapped(band.remark, max(self.remark, 1)) if band.remark else []
            fits = band.width + GAP <= self.formula and (self.remark >= NARROW or not words)
            if fits or not (words or shape):
                columns = ([*lead, number], band.rows, [*lead, shape], [*lead, *words])
                yield from zip_longest(*columns, fillvalue="")
            else:
                yield from (
                    (n, row, "", "") for n, row in zip_longest([*lead, number], band.rows, fillvalue="")
                )
                if self.remark < NARROW:
                    words = _wrapped(_and(shape, band.remark), self.room - MARGIN)
                    yield from (("", " " * MARGIN + word, "", "") for word in words)
                else:
                    yield from (("", "", s, word) for s, word in zip_longest([shape], words, fillvalue=""))
            number = shape = ""

    # ------------------------------------------------------------------------------- drawing

    def bands(self, said: Said) -> Iterator[_Band]:
        """The formula of a line: one band for each of its forms, or one for all if they are short."""
        lines = said.lines(_remark(said))
        if said.left is None and said.number is None:
            yield from (self.band(form, "", remark) for form, remark in lines)
            return
        left = line(said.left) if said.left is not None else ""
        if said.left is not None and display_width(left) > self.room * WIDE:
            yield self.band(said.left, " " * (ASIDE * said.indent), "")
            left = ""
        head = " " * (ASIDE * said.indent) + _padded(left, self.lefts[said.indent > 0])
        bands = []
        for form, remark in lines:
            bands.append(self.band(form, f"{head} = ", remark))
            head = " " * display_width(head)
        first, *others = bands
        if others and not said.because and all(len(band.rows) == 1 for band in bands):
            together = " ".join([first.rows[0], *(band.rows[0].strip() for band in others)])
            if display_width(together) <= TOGETHER:
                bands = [_Band((together,), 0, first.remark)]
        yield from bands

    def band(self, form: Box, head: str, remark: str) -> _Band:
        """A formula after `head`, in line if it is short and else drawn over several rows."""
        before = display_width(head)
        flat = line(form)
        if display_width(flat) <= min(FLAT, self.room - before) and "{" not in flat:
            return _Band((head + flat,), 0, remark)
        drawn = block(form, max(20, self.room - before))
        if drawn.width > self.room - before:
            first, *others = wrap(flat, max(20, self.room - before))
            return _Band((head + first, *(" " * before + row for row in others)), 0, remark)
        rows = [(head if k == drawn.baseline else " " * before) + row for k, row in enumerate(drawn.lines)]
        return _Band(tuple(rows), drawn.baseline, remark)

    def side_by_side(self, lines: Iterable[Said]) -> Iterator[_Band]:
        """Bare formulas, several on a row."""
        row = ""
        for said in lines:
            for band in self.bands(said):
                if len(band.rows) > 1:
                    yield from (_Band((row,), 0, ""), band) if row else (band,)
                    row = ""
                    continue
                longer = f"{row}{' ' * 8 if row else ''}{band.rows[0]}"
                if row and display_width(longer) > self.room:
                    yield _Band((row,), 0, "")
                    longer = band.rows[0]
                row = longer
        if row:
            yield _Band((row,), 0, "")


# ------------------------------------------------------------------------------------------- words


def _remark(said: Said) -> str:
    """The rule, the reason, what is taken at a kink, and for which layers this holds."""
    told = ": ".join(part for part in (said.rule, said.why) if part)
    return f"{'; '.join(part for part in (told, said.kink) if part)} {said.where}".strip()


def _and(first: str, second: str) -> str:
    return "; ".join(part for part in (first, second) if part)


def _padded(words: str, width: int) -> str:
    return words + " " * (width - display_width(words))


def _wrapped(sentence: str, width: int, indent: str = "") -> list[str]:
    """A sentence over as many rows as it needs, each after the first indented."""
    rows: list[str] = []
    row = ""
    for word in _words(sentence, width):
        longer = f"{row} {word}" if row else word
        if row and display_width(longer) > width:
            rows.append(row)
            longer = indent + word
        row = longer
    return [*rows, row]


def _words(sentence: str, width: int) -> Iterator[str]:
    """Where a sentence may break: at spaces, but not inside a short bracket."""
    waiting: list[str] = []
    depth = 0
    for word in sentence.split():
        waiting.append(word)
        depth += sum((letter in "(⟨[") - (letter in ")⟩]") for letter in word)
        if depth <= 0:
            whole = " ".join(waiting)
            yield from [whole] if display_width(whole) <= min(UNBROKEN, width) else waiting
            waiting, depth = [], 0
    yield from waiting
