"""Why is the slope of a function what it is? Its definition, differentiated by the rules that it is made of.

dσ(z)/dz = exp(−z)/(1 + exp(−z))² = σ(z) (1 − σ(z))        from σ(z) = 1/(1 + exp(−z))
"""

from __future__ import annotations

from functools import cache

from gradstep.calculus.derivation import derive
from gradstep.expression.boxes import Frac, row
from gradstep.expression.node import Expr, Operation, Params
from gradstep.notation.plain import line
from gradstep.notation.presentation import Said
from gradstep.notation.writing import Writer
from gradstep.operations.leaves import symbol, value_of

LETTERS = "zuv"
LONGEST = 90  # a derivative with more letters than this explains nothing


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
            left = Frac(row(sign, write(y)), row(sign, write(letter)))
            said.append(Said(left, tuple(forms.values()), rule=origin))
    return tuple(said)
