"""How does a derivation become a document? Told in a view and a style, then written: one method a kind."""

from __future__ import annotations

from typing import Any

from gradstep.calculus.steps import Derivation
from gradstep.notation import documents
from gradstep.notation.layering import Layers
from gradstep.notation.views import present


def latex(
    derivation: Derivation,
    view: str = "matrix",
    style: str = "partials",
    *,
    batch: str | None = None,
    layout: str = "parameter",
    certify: bool = False,
    opened: bool = False,
    layers: Layers | None = None,
) -> str:
    """`Derivation.latex`."""
    return documents.latex(
        present(
            derivation,
            view=view,
            style=style,
            batch=batch,
            layout=layout,
            certify=certify,
            layers="folded" if layers is None else layers,
            opened=opened,
        )
    )


def markdown(
    derivation: Derivation,
    view: str = "matrix",
    style: str = "partials",
    *,
    batch: str | None = None,
    layout: str = "parameter",
    certify: bool = False,
    opened: bool = True,
    layers: Layers | None = None,
) -> str:
    """`Derivation.markdown`."""
    return documents.markdown(
        present(
            derivation,
            view=view,
            style=style,
            batch=batch,
            layout=layout,
            certify=certify,
            layers="folded" if layers is None else layers,
            opened=opened,
        )
    )


def json(
    derivation: Derivation,
    view: str = "matrix",
    style: str = "partials",
    *,
    batch: str | None = None,
    layout: str = "parameter",
    certify: bool = False,
    layers: Layers | None = None,
) -> dict[str, Any]:
    """`Derivation.to_json`."""
    return documents.to_json(
        derivation,
        present(
            derivation,
            view=view,
            style=style,
            batch=batch,
            layout=layout,
            certify=certify,
            layers="all" if layers is None else layers,
            opened=True,
        ),
    )
