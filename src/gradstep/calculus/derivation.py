"""How is a gradient derived? Open the loss part by part, from the outside inwards, one rule a step.

The line dC = Σ ⟨G, dN⟩ is the frontier of reverse mode: opening N replaces ⟨G, dN⟩ by inner products with the
differentials of N's operands, by the adjoint that N's operation declares. When only parameters are left, what
stands beside dw is ∂C/∂w. The steps are the algorithm; there is no second engine.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from gradstep.calculus.assumptions import believing, facts_of
from gradstep.calculus.certificate import certify as certify_lines
from gradstep.calculus.duals import STANDING_STILL
from gradstep.calculus.laws import Facts, book_with, zeros
from gradstep.calculus.naming import measures, named_parts
from gradstep.calculus.opening import Opening
from gradstep.calculus.recognising import Recognition
from gradstep.calculus.remarks import defined_where, loss_name, stillness
from gradstep.calculus.steps import Derivation
from gradstep.calculus.structures import Inside, structure_of
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, describe, rebuild, walk
from gradstep.expression.places import place_of
from gradstep.expression.shapes import shape_text
from gradstep.expression.shapes import size_names as names_of_size
from gradstep.operations.arithmetic import negate_op
from gradstep.operations.choices import where_op
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.impossibilities import nowhere
from gradstep.operations.leaves import number, symbol_op
from gradstep.operations.lookups import lookups

MOST_OPERATIONS = 10_000  # of a formula; a layer of a network has about five


def derive(
    loss: Expr,
    wrt: str | Expr | Sequence[str | Expr],
    *,
    names: Mapping[Expr, str] | None = None,
    structure: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The gradient of a scalar `loss` with respect to the variables `wrt`, step by step.

    `structure` says inside which structure a parameter moves ("symmetric", "diagonal", "toeplitz", "symmetric
    toeplitz"): its gradient is then that of its independent entries.
    `names` calls parts of the loss by names of your own; other parts worth a name get one, unless `only` says
    which names there may be. A gradient that is differentiated `again` is not shortened by what is assumed of
    its variables: Y may be symmetric, but its entries move one by one. One that is shortened says so.
    Every line is checked exactly (`certify=False` leaves that out); a derivation whose check fails raises
    `MathError`.
    Raises `MathError` when the loss is not a number, a name is unknown, or an operation has no derivative.
    """
    _check(loss)
    known = variables(loss)
    read = Recognition(loss, own=loss in (names or {}))
    loss = belongs(read.expr, known)
    names = {read.of(part): name for part, name in (names or {}).items()}
    parameters = chosen_parameters(wrt, known)
    moving = moving_nodes(loss, parameters.values())
    check_defined(loss, moving)
    parts = named_parts(loss, moving, names, {*known, *size_names(known.values())}, only)
    named = {part for part in parts if part is not loss}

    def opening(facts: Facts) -> tuple[Opening, dict[str, Expr]]:
        """The loss opened down to the parameters, and what then stands beside each."""
        opened = Opening(loss, number(1), set(parameters.values()), moving, named, book_with(facts))
        opened.run()
        if measures(loss):
            opened.shorten()
        else:
            opened.substitute_back()
        found = {name: opened.cotangents.get(variable) for name, variable in parameters.items()}
        return opened, {name: zeros(parameters[name]) if G is None else G for name, G in found.items()}

    opened, answers, shortened = believing(opening, known, parameters, again)
    answers = {name: belongs(answer, known) for name, answer in answers.items()}
    structures = insides(structure, parameters, answers)
    for name, inside in structures.items():
        answers[name] = belongs(opened.simplify(inside.structure.gradient(answers[name]))[0], known)
    derivation = Derivation(
        of=loss,
        wrt=tuple(parameters),
        parameters=parameters,
        steps=tuple(opened.steps),
        answers=answers,
        cotangents=opened.cotangents,
        fences=opened.fenced,
        parts=parts,
        structures=structures,
        assumptions={str(v.params[0]): fact for v, fact in facts_of(known.values())},
        notes=tuple(
            stillness(loss_name(parts, loss), loss, name, variable, "gradient")
            for name, variable in parameters.items()
            if variable not in opened.cotangents
        )
        + defined_where(loss, moving, parts)
        + shortened,
        recognised=read.rewrites,
    )
    if certify:
        derivation.certificate = certify_lines(derivation, seed=seed)
        if derivation.certificate.verdict is False:
            raise MathError(
                "this derivation failed its own check, so it is not shown",
                facts=[str(derivation.certificate)],
                mend="reporting this loss to the authors of gradstep",
            )
    return derivation


def insides(
    structure: Mapping[str, str] | None, parameters: Mapping[str, Expr], answers: Mapping[str, Expr]
) -> dict[str, Inside]:
    """The parameters that move inside a structure, checked."""
    found: dict[str, Inside] = {}
    if structure is None:
        return found
    if not isinstance(structure, Mapping):
        raise MathError("a structure is given by name", mend='structure={"X": "symmetric"}')
    for name, kind in structure.items():
        if name not in parameters:
            raise MathError(
                f"{name!s:.60} has a structure, but is no parameter",
                facts=[f"the parameters are {', '.join(parameters)}"],
            )
        structure_of(name, kind, parameters[name])
        found[name] = Inside(kind, answers[name])
    return found


def check_defined(formula: Expr, moving: Container[Expr]) -> None:
    """A `MathError` about a part that has no value whatever the variables are: why, and where it stands.

    Also about a part in `moving` that has no slope: √(−x²).
    """
    without_slope = nowhere(formula, moving)
    if without_slope is None:
        return
    without_value = nowhere(formula)
    node, operand, asks = without_value or without_slope
    u = describe(operand)
    turned = operand.args[0] if operand.op is negate_op else -operand
    other = rebuild(node, [turned if arg is operand else arg for arg in node.args])
    what = "value" if without_value else "slope"
    error = MathError(
        f"{describe(node)} is nowhere defined"
        if without_value
        else f"{describe(node)} has no slope anywhere",
        facts=[f"{u} is 0" if asks is None else f"it has a {what} where {asks(u)}, which is never so"],
        mend="another operand"
        if nowhere(other, {other, *other.args})
        else f"{describe(other)}, if the sign of {u} is a slip",
    )
    place = place_of(node)
    raise error if place is None else error.at(*place)


def _check(loss: object) -> None:
    """A loss is an expression that is a number."""
    if not isinstance(loss, Expr):
        raise MathError(
            f"derive takes an expression, not {type(loss).__name__}", mend='gs.parse(text, X="N d", …)'
        )
    if loss.rank:
        raise MathError(
            f"a gradient belongs to a number, but this is {shape_text(loss.shape)}",
            mend=f"mean({loss}) or sum({loss})" if len(str(loss)) < 60 else "its mean or its sum",
        )


def chosen_parameters(wrt: str | Expr | Iterable[str | Expr], known: Mapping[str, Expr]) -> dict[str, Expr]:
    """The variables that `wrt` names, in its order."""
    asked = list(wrt) if isinstance(wrt, Iterable) and not isinstance(wrt, str | Expr) else [wrt]
    chosen: dict[str, Expr] = {}
    for one in asked:
        name = str(one.params[0]) if isinstance(one, Expr) and one.op is symbol_op else one
        if not isinstance(name, str) or name not in known:
            raise MathError(
                f"there is no variable {name} here", facts=[f"the variables are {', '.join(sorted(known))}"]
            )
        chosen[name] = known[name]
    if not chosen:
        raise MathError("with respect to what?", mend=f'wrt="{next(iter(known), "w")}"')
    return chosen


def size_names(symbols: Iterable[Expr]) -> set[str]:
    return {name for s in symbols for size in s.shape for name in names_of_size(size)}


def moving_nodes(loss: Expr, parameters: Iterable[Expr]) -> set[Expr]:
    """The nodes that depend on a parameter, which should not hold whole numbers that look something up."""
    moving = set(parameters)
    for places in lookups(walk(loss)):
        if places in moving:
            raise MathError(
                f"there is no derivative with respect to {places.params[0]}: it holds whole numbers",
                facts=[f"{places.params[0]} says which rows are looked up"],
            )
    for count, node in enumerate(walk(loss)):
        if count >= MOST_OPERATIONS:
            raise MathError(f"a formula of more than {MOST_OPERATIONS:,} operations is not derived")
        if any(arg in moving for arg in node.args):
            moving.add(node)
            if node.op is where_op:
                _check_choice(node.args[0], moving)
    return moving


def _check_choice(condition: Expr, moving: set[Expr]) -> None:
    """A condition that moves jumps from 0 to 1: a comparison does, where a number in between would choose."""
    for node in walk(condition, stop=lambda node: node not in moving or node.op in STANDING_STILL):
        if node in moving and node.op not in STANDING_STILL and not node.args:
            raise MathError(
                f"a condition only chooses, but {describe(condition)} moves with {node.params[0]}",
                facts=["a condition is taken for 0 or 1, and no slope passes through it"],
                mend=f"a comparison, such as {describe(condition)} > 0",
            )
