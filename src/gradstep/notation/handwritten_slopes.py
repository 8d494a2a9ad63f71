"""How are derivatives read? ∂C/∂zᵢ, dC/dz, \\frac{\\partial C}{\\partial z}, ∇_w C: as what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradstep.expression.node import Expr
from gradstep.notation import raising
from gradstep.notation.pieces import Piece
from gradstep.notation.raising import Raised, entrywise, scalar
from gradstep.operations.arithmetic import divide

if TYPE_CHECKING:
    from gradstep.notation.handwriting import Reader


def is_slope(reader: Reader, piece: Piece) -> bool:
    """Whether dC/dz stands here."""
    return (
        piece.text[0] == "d"
        and len(piece.text) > 1
        and reader.peek(1).kind == "name"
        and reader.peek(1).text[0] == "d"
    )


def is_change_over(reader: Reader) -> bool:
    """Whether \\frac{dC}{dz} stands here, and not d over something."""
    depth = 0
    for k, other in enumerate(reader.pieces[reader.at :]):
        depth += (other.kind == "open") - (other.kind == "close")
        if depth < 0:
            after = reader.pieces[reader.at + k + 1 : reader.at + k + 3]
            return [p.text[:1] for p in after][:1] == ["{"] and len(after) > 1 and after[1].text[:1] == "d"
    return False


def slope(reader: Reader, piece: Piece, what: str) -> Raised:
    """∂C/∂zᵢ, dC/dz, ∂eᵢ/∂w: `piece` and the name above the bar have been read."""
    above = differentiated(reader, what)
    reader.expect("/")
    by = differentiated(reader, below(reader))
    return derivative(reader, piece, above, by)


def below(reader: Reader) -> str:
    """The name behind ∂ or d below the bar."""
    if reader.skip("∂"):
        return ""
    piece = reader.peek()
    if piece.kind == "name" and piece.text[0] == "d":
        reader.take()
        return piece.text[1:]
    reader.wrong("∂ or d should stand here")


def differentiated(reader: Reader, text: str) -> tuple[Expr | None, list[str | int]]:
    """What is differentiated, or by what: a name and its indices. None is the loss."""
    group = not text and reader.skip("(")
    piece = reader.peek(-1) if text else reader.take()
    text = text or piece.text
    value: Expr | None
    found = reader.lowered_name(text) if reader.peek().text == "_" else None
    if found is not None:
        value = found.expr
    elif (
        reader.peek().kind == "number"
        and reader.peek().start == piece.end
        and f"{text}_{reader.peek().text}" in reader.words.keys
    ):
        value = reader.words.keys[f"{text}_{reader.take().text}"]
    elif text in reader.words.losses:
        value = None
    elif reader.words.knows(text):
        value = reader.words.keys[text] if text in reader.words.keys else reader.words.rows[text]
    else:
        value = reader.unknown(piece).expr
    if group:
        reader.expect(")")
    return value, reader.indices() if reader.skip("_") else []


def derivative(
    reader: Reader,
    piece: Piece,
    above: tuple[Expr | None, list[str | int]],
    below: tuple[Expr | None, list[str | int]],
) -> Raised:
    (of, first), (by, second) = above, below
    if by is None:
        reader.wrong("the loss stands below the bar", piece)
    array = reader.words.slope(of, by)
    rank = 0 if of is None else of.rank
    if first and len(first) != rank:
        reader.wrong("an index for each axis stands above the bar, or none", piece)
    return reader.made(piece, lambda v: raising.lowered(v, [*first, *second]), scalar(array))


def fraction(reader: Reader, piece: Piece) -> Raised:
    """\\frac{a}{b}, or the derivative \\frac{\\partial C}{\\partial z}."""
    group = reader.skip("{")
    start = reader.peek()
    if start.text == "∂" or (start.kind == "name" and start.text[0] == "d" and is_change_over(reader)):
        reader.take()
        above = differentiated(reader, "" if start.text in ("∂", "d") else start.text[1:])
        if group:
            reader.expect("}")
        group = reader.skip("{")
        by = differentiated(reader, below(reader))
        if group:
            reader.expect("}")
        return derivative(reader, piece, above, by)
    top = reader.sum() if group else reader.atom(first=True)
    if group:
        reader.expect("}")
    group = reader.skip("{")
    bottom = reader.sum() if group else reader.atom(first=True)
    if group:
        reader.expect("}")
    return reader.made(piece, lambda a, b: entrywise(divide, a, b), top, bottom)


def partial(reader: Reader, piece: Piece) -> Raised:
    """∂C/∂z."""
    return slope(reader, piece, "")


def nabla(reader: Reader, piece: Piece) -> Raised:
    """∇_w C."""
    if not reader.skip("_"):
        reader.wrong("with respect to what? ∇_w", piece)
    group = reader.skip("{")
    by = differentiated(reader, "")
    if group:
        reader.expect("}")
    above = differentiated(reader, "") if reader.peek().text in reader.words.losses else (None, [])
    return derivative(reader, piece, above, by)
