"""`gradstep derive`: the gradient of a loss, step by step."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from gradstep.commands.formulas import formula_options, read_formula
from gradstep.notation.views import STYLES, VIEWS
from gradstep.public import derive


@click.command()
@formula_options
@click.option(
    "--view", type=click.Choice(VIEWS), default="matrix", show_default=True, help="How the lines are written."
)
@click.option(
    "--style", type=click.Choice(STYLES), default="partials", show_default=True, help="How the story goes."
)
@click.option("--batch", metavar="SIZE", help="The axis of examples, where several could be it.")
@click.option(
    "--to",
    type=click.Choice(["text", "latex", "markdown", "json", "html"]),
    default="text",
    show_default=True,
)
@click.option("--open", "opened", is_flag=True, help="Show the proof of every line too.")
@click.option("--width", type=click.IntRange(40), default=100, show_default=True)
@click.option("--seed", type=int, help="Seed of the certificate's random points.")
def command(
    expr: str,
    shapes: Sequence[str],
    wrt: str,
    assume: Sequence[str],
    view: str,
    style: str,
    batch: str | None,
    to: str,
    opened: bool,
    width: int,
    seed: int | None,
) -> None:
    """The gradient of EXPR, step by step.

    \b
    EXPR is NumPy-like; every variable gets its shape as NAME:SIZES, a number NAME: alone.
        gradstep derive 'mean((y - relu(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w,b --view sample
    """
    loss, parameters = read_formula(expr, shapes, wrt, assume)
    derivation = derive(loss, parameters, seed=seed)
    if to == "text":
        click.echo(derivation.text(view, style, width=width, batch=batch, opened=opened))
    elif to == "json":
        click.echo(json.dumps(derivation.to_json(view, style, batch=batch), ensure_ascii=False, indent=1))
    else:
        click.echo(getattr(derivation, to)(view, style, batch=batch))
