"""Einstein's summation: how is a product written that no matrix notation has?

`einsum("ik,jl->ijkl", A, B)` has the entries Aᵢₖ Bⱼₗ; what stands in no output is summed. Jacobians and
Hessians by matrices are written so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gradstep.expression.boxes import ATOM, PRODUCT, Big, Box, Fence, Row, Sub, Sym, Written, fenced
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Params, Spelled
from gradstep.expression.shapes import Shape, contraction
from gradstep.operations.broadcasting import ones
from gradstep.operations.diagonals import eye
from gradstep.operations.families import Spell, Write, multilinear
from gradstep.operations.leaves import expression, eye_op, triangle_box, triangle_op

LETTERS = "ijklmnopqrstuvwabcdefgh"
Places = tuple[int, ...]  # what index stands at each axis; those of the result are 0, 1, 2 …


def subscripts(params: Params, *ranks: int) -> str:
    """The index string of an einsum: "ik,jl->ijkl"."""
    inputs, rank = params
    operands = ",".join("".join(LETTERS[k] for k in places) for places in inputs)
    return f"{operands}->{LETTERS[:rank]}"


def _shape(params: Params, *shapes: Shape) -> Shape:
    inputs = params[0]
    for places, shape in zip(inputs, shapes, strict=True):
        if len(places) != len(shape):
            raise MathError(f"einsum has {len(places)} indices for an operand with {len(shape)} axes")
    return contraction(subscripts(params), shapes)


def _adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> list[Expr]:
    """⟨G, Σ A dB⟩ = ⟨Σ G A, dB⟩: the same product with G in the place of B."""
    inputs, rank = y.params
    found = []
    for k, (places, arg) in enumerate(zip(inputs, args, strict=True)):
        free = 1 + max((0, rank - 1, *(i for other in inputs for i in other)))
        own: list[int] = []
        factors = [(tuple(range(rank)), G)]
        factors += [(p, a) for j, (p, a) in enumerate(zip(inputs, args, strict=True)) if j != k]
        known = {i for p, _ in factors for i in p}
        for place, size in zip(places, arg.shape, strict=True):
            if place in own:  # an index that occurs twice: only its diagonal counts
                factors.append(((place, free), eye(size)))
                place, free = free, free + 1
            elif place not in known:  # summed in this operand alone
                factors.append(((place,), ones(size)))
            own.append(place)
        found.append(einsum_of([p for p, _ in factors], own, [f for _, f in factors]))
    return found


def _text(expr: Expr, spell: Spell) -> Spelled:
    operands = ", ".join(spell(arg)[0] for arg in expr.args)
    return f'einsum("{subscripts(expr.params)}", {operands})', ATOM


def _box(expr: Expr, write: Write) -> Written:
    """(Σₘ Aᵢₘ Bₘⱼ δₖₗ)ᵢⱼₖₗ: an entry, and the indices of the array."""
    inputs, rank = expr.params
    body = entry_box(expr, [LETTERS[k] for k in range(1 + max(i for p in inputs for i in p))], write)
    if not rank:
        return body
    letters = Row(tuple(Sym(LETTERS[k], "index") for k in range(rank)))
    return Written(Sub(Fence("[", body.box, "]"), letters))


def entry_box(expr: Expr, letters: Sequence[str], write: Write) -> Written:
    """The entry of an einsum with these letters for its indices: Σₘ Aᵢₘ Bₘⱼ."""
    inputs, rank = expr.params
    factors: list[Box] = []
    for places, arg in zip(inputs, expr.args, strict=True):
        if not places:
            factors.append(fenced(write(arg), PRODUCT))
            continue
        if arg.op is triangle_op:
            factors.append(triangle_box(arg, *(letters[k] for k in places)))
            continue
        index = Row(tuple(Sym(letters[k], "index") for k in places))
        base: Box = Sym("δ") if arg.op is eye_op else fenced(write(arg), ATOM)
        factors.append(Sub(base, index))
    body: Box = factors[0] if len(factors) == 1 else Row(tuple(factors))
    for k in sorted({i for places in inputs for i in places if i >= rank}, reverse=True):
        body = Big("Σ", Sym(letters[k], "index"), None, body)
    return Written(body, PRODUCT)


def _code(expr: Expr) -> str:
    holes = ", ".join(f"{{{k}}}" for k in range(len(expr.args)))
    return f'np.einsum("{subscripts(expr.params)}", {holes})'


# params: for each operand the index at each of its axes, and how many axes the result has (indices 0, 1 …).
einsum_op = multilinear(
    "einsum",
    subscripts,
    _adjoint,
    rule="product of entries",
    why="entry by entry a product of numbers: each factor moves while the others stand still",
    text=_text,
    layout=_box,
    meaning=lambda np, sizes, params, *values: np.einsum(subscripts(params), *values),
    code=_code,
    example=(
        ((((0, 2), (1, 3)), 4), (("m", "k"), ("n", "m"))),
        ((((0, 2), (2, 1)), 2), (("m", "k"), ("k", "n"))),
        ((((0, 0),), 1), (("n", "n"),)),
        ((((0, 2), (2, 1), (1,)), 2), (("m", "k"), ("k", "n"), ("n",))),
    ),
    shape=_shape,
)


def einsum_of(inputs: Sequence[Sequence[int]], output: Sequence[int], operands: Sequence[Expr]) -> Expr:
    """The einsum with these indices, any integers; they are renamed so that the result has 0, 1, 2 …"""
    names: dict[int, int] = {}
    for index in (*output, *(i for places in inputs for i in places)):
        names.setdefault(index, len(names))
    renamed = tuple(tuple(names[i] for i in places) for places in inputs)
    return einsum_op(*operands, params=(renamed, len(output)))


def einsum(indices: str, *operands: Expr) -> Expr:
    """NumPy's einsum with an explicit output: einsum("ik,jl->ijkl", A, B)."""
    found = re.fullmatch(r"([A-Za-z]*(?:,[A-Za-z]*)*)->([A-Za-z]*)", str(indices).replace(" ", ""))
    if found is None:
        raise MathError(f"einsum takes indices such as ik,jl->ijkl, not {indices!r:.40}")
    inputs, output = found[1].split(","), found[2]
    if len(inputs) != len(operands):
        raise MathError(f"einsum has indices for {len(inputs)} operands, and {len(operands)} are given")
    if len(set(output)) != len(output) or not set(output) <= set(found[1]):
        raise MathError("each index of the result occurs in it once, and in some operand")
    if len(set(found[1]) - {","}) > len(LETTERS):
        raise MathError(f"einsum has at most {len(LETTERS)} different indices")
    codes = [[ord(letter) for letter in letters] for letters in inputs]
    return einsum_of(codes, [ord(letter) for letter in output], [expression(x) for x in operands])
