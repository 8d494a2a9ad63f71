"""How is mathematics read that people paste? LaTeX, Unicode and what gradstep prints become expressions.

A small subset, read by precedence: sums; ⊙ and ⊘; what stands side by side. What two things side by side mean
follows from their shapes. Indices become axes (`raising.py`). Whatever is outside the subset is a `MathError`
at its place; nothing is evaluated but the operations of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import Any, NoReturn

from gradstep.expression.errors import MathError
from gradstep.expression.node import OPERATORS
from gradstep.expression.shapes import Shape, Size
from gradstep.notation import raising
from gradstep.notation.called import ALIKE, CALLED, PAIRS
from gradstep.notation.handwritten_signs import (
    ATOMS,
    CONDITIONS,
    FACTORS,
    JOINED,
    LOOSE,
    OTHERWISE,
    RELATIONS,
    applied,
    dotted,
    numpy_product,
)
from gradstep.notation.handwritten_slopes import is_slope, slope
from gradstep.notation.mending import nearest
from gradstep.notation.pieces import Piece, pieces
from gradstep.notation.raising import ONES, UNIT, Raised, entrywise, scalar, times
from gradstep.notation.vocabulary import Words
from gradstep.operations import FUNCTIONS
from gradstep.operations.arithmetic import divide, exp, multiply, power
from gradstep.operations.leaves import number, pi


def read(source: str, start: int, end: int, words: Words) -> Raised:
    """What source[start:end] writes."""
    reader = Reader(source, pieces(source, start, end), words)
    value = reader.sum()
    if reader.at < len(reader.pieces):
        reader.wrong("this is left over")
    return value


class Reader:
    """Reads one formula; a method reads as much as its name says and leaves `at` behind it."""

    def __init__(self, source: str, found: Sequence[Piece], words: Words) -> None:
        self.source, self.words = source, words
        self.pieces = list(chain.from_iterable(map(self.split, found, [None, *found])))
        self.at = 0
        self.sizes: dict[str, Size] = {}  # how far indices run that have been met
        self.shape: Shape = ()  # of the whole, where it is known
        self.bound: list[str] = []

    # ------------------------------------------------------------------------------------ pieces

    def split(self, piece: Piece, before: Piece | None) -> list[Piece]:
        """A run of letters as the names that it is made of: Xw is X w."""
        text = piece.text
        whole = text in CALLED or text in ("if", "otherwise", "d", *CONDITIONS, *OTHERWISE)
        if piece.kind != "name" or whole or len(text) < 2 or self.words.begins(text):
            return [piece]
        if (before is not None and before.text == "_") or self._is_change(text):
            return [piece]
        found, at = [], 0
        while at < len(text):
            end = next((k for k in range(len(text), at, -1) if self._means(text[at:k])), 0)
            if not end:
                return [piece]
            found.append(Piece("name", text[at:end], piece.start + at, piece.start + end))
            at = end
        return found

    def _is_change(self, text: str) -> bool:
        return text[0] == "d" and (self.words.begins(text[1:]) or text[1:] in self.words.losses)

    def _means(self, text: str) -> bool:
        return self.words.begins(text) or text in CALLED or (len(text) > 1 and self._is_change(text))

    def peek(self, ahead: int = 0) -> Piece:
        at = self.at + ahead
        if at < len(self.pieces):
            return self.pieces[at]
        end = self.pieces[-1].end if self.pieces else 0
        return Piece("end", "", end, end + 1)

    def take(self) -> Piece:
        piece = self.peek()
        if piece.kind == "end":
            self.wrong("something is missing here")
        self.at += 1
        return piece

    def skip(self, *texts: str) -> bool:
        found = self.peek().text in texts and self.peek().kind != "end"
        self.at += found
        return found

    def expect(self, text: str) -> None:
        if not self.skip(text):
            self.wrong(f"{text} should stand here")

    def wrong(self, what: str, piece: Piece | None = None, mend: str | None = None) -> NoReturn:
        piece = piece or self.peek()
        raise MathError(what, source=self.source, span=(piece.start, piece.end), mend=mend)

    def made(self, first: Piece, make: Callable[..., Raised], *values: Any) -> Raised:
        """What `make` makes; where it refuses, the error points at what was read since `first`."""
        try:
            value = make(*values)
            self.sizes.update(raising.lengths(value))
            return value
        except MathError as error:
            last = self.pieces[self.at - 1]
            raise error.at(self.source, (first.start, max(last.end, first.end))) from None

    # ------------------------------------------------------------------------------------ sums, products

    def condition(self) -> Raised:
        """z > 0, as 0 and 1."""
        first = self.peek()
        left, held = self.sum(), None
        while self.peek().text in RELATIONS:
            operator = OPERATORS[RELATIONS[self.take().text]]
            right = self.sum()
            one = self.made(first, lambda a, b, f=operator: entrywise(f, a, b), left, right)
            held = (
                one if held is None else self.made(first, lambda a, b: entrywise(multiply, a, b), held, one)
            )
            left = right
        return left if held is None else held

    def sum(self) -> Raised:
        """a + b − c."""
        first = self.peek()
        sign = "−" if self.skip("−") else "+" if self.skip("+") else ""
        value = self.term()
        if sign == "−":
            value = raising.each(lambda x: -x, value)
        while self.peek().text in ("+", "−"):
            operator = OPERATORS["+" if self.take().text == "+" else "-"]
            value = self.made(first, lambda a, b, f=operator: entrywise(f, a, b), value, self.term())
        return value

    def term(self) -> Raised:
        """a b ⊙ c d."""
        first = self.peek()
        value = self.product()
        while self.peek().text in LOOSE:
            sign = self.take().text
            if sign in "*×" and self.peek().text == "*":
                self.wrong("powers are written with ^ here")
            right = self.product()
            value = self.made(first, JOINED[sign], value, right)
        return value

    def product(self) -> Raised:
        """Factors side by side, with · @ and / between them."""
        first = self.peek()
        value = self.factor(first=True)
        while True:
            if self.skip("·"):
                right = self.factor()
                if value.rank == 1 and right.rank == 2:
                    while right.rank == 2 and self.starts():
                        right = self.made(first, times, right, self.factor())
                value = self.made(first, dotted, value, right)
            elif self.skip("@"):
                value = self.made(first, numpy_product, value, self.factor())
            elif self.skip("/"):
                value = self.made(first, lambda a, b: entrywise(divide, a, b), value, self.factor())
            elif self.starts():
                value = self.made(first, times, value, self.factor())
            else:
                return value

    def starts(self) -> bool:
        """Whether a factor stands here."""
        piece = self.peek()
        if piece.kind == "name":
            return piece.text not in (*CONDITIONS, *OTHERWISE)
        return piece.kind in ("number", "open") or (piece.text in FACTORS and piece.text not in self.bound)

    def factor(self, first: bool = False) -> Raised:
        """One factor with what is raised and lowered behind it."""
        piece = self.peek()
        value = self.atom(first)
        while self.peek().text in ("^", "_", "′"):
            sign = self.take().text
            if sign == "′":
                value = self.made(piece, raising.transposed, value)
            elif sign == "_":
                indices = self.indices()
                value = self.made(piece, lambda v, at=indices: raising.lowered(v, at), value)
            else:
                value = self.raised(piece, value)
        return value

    def raised(self, first: Piece, value: Raised) -> Raised:
        """Xᵀ, X⁻¹, X⁻ᵀ, e², x⁽ⁱ⁾."""
        group = self.skip("{")
        if self.skip("ᵀ", "T", "⊤") and (not group or self.skip("}")):
            return self.made(first, raising.transposed, value)
        if self.peek().text == "−" and (
            self.peek(1).text in ("ᵀ", "T") or (self.peek(1).text == "1" and value.rank == 2)
        ):
            self.take()
            lying = self.take().text != "1"
            if group:
                self.expect("}")
            value = self.made(first, lambda v: raising.each(FUNCTIONS["inv"], v), value)
            return self.made(first, raising.transposed, value) if lying else value
        if group and self.peek().text == "(" and self.peek(1).kind == "name" and self.peek(2).text == ")":
            self.take()
            index = self.take().text
            self.take()
            self.expect("}")
            return self.made(first, lambda v: raising.lowered(v, [index]), value)
        exponent = self.sum() if group else self.script_atom()
        if group:
            self.expect("}")
        return self.made(
            first,
            lambda a, n: (
                entrywise(power, a, n) if n.rank or n.over else replace(a, expr=power(a.expr, n.expr))
            ),
            value,
            exponent,
        )

    def script_atom(self) -> Raised:
        minus = self.skip("−")
        value = self.atom()
        return raising.each(lambda x: -x, value) if minus else value

    def indices(self) -> list[str | int]:
        """What stands below: i, ij, 1."""
        if not self.skip("{", "("):
            piece = self.take()
            return [*self._letters(piece)]
        found: list[str | int] = []
        while not self.skip("}", ")"):
            piece = self.take()
            if piece.text != ",":
                found += self._letters(piece)
        return found

    def _letters(self, piece: Piece) -> list[str | int]:
        if piece.kind == "number" and piece.text.isdigit():
            return [int(piece.text)]
        if piece.text == ":":
            return [":"]
        if piece.kind != "name":
            self.wrong("an index is a letter or a number", piece)
        return list(piece.text)

    # ------------------------------------------------------------------------------------ atoms

    def atom(self, first: bool = False) -> Raised:
        """What stands for itself: a number, a name, a bracket, a function of something."""
        piece = self.take()
        if piece.kind == "number":
            if piece.text == "1" and self.is_indicator():
                return self.indicator()
            if piece.text == "1" and (self.is_lying() or (not first and self.peek().text != "/")):
                return ONES
            return scalar(number(Fraction(piece.text)))
        if piece.kind == "name":
            return self.name(piece)
        read = ATOMS.get(piece.text)
        if read is None or piece.kind == "close":
            self.wrong("a formula does not go on like this", piece)
        return read(self, piece)

    def is_lying(self) -> bool:
        """Whether ᵀ stands behind a 1: a row of ones."""
        texts = [self.peek(k).text for k in range(3)]
        return texts[0] == "^" and ("ᵀ" in texts[1:] or "T" in texts[1:])

    def is_indicator(self) -> bool:
        return (
            self.peek().text == "["
            or (self.peek().text == "{" and self._has_relation())
            or (self.peek().text == "_" and self.peek(1).text == "{" and self._has_relation(1))
        )

    def _has_relation(self, ahead: int = 0) -> bool:
        """Whether the bracket that opens here holds a comparison."""
        depth = 0
        for piece in self.pieces[self.at + ahead :]:
            depth += (piece.kind == "open") - (piece.kind == "close")
            if piece.text in RELATIONS and depth >= 1:
                return True
            if depth <= 0:
                return False
        return False

    def indicator(self) -> Raised:
        """1[z > 0]."""
        self.skip("_")
        opened = [self.take()]
        while self.peek().text in ("{", "["):  # 1_{\{z > 0\}}
            opened.append(self.take())
        value = self.condition()
        for bracket in reversed(opened):
            self.expect({"[": "]", "(": ")", "{": "}"}.get(bracket.text, "]"))
        return value

    def name(self, piece: Piece) -> Raised:
        """A name with its number or index, a function, a differential."""
        text, words = piece.text, self.words
        if text == "sum" and self.peek().text == "_":
            return ATOMS["Σ"](self, piece)
        if (
            text in CALLED
            and not words.begins(text)
            and (len(text) > 1 or self.peek().text in ("(", "′", "^", "_"))
        ):
            return self.called(piece)
        if is_slope(self, piece):
            return slope(self, piece, text[1:])
        follows = self.peek()
        if follows.kind == "number" and follows.start == piece.end and f"{text}_{follows.text}" in words.keys:
            self.take()
            return scalar(words.keys[f"{text}_{follows.text}"])
        if follows.text == "^" and f"{text}^{self.peek(1).text}" in words.keys:
            self.at += 2
            return scalar(words.keys[f"{text}^{self.pieces[self.at - 1].text}"])
        if follows.text == "_" and (found := self.lowered_name(text)) is not None:
            return found
        if text in words.rows and follows.text == "_" and text in words.keys:  # pᵢ, where p is a number
            return scalar(words.rows[text])
        if text in words.keys and not (text == "d" and words.differential and self.starts_change(piece)):
            return scalar(words.keys[text])
        if text in words.rows and follows.text in "^_":
            return scalar(words.rows[text])
        if words.differential is not None and text[0] == "d" and (len(text) > 1 or self.starts()):
            return self.change(piece)
        return self.unknown(piece)

    def starts_change(self, piece: Piece) -> bool:
        """Whether a letter d that is a size too stands before what moves: dw, without a space."""
        return self.peek().kind in ("name", "open") and self.peek().start == piece.end

    def unknown(self, piece: Piece) -> Raised:
        text = piece.text
        if text == "I" and self.peek().text == "[":
            return self.indicator()
        if text == "I":
            return UNIT
        if text == "e" and self.peek().text == "^":
            self.take()
            group = self.skip("{")
            value = self.sum() if group else self.script_atom()
            if group:
                self.expect("}")
            return raising.each(exp, value)
        if text == "δ" and self.skip("_"):
            return self.made(piece, raising.delta, self.indices(), self.sizes)
        if text == "π":
            return scalar(pi)
        known = [*self.words.keys]
        close = nearest(text, [*known, *CALLED])
        facts = [f"known: {', '.join(known)}"] if len(known) <= 30 else []
        raise MathError(
            f"{text} is not known",
            source=self.source,
            span=(piece.start, piece.end),
            facts=facts,
            mend=" or ".join(close) or None,
        )

    def lowered_name(self, text: str) -> Raised | None:
        """A name with a number or word below: W₁; its index is left for later."""
        begin, keys = self.at, self.words.keys
        self.take()
        parts: list[str] = []
        if self.skip("{", "("):
            while self.peek().kind in ("name", "number") or self.peek().text == ",":
                parts.append(self.take().text)
            if not self.skip("}", ")"):
                parts = []
        elif self.peek().kind in ("name", "number"):
            parts = [self.take().text]
        joined = "".join(part for part in parts if part != ",")
        while (
            parts
            and self.peek().text == "_"
            and f"{text}_{joined}" not in keys
            and self.peek(1).kind in ("name", "number")
        ):
            joined += "_" + self.peek(1).text
            self.at += 2
        numbered = f"{text}_{joined}"
        for table in (keys, self.words.rows):
            if joined and numbered in table:
                return scalar(table[numbered])
        if joined and text not in keys and text + joined in keys:
            return scalar(keys[text + joined])
        if len(parts) > 1 and parts[0].isdigit() and f"{text}_{parts[0]}" in keys:
            indices = [letter for part in parts[1:] if part != "," for letter in part]
            return self.made(
                self.pieces[begin], lambda v: raising.lowered(v, indices), scalar(keys[f"{text}_{parts[0]}"])
            )
        self.at = begin
        return None

    # ------------------------------------------------------------------------------------ functions

    def called(self, piece: Piece) -> Raised:
        """f(x), f′(x), \\log x, max(0, z)."""
        name = ALIKE.get(piece.text, piece.text)
        slope = self.skip("′") or (self.peek().text == "^" and "′" in (self.peek(1).text, self.peek(2).text))
        exponent = None
        if self.peek().text == "^":
            self.take()
            group = self.skip("{")
            exponent = None if self.skip("′") else self.script_atom()
            if group:
                self.expect("}")
        axis = -1
        if self.skip("_"):
            axis = self.axis()
        if self.peek().text == "(":
            self.take()
            values = [self.sum()]
            while self.skip(","):
                values.append(self.sum())
            self.expect(")")
        elif self.peek().text == "{" and piece.text in PAIRS:
            self.take()
            values = [self.sum()]
            while self.skip(","):
                values.append(self.sum())
            self.expect("}")
        else:
            values = [self.factor()]
        value = self.made(piece, lambda *v: applied(name, axis, bool(slope), *v), *values)
        if exponent is not None:
            value = self.made(piece, lambda a, n: entrywise(power, a, n), value, exponent)
        return value

    def axis(self) -> int:
        """The axis in softmax_(axis 0)."""
        group = self.skip("{", "(")
        self.skip("axis")
        piece = self.take()
        if piece.kind != "number" or not piece.text.isdigit():
            self.wrong("an axis is a whole number", piece)
        if group:
            self.take()
        return int(piece.text)

    def change(self, piece: Piece) -> Raised:
        """dw, d(X w): how something moves."""
        assert self.words.differential is not None
        if len(piece.text) > 1:
            rest = piece._replace(text=piece.text[1:], start=piece.start + 1)
            self.pieces[self.at - 1 : self.at] = [piece._replace(text="d", end=piece.start + 1), rest]
        value = self.factor() if self.peek().text == "(" else self.atom()
        if value.over:
            self.wrong("d stands before what has no index", piece)
        return replace(value, expr=self.words.differential(value.expr))
