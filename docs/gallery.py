"""The gallery: a page for each line of two tables. `python3 dev.py gallery` writes them to docs/gallery/.

A new network is a new line: its name, what it shows, its loss, its shapes, its data, how it is trained.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.datasets import iowa
from gradstep.library import Network as Layer
from gradstep.page.derivations import html as still
from gradstep.page.derived import html as derived
from gradstep.page.document import Html
from gradstep.page.fitted import write_page

FOLDER = Path(__file__).parent / "gallery"
LINEAR = {"X": "N d", "w": "d", "b": "", "y": "N"}
MATRIX = {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}
Data = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """One page of the gallery."""

    name: str
    title: str
    lead: str
    loss: str
    shapes: Mapping[str, str]
    data: Callable[[np.random.Generator], Data]
    settings: Mapping[str, Any] = field(default_factory=dict)


def wind(random: np.random.Generator) -> Data:
    year, twh = iowa()
    return {"X": year[:, None], "y": twh}


def plane(random: np.random.Generator) -> Data:
    X = random.normal(size=(80, 2))
    return {"X": X, "y": X @ [2.0, -1.0] + 3 + 0.5 * random.normal(size=80)}


def two_clouds(random: np.random.Generator) -> Data:
    y = random.integers(0, 2, 90).astype(float)
    return {"X": random.normal(size=(90, 2)) + 1.2 * np.stack([2 * y - 1, y], axis=1), "y": y}


def three_clouds(random: np.random.Generator) -> Data:
    kind = random.integers(0, 3, 120)
    middle = np.array([[0.0, 2.0], [-2.0, -1.0], [2.0, -1.0]])
    return {"X": middle[kind] + random.normal(size=(120, 2)), "Y": np.eye(3)[kind]}


def wave(random: np.random.Generator) -> Data:
    x = np.linspace(-3, 3, 90)
    return {"X": x[:, None], "Y": (np.sin(2 * x) + 0.1 * random.normal(size=90))[:, None]}


def faces(random: np.random.Generator) -> Data:
    inside = random.normal(size=(100, 2))
    return {"X": np.tanh(inside @ random.normal(size=(2, 6))) + 0.05 * random.normal(size=(100, 6))}


def ratings(random: np.random.Generator) -> Data:
    U, V = random.normal(size=(20, 2)), random.normal(size=(12, 2))
    return {"R": U @ V.T + 0.1 * random.normal(size=(20, 12))}


def some_ratings(random: np.random.Generator) -> Data:
    seen = (random.random((20, 12)) < 0.4).astype(float)
    return {"R": ratings(random)["R"] * seen, "M": seen}


def counts(random: np.random.Generator) -> Data:
    X = random.uniform(-1, 1, (100, 1))
    return {"X": X, "y": random.poisson(np.exp(1.2 + 1.1 * X[:, 0])).astype(float)}


def outliers(random: np.random.Generator) -> Data:
    x = np.sort(random.uniform(-2, 2, 60))
    y = 1.5 * x + 0.5 + 0.2 * random.normal(size=60)
    return {"X": x[:, None], "y": np.where(random.random(60) < 0.12, y + 9, y)}


GALLERY = [
    Network(
        "neuron",
        "One neuron and the wind of Iowa",
        "The article's neuron: a weight, a bias, a ReLU, and the electricity from renewables in Iowa.",
        "mean((y - relu(X @ w + b))**2)",
        LINEAR,
        wind,
        {"learning_rate": 0.1},
    ),
    Network(
        "linear",
        "Linear regression",
        "The straight line, or plane, through the data: the neuron without its ReLU.",
        "mean((y - (X @ w + b))**2)",
        LINEAR,
        plane,
        {"learning_rate": 0.1},
    ),
    Network(
        "logistic",
        "A logistic neuron",
        "Two clouds of points, and the chance that a point belongs to the second.",
        "-mean(y * log(sigmoid(X @ w + b)) + (1 - y) * log(1 - sigmoid(X @ w + b)))",
        LINEAR,
        two_clouds,
        {"learning_rate": 0.5},
    ),
    Network(
        "softmax",
        "Softmax regression",
        "Three clouds: softmax turns three sums into three chances, and its gradient is P − Y.",
        "-sum(Y * log(softmax(X @ W + b, axis=1)))/N",
        MATRIX,
        three_clouds,
        {"learning_rate": 0.5},
    ),
    Network(
        "perceptron",
        "A perceptron with a hidden layer of ReLUs",
        "Eight straight pieces make a wave: the chain rule through two layers.",
        "mean((Y - (relu(X @ W1 + b1) @ W2 + b2))**2)",
        {"X": "N d", "W1": "d h", "b1": "h", "W2": "h m", "b2": "m", "Y": "N m"},
        wave,
        {"sizes": {"h": 8}, "steps": 600},
    ),
    Network(
        "autoencoder",
        "An autoencoder",
        "Six numbers through a door that only two can pass, and back: what is it that they have in common?",
        "mean((X - (tanh(X @ W + b) @ V + c))**2)",
        {"X": "N d", "W": "d h", "b": "h", "V": "h d", "c": "d"},
        faces,
        {"sizes": {"h": 2}, "steps": 400},
    ),
    Network(
        "factorisation",
        "Matrix factorisation",
        "A table of numbers as the product of a tall matrix and a wide one.",
        "mean((R - U @ V.T)**2)",
        {"R": "m n", "U": "m k", "V": "n k"},
        ratings,
        {"sizes": {"k": 2}, "steps": 300},
    ),
    Network(
        "recommender",
        "A recommender",
        "The same where most of the table is missing: M is 1 where somebody has given a rating, and the "
        "rest is what we would like to know.",
        "sum(M * (R - U @ V.T)**2)/sum(M) + 0.01*(sum(U**2) + sum(V**2))/m",
        {"R": "m n", "M": "m n", "U": "m k", "V": "n k"},
        some_ratings,
        {"sizes": {"k": 2}, "steps": 300},
    ),
    Network(
        "poisson",
        "Poisson regression",
        "Counts, and a neuron that answers with how many to expect: exp keeps it above zero.",
        "mean(exp(X @ w + b) - y * (X @ w + b))",
        LINEAR,
        counts,
        {"learning_rate": 0.1},
    ),
    Network(
        "huber",
        "A loss that forgives outliers",
        "Huber's loss is a parabola near zero and straight beyond: a far point pulls as hard as a near one.",
        "r = abs(y - (X @ w + b)); q = minimum(r, 1); mean(q*r - q**2/2)",
        LINEAR,
        outliers,
        {"learning_rate": 0.3},
    ),
]


def write(network: Network) -> Path:
    """The page of a network."""
    loss = gs.parse(network.loss, **network.shapes)
    data = network.data(np.random.default_rng(1))
    wrt = [name for name in network.shapes if name not in data]
    fit = gs.train(loss, data, wrt, **network.settings)
    lead = (network.lead, Html(f"Its loss, as it was typed: <code>{escape(network.loss)}</code>"))
    return write_page(fit, FOLDER / f"{network.name}.html", title=network.title, lead=lead)


def write_layer(layer: Layer) -> Path:
    """The derivation of a network that comes along, on a page; of twelve layers where it has layers."""
    path = FOLDER / f"{page_name(layer.name)}.html"
    title = layer.name[0].upper() + layer.name[1:]
    made = (
        still(layer.derive(12), title=title, view="matrix")
        if layer.deep
        else derived(layer.derive(), title=title, view="matrix")
    )
    path.write_text(made, encoding="utf-8")
    return path


def page_name(name: str) -> str:
    return "layer-" + re.sub("[^a-z0-9]+", "-", name.lower())


def main(words: list[str]) -> int:
    pages: dict[str, Callable[[], Path]] = {network.name: partial(write, network) for network in GALLERY}
    pages |= {page_name(layer.name): partial(write_layer, layer) for layer in gs.networks.values()}
    unknown = set(words) - pages.keys()
    if unknown:
        print(f"there is no page {unknown.pop()}; there are {', '.join(pages)}")
        return 2
    FOLDER.mkdir(exist_ok=True)
    for name, make in pages.items():
        if not words or name in words:
            began = time.perf_counter()
            path = make()
            size = path.stat().st_size / 1000
            print(f"{path}   {size:.0f} KB, {time.perf_counter() - began:.1f} s", flush=True)
    alive = [(n.name, n.title, n.lead) for n in GALLERY]
    layers = [(page_name(n.name), n.name, f"{n.about}. {n.source}") for n in gs.networks.values()]
    index = INDEX.replace("{alive}", listed(alive)).replace("{layers}", listed(layers))
    (FOLDER / "index.html").write_text(index, encoding="utf-8")
    return 0


def listed(pages: Iterable[tuple[str, str, str]]) -> str:
    return "\n".join(
        f'<li><a href="{name}.html">{escape(title)}</a><p>{escape(lead)}</p></li>'
        for name, title, lead in pages
    )


INDEX = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The gallery of gradstep</title>
<style>
body { max-width: 46rem; margin: 0 auto; padding: 3rem 1.2rem; font: 1.06rem/1.6 Charter, Georgia, serif; }
li { margin-bottom: 0.8rem; }
li p { margin: 0; opacity: 0.75; }
</style>
</head>
<body>
<h1>The gallery</h1>
<p>Each page is one file that trains itself: press Train, drag a weight, and watch every line of the
derivation.</p>
<ol>
{alive}
</ol>
<h2>The layers of today</h2>
<p>Networks that come along as <code>gs.networks</code>, each with its derivation.</p>
<ol>
{layers}
</ol>
</body>
</html>
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
