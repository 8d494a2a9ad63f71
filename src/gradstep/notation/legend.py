"""Which signs does a reader of these lines need explained? One short sentence for each that occurs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from gradstep.expression.boxes import (
    Accent,
    Box,
    Fence,
    Of,
    Row,
    Sub,
    Sym,
    parts_of,
)
from gradstep.expression.node import Expr
from gradstep.notation.plain import line
from gradstep.notation.writing import Writer
from gradstep.operations.leaves import symbol, triangle_op

# What tells that a sign occurs, and what it means.
MEANINGS = {
    "⟨": "⟨G, H⟩ is the sum of all products of entries at the same place",
    "⊙": "⊙ and ⊘ work entry by entry",
    "1[": "1[z > 0] is 1 where z > 0 and 0 elsewhere",
    "𝟏": "1 beside a vector or a matrix is a vector of ones",
    " ← ": "0[1:3 ← x] is x at the places 1, 2 of an array of zeros; places are counted from 0",
    "‖": "‖e‖² is the sum of the squares of all entries",
    "δ": "δᵢⱼ is 1 where i = j and 0 elsewhere",
}

# What the notation of an operation means, for a reader who meets it for the first time.
WORDS = {
    "sign": "sign(z) is 1 where z > 0, −1 where z < 0, and 0 at 0",
    "softmax": "softmax(z) = exp(z)/Σ exp(z), row by row",
    "log_softmax": "log softmax(z) = z − log Σ exp(z), row by row",
    "logcosh": "log cosh(z) = log(cosh(z))",
    "logsumexp": "logsumexp(z) = log Σ exp(z), row by row",
    "eye": "I is the identity matrix",
    "triangle": "1[i ≤ j] is the matrix with 1 in row i and column j where that holds, and 0 elsewhere",
    "trace": "tr(A) is the sum of the entries on the diagonal of A",
    "diagonal": "diag of a matrix is the vector on its diagonal",
    "diagonal_matrix": "diag of a vector is the matrix with it on the diagonal and 0 elsewhere",
    "einsum": "[Aᵢₖ Bₖⱼ]ᵢⱼ is the array with these entries, summed over the indices that it has not",
    "kron": "A ⊗ B has the blocks Aᵢⱼ B",
    "inv": "A⁻¹ is the inverse of A, and A⁻ᵀ that of Aᵀ",
    "pinv": "A⁺ is the pseudoinverse of A: (AᵀA)⁻¹Aᵀ where its columns are independent, Aᵀ(AAᵀ)⁻¹ where its "
    "rows are",
    "det": "det(A) is the determinant of A",
    "logdet": "log|det A| is the logarithm of the size of the determinant",
    "solve": "A⁻¹b is the solution x of A x = b",
    "slice": "z_(1:3) are the entries from place 1 up to, but not including, place 3, counted from 0",
    "embed": "0[1:3 ← z] is zero everywhere but at the places 1 up to 3, where z stands",
    "flip": "flip puts the entries in the opposite order",
    "concatenate": "[x; y] is x with y below it",
    "reshape": "ravel and reshape put the same entries, in the same order, into another shape",
    "permute": "A₍₁₀₂₎ is A with its axes in this order, counted from 0",
    "block": "A⁽ʰ⁾ is block h of A, of as many blocks of one size as there are h",
    "blocks": "[A₁ ⋯ A_h] has A₁, A₂ … A_h side by side",
    "windows": "windows slide along the last axes: at place i, j is the entry j of window i",
    "overlap_add": "overlap add puts windows back to their places, and adds where they overlap",
    "conv": "W ⋆ X slides the weights W over X: at k, i it is the sum of Wₖ꜀ₘ X꜀,ᵢ₊ₘ over c and m",
    "conv_transpose": "W ∗ G is the convolution, the transpose of W ⋆ X: at c, x it is the sum of "
    "Wₖ꜀ₘ Gₖ,ₓ₋ₘ over k and m",
    "conv_weight": "G ⋆ X slides G over X for each k and c: at m it is the sum of Gₖᵢ X꜀,ᵢ₊ₘ over i "
    "and all examples",
    "max_pool": "maxpool₂ₓ₂(A) has the largest entry of each window of 2×2 entries of A",
    "max_unpool": "maxunpool(G, A) puts each entry of G to where the largest of its window of A stands, "
    "and adds where windows overlap",
    "max_share": "maxshare(A) is 1 at the largest entry of each window of A and 0 elsewhere",
    "max_take": "maxtake(V, A) has what V has where the largest entry of each window of A stands",
    "avg_pool": "avgpool₂ₓ₂(A) has the mean of each window of 2×2 entries of A",
    "avg_unpool": "avgunpool(G) spreads each entry of G evenly over its window, adding where windows overlap",
    "cumsum": "cumsum(z) has the sum of the first i entries at place i",
    "prod": "Π is the product of the entries",
    "prod_others": "the product of others has at each place the product of all entries but the one there",
    "hardmax": "hardmax(z) is 1 at the largest entry and 0 elsewhere",
    "one_hot": "one hot(z) is 1 at the place that z names and 0 elsewhere",
    "take": "z_u are the entries, or rows, of z at the places that u names",
    "erf": "erf(z) is 2/√π times the area under exp(−t²) from 0 to z",
    "selu": "selu(z) = λ z where z > 0 and λ α (exp(z) − 1) elsewhere, with λ = 1.0507… and α = 1.6733…",
    "diagonal_sums": "every diagonal of A is replaced by the sum of its entries",
    "matrix_power": "Aᵏ of a matrix is the product of k factors A",
}
# What everybody can read who reads mathematics.
FAMILIAR = frozenset(
    {
        "add", "subtract", "negate", "multiply", "divide", "power", "scale", "exp", "log", "sqrt",
        "abs", "tanh", "greater", "greater_equal", "equal", "relu", "maximum", "minimum",
        "sum", "repeat", "squeeze", "norm", "matmul", "transpose", "outer", "not_equal",
        "max", "min", "where", "unit", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
        "symbol",
        "number", "size", "pi",
    }
)  # fmt: skip


def legend(boxes: Iterable[Box], sentences: Iterable[str] = ()) -> str:
    """The signs that occur in `boxes` and `sentences`, explained; "" if none needs to be."""
    found = set(_signs(boxes))
    if any("⟨" in sentence for sentence in sentences):
        found.add("⟨")
    if "⊘" in found and "⊙" not in found:
        found.add("⊙")
    told = [meaning for sign, meaning in MEANINGS.items() if sign in found]
    if "⊘" not in found:
        told = [meaning.replace("⊙ and ⊘ work", "⊙ multiplies") for meaning in told]
    kinds = {expr.op: expr for expr in found if isinstance(expr, Expr)}
    told += sorted(filter(None, map(meaning_of, kinds.values())))
    return f"Signs: {'; '.join(told)}" if told else ""


def meaning_of(expr: Expr) -> str:
    """What the notation of an operation means: in words, or by its definition, σ(z) = 1/(1 + exp(−z))."""
    op = expr.op
    if op.name in FAMILIAR or op.name in WORDS or op.definition is None or op.slopes is None:
        return WORDS.get(op.name, "")
    letters = [symbol("zuv"[k], ()) for k in range(len(expr.args))]
    written, meant = op(*letters, params=expr.params), op.definition(expr.params, *letters)
    return f"{line(Writer()(written))} = {line(Writer()(meant))}"


def _signs(boxes: Iterable[Box]) -> Iterator[str | Expr]:
    """The signs in `boxes`, and the expressions that are written out in them by their operations."""
    stack = list(boxes)
    seen: set[int] = set()
    while stack:
        box = stack.pop()
        if id(box) in seen:
            continue
        seen.add(id(box))
        stack += [] if _is_triangle(box) else parts_of(box)
        match box:
            case Sym(text):
                yield text
            case Row(items):
                yield from ("1[" for a, b in pairwise(items) if _is_mask(a, b))
            case Fence(left):
                yield left
            case Of(Expr() as what, inner) if not (what.args and _is_name(inner)):
                yield what


def _is_name(box: Box) -> bool:
    """Whether a box is a letter, with a mark or an index perhaps."""
    while isinstance(box, Sub | Accent):
        box = box.base
    return isinstance(box, Sym)


def _is_triangle(box: Box) -> bool:
    """Whether a box is 1[i ≤ j], which has a sentence of its own."""
    return isinstance(box, Of) and isinstance(box.what, Expr) and box.what.op is triangle_op


def _is_mask(sign: Box, fence: Box) -> bool:
    return sign == Sym("1", "function") and isinstance(fence, Fence) and fence.left == "["
