"""What do commands that derive have in common? How a derivation is told, and where it goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.notation.presentation import LAYOUTS
from gradstep.notation.terminal import text
from gradstep.notation.views import STYLES, VIEWS, present

WIDTH = 100


Command = TypeVar("Command", bound=Callable[..., Any])


def telling_options(command: Command) -> Command:
    """What a derivation is about, and how it is told: --given, --names, --view, --style, --layout, --to, …"""
    for decorate in (
        click.option(
            "--given",
            multiple=True,
            metavar="u=FORMULA",
            help="A variable that depends on others: 'u = x**2'.",
        ),
        click.option(
            "--names",
            metavar="WHICH",
            default="auto",
            show_default=True,
            help="Which parts go by names: auto, none (everything written out), or a list such as z,e.",
        ),
        click.option("--seed", type=int, help="Seed of the certificate's random points."),
        click.option("--tape", is_flag=True, help="Show too what the way back reads of the way forward."),
        click.option("--certify", is_flag=True, help="Show the integers by which every line was checked."),
        click.option(
            "--layers",
            metavar="WHICH",
            help="Of a deep network: folded (one for all), all, or the number of one.",
        ),
        click.option("--width", type=click.IntRange(40), help=f"Columns; {WIDTH} at most by itself."),
        click.option(
            "--open", "opened", is_flag=True, help="Show the steps and the proof behind every line too."
        ),
        click.option(
            "--to",
            type=click.Choice(["text", "latex", "markdown", "json", "html"]),
            default="text",
            show_default=True,
        ),
        click.option(
            "--layout",
            type=click.Choice(LAYOUTS),
            default=LAYOUTS[0],
            show_default=True,
            help="How derivatives stand: rows for the entries of f, for those of x, or as x itself.",
        ),
        click.option("--batch", metavar="SIZE", help="The axis of examples, where several could be it."),
        click.option(
            "--style",
            type=click.Choice(STYLES),
            default="partials",
            show_default=True,
            help="How it is told.",
        ),
        click.option(
            "--view",
            type=click.Choice(VIEWS),
            default="matrix",
            show_default=True,
            help="How lines are written.",
        ),
    ):
        command = decorate(command)
    return command


def formulas(given: Sequence[str]) -> dict[str, str]:
    """The formulas of variables that depend on others: ["u = x**2"] gives {"u": "x**2"}."""
    found: dict[str, str] = {}
    for each in given:
        name, sign, formula = each.partition("=")
        if not sign or not name.strip() or not formula.strip() or formula.startswith("="):
            raise MathError(f"--given takes NAME=FORMULA, not {each!r:.60}", mend="--given 'u = x**2'")
        if name.strip() in found:
            raise MathError(f"{name.strip()} is given twice", facts=list(given))
        found[name.strip()] = formula.strip()
    return found


def say(
    derivation: Derivation,
    *,
    view: str,
    style: str,
    batch: str | None,
    layout: str,
    to: str,
    opened: bool,
    certify: bool,
    layers: str | None,
    width: int | None,
    tape: bool,
) -> None:
    """Prints a derivation as it was asked for."""
    if layers and to == "html":
        raise MathError("a page has all layers: its lines open", mend="leaving out --layers")
    if tape and to != "text":
        raise MathError("a tape is told as text", mend="leaving out --to")
    telling: dict[str, Any] = {"batch": batch, "layout": layout, "certify": certify}
    if to != "html":
        telling["layers"] = layers
    if to == "text":
        told = present(
            derivation,
            view=view,
            style=style,
            batch=batch,
            layout=layout,
            certify=certify,
            layers=layers or ("all" if opened else "folded"),
            opened=opened,
        )
        click.echo(text(told, width or columns(), opened=opened, colour=is_colourful()), color=True)
        if tape:
            click.echo(f"\n{derivation.tape}")
    elif to == "json":
        import json  # not worth its time to load for the others

        data = derivation.to_json(view, style, **telling)
        click.echo(json.dumps(data, ensure_ascii=False, indent=1))
    elif to == "latex":
        click.echo(derivation.latex(view, style, opened=opened, **telling))
    else:
        click.echo(getattr(derivation, to)(view, style, **telling))


def columns() -> int:
    """The width of the terminal, if this is one and it is narrow."""
    try:
        return min(WIDTH, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError, AttributeError):
        return WIDTH


def is_colourful() -> bool:
    """Whether this is a terminal whose user has nothing against colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
