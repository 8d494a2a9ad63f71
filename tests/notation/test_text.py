"""Does the text of an expression read back to the very same expression, and stay short?"""

import gc
import weakref

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tables import each

from gradstep.expression.errors import MathError
from gradstep.expression.node import OPERATORS, Expr, walk
from gradstep.notation.parsing import names_of, parse, parse_named, symbols
from gradstep.notation.text import plain
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import belongs
from gradstep.operations.leaves import is_constant, number, pi, size

SHAPES = {
    "a": "", "b": "", "u": "n", "v": "m", "w": "m", "one": "1", "two": "2", "A": "n m", "B": "n m",
    "M": "m n", "S": "n n", "column": "n 1", "row": "1 m", "dot_": "1 1", "F": "2 3", "t1": "m",
}  # fmt: skip
OPERATORS.setdefault("str", plain)
VARIABLES = dict(zip(SHAPES, symbols(**SHAPES), strict=True))
NUMBERS = [0, 1, 2, -1, -3, 10**45, 0.5, 1 / 4, 0.1, -0.3, 1e-20, 1234.5678]
SEEDS: list[Expr] = [*VARIABLES.values(), *map(number, NUMBERS), number(1) / 3, size("n"), size("m"), pi]

UNARY = [
    "exp", "log", "sqrt", "abs", "sign", "tanh", "sigmoid", "softplus", "relu", "leaky_relu", "sum", "mean",
    "norm", "softmax", "log_softmax", "logsumexp",
]  # fmt: skip
RECIPES = [
    *((lambda x, y, f=FUNCTIONS[name]: f(x)) for name in UNARY),
    *(
        (lambda x, y, f=OPERATORS[sign]: f(x, y))
        for sign in ("+", "-", "*", "/", "**", "@", ">", "<", ">=", "<=", "==")
    ),
    *((lambda x, y, f=FUNCTIONS[name]: f(x, y)) for name in ("maximum", "minimum", "dot", "outer")),
    lambda x, y: x.T,
    lambda x, y: -x,
    lambda x, y: 1 - x**2,
    lambda x, y: x / size("n"),
    *(
        (lambda x, y, f=FUNCTIONS[name], axis=axis: f(x, axis=axis))
        for name in ("sum", "mean", "softmax", "log_softmax", "logsumexp", "squeeze")
        for axis in (0, 1)
    ),
    lambda x, y: FUNCTIONS["sum"](x, axis=1, keepdims=True),
    lambda x, y: FUNCTIONS["mean"](x, axis=0, keepdims=True),
    lambda x, y: FUNCTIONS["leaky_relu"](x, -0.3),
    lambda x, y: FUNCTIONS["ones"]("n", "m") * x,
    lambda x, y: FUNCTIONS["repeat"](x, 0, "n"),
    lambda x, y: FUNCTIONS["repeat"](x, -1, 1),
    lambda x, y: FUNCTIONS["repeat"](x, (1, 0), ("m", 3)),
    lambda x, y: FUNCTIONS["repeat"](x, 0, "m") * FUNCTIONS["repeat"](y, 0, "m"),
]


@st.composite
def expressions(draw: st.DrawFn) -> Expr:
    """An expression of a few operations, each on what is there already; what does not fit is left out."""
    pool = list(SEEDS)
    steps = draw(
        st.lists(st.tuples(st.sampled_from(RECIPES), st.integers(0, 200), st.integers(0, 200)), max_size=9)
    )
    for recipe, i, j in steps:
        try:
            found = recipe(pool[-1 - i % len(pool)], pool[-1 - j % len(pool)])
        except MathError:
            continue
        if found.rank <= 2:
            pool.append(found)
    return pool[-1]


def gradients(of: Expr) -> list[Expr]:
    """The cotangents of everything in sum(of), as the adjoints give them."""
    total = FUNCTIONS["sum"](of)
    cotangents = {total: number(1)}
    for node in reversed(list(walk(total))):
        if node in cotangents and node.op.adjoint is not None and not is_constant(node):
            parts = node.op.adjoint(cotangents[node], node, node.args)
            for arg, part in zip(node.args, parts, strict=True):
                if part is not None:
                    cotangents[arg] = cotangents[arg] + part if arg in cotangents else part
    return list(cotangents.values())


def reads_back(expr: Expr) -> None:
    text = plain(belongs(expr, VARIABLES.values()))
    assert parse(text, **SHAPES) is expr, text


@settings(max_examples=400)
@given(expressions())
@example(VARIABLES["a"] - (VARIABLES["b"] - VARIABLES["a"]))
def test_every_expression_reads_back(expr):
    reads_back(expr)


@settings(max_examples=150)
@given(expressions())
def test_every_gradient_reads_back(expr):
    for gradient in gradients(expr):
        reads_back(gradient)


SPELLED = [
    "mean((v - relu(M @ u + a))**2)",
    "mean(A, axis=1)",
    "sum(A)/n",
    "u/n",
    "2/n*u",
    "a/norm(u)",
    "1 - A**2",
    "A + v",
    "A*u[:, None]",
    "u[:, None] - v[None, :]",
    "a - (b - a)",
    "a - b - a",
    "a/(b*a)",
    "a/b*a",
    "2*(A @ v)",
    "2*A @ v",
    "A @ (M @ u)",
    "(-a)**2",
    "-a**2",
    "a**-2",
    "a**(1/2)",
    "a**b**a",
    "(a**b)**a",
    "2**-a",
    "--a",
    "-(a*b)",
    "1 - (a > 0)",
    "sum((u > 0)*u)",
    "(A + B).T @ u",
    "maximum(0.1, u)",
    "leaky_relu(u, 1/3)",
    "softmax(A, axis=0)",
    "logsumexp(u)",
    "ones(n) @ A",
    "ones(n, 3)",
    "repeat(u, axis=0, size=m)",
    "repeat(a, axis=(0, 1), size=(n, m))",
    "squeeze(column, axis=1)",
    "pi*a*n",
    "1e-20*a",
    "0.0001*a",
    "a/3",
    "-1/3*a",
    "a < b",
    "a <= b",
    "a > b",
    "a >= b",
    "u <= abs(u)",
    "abs(v) <= exp(v)",
    "where(v < w, v, w)",
    "u <= 0",
    "1.0507009873554804934193349852946*a",
]


@each("text", SPELLED)
def test_what_a_person_writes_is_written_so(text):
    assert plain(parse(text, **SHAPES)) == text


def test_a_mean_may_be_written_as_a_sum_over_a_count():
    assert parse("sum(A)/(n*m)", **SHAPES) is parse("mean(A)", **SHAPES)
    assert plain(parse("sum(u)/n", **SHAPES)) == "mean(u)"
    assert plain(parse("sum(A, axis=0)/n", **SHAPES)) == "mean(A, axis=0)"
    assert plain(parse("sum(F)/6", **SHAPES)) == "mean(F)"
    assert plain(parse("sum(u)/m", **SHAPES)) == "sum(u)/m"


def test_numbers_are_exact():
    for text in (
        "0.1",
        "1/3",
        "-0.25",
        "1e-300",
        "12345678901234567890.5",
        "1e200",
        "2/123456789012345678901234567891",
    ):
        expr = parse(f"{text}*a", **SHAPES)
        assert parse(plain(expr), **SHAPES) is expr
    assert parse("0.1*a", **SHAPES) is parse("1/10*a", **SHAPES)


NEURON = {"X": "N d", "w": "d", "b": "", "y": "N"}


def test_names_are_written_first_and_read_back():
    text = "z = X @ w + b; a = relu(z); C = mean((y - a)**2)"
    loss = parse(text, **NEURON)
    assert plain(loss, names_of(loss)) == text
    assert plain(loss) == "mean((y - relu(X @ w + b))**2)"
    assert list(names_of(loss).values()) == ["z", "a", "C"]
    text = "s = sum(y**2); C = s/N"
    assert plain(parse(text, **NEURON), names_of(parse(text, **NEURON))) == text
    inner = parse("z = X @ w; mean((y - z)**2)", **NEURON)
    assert plain(inner, names_of(inner)) == "z = X @ w; mean((y - z)**2)"


def test_a_name_that_cannot_be_read_back_is_left_out():
    loss = parse("mean((y - X @ w)**2)", **NEURON)
    part = loss.args[1].args[0].args[0]
    for name in ("ẑ", "X", "N", "relu", "lambda"):
        assert plain(loss, {part: name}) == "mean((y - X @ w)**2)"
    assert plain(loss, {part: "e"}) == "e = y - X @ w; mean(e**2)"


def network(layers: int) -> tuple[Expr, dict[str, str]]:
    shapes = {"X": "N d", "Y": "N d"} | {f"W{k}": "d d" for k in range(layers)}
    shapes |= {f"b{k}": "d" for k in range(layers)}
    variables = dict(zip(shapes, symbols(**shapes), strict=True))
    A = variables["X"]
    for k in range(layers):
        A = FUNCTIONS["relu"](A @ variables[f"W{k}"] + variables[f"b{k}"])
    return belongs(FUNCTIONS["mean"]((variables["Y"] - A) ** 2), variables.values()), shapes


def test_a_deep_network_is_written_in_linear_size():
    lengths = {}
    for layers in (100, 200, 400):
        loss, shapes = network(layers)
        text = plain(loss)
        lengths[layers] = len(text)
        assert parse(text, **shapes) is loss
    assert lengths[400] < 2.3 * lengths[200] < 5.3 * lengths[100]


def test_the_gradient_of_a_deep_network_reads_back():
    loss, shapes = network(60)
    last = gradients(loss)[-1]
    text = plain(belongs(last, symbols(**shapes)))
    assert len(text) < 20_000
    assert parse(text, **shapes) is last


def test_depth_and_sharing_have_no_limit():
    x = symbols(x="n")[0]
    deep = shared = x
    for _ in range(10_000):
        deep = FUNCTIONS["tanh"](deep)
    for _ in range(100):
        shared = FUNCTIONS["exp"](shared) * shared
    assert parse(plain(deep), x="n") is deep
    assert len(plain(shared)) < 10_000
    assert parse(plain(shared), x="n") is shared


def test_new_names_avoid_those_of_the_user():
    t1, x = symbols(t1="n", x="t2")
    shared = t1
    for _ in range(60):
        shared = FUNCTIONS["exp"](shared) * shared
    loss = belongs(FUNCTIONS["sum"](shared) * FUNCTIONS["sum"](x), [t1, x])
    text = plain(loss)
    assert "t3 = " in text and "t1 =" not in text and "t2 =" not in text
    assert parse(text, t1="n", x="t2") is loss


def test_what_is_short_is_repeated():
    loss = parse("2/N*X.T @ ((X @ w + b - y)*(X @ w + b > 0))", **NEURON)
    assert plain(loss) == "2/N*X.T @ ((X @ w + b - y)*(X @ w + b > 0))"


def test_writing_and_reading_make_no_cycle_of_references():
    loss = parse("z = X @ q + b; C = mean((y - z)**2)", X="N d", q="d", b="", y="N")
    known = weakref.ref(loss)
    plain(loss, names_of(loss))
    del loss
    gc.collect()
    assert known() is None


def test_the_text_says_what_the_parser_was_told():
    parsed = parse_named("z = X @ w; C = sum(z)", shapes={"X": "N d", "w": "d", "unused": "N"})
    assert list(parsed.variables) == ["X", "w", "unused"]
    assert list(parsed.names.values()) == ["z", "C"] and parsed.loss_name == "C"
