"""How is it drawn? Each function returns one SVG picture as text, from numbers alone.

Pictures need no style sheet and no script: colours are CSS variables (`--gs-input`, …) with fallbacks that
work on light and dark paper, and every picture has a title and a description. What a live page moves
carries a class, and its numbers in `data-` attributes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Numbers = Sequence[float] | Array

PAINT = {
    "paper": "Canvas", "ink": "currentColor", "quiet": "#7b818c", "grid": "#80858f40", "node-ink": "#1b1d22",
    "input": "#f4a95a", "product": "#c3c7ce", "output": "#74ade6",
    "weight": "#d64541", "sum": "#e487b0", "bias": "#3a9a5b",
    "data": "#3d83cf", "curve": "#d64541", "other": "#7b818c", "path": "#e4572e",
}  # fmt: skip
BANDS = (
    "#1b3f73",
    "#255985",
    "#327496",
    "#3f8fa8",
    "#65a4b1",
    "#87bab9",
    "#a9cfc0",
    "#c2dacb",
    "#dbe4d7",
    "#f3efe2",
)
LABELS = "system-ui, sans-serif"
SYMBOLS = "'STIX Two Text', 'Times New Roman', Tinos, 'Liberation Serif', serif"


@dataclass(frozen=True)
class Layer:
    """One layer: how many neurons, their activation, the names of its weights and bias ("" for none)."""

    size: int
    activation: str = "linear"
    weight: str = "w"
    bias: str = "b"


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


@dataclass(frozen=True)
class Curve:
    """A named line through the data; `kind` is "curve" (solid) or "other" (dashed)."""

    name: str
    x: Numbers
    y: Numbers
    kind: str = "curve"


# Writing SVG


def paint(name: str) -> str:
    """The CSS colour of a part: a variable of the page, with a fallback for a picture on its own."""
    return f"var(--gs-{name}, {PAINT[name]})"


def band(k: int) -> str:
    """The colour of band k of the loss surface, 0 the lowest."""
    return f"var(--gs-band-{k}, {BANDS[k]})"


def number(value: float, digits: int = 3) -> str:
    """A number for people: a true minus sign, few digits, powers of ten where they are needed.

    >>> number(-0.5), number(2001), number(1234567.0)
    ('−0.5', '2001', '1.23×10⁶')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}g}"
    mantissa, _, power = text.partition("e")
    if power and 0 < int(power) < 5:
        text, power = f"{value:.0f}", ""
    if power:
        text = f"{mantissa}×10" + str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return text.replace("-", "−")


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value))


def _tag(name: str, *content: str, **attributes: object) -> str:
    """One element; `stroke_width` becomes stroke-width, and what is None is left out."""
    pairs = (
        (key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None
    )
    opening = name + "".join(f' {key}="{_value(value)}"' for key, value in pairs)
    return f"<{opening}>{''.join(content)}</{name}>" if content else f"<{opening}/>"


def _text(
    words: str,
    x: float,
    y: float,
    anchor: str = "middle",
    size: int = 12,
    colour: str = "ink",
    **more: object,
) -> str:
    return _tag(
        "text", escape(words), x=x, y=y, text_anchor=anchor, font_size=size, fill=paint(colour), **more
    )


def _symbol(
    names: str, x: float, y: float, size: int = 17, colour: str = "ink", anchor: str = "middle"
) -> str:
    """Mathematics such as "w_1 x_1" or "× W_2": letters slanted, what follows `_` lowered."""
    parts, lowered = [], False
    for name in names.split():
        base, _, index = name.partition("_")
        upright = "normal" if not base[:1].isalpha() or base in ("Σ", "ReLU") else None
        parts.append(_tag("tspan", escape(base), dy=-0.25 * size if lowered else None, font_style=upright))
        lowered = bool(index)
        if index:
            parts.append(
                _tag("tspan", escape(index), dy=0.25 * size, font_size=round(0.7 * size), font_style="normal")
            )
    return _tag("text", *parts, x=x, y=y, text_anchor=anchor, font_size=size, fill=paint(colour),
                font_family=SYMBOLS, font_style="italic")  # fmt: skip


def _svg(ident: str, box: tuple[float, float, float, float], title: str, description: str, *body: str) -> str:
    left, top, width, height = box
    return _tag(
        "svg", _tag("title", escape(title), id=f"{ident}-title"), _tag("desc", escape(description), id=f"{ident}-desc"), *body,
        xmlns="http://www.w3.org/2000/svg", id=ident, class_="gs-picture", role="img",
        aria_labelledby=f"{ident}-title", aria_describedby=f"{ident}-desc",
        viewBox=f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}", width=round(width), height=round(height),
        font_family=LABELS,
    )  # fmt: skip


def _shorten(name: str, room: int) -> str:
    return name if len(name) <= room else name[: room - 1].rstrip() + "…"


def _label(
    name: str, x: float, y: float, room: int, anchor: str = "middle", size: int = 12, colour: str = "ink"
) -> str:
    """A user's name, cut to the room there is; the whole name shows when the pointer rests on it."""
    short = _shorten(name, room)
    label = _text(short, x, y, anchor, size, colour)
    return label if short == name else _tag("g", _tag("title", escape(name)), label)


# The network

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


class _Flow:
    """A canvas along which signals run: from left to right, or, on a narrow screen, from top to bottom."""

    def __init__(self, down: bool) -> None:
        self.down = down
        self.edges: list[str] = []
        self.nodes: list[str] = []

    def at(self, along: float, across: float) -> tuple[float, float]:
        return (across, along) if self.down else (along, across)

    def edge(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        kind: str,
        width: float = 2.0,
        opacity: float = 1,
    ) -> None:
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        self.edges.append(_tag("line", class_=f"edge {kind}", x1=x1, y1=y1, x2=x2, y2=y2, stroke=paint(kind),
                               stroke_width=width, opacity=None if opacity == 1 else f"{opacity:.2f}"))  # fmt: skip

    def node(self, along: float, across: float, kind: str, symbol: str = "", value: float | None = None,
             radius: float = 27, size: int = 17) -> None:  # fmt: skip
        x, y = self.at(along, across)
        parts = [_tag("circle", cx=x, cy=y, r=radius, fill=paint(kind))]
        if symbol:
            parts.append(_symbol(symbol, x, y + (0.3 * size if value is None else -1), size, "node-ink"))
        if value is not None:
            below = y + (15 if symbol else 4)
            parts.append(_text(number(value), x, below, size=11, colour="node-ink", class_="value"))
        data = None if value is None else f"{value:.8g}"
        self.nodes.append(_tag("g", *parts, class_=f"node {kind}", data_name=symbol or None, data_value=data))

    def chip(self, along: float, across: float, kind: str, symbol: str, value: float | None = None) -> None:
        """An operation that sits on its edge: times a weight, plus the bias."""
        x, y = self.at(along, across)
        width, height = (
            max(46.0, 11.0 * len(symbol.replace("_", "").replace(" ", "")) + 18),
            26 if value is None else 38,
        )
        parts = [
            _tag("rect", x=x - width / 2, y=y - height / 2, width=width, height=height, rx=13,
                 fill=paint("paper"), stroke=paint(kind), stroke_width=1.6),
            _symbol(symbol, x, y + (5 if value is None else -2), 16),
        ]  # fmt: skip
        if value is not None:
            parts.append(_text(number(value), x, y + 13, size=11, class_="value"))
        data = None if value is None else f"{value:.8g}"
        self.nodes.append(
            _tag("g", *parts, class_=f"chip {kind}", data_name=symbol.split()[-1], data_value=data)
        )

    def dots(self, along: float, across: float, lengthwise: bool = False) -> None:
        for k in (-9, 0, 9):
            x, y = self.at(along + k * lengthwise, across + k * (not lengthwise))
            self.nodes.append(_tag("circle", cx=x, cy=y, r=2.2, fill=paint("quiet")))

    def box(
        self, along: float, across: float, activation: str, width: float = 78, height: float = 60
    ) -> None:
        """The activation, with its graph in small."""
        x, y = self.at(along, across)
        name, function = ACTIVATIONS.get(activation, (activation, lambda z: z))
        z = np.linspace(-3, 3, 49)
        scale = width / 8
        points = [
            (x + scale * u, y + 0.1 * height - scale * v)
            for u, v in zip(z, function(z) * height / width, strict=True)
        ]
        parts = [
            _tag("title", escape(name)),
            _tag("rect", x=x - width / 2, y=y - height / 2, width=width, height=height, rx=8,
                 fill=paint("paper"), stroke=paint("ink"), stroke_width=1.4),
            _tag("path", d=f"M{x - 0.42 * width:.1f} {y + 0.1 * height:.1f}h{0.84 * width:.1f}"
                           f"M{x:.1f} {y + 0.4 * height:.1f}v{-0.8 * height:.1f}",
                 stroke=paint("quiet"), stroke_width=0.8, fill="none"),
            _tag("path", d=_line(points), stroke=paint("output"), stroke_width=2.6, fill="none", stroke_linejoin="round"),
        ]  # fmt: skip
        self.nodes.append(_tag("g", *parts, class_="activation", data_name=activation))

    def words(self, *parts: str) -> None:
        self.nodes.extend(parts)


def _line(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _shown(count: int, most: int) -> list[int | None]:
    """Which of many to draw: the first few, dots (None), the last."""
    return list(range(count)) if count <= most else [*range(most - 2), None, count - 1]


def _indexed(name: str, k: int, count: int) -> str:
    """w_1, w_2 … or just w where there is only one."""
    return name if count == 1 else f"{name}_{k + 1}"


def _named(name: str) -> str:
    """W1 is W with index 1, as people mean it."""
    return re.sub(r"^([^\W\d_]+)(\d+)$", r"\1_\2", name)


def network(net: Network, *, down: bool = False, ident: str = "network") -> str:
    """The network as a picture. `down` draws it from top to bottom, for a narrow screen.

    One neuron is drawn operation by operation: orange inputs, red multiplications by the weights, grey products,
    pink lines into their sum, a green line that adds the bias, the activation, the blue output. More neurons
    are drawn as layers.
    """
    return (_neuron if len(net.layers) == 1 and net.layers[0].size == 1 else _layers)(net, down, ident)


LEGEND = (("weight", "times a weight"), ("sum", "sum"), ("bias", "plus the bias"))


def _legend(x: float, y: float) -> str:
    parts = []
    for kind, words in LEGEND:
        parts += [_tag("line", x1=x, x2=x + 20, y1=y - 4, y2=y - 4, stroke=paint(kind), stroke_width=3),
                  _text(words, x + 26, y, "start", 12, "quiet")]  # fmt: skip
        x += 44 + 6.6 * len(words)
    return "".join(parts)


def _neuron(net: Network, down: bool, ident: str) -> str:
    count, layer, example = len(net.inputs), net.layers[0], net.example
    flow = _Flow(down)
    shown = _shown(count, 4 if down else 6)
    pitch = 84.0 if down else 72.0
    #          x   ×w   wx    Σ    +b    z   act    ŷ
    stops = (0, 66, 132, 236, 302, 368, 464, 560) if down else (0, 94, 188, 316, 400, 484, 586, 690)
    x_at, w_at, wx_at, sum_at, b_at, z_at, act_at, y_at = map(float, stops)
    middle = (len(shown) - 1) * pitch / 2
    weight, bias, z = _named(layer.weight), _named(layer.bias), example.z if example else None

    for row, k in enumerate(shown):
        across = row * pitch
        if k is None:
            flow.dots(x_at, across)
            flow.dots(wx_at, across)
            continue
        x_value = float(example.x[k]) if example else None
        w_value = float(example.w[k]) if example and len(example.w) else None
        product = None if x_value is None or w_value is None else x_value * w_value
        x_name, w_name = (
            _indexed("x", k, count),
            weight if count == 1 else f"{weight.partition('_')[0]}_{k + 1}",
        )
        flow.edge((x_at, across), (wx_at, across), "weight")
        flow.edge((wx_at, across), (sum_at, middle), "sum")
        flow.node(x_at, across, "input", x_name, x_value)
        flow.chip(w_at, across, "weight", f"× {w_name}", w_value)
        flow.node(wx_at, across, "product", f"{w_name} {x_name}", product, size=15)
        if down:
            flow.words(_label(net.inputs[k], across, -40, 11))
        else:
            flow.words(_label(net.inputs[k], -38, across + 4, 22, "end", 13))

    total = None if z is None else z - (example.b or 0 if example else 0)
    flow.edge((sum_at, middle), (z_at, middle), "bias" if bias else "product")
    flow.edge((z_at, middle), (y_at, middle), "product")
    flow.node(sum_at, middle, "sum", "Σ", total)
    if bias:
        flow.chip(b_at, middle, "bias", f"+ {bias}", example.b if example else None)
    flow.node(z_at, middle, "product", "z", z)
    flow.box(act_at, middle, layer.activation)
    output = float(example.values[-1][0]) if example and len(example.values) else None
    flow.node(y_at, middle, "output", "ŷ", output, 30)

    activation = ACTIVATIONS.get(layer.activation, (layer.activation,))[0]
    notes = [*net.outputs[:1]] + (
        [f"in truth {number(example.y)}"] if example and example.y is not None else []
    )
    if down:
        flow.words(_text(activation, middle + 50, act_at + 4, "start", 13))
        flow.words(*(_label(n, middle + 40, y_at + 4 + 18 * (i - (len(notes) - 1) / 2), 16, "start", 13, ("ink", "quiet")[i])
                     for i, n in enumerate(notes)))  # fmt: skip
    else:
        flow.words(_text(activation, act_at, middle + 48, size=13))
        flow.words(
            *(
                _label(n, y_at, middle + 48 + 18 * i, 22, size=13, colour=("ink", "quiet")[i])
                for i, n in enumerate(notes)
            )
        )

    if down:
        half = max(middle + 46, 168)
        box = (middle - half, -62.0, 2 * half, y_at + 62 + 44 + 22)
        legend = _legend(middle - 152, y_at + 58)
    else:
        left = 48 + 7.4 * max(len(_shorten(name, 22)) for name in net.inputs)
        low = max(middle * 2 + 34, middle + 74) + 26
        top = min(-34.0, middle - 40)
        box = (-left, top, left + y_at + 92, low - top + 14)
        legend = _legend(x_at - 26, low)
    some = ", ".join(net.inputs[:3]) + (f" … {net.inputs[-1]}" if count > 3 else "")
    description = (
        f"{count} input{'s' * (count > 1)} ({some}), each multiplied by its weight {layer.weight}; the products are summed, "
        + (f"the bias {layer.bias} is added, " if bias else "")
        + f"and the activation {activation} gives the output ŷ."
        + (
            f" For the example shown z is {number(z)} and ŷ is {number(output)}."
            if z is not None and output is not None
            else ""
        )
    )
    return _svg(ident, box, "The network: one neuron", description, *flow.edges, *flow.nodes, legend)


def _layers(net: Network, down: bool, ident: str) -> str:
    flow = _Flow(down)
    sizes = [len(net.inputs), *(layer.size for layer in net.layers)]
    columns = _shown(len(sizes), 6)
    pitch, step, radius = (42.0, 156.0, 16.0) if down else (46.0, 192.0, 17.0)
    most = 6 if down else 7
    tall = (min(max(sizes), most) - 1) * pitch
    middle = tall / 2
    example, last = net.example, len(sizes) - 1

    def places(layer: int) -> list[tuple[int | None, float]]:
        shown = _shown(sizes[layer], most)
        return [(k, middle + (row - (len(shown) - 1) / 2) * pitch) for row, k in enumerate(shown)]

    for column, k in enumerate(columns):
        along = column * step
        if k is None:
            flow.dots(along, middle, lengthwise=True)
            more = f"{last - len(columns) + 2} more layers"
            x, y = flow.at(along, middle)
            flow.words(
                _text(more, *((x + 24, y + 4, "start") if down else (x, y + 30)), size=12, colour="quiet")
            )
            continue
        before = columns[column - 1] if column else None
        units = places(k)
        if k:
            layer = net.layers[k - 1]
            if before is not None:
                pairs = [
                    (u, v) for i, u in places(before) if i is not None for j, v in units if j is not None
                ]
                for u, v in pairs:
                    flow.edge((along - step, u), (along, v), "weight", 1.2, 0.25 + 0.5 / len(pairs) ** 0.5)
            here = along - step * (0.5 if before is not None else 0.42)
            apart = 40.0 if down else 19.0
            flow.chip(here, middle - apart * bool(layer.bias), "weight", f"× {_named(layer.weight)}")
            if layer.bias:
                flow.chip(here, middle + apart, "bias", f"+ {_named(layer.bias)}")
        kind = "input" if k == 0 else "output" if k == last else "product"
        values = (
            (example.x if k == 0 else example.values[k - 1] if len(example.values) >= k else ())
            if example
            else ()
        )
        names = net.inputs if k == 0 else net.outputs if k == last else ()
        for unit, across in units:
            if unit is None:
                flow.dots(along, across)
                continue
            value = float(values[unit]) if len(values) else None
            letter = (
                ""
                if value is not None or kind == "product"
                else _indexed("x" if k == 0 else "ŷ", unit, sizes[k])
            )
            flow.node(along, across, kind, letter, value, radius, 14)
            if not down and unit < len(names):
                side, anchor = (-1, "end") if k == 0 else (1, "start")
                flow.words(_label(names[unit], along + side * (radius + 8), across + 4, 18, anchor, 12))
        role = "input" if k == 0 else "output" if k == last else f"hidden {k}" if last > 2 else "hidden"
        heading = f"{role} · {sizes[k]}"
        if down:
            x, y = tall + radius + 14, along
            flow.words(_text(heading, x, y - 2 if k else y + 4, "start", 13))
        else:
            x, y = along, middle - tall / 2 - radius - 14
            flow.words(_text(heading, x, y, size=13))
        if k:
            name = ACTIVATIONS.get(net.layers[k - 1].activation, (net.layers[k - 1].activation,))[0]
            if down:
                flow.box(along + 26, x + 22, net.layers[k - 1].activation, 44, 32)
                flow.words(_text(name, x + 50, y + 30, "start", 12, "quiet"))
            else:
                flow.box(along, middle + tall / 2 + radius + 30, net.layers[k - 1].activation, 48, 36)
                flow.words(_text(name, x, middle + tall / 2 + radius + 66, size=12, colour="quiet"))

    long = (len(columns) - 1) * step
    if down:
        box = (-24.0, -26.0, tall + 172, long + 26 + 76)
        legend = _legend(-14, long + 64)
    else:
        left, right = (
            30 + 7.2 * max((len(_shorten(n, 18)) for n in names), default=0)
            for names in (net.inputs, net.outputs)
        )
        left, right = max(left, 56), max(right, 56)
        box = (-left, -radius - 38, left + long + right, tall + 2 * radius + 38 + 108)
        legend = _legend(long / 2 - 150, tall + radius + 100)
    chain = " to ".join(str(size) for size in sizes)
    return _svg(ident, box, f"The network: {len(net.layers)} layer{'s' * (len(net.layers) > 1)} of neurons",
                f"Layers of {chain} units; each layer multiplies by its weights, adds its bias and applies its activation.",
                *flow.edges, *flow.nodes, legend)  # fmt: skip


# Plots

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
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [
            d * 10.0**p
            for p in range(first, last + 1)
            for d in digits
            if low <= d * 10.0**p <= high * (1 + 1e-9)
        ]
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
        place = (forward(np.asarray(values, float)) - low) / (high - low)
        return self.start + (self.end - self.start) * place

    def ticks(self) -> list[float]:
        if self.kind == "linear":
            return ticks(self.low, self.high)
        if self.kind == "log":
            return _decades(self.low, self.high)
        return [0.0, *_decades(1, max(self.high, 10))]


def _spread(values: Iterable[Numbers | float], margin: float = 0.05) -> tuple[float, float]:
    """The range of all finite values with a margin, never empty."""
    joined = np.concatenate([np.atleast_1d(np.asarray(v, float)).ravel() for v in values])
    joined = joined[np.isfinite(joined)]
    low, high = (float(joined.min()), float(joined.max())) if joined.size else (0.0, 1.0)
    pad = margin * (high - low) or 0.5 * abs(high) or 1.0
    return low - pad, high + pad


@dataclass(frozen=True)
class _Plot:
    """Axes on a small canvas; what is drawn inside is clipped to the frame."""

    x: _Scale
    y: _Scale
    x_label: str
    y_label: str
    width: float = 420
    height: float = 320
    symbols: bool = False

    @classmethod
    def of(cls, x: tuple[float, float], y: tuple[float, float], x_label: str, y_label: str, right: float = 16,
           kinds: tuple[str, str] = ("linear", "linear"), symbols: bool = False, height: float = 320) -> _Plot:  # fmt: skip
        across, up = _Scale(*x, 50, 420 - right, kinds[0]), _Scale(*y, height - 44, 30, kinds[1])
        return cls(across, up, x_label, y_label, 420, height, symbols)

    def points(self, x: Numbers, y: Numbers) -> list[tuple[float, float]]:
        both = np.stack([self.x(x), self.y(y)], axis=-1)
        return [(float(u), float(v)) for u, v in both[np.isfinite(both).all(axis=-1)]]

    def axes(self, lines: bool = True) -> str:
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = []
        for tick, at in zip(self.y.ticks(), self.y(self.y.ticks()), strict=True):
            if lines:
                parts.append(
                    _tag("line", x1=left, x2=right, y1=float(at), y2=float(at), stroke=paint("grid"))
                )
            parts.append(_text(number(tick, 4), left - 7, float(at) + 4, "end", 12, "quiet"))
        for tick, at in zip(self.x.ticks(), self.x(self.x.ticks()), strict=True):
            parts.append(
                _tag("line", x1=float(at), x2=float(at), y1=bottom, y2=bottom + 4, stroke=paint("quiet"))
            )
            parts.append(_text(number(tick, 4), float(at), bottom + 18, size=12, colour="quiet"))
        parts.append(_tag("line", x1=left, x2=right, y1=bottom, y2=bottom, stroke=paint("quiet")))
        if self.symbols:
            parts += [
                _symbol(_named(self.x_label), (left + right) / 2, bottom + 37),
                _symbol(_named(self.y_label), left - 4, top - 12),
            ]
        else:
            parts += [_label(self.x_label, (left + right) / 2, bottom + 37, 44, size=13),
                      _label(self.y_label, 4, top - 13, 44, "start", 13)]  # fmt: skip
        return "".join(parts)

    def inside(self, *body: str) -> str:
        """What belongs to the data: clipped, with the numbers a live page needs to move it."""
        left, top, width, height = (
            self.x.start,
            self.y.end,
            self.x.end - self.x.start,
            self.y.start - self.y.end,
        )
        return _tag("svg", *body, class_="plot", x=left, y=top, width=width, height=height,
                    viewBox=f"{left:g} {top:g} {width:g} {height:g}",
                    data_x=f"{self.x.low:.8g} {self.x.high:.8g} {self.x.kind}",
                    data_y=f"{self.y.low:.8g} {self.y.high:.8g} {self.y.kind}") if body else ""  # fmt: skip


def _halo(words: str, x: float, y: float, anchor: str = "middle", size: int = 12, colour: str = "ink") -> str:
    """Words that stay readable on top of lines."""
    return _text(words, x, y, anchor, size, colour, paint_order="stroke", stroke=paint("paper"), stroke_width=3.5,
                 stroke_linejoin="round")  # fmt: skip


def _thin(points: Sequence[tuple[float, float]], apart: float) -> list[tuple[float, float]]:
    """Leave out points nearer than `apart` pixels to the last one kept; the first and the last stay."""
    kept = [points[0]]
    for point in points[1:-1]:
        if math.dist(point, kept[-1]) >= apart:
            kept.append(point)
    return [*kept, points[-1]] if len(points) > 1 else kept


def loss_curve(
    losses: Numbers, baseline: tuple[str, float] | None = None, *, ident: str = "loss-curve"
) -> str:
    """The loss after each step, losses[0] the start; logarithmic axes where the fall would be lost otherwise."""
    values = np.asarray(losses, float)
    steps = np.flatnonzero(np.isfinite(values))
    values = values[steps]
    shown = [values, *([baseline[1]] if baseline else [])]
    low, high = min(float(np.min(v)) for v in shown), max(float(np.max(v)) for v in shown)
    halfway = int(np.argmax(values <= (values[0] + values.min()) / 2))
    count = max(int(steps[-1]), 1)
    y_kind = "log" if low > 0 and high / low > 20 else "linear"
    x_kind = "steps" if count > 50 and halfway < 0.04 * count else "linear"
    y_range = (low / 1.25, high * 1.15) if y_kind == "log" else _spread([np.array([low, high])], 0.08)
    if y_kind == "linear" and low >= 0:
        y_range = (max(y_range[0], 0.0) if low > 0.35 * high else 0.0, y_range[1])
    plot = _Plot.of((0, count), y_range, "step", "loss", kinds=(x_kind, y_kind), right=22)
    points = plot.points(steps.astype(float), values)
    body = [_tag("path", class_="loss", d=_line(_thin(points, 1.0)), fill="none", stroke=paint("curve"),
                 stroke_width=2.4, stroke_linejoin="round")]  # fmt: skip
    notes = []
    if baseline:
        level = float(plot.y(baseline[1]))
        body.append(_tag("line", class_="baseline", x1=plot.x.start, x2=plot.x.end, y1=level, y2=level,
                         stroke=paint("other"), stroke_width=1.8, stroke_dasharray="6 4", data_value=f"{baseline[1]:.8g}"))  # fmt: skip
        notes.append(
            _halo(f"{baseline[0]}  {number(baseline[1])}", plot.x.end, level - 7, "end", 12, "quiet")
        )
    (x0, y0), (x1, y1) = points[0], points[-1]
    below = bool(baseline) and 0 <= y1 - float(plot.y(baseline[1] if baseline else 0)) < 40
    notes += [
        _tag("circle", class_="end", cx=x1, cy=y1, r=4.5, fill=paint("curve")),
        _halo(
            number(float(values[-1])),
            plot.x.end,
            y1 + (19 if below and y1 + 19 < plot.y.start else -9),
            "end",
            13,
        ),
        _halo(number(float(values[0])), x0 + 9, max(y0 + 4, plot.y.end + 6), "start", 13),
    ]
    description = (
        f"The loss goes from {number(float(values[0]))} to {number(float(values[-1]))} in {steps[-1]} steps."
    )
    if baseline:
        description += f" For comparison, {baseline[0]}: {number(baseline[1])}."
    return _svg(
        ident,
        (0, 0, 420, 320),
        "The loss, step by step",
        description,
        plot.axes(),
        plot.inside(*body),
        *notes,
    )


_Edge = tuple[tuple[int, int], tuple[int, int]]


def contour(x: Array, y: Array, values: Array, level: float) -> list[list[tuple[float, float]]]:
    """The closed outlines of the region where values (len(y) × len(x)) exceed the level: marching squares.

    Each cell joins the places where the outline leaves it to where it enters; a rim of low values closes
    every outline. Drawn with fill-rule "evenodd" the outlines fill the region.
    """
    field = np.pad(values - level, 1, constant_values=-1.0)
    xs, ys = np.concatenate([x[:1], x, x[-1:]]), np.concatenate([y[:1], y, y[-1:]])
    high = field > 0
    count = high[:-1, :-1].astype(int) + high[1:, :-1] + high[:-1, 1:] + high[1:, 1:]
    follows: dict[_Edge, _Edge] = {}
    for i, j in np.argwhere((count > 0) & (count < 4)).tolist():
        corners = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
        sides = [
            (p, q) for p, q in zip(corners, corners[1:] + corners[:1], strict=True) if high[p] != high[q]
        ]
        joined = (
            sum(field[p] for p in corners) > 0
        )  # a saddle: its two high corners meet if its middle is high
        for k, (p, q) in enumerate(sides):
            if high[p]:
                r, s = sides[(k + 1 if joined else k - 1) % len(sides)]
                follows[min(p, q), max(p, q)] = (min(r, s), max(r, s))
    outlines = []
    while follows:
        edge = next(iter(follows))
        outline = []
        while edge in follows:
            (p, q), edge = edge, follows.pop(edge)
            t = field[p] / (field[p] - field[q])
            outline.append(
                (float(xs[p[1]] + t * (xs[q[1]] - xs[p[1]])), float(ys[p[0]] + t * (ys[q[0]] - ys[p[0]])))
            )
        outlines.append(outline)
    return outlines


def levels(values: Array, count: int = len(BANDS) - 1) -> list[float]:
    """Levels that show the valley: their height above its floor grows by a constant factor."""
    floor, top = float(values.min()), float(values.max())
    if not top > floor:
        return []
    lowest = max(float(np.quantile(values - floor, 0.012)), 1e-4 * (top - floor))
    heights = floor + np.geomspace(lowest, 0.75 * (top - floor), count)
    digits = [2 - math.floor(math.log10((h - floor) / max(abs(h), abs(floor)))) for h in heights]
    return sorted({float(f"{h:.{min(max(d, 2), 12)}g}") for h, d in zip(heights, digits, strict=True)})


def loss_surface(grid_x: Numbers, grid_y: Numbers, values: Array, path: Array, labels: tuple[str, str] = ("w", "b"), *,
                 ident: str = "loss-surface") -> str:  # fmt: skip
    """The loss over a plane as bands of equal height, and on it the descent.

    `values` is len(grid_y) × len(grid_x); `path` is steps × 2, from the start to the end.
    """
    x, y = np.asarray(grid_x, float), np.asarray(grid_y, float)
    finite = np.isfinite(values)
    heights = np.where(finite, values, values[finite].max())
    plot = _Plot.of((x[0], x[-1]), (y[0], y[-1]), *labels, right=66, symbols=True)
    across, up = plot.x(x), plot.y(y)
    steps = levels(heights)
    body = [_tag("rect", x=plot.x.start, y=plot.y.end, width=plot.x.end - plot.x.start,
                 height=plot.y.start - plot.y.end, fill=band(0))]  # fmt: skip
    for k, level in enumerate(steps):
        d = "".join(_line(_thin(outline, 0.6)) + "Z" for outline in contour(across, up, heights, level))
        body.append(_tag("path", class_="contour", d=d, fill=band(k + 1), fill_rule="evenodd", stroke=paint("paper"),
                         stroke_width=0.7, stroke_opacity=0.45, data_level=f"{level:.8g}"))  # fmt: skip

    points = plot.points(path[:, 0], path[:, 1])
    line = _line(_thin(points, 1.0))
    body += [_tag("path", class_=name, d=line, fill="none", stroke=paint(colour), stroke_width=width,
                  stroke_linejoin="round", stroke_linecap="round")
             for name, colour, width in (("halo", "paper", 5), ("descent", "path", 2.2))]  # fmt: skip
    body += [_tag("circle", cx=u, cy=v, r=2.6, fill=paint("path"), stroke=paint("paper"), stroke_width=0.8)
             for u, v in _thin(points, 8.0)[1:-1]]  # fmt: skip
    (x0, y0), (x1, y1) = points[0], points[-1]
    body += [_tag("circle", class_="start", cx=x0, cy=y0, r=5, fill=paint("paper"), stroke=paint("path"), stroke_width=2.4),
             _tag("circle", class_="end", cx=x1, cy=y1, r=6, fill=paint("path"), stroke=paint("paper"), stroke_width=2)]  # fmt: skip
    notes = []
    for word, (u, v), (other, height) in (("start", points[0], points[-1]), ("end", points[-1], points[0])):
        side = "end" if u > plot.x.end - 45 or (u > plot.x.start + 45 and u < other) else "start"
        shift = -11 if side == "end" else 11
        if math.dist(points[0], points[-1]) < 30:
            v += 12 if word == "end" else -12
        notes.append(
            _halo(word, u + shift, max(v + 4 + (7 if v > height else -7), plot.y.end + 12), side, 12)
        )

    bar, size = plot.x.end + 12, (plot.y.start - plot.y.end) / (len(steps) + 1)
    for k in range(len(steps) + 1):
        bottom = plot.y.start - k * size
        notes.append(_tag("rect", x=bar, y=bottom - size, width=12, height=size + 0.3, fill=band(k)))
        if k:
            notes.append(
                _text(
                    number(steps[k - 1], 3 if steps[k - 1] < 1000 else 4),
                    bar + 16,
                    bottom + 4,
                    "start",
                    11,
                    "quiet",
                )
            )
    notes.append(_text("loss", bar, plot.y.end - 13, "start", 13))
    description = (
        f"The loss over {labels[0]} and {labels[1]}, from {number(float(heights.min()))} to {number(float(heights.max()))}; "
        f"the descent starts at {labels[0]} = {number(float(path[0, 0]))}, {labels[1]} = {number(float(path[0, 1]))} "
        f"and ends at {labels[0]} = {number(float(path[-1, 0]))}, {labels[1]} = {number(float(path[-1, 1]))}."
    )
    return _svg(
        ident,
        (0, 0, 420, 320),
        "The descent on the loss surface",
        description,
        plot.inside(*body),
        plot.axes(False),
        *notes,
    )


def loss_slice(grid: Numbers, values: Numbers, path: Numbers, losses: Numbers, label: str = "w", *,
               ident: str = "loss-surface") -> str:  # fmt: skip
    """The loss over a single parameter, and on it the descent: what `loss_surface` is for two."""
    shown = np.asarray(values, float)
    plot = _Plot.of((float(grid[0]), float(grid[-1])), _spread([shown, losses]), label, "loss")
    dots = _thin(plot.points(path, losses), 6.0)
    curve = _tag(
        "path", d=_line(plot.points(grid, shown)), fill="none", stroke=paint("other"), stroke_width=2
    )
    line = _tag("path", class_="descent", d=_line(dots), fill="none", stroke=paint("path"), stroke_width=1.4)
    marks = [_tag("circle", cx=u, cy=v, r=3.4 if 0 < k < len(dots) - 1 else 5.5, fill=paint("path"),
                  stroke=paint("paper")) for k, (u, v) in enumerate(dots)]  # fmt: skip
    description = (
        f"The descent starts at {label} = {number(float(path[0]))} and ends at {number(float(path[-1]))}."
    )
    return _svg(
        ident,
        (0, 0, 420, 320),
        f"The loss over {label}",
        description,
        plot.axes(),
        plot.inside(curve, line, *marks),
    )


def _some(count: int, most: int = 700) -> npt.NDArray[np.int64]:
    """Which of many points to draw: all, or an even choice."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _dots(plot: _Plot, x: Numbers, y: Numbers) -> list[str]:
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    chosen = _some(len(xs))
    radius, opacity = (4.2, "0.9") if len(xs) <= 60 else (3.2, "0.6") if len(xs) <= 250 else (2.6, "0.4")
    points = plot.points(xs[chosen], ys[chosen])
    return [_tag("g", *(_tag("circle", cx=u, cy=v, r=radius) for u, v in points), class_="data", fill=paint("data"),
                 fill_opacity=opacity, stroke=paint("paper"), stroke_width=0.7)] if points else []  # fmt: skip


def _apart(heights: list[float], gap: float, low: float, high: float) -> list[float]:
    """Heights of labels moved as little as needed so that none covers another."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for a, b in zip(order, order[1:], strict=False):
        moved[b] = max(moved[b], moved[a] + gap)
    over = max([high, *moved]) - high
    return [max(m - over, low) for m in moved]


def data_and_fit(
    x: Numbers, y: Numbers, curves: Sequence[Curve], labels: tuple[str, str], *, ident: str = "fit"
) -> str:
    """One feature against the target, with the fitted lines, each named where it ends."""
    room = 14 + 7.2 * max((len(_shorten(c.name, 14)) for c in curves), default=0)
    plot = _Plot.of(_spread([x], 0.04), _spread([y, *(c.y for c in curves)]), *labels, right=room)
    body = [
        _tag("path", class_=f"fit {c.kind}", d=_line(_thin(plot.points(c.x, c.y), 0.8)), fill="none", stroke=paint(c.kind),
             stroke_width=2.6 if c.kind == "curve" else 1.8, stroke_dasharray=None if c.kind == "curve" else "6 4",
             stroke_linejoin="round") for c in reversed(curves)
    ]  # fmt: skip
    ends = [min(max(float(plot.y(float(c.y[-1]))), plot.y.end), plot.y.start) for c in curves]
    names = [
        _label(c.name, plot.x.end + 6, at + 4, 14, "start", 13, c.kind)
        for c, at in zip(curves, _apart(ends, 16, plot.y.end, plot.y.start), strict=True)
    ]
    description = f"{len(np.asarray(x))} points of {labels[1]} against {labels[0]}, with {' and '.join(c.name for c in curves)}."
    return _svg(
        ident,
        (0, 0, 420, 320),
        "Data and fit",
        description,
        plot.axes(),
        plot.inside(*body, *_dots(plot, x, y)),
        *names,
    )


def predicted_against_true(
    y: Numbers, predictions: Numbers, label: str = "target", *, ident: str = "fit"
) -> str:
    """For several features: what the network says against what is true; a perfect network is the diagonal."""
    both = _spread([y, predictions])
    plot = _Plot.of(both, both, f"{label}, in truth", f"{label}, predicted")
    diagonal = _tag("line", x1=plot.x.start, y1=plot.y.start, x2=plot.x.end, y2=plot.y.end, stroke=paint("other"),
                    stroke_width=1.8, stroke_dasharray="6 4")  # fmt: skip
    note = _halo("perfect", plot.x.end - 6, plot.y.end + 30, "end", 12, "quiet")
    return _svg(ident, (0, 0, 420, 320), "Predicted against true", f"{len(y)} predictions of {label}; the nearer to the diagonal, the better.",
                plot.axes(), plot.inside(diagonal, *_dots(plot, y, predictions)), note)  # fmt: skip


def confusion(
    matrix: Sequence[Sequence[int]] | npt.NDArray[np.int64], classes: Sequence[str], *, ident: str = "fit"
) -> str:
    """How often each class (row) was called which (column); the diagonal is right."""
    counts = np.asarray(matrix)
    size = len(classes)
    room = min(16, max(len(c) for c in classes))
    left, top = 34 + 7.0 * room, 54.0
    cell = min(64.0, max(9.0, (404 - left) / size), max(9.0, (320 - top - 6) / size))
    narrow = cell < 7.0 * room + 6
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [_text("predicted", left + size * cell / 2, 16, size=13),
             _tag("g", _text("in truth", 0, 0, size=13), transform=f"translate(14 {top + size * cell / 2:.0f}) rotate(-90)")]  # fmt: skip
    for i, name in enumerate(classes):
        middle = (i + 0.5) * cell
        if cell >= 10:
            parts.append(_label(name, left - 7, top + middle + 4, 16, "end", 12))
            parts.append(
                _label(
                    name,
                    left + middle,
                    top - 8,
                    max(1, int((cell - 4) / 7)) if narrow else room,
                    "middle",
                    12,
                )
            )
        for j in range(size):
            colour = paint("bias" if i == j else "weight")
            strength = 0.06 + 0.74 * float(share[i, j]) if counts[i, j] else 0.03
            parts.append(_tag("rect", x=left + j * cell + 0.5, y=top + i * cell + 0.5, width=cell - 1, height=cell - 1, rx=2,
                              fill=colour, fill_opacity=f"{strength:.2f}", data_count=int(counts[i, j])))  # fmt: skip
            if cell >= 20 and counts[i, j]:
                parts.append(
                    _text(
                        str(counts[i, j]),
                        left + (j + 0.5) * cell,
                        top + middle + 4,
                        size=13 if cell >= 30 else 10,
                    )
                )
    right = int(np.trace(counts))
    return _svg(ident, (0, 0, max(420, left + size * cell + 8), max(320, top + size * cell + 8)), "Predicted and true classes",
                f"{right} of {int(counts.sum())} examples are classified correctly.", *parts)  # fmt: skip
