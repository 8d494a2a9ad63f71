"""Does `import gradstep as gs` give what it promises?"""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gradstep as gs
from gradstep.operations import FUNCTIONS

INIT = Path(gs.__file__).read_text(encoding="utf-8")
NEURON = "mean((y - relu(X @ w + b))**2)"
SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}


@pytest.fixture(scope="module")
def d():
    return gs.derive(gs.parse(NEURON, **SHAPES), wrt=["w", "b"], seed=7)


def names_for_type_checkers():
    (guard,) = [node for node in ast.parse(INIT).body if isinstance(node, ast.If)]
    imports = [node for node in guard.body if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    return {alias.asname: node.module for node in imports for alias in node.names}


def test_type_checkers_see_the_same_names():
    public = {name: room for name, room in gs._HOME.items() if not name.startswith("_") and name != "plain"}
    assert {name: room for name, room in names_for_type_checkers().items() if name != "plain"} == public


def test_every_public_name_has_a_docstring():
    for name in gs.__all__:
        thing = getattr(gs, name)
        assert isinstance(thing, (str, gs.Expr)) or inspect.getdoc(thing), name


def test_all_functions_of_the_language_are_public():
    assert {name for name in FUNCTIONS if getattr(gs, name) is FUNCTIONS[name]} == set(FUNCTIONS)
    assert str(gs.pi) == "pi"


def test_dir_lists_the_public_names():
    assert set(dir(gs)) == set(gs.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'relo'"):
        _ = gs.relo


def test_text_and_objects_give_the_same_expression():
    X, w, b, y = gs.symbols(**SHAPES)
    assert gs.mean((y - gs.relu(X @ w + b)) ** 2) is gs.parse(NEURON, **SHAPES)


def test_an_expression_writes_itself_as_it_was_read(d):
    assert str(d.of) == NEURON
    again = gs.parse(str(d.answers["w"]), **SHAPES)
    assert again is d.answers["w"]


def test_deriving_text_says_how_to_read_it():
    with pytest.raises(gs.MathError) as caught:
        gs.derive(NEURON, "w")
    assert caught.value.mend == 'gs.parse(text, X="N d", …)'


def test_names_in_the_text_are_names_in_the_derivation():
    loss = gs.parse("score = X @ w + b; cost = mean((y - tanh(score))**4)", **SHAPES)
    names = gs.derive(loss, "w").names
    assert names[loss] == "cost" and "score" in names.values()


def test_names_can_be_given_to_derive():
    X, w, b, y = gs.symbols(**SHAPES)
    score = X @ w + b
    assert "∂C/∂ score" in gs.derive(gs.mean((y - gs.relu(score)) ** 2), "w", names={score: "score"}).text()


def test_a_derivation_shows_itself(d):
    assert str(d) == d.text() == d.text(view="matrix", style="partials", width=100)
    assert d.text("sample") == d.text(view="sample") != d.text()
    assert d.latex().startswith(r"\begingroup") and "alignat*" in d.latex("index", "differential")
    assert d.markdown().startswith("### The loss")
    assert d.to_json("sample")["view"] == "sample"
    assert max(map(len, d.text(width=60).splitlines())) <= 60


def test_a_notebook_gets_no_html(d):
    assert set(d._repr_mimebundle_()) == {"text/plain", "text/markdown", "text/latex"}
    assert not hasattr(d, "_repr_html_")


def test_a_page_needs_nothing_else(d):
    page = d.html()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<script src" not in page and "http://" not in page.replace("http://www.w3.org", "")


def test_deriving_loads_neither_numpy_nor_rich():
    code = (
        "import sys, gradstep as gs\n"
        f"d = gs.derive(gs.parse({NEURON!r}, **{SHAPES!r}), 'w')\n"
        "d.text(); d.latex(); d.markdown(); d.to_json(); str(d.of)\n"
        "print(*{'numpy', 'rich', 'click', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


NAMED = "z = X @ w + b; mean((y - relu(z))**2)"
NEURON_SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ("auto", ["z", "a", "e", "C"]),
        ("none", ["C"]),
        (["e"], ["e", "C"]),
        ("z, a", ["z", "a", "C"]),
        ({"q": "X @ w + b", "act": "relu(X @ w + b)"}, ["q", "act", "C"]),
    ],
    ids=str,
)
def test_the_reader_chooses_which_parts_go_by_names(names, kept):
    d = gs.derive(gs.parse(NAMED, **NEURON_SHAPES), ["w", "b"], names=names)
    assert [part.name for part in d.parts.values()] == kept
    assert d.certificate.verdict is True
    text = d.text()
    assert ("∂C/∂e" in text) == ("e" in kept)
    assert ("X w + b" in text) and ("1[X w + b > 0]" in text) == (not {"z", "q"} & {*kept})


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["k"], "no part of this is called k"),
        ({"q": "y - y"}, "no part of this formula"),
        ({"q": "X"}, "no part of this formula"),
        ({"w": "X @ w + b"}, "already"),
        ({"N": "X @ w + b"}, "already"),
        ({"q": "X @ b"}, "@ multiplies"),
        ({"sum": "X @ w + b"}, "sum"),
    ],
    ids=str,
)
def test_a_name_that_cannot_be_is_explained(names, words):
    with pytest.raises(gs.MathError, match=words):
        gs.derive(gs.parse(NAMED, **NEURON_SHAPES), ["w", "b"], names=names)


@pytest.mark.parametrize("names", [3, {"z": 3}])
def test_names_of_a_jacobian_that_are_none_are_an_error(names):
    with pytest.raises(gs.MathError, match="names"):
        gs.jacobian(gs.parse("sin(x @ u)", x="n", u="n"), "x", names=names)


def test_names_of_a_jacobian_may_be_texts():
    d = gs.jacobian(gs.parse("sin(x @ u)", x="n", u="n"), "x", names={"q": "x @ u"})
    assert "q = x·u" in d.text()


@pytest.mark.parametrize("names", [3, {"z": 3}])
def test_names_of_a_gradient_that_are_none_are_an_error(names):
    with pytest.raises(gs.MathError, match="names"):
        gs.derive(gs.parse("sin(x @ u)", x="n", u="n"), "x", names=names)
