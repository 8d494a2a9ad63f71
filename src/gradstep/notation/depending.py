"""Which variables depend on others? `given={"u": "x**2"}` puts x² in the place of u and keeps its name.

The derivative is then the total one: x moves the result directly and through u.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, replace
from gradstep.expression.shapes import shape_text
from gradstep.notation.mending import Slip, mended, nearest
from gradstep.notation.parsing import Reader
from gradstep.operations.evaluation import belongs, mentioned, variables
from gradstep.operations.leaves import expression

Dependences = Mapping[str, "Expr | str | int | float"]


def depending(
    of: Expr, given: Dependences, names: Mapping[Expr, str], wrt: Iterable[object]
) -> tuple[Expr, dict[Expr, str]]:
    """`of` with the variables in `given` put in, and the names of its parts, theirs among them.

    Each is a formula, as text or as an expression, of the same shape as its variable; they may use each
    other. Raises `MathError` for a name that is no variable, a wrong shape, variables that depend on each
    other in a circle, and a derivative with respect to a variable that depends on others.
    """
    if not isinstance(given, Mapping):
        raise MathError("what a variable depends on is given by name", mend='given={"u": "x**2"}')
    known = variables(of)
    formulas: dict[str, Expr] = {}
    for name, value in given.items():
        if name not in known:
            raise MathError(
                f"there is no variable {name!s:.40} here",
                facts=[f"the variables are {', '.join(sorted(known))}"],
                mend=" or ".join(nearest(str(name), known)) or None,
            )
        formulas[name] = _read(name, value, known)
    for one in wrt:
        if one in formulas or any(one is known[name] for name in formulas):
            raise MathError(
                f"{one} depends on {_listed(formulas[str(one)])}: it does not move by itself",
                mend=f"the derivative with respect to {_listed(formulas[str(one)])}, or no formula for {one}",
            )
    table: dict[Expr, Expr] = {}
    for name in _ordered(formulas):
        table[known[name]] = replace(formulas[name], table)
    named = {replace(part, table): name for part, name in names.items()}
    for variable, value in table.items():
        if value.args:
            named.setdefault(value, str(variable.params[0]))
    whole = replace(of, table)
    mentioned(whole)
    return belongs(whole, {name: known[name] for name in known if name not in formulas}), named


def _read(name: str, value: object, known: Mapping[str, Expr]) -> Expr:
    """The formula of a variable, checked."""
    if isinstance(value, str):
        try:
            found = Reader(value, known).parsed().expr
        except Slip as slip:
            raise mended(slip, lambda candidate: Reader(candidate.text, known).parsed().expr) from None
    elif isinstance(value, Expr | int | float):
        found = expression(value)
    else:
        raise MathError(f"{name} is given as a formula, not {type(value).__name__}", mend=f'{name}="x**2"')
    if found.shape != known[name].shape:
        raise MathError(
            f"{name} is {shape_text(known[name].shape)}, but its formula is {shape_text(found.shape)}",
            facts=[f"{name} = {found}"],
            mend=f"declaring {name} as {shape_text(found.shape)}, or another formula",
        )
    return found


def _ordered(formulas: Mapping[str, Expr]) -> list[str]:
    """The names, each after those that its formula uses."""
    waiting = {name: mentioned(formula).keys() & formulas.keys() for name, formula in formulas.items()}
    order: list[str] = []
    while waiting:
        ready = [name for name, used in waiting.items() if used <= set(order)]
        if not ready:
            circle = sorted(waiting)
            what = f"{circle[0]} depends on itself" if len(circle) == 1 else "variables depend on each other"
            raise MathError(what, facts=[f"{name} = {formulas[name]}" for name in circle])
        order += ready
        waiting = {name: used for name, used in waiting.items() if name not in ready}
    return order


def _listed(formula: Expr) -> str:
    return ", ".join(sorted(mentioned(formula))) or "nothing"
