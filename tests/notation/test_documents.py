"""Do documents compile, read and come back?"""

import json
import re

import pytest
from calculus.losses import LOSSES, perceptron
from notation.judged import complaints, formulas

from gradstep.calculus.certificate import certify
from gradstep.notation.documents import latex, latex_document, markdown, to_json
from gradstep.notation.notebooks import mimebundle
from gradstep.notation.prose import prose
from gradstep.notation.views import STYLES, VIEWS, present
from gradstep.operations import graph

NAMES = [
    "neuron",
    "logistic",
    "softmax, one hot",
    "2 layers",
    "ridge",
    "quantile",
    "recurrent",
    "quadratic",
    "length",
]
LOSSES_HERE = {**{name: LOSSES[name] for name in NAMES}, "12 layers": perceptron(12)}


@pytest.fixture(scope="module", params=LOSSES_HERE)
def presentations(request):
    """All tellings of one loss after the other: in every view, in one style, and the next in the other."""
    d, found = LOSSES_HERE[request.param].derived(), {}
    style = STYLES[list(LOSSES_HERE).index(request.param) % 2 if request.param != "12 layers" else 0]
    for view in VIEWS:
        told = present(d, view=view, style=style, layers="folded", opened=view == "matrix")
        found[request.param, view, style] = d, told
    return found


@pytest.fixture(scope="module")
def neuron():
    return present(LOSSES["neuron"].derived(), view="matrix", style="partials", layers="folded", opened=True)


@pytest.fixture(scope="module")
def articles(presentations):
    return {key: latex(told) for key, (_, told) in presentations.items()}


def test_latex_is_balanced_and_plain(articles):
    for key, source in articles.items():
        assert source.isascii(), key
        depth = 0
        for sign in re.findall(r"(?<!\\)[{}]", source):
            depth += 1 if sign == "{" else -1
            assert depth >= 0, key
        assert depth == 0, key
        begun, ended = (sorted(re.findall(rf"\\{word}{{(.*?)}}", source)) for word in ("begin", "end"))
        assert begun == ended, key
        assert source.count(r"\left") == source.count(r"\right") + source.count(r"\leftarrow"), key
        assert source.count("$") % 2 == 0, key


def test_katex_reads_the_documents(katex, articles):
    assert complaints(katex, [source for text in articles.values() for source in formulas(text)]) == []


def test_the_document_needs_amsmath_and_amssymb_alone(neuron):
    assert re.findall(r"\\usepackage\{(.*?)\}", latex_document(neuron)) == ["amsmath", "amssymb"]


def test_a_document_has_what_its_lines_open_to(presentations, articles):
    for (name, view, style), article in articles.items():
        told = presentations[name, view, style][1]
        opened = view == "matrix"
        assert ("step by step" in article) == ("<summary>Step by step" in markdown(told)) == opened, name


def test_markdown_keeps_its_tables_and_formulas_whole(presentations):
    for key, (_, told) in presentations.items():
        source = markdown(told)
        rows = [row for row in source.splitlines() if row.startswith("|")]
        assert rows and all(row.count("|") == 4 for row in rows), key
        assert all(row.count("$") % 2 == 0 for row in source.splitlines()), key
        assert not re.search(r"\\[,{}\\ ]", source), f"{key}: Markdown would eat this"
        for section in told.sections:
            assert f"### {section.title}" in source


def test_json_comes_back(presentations):
    for key, (d, told) in presentations.items():
        data = to_json(d, told)
        assert json.loads(json.dumps(data)) == data, key
        formulas = graph.from_json(data["formulas"])
        assert formulas["loss"] is d.of
        for name, answer in d.answers.items():
            assert formulas[f"gradient of {name}"] is answer
        assert data["version"] == 1 and [step["rule"] for step in data["steps"]] == [s.rule for s in d.steps]
        assert all(step["rule"] for step in data["steps"])


def test_json_says_how_it_was_checked():
    d = LOSSES["neuron"].derived()
    assert to_json(d, present(d))["certificate"] is None
    d.certificate = certify(d, seed=7)
    certificate = to_json(d, present(d))["certificate"]
    assert certificate["verdict"] is True and certificate["seed"] == "7"
    assert int(certificate["prime"]) > 2**60


def test_a_deep_network_makes_json_of_linear_size():
    short, long = (
        len(json.dumps(to_json(d, present(d)))) for d in (perceptron(n).derived() for n in (5, 10))
    )
    assert long < 2.3 * short


def test_a_notebook_gets_text_markdown_and_latex(neuron):
    assert set(mimebundle(neuron)) == {"text/plain", "text/markdown", "text/latex"}


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("yᵢ does not depend on w", "$y_{i}$ does not depend on $w$"),
        ("a sum moves as much as its terms together", "a sum moves as much as its terms together"),
        ("where a = b each gets ½", r"where $a = b$ each gets $\tfrac{1}{2}$"),
        ("lines 4–6 put together", "lines 4--6 put together"),
        ("d(e²)/de = 2e", "$d(e^{2})/de = 2e$"),
        ("slope of max(0, z)", r"slope of $\max (0, z)$"),
        ("⟨G, X dW₁⟩ = ⟨Xᵀ G, dW₁⟩", r"$\langle G, X dW_{1}\rangle = \langle X^{\top} G, dW_{1}\rangle$"),
        ("100 % of {braces} & $", r"100 \% of \{braces\} \& \$"),
    ],
)
def test_a_sentence_is_set_with_its_formulas(sentence, source):
    assert prose(sentence) == source


def test_names_in_a_sentence_are_set_as_in_formulas():
    assert prose("xᵢ is row i of X", {"xᵢ": r"\mathbf{x}_{i}", "X": r"\mathbf{X}"}) == (
        r"$\mathbf{x}_{i}$ is row $i$ of $\mathbf{X}$"
    )
