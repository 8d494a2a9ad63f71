"""What does the network look like? One neuron operation by operation, several as layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

import numpy as np

from gradstep.operations import TABLE
from gradstep.page import svg
from gradstep.page.svg import Array, Numbers, Point


@dataclass(frozen=True)
class Layer:
    """One layer: how many neurons, their activation, the names of its weights and bias ("" for none).

    `looks_up` a row of its weights instead of multiplying by them.
    """

    size: int
    activation: str = "linear"
    weight: str = "w"
    bias: str = "b"
    looks_up: bool = False


@dataclass(frozen=True)
class Example:
    """The numbers of one example on its way through the network; `values` are what each layer puts out."""

    x: Numbers
    w: Numbers = ()
    b: float | None = None
    z: float | None = None
    values: Sequence[Numbers] = ()
    y: float | None = None


@dataclass(frozen=True)
class Network:
    """What `network` draws: names of the inputs and of the outputs, the layers, and perhaps one example."""

    inputs: Sequence[str]
    layers: Sequence[Layer]
    outputs: Sequence[str] = ()
    example: Example | None = None


ACTIVATIONS: Mapping[str, tuple[str, Callable[[Array], Array]]] = {
    "linear": ("linear", lambda z: z),
    "relu": ("ReLU", lambda z: np.maximum(z, 0)),
    "leaky_relu": ("leaky ReLU", lambda z: np.where(z > 0, z, 0.12 * z)),
    "sigmoid": ("sigmoid σ", lambda z: 3 / (1 + np.exp(-1.6 * z))),
    "tanh": ("tanh", lambda z: 2.4 * np.tanh(z)),
    "softplus": ("softplus", lambda z: np.log1p(np.exp(z))),
    "exp": ("exp", lambda z: np.exp(z - 1.5)),
    "softmax": ("softmax", lambda z: 3 / (1 + np.exp(-1.6 * z))),
}
# Whatever else works on each entry of one array, as it is.
OTHERS: Mapping[str, Callable[[Array], Array]] = {
    op.name: partial(op.meaning, np, {}, op.example[0][0])
    for op in TABLE
    if op.slopes and op.example and len(op.example[0][1]) == 1
}
UNKNOWN: Callable[[Array], Array] = partial(np.full_like, fill_value=np.nan)  # drawn as an empty box
LEGENDS = {
    "neuron": (("weight", "times a weight"), ("sum", "summed"), ("bias", "plus the bias")),
    "layers": (("weight", "times the weights, summed"), ("bias", "plus the biases")),
}


class _Flow:
    """A canvas along which signals run: from left to right, or, on a narrow screen, from top to bottom.

    Places are (along, across). Names stand before what they name, remarks behind or below it.
    """

    def __init__(self, down: bool) -> None:
        self.down = down
        self.edges: list[str] = []
        self.nodes: list[str] = []

    def at(self, along: float, across: float) -> Point:
        return (across, along) if self.down else (along, across)

    def edge(
        self,
        start: Point,
        end: Point,
        kind: str,
        width: float = 2.0,
        opacity: str | None = None,
        part: str | None = None,
    ) -> None:
        """A line along which a signal runs; `part` says to a live page which one it is."""
        ends = (*self.at(*start), *self.at(*end))
        self.edges.append(
            svg.rule(*ends, kind, width, opacity=opacity, class_=f"edge {kind}", data_part=part)
        )

    def node(
        self, place: Point, kind: str, symbol: str = "", value: float | None = None, *,
        decimals: int = 0, radius: float = 27, size: int = 17, part: str | None = None,
    ) -> None:  # fmt: skip
        """A circle that holds a value: its symbol, and below it its number."""
        x, y = self.at(*place)
        parts = [svg.circle(x, y, radius, kind)]
        if symbol:
            parts.append(svg.symbol(symbol, x, y + (0.3 * size if value is None else -1), size, "node-ink"))
        self._numbered(parts, x, y + (15 if symbol else 4), value, decimals, "node-ink")
        data = {"data_name": symbol or None, "data_value": value if value is None else f"{value:.8g}"}
        self.nodes.append(svg.tag("g", *parts, class_=f"node {kind}", data_part=part, **data))

    def chip(
        self,
        place: Point,
        kind: str,
        symbol: str,
        value: float | None = None,
        decimals: int = 0,
        part: str | None = None,
    ) -> None:
        """An operation that sits on its edge: times a weight, plus the bias."""
        x, y = self.at(*place)
        letters = len(symbol.replace("_", "").replace(" ", ""))
        width, height = max(58.0, 11.0 * letters + 20), 26 if value is None else 38
        border = {"fill": svg.paint("paper"), "stroke": svg.paint(kind), "stroke_width": 1.6, "rx": 13}
        parts = [svg.box(x - width / 2, y - height / 2, width, height, **border)]
        parts.append(svg.symbol(symbol, x, y + (5 if value is None else -2), 16))
        self._numbered(parts, x, y + 13, value, decimals, "ink")
        data = {"data_name": symbol.split()[-1], "data_value": value if value is None else f"{value:.8g}"}
        self.nodes.append(svg.tag("g", *parts, class_=f"chip {kind}", data_part=part, **data))

    def _numbered(
        self, parts: list[str], x: float, y: float, value: float | None, decimals: int, ink: str
    ) -> None:
        if value is not None:
            parts.append(svg.text(svg.fine(value, decimals), x, y, size=11, colour=ink, class_="value"))

    def dots(self, place: Point, lengthwise: bool = False) -> None:
        for k in (-9, 0, 9):
            x, y = self.at(place[0] + k * lengthwise, place[1] + k * (not lengthwise))
            self.nodes.append(svg.circle(x, y, 2.2, "quiet"))

    def activation(self, place: Point, name: str, width: float = 78, height: float = 60) -> str:
        """The activation as a box with its graph in it; returns its name for people."""
        x, y = self.at(*place)
        words: str = name
        words, function = ACTIVATIONS.get(name) or (name.replace("_", " "), OTHERS.get(name, UNKNOWN))
        z = np.linspace(-3, 3, 49)
        with np.errstate(all="ignore"):
            a = np.clip(function(z), -3, 3)
        ground, unit = y + 0.1 * height, width / 8
        seen = np.isfinite(a)
        graph = svg.line(zip(x + unit * z[seen], ground - unit * a[seen] * height / width, strict=True))
        cross = f"M{x - 0.42 * width:.1f} {ground:.1f}h{0.84 * width:.1f}M{x:.1f} {y + 0.4 * height:.1f}"
        border = {"fill": svg.paint("paper"), "stroke": svg.paint("ink"), "stroke_width": 1.4, "rx": 8}
        parts = (
            svg.tag("title", escape(words)),
            svg.box(x - width / 2, y - height / 2, width, height, **border),
            svg.path(f"{cross}v{-0.8 * height:.1f}", "quiet", 0.8),
            *([svg.path(graph, "curve", 2.4, stroke_linecap="round")] if seen.any() else []),
        )
        self.nodes.append(svg.tag("g", *parts, class_="activation", data_name=name))
        return words

    def name(self, place: Point, gap: float, words: str) -> None:
        x, y = self.at(*place)
        label = (
            svg.label(words, x, y - gap, 11) if self.down else svg.label(words, x - gap, y + 4, 22, "end", 13)
        )
        self.nodes.append(label)

    def remark(self, place: Point, gap: float, *lines: str) -> None:
        """Words below the place, or, where signals run down, at its right."""
        x, y = self.at(*place)
        for k, line in enumerate(lines):
            colour = "quiet" if k else "ink"
            self.nodes.append(
                svg.label(line, x + gap - 6, y + 4 + 18 * (k - (len(lines) - 1) / 2), 17, "start", 13, colour)
                if self.down
                else svg.label(line, x, y + gap + 6 + 18 * k, 24, "middle", 13, colour)
            )

    def legend(self, kind: str, x: float, y: float, biased: bool) -> None:
        for colour, words in LEGENDS[kind]:
            if colour == "bias" and not biased:
                continue
            self.nodes += [
                svg.rule(x, y - 4, x + 20, y - 4, colour, 3),
                svg.text(words, x + 26, y, "start", 11, "quiet"),
            ]
            x += 56 + 5.8 * len(words)


def _shown(count: int, most: int) -> list[int | None]:
    """Which of many to draw: the first few, dots (None), the last."""
    return list(range(count)) if count <= most else [*range(most - 2), None, count - 1]


def network(net: Network, *, down: bool = False, ident: str = "gs-network") -> str:
    """The network as a picture. `down` draws it from top to bottom, for a narrow screen.

    One neuron is drawn operation by operation: orange inputs, red multiplications by the weights, grey
    products, pink lines into their sum, a green line that adds the bias, the activation, the blue output.
    More neurons are drawn as layers.
    """
    return (_neuron if [layer.size for layer in net.layers] == [1] else _layers)(net, down, ident)


def _neuron(net: Network, down: bool, ident: str) -> str:
    count, layer, flow = len(net.inputs), net.layers[0], _Flow(down)
    example = net.example or Example(())
    known = len(example.x) == count and len(example.w) == count
    #         x  × w   wx    Σ  + b    z  act    ŷ
    places = (0, 66, 132, 236, 302, 368, 464, 560) if down else (0, 94, 188, 316, 400, 484, 586, 690)
    x_at, w_at, product_at, sum_at, b_at, z_at, activation_at, y_at = map(float, places)
    pitch, shown = (84.0, _shown(count, 4)) if down else (72.0, _shown(count, 6))
    middle = (len(shown) - 1) * pitch / 2
    weight, bias, z, b = svg.named(layer.weight), svg.named(layer.bias), example.z, example.b
    decimals = max(0, 2 - math.floor(math.log10(abs(z)))) if z and math.isfinite(z) else 2
    more = max(0, math.ceil(math.log10(max(map(abs, example.x), default=1) or 1)))

    for row, k in enumerate(shown):
        across = row * pitch
        if k is None:
            flow.dots((x_at, across))
            flow.dots((product_at, across))
            continue
        x = float(example.x[k]) if known else None
        w = float(example.w[k]) if known else None
        x_name, w_name = ("x", weight) if count == 1 else (f"x_{k + 1}", f"{layer.weight.strip('_')}_{k + 1}")
        flow.edge((x_at, across), (product_at, across), "weight", part=f"w-{k}")
        flow.edge((product_at, across), (sum_at, middle), "sum", part=f"p-{k}")
        flow.node((x_at, across), "input", x_name, x, part=f"x-{k}")
        flow.chip((w_at, across), "weight", f"× {w_name}", w, min(decimals + more, 6), part=f"w-{k}")
        product = None if x is None or w is None else w * x
        words = f"{w_name} {x_name}"
        flow.node((product_at, across), "product", words, product, decimals=decimals, size=15, part=f"p-{k}")
        flow.name((x_at, across), 38, net.inputs[k])

    flow.edge((sum_at, middle), (z_at, middle), "bias" if bias else "product", part="s-0")
    flow.edge((z_at, middle), (y_at, middle), "product", part="z-0")
    total = None if z is None else z - (b or 0)
    flow.node((sum_at, middle), "sum", "Σ", total, decimals=decimals, part="s-0")
    if bias:
        flow.chip((b_at, middle), "bias", f"+ {bias}", b, decimals, part="b-0")
    flow.node((z_at, middle), "product", "z", z, decimals=decimals, part="z-0")
    activation = flow.activation((activation_at, middle), layer.activation)
    flow.remark((activation_at, middle), 52 if down else 42, activation)
    output = float(example.values[-1][0]) if len(example.values) else None
    flow.node((y_at, middle), "output", "ŷ", output, decimals=decimals, radius=30, part="y-0")
    truth = [] if example.y is None else [f"in truth {svg.fine(example.y, decimals)}"]
    flow.remark((y_at, middle), 42, *net.outputs[:1], *truth)
    if truth:
        flow.nodes[-1] = svg.tag("g", flow.nodes[-1], data_part="truth-0")

    if down:
        half = max(middle + 46, 172)
        box = (middle - half, -62.0, 2 * half, y_at + 128)
        flow.legend("neuron", middle - 168, y_at + 58, bool(bias))
    else:
        left = 48 + 7.6 * max(len(svg.shorten(name, 22)) for name in net.inputs)
        low = max(middle * 2 + 34, middle + 74) + 26
        top = min(-34.0, middle - 40)
        box = (-left, top, left + y_at + 92, low - top + 14)
        flow.legend("neuron", -26, low, bool(bias))
    some = ", ".join(net.inputs[:3]) + (f" … {net.inputs[-1]}" if count > 3 else "")
    story = [
        f"{count} input{'s' * (count > 1)} ({some}), each multiplied by its weight {layer.weight}",
        "the products are summed",
        *([f"the bias {layer.bias} is added"] if bias else []),
        f"the activation {activation} gives the output ŷ",
        *([f"in the example shown z is {svg.number(z)}"] if z is not None else []),
        *([f"ŷ is {svg.number(output)}"] if output is not None else []),
    ]
    return svg.picture(
        ident, box, "The network: one neuron", "; ".join(story) + ".", *flow.edges, *flow.nodes
    )


def doing(net: Network) -> str:
    """What the layers do, in words."""
    bent = any(layer.activation != "linear" for layer in net.layers)
    done = ["multiplies by its weights", *["adds its biases"] * any(layer.bias for layer in net.layers)]
    done += ["passes the sums through its activation"] * bent
    which = (
        "the first layer looks up a row of its weights, and each other"
        if net.layers[0].looks_up
        else "each layer"
    )
    return f"{which} {', '.join(done[:-1])}{' and ' * (len(done) > 1)}{done[-1]}"


def _layers(net: Network, down: bool, ident: str) -> str:
    flow, example = _Flow(down), net.example or Example(())
    sizes = [len(net.inputs), *(layer.size for layer in net.layers)]
    signals: list[Numbers] = [example.x, *example.values, *[()] * len(sizes)]
    columns, last = _shown(len(sizes), 6), len(sizes) - 1
    pitch, step, radius, most = (42.0, 156.0, 16.0, 6) if down else (46.0, 192.0, 17.0, 7)
    middle = (min(max(sizes), most) - 1) * pitch / 2
    low, high = -radius, 2 * middle + radius

    def places(layer: int) -> list[tuple[int | None, float]]:
        shown = _shown(sizes[layer], most)
        return [(k, middle + (row - (len(shown) - 1) / 2) * pitch) for row, k in enumerate(shown)]

    for column, k in enumerate(columns):
        along = column * step
        before = columns[column - 1] if column else None
        sources = [(i, u) for i, u in places(before) if i is not None] if before is not None else []
        if k is None:
            flow.dots((along, middle), lengthwise=True)
            flow.remark((along, middle), 24, f"{last - len(columns) + 2} more layers")
            for _, u in sources:
                flow.edge((along - step, u), (along - 24, middle), "weight", 1.0, "0.25")
            continue
        units = places(k)
        kind, letter, names = (
            ("input", "x", net.inputs)
            if k == 0
            else ("output", "ŷ", net.outputs)
            if k == last
            else ("product", "", [])
        )
        targets = [(j, v) for j, v in units if j is not None]
        opacity = f"{0.25 + 0.5 / max(1, len(sources) * len(targets)) ** 0.5:.2f}"
        for j, v in targets:
            for i, u in sources:
                flow.edge((along - step, u), (along, v), "weight", 1.2, opacity, f"{k}-{i}-{j}")
            if k and not sources:
                flow.edge((along - step + 24, middle), (along, v), "weight", 1.0, "0.25")
        for unit, across in units:
            if unit is None:
                flow.dots((along, across))
                continue
            value = float(signals[k][unit]) if len(signals[k]) else None
            symbol = (letter if sizes[k] == 1 else f"{letter}_{unit + 1}") if letter and value is None else ""
            flow.node((along, across), kind, symbol, value, radius=radius, size=14, part=f"{k}-{unit}")
            if not down and unit < len(names):
                side, anchor = (-1, "end") if k == 0 else (1, "start")
                place = (along + side * (radius + 8), across + 4)
                flow.nodes.append(svg.label(names[unit], *place, 18, anchor, 12))
        role = {0: "input", last: "output"}.get(k, f"hidden {k}" if last > 2 else "hidden")
        heading = (high + 14, along - 6 * bool(k), "start") if down else (along, low - 14, "middle")
        flow.nodes.append(svg.text(f"{role} · {sizes[k]}", *heading, size=13))
        if k:
            layer = net.layers[k - 1]
            apart = (42.0 if down else 19.0) * bool(layer.bias)
            flow.chip(
                (along - step / 2, middle - apart),
                "weight",
                svg.named(layer.weight) if layer.looks_up else f"× {svg.named(layer.weight)}",
            )
            if layer.bias:
                flow.chip((along - step / 2, middle + apart), "bias", f"+ {svg.named(layer.bias)}")
            place = (along + 20, high + 36) if down else (along, high + 30)
            words = flow.activation(place, layer.activation, 46, 34)
            flow.remark(place, 34 if down else 28, words)

    length, biased = (len(columns) - 1) * step, any(layer.bias for layer in net.layers)
    if down:
        left = min(-24.0, middle - 96)
        box = (left, -26.0, max(high + 150, left + 350) - left, length + 106)
        flow.legend("layers", left + 8, length + 68, biased)
    else:
        rooms = [
            max((len(svg.shorten(name, 18)) for name in names), default=0)
            for names in (net.inputs, net.outputs)
        ]
        left, right = (max(56, 32 + 7.2 * room) for room in rooms)
        box = (-left, low - 36, left + length + right, high - low + 146)
        flow.legend("layers", length / 2 - 176, high + 98, biased)
    count = f"{len(net.layers)} layer{'s' * (len(net.layers) > 1)}"
    story = (
        f"{count} that turn {sizes[0]} inputs into {' and then '.join(map(str, sizes[1:5]))}"
        f"{f' and so on, at last into {sizes[-1]}' if last > 4 else ''} numbers: "
        f"{doing(net)}."
    )
    return svg.picture(ident, box, f"The network: {count} of neurons", story, *flow.edges, *flow.nodes)
