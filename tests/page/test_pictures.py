"""Pictures are well-formed, say what they show, and their numbers are true."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradstep.page import pictures, surface, svg
from gradstep.page.pictures import Curve, Example, Layer, Network

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<b>\"&' ]]> a very long name indeed, longer than any label"
RNG = np.random.default_rng(3)

NEURON = Network(
    ["year"], [Layer(1, "relu")], ["TWh"], Example([2013.0], [1.7], -3410.5, 11.6, [[11.6]], 12.0)
)
WIDE = Network([NASTY] * 9, [Layer(1, "sigmoid", "w", "")], [NASTY])
PERCEPTRON = Network(
    [NASTY] * 4, [Layer(16, "relu", "W1", "b1"), Layer(3, "softmax", "W2", "b2")], [NASTY] * 3
)
DEEP = Network(["a"] * 64, [Layer(32, "tanh", f"W{k}", f"b{k}") for k in range(1, 32)] + [Layer(1)])
SMALL = Network(
    ["a", "b"], [Layer(2, "a new one"), Layer(1)], ["c"], Example([1, 0], values=[[0.9, -0.8], [1]])
)
GRID = np.linspace(-2.0, 3.0, 31)
BOWL = (GRID[None, :] - 1) ** 2 + 10 * (GRID[:, None] - 0.5) ** 2
PATH = np.stack([np.linspace(-1, 1, 40), np.linspace(2, 0.5, 40)], axis=1)

PICTURES = {
    **{
        f"network {name}{' down' * down}": pictures.network(net, down=down)
        for name, net in {
            "neuron": NEURON,
            "wide": WIDE,
            "layers": PERCEPTRON,
            "deep": DEEP,
            "small": SMALL,
        }.items()
        for down in (False, True)
    },
    "loss": pictures.loss_curve(np.geomspace(100, 1, 300), (NASTY, 3.0)),
    "loss of one step": pictures.loss_curve([2.0]),
    "loss that does not move": pictures.loss_curve([0.0, 0.0, 0.0], ("line", 0.0)),
    "loss with gaps": pictures.loss_curve([3.0, math.nan, 1.0, math.inf]),
    "surface": pictures.loss_surface(GRID, GRID, BOWL, PATH),
    "flat surface": pictures.loss_surface(GRID, GRID, np.ones((31, 31)), PATH[:1]),
    "surface with holes": pictures.loss_surface(
        GRID, GRID, np.where(BOWL > 40, np.inf, BOWL), PATH, ("w_1", NASTY)
    ),
    "slice": pictures.loss_slice(GRID, GRID**2, [2.0, 1.0, 0.5], [4.0, 1.0, 0.25]),
    "fit": pictures.data_and_fit(
        GRID, GRID**2, [Curve(NASTY, GRID, GRID), Curve("line", GRID, GRID, "other")], (NASTY, NASTY)
    ),
    "predictions": pictures.predicted_against_true(RNG.normal(size=2000), RNG.normal(size=2000), NASTY),
    "confusion": pictures.confusion([[3, 0], [1, 5]], [NASTY, "b"]),
    "large confusion": pictures.confusion(np.eye(40, dtype=int), [str(k) for k in range(40)]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_well_formed_and_says_what_it_shows(name: str) -> None:
    root = ElementTree.fromstring(PICTURES[name])  # a name that is not escaped would not parse
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    heads = {root.get("aria-labelledby"): f"{SVG}title", root.get("aria-describedby"): f"{SVG}desc"}
    for ident, tag in heads.items():
        assert [e.tag for e in root.iter() if e.get("id") == ident] == [tag]
    assert all((e.text or "").strip() for e in root.iter() if e.tag in (f"{SVG}title", f"{SVG}desc"))
    idents = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(idents) == len(set(idents))


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_holds_finite_places_and_colours_of_the_page_only(name: str) -> None:
    for element in ElementTree.fromstring(PICTURES[name]).iter():
        for key in {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "width"} & set(element.keys()):
            assert not re.search(r"nan|inf", element.get(key, "")), (element.tag, key)
        for key in {"fill", "stroke"} & set(element.keys()):
            assert re.fullmatch(r"none|var\(--gs-[a-z0-9-]+, [#\w]+\)", element.get(key, ""))
        assert element.tag.removeprefix(SVG) not in {"script", "image", "use", "a", "foreignObject"}
    assert len(PICTURES[name]) < 80_000


def _values(drawn: str, kind: str) -> list[float]:
    found = [e for e in ElementTree.fromstring(drawn).iter() if kind in (e.get("class") or "").split()]
    return [float(e.get("data-value", "nan")) for e in found]


@pytest.mark.parametrize("down", [False, True])
def test_the_numbers_of_the_example_run_through_the_neuron(down: bool) -> None:
    drawn = pictures.network(NEURON, down=down)
    assert _values(drawn, "input") == [2013] and _values(drawn, "output") == [11.6]
    assert _values(drawn, "weight")[-1] == 1.7 and _values(drawn, "sum")[-1] == pytest.approx(1.7 * 2013)
    shown = {e.text for e in ElementTree.fromstring(drawn).iter() if e.get("class") == "value"}
    assert shown == {"2013", "1.70", "1.7", "3422.1", "−3410.5", "11.6"} - {
        "1.70"
    }  # a reader can check the sum


def test_an_activation_is_drawn_as_it_is() -> None:
    """Each has a graph of its own; what is not known has none."""
    graphs = {}
    for name in ("linear", "relu", "gelu", "elu", "sin", "sqrt", "a new one"):
        drawn = ElementTree.fromstring(pictures.network(Network(["x"], [Layer(1, name)])))
        (box,) = (e for e in drawn.iter() if e.get("class") == "activation")
        graphs[name] = [e.get("d") for e in box.iter(f"{SVG}path")][1:]
    assert graphs.pop("a new one") == [] and all(len(graph) == 1 for graph in graphs.values())
    assert len({graph for (graph,) in graphs.values()}) == len(graphs)


def test_a_large_layer_is_drawn_by_its_first_units_and_its_last() -> None:
    drawn = pictures.network(WIDE)
    names = [
        e.get("data-name") for e in ElementTree.fromstring(drawn).iter() if e.get("class") == "node input"
    ]
    assert names == ["x_1", "x_2", "x_3", "x_4", "x_9"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-0.5, "−0.5"),
        (2001, "2001"),
        (0.12345, "0.123"),
        (1e6, "1×10⁶"),
        (-2.5e-7, "−2.5×10⁻⁷"),
        (math.inf, "∞"),
    ],
)
def test_numbers_are_written_for_people(value: float, words: str) -> None:
    assert svg.number(value) == words


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    marks = pictures.ticks(low, low + width)
    assert 2 <= len(marks) <= 7
    assert all(low - 1e-6 * width <= m <= low + width * (1 + 1e-6) for m in marks)
    gaps = np.diff(marks)
    assert np.allclose(gaps, gaps[0], rtol=1e-6)


def _area(outline: list[svg.Point]) -> float:
    x, y = np.array(outline).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_a_contour_encloses_what_lies_above_its_level() -> None:
    x = np.linspace(-2, 2, 161)
    distance = np.hypot(*np.meshgrid(x, x))
    assert abs(sum(map(_area, pictures.contour(x, x, -distance, -1.0)))) == pytest.approx(math.pi, rel=1e-3)
    outside = abs(sum(map(_area, pictures.contour(x, x, distance, 1.0))))
    assert outside == pytest.approx(16 - math.pi, rel=1e-3)  # a hole runs the other way round


@given(st.integers(0, 2**32 - 1))
def test_contours_are_closed_and_nested_at_every_saddle(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(5, 6))
    x, y = np.arange(6.0), np.arange(5.0)
    areas = [
        abs(sum(map(_area, pictures.contour(x, y, values, level)))) for level in (-9.0, -0.5, 0.0, 0.5, 9.0)
    ]
    assert areas == sorted(areas, reverse=True) and areas[0] == pytest.approx(20) and areas[-1] == 0


def test_levels_show_the_valley() -> None:
    steps = np.array(pictures.levels(BOWL))
    assert len(steps) == 9 and steps[0] < 0.5 and np.all(np.diff(steps) > 0)
    assert np.all(np.diff(np.diff(steps)) > 0)  # ever farther apart
    assert len(set(pictures.levels(BOWL * 1e-9 + 7.0))) == 9


@pytest.mark.parametrize(
    ("losses", "kind"), [([100.0, 1.0], "log"), ([3.0, 2.0], "linear"), ([1.0, 0.0], "linear")]
)
def test_the_axis_of_the_loss_suits_its_range(losses: list[float], kind: str) -> None:
    assert re.search(r'data-y="[^"]* (\w+)"', pictures.loss_curve(losses))[1] == kind  # type: ignore[index]


# The plane that the surface is drawn on


def test_two_numbers_span_their_own_plane() -> None:
    path = [{"w": np.array([u]), "b": np.array(v)} for u, v in PATH]
    plane = surface.sample(lambda p: float((p["w"][0] - 1) ** 2 + 10 * (p["b"] - 0.5) ** 2), path, size=21)
    assert isinstance(plane, surface.Plane)
    assert plane.labels == ("w", "b") and plane.caption == "" and np.array_equal(plane.path, PATH)
    x, y = np.meshgrid(plane.x, plane.y)
    assert np.allclose(plane.values, (x - 1) ** 2 + 10 * (y - 0.5) ** 2)


def test_many_numbers_are_shown_on_the_plane_of_the_descent() -> None:
    target = {"W": RNG.normal(size=(2, 3)), "b": RNG.normal(size=3)}
    push = {name: RNG.normal(size=v.shape) for name, v in target.items()}
    turn = {name: RNG.normal(size=v.shape) for name, v in target.items()}
    path = [
        {n: target[n] + (1 - t) * push[n] + t * (1 - t) * turn[n] for n in target}
        for t in np.linspace(0, 1, 30)
    ]
    seen = set()

    def loss(p: dict[str, surface.Array]) -> float:
        seen.add(tuple(v.shape for v in p.values()))
        return float(sum(((p[n] - target[n]) ** 2).sum() for n in target))

    plane = surface.sample(loss, path, size=15)
    assert isinstance(plane, surface.Plane) and seen == {((2, 3), (3,))}
    assert np.allclose(plane.path[-1], 0) and "9 parameters" in plane.caption and "100 %" in plane.caption
    assert np.allclose(
        [u @ u for u in plane.path], [loss(p) for p in path]
    )  # the whole path lies in the plane
    for axis, track in ((plane.x, plane.path[:, 0]), (plane.y, plane.path[:, 1])):
        assert axis[0] <= track.min() and track.max() <= axis[-1]


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_a_straight_or_short_path_has_a_plane_too(steps: int) -> None:
    path = [{"w": np.full(4, 1.0 / (k + 1))} for k in range(steps)]
    plane = surface.sample(lambda p: float(p["w"] @ p["w"]), path, size=5)
    assert isinstance(plane, surface.Plane) and np.isfinite(plane.values).all()
    assert plane.x[0] < plane.x[-1] and plane.y[0] < plane.y[-1]


def test_one_number_has_a_line() -> None:
    line = surface.sample(lambda p: float((p["w"] - 2) ** 2), [{"w": 2 - 2 * 0.8**k} for k in range(30)])
    assert isinstance(line, surface.Slice)
    assert np.allclose(line.values, (line.x - 2) ** 2) and np.allclose(line.losses, (line.path - 2) ** 2)
    assert line.x[0] < 0 and line.x[-1] > 3  # far enough to see the other side of the valley
