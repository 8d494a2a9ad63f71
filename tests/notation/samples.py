"""Formulas to render: each with its one line of text and its LaTeX; and a strategy that draws any box."""

from hypothesis import strategies as st

from gradstep.expression.boxes import (
    Accent,
    Big,
    Cases,
    Fence,
    Frac,
    Of,
    Root,
    Row,
    Sub,
    Sup,
    Sym,
    number,
    row,
    word,
)
from gradstep.notation.symbols import SIGNS


def scalar(text):
    return Sym(text, "scalar")


def vector(text):
    return Sym(text, "vector")


def matrix(text):
    return Sym(text, "matrix")


def index(text):
    return Sym(text, "index")


def function(text):
    return Sym(text, "function")


def brackets(*items):
    return Fence("(", row(*items), ")")


def transposed(box):
    return Sup(box, Sym("ᵀ", "operator"))


def slope(top, bottom, sign="∂"):
    return Frac(row(sign, top), row(sign, bottom))


def total(*items):
    return Big("Σ", index("i"), None, row(*items))


C, b, l, N = scalar("C"), scalar("b"), index("l"), Sym("N", "size")
w, e, z = vector("w"), vector("e"), vector("z")
X, P, Q, K, S, W = map(matrix, "XPQKSW")
ONE = vector("𝟏")
xi, yi, zi, ai, ei = (
    Sub(base, index("i")) for base in (vector("x"), scalar("y"), scalar("z"), scalar("a"), scalar("e"))
)
root_d = Root(scalar("d"))
two_over_n = row("−", Frac(number(2), N))
mask = row(ONE, Fence("[", row(z, ">", number(0)), "]"))
affine = row(w, "·", xi, "+", b)

# name: (box, text, LaTeX)
SAMPLES = {
    "the loss": (
        row(
            row(function("C"), brackets(w, ",", b)),
            "=",
            Frac(number(1), N),
            total(Sup(brackets(yi, "−", function("max"), brackets(number(0), ",", affine)), number(2))),
        ),
        "C(w, b) = 1/N Σᵢ (yᵢ − max(0, w·xᵢ + b))²",
        r"C(\mathbf{w}, b) = \frac{1}{N} \sum_{i} (y_{i} - \max(0, \mathbf{w} \cdot \mathbf{x}_{i} + b))^{2}",
    ),
    "the gradient": (
        row(slope(C, w), "=", two_over_n, transposed(X), brackets(e, "⊙", mask)),
        "∂C/∂w = −2/N Xᵀ (e ⊙ 1[z > 0])",
        r"\frac{\partial C}{\partial \mathbf{w}} = -\frac{2}{N}\,\mathbf{X}^{\top}"
        r" (\mathbf{e} \odot \mathbf{1}[\mathbf{z} > 0])",
    ),
    "the gradient for b": (
        row(slope(C, b), "=", two_over_n, transposed(ONE), brackets(e, "⊙", mask)),
        "∂C/∂b = −2/N 1ᵀ (e ⊙ 1[z > 0])",
        r"\frac{\partial C}{\partial b} = -\frac{2}{N}\,\mathbf{1}^{\top}"
        r" (\mathbf{e} \odot \mathbf{1}[\mathbf{z} > 0])",
    ),
    "two slopes side by side": (
        row(total(ei, slope(ai, zi, "d"), slope(zi, w))),
        "Σᵢ eᵢ (daᵢ/dzᵢ) ∂zᵢ/∂w",
        r"\sum_{i} e_{i}\,\frac{\mathrm{d}a_{i}}{\mathrm{d}z_{i}}"
        r"\,\frac{\partial z_{i}}{\partial \mathbf{w}}",
    ),
    "two pieces": (
        Cases(((number(0), row(zi, "≤", number(0))), (number(1), row(zi, ">", number(0))))),
        "{0 if zᵢ ≤ 0; 1 if zᵢ > 0}",
        r"\begin{cases} 0 & \text{if } z_{i} \le 0 \\ 1 & \text{if } z_{i} > 0 \end{cases}",
    ),
    "otherwise": (
        total(Cases(((number(0), row(affine, "≤", number(0))), (row(ei, xi), word("otherwise"))))),
        "Σᵢ {0 if w·xᵢ + b ≤ 0; eᵢ xᵢ otherwise}",
        r"\sum_{i} \begin{cases} 0 & \text{if } \mathbf{w} \cdot \mathbf{x}_{i} + b \le 0 \\"
        r" e_{i} \mathbf{x}_{i} & \text{otherwise} \end{cases}",
    ),
    "softmax": (
        row(P, "⊙", brackets(slope(C, P), "−", function("rowsum"), brackets(P), transposed(ONE))),
        "P ⊙ (∂C/∂P − rowsum(P) 1ᵀ)",
        r"\mathbf{P} \odot \left( \frac{\partial C}{\partial \mathbf{P}}"
        r" - \operatorname{rowsum}(\mathbf{P}) \mathbf{1}^{\top} \right)",
    ),
    "attention": (
        row(Frac(row(Q, transposed(K)), root_d), "+", Frac(number(1), root_d), slope(C, S), K),
        "Q Kᵀ/√d + 1/√d ∂C/∂S K",
        r"\frac{\mathbf{Q} \mathbf{K}^{\top}}{\sqrt{d}} + \frac{1}{\sqrt{d}}\,"
        r"\frac{\partial C}{\partial \mathbf{S}}\,\mathbf{K}",
    ),
    "a layer": (
        row(Sub(slope(C, Sub(W, l)), row(index("j"), index("k"))), "=", Sub(W, row(l, "−", number(1)))),
        "(∂C/∂Wₗ)ⱼₖ = Wₗ₋₁",
        r"\left( \frac{\partial C}{\partial \mathbf{W}_{l}} \right)_{j k} = \mathbf{W}_{l - 1}",
    ),
    "a differential": (
        row("d", C, "=", Fence("⟨", row(two_over_n, P, ",", "d", function("log"), P), "⟩")),
        "dC = ⟨−2/N P, d log P⟩",
        r"\mathrm{d}C = \left\langle -\frac{2}{N}\,\mathbf{P}, \mathrm{d} \log \mathbf{P} \right\rangle",
    ),
    "a hessian": (
        Frac(row(Sup(Sym("∂", "operator"), number(2)), C), row("∂", w, "∂", transposed(w))),
        "∂²C/(∂w ∂wᵀ)",
        r"\frac{\partial^{2}C}{\partial \mathbf{w}\,\partial \mathbf{w}^{\top}}",
    ),
    "an update": (
        row(w, "←", w, "−", scalar("eta"), slope(C, w)),
        "w ← w − η ∂C/∂w",
        r"\mathbf{w} \leftarrow \mathbf{w} - \eta\,\frac{\partial C}{\partial \mathbf{w}}",
    ),
    "names": (
        row(matrix("W_out"), "+", scalar("sigma2"), scalar("price"), scalar("yhat"), "+", vector("beta1")),
        "W_out + σ² price ŷ + β₁",
        r"\mathbf{W}_{\text{out}} + \sigma^{2}\,\mathit{price}\,\hat{y} + \boldsymbol{\beta}_{1}",
    ),
    "scripts on scripts": (
        row(Sup(scalar("sigma2"), number(2)), "+", Sub(matrix("W1"), index("i")), "+", Sup(ei, number(2))),
        "(σ²)² + (W₁)ᵢ + eᵢ²",
        r"(\sigma^{2})^{2} + (\mathbf{W}_{1})_{i} + e_{i}^{2}",
    ),
    "a bar": (
        row(transposed(Accent(Sub(matrix("Z"), number(2)), "bar")), "+", Accent(z, "bar")),
        "Z̄₂ᵀ + z̄",
        r"\bar{\mathbf{Z}}_{2}^{\top} + \bar{\mathbf{z}}",
    ),
    "powers": (
        row(Sup(P, row("−", number(1))), "+", Sup(scalar("e"), row("−", C)), "+", Root(Sup(b, number(2)))),
        "P⁻¹ + e^(−C) + √(b²)",
        r"\mathbf{P}^{-1} + e^{-C} + \sqrt{b^{2}}",
    ),
    "numbers": (
        row(number("-1/2"), w, "+", number("1e-05"), ei, "+", number("0.5"), Fence("‖", w, "‖")),
        "−1/2 w + 10⁻⁵ eᵢ + 0.5‖w‖",
        r"-\frac{1}{2}\,\mathbf{w} + 10^{-5} e_{i} + 0.5\lVert \mathbf{w} \rVert",
    ),
    "limits": (
        Big("Σ", row(index("i"), "=", number(1)), N, ei),
        "Σᵢ₌₁^N eᵢ",
        r"\sum_{i = 1}^{N} e_{i}",
    ),
    "a sign first in a marked part": (
        row(b, Of("term", row("−", C)), "−", brackets(Of("factor", row("−", N)))),
        "b − C − (−N)",
        "b - C - (-N)",
    ),
}  # fmt: skip

# ------------------------------------------------------------------------------------- any box

KINDS = ["scalar", "vector", "matrix", "size", "index", "number", "function", "operator", "text"]
TEXTS = st.one_of(
    st.sampled_from(
        [*SIGNS, "x", "X", "price", "W_out", "sigma2", "yhat", "lam", "1", "-2", "3/4", "log", "softmax"]
    ),
    st.text("abXY_ 01ᵀλ&%$#{}\\^~<>\"'[*|?é∇𝟏\n", max_size=5),
)
SYMBOLS = st.builds(Sym, TEXTS, st.sampled_from(KINDS))
LEFT, RIGHT = st.sampled_from(["(", "[", "{", "⟨", "‖", "|", "⌊", ""]), st.sampled_from([*")]}⟩‖|⌋", ""])


def _larger(inner):
    limit = inner | st.none()
    return st.one_of(
        st.builds(Row, st.lists(inner, max_size=4).map(tuple)),
        st.builds(Sup, inner, inner),
        st.builds(Sub, inner, inner),
        st.builds(Frac, inner, inner),
        st.builds(Big, st.sampled_from(["Σ", "Π", "max", "argmax"]), limit, limit, inner),
        st.builds(Accent, inner, st.sampled_from(["bar", "hat"])),
        st.builds(Fence, LEFT, inner, RIGHT),
        st.builds(Root, inner),
        st.builds(Cases, st.lists(st.tuples(inner, inner), max_size=3).map(tuple)),
        st.builds(Of, st.integers(), inner),
    )


BOXES = st.recursive(SYMBOLS, _larger, max_leaves=12)


def nested(depth):
    """A box that is deeper than Python's stack."""
    box = b
    for _ in range(depth):
        box = Fence("(", Row((box, Sym("+", "operator"), Of(None, b))), ")")
    return box
