"""What do commands that take a formula have in common? EXPR, SHAPES, --wrt and --assume."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gradstep.commands.shapes import words
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation.declaring import shapes_from_arguments
from gradstep.notation.functions import function
from gradstep.notation.parsing import parse
from gradstep.operations.evaluation import variables

Command = TypeVar("Command", bound=Callable[..., Any])
HOW = "X:N,d for a matrix, w:d for a vector, b: for a number"


OPTION = re.compile(r"--?[a-z][a-z-]*(=.*)?\Z", re.DOTALL)


class FormulaCommand(click.Command):
    """A command whose first argument may begin with a minus: -mean(…) is a formula, not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, a space before a formula that looks like an option."""
        return super().parse_args(
            ctx, [f" {a}" if a[:1] == "-" and not OPTION.match(a) and a != "--" else a for a in args]
        )


def declare_functions(ctx: click.Context, option: click.Parameter, given: Sequence[str]) -> None:
    """Declares each function that --function gives."""
    for each in given:
        function(each)


def formula_options(command: Command) -> Command:
    """EXPR, SHAPES, --wrt, --assume and --function for a command."""
    for decorate in (
        click.option(
            "--assume", multiple=True, metavar="NAME=FACT", help='What is known: Y="rows sum to one".'
        ),
        click.option(
            "--function",
            multiple=True,
            is_eager=True,
            expose_value=False,
            callback=declare_functions,
            metavar="'f(x) = …'",
            help="A function of your own: 'swish(x) = x*sigmoid(x)'.",
        ),
        click.option("--wrt", metavar="w,b", default="", help="The parameters, separated by commas."),
        click.argument("shapes", nargs=-1, metavar="[NAME:SIZES]..."),
        click.argument("expr"),
    ):
        command = decorate(command)
    return command


structure_option = click.option(
    "--structure",
    multiple=True,
    metavar="NAME=KIND",
    help="Along the independent entries of a symmetric, diagonal, toeplitz or symmetric toeplitz matrix.",
)


def structures(written: Sequence[str]) -> dict[str, str]:
    """What --structure gives: the kind of matrix, by name."""
    found = {}
    for each in written:
        name, sign, kind = each.partition("=")
        if not sign:
            raise MathError(f"--structure takes NAME=KIND, not {each!r:.60}", mend="--structure X=symmetric")
        found[name.strip()] = kind.strip()
    return found


def read_formula(expr: str, shapes: Sequence[str], wrt: str, assume: Sequence[str]) -> tuple[Expr, list[str]]:
    """The loss, and the names of its parameters."""
    names = words(expr)
    if not shapes and names:
        raise MathError(
            f"which shapes have {', '.join(names)}?",
            source=expr,
            mend=f"a shape for each after the formula: {HOW}",
        )
    facts: dict[str, list[str]] = {}
    for each in assume:
        name, sign, fact = each.partition("=")
        if not sign:
            raise MathError(
                f"--assume takes NAME=FACT, not {each!r:.60}", mend='--assume Y="rows sum to one"'
            )
        facts.setdefault(name.strip(), []).append(fact.strip())
    loss = parse(expr, shapes_from_arguments(shapes), assume=facts or None)
    parameters = [name.strip() for name in wrt.split(",") if name.strip()]
    if not parameters:
        known = variables(loss)
        raise MathError(
            "with respect to what?",
            facts=[f"the variables are {', '.join(known)}"],
            mend=f"--wrt {','.join(guessed(known))}" if known else None,
        )
    return loss, parameters


def guessed(known: dict[str, Expr]) -> list[str]:
    """What are probably the parameters: w, b, W1 …"""
    likely = [name for name in known if name[0] in "wWbB" or name.startswith("theta")]
    return likely or [next(iter(known))]
