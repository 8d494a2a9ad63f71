"""Variables, numbers and sizes: what is a formula made of before anything happens to it?"""

from __future__ import annotations

import keyword
import math
import operator
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, reduce
from typing import Any

from gradstep.expression.boxes import (
    ATOM,
    PREFIX,
    PRODUCT,
    Box,
    Fence,
    Frac,
    Of,
    Sym,
    Written,
    letter_kind,
    row,
)
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Spelled, walk
from gradstep.expression.shapes import Size, plus, size_names, terms
from gradstep.operations.families import SIGNED, Write, leaf


def _symbol_box(expr: Expr, write: Write) -> Written:
    """The bare name; the room of notation knows Greek letters and subscripts and writes it better."""
    return Written(Of(expr, Sym(str(expr.params[0]), letter_kind(expr.rank))))


# params: name, shape, assumptions (sorted words such as "positive").
symbol_op = leaf(
    "symbol",
    lambda params: params[1],
    lambda np, sizes, params: _unbound(params[0]),
    lambda expr, spell: (str(expr.params[0]), ATOM),
    _symbol_box,
    "a variable",
)


def _unbound(name: object) -> Any:
    raise MathError(f"{name} has no value", mend=f"giving one: {name}=…")


def decimal(value: Fraction) -> str | None:
    """The finite decimal form of `value` ≥ 0 where it has a short one: 0.01, 1e-20."""
    rest, places = value.denominator, 0
    while (common := math.gcd(rest, 10)) > 1:
        rest, places = rest // common, places + 1
    if rest != 1:
        return None
    digits = str(value.numerator * 10**places // value.denominator)
    if len(digits) > min(LONGEST, max(17, len(f"{value.numerator}{value.denominator}"))):
        return None
    if places <= 12 or len(digits) > places:
        digits = digits.rjust(places + 1, "0")
        return f"{digits[:-places]}.{digits[-places:]}"
    point = f"{digits[0]}.{digits[1:]}".rstrip(".")
    return f"{point}e{len(digits) - 1 - places}"


def number_text(value: Fraction) -> Spelled:
    """A number in plain text: 2, 1/2, 0.01; the same number when read back."""
    if value < 0:
        text, level = number_text(-value)
        return f"-{text}", min(level, PREFIX)
    if value.denominator == 1:
        return _integer_text(value.numerator), ATOM
    short = decimal(value) if value.denominator >= 10 else None
    fraction = f"{_integer_text(value.numerator)}/{_integer_text(value.denominator)}"
    return (short, ATOM) if short else (fraction, PRODUCT)


def _integer_text(value: int) -> str:
    """Digits; a very long number in pieces that the parser accepts: (12*10**30 + 345)."""
    if value < 10**LONGEST:
        return str(value)
    pieces = []
    while value:
        value, piece = divmod(value, 10**30)
        pieces.append(piece)
    text = str(pieces.pop())
    while pieces:
        text = f"({text}*10**30 + {pieces.pop()})"
    return text


def _number_box(expr: Expr, write: Write) -> Written:
    value = expr.params[0]
    assert isinstance(value, Fraction)
    text, level = number_text(abs(value))
    box: Box = number_box(text)
    if level == PRODUCT:
        box = Frac(number_box(abs(value.numerator)), number_box(value.denominator))
    return Written(row("−", box), SIGNED) if value < 0 else Written(box)


number_op = leaf(
    "number",
    lambda params: (),
    lambda np, sizes, params: float(params[0]),
    lambda expr, spell: number_text(expr.params[0]),
    _number_box,
    "a number does not move",
)

size_op = leaf(
    "size",
    lambda params: (),
    lambda np, sizes, params: float(sizes[params[0]]),
    lambda expr, spell: (str(expr.params[0]), ATOM),
    lambda expr, write: Written(Of(expr, Sym(str(expr.params[0]), "size"))),
    "a size does not move",
)

pi_op = leaf(
    "pi",
    lambda params: (),
    lambda np, sizes, params: math.pi,
    lambda expr, spell: ("pi", ATOM),
    lambda expr, write: Written(Sym("π", "number")),
    "a number does not move",
    code="np.pi",
)
pi = pi_op()

# params: the size. A matrix that stands still; its entries are δᵢⱼ.
eye_op = leaf(
    "eye",
    lambda params: (params[0], params[0]),
    lambda np, sizes, params: np.eye(params[0] if isinstance(params[0], int) else sizes[params[0]]),
    lambda expr, spell: (f"eye({expr.params[0]})", ATOM),
    lambda expr, write: Written(Of(expr, Sym("I", "matrix"))),
    "the identity does not move",
)

TRIANGLES = {"triu": ("≤", "<"), "tril": ("≥", ">")}  # how the index of a row stands to that of a column


def triangle_box(expr: Expr, i: str, j: str) -> Box:
    """1[i ≤ j], the entry of a triangle at these indices; 1[i < j] above the diagonal, then 1[i + 1 < j]."""
    side, _, _, k = expr.params
    strict = k > 0 if side == "triu" else k < 0
    ahead = abs(k) - strict
    left = f"{i} + {ahead}" if k > 0 and ahead else i
    right = f"{j} + {ahead}" if k < 0 and ahead else j
    inside = row(Sym(left, "index"), Sym(f" {TRIANGLES[side][strict]} ", "operator"), Sym(right, "index"))
    return Of(expr, row(Sym("1", "function"), Fence("[", inside, "]")))


# params: "triu" or "tril", the sizes, and which diagonal it begins at, a whole number. It stands still; its
# entries are 1[i + k ≤ j] or 1[i + k ≥ j].
triangle_op = leaf(
    "triangle",
    lambda params: (params[1], params[2]),
    lambda np, sizes, params: getattr(np, params[0])(
        np.ones([sizes[size] for size in params[1:3]]), int(params[3])
    ),
    lambda expr, spell: (
        "{}(ones({}, {}){})".format(*expr.params[:3], f", {expr.params[3]}" if expr.params[3] else ""),
        ATOM,
    ),
    lambda expr, write: Written(triangle_box(expr, "i", "j")),
    "ones and zeros do not move",
)

LONGEST = 40  # digits of a number in text
SMALL = 100  # whole numbers up to this are made once
MOST_BITS = 3400  # of a numerator or a denominator: 1,000 digits
LARGEST_SIZE = 10**15
MOST_EXPONENT = 1_000
SUM_OF_SIZES = re.compile(r"(?=.{3,200}\Z)[A-Za-z0-9_]{1,64}([-+*][A-Za-z0-9_]{1,64})+\Z", re.ASCII)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
RESERVED: set[str] = {"pi"}  # and the names of all functions: operations/__init__.py adds them
KNOWN_ASSUMPTIONS = (
    "symmetric",
    "symmetric positive definite",
    "positive",
    "invertible",
    "diagonal",
    "orthogonal",
    "lower triangular",
    "upper triangular",
    "toeplitz",
    "symmetric toeplitz",
    "rows sum to one",
)


NAMELIKE = re.compile(r"[^\W\d]")  # what begins so is meant for a name


def checked_name(name: object) -> str:
    """`name`, if a variable or a size may be called so."""
    if not isinstance(name, str):
        raise MathError(f"a name is text, not {type(name).__name__}")
    if len(name) > 64 or not NAME.match(name) or "__" in name:
        raise MathError(
            f"{name[:70]!r} cannot be a name: ASCII letters, digits and single underscores, starting with a "
            "letter, at most 64 characters"
        )
    if keyword.iskeyword(name):
        raise MathError(f"{name!r} is a reserved word of Python", mend=f"{name}_ or another name")
    if name in RESERVED:
        raise MathError(f"{name!r} is a function of gradstep", mend=f"{name}_0 or another name")
    return name


def checked_size(size: object) -> Size:
    """`size`, if an axis may have it: a name, a positive integer, or a sum or product such as N+1."""
    if isinstance(size, str) and SUM_OF_SIZES.match(size):
        size = plus(size)
        if isinstance(size, str):
            for name in size_names(size):
                checked_name(name)
            if max(map(abs, terms(size).values())) > LARGEST_SIZE:
                raise MathError(f"a size is at most {LARGEST_SIZE:,}")
            return size
    if isinstance(size, str) and NAMELIKE.match(size):
        return checked_name(size)
    if isinstance(size, str) and size.isascii() and size.isdecimal() and len(size) < 16:
        size = int(size)
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    raise MathError(f"a size is a name or a positive integer, not {size!r}")


def symbol(name: str, shape: str | Sequence[Size] = (), assume: Sequence[str] = ()) -> Expr:
    """A variable of the given shape: `symbol("X", "N d")`, `symbol("b", "")`.

    Sizes are names or positive integers, separated by spaces or commas.
    """
    checked_name(name)
    parts = shape.replace(",", " ").split() if isinstance(shape, str) else tuple(shape)
    sizes = tuple(checked_size(part) for part in parts)
    if any(name in size_names(size) for size in sizes):
        raise MathError(f"{name} is both a variable and a size", mend="another name for one of them")
    for word in assume:
        if word not in KNOWN_ASSUMPTIONS:
            raise MathError(
                f"gradstep does not know the assumption {word!r}",
                facts=[f"known: {', '.join(KNOWN_ASSUMPTIONS)}"],
            )
    return symbol_op(params=(name, sizes, tuple(sorted(assume))))


@cache
def _small(value: int) -> Expr:
    return number_op(params=(Fraction(value),))


def number(value: object) -> Expr:
    """A number as an exact expression: 0.1 is 1/10, not the nearest binary fraction."""
    if type(value) is int and -SMALL <= value <= SMALL:
        return _small(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            value = float(value)  # type: ignore[arg-type]  # NumPy's scalars
        except (TypeError, ValueError):
            raise MathError(f"this is neither a number nor an expression: {value!r:.60}") from None
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MathError(f"{value} is not a number that a formula can hold")
        value = Fraction(repr(float(value)))  # float64 of NumPy is a float that prints otherwise
    exact = Fraction(value)
    bits = max(exact.numerator.bit_length(), exact.denominator.bit_length())
    if bits > 1000 and (bits > MOST_BITS or abs(exact) > 2**1000):
        raise MathError(
            "this number has more digits than gradstep keeps", facts=["at most 1,000 digits, up to 1e300"]
        )
    return number_op(params=(exact,))


def size(of: Size) -> Expr:
    """A size as a number in a formula: N, N + 1."""
    parts = [
        reduce(operator.mul, (*([] if k == 1 and names else [number(k)]), *map(size, names)))
        if len(names) != 1 or k != 1
        else size_op(params=names)
        for names, k in terms(of).items()
    ]
    return reduce(operator.add, parts)


def check_exponent(value: Fraction) -> None:
    """Raises `MathError` for an exponent that is out of bounds."""
    if abs(value) > MOST_EXPONENT or value.denominator > MOST_EXPONENT:
        bounds = f"exponents lie between −{MOST_EXPONENT:,} and {MOST_EXPONENT:,}, as do their denominators"
        raise MathError(f"the exponent {float(value):.12g} is out of bounds", facts=[bounds])


def expression(value: Expr | Number) -> Expr:
    """`value` as an expression."""
    return value if isinstance(value, Expr) else number(value)


def value_of(expr: Expr) -> Fraction | None:
    """The number that `expr` is, if it is one."""
    return expr.params[0] if expr.op is number_op else None


CONSTANT_LEAVES = frozenset({number_op, size_op, pi_op, eye_op, triangle_op})


def is_constant(expr: Expr) -> bool:
    """Whether `expr` is made of numbers and sizes alone."""
    return all(node.args or node.op in CONSTANT_LEAVES for node in walk(expr))
