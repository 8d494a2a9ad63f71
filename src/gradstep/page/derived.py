"""Which page belongs to a derivation? One that trains itself, on data that are made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.page import derivations
from gradstep.page.fitted import report
from gradstep.page.rehearsal import rehearse
from gradstep.page.report import page

GRID = 41  # places each way at which the surface is seen: it should take no time
OWN = '<code>gs.train(loss, {{{names}}}).page("mine.html")</code> makes this page with data of your own.'


def html(
    derivation: Derivation,
    *,
    codes: Mapping[str, str] | None = None,
    title: str = "",
    **telling: Any,
) -> str:
    """The derivation as one HTML file that works offline, told as `present` is asked to.

    The page of a gradient trains itself, on made-up data; where this cannot be, it says why. `codes` are
    sources to show, by language.
    """
    title = title or derivations.heading(derivation)
    if derivation.kind != "gradient":
        return derivations.html(derivation, codes=codes, title=title, **telling)
    try:
        return _alive(derivation, codes, title, telling)
    except MathError as error:
        lead = f"This page does not train: {error.what}."
        return derivations.html(derivation, codes=codes, title=title, lead=lead, **telling)


def _alive(
    derivation: Derivation, codes: Mapping[str, str] | None, title: str, telling: Mapping[str, Any]
) -> str:
    fit, made_up = rehearse(derivation)
    names = ", ".join(f'"{name}": {name}' for name in fit.data)
    shown = report(fit, title=title, lead=[" ".join(made_up)], next_steps=[OWN.format(names=names)])
    told = {"view": "sample", **telling}
    caption = f"{shown.fitted_caption} The data are made up." if shown.fitted else ""
    codes_shown = list(codes.items()) if codes else shown.codes
    descended = replace(shown.descended, grid=GRID) if shown.descended is not None else None
    return page(
        replace(shown, descended=descended, telling=told, codes=codes_shown, fitted_caption=caption)
    ).html()
