"""Is a derivation told truly, completely and readably, in every view and style?"""

import inspect
import re
import sys

import pytest
from calculus.losses import LOSSES, Loss, perceptron

from gradstep.calculus.certificate import certify
from gradstep.calculus.derivation import derive
from gradstep.calculus.jacobians import jacobian
from gradstep.expression.errors import MathError
from gradstep.expression.records import replaced
from gradstep.notation import views
from gradstep.notation.checking import check
from gradstep.notation.folding import folded
from gradstep.notation.parsing import names_of, parse
from gradstep.notation.plain import line
from gradstep.notation.presentation import Said
from gradstep.notation.terminal import text
from gradstep.notation.views import STYLES, VIEWS, present

COMBINATIONS = [(view, style) for view in VIEWS for style in STYLES]


def numbered(presentation):
    return [said for section in presentation.sections for said in section.lines if said.number is not None]


def formula(said):
    left = f"{line(said.left)} " if said.left is not None else ""
    return left + "".join(f"= {line(form)} " for form in said.forms).strip()


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_printed_is_what_was_derived(name):
    """Each loss in every view, in one style; the next in the other."""
    d, turn = LOSSES[name].derived(), list(LOSSES).index(name)
    for view, style in COMBINATIONS[turn % 2 :: 2]:
        telling = views._Telling(d, view, style, None, "parameter", [])
        told = telling.all().each(Said.opened)
        assert set(check(d, telling.claims, seed=1)) <= {"exact"}, (view, style)
        lines = numbered(told)
        assert [said.number for said in lines] == [*range(1, len(lines) + 1)]
        for said in lines:
            assert said.rule, (view, style, formula(said))
            named = re.findall(r"lines? (\d+)(?:(?:–| and )(\d+))?", " ".join([said.rule, *said.because]))
            assert all(int(n) < said.number for pair in named for n in pair if n), "it names a later line"


def test_the_neuron_is_told_as_the_article_tells_it():
    told = present(LOSSES["neuron"].derived(), view="sample")
    loss, parts, work, answers, update = told.sections
    assert formula(loss.lines[0]) == "C(w, b) = 1/N Σᵢ (yᵢ − max(0, w·xᵢ + b))²"
    assert [formula(said) for said in parts.lines] == [
        "zᵢ = w·xᵢ + b",
        "aᵢ = max(0, zᵢ)",
        "eᵢ = yᵢ − aᵢ",
        "C = 1/N Σᵢ eᵢ²",
    ]
    assert [said.rule for said in parts.lines] == [
        "affine function",
        "activation (ReLU)",
        "error",
        "mean squared error",
    ]
    assert [formula(said) for said in work.lines] == [
        "∂C/∂w = 1/N Σᵢ ∂(eᵢ²)/∂w",
        "= 2/N Σᵢ eᵢ ∂eᵢ/∂w",
        "= −2/N Σᵢ eᵢ ∂aᵢ/∂w",
        "= −2/N Σᵢ eᵢ (daᵢ/dzᵢ) ∂zᵢ/∂w",
        "daᵢ/dzᵢ = {0 if zᵢ ≤ 0; 1 if zᵢ > 0}",
        "∂zᵢ/∂w = xᵢᵀ",
        "∂C/∂w = −2/N Σᵢ {0ᵀ if w·xᵢ + b ≤ 0; eᵢ xᵢᵀ otherwise}",
        "eᵢ = yᵢ − (w·xᵢ + b) where zᵢ > 0",
        "∂zᵢ/∂b = 1",
        "∂C/∂b = −2/N Σᵢ {0 if w·xᵢ + b ≤ 0; eᵢ otherwise}",
    ]
    rules = [said.rule for said in work.lines]
    assert rules[:4] == ["derivative of a sum", "power rule and chain rule", "difference rule", "chain rule"]
    assert work.lines[2].why == "yᵢ does not depend on w"
    assert work.lines[3].why == "aᵢ depends on w only through zᵢ"
    assert "at z = 0 gradstep takes 0" in work.lines[4].kink
    assert formula(answers.lines[0]) == "∂C/∂w = −2/N Xᵀ (e ⊙ 1[z > 0])"
    assert [line(said.forms[0]) for said in update.lines] == ["w ← w − η ∂C/∂w", "b ← b − η ∂C/∂b"]


def test_the_leaky_neuron_has_two_pieces_too():
    work = present(LOSSES["hinge"].derived(), view="sample").sections[2]
    assert "= −1/N Σᵢ {0ᵀ if uᵢ ≤ 0; yᵢ xᵢᵀ otherwise}" in formula(work.lines[6])
    loss = Loss("mean((y - leaky_relu(X @ w + b))**2)", "X:N,d w:d b: y:N", "w b")
    work = present(loss.derived(), view="sample").sections[2]
    assert "{0.01 if zᵢ ≤ 0; 1 if zᵢ > 0}" in formula(work.lines[4])
    assert "{0.01eᵢ xᵢᵀ if w·xᵢ + b ≤ 0; eᵢ xᵢᵀ otherwise}" in formula(work.lines[6])
    assert formula(work.lines[7]) == "eᵢ = {yᵢ − 0.01(w·xᵢ + b) if zᵢ ≤ 0; yᵢ − (w·xᵢ + b) if zᵢ > 0}"
    assert work.lines[7].rule == "leaky_relu collapses on each branch"


def test_the_pieces_of_a_slope_are_simplified_on_their_own_side():
    loss = Loss("mean((y - elu(X @ w + b))**2)", "X:N,d w:d b: y:N", "w b")
    work = present(loss.derived(), view="sample").sections[2]
    assert "{exp(zᵢ) if zᵢ ≤ 0; 1 if zᵢ > 0}" in formula(work.lines[4])
    assert work.lines[4].why == "two pieces"


def test_an_assumption_is_named_where_it_is_used():
    told = present(LOSSES["softmax, one hot"].derived())
    (said,) = [said for said in numbered(told) if any("your assumption" in words for words in said.because)]
    assert formula(said).endswith("= 1/N (P − Y)")


def test_every_gradient_is_an_answer():
    for name in ("neuron", "softmax", "3 layers", "quadratic", "ridge"):
        d = LOSSES[name].derived()
        for view, style in COMBINATIONS:
            told = present(d, view=view, style=style)
            lefts = {line(said.left) for section in told.sections for said in section.lines if said.left}
            for parameter in d.wrt:
                telling = views._Telling(d, view, style, None, "parameter", [])
                pretty = f"∂C/∂{line(telling.write(d.parameters[parameter]))}"
                assert any(left.replace("∂(", "∂").startswith(pretty) for left in lefts), (name, view, style)


def test_a_matrix_line_opens_to_its_proof_by_indices():
    told = present(LOSSES["neuron"].derived(), opened=True)
    (said,) = [said for said in numbered(told) if formula(said).startswith("∂C/∂w")]
    assert [line(box) for box in said.proof] == ["zᵢ = Σⱼ Xᵢⱼ wⱼ + b", "∂C/∂wⱼ = Σᵢ Xᵢⱼ ∂C/∂zᵢ"]
    steps = [detail for detail in said.details if line(detail.left).startswith("⟨")]
    assert [detail.rule for detail in steps] == ["sum rule", "matrix product rule"]
    shown = [f"{line(detail.left)} = {line(detail.forms[0])}" for detail in said.details]
    assert shown[-2:] == ["pᵢ = Σⱼ Xᵢⱼ wⱼ", "∂pᵢ/∂wⱼ = Xᵢⱼ"]


def test_names_of_the_user_are_used():
    text_ = "score = X @ w + b; out = relu(score); mse = mean((y - out)**2)"
    expr = parse(text_, X="N d", w="d", b="", y="N")
    told = present(derive(expr, ["w"], names=names_of(expr)))
    assert formula(told.sections[1].lines[0]) == "score = X w + b"
    assert "∂ mse/∂ score" in " ".join(map(formula, numbered(told)))


def test_a_row_keeps_its_capital_where_the_small_letter_is_taken():
    expr = parse("mean((y - X @ w)**2) + norm(x)", X="N d", w="d", y="N", x="d")
    told = present(derive(expr, ["w", "x"]), view="sample")
    assert any("w·Xᵢ" in formula(said) for section in told.sections for said in section.lines)


def test_an_index_is_no_name_of_the_user():
    expr = parse("mean((Y - X @ W)**2)", X="i k", W="k j", Y="i j")
    told = present(derive(expr, "W"), view="index")
    assert "Yₗₘ" in formula(told.sections[0].lines[0])


def test_batch_chooses_the_axis_of_examples():
    expr = parse("mean((A @ w - c)**2)", A="n m", w="m", c="n")
    told = present(derive(expr, "w"), view="sample", batch="n")
    assert "aᵢ is row i of A" in told.sections[0].lines[0].rule
    with pytest.raises(MathError, match="no variable has an axis of size q"):
        present(derive(expr, "w"), view="sample", batch="q")


@pytest.mark.parametrize(("view", "style"), COMBINATIONS)
def test_a_step_from_which_nothing_arrives_is_told(view, style):
    """Σ (x − mean x) is 0, so nothing goes on through the mean."""
    d = derive(parse("mean((x - mean(x))**2)", x="n"), "x", certify=False)
    assert any(not step.after for step in d.steps)
    assert numbered(present(d, view=view, style=style))


@pytest.mark.parametrize(
    "text", ["log(exp(v @ u) + sum(exp(K @ u))) - v @ u", "z = K @ u; mean((z - mean(z))**2)"]
)
def test_a_sum_over_the_examples_is_no_matter_of_one(text):
    expr = parse(text, K="m d", u="d", **({"v": "d"} if "v" in text else {}))
    d = derive(expr, "u", names=names_of(expr), certify=False)
    assert any(formula(said).startswith("∂C/∂u") for said in numbered(present(d, view="sample")))


@pytest.mark.parametrize(
    ("words", "message"), [({"view": "matrices"}, "no view 'matrices'"), ({"style": ""}, "no style ''")]
)
def test_unknown_views_and_styles_are_errors(words, message):
    with pytest.raises(MathError, match=message):
        present(LOSSES["neuron"].derived(), **words)


@pytest.mark.parametrize("view", VIEWS)
def test_a_line_that_is_not_what_was_derived_is_never_shown(view, monkeypatch):
    d = LOSSES["2 layers"].derived()
    d.certificate = certify(d, seed=1)
    true_links = views.links

    def wrong_links(derivation):
        return tuple(replaced(link, form=2 * link.form) for link in true_links(derivation))

    monkeypatch.setattr(views, "links", wrong_links)
    with pytest.raises(MathError, match="failed its check"):
        present(d, view=view)


def test_a_proof_is_made_and_checked_where_it_is_opened(monkeypatch):
    d = LOSSES["2 layers"].derived()
    d.certificate = certify(d, seed=1)
    true_proof = views._Telling.proof

    def wrong_proof(self, link):
        boxes = true_proof(self, link)
        self.claims[-1] = replaced(self.claims[-1], shown=2 * self.claims[-1].shown)
        return boxes

    monkeypatch.setattr(views._Telling, "proof", wrong_proof)
    assert not any(said.proof or said.details for said in numbered(present(d)))
    with pytest.raises(MathError, match="failed its check"):
        present(d, opened=True)


# ------------------------------------------------------------------------------------------- deep networks


def test_layers_that_repeat_are_told_once():
    told = folded(present(perceptron(32).derived()))
    lines = [formula(said) for said in told.sections[1].lines]
    assert lines[:3] == ["A₀ = X", "Zₗ = Aₗ₋₁ Wₗ + 1bₗᵀ", "Aₗ = max(0, Zₗ)"]
    work = {formula(said): said for said in numbered(told)}
    recurrence = next(said for words, said in work.items() if words.startswith("∂C/∂Zₗ"))
    assert formula(recurrence) == "∂C/∂Zₗ = ∂C/∂Aₗ ⊙ 1[Zₗ > 0] = ∂C/∂Zₗ₊₁ Wₗ₊₁ᵀ ⊙ 1[Zₗ > 0]"
    assert recurrence.where == "(l = 31 … 1)"
    weights = work["∂C/∂Wₗ = Aₗ₋₁ᵀ ∂C/∂Zₗ"]
    assert weights.where == "(l = 32 … 1)"
    before = next(said for words, said in work.items() if words.startswith("∂C/∂Aₗ"))
    assert recurrence.because == (f"with line {before.number}",)
    assert [said.number for said in numbered(told)] == [*range(1, len(work) + 1)]


def test_few_layers_are_told_one_by_one():
    told = present(perceptron(3).derived())
    assert folded(told) == told


def test_text_does_not_grow_with_repeated_layers():
    short, long = (text(folded(present(perceptron(n).derived()))) for n in (20, 40))
    assert len(long.splitlines()) == len(short.splitlines())


def test_unfolded_text_grows_linearly():
    short, long = (text(present(perceptron(n).derived())) for n in (20, 40))
    assert len(long) < 2.3 * len(short)


def test_very_deep_networks_hit_no_limit_of_recursion():
    """The loss is deeper than the stack may grow here; each layer is three operations."""
    frames = 180
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + frames)
    try:
        d = perceptron(frames // 2).derived()
        d.certificate = certify(d, seed=1)
        told = text(folded(present(d)))
    finally:
        sys.setrecursionlimit(limit)
    assert f"(l = {frames // 2 - 1} … 1)" in told


def test_a_deep_network_is_told_once_by_differentials_too():
    layers = "; ".join(f"A{k} = tanh({f'A{k - 1}' if k > 1 else 'X'} @ W{k})" for k in range(1, 9))
    weights = {f"W{k}": "d d" for k in range(1, 9)}
    loss = parse(f"{layers}; mean((Y - A8)**2)", X="N d", Y="N d", **weights)
    told = folded(present(derive(loss, [*weights], certify=False), style="differential"))
    (work,) = (section for section in told.sections if section.title.startswith("Work"))
    numbers = [said.number for said in work.lines if said.number is not None]
    assert numbers == [*range(1, len(numbers) + 1)] and len(numbers) < 20
    assert any("l = " in said.where for said in work.lines)


def test_an_index_that_runs_past_a_part_of_an_axis_stays_in_its_sum():
    d = jacobian(parse("concatenate([A @ x, B @ x])", A="m n", B="k n", x="n"), "x")
    assert "Σᵢ δᵢⱼ Aᵢₗ + Σ_p δ_(m+p,j) B_pl" in d.text("index")
