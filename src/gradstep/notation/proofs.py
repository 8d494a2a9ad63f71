"""Why is the derivative of an operation what its rule says? Entry by entry, or from its definition.

dσ(z)/dz = exp(−z)/(1 + exp(−z))² = σ(z) (1 − σ(z))        from σ(z) = 1/(1 + exp(−z))
∂pᵢ/∂zⱼ = pᵢ (δᵢⱼ − pⱼ)                                    with pᵢ = exp(zᵢ)/(Σⱼ exp(zⱼ))
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache

from gradstep.calculus.derivation import derive
from gradstep.calculus.forward import differential
from gradstep.calculus.jacobians import jacobian
from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import simplify
from gradstep.expression.boxes import Box, Fence, Frac, row
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.records import record, replaced
from gradstep.notation.checking import Claim, check
from gradstep.notation.indices import Index, entry_op
from gradstep.notation.lowering import Lowering
from gradstep.notation.plain import line
from gradstep.notation.presentation import Said
from gradstep.notation.writing import Writer, name_box, stands_alone
from gradstep.operations.leaves import is_constant, symbol, symbol_op, value_of
from gradstep.operations.toeplitz import diagonal_sums_op

LETTERS = "zuv"
LONGEST = 90  # a derivative with more letters than this explains nothing
KEPT = 2000  # operations of which the Jacobians are remembered
SEED = 5
UNINDEXED = frozenset({diagonal_sums_op})
# Names for the result of an operation and for what it is made of, where these have none: as vectors.
RESULT, OPERANDS = "ypqfgh", "xzuvstbcd"


# ------------------------------------------------------------------------------------------- by definition


@cache
def slopes_proved(op: Operation, params: Params) -> dict[Expr, tuple[Expr, Expr]]:
    """For each operand that moves an entrywise function: the derivative of its definition, and its slope.

    Both are of numbers z, u, v. A function without a definition, and what stands still, are left out.
    """
    if op.slopes is None or op.definition is None:
        return {}
    letters = [symbol(LETTERS[k], ()) for k in range(len(op.slopes))]
    y, definition = op(*letters, params=params), op.definition(params, *letters)
    slopes = {letter: slope(y, *letters) for letter, slope in zip(letters, op.slopes, strict=True)}
    moving = [letter for letter, slope in slopes.items() if value_of(slope) != 0]
    answers = derive(definition, [str(letter.params[0]) for letter in moving], certify=False).answers
    return {letter: (answers[str(letter.params[0])], slopes[letter]) for letter in moving}


def proof_of_slope(expr: Expr) -> tuple[Said, ...]:
    """The lines that show why the slope of the operation of `expr` is what its rule says."""
    proofs = slopes_proved(expr.op, expr.params)
    if not proofs or expr.op.definition is None:
        return ()
    letters = [symbol(LETTERS[k], ()) for k in range(len(expr.args))]
    write = Writer()
    y, meant = expr.op(*letters, params=expr.params), expr.op.definition(expr.params, *letters)
    origin = f"from {line(write(y))} = {line(write(meant))}"
    said = []
    for letter, both in proofs.items():
        forms = {line(write(form)): write(form) for form in both}
        if max(map(len, (*forms, origin))) <= LONGEST:
            sign = "d" if len(letters) == 1 else "∂"
            left = Frac(row(sign, standing(write(y))), row(sign, write(letter)))
            said.append(Said(left, tuple(forms.values()), rule=origin))
    return tuple(said)


# ------------------------------------------------------------------------------------------- entry by entry


@record
class Entries:
    """An operation at one entry: `at` are the indices of its result, `formula` is that entry.

    `slopes` holds for each operand the derivative of that entry by an entry of the operand, with its indices.
    """

    at: tuple[Index, ...]
    formula: Expr
    slopes: Mapping[Expr, tuple[tuple[Index, ...], Expr]]


@lru_cache(maxsize=KEPT)
def entries_of(y: Expr, moving: tuple[Expr, ...], reserved: frozenset[str]) -> Entries:
    """∂yᵢ/∂xⱼ for the operands x of `y` that move, variables all; letters in `reserved` are no index.

    Raises `MathError` if what is written with indices is not the Jacobian.
    """
    lower = Lowering(None, {y}, reserved=reserved)
    at = lower.indices(y)
    formula = lower.opening(y)(y, at)
    told = jacobian(y, moving, certify=False)
    claims, slopes = [Claim(formula, y, at)], {}
    for x, J in zip(moving, told.answers.values(), strict=True):
        places = lower.indices(J)
        shown = simplify(lower(J, places), BOOK, {y})
        claims.append(Claim(shown, J, places))
        slopes[x] = places, shown
    if "wrong" in check(told, claims, SEED):
        raise MathError(
            "the entries of a Jacobian failed their check, so they are not shown",
            facts=[f"the operation is {y.op.name}"],
            mend="reporting this formula to the authors of gradstep",
        )
    return Entries(at, formula, slopes)


def proof_by_entries(
    place: Expr, moving: Collection[Expr], names: Mapping[Expr, Box], reserved: frozenset[str]
) -> tuple[Said, ...]:
    """pᵢ = exp(zᵢ)/(Σⱼ exp(zⱼ)), ∂pᵢ/∂zⱼ = pᵢ (δᵢⱼ − pⱼ): how each entry of `place` moves with each operand.

    What has no name gets a letter that is not `reserved`: x for what an operation is of, y for its result.
    """
    operands = [arg for arg in dict.fromkeys(place.args) if not is_constant(arg)]
    given = [names.get(arg) or (name_box(str(arg.params[0]), arg) if arg.op is symbol_op else None)
             for arg in (*operands, place)]  # fmt: skip
    taken = (
        {*reserved}
        | {line(box) for box in given if box is not None}
        | {str(size) for x in operands for size in x.shape}
    )
    boxes = []
    for part, box in zip((*operands, place), given, strict=True):
        letters = RESULT if part is place else OPERANDS
        letter = next(x for x in (letters.upper() if part.rank > 1 else letters) if x not in taken)
        boxes.append(name_box(letter, part) if box is None else box)
        taken.add(line(boxes[-1]))
    stand = {x: symbol_op(params=(f"•{k}", x.shape, ())) for k, x in enumerate(operands)}
    y = place.op(*(stand.get(arg, arg) for arg in place.args), params=place.params)
    write = Writer({**dict(zip(stand.values(), boxes, strict=False)), y: boxes[-1]})
    moved = tuple(stand[x] for x in operands if x in moving)
    if y.op in UNINDEXED:
        return moved_whole(y, moved, write)
    found = entries_of(y, moved, frozenset(taken))
    left = write(entry_op(params=(y, found.at)) if any(found.at) else y)
    opened = found.formula is not y and not (found.formula.op is entry_op and found.formula.params[0] is y)
    formula = (left, write(found.formula)) if opened else (write(y), write.opened(y))
    said = [Said(formula[0], formula[1:], rule="entry by entry" if y.rank and opened else "")]
    for x, (at, slope) in found.slopes.items():
        own = at[y.rank :]
        below = write(entry_op(params=(x, own)) if any(own) else x)
        rule, why = reason(place, moving)
        if place.op.indices is not None:
            rule, why = f"what {line(below)} is multiplied by in {line(left)}", ""
        said.append(Said(Frac(row("∂", left), row("∂", below)), (write(slope),), rule, why))
    return told_once(said)


def moved_whole(y: Expr, moving: Sequence[Expr], write: Writer) -> tuple[Said, ...]:
    """dY = …, for an operation of which the entries cannot be written with indices."""
    markers = {x: symbol_op(params=(f"•d{k}", x.shape, ())) for k, x in enumerate(moving)}
    change = simplify(differential(y, [markers.get(x) for x in y.args]), BOOK)
    named = Writer({**write.names, **{marker: row("d", write(x)) for x, marker in markers.items()}})
    return (
        Said(write(y), (write.opened(y),)),
        Said(row("d", write(y)), (named(change),), *reason(y, moving)),
    )


def reason(place: Expr, moving: Collection[Expr]) -> tuple[str, str]:
    """The rule of an operation, and why it holds for those of its operands that move."""
    moved = [k for k, arg in enumerate(place.args) if arg in moving]
    return (place.op.rule, place.op.why) if place.op.told is None else place.op.told(place, moved)


def told_once(said: Sequence[Said]) -> tuple[Said, ...]:
    """The lines, a reason that the line before has given left out."""
    return tuple(
        replaced(one, rule="", why="")
        if k and (one.rule, one.why) == (said[k - 1].rule, said[k - 1].why)
        else one
        for k, one in enumerate(said)
    )


def proof_of_operation(
    place: Expr, moving: Collection[Expr], names: Mapping[Expr, Box], reserved: frozenset[str] = frozenset()
) -> tuple[Said, ...]:
    """Why `place` moves as its rule says with its operands in `moving`; `names` are those of the parts.

    Letters in `reserved` mean something else where this is read.

    For a function of each entry that is its slope, derived from its definition where there is one.
    """
    if place.op.slopes is None or len({arg.rank for arg in place.args}) > 1:
        return proof_by_entries(place, moving, names, reserved)
    return proof_of_slope(place) or stated_slopes(place, moving)


def stated_slopes(place: Expr, moving: Collection[Expr]) -> tuple[Said, ...]:
    """dsin(z)/dz = cos(z), and the reason; a number among the operands stays."""
    op, letters = place.op, iter(LETTERS)
    args = [arg if is_constant(arg) and not arg.rank else symbol(next(letters), ()) for arg in place.args]
    assert op.slopes is not None
    y, write = op(*args, params=place.params), Writer()
    several = sum(arg.op is symbol_op for arg in args) > 1
    said = []
    for arg, x, slope in zip(place.args, args, op.slopes, strict=True):
        if arg in moving and x.op is symbol_op:
            sign = "∂" if several else "d"
            left = Frac(row(sign, standing(write(y))), row(sign, write(x)))
            said.append(Said(left, (write(simplify(slope(y, *args), BOOK)),), *reason(place, moving)))
    return told_once(said)


def standing(box: Box) -> Box:
    """What is differentiated, in brackets where it needs them: sin(z), (z u)."""
    return box if stands_alone(box) else Fence("(", box, ")")
