"""How are derivatives read? ∂C/∂zᵢ, dC/dz, \\frac{\\partial C}{\\partial z}, ∇_w C: as what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradstep.notation import raising
from gradstep.notation.called import CALLED
from gradstep.notation.pieces import Piece
from gradstep.notation.raising import Raised, entrywise, scalar
from gradstep.operations.arithmetic import divide

if TYPE_CHECKING:
    from gradstep.notation.handwriting import Reader


def is_slope(reader: Reader, piece: Piece) -> bool:
    """Whether dC/dz or daᵢ/dzᵢ stands here."""
    if piece.text[0] != "d" or len(piece.text) < len("dz"):
        return False
    ahead, depth = 0, 0
    if reader.peek().text == "_":
        ahead = 1
        while ahead == 1 or depth:
            depth += (reader.peek(ahead).kind == "open") - (reader.peek(ahead).kind == "close")
            ahead += 1
            if reader.peek(ahead).kind == "end":
                return False
    after = reader.peek(ahead + 1)
    return reader.peek(ahead).text == "/" and after.kind == "name" and after.text[0] == "d"


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


def differentiated(reader: Reader, text: str) -> tuple[Raised | None, list[str | int]]:
    """What is differentiated, or by what: a name and its indices, or a formula. None is the loss."""
    words = reader.words
    if not text and reader.peek().text == "(":
        reader.take()
        value: Raised | None = reader.sum()
        reader.expect(")")
        return value, reader.indices() if reader.skip("_") else []
    if not text and reader.peek().text in CALLED and reader.peek().text not in words.keys:
        return reader.factor(), []
    piece = reader.peek(-1) if text else reader.take()
    text = text or piece.text
    numbered = f"{text}_{reader.peek().text}"
    found = reader.lowered_name(text) if reader.peek().text == "_" else None
    if found is not None:
        value = found
    elif reader.peek().kind == "number" and reader.peek().start == piece.end and numbered in words.keys:
        reader.take()
        value = scalar(words.keys[numbered])
    elif text in words.losses:
        value = None
    elif words.knows(text):
        row = text in words.rows and (text not in words.keys or reader.peek().text == "_")
        value = scalar(words.rows[text] if row else words.keys[text])
    else:
        value = reader.unknown(piece)
    return value, reader.indices() if reader.skip("_") else []


Side = tuple[Raised | None, list[str | int]]


def derivative(reader: Reader, piece: Piece, above: Side, below: Side) -> Raised:
    """The array ∂above/∂below at its indices."""
    (of, first), (by, second) = above, below
    if by is None:
        reader.wrong("the loss stands below the bar", piece)
    if by.over:
        reader.wrong("a name, with its indices, stands below the bar", piece)
    array = reader.words.slope(None if of is None else of.expr, by.expr)
    if of is not None and of.over:
        return reader.made(piece, lambda v: raising.lowered(v, second), Raised(array, of.over))
    if first and of is not None and len(first) != of.rank:
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
    """∇_w C, or ∇C and ∇C(w) of the one parameter that is asked for."""
    alone = reader.words.alone
    if reader.skip("_"):
        group = reader.skip("{")
        by = differentiated(reader, "")
        if group:
            reader.expect("}")
    elif alone is None:
        reader.wrong("with respect to what? ∇_w", piece)
    else:
        by = scalar(alone), []
    above = differentiated(reader, "") if reader.peek().text in reader.words.losses else (None, [])
    if above[0] is None and [reader.peek(k).kind for k in range(3)] == ["open", "name", "close"]:
        reader.at += 3
    return derivative(reader, piece, above, by)
