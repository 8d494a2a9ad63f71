"""Is good text read exactly, and does bad text end in one helpful error?"""

import ast
import inspect
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import each

import gradstep.notation.calling
import gradstep.notation.declaring
import gradstep.notation.mending
import gradstep.notation.parsing
import gradstep.notation.places
import gradstep.notation.scanning
from gradstep.calculus.derivation import derive
from gradstep.expression.errors import MathError
from gradstep.expression.node import OPERATORS
from gradstep.notation.declaring import shapes_from_arguments
from gradstep.notation.parsing import names_of, parse, parse_named, symbols
from gradstep.notation.text import plain
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import evaluate, variables
from gradstep.operations.leaves import KNOWN_ASSUMPTIONS, number, pi, size

OPERATORS.setdefault("str", plain)

SHAPES = {
    "X": "N d", "w": "d", "b": "", "y": "N", "W": "d k", "V": "k d", "Y": "N k", "u": "k", "c": "N 1",
    "S": "d d",
}  # fmt: skip
V = dict(zip(SHAPES, symbols(**SHAPES), strict=True))
X, w, b, y, W, Y, S = (V[name] for name in "XwbyWYS")
F = FUNCTIONS
relu, mean, sum_ = F["relu"], F["mean"], F["sum"]


def refused(text, **shapes):
    with pytest.raises(MathError) as caught:
        parse(text, **(shapes or SHAPES))
    return caught.value


def pointed(error):
    return error.source[slice(*error.span)]


# ------------------------------------------------------------------------------------------- what is read

MEANINGS = {
    "mean((y - relu(X @ w + b))**2)": mean((y - relu(X @ w + b)) ** 2),
    "  mean( ( y-relu(X@w+b) )**2 )\t": mean((y - relu(X @ w + b)) ** 2),
    "b + b*b - b/b": b + b * b - b / b,
    "-b**2": -(b**2),
    "+b": b,
    "2**-b": number(2) ** -b,
    "b**b**b": b ** (b**b),
    "X.T": X.T,
    "y.T": y,
    "(X @ W).T @ y": (X @ W).T @ y,
    "y > 0": y > 0,
    "0 < y": y > 0,
    "y <= 1": y <= 1,
    "(y == 1)*y": OPERATORS["=="](y, 1) * y,
    "sum(X, axis=0)": sum_(X, axis=0),
    "sum(X, 0)": sum_(X, axis=0),
    "sum(X, axis=-1)": sum_(X, axis=1),
    "sum(X, axis=(0, 1))": sum_(X),
    "sum(X, axis=None)": sum_(X),
    "mean(X, axis=1, keepdims=True)": mean(X, axis=1, keepdims=True),
    "sum(X, keepdims=False)": sum_(X),
    "softmax(Y, axis=1)": F["softmax"](Y, axis=1),
    "leaky_relu(y, 0.1)": F["leaky_relu"](y, 0.1),
    "leaky_relu(y, slope=1/10)": F["leaky_relu"](y, 0.1),
    "leaky_relu(y)": F["leaky_relu"](y),
    "maximum(0, y)": relu(y),
    "max(0, y)": relu(y),
    "max(y, 0)": relu(y),
    "max(X, 0.0)": relu(X),
    "max(0, X)": relu(X),
    "max(b, -1)": F["maximum"](b, -1),
    "min(max(0, X), 6)": F["minimum"](relu(X), 6),
    "min(y, b)": F["minimum"](y, b),
    "np.max(X, 0)": F["max"](X, axis=0),
    "np.amin(X, -1)": F["min"](X, axis=1),
    "np.max(y, 0)": F["max"](y),
    "X.max(1)": F["max"](X, axis=1),
    "X.min()": F["min"](X),
    "np.mean((y - np.maximum(0, np.dot(X, w) + b))**2)": mean((y - relu(X @ w + b)) ** 2),
    "((y - max(0, X.dot(w) + b))**2).mean()": mean((y - relu(X @ w + b)) ** 2),
    "1/N * sum((y - max(0, X @ w + b))**2)": mean((y - relu(X @ w + b)) ** 2),
    "numpy.linalg.norm(y)": F["norm"](y),
    "X.T.sum(axis=0)": sum_(X.T, axis=0),
    "2*np.pi*b": 2 * pi * b,
    "ones(N, 3)": F["ones"]("N", 3),
    "ones((N, d))": F["ones"]("N", "d"),
    "repeat(w, axis=0, size=N)": F["repeat"](w, 0, "N"),
    "repeat(b, axis=(0, 1), size=(N, 3))": F["repeat"](b, (0, 1), ("N", 3)),
    "squeeze(c, axis=1)": F["squeeze"](V["c"], 1),
    "y[:, None]": F["repeat"](y, 1, 1),
    "w[None, :]*X": w * X,
    "N": size("N"),
    "sum(y)/N": mean(y),
    "2*pi": 2 * pi,
    ".5*b": b / 2,
    "1.*b": 1 * b,
    "y**y + b**y": y**y + F["exp"](y * F["log"](b)),
    "clip(y, 0, b)": F["minimum"](relu(y), b),
    "1e-3*b": b / 1000,
    "0.1*b": number(1) / 10 * b,
    "z = X @ w + b; a = relu(z); mean((y - a)**2)": mean((y - relu(X @ w + b)) ** 2),
    "z = X @ w + b\n\n  a = relu(z);\nC = mean((y\n  - a)**2);\n": mean((y - relu(X @ w + b)) ** 2),
    "z = y\r\nsum(z)": sum_(y),
    "norm(w)**2 + dot(w, w) + sum(outer(w, w))": F["norm"](w) ** 2 + w @ w + sum_(F["outer"](w, w)),
    "y != b": OPERATORS["!="](y, b),
    "- -b": OPERATORS["neg"](-b),
    "X[:]": X,
    "X[:, :]": X,
    "X[...]": X,
    "X[0]": X[0],
    "X[0, :]": X[0],
    "X[..., 0]": X[:, 0],
    "X[:, -1]": X[:, -1],
    "X[N - 1]": X[-1],
    "X[1:3, 1:]": X[1:3, 1:],
    "X[:-1]": X[:"N-1"],
    "y[:N-1]": y[:-1],
    "y[::-1]": F["flip"](y),
    "y[2:4][0]": y[2:4][0],
    "y[0:4:2]": y[:4:2],
    "X[None]": F["repeat"](X, 0, 1),
    "w[1:2, None]": F["repeat"](w[1:2], 1, 1),
    "concatenate([w, b])": F["concatenate"]([w, b]),
    "concatenate((y, w, y), axis=0)": F["concatenate"]([y, w, y]),
    "stack([w, w], axis=-1)": F["stack"]([w, w], 1),
    "reshape(X, (d, N))": F["reshape"](X, ("d", "N")),
    "reshape(X, N*d)": F["ravel"](X),
    "zeros(N + 1)[0]": F["zeros"]("N+1")[0],
    "norm(X, axis=1)": F["norm"](X, axis=1),
    "norm(y, 1)": sum_(F["abs"](y)),
    "norm(y, ord=inf)": F["max"](F["abs"](y)),
    "var(y, ddof=1)": F["var"](y, ddof=1),
    "max(X, axis=(0, 1))": F["max"](X),
    "X[y]": F["take"](X, y),
    "one_hot(y, d)": F["one_hot"](y, "d"),
    "logsumexp(X)": F["logsumexp"](F["logsumexp"](X, axis=1)),
}


@each("text", MEANINGS)
def test_text_and_objects_give_the_identical_expression(text):
    assert parse(text, **SHAPES) is MEANINGS[text]


def test_any_name_can_stand_in_a_mapping_of_shapes():
    e = parse("sum(assume * shapes) + sum(text * x)", {"assume": "n", "text": "n"}, shapes="n", x="n")
    assert sorted(str(v.params[0]) for v in variables(e).values()) == ["assume", "shapes", "text", "x"]
    assert evaluate(e, assume=[1.0, 2], shapes=[3.0, 4], text=[1.0, 1], x=[1.0, 1]) == 13
    assert [v.params[0] for v in symbols({"assume": "n"}, x="n")] == ["assume", "x"]
    for shapes, words in (({"x": "n"}, "given twice"), ("n", "by name")):
        with pytest.raises(MathError, match=words):
            parse("sum(x)", shapes, x="n")


@each("name", FUNCTIONS)
def test_every_function_can_be_called_in_text(name):
    arguments = {
        "ones": "N, d",
        "repeat": "b, axis=0, size=N",
        "squeeze": "c, axis=1",
        **dict.fromkeys(("trace", "inv", "det", "logdet", "diagonal_sums"), "X.T @ X"),
        "solve": "X.T @ X, w",
        "matrix_power": "X.T @ X, 3",
        "eye": "N",
        "pinv": "X",
        "triu": "X",
        "tril": "X, -1",
        "where": "y > b, y, 0",
        "clip": "y, -1, b",
        "einsum": '"ij,ik->jk", X, X',
        "zeros": "N, d",
        **dict.fromkeys(("concatenate", "stack"), "[y, y]"),
        "reshape": "X, (d, N)",
        "swapaxes": "X, 0, 1",
        "embed": "w, zeros(d, N)[:, 0]",
        "take": "X, y",
        "one_hot": "y, 3",
        "windows": "y, 2",
        "overlap_add": "windows(y, 2), N",
        **{f"conv{d}d": f"I{d}, K{d}" for d in (1, 2)},
        **{f"conv_transpose{d}d": f"J{d}, K{d}" for d in (1, 2)},
        **{f"conv{d}d_weight": f"I{d}, J{d}, 2" for d in (1, 2)},
        **{f"{kind}{d}d": f"I{d}, 2" for kind in ("max_pool", "avg_pool", "max_share") for d in (1, 2)},
        **{f"max_{kind}{d}d": f"I{d}, I{d}, 1" for kind in ("take", "unpool") for d in (1, 2)},
        **{"avg_unpool1d": "I1, 7, 1", "avg_unpool2d": "I2, (6, 7), 1"},
    }
    images = {"I1": "N k 7", "K1": "d k 2", "J1": "N d 6", "I2": "N k 6 7", "K2": "d k 2 2", "J2": "N d 5 6"}
    places = [place for place in inspect.signature(FUNCTIONS[name]).parameters if place in ("x", "a", "b")]
    parse(f"{name}({arguments.get(name, ', '.join('y' for _ in places))})", **SHAPES, **images)


@pytest.mark.parametrize("shape", ["N d", "N,d", " N , d ", ("N", "d"), ["N", "d"]])
def test_a_shape_is_given_in_any_of_these_ways(shape):
    assert parse("X", X=shape) is X


def test_literal_sizes():
    assert parse("x", x=3).shape == parse("x", x="3").shape == parse("x", x=(3,)).shape == (3,)
    assert parse("X", X=[2, "d"]).shape == (2, "d")
    assert parse("mean(x)", x="4") is parse("sum(x)/4", x="4")


def test_arguments_of_the_command_line():
    assert shapes_from_arguments(["X:N,d", "w:d", "b:", "y:N", "k:3"]) == {
        "X": ("N", "d"), "w": ("d",), "b": (), "y": ("N",), "k": (3,),
    }  # fmt: skip


def test_names_of_a_text():
    parsed = parse_named("z = X @ w + b; a = relu(z); q = 3; C = mean((y - a)**2)", shapes=SHAPES)
    assert list(parsed.names.items()) == [(X @ w + b, "z"), (relu(X @ w + b), "a"), (parsed.expr, "C")]
    assert parsed.loss_name == "C"
    assert parse_named("C = sum(y); C", shapes=SHAPES).loss_name == "C"
    assert parse_named("sum(y)", shapes=SHAPES).loss_name is None
    assert names_of(parse("z = X @ w; sum(z)", **SHAPES)) == {X @ w: "z"}
    assert names_of(parse("sum(X @ w)", **SHAPES)) == {}


def test_declared_variables_tell_sizes():
    loss = parse("sum(w)/N", **{name: SHAPES[name] for name in "Xw"})
    assert evaluate(loss, X=np.ones((4, 2)), w=[1, 2]) == 0.75


def test_assumptions():
    assert parse("S", assume={"S": "symmetric"}, **SHAPES).params[2] == ("symmetric",)
    assert parse("S", assume={"S": ["positive", "symmetric"]}, **SHAPES).params[2] == (
        "positive",
        "symmetric",
    )
    for word in KNOWN_ASSUMPTIONS:
        assert symbols(S="d d", assume={"S": word})[0].params[2] == (word,)
    for wrong in (
        {"S": "symetric"},
        {"Z": "positive"},
        {"X": "symmetric"},
        {"b": "rows sum to one"},
        {"S": [3]},
        "S",
    ):
        with pytest.raises(MathError):
            parse("S", assume=wrong, **SHAPES)


def test_long_sums_are_read():
    assert parse("+".join(["b"] * 1000), b="").op.name == "add"
    assert parse(" @ ".join(["S"] * 500), **SHAPES).shape == ("d", "d")
    assert parse("; ".join(f"z{k} = {f'z{k - 1}' if k else 'b'}*b" for k in range(1500)), b="").rank == 0


# ------------------------------------------------------------------------------------------- errors that help


def test_the_error_of_the_targets():
    error = refused("mean((y - relu(X @ w + b))**2)", X="N d", w="k", b="", y="N")
    assert error.what == "the sizes d and k should be equal"
    assert pointed(error) == "X @ w"
    assert error.facts == ("X is N×d", "w is k")
    assert error.mend == "w:d"
    assert "    mean((y - relu(X @ w + b))**2)\n                   ^^^^^\n" in str(error)


# text -> (what is pointed at, the mend or None)
MENDS = {
    "mean((relu(X @ V) - Y)**2)": ("X @ V", "X @ V.T"),
    "sum(W @ X)": ("W @ X", "X @ W"),
    "sum(X.T @ W)": ("X.T @ W", "X @ W"),
    "sum(X * W)": ("X * W", "X @ W"),
    "sum(b @ y)": ("b @ y", "b * y"),
    "mean((X @ u - y)**2)": ("X @ u", "u:d"),
    "sum(X / sum(X, axis=1))": ("X / sum(X, axis=1)", "X / sum(X, axis=1)[:, None]"),
    "sum(X - (y + 1))": ("X - (y + 1)", "X - (y + 1)[:, None]"),
    "mean((X @ W).T - Y)": ("(X @ W).T - Y", "(X @ W) - Y"),
    "sum((X @ w) @ (S + S))": ("(X @ w) @ (S + S)", None),
    "dot(X, u)": ("dot(X, u)", "u:d"),
    "sum(maximum(X, y))": ("maximum(X, y)", "maximum(X, y[:, None])"),
    "sum(y**w)": ("y**w", "w:N"),
    "sum(softmax(Y))": ("softmax(Y)", "softmax(Y, axis=1)"),
    "sum(log_softmax(X @ W))": ("log_softmax(X @ W)", "log_softmax(X @ W, axis=1)"),
    "mean(y, axis=1)": ("mean(y, axis=1)", "mean(y, axis=0)"),
    "sum(relU(y))": ("relU", "relu"),
    "sum(np.relu(y))": ("np.relu", "relu"),
    "sum(torch.maximum(y, b))": ("torch.maximum", "maximum"),
    "sum(np.take(X, y))": ("np.take", "take"),
    "sum(Softmax(y))": ("Softmax", "softmax"),
    "sum(logsoftmax(y))": ("logsoftmax", "log_softmax"),
    "sum(max(X, -1))": ("max(X, -1)", "max(-1, X) (entry by entry), or max(X, axis=-1) (along the axis)"),
    "sum(min(X, 0))": ("min(X, 0)", "min(0, X) (entry by entry), or min(X, axis=0) (along the axis)"),
    "sum(max(X, 0, keepdims=True))": ("max(X, 0, keepdims=True)", "max(X, axis=0, keepdims=True)"),
    "sum(max(0, y, b))": ("max(0, y, b)", "max(max(0, y), b)"),
    "sum(np.max(y, b))": ("np.max(y, b)", "maximum(y, b)"),
    "sum(max(X, y))": ("max(X, y)", "max(X, y[:, None])"),
    "sum(Max(0, y))": ("Max(0, y)", "max(0, y)"),
    "sum(np.square(y))": ("np.square(y)", "(y)**2"),
    "C(w, b) = sum(X @ w + b)": ("=", "C = …"),
    "argmax(y)*b": ("argmax(y)", "hardmax(y)"),
    "concatenate(y, w)": ("y", "concatenate([a, b])"),
    "sum(ln(y))": ("ln", "log"),
    "sum(frobnicate(y))": ("frobnicate", None),
    "X.relu() @ w": ("X.relu()", "relu(X)"),
    "sum(x)": ("x", "X"),
    "w.T(y)": ("w.T(y)", "w.T"),
    "sum(b(y + 1))": ("b(y + 1)", "b*(y + 1)"),
    "0 < y < 1": ("0 < y < 1", "(0 < y)*(y < 1)"),
    "2b": ("2b", "2*b"),
    "sum(2(y + 1))": ("2(", "2*(…)"),
    "y w": ("y w", None),
    "sum(X w)": ("X w", "X @ w"),
    "X' @ y": ("'", ".T instead of '"),
    "sum(y²)": ("²", "**2 instead of ²"),
    "sum(y)−b": ("−", "- instead of −"),
    "sum(y^2)": ("^", "** instead of ^"),
    "sum(𝑤)": ("𝑤", "w instead of 𝑤"),
    "sum(y)//2": ("//", "/ instead of //"),
    "007*b": ("007", "7 instead of 007"),
    "ones(n)": ("n", "N"),
    "y.shape": ("y.shape", None),
    "relu + b": ("relu", None),
}  # fmt: skip


@each("text", MENDS)
def test_the_place_and_the_mend(text):
    error = refused(text)
    assert (pointed(error), error.mend) == MENDS[text]


# As it stands in the article, in its LaTeX, and as one may remember it.
@each(
    "text",
    [
        "C(w, b) = 1/N Σᵢ (yᵢ − max(0, w·xᵢ + b))²",
        r"$$C = \frac{1}{N} \sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{x}_i + b))^2$$",
        "1/N Σ (y − max(0, X w + b))²",
        "1/N * sum((y - max(0, X*w + b))^2)",
    ],
)
def test_what_is_written_as_on_paper_is_offered_as_it_is_typed(text):
    assert refused(text).mend == "mean((y - relu(X @ w + b))**2)"


def test_max_and_min_of_two_objects_are_those_of_two():
    assert F["max"](0, y) is relu(y) and F["max"](y, b) is F["maximum"](y, b)
    assert F["min"](1, X) is F["minimum"](1, X) and F["max"](y, 0) is F["max"](y)


def test_what_cannot_be_read_on_paper_either_has_no_mend():
    for text in ("Σᵢ yⱼ", "∂y/∂w", "☃", "X = ²", "√" * 300, "−" + "(" * 300, "−" + "w" * 2000):
        assert refused(text).mend is None, text


def test_a_vector_and_a_column_are_asked_about():
    error = refused("mean((y - c)**2)")
    assert "silently" in error.what and pointed(error) == "y - c"
    assert error.mend == "y - squeeze(c, axis=1) (entry by entry), or y[None, :] - c (every pair)"
    assert error.facts == ("y is N", "c is N×1")
    assert parse("mean((y - squeeze(c, axis=1))**2)", **SHAPES).rank == 0
    assert parse("y[None, :] - c", **SHAPES).shape == ("N", "N")


@pytest.mark.parametrize(
    "text, place",
    [
        ("z = X @ w\nsum(z) +\n b", "+"),
        ("z = X @ w\n  a = relu(z)\n  mean((y -\n   W)**2)", "y -\n   W"),
        ("z = X @ w\nq = zz*2\nq", "zz"),
        ("z = X @ w\n+ b", "+"),
        ("z = X @ w; sum(z); b", "sum(z)"),
        ("z = X @ w; z = b", "z"),
        ("sum(y", "("),
        ("sum((y)", "("),
        ("sum(y))", ")"),
        ("(y]", "]"),
        ("z = ", "="),
        ("z = y = b", "="),
        ("y * * b", "*"),
        ("y and b", "and"),
        ("y if b else w", "if"),
        ("not y", "not"),
        ("y <> b", "<>"),
        ("y == b == 1", "y == b == 1"),
        ("y > 0 # comment", "#"),
        ("sum(y, axis=b)", "b"),
        ("sum(y, keepdims=1)", "1"),
        ("sum(y, dtype=1)", "1"),
        ("sum(y, 0, axis=1)", "1"),
        ("X.T(", "("),
        ("lambda*b", "lambda"),
        ("2*y[-1][0]", "y[-1][0]"),
        ("1/0", "1/0"),
        ("X:N,d", ":"),
    ],
)
def test_the_caret_stands_where_it_went_wrong(text, place):
    error = refused(text)
    assert error.source == text and pointed(error) == place
    last = text.rfind(place)
    assert error.span[0] in (text.find(place), last)
    line = text[: error.span[0]].count("\n")
    assert text.split("\n")[line] in str(error)


def test_mends_are_not_offered_where_they_fail():
    error = refused("mean((y - relU(X @ u))**2)", **{**SHAPES, "u": "q r"})
    assert error.mend is None and "relu" in str(error)


DECLARATIONS = [
    {"x": "N N0 0"}, {"x": "²"}, {"x": "0"}, {"x": "-1"}, {"x": "3.5"}, {"x": 0}, {"x": -2}, {"x": True},
    {"x": None}, {"x": [2.5]}, {"x": ["N", None]}, {"x": "N", "N": ""}, {"x": "x"}, {"x": "a b c d e"},
    {"x": "N", "exp": "N"}, {"x": "sum"}, {"x": "", "lambda": ""}, {"x": "", "_q": ""}, {"x": "", "a__b": ""},
    {"x": "", "a" * 65: ""}, {"x": "", "é": ""}, {"x": "", "": ""}, {"x": "1" * 5000}, {"x": b"N"},
    {"x": "N", "pi": ""}, {"x": "²N"}, {"x": {"N": 1}}, {"x": "N;d"}, {"x": "1e3"},
]  # fmt: skip


@pytest.mark.parametrize("shapes", DECLARATIONS)
def test_bad_declarations(shapes):
    with pytest.raises(MathError):
        parse("x", **shapes)


@pytest.mark.parametrize(
    "arguments", [["X"], ["X:N", "X:d"], ["1X:N"], ["X:N,$"], [":N"], ["exp:N"], ["X:N:d"], ["X=N"], [""]]
)
def test_bad_arguments_of_the_command_line(arguments):
    with pytest.raises(MathError):
        shapes_from_arguments(arguments)


def test_the_same_name_twice_shows_both():
    with pytest.raises(MathError) as caught:
        shapes_from_arguments(["X:N,d", "X:d"])
    assert caught.value.facts == ("X:N,d", "X:d")


# ------------------------------------------------------------------------------------------- hostile texts

HOSTILE = [
    "__import__('os').system('id')", "().__class__.__bases__[0].__subclasses__()", "x.__class__",
    "X.T.__init__", "X.T.T.base", "getattr(X,'T')", "f'{X}'", "'a'*10**9", "lambda:0", "[x for x in X]",
    "{1:2}", "(y:=1)", "print(X)", "open('/etc/passwd')", "exec('1')", 'eval("1")', "X if y else z",
    "X and y", "not X", "X[0.5]", "X[0, 0, 0]", "X[1:1]", "X[::0]", "X[5:2]", "X[::2]", "X[True]", "X[1j]",
    "X['a']", "X[[0]]", "X[0:1:y]", "X[y > 0]", "X[sum(y)]", "X[2*N*-d]", "X[0][0][0]", "X[:,:,:]",
    "X[None,0,0,0]",
    "X[..., ...]", "X[()]", "X[*y]", "X[1:2:3:4]", "X[lambda: 0]", "X[N+1.5]", "X[9**9**9]",
    "X[" + "N*" * 100 + "N:]", "X[" + "1+" * 9000 + "1]", "X[" + "(N+d)*" * 90 + "1]",
    "b[0]", "b[:]", "X[q]", "X[y @ y]", "await X", "yield", "yield X",
    "*X", "**X", "X;y", "X\ny", "import os",
    "X; import os", "9**9**9**9", "2**1000000", "10**10**8", "1e999", "0x" + "f" * 10_000, "9" * 5000, "1j",
    "1_000", "0b1", "(" * 5000, "(" * 5000 + "X" + ")" * 5000, "(" * 150 + "X" + ")" * 150,
    "-" * 10_000 + "X", "**X" * 3000, "X" + "**X" * 3000, "b" + "**b" * 3000,
    "relu(" * 3000 + "X" + ")" * 3000, "X" + ".T" * 9000, "-(" * 99 + "b", "X\0", "X\u202e", "\uff38",
    "\U0001d465", "X\u200b", "\u0430", "\ud800", "X\x1b[31m", "X\r", "X\x0c", "<script>alert(1)</script>",
    "x<img src=x onerror=alert(1)>", "$\\href{javascript:alert(1)}{x}$", "\\input{/etc/passwd}", "`id`",
    "$(id)", "=cmd|' /C calc'!A0", "", "   ", "\n\n", ";", None, b"X", 3, 1.5, ["X"], "\ufeffX",
    "x # comment", "X=Y", "_x", "a__b", "a" * 65, "exp", "lambda", "exp = X", "lambda = X", "X @ A", "y - c",
    "X.T.T.T.shape", "sum(X, axis=10**9)", "sum(X, axis=[0])", "sum(X, axis=True)", "sum(*X)", "sum(**X)",
    "sum(X, axis=(0, 0.5))", "sum()", "sum(X, X, X, X)", "ones(10**9)", "ones(-1)", "ones(0)", "ones(X)",
    "ones(1e3)", "ones(N, axis=0)", "repeat(X, axis=0, size=9**9)", "huge + wide",
    "repeat(repeat(repeat(repeat(repeat(X,0,N),0,N),0,N),0,N),0,N) + repeat(repeat(X,0,N),9,N)",
    "X" * 500_000, "X+" * 20_000 + "X", "X @ " * 4999 + "X" + "\0", "10**60*" * 1000 + "b", "X.0", "X..T",
    "1..T", "...", "X, y", "X,", "()", "[]", "b[:, None]",
    "True", "None", "False*X", "w[:, True]", "sum(X, axis=None, keepdims=None)",
    "X\\\n@ w", "X = = y", "z := X", "z == ", "sum(X)(X)", "(X.T)(X)", "X.T = y", "z.T = X", "sum = X",
    "N = 3", "(z) = X", "z, q = X", "z: N = X", "z += X", "del X", "assert X", "global X", "match X",
    "X -> y", "X <> y", "X ! y", "X ? y", "~X", "X << 2", "X | y", "X & y", "X % 2",
]  # fmt: skip
KINDS = {**SHAPES, "z_": "N", "A": "m m", "huge": "1000000 1", "wide": "1 1000000"}


@each("text", HOSTILE, ids=lambda text: repr(text)[:40], tests=4)
def test_hostile_text_is_refused_at_once(text):
    tracemalloc.start()
    try:
        with pytest.raises(MathError) as caught:
            parse(text, **KINDS)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert len(message) < 2000 and message.replace("\n", "").isprintable()
    assert most < 12e6

    start = time.process_time()
    with pytest.raises(MathError):
        parse(text, **KINDS)
    assert time.process_time() - start < 2  # it takes milliseconds: this is the line to what would hang


def test_a_chain_of_ten_thousand_terms_is_read_or_refused_clearly():
    try:
        assert parse("b+" * 9_999 + "b", b="").rank == 0
    except MathError as error:
        assert "sum" in str(error) or "name" in str(error)


def test_a_tab_does_not_move_the_caret():
    assert str(refused("z = y;\tz @ w")) == str(refused("z = y; z @ w"))


def test_messages_hold_no_control_characters():
    for letter in ("\0", "\x1b", "\u202e", "\u200b", "\ud800", "\ufeff"):
        for text in (f"X + {letter}y", f"X y + {letter}", f"sum(X @ u) {letter}"):
            message = str(refused(text))
            assert letter not in message and f"U+{ord(letter):04X}" in message
            message.encode()
        for shapes in ({"x": f"N{letter}"}, {f"x{letter}": "N"}, {"x": (letter,)}):
            assert letter not in str(refused("x", **shapes))
        with pytest.raises(MathError) as caught:
            shapes_from_arguments([f"x{letter}:N"])
        assert letter not in str(caught.value)


def test_text_is_never_run():
    """Reading uses `ast.parse` and no other way to make code of text."""
    rooms = gradstep.notation
    for module in (
        rooms.scanning,
        rooms.places,
        rooms.calling,
        rooms.declaring,
        rooms.mending,
        rooms.parsing,
    ):
        called = {
            node.func.id
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"eval", "exec", "compile", "__import__", "getattr", "globals", "locals"}


PIECES = [
    "X", "w", "b", "y", "W", "N", "d", "pi", "relu", "sum", "softmax", "z", "None", "True", "axis", "0", "1",
    "2.5", "1e3", ".", ".T", "(", ")", "[", "]", "[:, None]", ",", ":", "=", "==", ";", "\n", " ", "+", "-",
    "*", "**", "/", "@", "<", ">", ">=", "axis=1", "keepdims=True", "ones", "repeat", "size=N", "lambda",
    "if", "__", "'", "#", "²", "\u202e",
]  # fmt: skip


@settings(max_examples=600)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_text_is_read_or_refused(text):
    try:
        expr = parse(text, **SHAPES)
    except MathError as error:
        assert str(error)
        assert error.span is None or 0 <= error.span[0] <= error.span[1] <= len(error.source) + 1
    else:
        assert parse(plain(expr), **SHAPES) is expr


@settings(max_examples=100)
@given(st.text(max_size=30))
def test_any_characters_are_read_or_refused(text):
    try:
        parse(text, **SHAPES)
    except MathError as error:
        assert str(error)


@pytest.mark.parametrize("indices", ['"i1,j->i"', '"ij"', "'ij,j->i\"", '""', "'...j,j->...'"])
def test_what_the_indices_of_einsum_are_is_said(indices):
    with pytest.raises(MathError, match='are letters in quotes, with an arrow: "ij,jk->ik"'):
        parse(f"einsum({indices}, X, y)", X="n n", y="n")


def test_the_indices_of_einsum_stand_in_quotes_of_either_kind():
    assert parse("einsum('ij,j->i', X, y)", X="n n", y="n") is parse(
        'einsum("ij,j->i", X, y)', X="n n", y="n"
    )


@pytest.mark.parametrize(("size", "mend"), [("10**3", "1000"), ("10**10**9", None), ("2**-1", None)])
def test_a_size_is_written_out(size, mend):
    with pytest.raises(MathError, match=r"written out|whole number") as told:
        parse(f"sum(ones({size}))*x", x="")
    assert told.value.mend == mend


def test_a_text_knows_the_variables_of_its_own_declaration():
    parse("sum(w)/N", X="N d", w="d")
    again = parse("sum(w)/N", w="d", X="N")
    assert list(variables(again)) == ["w", "X"]
    assert evaluate(again, w=[1, 2], X=[1, 1, 1]) == 1
    parse("sum(w)/N", w="d", Y="N d")
    with pytest.raises(MathError, match="no variable X"):
        derive(again, "X")
