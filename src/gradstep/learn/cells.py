"""What do cells of text hold? Numbers, dates or categories: the texts, and how often each occurs, tell.

The same judgement is made of a table in memory and of one that comes window by window: `Seen` of two runs of
rows add up to that of both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.columns import Column, Kind, Table, shown

Form: TypeAlias = Literal["number", "date", "dressed", "text"]
Reading: TypeAlias = Literal["number", "date", "category"]

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "."})
"""Cells that stand for a missing value, in any case."""
MOST_WORDS = 100_000  # different texts of a column that are kept
MOST_LETTERS = 1 << 25  # of all of them
FEW = 4  # examples for a message
READ_AS_YEARS = "holds dates: read as years with decimals"


@record
class Style:
    """How numbers are written."""

    decimal: str
    thousands: str

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise MathError(
                f"the decimal mark is a point or a comma, not {self.decimal!r}", mend='decimal=","'
            )
        if (
            self.thousands not in ("", ",", ".", "'", " ", "_", "\u00a0", "\u202f")
            or self.thousands == self.decimal
        ):
            raise MathError(f"{self.thousands!r} cannot separate thousands here", mend='thousands=","')

    def number(self, cell: str) -> float | None:
        """The number in a cell; None if it is none. Beyond the largest 64-bit number it is infinite."""
        if self.thousands and self.thousands in cell:
            whole, mark, rest = cell.partition(self.decimal)
            head, *groups = whole.split(self.thousands)
            if len(head.lstrip("+-")) > 3 or any(len(group) != 3 for group in groups):
                return None
            cell = head + "".join(groups) + mark + rest
        if self.decimal != ".":
            if "." in cell:
                return None
            cell = cell.replace(self.decimal, ".")
        return plain_number(cell)

    def form(self, cell: str) -> Form:
        """What a cell that is not missing looks like."""
        if self.number(cell) is not None:
            return "number"
        if re.fullmatch(_DATE, cell):
            return "date"
        return "dressed" if re.fullmatch(_DRESSED, cell) else "text"


PLAIN = Style(".", "")
_DATE = r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?"
_DRESSED = r"[$€£¥]? ?[+−-]?[$€£¥]?\d+([.,'  ]\d{3})*([.,]\d+)? ?[%$€£¥]?"


def plain_number(cell: str) -> float | None:
    try:
        value = float(cell.replace("−", "-"))
    except ValueError:
        return None
    return None if "_" in cell or math.isnan(value) else value


def is_missing(cell: str) -> bool:
    return cell.strip().casefold() in MISSING


def counts_rows(numbers: Sequence[float | None]) -> bool:
    return list(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


@dataclass(eq=False)
class Seen:
    """The cells of a column, by their texts without spaces around them.

    `counts` says how often each text occurs, `forms` how many cells look like a number, a date …, `firsts`
    has the first few of each form, a row and a text. `counts` is None where the texts are too many to keep.
    """

    style: Style = PLAIN
    missing: int = 0
    counts: dict[str, int] | None = field(default_factory=dict)
    forms: dict[Form, int] = field(default_factory=dict)
    firsts: dict[Form, list[tuple[int, str]]] = field(default_factory=dict)
    letters: int = 0

    @property
    def present(self) -> int:
        """How many cells are not missing."""
        return sum(self.forms.values())

    def take(self, words: Iterable[tuple[str, int, int]], bounded: bool = True) -> None:
        """Texts without spaces around them, how often each occurs, and its first row, in order of these."""
        for word, count, row in words:
            if word.casefold() in MISSING:
                self.missing += count
                continue
            form = self.style.form(word)
            self.forms[form] = self.forms.get(form, 0) + count
            few = self.firsts.setdefault(form, [])
            if len(few) < FEW and all(word != other for _, other in few):
                few.append((row, word))
            if self.counts is not None:
                if word not in self.counts:
                    self.letters += len(word)
                self.counts[word] = self.counts.get(word, 0) + count
                self._let_go(bounded)

    def _let_go(self, bounded: bool) -> None:
        if (
            bounded
            and self.counts is not None
            and (len(self.counts) > MOST_WORDS or self.letters > MOST_LETTERS)
        ):
            self.counts = None

    def __add__(self, other: Seen) -> Seen:
        """Both; the rows of the other come later."""
        both = Seen(self.style, self.missing + other.missing, None)
        if self.counts is not None and other.counts is not None:
            both.counts = dict(self.counts)
            for word, count in other.counts.items():
                both.counts[word] = both.counts.get(word, 0) + count
            both.letters = sum(map(len, both.counts))
            both._let_go(True)
        for form in {**self.forms, **other.forms}:
            both.forms[form] = self.forms.get(form, 0) + other.forms.get(form, 0)
            one = self.firsts.get(form, [])
            known = {word for _, word in one}
            both.firsts[form] = [
                *one,
                *(each for each in other.firsts.get(form, []) if each[1] not in known),
            ][:FEW]
        return both

    def all_but(self, form: Form) -> list[tuple[int, str]]:
        """The first cells of other forms."""
        return sorted(each for other, few in self.firsts.items() if other != form for each in few)[:FEW]

    def examples(self, form: Form) -> list[str]:
        """Texts of a form: all different ones, or the first where they are too many."""
        if self.counts is None:
            return [word for _, word in self.firsts.get(form, [])]
        return [word for word in self.counts if self.style.form(word) == form]


def leaning(seen: Seen, wanted: Kind | None) -> Reading:
    """What a column of these cells holds, if what does not fit is a mistake."""
    present, numbers, dates = seen.present, seen.forms.get("number", 0), seen.forms.get("date", 0)
    if wanted == "category":
        return "category"
    if dates and dates == present:
        return "date"
    if wanted == "number" or _mostly(numbers, present):
        return "number"
    return "date" if _mostly(dates, present) else "category"


def judged(name: str, seen: Seen, wanted: Kind | None, place: Callable[[int], str]) -> Reading:
    """What a column of these cells holds; `place` says where a row stands, "in line 7"."""
    present, numbers = seen.present, seen.forms.get("number", 0)
    reading = leaning(seen, wanted)
    if reading == "number" and numbers < present:
        raise _text_among_numbers(name, seen, place)
    if reading == "date" and seen.forms["date"] < present:
        row, odd = seen.all_but("date")[0]
        raise MathError(
            f"the column {shown(name)} holds dates, but {shown(odd)} {place(row)}",
            mend=f'a date such as 2001-12-31 there, or kinds={{"{name}": "category"}}',
        )
    dressed = seen.forms.get("dressed", 0)
    if reading == "category" != wanted and dressed and 10 * (numbers + dressed) >= 9 * present:
        raise _dressed_numbers(name, seen, place)
    return reading


def worth(name: str, word: str, reading: Reading, style: Style, place: str) -> float:
    """The number in a cell of numbers or of dates; NaN where it is missing."""
    if word.casefold() in MISSING:
        return math.nan
    value = year(name, word, place) if reading == "date" else style.number(word)
    assert value is not None  # as it was judged
    return value


def column_of(
    name: str, cells: Sequence[str], wanted: Kind | None, style: Style, table: Table
) -> tuple[Column, list[str]]:
    """The column that these cells are, with what had to be said about it."""
    if wanted != "category" and style == PLAIN:
        values = all_numbers(cells)
        if values is not None:
            return Column(name, "number", values), []
    stripped = [cell.strip() for cell in cells]
    firsts: dict[str, int] = {}
    counts: dict[str, int] = {}
    for row, cell in enumerate(stripped):
        counts[cell] = counts.get(cell, 0) + 1
        firsts.setdefault(cell, row)
    seen = Seen(style)
    seen.take(((word, count, firsts[word]) for word, count in counts.items()), bounded=False)
    reading = judged(name, seen, wanted, table.place)
    if reading == "category":
        texts = [None if cell.casefold() in MISSING else cell for cell in stripped]
        return Column(name, "category", np.array(texts, dtype=object)), []
    worths = {word: worth(name, word, reading, style, table.place(row)) for word, row in firsts.items()}
    values = np.array([worths[cell] for cell in stripped])
    check_finite(name, values, table.place, stripped)
    return Column(name, "number", values), [f"{shown(name)} {READ_AS_YEARS}"] if reading == "date" else []


def all_numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The quick way for the commonest column: nothing but finite numbers."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() and "_" not in "".join(cells) else None


def _mostly(good: int, all_: int) -> bool:
    """Nine in ten, or all but one or two and more than half; an empty column counts as numbers."""
    bad = all_ - good
    return bad == 0 or (bad < good and bad <= max(2, all_ / 10))


def check_finite(
    name: str,
    values: NDArray[np.float64],
    place: Callable[[int], str],
    cells: Sequence[object] | NDArray[Any],
) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = int(infinite[0])
        more = f" and {infinite.size - 1} more" if infinite.size > 1 else ""
        held = f"{cells[row]!s:.40} {place(row)}"
        raise MathError(
            f"the column {shown(name)} holds {held}{more}: not a finite number",
            mend="a number, or an empty cell for a missing value",
        )


def _text_among_numbers(name: str, seen: Seen, place: Callable[[int], str]) -> MathError:
    (row, text), *others = seen.all_but("number")
    facts = [f"{seen.forms.get('number', 0)} of its {seen.present} values are numbers"]
    if others:
        facts.append("also " + ", ".join(f"{shown(other)} {place(at)}" for at, other in others))
    mend = f'a number or an empty cell there, or kinds={{"{name}": "category"}}'
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        mend = f"{text.replace(',', '.')} there"
    what = f"text in a number column: {shown(name)} holds {shown(text)} {place(row)}"
    return MathError(what, facts=facts, mend=mend)


def _dressed_numbers(name: str, seen: Seen, place: Callable[[int], str]) -> MathError:
    row, example = seen.firsts["dressed"][0]
    values = seen.examples("dressed")
    bare = re.sub(r"[^\d,.+-]", "", example.replace("−", "-"))
    if all(re.fullmatch(r"[+-]?\d+,\d+", value) for value in values):
        groups = all(re.fullmatch(r"[+-]?\d{1,3},\d{3}", value) for value in values)
        mend = 'decimal=","' + (' or thousands=","' if groups else "") + f", or {bare.replace(',', '.')}"
    elif all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d+(\.\d+)?", value) for value in values):
        mend = f'thousands=",", or {bare.replace(",", "")}'
    else:
        mend = f'plain numbers without signs and units, or kinds={{"{name}": "category"}}'
    return MathError(
        f"the column {shown(name)} holds numbers as {shown(example)} ({place(row)})",
        facts=["gradstep reads numbers as 1234.5 or 1.2e3"],
        mend=mend,
    )


def year(name: str, cell: str, place: str) -> float:
    """A date as a year with decimals: the middle of 2001 is 2001.5."""
    try:
        moment = datetime.fromisoformat(cell if len(cell) > 7 else cell + "-01")
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise MathError(
            f"the column {shown(name)} holds {shown(cell)} {place}: there is no such date"
        ) from None
    start = datetime(moment.year, 1, 1)
    days = 366 if moment.year % 4 == 0 and (moment.year % 100 != 0 or moment.year % 400 == 0) else 365
    return moment.year + (moment - start).total_seconds() / (86_400 * days)
