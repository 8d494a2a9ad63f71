"""How do Jacobians, Hessians and their products with a vector come about? As the lines of a derivation.

f moves by df = J dx: the parts of f move one after another, and what stands before dx at the end is J. The
Hessian is the Jacobian of the gradient; with a vector v in the place of dx the same lines give J v and H v.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gradstep.calculus.assumptions import believing, facts_of
from gradstep.calculus.derivation import (
    check_defined,
    chosen_parameters,
    derive,
    insides,
    moving_nodes,
    size_names,
)
from gradstep.calculus.forward import Forward
from gradstep.calculus.laws import Facts, book_with, zeros
from gradstep.calculus.moves import Move, certify_moves, joined
from gradstep.calculus.naming import Part, named_parts
from gradstep.calculus.networks import applied
from gradstep.calculus.recognising import Recognition
from gradstep.calculus.remarks import defined_where, stillness
from gradstep.calculus.rewriting import Book
from gradstep.calculus.steps import Change, Derivation, Kind
from gradstep.calculus.structures import STRUCTURES
from gradstep.calculus.verdicts import Certificate
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import shape_text
from gradstep.operations.broadcasting import MOST_AXES, repeat
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.leaves import number, symbol, symbol_op

LETTERS = ("f", "g", "h", "q")
Wrt = str | Expr | Sequence[str | Expr]
Names = Mapping[Expr, str] | None
Only = Collection[str] | None


def jacobian(
    f: Expr,
    wrt: Wrt,
    *,
    names: Names = None,
    only: Only = None,
    structure: Mapping[str, str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """∂f/∂x for each variable in `wrt`: the axes of f, then those of x (numerator layout).

    A number, a vector or a matrix where two axes are enough, else written by its indices (einsum).
    `structure` and `again` are those of `derive`. Raises `MathError` as `derive` does, and where the result
    would have too many axes.
    """
    f, known, names = _read(f, names)
    parameters = chosen_parameters(wrt, known)
    moving = moving_nodes(f, parameters.values())
    check_defined(f, moving)
    for name, x in parameters.items():
        _check_axes(f, x, name)
    parts = function_parts(f, list(parameters.values()), names, {*known, *size_names(known.values())}, only)

    def following(facts: Facts) -> tuple[Forward, dict[str, Expr | None]]:
        """How the parts move, and the arrays that are read off."""
        forward = Forward([f], list(parameters.values()), parts, book_with(facts))
        return forward, {name: forward.jacobian(f, x) for name, x in parameters.items()}

    forward, arrays, shortened = believing(following, known, parameters, again)
    changes = forward.changes()
    free = {name: _zero_array(f, x) if (J := arrays[name]) is None else J for name, x in parameters.items()}
    structures = insides(structure, parameters, free)
    kinds = {name: inside.kind for name, inside in structures.items()}
    answers = {
        name: belongs(_along(arrays[name], f, x, kinds, forward), known) for name, x in parameters.items()
    }
    return _finished(
        Derivation(
            of=f,
            wrt=tuple(parameters),
            parameters=parameters,
            steps=(),
            answers=answers,
            cotangents={},
            fences={},
            parts=parts,
            assumptions={str(v.params[0]): fact for v, fact in facts_of(known.values())},
            notes=defined_where(f, moving, parts) + _still(parts[f].name, f, parameters, arrays) + shortened,
            structures=structures,
            kind="jacobian",
            changes=changes,
            together=forward.together(changes),
        ),
        [_array_move(f, x, answers[name], forward, kinds) for name, x in parameters.items()],
        certify,
        seed,
    )


def hessian(
    loss: Expr,
    wrt: Wrt,
    *,
    names: Names = None,
    only: Only = None,
    structure: Mapping[str, str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """∂²C/∂w² of a scalar loss: the axes of w twice. The gradient is derived first, then its Jacobian.

    With several variables `answers["w"]` is the block of w with itself and `answers["w, b"]` that of ∂C/∂w
    with b: the axes of w, then those of b. Inside a `structure` both derivatives are along independent
    entries.
    """
    base = derive(
        loss, wrt, names=names, only=only, structure=structure, again=True, certify=certify, seed=seed
    )
    known = variables(loss)
    parameters = base.parameters
    kinds = {name: inside.kind for name, inside in base.structures.items()}
    gradients = {name: base.answers[name] for name in base.wrt}
    blocks = {
        row if row == column else f"{row}, {column}": (g, x)
        for row, g in gradients.items()
        for column, x in parameters.items()
    }
    for name, (g, x) in blocks.items():
        _check_axes(g, x, name)

    def following(facts: Facts) -> tuple[Forward, dict[str, Expr | None]]:
        """How the gradients move, and the blocks that are read off."""
        forward = gradients_moving(base, list(gradients.values()), facts)
        return forward, {name: forward.jacobian(g, x) for name, (g, x) in blocks.items()}

    forward, arrays, shortened = believing(following, known, parameters, again)
    answers = {
        name: belongs(_along(arrays[name], g, x, kinds, forward), known) for name, (g, x) in blocks.items()
    }
    moves = [_array_move(g, x, answers[name], forward, kinds) for name, (g, x) in blocks.items()]
    return _finished(_ofgradients_moving(base, "hessian", answers, forward, shortened), moves, certify, seed)


def jvp(
    f: Expr,
    wrt: Wrt,
    direction: str | Expr,
    *,
    names: Names = None,
    only: Only = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """∂f/∂x v, the change of f when x moves along v: the Jacobian–vector product, in the shape of f.

    `direction` is the name of a variable of the shape of x; it may occur in f already.
    """
    f, known, names = _read(f, names)
    parameters = chosen_parameters(wrt, known)
    moving = moving_nodes(f, parameters.values())
    check_defined(f, moving)
    x, v = _one(parameters, direction, known)
    parts = function_parts(f, [x], names, {*known, str(v.params[0]), *size_names(known.values())}, only)
    name = next(iter(parameters))

    def following(facts: Facts) -> tuple[tuple[Change, ...], dict[str, Expr]]:
        """How the parts move, and the function when x moves along v."""
        forward = Forward([f], [x], parts, book_with(facts))
        changes = forward.changes()
        return changes, {name: forward.whole(f, changes, {x: v})}

    changes, answers, shortened = believing(following, known, parameters, again)
    answer = belongs(answers[name], {**known, str(v.params[0]): v})
    return _finished(
        Derivation(
            of=f,
            wrt=(name,),
            parameters=parameters,
            steps=(),
            answers={name: answer},
            cotangents={},
            fences={},
            parts=parts,
            assumptions={str(s.params[0]): fact for s, fact in facts_of(known.values())},
            notes=defined_where(f, moving, parts) + shortened,
            kind="jvp",
            changes=changes,
            directions={name: v},
        ),
        [Move("answer", "the product with the vector", f, {x: v}, answer, True)],
        certify,
        seed,
    )


def hvp(
    loss: Expr,
    wrt: Wrt,
    direction: str | Expr,
    *,
    names: Names = None,
    only: Only = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """∂²C/∂w² v of a scalar loss, in the shape of w, without the Hessian: how the gradient moves along v."""
    base = derive(loss, wrt, names=names, only=only, again=True, certify=certify, seed=seed)
    known = variables(loss)
    w, v = _one(base.parameters, direction, known)
    (name,) = base.wrt
    g = base.answers[name]

    def following(facts: Facts) -> tuple[Forward, dict[str, Expr]]:
        """How the gradient moves, along v in the end."""
        forward = gradients_moving(base, [g], facts)
        return forward, {name: forward.whole(g, forward.changes(), {w: v})}

    forward, answers, shortened = believing(following, known, base.parameters, again)
    answer = belongs(answers[name], {**known, str(v.params[0]): v})
    derivation = _ofgradients_moving(base, "hvp", {name: answer}, forward, shortened)
    derivation.directions = {name: v}
    moves = [Move("answer", "the product with the vector", g, {w: v}, answer, True)]
    return _finished(derivation, moves, certify, seed)


# ------------------------------------------------------------------------------------------- parts of them


def _read(f: object, names: Names) -> tuple[Expr, Mapping[str, Expr], Mapping[Expr, str]]:
    """The function, what the user has written out in it recognised, and its variables."""
    if not isinstance(f, Expr):
        raise MathError(f"this takes an expression, not {type(f).__name__}", mend='gs.parse(text, x="n", …)')
    known = variables(f)
    read = Recognition(f)
    return belongs(read.expr, known), known, {read.of(part): name for part, name in (names or {}).items()}


def function_parts(
    f: Expr, sources: Sequence[Expr], given: Mapping[Expr, str], taken: set[str], only: Only = None
) -> dict[Expr, Part]:
    """The named parts of a function, itself under a letter for functions."""
    found = named_parts(f, moving_nodes(f, sources), given, taken, only)
    parts = {
        node: Part(part.name, "a number") if part.role == "loss" and node is not f else part
        for node, part in found.items()
    }
    if f in given or f.op is symbol_op:
        return parts
    used = {part.name for node, part in parts.items() if node is not f} | taken
    letters = [*LETTERS, *(f"f_{k}" for k in range(1, 2 + len(used)))]
    letter = next(name for name in letters if name not in used and name.upper() not in used)
    parts[f] = Part(letter.upper() if f.rank > 1 else letter, "the function")
    return parts


def gradients_moving(base: Derivation, gradients: Sequence[Expr], facts: Facts) -> Forward:
    """How gradients move: their parts are those of the loss, and the gradients that go by name."""
    parts = {*base.parts, *base.fences}
    parts -= {base.of} - set(walk(*gradients))
    return Forward(gradients, list(base.parameters.values()), parts, book_with(facts))


def _ofgradients_moving(
    base: Derivation, kind: Kind, answers: Mapping[str, Expr], forward: Forward, notes: tuple[str, ...]
) -> Derivation:
    changes = forward.changes()
    return Derivation(
        of=base.of,
        wrt=base.wrt,
        parameters=base.parameters,
        steps=base.steps,
        answers=answers,
        cotangents=base.cotangents,
        fences=base.fences,
        parts=base.parts,
        assumptions=base.assumptions,
        notes=base.notes + notes,
        structures=base.structures,
        kind=kind,
        changes=changes,
        together=forward.together(changes) if kind == "hessian" else (),
        base=base,
    )


def book_of(derivation: Derivation) -> Book:
    """The laws that hold for a derivation: those of the book, and what the user assumes."""
    return book_with(facts_of(variables(derivation.of).values()))


def _one(parameters: Mapping[str, Expr], direction: object, known: Mapping[str, Expr]) -> tuple[Expr, Expr]:
    """The one parameter, and the variable that is its direction."""
    if len(parameters) != 1:
        raise MathError(
            "a product with a vector takes one variable", facts=[f"here are {', '.join(parameters)}"]
        )
    ((name, x),) = parameters.items()
    if isinstance(direction, str) and direction not in known:
        return x, symbol(direction, x.shape)
    v = known.get(direction) if isinstance(direction, str) else direction
    if not isinstance(v, Expr) or v.op is not symbol_op:
        raise MathError("a direction is the name of a variable", mend='"v"')
    if v.shape != x.shape:
        raise MathError(
            f"a direction has the shape of {name}",
            facts=[f"{name} is {shape_text(x.shape)}", f"{v} is {shape_text(v.shape)}"],
            mend="a name that is not taken",
        )
    return x, v


def _check_axes(f: Expr, x: Expr, name: str) -> None:
    if f.rank + x.rank > MOST_AXES:
        raise MathError(
            f"the derivative with respect to {name} would have {f.rank + x.rank} axes",
            facts=[f"at most {MOST_AXES} are possible"],
        )


def _zero_array(f: Expr, x: Expr) -> Expr:
    """Zeros in the shape of f and of x together."""
    return repeat(number(0), tuple(range(f.rank + x.rank)), f.shape + x.shape)


def _still(
    told: str, f: Expr, parameters: Mapping[str, Expr], arrays: Mapping[str, Expr | None]
) -> tuple[str, ...]:
    return tuple(
        stillness(told, f, name, x, "derivative") for name, x in parameters.items() if arrays[name] is None
    )


def _along(J: Expr | None, f: Expr, x: Expr, kinds: Mapping[str, str], forward: Forward) -> Expr:
    """The array ∂f/∂x, along the independent entries of x where it moves inside a structure."""
    if J is None:
        return _zero_array(f, x)
    kind = kinds.get(str(x.params[0]))
    return J if kind is None else forward.tidy(STRUCTURES[kind].gradient(J))[0]


def _array_move(f: Expr, x: Expr, J: Expr, forward: Forward, kinds: Mapping[str, str]) -> Move:
    """f moves by J dx when x alone moves; inside a structure, by J D when x moves as the entries of D do."""
    D, kind = forward.marker(x), kinds.get(str(x.params[0]))
    dx = D if kind is None else STRUCTURES[kind].gradient(D)
    return Move("answer", "what is read off is not the derivative", f, {x: dx}, applied(J, D, f.rank), True)


def _finished(derivation: Derivation, answers: Sequence[Move], certify: bool, seed: int | None) -> Derivation:
    """The derivation with its certificate; one whose check fails is a `MathError`."""
    if not certify:
        return derivation
    moves = []
    for change in (*derivation.changes, *derivation.together):
        given = dict(zip(change.by, change.markers, strict=True))
        form = zeros(change.part) if change.form is None else change.form
        rule = change.rules[0][0] if change.rules else "put together"
        tidied = bool(change.details) or change in derivation.together
        what, details = "the part does not move as its line says", change.details
        moves.append(Move(rule, what, change.part, given, form, tidied, details=details))
    before = (
        e for step in derivation.steps for line in (step.before, step.after) for term in line for e in term
    )
    known = (derivation.of, *before)
    own = certify_moves([*moves, *answers], known=known, names=derivation.names, seed=seed)
    certificate: Certificate = joined(derivation.base.certificate if derivation.base else None, own)
    derivation.certificate = certificate
    if certificate.verdict is False:
        raise MathError(
            "this derivation failed its own check, so it is not shown",
            facts=[str(certificate)],
            mend="reporting this formula to the authors of gradstep",
        )
    return derivation
