"""`gradstep check`: is this derivation right, and if not, where is it wrong?"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from gradstep.backends.foreign import answers_of
from gradstep.checks import check, check_function
from gradstep.commands.formulas import FormulaCommand, formula_options, read_formula
from gradstep.commands.telling import formulas
from gradstep.expression.errors import MathError
from gradstep.notation.verdicts import Verdict

RIGHT, WRONG = 0, 1
LONGEST_NAME = 255
SHAPE = re.compile(r"[A-Za-z]\w*:[\w,+*-]*")


@click.command(cls=FormulaCommand)
@formula_options
@click.option("--claim", "claims", multiple=True, metavar="LINE", help="The claim; several are its lines.")
@click.option(
    "--backward",
    metavar="FILE:NAME",
    help="A backward function, or a torch.autograd.Function. The file is run, at your own risk.",
)
@click.option("--hessian", is_flag=True, help="The claim is about the Hessian.")
@click.option("--given", multiple=True, metavar="u=FORMULA", help="A variable that depends on others.")
@click.option("--names", metavar="WHICH", default="auto", help="Which parts go by names: auto, none, or z,e.")
@click.option("--layout", metavar="WHICH", help="Matrices stand in numerator or in denominator layout.")
@click.option("--seed", type=int, help="Seed of the random points.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as data.")
def command(
    expr: str,
    shapes: Sequence[str],
    wrt: str,
    assume: Sequence[str],
    claims: Sequence[str],
    backward: str | None,
    hessian: bool,
    given: Sequence[str],
    names: str,
    layout: str | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Whether a claim about the gradient of EXPR is right, line by line.

    \b
    The claim comes last, in NumPy's syntax, as LaTeX, or as gradstep prints it; - reads it from the input.
        gradstep check 'mean((y - relu(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w '2/N * X.T @ (a - y)'
        gradstep check loss.txt --wrt w,b --backward mine.py:backward
    EXPR may be a file with the loss; its lines `# X:N,d w:d` are the shapes. A backward function is run in a
    process of its own, as it is: that is at your own risk.
    It leaves with 0 if the claim is right, 1 if it is wrong, and 2 if it cannot be read.
    """
    expr, shapes = loss_of(expr, shapes)
    if backward is None:
        shapes, claim = parted(shapes, claims)
        loss, parameters = read_formula(expr, shapes, wrt, assume)
        known = formulas(given) or None
        verdict = check(
            loss, parameters, claim, hessian=hessian, given=known, names=names, layout=layout, seed=seed
        )
    else:
        if layout is not None:
            raise MathError(
                "a layout is that of a formula: a function returns each gradient like its parameter"
            )
        loss, parameters = read_formula(expr, shapes, wrt, assume)
        call = partial(answers_of, backward)
        known = formulas(given) or None
        verdict = check_function(loss, parameters, call, backward, given=known, names=names, seed=seed)
    say(verdict, as_json)


def loss_of(expr: str, shapes: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The loss and the shapes, read from a file if EXPR is the name of one."""
    file = Path(expr) if len(expr) < LONGEST_NAME and expr.endswith(".txt") else None
    if file is None:
        return expr, shapes
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MathError(f"{expr} cannot be read", facts=[str(error)]) from None
    remarks = [line.lstrip(" #").split() for line in lines if line.lstrip().startswith("#")]
    told = [word for words in remarks if all(":" in word for word in words) for word in words]
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#")).strip()
    return text, [*told, *shapes]


def parted(shapes: Sequence[str], claims: Sequence[str]) -> tuple[Sequence[str], str]:
    """The shapes, and the claim behind them."""
    if claims:
        return shapes, "\n".join(claims)
    if not shapes:
        raise MathError("where is the claim?", mend="it comes last: 'dw = 2/N * X.T @ (a - y)'")
    *others, last = shapes
    if last == "-":
        return others, sys.stdin.read()
    if SHAPE.fullmatch(last):
        raise MathError(
            f"where is the claim? {last} is a shape", mend="it comes last: 'dw = 2/N * X.T @ (a - y)'"
        )
    return others, last


def say(verdict: Verdict, as_json: bool) -> None:
    """Prints a verdict, and leaves with what it says."""
    if as_json:
        import json  # not worth its time to load for the others

        click.echo(json.dumps(verdict.to_json(), ensure_ascii=False, indent=1))
    else:
        click.echo(verdict.text())
    click.get_current_context().exit(RIGHT if verdict.verdict else WRONG)
