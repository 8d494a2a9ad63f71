"""How is it drawn? Each function returns one SVG picture as text, from numbers alone.

Pictures need no style sheet and no script, and every one has a title and a description. What a live page
moves carries a class, and its numbers in `data-` attributes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gradstep.page import svg
from gradstep.page.diagram import Example, Layer, Network, network
from gradstep.page.svg import BANDS, Array, Numbers, Point

__all__ = ["Curve", "Example", "Layer", "Network", "confusion", "data_and_fit", "loss_curve", "loss_slice"]
__all__ += ["loss_surface", "network", "predicted_against_true"]

CANVAS = (0.0, 0.0, 420.0, 320.0)
DASHES = {"curve": (2.6, None), "other": (1.8, "6 4")}


@dataclass(frozen=True)
class Curve:
    """A named line through the data; `kind` is "curve" (solid) or "other" (dashed)."""

    name: str
    x: Numbers
    y: Numbers
    kind: str = "curve"


# Axes

_FORWARD: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda v: v,
    "log": np.log10,
    "steps": lambda v: np.log10(1 + v),  # a log axis that has a zero: step 0 is where the story starts
}


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between low and high: multiples of 1, 2 or 5 times a power of ten.

    >>> ticks(0, 9.4)
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(m * power for m in (1, 2, 5, 10, 20) if (high - low) / (m * power) < most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12 - math.floor(math.log10(step))) + 0.0 for k in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: 1 2 5 10 …, or fewer where that is too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        round_ones = [d * 10.0**p for p in powers for d in digits]
        found = [v for v in round_ones if low <= v <= high * (1 + 1e-9)]
        if len(found) <= 6:
            return found if len(found) > 1 else ticks(low, high)
    return found[:: math.ceil(len(found) / 6)]


@dataclass(frozen=True)
class _Scale:
    """Numbers to pixels along one axis."""

    low: float
    high: float
    start: float
    end: float
    kind: str = "linear"

    def __call__(self, values: Numbers | float) -> Array:
        forward = _FORWARD[self.kind]
        low, high = forward(np.array([self.low, self.high], float))
        pixels: Array = self.start + (self.end - self.start) * (forward(np.asarray(values, float)) - low) / (
            high - low
        )
        return pixels

    def ticks(self) -> list[tuple[float, float]]:
        """Each tick with its pixel."""
        marks = {
            "linear": lambda: ticks(self.low, self.high),
            "log": lambda: _decades(self.low, self.high),
            "steps": lambda: [0.0, *_decades(1, max(self.high, 10))],
        }[self.kind]()
        return list(zip(marks, self(marks).tolist(), strict=True))

    def __str__(self) -> str:
        return f"{self.low:.8g} {self.high:.8g} {self.kind}"


def _spread(values: Iterable[Numbers | float], margin: float = 0.05) -> tuple[float, float]:
    """The range of all finite values with a margin, never empty."""
    joined = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    joined = joined[np.isfinite(joined)]
    low, high = (joined.min(), joined.max()) if joined.size else (0.0, 1.0)
    pad = margin * (high - low) or 0.5 * abs(high) or 1.0
    return float(low - pad), float(high + pad)


class _Plot:
    """Axes on a small canvas; what is drawn inside is clipped to the frame."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], labels: tuple[str, str], *,
        right: float = 16, kinds: tuple[str, str] = ("linear", "linear"),
    ) -> None:  # fmt: skip
        self.left, self.right, self.top, self.bottom = 50.0, CANVAS[2] - right, 30.0, CANVAS[3] - 44
        self.x, self.y = (
            _Scale(*x, self.left, self.right, kinds[0]),
            _Scale(*y, self.bottom, self.top, kinds[1]),
        )
        self.labels = labels

    def points(self, x: Numbers, y: Numbers) -> list[Point]:
        both = np.stack([self.x(x), self.y(y)], axis=-1)
        return [(u, v) for u, v in both[np.isfinite(both).all(axis=-1)].tolist()]

    def axes(self, lines: bool = True, symbols: bool = False) -> str:
        parts = [svg.rule(self.left, self.bottom, self.right, self.bottom, "quiet")]
        for tick, at in self.y.ticks():
            parts += [svg.rule(self.left, at, self.right, at, "grid")] * lines
            parts.append(svg.text(svg.number(tick, 4), self.left - 7, at + 4, "end", 12, "quiet"))
        for tick, at in self.x.ticks():
            parts.append(svg.rule(at, self.bottom, at, self.bottom + 4, "quiet"))
            parts.append(svg.text(svg.number(tick, 4), at, self.bottom + 18, size=12, colour="quiet"))
        (x, y), centre = self.labels, (self.left + self.right) / 2
        if symbols:
            parts += [
                svg.symbol(svg.named(x), centre, self.bottom + 37),
                svg.symbol(svg.named(y), self.left - 4, self.top - 12),
            ]
        else:
            parts.append(svg.label(x, centre, self.bottom + 37, 44, size=13))
            parts.append(svg.label(y, 4, self.top - 13, 44, "start", 13))
        return "".join(parts)

    def inside(self, *body: str) -> str:
        """What belongs to the data: clipped, with the numbers a live page needs to move it."""
        width, height = self.right - self.left, self.bottom - self.top
        place = {"x": self.left, "y": self.top, "width": width, "height": height}
        view = f"{self.left:g} {self.top:g} {width:g} {height:g}"
        return svg.tag("svg", "", *body, class_="plot", viewBox=view, data_x=self.x, data_y=self.y, **place)


def _thin(points: Sequence[Point], apart: float) -> list[Point]:
    """Leave out points nearer than `apart` pixels to the last one kept; the first and the last stay."""
    kept = [*points[:1]]
    for point in points[1:-1]:
        if math.dist(point, kept[-1]) >= apart:
            kept.append(point)
    return [*kept, *points[1:][-1:]]


def _straight(points: Sequence[Point], slack: float = 0.15) -> list[Point]:
    """Leave out points that lie, to a fraction of a pixel, on the line from the last one kept to the next."""
    kept = [*points[:1]]
    for (x, y), (next_x, next_y) in pairwise(points[1:]):
        across, up = next_x - kept[-1][0], next_y - kept[-1][1]
        if abs(across * (y - kept[-1][1]) - up * (x - kept[-1][0])) > slack * math.hypot(across, up):
            kept.append((x, y))
    return [*kept, *points[1:][-1:]]


# The descent


def loss_curve(losses: Numbers, baseline: tuple[str, float] | None = None, *, ident: str = "gs-loss") -> str:
    """The loss after each step, losses[0] the start; logarithmic axes where the fall would be lost otherwise.

    `baseline` is a name and a loss to compare with, such as that of a straight line.
    """
    values = np.asarray(losses, float)
    steps = np.flatnonzero(np.isfinite(values))
    values = values[steps]
    everything = np.append(values, [baseline[1]] if baseline else [])
    low, high, count = everything.min(), everything.max(), max(int(steps[-1]), 1)
    fast = count > 50 and np.argmax(values <= (values[0] + values.min()) / 2) < 0.04 * count
    wide = low > 0 and high / low > 20
    floor, ceiling = (low / 1.25, high * 1.15) if wide else _spread([everything], 0.08)
    if not wide and low >= 0:
        floor = max(floor, 0.0) if low > 0.35 * high else 0.0
    kinds = ("steps" if fast else "linear", "log" if wide else "linear")
    plot = _Plot((0, count), (floor, ceiling), ("step", "loss"), right=22, kinds=kinds)
    points = plot.points(steps.astype(float), values)
    (x0, y0), (x1, y1) = points[0], points[-1]
    body, notes, shift = [svg.path(svg.line(_thin(points, 1.0)), "curve", 2.4, class_="loss")], [], -9.0
    if baseline:
        level = float(plot.y(baseline[1]))
        more = {"stroke_dasharray": "6 4", "class_": "baseline", "data_value": f"{baseline[1]:.8g}"}
        body.append(svg.rule(plot.left, level, plot.right, level, "other", 1.8, **more))
        words = f"{svg.shorten(baseline[0], 30)}  {svg.number(baseline[1])}"
        notes.append(svg.halo(words, plot.right, level + (15 if y1 < level else -7), "end", 12, "quiet"))
        shift = 19.0 if 0 <= y1 - level < 26 and y1 + 19 < plot.bottom else shift
    notes += [
        svg.circle(x1, y1, 4.5, "curve", class_="end"),
        svg.halo(svg.number(values[-1]), plot.right, y1 + shift, "end", 13),
        svg.halo(svg.number(values[0]), x0 + 8, y0 - 6, "start", 13),
    ]
    story = f"The loss goes from {svg.number(values[0])} to {svg.number(values[-1])} in {steps[-1]} steps."
    story += f" For comparison, {baseline[0]}: {svg.number(baseline[1])}." if baseline else ""
    return svg.picture(
        ident, CANVAS, "The loss, step by step", story, plot.axes(), plot.inside(*body), *notes
    )


_Edge = tuple[tuple[int, int], tuple[int, int]]


def contour(x: Array, y: Array, values: Array, level: float) -> list[list[Point]]:
    """The closed outlines of the region where values (len(y) × len(x)) exceed the level: marching squares.

    Going round a cell, the boundary of the region leads from where we leave it to where we enter it; so every
    crossing has one successor, and a rim of low values closes every outline. Drawn with fill-rule "evenodd"
    the outlines fill the region.
    """
    field = np.pad(values - level, 1, constant_values=-1.0)
    xs, ys = np.pad(x, 1, mode="edge"), np.pad(y, 1, mode="edge")
    high = field > 0
    count = high[:-1, :-1].astype(int) + high[1:, :-1] + high[:-1, 1:] + high[1:, 1:]
    follows: dict[_Edge, _Edge] = {}
    for i, j in np.argwhere((count > 0) & (count < 4)).tolist():
        corners = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
        sides = [(p, q) for p, q in pairwise([*corners, corners[0]]) if high[p] != high[q]]
        joined = sum(field[p] for p in corners) > 0  # at a saddle the high corners meet if the middle is high
        for k, (p, q) in enumerate(sides):
            if high[p]:
                r, s = sides[(k + 1 if joined else k - 1) % len(sides)]
                follows[min(p, q), max(p, q)] = (min(r, s), max(r, s))
    outlines = []
    while follows:
        edge, outline = next(iter(follows)), []
        while edge in follows:
            (p, q), edge = edge, follows.pop(edge)
            t = field[p] / (field[p] - field[q])
            outline.append(
                (float(xs[p[1]] * (1 - t) + xs[q[1]] * t), float(ys[p[0]] * (1 - t) + ys[q[0]] * t))
            )
        outlines.append(outline)
    return outlines


def levels(values: Array, count: int = len(BANDS) - 1) -> list[float]:
    """Levels that show the valley: their height above its floor grows by a constant factor."""
    floor, top = float(values.min()), float(values.max())
    if not top > floor:
        return []
    lowest = max(float(np.quantile(values - floor, 0.012)), 1e-4 * (top - floor))
    heights = [floor + float(h) for h in np.geomspace(lowest, 0.75 * (top - floor), count)]
    digits = [2 - math.floor(math.log10((h - floor) / max(abs(h), abs(floor)))) for h in heights]
    return sorted({float(f"{h:.{min(max(d, 2), 12)}g}") for h, d in zip(heights, digits, strict=True)})


def loss_surface(
    grid_x: Numbers, grid_y: Numbers, values: Array, path: Array, labels: tuple[str, str] = ("w", "b"), *,
    ident: str = "gs-surface",
) -> str:  # fmt: skip
    """The loss over a plane as bands of equal height, and on it the descent.

    `values` is len(grid_y) × len(grid_x); `path` is steps × 2, from the start to the end.
    """
    x, y = np.asarray(grid_x, float), np.asarray(grid_y, float)
    heights = np.where(np.isfinite(values), values, values[np.isfinite(values)].max())
    plot = _Plot((x[0], x[-1]), (y[0], y[-1]), labels, right=78)
    across, up, steps = plot.x(x), plot.y(y), levels(heights)
    width, height = plot.right - plot.left, plot.bottom - plot.top
    body = [svg.box(plot.left, plot.top, width, height, fill=svg.paint("band-0"))]
    edge = {"stroke_opacity": "0.45", "fill_rule": "evenodd", "class_": "contour"}
    for k, level in enumerate(steps):
        d = "".join(svg.line(_straight(outline)) + "Z" for outline in contour(across, up, heights, level))
        body.append(
            svg.path(d, "paper", 0.7, fill=svg.paint(f"band-{k + 1}"), data_level=f"{level:.8g}", **edge)
        )

    points = plot.points(path[:, 0], path[:, 1])
    line, (start, end) = svg.line(_thin(points, 1.0)), (points[0], points[-1])
    rim = {"stroke": svg.paint("paper"), "stroke_width": 0.8}
    body += [svg.path(line, "paper", 5.0, class_="halo"), svg.path(line, "path", 2.2, class_="descent")]
    body += [svg.circle(u, v, 2.6, "path", **rim) for u, v in _thin(points, 8.0)[1:-1]]
    body.append(svg.circle(*start, 5, "paper", stroke=svg.paint("path"), stroke_width=2.4, class_="start"))
    body.append(svg.circle(*end, 6, "path", stroke=svg.paint("paper"), stroke_width=2, class_="end"))
    notes = []
    near = 12 if math.dist(start, end) < 30 else 0
    for word, (u, v), (other_u, other_v), push in (("start", start, end, -near), ("end", end, start, near)):
        leftwards = u > plot.right - 45 or (u > plot.left + 45 and u < other_u)
        side, shift = ("end", -11) if leftwards else ("start", 11)
        low = min(max(v + push + (11 if v > other_v else -3), plot.top + 12), plot.bottom - 5)
        notes.append(svg.halo(word, u + shift, low, side))

    bar, size = plot.right + 12, height / (len(steps) + 1)
    for k in range(len(steps) + 1):
        notes.append(svg.box(bar, plot.bottom - (k + 1) * size, 12, size + 0.3, fill=svg.paint(f"band-{k}")))
    for k, level in enumerate(steps, 1):
        words = svg.number(level, 3 if 1e-3 <= abs(level) < 1e5 else 2)
        notes.append(svg.text(words, bar + 16, plot.bottom - k * size + 4, "start", 11, "quiet"))
    notes.append(svg.text("loss", bar, plot.top - 13, "start", 13))
    start_words, end_words = (
        " and ".join(f"{name} = {svg.number(v)}" for name, v in zip(labels, place, strict=True))
        for place in path[[0, -1]]
    )
    heights_words = f"from {svg.number(heights.min())} to {svg.number(heights.max())}"
    descent = f"the descent starts at {start_words} and ends at {end_words}"
    story = f"The loss over {' and '.join(labels)}, {heights_words}; {descent}."
    title, axes = "The descent on the loss surface", plot.axes(lines=False, symbols=True)
    return svg.picture(ident, CANVAS, title, story, plot.inside(*body), axes, *notes)


def loss_slice(
    grid: Numbers, values: Numbers, path: Numbers, losses: Numbers, label: str = "w", *,
    ident: str = "gs-surface",
) -> str:  # fmt: skip
    """The loss over a single parameter, and on it the descent: what `loss_surface` is for two."""
    plot = _Plot((grid[0], grid[-1]), _spread([values, losses]), (label, "loss"))
    dots = _thin(plot.points(path, losses), 6.0)
    body = [
        svg.path(svg.line(plot.points(grid, values)), "other", 2),
        svg.path(svg.line(dots), "path", 1.4, class_="descent"),
        *(svg.circle(u, v, 3.4, "path", stroke=svg.paint("paper")) for u, v in dots[1:-1]),
        svg.circle(*dots[0], 5, "paper", stroke=svg.paint("path"), stroke_width=2.4, class_="start"),
        svg.circle(*dots[-1], 6, "path", stroke=svg.paint("paper"), stroke_width=2, class_="end"),
    ]
    story = (
        f"The descent starts at {label} = {svg.number(path[0])} and ends at {label} = {svg.number(path[-1])}."
    )
    return svg.picture(
        ident, CANVAS, f"The descent on the loss over {label}", story, plot.axes(), plot.inside(*body)
    )


# Data and fit


def some_of(count: int, most: int = 700) -> npt.NDArray[np.int64]:
    """All places, or of very many an even choice."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _dots(plot: _Plot, x: Numbers, y: Numbers) -> str:
    """The data as dots: all, or of very many an even choice; the more there are the fainter."""
    chosen = some_of(len(x))
    points = plot.points(np.asarray(x, float)[chosen], np.asarray(y, float)[chosen])
    radius, opacity = next(
        look
        for bound, *look in ((60, 4.2, "0.9"), (250, 3.2, "0.6"), (math.inf, 2.6, "0.4"))
        if len(x) <= bound
    )
    look = {
        "fill": svg.paint("data"),
        "fill_opacity": opacity,
        "stroke": svg.paint("paper"),
        "stroke_width": 0.7,
    }
    return svg.tag(
        "g", "", *(svg.tag("circle", cx=u, cy=v, r=radius) for u, v in points), class_="data", **look
    )


def _apart(heights: list[float], gap: float, low: float, high: float) -> list[float]:
    """Heights of labels moved as little as needed so that none covers another."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for a, b in pairwise(order):
        moved[b] = max(moved[b], moved[a] + gap)
    over = max([high, *moved]) - high
    return [max(m - over, low) for m in moved]


def data_and_fit(
    x: Numbers, y: Numbers, curves: Sequence[Curve], labels: tuple[str, str], *, ident: str = "gs-fit"
) -> str:
    """One feature against the target, with the fitted lines, each named where it ends."""
    room = 14 + 7.2 * max((len(svg.shorten(c.name, 14)) for c in curves), default=0)
    plot = _Plot(_spread([x], 0.04), _spread([y, *(c.y for c in curves)]), labels, right=room)
    body = []
    for curve in reversed(curves):
        width, dashes = DASHES[curve.kind]
        line = svg.line(_thin(plot.points(curve.x, curve.y), 0.8))
        body.append(svg.path(line, curve.kind, width, stroke_dasharray=dashes, class_=f"fit {curve.kind}"))
    ends = [min(max(float(plot.y(c.y[-1])), plot.top), plot.bottom) for c in curves]
    names = [
        svg.label(c.name, plot.right + 6, at + 4, 14, "start", 13, c.kind)
        for c, at in zip(curves, _apart(ends, 16, plot.top, plot.bottom), strict=True)
    ]
    story = (
        f"{len(x)} points of {labels[1]} against {labels[0]}" + "".join(f", {c.name}" for c in curves) + "."
    )
    inside = plot.inside(*body, _dots(plot, x, y))
    return svg.picture(ident, CANVAS, "Data and fit", story, plot.axes(), inside, *names)


def predicted_against_true(
    y: Numbers, predictions: Numbers, label: str = "target", *, ident: str = "gs-fit"
) -> str:
    """For several features: what the network says against what is true; a perfect one is on the diagonal."""
    both = _spread([y, predictions])
    plot = _Plot(both, both, (f"{label}, in truth", f"{label}, predicted"))
    width, dashes = DASHES["other"]
    corners = (plot.left, plot.bottom, plot.right, plot.top)
    diagonal = svg.rule(*corners, "other", width, stroke_dasharray=dashes)
    note = svg.halo("perfect", plot.right - 6, plot.top + 30, "end", 12, "quiet")
    story = f"{len(y)} predictions of {label}; the nearer to the diagonal, the better."
    inside = plot.inside(diagonal, _dots(plot, y, predictions))
    return svg.picture(ident, CANVAS, "Predicted against true", story, plot.axes(), inside, note)


def confusion(
    matrix: Sequence[Sequence[int]] | npt.NDArray[np.int64], classes: Sequence[str], *, ident: str = "gs-fit"
) -> str:
    """How often each class (row) was called which (column); the diagonal is right."""
    counts, size = np.asarray(matrix), len(classes)
    room = min(16, max(len(name) for name in classes))
    left, top = 36 + 7.2 * room, 54.0
    cell = max(9.0, min(86.0, (CANVAS[2] - 8 - left) / size, (CANVAS[3] - 8 - top) / size))
    width, height = max(CANVAS[2], left + size * cell + 8), max(CANVAS[3], top + size * cell + 8)
    left += (width - 8 - left - size * cell) / 2
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    turned = f"translate({left - 7.2 * room - 16:.0f} {top + size * cell / 2:.0f}) rotate(-90)"
    parts = [
        svg.text("predicted", left + size * cell / 2, 16, size=13),
        svg.tag("g", svg.text("in truth", 0, 0, size=13), transform=turned),
    ]
    for i, name in enumerate(classes):
        middle = (i + 0.5) * cell
        if cell >= 11:
            parts.append(svg.label(name, left - 8, top + middle + 4, 16, "end", 12))
            parts.append(svg.label(name, left + middle, top - 8, max(2, int(cell / 7)), "middle", 12))
        for j, count in enumerate(counts[i].tolist()):
            if not count and size > 20:
                continue
            colour = svg.paint("bias" if i == j else "weight")
            faint = f"{0.06 + 0.74 * share[i, j] if count else 0.03:.2f}"
            look = {
                "fill": colour,
                "fill_opacity": faint,
                "rx": 2,
                "data_count": count,
                "data_part": f"{i}-{j}",
            }
            parts.append(svg.box(left + j * cell + 0.5, top + i * cell + 0.5, cell - 1, cell - 1, **look))
            if cell >= 20:
                place = (left + (j + 0.5) * cell, top + middle + 4)
                shown = str(count) if count else ""
                parts.append(svg.text(shown, *place, size=13 if cell >= 30 else 10, class_="count"))
    story = f"{np.trace(counts)} of {counts.sum()} examples are classified correctly."
    return svg.picture(ident, (0.0, 0.0, width, height), "Predicted and true classes", story, *parts)
