"""Why is the derivative of an operation what its rule says? Entry by entry, or from its definition.

dσ(z)/dz = exp(−z)/(1 + exp(−z))² = σ(z) (1 − σ(z))        from σ(z) = 1/(1 + exp(−z))
∂pᵢ/∂zⱼ = pᵢ (δᵢⱼ − pⱼ)                                    with pᵢ = exp(zᵢ)/(Σⱼ exp(zⱼ))
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, count
from typing import TYPE_CHECKING

from gradstep.calculus.derivation import derive
from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import simplify
from gradstep.expression.boxes import Box, Fence, Frac, row
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import Expr, Operation, Params, walk
from gradstep.expression.node import replace as replace_nodes
from gradstep.expression.records import record, replaced
from gradstep.notation.checking import Claim, check
from gradstep.notation.indices import Index, entry_op
from gradstep.notation.lowering import Lowering
from gradstep.notation.plain import line
from gradstep.notation.presentation import Said
from gradstep.notation.wording import listed
from gradstep.notation.writing import Writer, name_box, stands_alone
from gradstep.operations.leaves import is_constant, symbol, symbol_op, value_of
from gradstep.operations.pseudoinverses import pinv_op
from gradstep.operations.toeplitz import diagonal_sums_op

if TYPE_CHECKING:
    from gradstep.calculus import forward, jacobians
else:
    forward = late("gradstep.calculus.forward")
    jacobians = late("gradstep.calculus.jacobians")

LETTERS = "zuv"
LONGEST = 90  # a derivative with more letters than this explains nothing
SHORT = 24  # what a letter stands for is said if it has no more letters
KEPT = 2000  # operations of which the Jacobians are remembered
SEED = 5
UNINDEXED = frozenset({diagonal_sums_op, pinv_op})
# Names for the result of an operation and for what it is made of, where these have none: as vectors.
RESULT, OPERANDS = "ypqfgh", "xzuvstbcd"


@record
class Cast:
    """Who plays in a proof: what stands for each operand of an operation, and what it is called.

    stand  for each operand that is no constant a variable; what does not move and is short stays as it is
    boxes  the names of the variables
    name   that of the result
    taken  letters that mean something
    words  what the letters stand for that the reader has not met: "u for e²"
    """

    stand: Mapping[Expr, Expr]
    boxes: Mapping[Expr, Box]
    name: Box
    taken: frozenset[str]
    words: str

    def entries(self, place: Expr) -> tuple[Expr, ...]:
        """The operands of a function of each entry at one place: zᵢ, 1/2."""
        lower = Lowering(None, self.boxes, reserved=self.taken)
        at = lower.indices(place)
        return tuple(lower(self.stand.get(x, x), at if x.rank else ()) for x in place.args)

    def slope(self, y: Expr, k: int, numbers: Sequence[Expr], write: Writer) -> Box:
        """dy/dx, or ∂y/∂x where there are several: y in brackets where it needs them."""
        sign = "∂" if sum(not is_constant(x) for x in numbers) > 1 else "d"
        return Frac(row(sign, standing(write(y))), row(sign, write(numbers[k])))


def cast_of(
    place: Expr, moving: Collection[Expr], names: Mapping[Expr, Box], reserved: frozenset[str]
) -> Cast:
    """Who plays: what has a name is called by it, what has none gets a letter that is not `reserved`."""
    seen = walk(place, stop=lambda node: node is not place and node in names)
    write = Writer({node: names[node] for node in seen if node in names})
    operands = [arg for arg in dict.fromkeys(place.args) if not is_constant(arg)]
    told = {arg: line(write(arg)) for arg in operands}
    as_it_is = [x for x in operands if x not in moving and x not in names and len(told[x]) <= SHORT]
    met = [x for x in operands if x not in as_it_is]
    met += [x for x in walk(*as_it_is, stop=names.__contains__) if x in names or x.op is symbol_op]
    taken = {*reserved} | {name.lower() for name in reserved if len(name) == 1}
    taken |= {str(size) for x in operands for size in x.shape}
    boxes: dict[Expr, Box] = {}
    for x in (*met, place):
        if x in names or x.op is symbol_op:
            boxes[x] = write(x)
            taken.add(line(boxes[x]))
    words: list[str] = []
    for x in (*operands, place):
        if x in boxes or x in as_it_is:
            continue
        letters = RESULT if x is place else OPERANDS
        letters = letters.upper() if x.rank > 1 else letters
        letter = next(a for a in chain(letters, (f"{letters[0]}_{k}" for k in count(1))) if a not in taken)
        boxes[x] = name_box(letter, x)
        taken.add(letter)
        if x is not place and len(told[x]) <= SHORT:
            words.append(f"{line(boxes[x])} for {told[x]}")
    stand = {x: symbol_op(params=(f"•{k}", x.shape, ())) for k, x in enumerate(dict.fromkeys(met))}
    return Cast(
        {x: stand[x] if x in stand else replace_nodes(x, stand) for x in operands},
        {stand[x]: boxes[x] for x in stand},
        boxes[place],
        frozenset(taken),
        f"with {listed(words)}" if words else "",
    )


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


def proof_of_slope(place: Expr, moving: Collection[Expr], cast: Cast) -> tuple[Said, ...]:
    """The lines that show why the slope of the operation of `place` is what its rule says."""
    proofs = slopes_proved(place.op, place.params)
    if not proofs or place.op.definition is None:
        return ()
    numbers = cast.entries(place)
    letters = {symbol(LETTERS[k], ()): x for k, x in enumerate(numbers)}
    y, meant = place.op(*numbers, params=place.params), place.op.definition(place.params, *numbers)
    write = Writer(cast.boxes)
    origin = f"from {line(write(y))} = {line(write(meant))}"
    said = []
    for letter, both in proofs.items():
        k = LETTERS.index(str(letter.params[0]))
        if place.args[k] not in moving:
            continue
        boxes = [write(simplify(replace_nodes(form, letters), BOOK)) for form in both]
        forms = {line(box): box for box in boxes}
        if max(map(len, (*forms, origin))) <= LONGEST:
            said.append(Said(cast.slope(y, k, numbers, write), tuple(forms.values()), rule=origin))
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
    told = jacobians.jacobian(y, moving, certify=False)
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


def proof_by_entries(place: Expr, moving: Collection[Expr], cast: Cast) -> tuple[Said, ...]:
    """pᵢ = exp(zᵢ)/(Σⱼ exp(zⱼ)), ∂pᵢ/∂zⱼ = pᵢ (δᵢⱼ − pⱼ): how each entry of `place` moves."""
    y = place.op(*(cast.stand.get(arg, arg) for arg in place.args), params=place.params)
    write = Writer({**cast.boxes, y: cast.name})
    moved = tuple(x for arg, x in cast.stand.items() if arg in moving)
    if y.op in UNINDEXED:
        return moved_whole(y, moved, write)
    found = entries_of(y, moved, cast.taken)
    left = write(entry_op(params=(y, found.at)) if any(found.at) else y)
    opened = found.formula is not y and not (found.formula.op is entry_op and found.formula.params[0] is y)
    formula = (left, write(found.formula)) if opened else (write(y), write.opened(y))
    told = ["entry by entry"] if y.rank and opened else []
    said = [Said(formula[0], formula[1:], rule=", ".join([*told, *filter(None, [cast.words])]))]
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
    change = simplify(forward.differential(y, [markers.get(x) for x in y.args]), BOOK)
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

    For a function of each entry that is its slope, derived from its definition where there is one. Where
    nothing moves there is nothing to prove.
    """
    if not any(arg in moving for arg in place.args):
        return ()
    cast = cast_of(place, moving, names, reserved)
    if place.op.slopes is None or len({arg.rank for arg in place.args}) > 1:
        return proof_by_entries(place, moving, cast)
    said = proof_of_slope(place, moving, cast) or stated_slopes(place, moving, cast)
    return tuple(
        replaced(one, rule=", ".join(filter(None, [one.rule, cast.words]))) if not k else one
        for k, one in enumerate(said)
    )


def stated_slopes(place: Expr, moving: Collection[Expr], cast: Cast) -> tuple[Said, ...]:
    """d sin(z)/dz = cos(z), and the reason."""
    op, numbers, write = place.op, cast.entries(place), Writer(cast.boxes)
    assert op.slopes is not None
    y = op(*numbers, params=place.params)
    return told_once(
        [
            Said(
                cast.slope(y, k, numbers, write),
                (write(simplify(slope(y, *numbers), BOOK)),),
                *reason(place, moving),
            )
            for k, (arg, slope) in enumerate(zip(place.args, op.slopes, strict=True))
            if arg in moving
        ]
    )


def standing(box: Box) -> Box:
    """What is differentiated, in brackets where it needs them: sin(z), (z u)."""
    return box if stands_alone(box) else Fence("(", box, ")")
