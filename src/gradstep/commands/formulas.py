"""What do commands that take a formula have in common? EXPR, SHAPES, --wrt and --assume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation.declaring import shapes_from_arguments
from gradstep.notation.parsing import parse

Command = TypeVar("Command", bound=Callable[..., Any])


def formula_options(command: Command) -> Command:
    """EXPR, SHAPES, --wrt and --assume for a command."""
    for decorate in (
        click.option(
            "--assume", multiple=True, metavar="NAME=FACT", help='What is known: Y="rows sum to one".'
        ),
        click.option("--wrt", required=True, metavar="w,b", help="The parameters, separated by commas."),
        click.argument("shapes", nargs=-1, metavar="[NAME:SIZES]..."),
        click.argument("expr"),
    ):
        command = decorate(command)
    return command


def read_formula(expr: str, shapes: Sequence[str], wrt: str, assume: Sequence[str]) -> tuple[Expr, list[str]]:
    """The loss, and the names of its parameters."""
    facts: dict[str, list[str]] = {}
    for each in assume:
        name, sign, fact = each.partition("=")
        if not sign:
            raise MathError(f"--assume takes NAME=FACT, not {each!r}", mend='--assume Y="rows sum to one"')
        facts.setdefault(name.strip(), []).append(fact.strip())
    parameters = [name.strip() for name in wrt.split(",") if name.strip()]
    return parse(expr, assume=facts or None, **shapes_from_arguments(shapes)), parameters
