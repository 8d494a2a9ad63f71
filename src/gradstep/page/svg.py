"""How is SVG written? Elements, words and numbers as text, with colours that the page may change.

Colours are CSS variables (`--gs-input`, …) with fallbacks that work on light and dark paper.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Numbers = Sequence[float] | Array
Point = tuple[float, float]

PAINT = {
    "paper": "Canvas",
    "ink": "currentColor",
    "quiet": "#7b818c",
    "grid": "#80858f40",
    "node-ink": "#1b1d22",
    "input": "#f4a95a",
    "product": "#c3c7ce",
    "output": "#74ade6",
    "weight": "#d64541",
    "sum": "#e487b0",
    "bias": "#3a9a5b",
    "data": "#3d83cf",
    "curve": "#d64541",
    "other": "#7b818c",
    "path": "#e4572e",
}
BANDS = ["#1b3f73", "#255985", "#327496", "#3f8fa8", "#65a4b1"]  # from the valley, even steps in OKLab
BANDS += ["#87bab9", "#a9cfc0", "#c2dacb", "#dbe4d7", "#f3efe2"]
PAINT |= {f"band-{k}": colour for k, colour in enumerate(BANDS)}
LABELS = "system-ui, sans-serif"
SYMBOLS = "'STIX Two Text', 'Times New Roman', Tinos, 'Liberation Serif', serif"


def paint(name: str) -> str:
    """The CSS colour of a part: a variable of the page, with a fallback for a picture on its own."""
    return f"var(--gs-{name}, {PAINT[name]})"


def number(value: float, digits: int = 3) -> str:
    """A number for people: a true minus sign, few digits, powers of ten where they are needed.

    >>> number(-0.5), number(2001), number(1234567.0)
    ('−0.5', '2001', '1.23×10⁶')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    if power and 0 < int(power) < 5:
        mantissa, power = f"{value:.0f}", ""
    if power:
        mantissa += "×10" + str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return mantissa.replace("-", "−")


def fine(value: float, decimals: int) -> str:
    """At least three digits, and as many decimals as it takes to check the sum by hand."""
    long = f"{value:.{decimals}f}".replace("-", "−")
    long = long.rstrip("0").rstrip(".") if "." in long else long
    return max(number(value), long, key=len) if abs(value) < 1e7 else number(value)


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value))


def tag(name: str, *content: str, **attributes: object) -> str:
    """One element; `stroke_width` becomes stroke-width, and what is None is left out."""
    said = {key.rstrip("_").replace("_", "-"): v for key, v in attributes.items() if v is not None}
    opening = name + "".join(f' {key}="{_value(value)}"' for key, value in said.items())
    return f"<{opening}>{''.join(content)}</{name}>" if content else f"<{opening}/>"


def circle(x: float, y: float, r: float, fill: str, **more: object) -> str:
    return tag("circle", cx=x, cy=y, r=float(r), fill=paint(fill), **more)


def rule(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1, **more: object) -> str:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=paint(stroke), stroke_width=width, **more)


def path(d: str, stroke: str, width: float, **more: object) -> str:
    line = {"fill": "none", "stroke": paint(stroke), "stroke_width": width, "stroke_linejoin": "round"}
    return tag("path", d=d, **line | more)


def box(x: float, y: float, width: float, height: float, **more: object) -> str:
    return tag("rect", x=x, y=y, width=width, height=height, **more)


def text(
    words: str,
    x: float,
    y: float,
    anchor: str = "middle",
    size: int = 12,
    colour: str = "ink",
    **more: object,
) -> str:
    place = {"x": x, "y": y, "text_anchor": anchor, "font_size": size, "fill": paint(colour)}
    return tag("text", escape(words), **place | more)


def halo(words: str, x: float, y: float, anchor: str = "middle", size: int = 12, colour: str = "ink") -> str:
    """Words that stay readable on top of lines."""
    rim = {"paint_order": "stroke", "stroke": paint("paper"), "stroke_width": 3.5, "stroke_linejoin": "round"}
    return text(words, x, y, anchor, size, colour, **rim)


def label(
    name: str, x: float, y: float, room: int, anchor: str = "middle", size: int = 12, colour: str = "ink"
) -> str:
    """A user's name, cut to the room there is; the whole name shows when the pointer rests on it."""
    label = text(shorten(name, room), x, y, anchor, size, colour)
    return label if len(name) <= room else tag("g", tag("title", escape(name)), label)


def shorten(name: str, room: int) -> str:
    return name if len(name) <= room else name[: room - 1].rstrip() + "…"


def symbol(names: str, x: float, y: float, size: int = 17, colour: str = "ink") -> str:
    """Mathematics such as "w_1 x_1" or "× W_2": letters slanted, what follows `_` lowered."""
    parts, lowered, after = [], False, False
    for name in names.split():
        base, _, index = name.partition("_")
        letter = base[:1].isalpha() and base != "Σ"
        style = {"dy": -0.25 * size if lowered else None, "dx": 2.5 if after else None}
        parts.append(tag("tspan", escape(base), font_style=None if letter else "normal", **style))
        if index:
            small = {"font_size": round(0.7 * size), "font_style": "normal"}
            parts.append(tag("tspan", escape(index), dy=0.25 * size, **small))
        lowered, after = bool(index), not letter
    face = {"font_family": SYMBOLS, "font_style": "italic", "font_size": size, "fill": paint(colour)}
    return tag("text", *parts, x=x, y=y, text_anchor="middle", **face)


def picture(ident: str, box: tuple[float, ...], title: str, description: str, *body: str) -> str:
    names = {"aria_labelledby": f"{ident}-title", "aria_describedby": f"{ident}-desc"}
    size = {"viewBox": " ".join(f"{v:.0f}" for v in box), "width": f"{box[2] / 16:.2f}rem"}
    head = (
        tag("title", escape(title), id=f"{ident}-title"),
        tag("desc", escape(description), id=f"{ident}-desc"),
    )
    return tag(
        "svg", *head, *body, xmlns="http://www.w3.org/2000/svg", id=ident, class_="gs-picture", role="img",
        font_family=LABELS, **names, **size,
    )  # fmt: skip


def line(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def named(name: str) -> str:
    """W1 is W with index 1, as people mean it."""
    return re.sub(r"^([^\W\d_]+)(\d+)$", r"\1_\2", name)
