"""`gradstep networks`: layers and losses that come along, each with its derivation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gradstep.commands.telling import formulas, say, telling_options
from gradstep.expression.errors import MathError
from gradstep.library import DEPTH, networks


@click.command()
@click.argument("name", required=False)
@click.option("--depth", type=int, default=DEPTH, show_default=True, help="Layers, or steps in time.")
@click.option("--wrt", metavar="W,b", default="", help="The parameters; all of the network if not given.")
@click.option("--text", is_flag=True, help="Only the mathematics, as it is typed.")
@telling_options
def command(
    name: str | None,
    depth: int,
    wrt: str,
    text: bool,
    given: Sequence[str],
    names: str,
    seed: int | None,
    **telling: Any,
) -> None:
    """The networks that come along; of NAME the derivation.

    \b
        gradstep networks
        gradstep networks 'layer norm'
        gradstep networks transformer --depth 12
        gradstep networks LSTM --depth 5 --text
    """
    if name is None:
        click.echo(repr(networks))
        return
    network = networks[name]
    if text:
        click.echo(network.written(depth))
        click.echo(
            " ".join(f"{v}:{shape.replace(' ', ',')}" for v, shape in network.variables(depth).items())
        )
        return
    parameters = [one.strip() for one in wrt.split(",") if one.strip()] or network.parameters(depth)
    if not network.deep and depth != DEPTH:
        raise MathError(f"the network {name} has no layers to repeat", mend="leaving out --depth")
    say(network.derive(depth, wrt=parameters, given=formulas(given), names=names, seed=seed), **telling)
