"""What does the page of a trained network show? The story from the network to its fit, top to bottom.

The network as a picture · the loss written out · the derivation, line by line, and its proof · the descent on
the loss surface, the loss curve, the data with the fit · the code · what to try next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.learn.packing import write_whole
from gradstep.notation.views import present
from gradstep.page import controls, pictures
from gradstep.page.derivations import told_sections
from gradstep.page.document import Block, Code, Html, Page, Picture, Row, Section, Steps, Table, Text
from gradstep.page.keys import Keys
from gradstep.page.live import Live, as_json
from gradstep.page.surface import Plane, Slice, sample

Array = npt.NDArray[np.float64]
Parameters = Mapping[str, Array]


@dataclass(frozen=True)
class Descended:
    """How the parameters were found.

    `objective` is the loss of the parameters as they were trained (features standardised, if they were),
    `path` the parameters along the way, `history` the loss after each step, `baseline` what a simpler rule
    reaches; the surface is seen at `grid` places each way.
    """

    objective: Callable[[dict[str, Array]], float]
    path: Sequence[Parameters]
    history: Sequence[float]
    baseline: tuple[str, float] | None = None
    remark: str = ""
    grid: int = 61


@dataclass(frozen=True)
class Report:
    """Everything that a page of a fit shows.

    `telling` says how the derivation is told, as `present` takes it; `fitted` is a picture of the data with
    the fit, as SVG.
    """

    title: str
    lead: Sequence[str]
    derivation: Derivation
    telling: Mapping[str, Any] = field(default_factory=dict)
    network: pictures.Network | None = None
    network_caption: str = ""
    descended: Descended | None = None
    fitted: str = ""
    fitted_caption: str = ""
    head: Sequence[str] = ()
    results: Sequence[Sequence[str]] = ()
    results_caption: str = ""
    codes: Sequence[tuple[str, str]] = ()
    next_steps: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    faults: Sequence[str] = field(default=())  # those of the notes that deserve a second look
    live: Callable[[Keys, Plane | Slice | None], Live] | None = None


@dataclass(frozen=True)
class Told:
    """A report as sections, and what they are `alive` with, where the network can train there; or why not."""

    sections: Sequence[Section]
    alive: Live | None = None
    still: str = ""


def page(report: Report) -> Page:
    """The page of a report: alive, where the network can train in it."""
    shown = told(report)
    sections, alive = shown.sections, shown.alive
    if alive is None:
        why = [f"This page does not train: {shown.still}."] if shown.still else []
        return Page(report.title, [*report.lead, *why], sections)
    return Page(
        report.title,
        list(report.lead),
        sections,
        script=alive.formulas + controls.script(),
        model=as_json(alive.model),
        bar=controls.bar(alive.model, controls.LINK),
        invitation=controls.INVITATION,
    )


def told(report: Report) -> Told:
    """The sections of a report, and what they are alive with."""
    presented = present(report.derivation, layers="folded", opened=True, **report.telling)
    keys = Keys(report.derivation) if report.live is not None else None
    derived = told_sections(presented, report.derivation, keys)
    descended = report.descended
    surface = (
        sample(descended.objective, descended.path, size=descended.grid) if descended is not None else None
    )
    alive, still = None, ""
    if report.live is not None and keys is not None:
        try:
            alive = report.live(keys, surface)
        except MathError as error:
            still = error.what
    sections: list[Section] = []
    if report.network is not None:
        narrow = pictures.network(report.network, down=True, ident="gs-network-narrow")
        picture = Picture(pictures.network(report.network), report.network_caption, narrow)
        sections.append(Section("The network", [picture, *([controls.EXAMPLE] if alive else [])]))
    updates = [s for title, s in derived.items() if title.startswith("One step")]
    for title, told_so in derived.items():
        if title.startswith("One step"):
            continue
        steps = alive is not None and any(isinstance(block, Steps) for block in told_so.blocks)
        sections.append(Section(title, [controls.STEPS, *told_so.blocks]) if steps else told_so)
    if descended is not None and surface is not None:
        shown = _descent(report, descended, surface)
        said = [Text([f"{updates[0].heading}:"]), *updates[0].blocks] if updates else []
        sections.append(Section("The descent", [*said, *shown]))
    else:
        sections += updates
    if report.codes:
        sections.append(
            Section(
                "The code",
                [
                    Text(["The formulas above are this program: value and gradients together."]),
                    Code(list(report.codes)),
                ],
            )
        )
    if report.next_steps:
        sections.append(Section("What to try next", [Text([Html(step) for step in report.next_steps])]))
    return Told(sections, alive, still)


def _descent(report: Report, descended: Descended, surface: Plane | Slice) -> list[Block]:
    blocks: list[Block] = []
    shown: list[Block] = []
    if isinstance(surface, Plane):
        drawn = pictures.loss_surface(surface.x, surface.y, surface.values, surface.path, surface.labels)
        caption = (
            surface.caption or f"The loss over {surface.labels[0]} and {surface.labels[1]}, and the way down."
        )
    else:
        drawn = pictures.loss_slice(surface.x, surface.values, surface.path, surface.losses, surface.label)
        caption = f"The loss over {surface.label}, and the way down."
    shown.append(Picture(drawn, f"{caption} {descended.remark}".strip()))
    shown.append(
        Picture(pictures.loss_curve(descended.history, descended.baseline), "The loss after each step.")
    )
    if report.fitted:
        shown.append(Picture(report.fitted, report.fitted_caption))
    blocks.append(Row(shown))
    if report.results:
        blocks.append(
            Table(report.head, report.results, report.results_caption, strong=len(report.results) - 1)
        )
    if report.faults:
        blocks.append(Text([f"Worth a second look: {fault}." for fault in report.faults]))
    noted = [note for note in report.notes if note not in report.faults]
    if noted:
        blocks.append(Text([f"Noted in training: {'; '.join(noted)}."]))
    return blocks


def save(page_of: Page, path: str | Path) -> Path:
    """Write the page, whole or not at all; returns the path of the file."""
    write_whole(path, page_of.html().encode(errors="replace"))
    return Path(path).resolve()
