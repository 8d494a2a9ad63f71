"""What may be done with what is assumed of a variable that moves? Its value may be used, not its slopes.

∂C/∂S = 2 S is worth 2 Sᵀ wherever S is symmetric, but the entries of S move one by one: only 2 Sᵀ can be
differentiated again. An answer that used such an assumption says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from gradstep.calculus.laws import Facts, assumed
from gradstep.expression.node import Expr

Made = TypeVar("Made")
Answer = TypeVar("Answer", bound="Expr | None")


def facts_of(symbols: Iterable[Expr]) -> list[tuple[Expr, str]]:
    """What is assumed of these variables."""
    return [(s, str(fact)) for s in symbols for fact in s.params[2]]


def tied(parameters: Iterable[Expr]) -> list[tuple[Expr, str]]:
    """What is assumed of these variables, as far as a law ties their entries to each other."""
    return [(variable, fact) for variable, fact in facts_of(parameters) if assumed(variable, fact)]


def believing(
    work: Callable[[Facts], tuple[Made, dict[str, Answer]]],
    known: Mapping[str, Expr],
    parameters: Mapping[str, Expr],
    again: bool,
) -> tuple[Made, dict[str, Answer], tuple[str, ...]]:
    """What `work` makes of the facts, its answers, and a note on those that are only true where these hold.

    Answers that are differentiated `again` are worked out without what ties the entries of the parameters.
    """
    own = tied(parameters.values())
    trained = set(parameters.values())
    others = facts_of(v for v in known.values() if v not in trained)
    if again or not own:
        return *work(others), ()
    made, answers = work([*own, *others])
    free = work(others)[1]
    shortened = [name for name, answer in answers.items() if answer is not free[name]]
    if not shortened:
        return made, answers, ()
    said = " and ".join(f"{variable.params[0]} ({fact})" for variable, fact in own)
    which = " and ".join(f"the answer for {name}" for name in shortened) if len(answers) > 1 else "the answer"
    note = (
        f"{which} uses what is assumed of {said}, so it holds only there; "
        "to differentiate it again, derive it with again=True, as the Hessian does"
    )
    return made, answers, (note[0].upper() + note[1:],)
