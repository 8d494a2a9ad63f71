"""Are claims read as people write them, and judged rightly? Every answer of the cases, and its neighbours."""

from random import Random

import pytest
from cases import derivations
from wrong_derivations import BANK, UNUSUAL

import gradstep as gs
from gradstep.calculus.edits import edits
from gradstep.calculus.floating import compare_values
from gradstep.expression.errors import MathError
from gradstep.notation.claiming import lines_of
from gradstep.notation.judging import outcome
from gradstep.notation.latex import latex
from gradstep.notation.plain import line
from gradstep.notation.truths import Truths
from gradstep.notation.views import VIEWS, present
from gradstep.notation.writing import Writer
from gradstep.operations.evaluation import variables

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES)

# Ways to write one gradient: ∂C/∂w of the neuron.
RIGHT = [
    "-2/N * X.T @ (e * (z > 0))",
    "2/N * X.T @ ((relu(X @ w + b) - y) * (X @ w + b > 0))",
    "np.mean(X.T, axis=1)*0 + np.dot(X.T, -2/N*(y - a)*(z > 0))",
    "−2/N Xᵀ (e ⊙ 1[z > 0])",
    "-2/N X^T (e * 1[z > 0])",
    "−2/N Σᵢ eᵢ 1[zᵢ > 0] xᵢ",
    "-2/N sum_i e_i 1[z_i > 0] x_i",
    r"-\frac{2}{N}\,\mathbf{X}^{\top}(\mathbf{e} \odot \mathbb{1}[\mathbf{z} > 0])",
    r"-\frac{2}{N}\sum_{i=1}^{N} e_i\,\mathbb{1}_{\{z_i > 0\}}\,\mathbf{x}_i",
    r"\frac{2}{N}\sum_{i=1}^N \begin{cases} \vec{0}^T & \mathbf{w}\cdot\mathbf{x}_i + b \le 0 \\"
    r" (\mathbf{w}\cdot\mathbf{x}_i+b-y_i)\,\mathbf{x}_i^T & \text{otherwise} \end{cases}",
    r"$$\frac{\partial C}{\partial w_j} = -\frac2N \sum_i e_i \mathbf{1}[z_i > 0] X_{ij}$$",
    r"\nabla_{\mathbf w} L = -\tfrac{2}{N} X^\top \operatorname{diag}(\mathbb{1}[z > 0]) e",
    "∂C/∂w = Xᵀ ∂C/∂z",
    "dC/dw = -2/N X^T (e * 1[z > 0])",
    "dz = -2/N*(y - a)*(z > 0); dw = X.T @ dz",
    "grad_z = -2*e*(z > 0)/N\ngrad_w = grad_z @ X",
    "r = a - y  # another sign than e\ndw = 2/N * X.T @ (r*(z > 0))",
    r"\begin{align*} \frac{\partial C}{\partial \mathbf{z}} &= -\frac{2}{N}\mathbf{e}\odot 1[\mathbf{z}>0] \\"
    r" \frac{\partial C}{\partial \mathbf{w}} &= \mathbf{X}^\top \frac{\partial C}{\partial \mathbf{z}}"
    r" \end{align*}",
    "dC = 1/N * d(sum(e**2))\n = 2/N ⟨e, de⟩ = −2/N ⟨e, da⟩\n"
    " = −2/N ⟨e ⊙ 1[z > 0], dz⟩ = −2/N ⟨Xᵀ (e ⊙ 1[z > 0]), dw⟩",
    "dC = sum(2/N*e*de); = -2/N*trace(outer(e*(z > 0), X @ dw))",
]


@pytest.mark.parametrize("claim", RIGHT)
def test_a_gradient_is_recognised_however_it_is_written(claim):
    assert gs.check(NEURON, "w", claim).verdict is True


@pytest.mark.parametrize("claim", [claim for claim in RIGHT if not claim.startswith("∂C")])
def test_and_is_wrong_for_another_loss(claim):
    other = gs.parse("mean((y - 2*relu(X @ w + b))**2)", **SHAPES)
    try:
        assert gs.check(other, "w", claim).verdict is False
    except MathError as error:  # that loss has other names
        assert "is not known" in error.what


def verdict(d, claim, seed=1):
    found = [outcome(line, Random(seed))[0].verdict for line in lines_of(claim, Truths(d, {}))]
    return False if False in found else None if None in found else True


def test_the_answers_of_the_cases_are_right_in_every_notation_and_their_neighbours_wrong(cases):
    count = 0
    for k, (case, d) in enumerate(derivations(c for c in cases if c["kind"] in ("gradient", "scalar"))):
        (answer,) = d.answers.values()
        box = Writer(d.names)(answer)
        text = (str(answer), line(box), latex(box))[k % 3]
        assert verdict(d, text) is True, (case["id"], text)
        for edit in edits(answer):
            if compare_values(answer, edit.expr, Random(1))[0] is False:
                count += 1
                box = Writer(d.names)(edit.expr)
                text = (str(edit.expr), line(box), latex(box))[count % 3]
                assert verdict(d, text) is False, (case["id"], text)
                break
    assert count > 150


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("text", "shapes", "wrt"),
    [
        (NEURON, SHAPES, ["w", "b"]),
        (
            "sum((tanh(X @ W1 + b1) @ W2 - Y)**2)/N",
            {"X": "N d", "W1": "d h", "b1": "h", "W2": "h k", "Y": "N k"},
            ["W1", "b1"],
        ),
        ("sin(x + x**2)", {"x": ""}, ["x"]),
        ("-sum(Y*log(softmax(X @ W, axis=1)))/N", {"X": "N d", "W": "d k", "Y": "N k"}, ["W"]),
    ],
)
def test_the_lines_that_gradstep_prints_are_right(text, shapes, wrt, view):
    d = gs.derive(text if isinstance(text, gs.Expr) else gs.parse(text, **shapes), wrt)
    count = 0
    for section in present(d, view=view).sections:
        left = None
        for said in section.lines:
            left = said.left or left
            if left is None or not line(left).startswith("∂"):
                continue
            for form in said.forms:
                count += 1
                for written in (line, latex):
                    claim = f"{written(left)} = {written(form)}"
                    assert verdict(d, claim) is True, claim
    assert count >= 2


@pytest.mark.parametrize(
    ("f", "shapes", "wrt", "claim", "hessian", "found"),
    [
        (NEURON, SHAPES, "w", "2/N X^T diag(1[z > 0]) X", True, (True, "")),
        (NEURON, SHAPES, "w", "2 X^T diag(1[z > 0]) X", True, (False, "mean")),
        (NEURON, SHAPES, "w", "2/N X^T X", True, (False, "mask")),
        ("x @ A @ x", {"x": "n", "A": "n n"}, "x", "2 A", True, (False, "symmetric")),
        (
            "W @ tanh(V @ x)",
            {"W": "k h", "V": "h d", "x": "d"},
            "x",
            "W diag(1 − tanh(V x)²) V",
            False,
            (True, ""),
        ),
        (
            "W @ tanh(V @ x)",
            {"W": "k h", "V": "h d", "x": "d"},
            "x",
            "V.T @ diag(1 - tanh(V @ x)**2) @ W.T",
            False,
            (True, "layout"),
        ),
        ("W @ tanh(V @ x)", {"W": "k h", "V": "h d", "x": "d"}, "x", "W @ V", False, (False, "slope")),
        (
            "W @ tanh(V @ x)",
            {"W": "k h", "V": "h d", "x": "d"},
            "x",
            "W diag(1 − tanh(V x)) V",
            False,
            (False, "power"),
        ),
        ("softmax(z)", {"z": "n"}, "z", r"f_i (\delta_{ij} - f_j)", False, (True, "")),
        ("softmax(z)", {"z": "n"}, "z", "diag(f)", False, (False, "missing term")),
        ("sum(norm(X, axis=0))", {"X": "n m"}, "X", "X ⊘ ‖X‖_(axis 0)", False, (True, "")),
        ("X.T @ A", {"X": "m n", "A": "m k"}, "X", "[δᵢₗ Aₖⱼ]ᵢⱼₖₗ", False, (True, "")),
        ("logsumexp(z)", {"z": "n"}, "z", r"\frac{e^{z_i}}{\sum_j e^{z_j}}", False, (True, "")),
    ],
)
def test_arrays_are_judged_too(f, shapes, wrt, claim, hessian, found):
    f = f if isinstance(f, gs.Expr) else gs.parse(f, **shapes)
    verdict = gs.check(f, wrt, claim, hessian=hessian, seed=1)
    assert (verdict.verdict, verdict.kind) == found, str(verdict)


@pytest.mark.parametrize("entry", BANK, ids=lambda entry: entry[0])
def test_a_wrong_derivation_is_wrong_and_its_slip_is_named(entry):
    _, loss, shapes, wrt, claim, kinds = entry
    found = gs.check(gs.parse(loss, **shapes), wrt, claim, seed=1)
    assert found.verdict is False
    assert found.example is not None
    assert not kinds or found.kind in kinds, found.why


@pytest.mark.parametrize(("loss", "shapes", "wrt", "claim"), UNUSUAL)
def test_a_right_derivation_in_an_unusual_form_is_right(loss, shapes, wrt, claim):
    assert gs.check(gs.parse(loss, **shapes), wrt, claim).verdict is True


LEAST_SQUARES = gs.parse("mean((X @ w - y)**2)", X="N d", w="d", y="N")
PAIR = gs.parse("x[0]**2*x[1]", x="2")


@pytest.mark.parametrize(
    ("loss", "claim", "right"),
    [
        (LEAST_SQUARES, "2/X.shape[0] * X.T.dot(X.dot(w) - y)", True),
        (LEAST_SQUARES, "2/X.shape[1] * X.T.dot(X.dot(w) - y)", False),
        (LEAST_SQUARES, "2*((X.dot(w) - y)[:, None]*X).mean(axis=0)", True),
        (LEAST_SQUARES, "2*((X.dot(w) - y)[:, None]*X).sum(0, keepdims=True).ravel()/len(y)", True),
        (LEAST_SQUARES, "2*((X.dot(w) - y)[:, None]*X).sum(0)", False),
        (LEAST_SQUARES, r"\nabla f = \frac{2}{N} X^T (Xw - y)", True),
        (LEAST_SQUARES, "∇f(w) = 1/N Xᵀ(Xw − y)", False),
        (LEAST_SQUARES, "L'(w) = 2/N Xᵀ(Xw − y)", True),
        (PAIR, "[2*x[0]*x[1], x[0]**2]", True),
        (PAIR, "np.array([2*x[0]*x[1], x[1]**2])", False),
        (PAIR, r"\begin{pmatrix} 2 x_1 x_2 \\ x_1^2 \end{pmatrix}", True),
        (PAIR, r"\nabla f = \begin{bmatrix} 2 x_1 x_2 & x_1 \end{bmatrix}^\top", False),
        (gs.parse("sum(relu(z))", z="n"), "(z > 0).astype(float)", True),
        (gs.parse("sum(relu(z))", z="n"), "np.heaviside(z, 0)", True),
    ],
)
def test_what_people_paste_is_read(loss, claim, right):
    (wrt,) = {"w", "x", "z"} & variables(loss).keys()
    assert gs.check(loss, wrt, claim).verdict is right


def test_at_most_one_wrong_derivation_in_ten_has_no_known_slip():
    assert len(BANK) >= 60
    assert sum(not kinds for *_, kinds in BANK) <= len(BANK) / 10


@pytest.mark.parametrize(
    ("claim", "kind"),
    [("X.T*0 + B @ A", "layout"), (r"B A", "layout"), ("(B @ A).T", ""), ("A.T @ B.T", "")],
)
def test_the_other_layout_is_right_and_said_to_be_so(claim, kind):
    loss = gs.parse("trace(A @ X @ B)", A="k m", X="m n", B="n k")
    found = gs.check(loss, "X", claim)
    assert (found.verdict, found.kind) == (True, kind)


@pytest.mark.parametrize(
    ("claim", "layout", "found"),
    [
        ("B @ A", "numerator", (True, "")),
        ("B @ A", "denominator", (False, "layout")),
        ("A.T @ B.T", "denominator", (True, "")),
        ("A.T @ B.T", "numerator", (False, "layout")),
        ("2 * B @ A", "numerator", (False, "factor")),
    ],
)
@pytest.mark.parametrize("sizes", [("k m", "m n", "n k"), ("n n", "n n", "n n")])
def test_a_layout_that_is_asked_for_has_to_be_that_one(claim, layout, found, sizes):
    loss = gs.parse("trace(A @ X @ B)", **dict(zip("AXB", sizes, strict=True)))
    verdict = gs.check(loss, "X", claim, layout=layout)
    assert (verdict.verdict, verdict.kind) == found, str(verdict)


def test_the_layout_of_a_jacobian_is_the_numerator():
    f = gs.parse("A @ x", A="n n", x="n")
    for claim, layout, right in [
        ("A", "numerator", True),
        ("A.T", "denominator", True),
        ("A", "denominator", False),
    ]:
        assert gs.check(f, "x", claim, layout=layout).verdict is right
    with pytest.raises(MathError, match="no layout"):
        gs.check(f, "x", "A", layout="Jacobian")


def test_a_claim_that_differs_at_a_kink_only_is_right_and_says_so():
    found = gs.check(NEURON, "w", "-2/N * X.T @ (e * (z >= 0))")
    assert (found.verdict, found.kind) == (True, "kink")
    assert "kinks" in str(found)


def test_a_name_that_is_no_derivative_does_no_harm():
    found = gs.check(NEURON, ["w", "b"], "dz = -2*e*(z > 0); dw = X.T @ dz / N; db = mean(dz)")
    assert found.verdict is True
    assert found.notes == ("the name dz does not stand for ∂C/∂z, but what is made of it is right",)


def test_a_scaled_name_is_not_blamed_for_what_comes_later():
    for claim, first in [
        ("dz = -2*e*(z > 0); dw = -X.T @ dz/N", 2),
        ("dz = -2*e*(z > 0); dw = X.T @ (dz*a)/N", 2),
        ("dz = -2*e*(z > 0); dw = X.T @ dz", 1),
        ("dz = -2*e; dw = X.T @ dz/N", 1),
    ]:
        assert gs.check(NEURON, "w", claim).first == first, claim


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_number_is_not_taken_for_a_size_that_happens_to_be_equal(size):
    claim = f"-2/{size} * X.T @ (e * (z > 0))"
    assert gs.check(NEURON, "w", claim).verdict is False
    fixed = gs.parse("mean((y - relu(X @ w + b))**2)", X=(size, "d"), w="d", b="", y=size)
    assert gs.check(fixed, "w", claim).verdict is True


def test_a_formula_for_each_parameter():
    right = {"w": "-2/N * X.T @ (e * (z > 0))", "b": gs.derive(NEURON, "b").answers["b"]}
    assert gs.check(NEURON, ["w", "b"], right).verdict is True
    found = gs.check(NEURON, ["w", "b"], right | {"w": "2/N * X.T @ e"})
    assert (found.verdict, found.first) == (False, 1)


SIGNS = [
    *"()[]{}=+-*/^_|.,;&<>'\\ \n0129aeXwz∂ΣᵀᵢΣ⟨⟩‖√⊙−δ",
    r"\frac",
    r"\sum_",
    r"\left",
    "1[",
    "dC",
    "\x00",
    "😀",
]


def test_a_garbled_claim_is_wrong_or_an_error_and_never_more():
    rng = Random(1)
    d = gs.derive(NEURON, "w", certify=False)
    for _ in range(200):
        letters = list(rng.choice(RIGHT))
        for _ in range(rng.choice((1, 1, 2, 3))):
            letters[rng.randrange(len(letters))] = rng.choice(SIGNS)
        try:
            lines_of("".join(letters), Truths(d, {}))
        except MathError as error:
            assert str(error)


def test_a_long_derivation_is_shown_around_the_place_that_matters():
    layers = 9
    parts = [
        f"Z{k} = {f'A{k - 1}' if k > 1 else 'X'} @ W{k}; A{k} = tanh(Z{k})" for k in range(1, layers + 1)
    ]
    shapes = {f"W{k}": "h h" for k in range(1, layers + 1)}
    loss = gs.parse("; ".join([*parts, f"sum(A{layers})"]), X="N h", **shapes)
    found = gs.check(loss, "W1", "2*X.T @ Z1")
    assert found.verdict is False
    assert len(str(found).splitlines()) < 60


def test_the_first_wrong_line_is_found_and_later_ones_are_judged_for_themselves():
    claim = "∂C/∂e = 2/N e\n∂C/∂a = 2/N e\n∂C/∂z = ∂C/∂a ⊙ 1[z > 0]\n∂C/∂w = Xᵀ ∂C/∂z"
    found = gs.check(NEURON, "w", claim)
    assert [one.verdict for one in found.lines] == [True, False, True, True]
    assert (found.verdict, found.first, found.kind) == (False, 2, "sign")
    assert "Line 2 is wrong" in str(found)


HINGE = gs.parse("mean(relu(1 - y*(X @ w)))", X="N d", w="d", y="N")
HUBER = gs.parse("sum(where(abs(e) <= 1, e**2/2, abs(e) - 1/2))", e="n")
THRESHOLDS = [
    *(
        (gs.parse("relu(z)", z=""), "z", f"z > {t}", gs.derive)
        for t in ("1e-4", "1e-9", "1", "1000", "-0.001")
    ),
    *((NEURON, "w", f"-2/N * X.T @ (e*(z > {t}))", gs.derive) for t in ("1e-9", "1000")),
    (NEURON, "w", "2/N * X.T @ diag(1*(a > 1e-4)) @ X", gs.hessian),
    (HINGE, "w", "-X.T @ (y*(y*(X @ w) < 0.999))/N", gs.derive),
    (HINGE, "w", "-X.T @ (y*(X @ w*y - 1 < 1e-9))/N", gs.derive),
    (HUBER, "e", "where(abs(e) <= 1.0001, e, sign(e))", gs.derive),
    (HUBER, "e", "clip(e, -1, 1.000000001)", gs.derive),
    (gs.parse("sum(clip(x, -1, 1))", x="n"), "x", "(x > -1)*(x < 1.00001)", gs.derive),
    (gs.parse("sum(max(X, axis=1))", X="n m"), "X", "1*(X >= max(X, axis=1)[:, None] - 1e-5)", gs.derive),
    (gs.parse("sum(abs(x))", x="n"), "x", "clip(1e9*x, -1, 1)", gs.derive),
    (gs.parse("norm(x)", x="n"), "x", "where(norm(x) > 1e-6, x/norm(x), 0)", gs.derive),
]
OTHERWISE_WRITTEN = [
    (NEURON, "w", "-2/N * X.T @ (e*(2*z > 0))", gs.derive),
    (NEURON, "w", "2/N * X.T @ diag(1*(a > 0)) @ X", gs.hessian),
    (HINGE, "w", "-X.T @ (y*(X @ w*y - 1 < 0))/N", gs.derive),
    (HUBER, "e", "clip(e, -1, 1)", gs.derive),
    (
        gs.parse("sum(relu(z)*softplus(z))", z="n"),
        "z",
        "(z > 0)*log(1 + exp(z)) + a*exp(z)/(1 + exp(z))",
        gs.derive,
    ),
    (gs.parse("sum(max(X, axis=1))", X="n m"), "X", "1*(X == max(X, axis=1)[:, None])", gs.derive),
    (gs.parse("sum(abs(x))", x="n"), "x", "x/sqrt(x**2)", gs.derive),
]


@pytest.mark.parametrize(("right", "claims"), [(False, THRESHOLDS), (True, OTHERWISE_WRITTEN)])
def test_every_condition_is_tried_at_its_own_threshold(right, claims):
    rng = Random()
    for loss, wrt, claim, derived in claims:
        seed = rng.getrandbits(32)
        assert verdict(derived(loss, wrt, certify=False), claim, seed) is right, (claim, seed)


def test_the_larger_of_two_and_the_largest_along_an_axis():
    rows = gs.parse("sum(max(X, axis=1))", X="n m")
    for claim in ("np.max(X, 1)", "X.max(1)", "np.amax(X, axis=1)", "numpy.max(X, -1)"):
        assert gs.check(rows, "X", f"1*(X == {claim}[:, None])").verdict is True, claim
    for claim in ("max(0, z)", "max(z, 0)", "np.maximum(z, 0)", "max(X @ w + b, 0)"):
        assert gs.check(NEURON, "w", f"2/N * X.T @ (({claim} - y)*(z > 0))").verdict is True, claim
    for claim, mend in (
        ("max(X, 1)[:, None]", "max(X, axis=1) (along the axis)"),
        ("max(X, 0)", "max(0, X) (entry by entry), or max(X, axis=0) (along the axis)"),
    ):
        with pytest.raises(gs.MathError, match="may be one of its axes") as caught:
            gs.check(rows, "X", f"1*(X == {claim})")
        assert (caught.value.mend or "").endswith(mend)
    with pytest.raises(gs.MathError, match="NumPy's max takes one array and an axis"):
        gs.check(NEURON, "w", "2/N * X.T @ ((np.max(z, 0*z) - y)*(z > 0))")


def test_a_threshold_that_is_wrong_is_shown_where_it_matters():
    found = gs.check(gs.parse("sum(relu(z))", z="n"), "z", "z > 0.0001")
    assert (found.kind, found.why) == ("mask", "1[z > 0] should stand where 1[z > 0.0001] stands.")
    assert found.example is not None
    assert any(0 < z <= 0.0001 for z in found.example.values["z"])


@pytest.mark.parametrize(
    ("claim", "place", "what"),
    [
        ("2/N * X.T @ (q - y)", "q", "q is not known"),
        (r"\frac{2}{N} X^\top \smash(e)", r"\smash", "no command"),
        ("−2/N Xᵀ (e ⊙ y", "", ") should stand here"),
        ("−2/N X (e ⊙ y)", "2/N X (e ⊙ y)", "sizes d and N"),
        ("−2/N Σᵢ₌₁ e", "", "nothing here depends"),
        ("dw = ", "", "nothing follows"),
        ("= 2", "", "goes on from one"),
        ("", "", "no claim"),
        (r"\hat{x + y}", r"\hat{x + y}", "over one letter"),
        ("☃", "☃", "no sign"),
        ("dz = 2*e", "", "says nothing of ∂C/∂w"),
        ("(" * 200 + "e" + ")" * 200, "", "nest"),
        ("−" + "(" * 200 + "e" + ")" * 200, "", "nest"),
        (r"\frac{" * 150 + "e" + "}{2}" * 150, "", "nest"),
        ("e" * 30_000, "", "characters"),
        ("∂C/∂q = 2", "q", "q is not known"),
    ],
)
def test_what_cannot_be_read_is_an_error_at_its_place(claim, place, what):
    with pytest.raises(MathError) as caught:
        gs.check(NEURON, "w", claim)
    error = caught.value
    assert what in error.what
    if place:
        assert error.source is not None and error.span is not None
        assert error.source[slice(*error.span)] == place
