"""What can a reader press on a live page? Its buttons and sliders, and the script that answers them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from gradstep.page.document import Html, Tools
from gradstep.page.live import scripts

# In this order each finds what it imports above it.
MODULES = ("random", "descent", "numbers", "network", "pictures", "lines", "alive")
PLACES = ("page", "cell")  # and one of these below them

EXAMPLE = Tools(
    Html(
        '<div role="group" aria-label="The example shown">'
        '<button type="button" id="example-before" aria-label="the example before">‹</button>'
        '<output id="example"></output>'
        '<button type="button" id="example-after" aria-label="the next example">›</button></div>'
        '<div role="group" aria-label="Its way through the network">'
        '<button type="button" id="forward">Signal forward →</button>'
        '<button type="button" id="backward">← Gradient back</button></div>'
        '<p class="hint" id="network-hint"></p>'
    )
)
STEPS = Tools(
    Html(
        '<label><input type="checkbox" id="numbers" checked> with your numbers</label>'
        '<div role="group" aria-label="Lines one at a time">'
        '<button type="button" id="one-by-one" aria-pressed="false">One line at a time</button>'
        '<button type="button" id="line-before" aria-label="one line less" disabled>‹</button>'
        '<button type="button" id="line-after" aria-label="the next line" disabled>›</button>'
        '<button type="button" id="slides">Slides</button></div>'
        '<p class="hint">Rest on a symbol, or tap it, to see what it is worth; '
        "open a line for its reason, its proof, and to copy it.</p>"
        '<p id="newest" class="spoken" role="status"></p>'
    )
)
INVITATION = (
    "Press Train and watch every line move. Drag a weight or the point on the loss surface, choose another "
    "example, and see which numbers change."
)
LINK = Html('<button type="button" id="link">Copy a link to this state</button>')
OPTIMISERS = ("gradient descent", "momentum", "adam")


def bar(model: Mapping[str, Any], *more: Html) -> Html:
    """The controls that stay in sight: train, one step, back to the start; how to step, and what is more."""
    rows = int(model["rows"])
    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if size < rows]
    asked = int(model["settings"]["batch"])
    sizes = sorted({*sizes, asked} - {0, rows}) if asked < rows else sizes
    batches = "".join(f'<option value="{size}">{size}</option>' for size in sizes)
    rules = "".join(f"<option>{name}</option>" for name in OPTIMISERS)
    loss = escape(str(model["loss"]))
    return Html(
        '<div class="bar live" role="region" aria-label="Training">'
        '<div class="buttons"><button type="button" id="train" class="main">Train</button>'
        '<button type="button" id="step">One step</button>'
        '<button type="button" id="reset">Reset</button></div>'
        '<p class="readout"><span>step <strong id="updates">0</strong></span> '
        f'<span>loss {loss} = <strong id="loss"></strong></span> '
        f'<span>slope ‖∂{loss}‖ = <strong id="slope"></strong></span></p>'
        '<details class="settings"><summary>How it steps</summary><div>'
        f'<label>way down <select id="optimiser">{rules}</select></label>'
        '<label>learning rate η <input type="range" id="rate-slider" min="-5" max="1" step="0.01" '
        'aria-label="learning rate, as a power of ten"><input type="text" id="rate" size="8" '
        'inputmode="decimal" aria-label="learning rate"></label>'
        '<label id="automatic-label"><input type="checkbox" id="automatic"> fitted to each step</label>'
        '<label id="friction-label">momentum '
        '<input type="range" id="friction" min="0" max="0.99" step="0.01">'
        '<output id="friction-shown"></output></label>'
        '<label>rows in a step <select id="batch">'
        f'<option value="0">all {rows}</option>{batches}</select></label>'
        '<label>speed <select id="speed"><option value="1">1 step a frame</option>'
        '<option value="10">10 steps a frame</option><option value="100">100 steps a frame</option>'
        '<option value="0.1">6 steps a second</option></select></label>'
        f"{''.join(more)}</div></details>"
        '<p id="message" role="status"></p></div>'
        '<div id="card" class="card" role="tooltip" hidden></div>'
        '<dialog id="slide" aria-live="polite" aria-label="The derivation, line by line"></dialog>'
    )


@cache
def script(place: str = "page") -> str:
    """The script of a live page, or of the "cell" of a notebook, which finds `formulas` above it."""
    folder = resources.files("gradstep.page") / "scripts"
    return scripts(lambda name: (folder / f"{name}.js").read_text("utf-8"), (*MODULES, place))
