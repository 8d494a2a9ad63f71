"""What does each sign of pasted mathematics mean? Sums, brackets, functions, and products by their shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation import raising
from gradstep.notation.called import ENTRYWISE, NORMAL, PAIRS, ROWWISE
from gradstep.notation.handwritten_slopes import fraction, nabla, partial
from gradstep.notation.pieces import Piece
from gradstep.notation.raising import ONES, Raised, entrywise, scalar, times
from gradstep.operations import FUNCTIONS
from gradstep.operations.activations import abs as absolute
from gradstep.operations.activations import sqrt
from gradstep.operations.arithmetic import divide, exp, multiply
from gradstep.operations.choices import where
from gradstep.operations.entries import stack
from gradstep.operations.leaves import pi
from gradstep.operations.norms import norm
from gradstep.operations.precise import erf
from gradstep.operations.toeplitz import diagonal_sums

if TYPE_CHECKING:
    from gradstep.notation.handwriting import Reader

RELATIONS = {">": ">", "<": "<", "≥": ">=", "≤": "<=", "≠": "!=", "≡": "==", "=": "=="}
CONDITIONS = ("if", "when", "for", "where")
OTHERWISE = ("otherwise", "else")
LOOSE = ("⊙", "⊘", "*", "×")
FACTORS = frozenset({"Σ", "√", "frac", "𝟏", "𝟙", "∂", "∇", "‖", "|"})  # signs that begin a factor


def dotted(a: Raised, b: Raised) -> Raised:
    """a·b of two vectors is their inner product; else · is a plain product."""
    if a.rank == b.rank == 1 and not (a.row or b.row):
        return raising.inner(a, b)
    return starred(a, b) if a.rank == b.rank == 2 and a.own == b.own and a.own[0] != a.own[1] else times(a, b)


def starred(a: Raised, b: Raised) -> Raised:
    """a * b: entry by entry where the shapes agree, else a product."""
    if 0 in (a.rank, b.rank) or a.sized or b.sized:
        return times(a, b)
    return entrywise(multiply, a, b) if a.rank == b.rank and a.own == b.own else times(a, b)


def numpy_product(a: Raised, b: Raised) -> Raised:
    """a @ b: vectors stand and lie as it fits."""
    if a.rank == 1:
        a = replace(a, row=True)
    return times(a, replace(b, row=False))


def applied(name: str, axis: int, slope: bool, *values: Raised) -> Raised:
    """A function of values: of each entry, of rows, or of the whole."""
    if name in PAIRS:
        if len(values) != 2:
            raise MathError(f"{name} takes two operands here", mend=f"{name}(0, z)")
        return entrywise(FUNCTIONS[PAIRS[name]], *values) if name != "dot" else raising.inner(*values)
    (value,) = values if len(values) == 1 else (None,)
    if value is None:
        raise MathError(f"{name} takes one operand")
    if name in ENTRYWISE:
        return raising.each(lambda x: _slope(name, x) if slope else FUNCTIONS[name](x), value)
    if name in NORMAL:
        return raising.each(NORMAL_FUNCTIONS[name][slope], value)
    if slope:
        raise MathError(f"{name}′ is no function that is known")
    if name in ROWWISE:
        if not value.rank:
            raise MathError(f"{name} takes a vector or a matrix")
        at = axis if axis < 0 else len(value.over) + axis
        made = FUNCTIONS[name](value.expr, axis=at)
        return replace(value, expr=made, row=value.row and made.rank == value.expr.rank)
    if name == "sum":
        return raising.added_up(value)
    if value.over:
        raise MathError(f"{name} takes what has no index")
    if name == "diag" and not value.rank:
        return times(value, raising.UNIT)
    return scalar(FUNCTIONS[name](value.expr) if name in FUNCTIONS else diagonal_sums(value.expr))


def _slope(name: str, x: Expr) -> Expr:
    y: Expr = FUNCTIONS[name](x)
    if y.op.slopes is None or len(y.op.slopes) != 1:
        raise MathError(f"{name}′ is no function that is known")
    return y.op.slopes[0](y, *y.args)


def normal_distribution(x: Expr) -> Expr:
    """Φ(x) = (1 + erf(x/√2))/2."""
    return (1 + erf(x / sqrt(2))) / 2


def normal_density(x: Expr) -> Expr:
    """φ(x) = e^(−x²/2)/√(2π), the slope of Φ."""
    return exp(-(x**2) / 2) / sqrt(2 * pi)


def normal_density_slope(x: Expr) -> Expr:
    """φ′(x) = −x φ(x)."""
    return -x * normal_density(x)


NORMAL_FUNCTIONS = {
    "Φ": (normal_distribution, normal_density),
    "φ": (normal_density, normal_density_slope),
}

JOINED: dict[str, Callable[[Raised, Raised], Raised]] = {
    "⊙": lambda a, b: entrywise(multiply, a, b),
    "⊘": lambda a, b: entrywise(divide, a, b),
    "*": starred,
    "×": starred,
}

# ------------------------------------------------------------------------------------------- atoms by sign


def _bracket(reader: Reader, piece: Piece) -> Raised:
    """( ), { } of LaTeX, [ ], or the cases {0 if z ≤ 0; 1 if z > 0}."""
    close = {"(": ")", "[": "]", "{": "}"}[piece.text]
    if piece.text == "[":
        _expect_entries(reader)
    value = reader.condition() if piece.text == "[" else reader.sum()
    if piece.text == "{" and reader.peek().text != close:
        return _cases(reader, piece, value)
    reader.expect(close)
    if piece.text == "[" and value.over and not value.rank and reader.skip("_"):
        indices = [str(index) for index in reader.indices()]
        return reader.made(piece, lambda v: raising.entries(v, indices), value)
    return value


def _expect_entries(reader: Reader) -> None:
    """[Fᵢₖ δⱼₗ]ᵢⱼₖₗ: where the shape of the whole is known, it says how far the indices run."""
    begin, depth = reader.at, 1
    while depth and reader.peek().kind != "end":
        piece = reader.take()
        depth += (piece.kind == "open") - (piece.kind == "close")
    if reader.skip("_"):
        indices = reader.indices()
        if len(indices) == len(reader.shape):
            for index, size in zip(indices, reader.shape, strict=True):
                reader.sizes.setdefault(str(index), size)
    reader.at = begin


def _cases(reader: Reader, piece: Piece, first: Raised | None = None) -> Raised:
    """Values with their conditions: the last one stands where none of the others does."""
    rows: list[tuple[Raised, Raised | None]] = []
    while True:
        value = first or reader.sum()
        first = None
        while reader.skip("&", ",", *CONDITIONS):
            continue
        held = None if reader.skip(*OTHERWISE) else reader.condition()
        while reader.skip("&", "."):
            continue
        rows.append((value, held))
        if not reader.skip(";"):
            break
        if reader.peek().kind == "close":
            break
    reader.expect("}")
    *others, (result, _) = rows
    for value, held in reversed(others):
        if held is None:
            reader.wrong("otherwise stands in the last row", piece)
        result = reader.made(piece, lambda c, a, b: entrywise(where, c, a, b), held, value, result)
    return result


def _matrix(reader: Reader, piece: Piece) -> Raised:
    """The rows of a matrix, number by number; of one column a vector."""
    rows: list[list[Expr]] = [[]]
    while not reader.skip("}"):
        if reader.skip(";"):
            rows.append([])
        elif not reader.skip("&"):
            value = reader.sum()
            if value.rank or value.over:
                reader.wrong("the entries of a matrix are numbers", piece)
            rows[-1].append(value.expr)
    rows = [row for row in rows if row]
    if len({len(row) for row in rows}) != 1:
        reader.wrong("the rows of a matrix are equally long", piece)
    if len(rows) == 1:
        return Raised(stack(rows[0]), row=len(rows[0]) > 1)
    return Raised(stack([row[0] for row in rows] if len(rows[0]) == 1 else [stack(row) for row in rows]))


def _big_sum(reader: Reader, piece: Piece) -> Raised:
    """Σᵢ body, with a bound and a condition below; without an index the sum of all entries."""
    indices: list[str] = []
    bound: tuple[str, Expr] | None = None
    held: Raised | None = None
    for _ in range(2):
        if reader.skip("_"):
            group = reader.skip("{", "(")
            names = reader.indices() if not group else []
            while group and reader.peek().kind == "name":
                names += list(reader.take().text)
                reader.skip(",")
            indices = [str(name) for name in names]
            if group and reader.skip("="):
                if not reader.skip("1"):
                    reader.wrong("an index runs from 1")
                if reader.skip("."):
                    reader.wrong("the upper end stands above the sum")
            if group and reader.skip(":", "|"):
                held = reader.condition()
            if group and not reader.skip("}", ")"):
                reader.wrong("an index, i or i=1, stands below a sum")
        elif reader.skip("^"):
            group = reader.skip("{")
            last = reader.peek()
            bound = (last.text, (reader.sum() if group else reader.script_atom()).expr)
            if group:
                reader.expect("}")
    body = reader.term()
    if held is not None:
        body = reader.made(piece, lambda a, b: entrywise(multiply, a, b), held, body)
    if not indices:
        return reader.made(piece, raising.added_up, body)
    for index in reversed(indices):
        size = raising.lengths(body).get(index, reader.sizes.get(index))
        if bound is not None and len(indices) == 1:
            reader_size = str(bound[1])
            if size is not None and reader_size != str(size):
                reader.wrong(f"{index} runs to {size}, not to {bound[0]}", piece)
            size = size if size is not None else reader_size
        body = reader.made(piece, lambda v, i=index, n=size: raising.summed(v, i, n), body)
    return body


def _root(reader: Reader, piece: Piece) -> Raised:
    return reader.made(piece, lambda v: raising.each(sqrt, v), reader.atom())


def _length(reader: Reader, piece: Piece) -> Raised:
    """‖e‖."""
    value = _until(reader, "‖")
    if reader.skip("_"):
        if reader.peek(1).text == "axis":  # ‖X‖_(axis 0): of each column
            axis = len(value.over) + reader.axis()
            return reader.made(piece, lambda v: Raised(norm(v.expr, axis=axis), v.over), value)
        reader.indices()
    if value.over:
        squares = entrywise(multiply, value, value)
        return reader.made(piece, lambda v: raising.each(sqrt, raising.added_up(v)), squares)
    return reader.made(piece, lambda v: scalar(norm(v.expr)), value)


def _absolute(reader: Reader, piece: Piece) -> Raised:
    return reader.made(piece, lambda v: raising.each(absolute, v), _until(reader, "|"))


def _until(reader: Reader, sign: str) -> Raised:
    reader.bound.append(sign)
    value = reader.sum()
    reader.bound.pop()
    reader.expect(sign)
    return value


def _inner(reader: Reader, piece: Piece) -> Raised:
    """⟨A, B⟩."""
    a = reader.sum()
    reader.expect(",")
    b = reader.sum()
    reader.expect("⟩")
    return reader.made(piece, raising.inner, a, b)


def _ones(reader: Reader, piece: Piece) -> Raised:
    return (
        reader.indicator()
        if reader.is_indicator() or (piece.text == "𝟙" and reader.peek().text == "(")
        else ONES
    )


ATOMS: dict[str, Callable[[Reader, Piece], Raised]] = {
    "(": _bracket,
    "[": _bracket,
    "{": _bracket,
    "cases": _cases,
    "matrix": _matrix,
    "Σ": _big_sum,
    "frac": fraction,
    "∂": partial,
    "∇": nabla,
    "√": _root,
    "‖": _length,
    "|": _absolute,
    "⟨": _inner,
    "𝟏": _ones,
    "𝟙": _ones,
}
