"""`gradstep code`: the gradient as a program to paste."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gradstep.commands.formulas import FormulaCommand, formula_options, read_formula
from gradstep.public import derive
from gradstep.running import compile

LANGUAGES = ["numpy", "jax", "torch", "javascript", "c", "latex"]


@click.command(cls=FormulaCommand)
@formula_options
@click.option(
    "--to",
    type=click.Choice(LANGUAGES),
    default="numpy",
    show_default=True,
    help="The language.",
)
def command(expr: str, shapes: Sequence[str], wrt: str, assume: Sequence[str], to: str) -> None:
    """The value of EXPR and its gradients as a program.

    \b
        gradstep code 'mean((y - relu(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w,b

    For JAX and PyTorch it comes with the derivation as a comment, and as a function to paste into a network:
    a jax.custom_vjp, a torch.autograd.Function.
    """
    loss, parameters = read_formula(expr, shapes, wrt, assume)
    derivation = derive(loss, parameters)
    click.echo(derivation.latex() if to == "latex" else compile(derivation, to).source)
