"""Does the NumPy code compute the loss and its gradients, and does it read as if written by hand?"""

import ast
import builtins
import keyword
import math
import re

import numpy as np
import pytest
from backends.losses import CASES, LINEAR, arrays, compiled, derived, swept
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tables import each

import gradstep as gs
from gradstep.backends import BACKENDS, compile_outputs
from gradstep.backends.program import program
from gradstep.backends.python import infix, literal, template
from gradstep.backends.source import executed, write
from gradstep.calculus.derivation import derive
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import Lengths
from gradstep.notation.parsing import parse
from gradstep.operations import FUNCTIONS, TABLE
from gradstep.operations.coded import CODED
from gradstep.operations.evaluation import belongs, evaluate, variables
from gradstep.operations.leaves import RESERVED, number, size, symbol
from gradstep.operations.lookups import lookups
from gradstep.operations.stabilising import stable

cases = each("case", CASES.values(), ids=CASES, tests=2)


def slopes(case, values, step=1e-6):
    """Central differences of the reference interpreter."""
    for name in case.wrt.split():
        found = np.zeros(values[name].shape)
        for place in np.ndindex(found.shape):
            ends = []
            for sign in (1, -1):
                moved = {**values, name: values[name].copy()}
                moved[name][place] += sign * step
                ends.append(evaluate(case.loss, **moved))
            found[place] = (ends[0] - ends[1]) / (2 * step)
        yield name, found


@cases
def test_value_and_gradients_are_right(case):
    values = arrays(case)
    value, gradients = compiled(case)(**values)
    assert isinstance(value, float)
    assert value == pytest.approx(evaluate(case.loss, **values), rel=1e-12)
    assert list(gradients) == case.wrt.split()
    for name, expected in slopes(case, values):
        assert gradients[name].shape == values[name].shape
        assert gradients[name].dtype == np.float64
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-6, atol=1e-8)


@cases
def test_a_bare_reverse_sweep_compiles_to_the_same(case):
    values = arrays(case, seed=1)
    value, gradients = compiled(case)(**values)
    other, others = compile_outputs(swept(case))(**values)
    assert other == pytest.approx(value, rel=1e-12)
    for name in gradients:
        np.testing.assert_allclose(others[name], gradients[name], rtol=1e-11, atol=1e-13)


@cases
def test_float32_stays_float32(case):
    values = arrays(case, kind=np.float32)
    f = compiled(case)
    _, gradients = f(**values)
    expected = f(**{name: value.astype(float) for name, value in values.items()})
    _, raw = f.raw(*(values[entry.name] for entry in f.program.inputs))
    for name, gradient in gradients.items():
        assert gradient.dtype == np.float32
        assert np.ndim(raw[name]) == 0 or raw[name].dtype == np.float32
        np.testing.assert_allclose(gradient, expected[1][name], rtol=2e-3, atol=1e-4)


@cases
def test_gradients_share_no_memory(case):
    values = arrays(case)
    _, gradients = compiled(case)(**values)
    everything = [*values.values(), *gradients.values()]
    for gradient in gradients.values():
        assert gradient.flags.writeable
        assert sum(np.shares_memory(gradient, other) for other in everything) == 1


@cases
def test_source_is_tidy(case):
    source = compiled(case).source
    assert max(map(len, source.splitlines())) <= 100
    assert source.startswith("import numpy as np\n\n\n") and source.endswith("\n") and "\t" not in source
    assert not re.search(r" $", source, re.MULTILINE)
    compile(source, "source", "exec")


@cases
def test_helpers_are_there_when_used_and_only_then(case):
    tree = ast.parse(compiled(case).source)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called - {"float"} == defined - {"value_and_gradients"}


HEADLINES = {
    "neuron": [
        "N = X.shape[0]",
        "z = X @ w + b",
        "a = np.maximum(z, 0)",
        "e = y - a",
        "C = e @ e / N",
        "dz = (-2 / N) * (e * (z > 0))",
        'return C, {"w": X.T @ dz, "b": dz.sum()}',
    ],
    "logistic by probabilities": [
        "z = X @ w + b",
        "C = (y @ np.logaddexp(0, -z) + (1 - y) @ np.logaddexp(0, z)) / N",
        "dz = (sigmoid(z) - y) / N",
        'return C, {"w": X.T @ dz, "b": dz.sum()}',
    ],
    "two layers": [
        "N, m = Y.shape",
        "Z1 = X @ W1 + b1",
        "A1 = np.maximum(Z1, 0)",
        "Z2 = A1 @ W2 + b2",
        "E = Y - Z2",
        "C = np.vdot(E, E) / (N * m)",
        "",
        "dZ2 = (-2 / (N * m)) * E",
        "dZ1 = (dZ2 @ W2.T) * (Z1 > 0)",
        'return C, {"W1": X.T @ dZ1, "b1": dZ1.sum(axis=0), "W2": A1.T @ dZ2, "b2": dZ2.sum(axis=0)}',
    ],
    "a gradient that is data": ['return C, {"w": v.copy(), "v": w.copy(), "b": float(c), "c": float(b)}'],
    "a constant gradient": ["C = w.sum() + 3 * b", 'return C, {"w": np.ones_like(w), "b": 3.0}'],
}


@pytest.mark.parametrize("name", HEADLINES)
def test_source_reads_as_written_by_hand(name):
    body = [line.strip() for line in compiled(CASES[name]).source.splitlines()]
    expected = HEADLINES[name]
    assert body[-len(expected) :] == expected


# ------------------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("logistic", "softmax"))])
@pytest.mark.parametrize("large", [1000.0, 1e5])
def test_extreme_scores_give_finite_values_and_gradients(name, large):
    case = CASES[name]
    values = arrays(case)
    weights = "W" if "W" in values else "w"
    values[weights] = large * values[weights]
    loss = stable(case.loss)
    d = derive(loss, case.wrt.split(), certify=False)
    value, gradients = compile_outputs({"C": loss, **d.answers}, d.names)(**values)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    assert np.isfinite(compiled(case)(**values)[0])


def test_probabilities_near_one_lose_no_digits():
    x = symbol("x", "n")
    f = compile_outputs({"": FUNCTIONS["log"](1 - FUNCTIONS["sigmoid"](x))})
    np.testing.assert_allclose(f(x=[40.0, -40.0]), [-40.0, -4.248354255291589e-18], rtol=1e-12)


# ------------------------------------------------------------------------------------------- every operation


def examples():
    letters = "abc"
    for op in TABLE:
        for params, shapes in op.example:
            args = [
                symbol(letter, " ".join(map(str, shape)))
                for letter, shape in zip(letters, shapes, strict=False)
            ]
            yield op(*args, params=params)


@each("expr", list(examples()), ids=lambda expr: f"{expr.op.name} {expr.shape}", tests=2)
def test_every_operation_can_be_written_and_means_the_same(expr):
    rng = np.random.default_rng(0)
    values, lengths = {}, Lengths({"m": 3, "n": 4, "k": 2, "h": 5})
    witness = {f"size_{s}": symbol(f"size_{s}", s) for s in lengths}
    for name, variable in (variables(expr) | witness).items():
        values[name] = rng.uniform(0.5, 1.5, [lengths[s] for s in variable.shape])
    values |= {str(v.params[0]): np.floor(values[str(v.params[0])]) for v in lookups([expr])}
    belongs(expr, witness.values())
    found = compile_outputs({"": expr})(**values)
    np.testing.assert_allclose(found, np.asarray(evaluate(expr, **values), dtype=float), rtol=1e-13)


@pytest.mark.parametrize(
    "text",
    [
        "1*(X > 0)", "(X > 0)*1 + (X > 1)*1", "sum(X > 0)", "exp(1*(X > 0))", "(X > 0)*(X < 1)", "X*(w > 0)",
        "(X > w) * X", "(X > 0) @ w", "sum((X > 0)*X, axis=0)", "norm(1*(X > 0))", "(b > 0)*X", "mean(b > 0)",
        "X.T * 1 > 0", "sum(X == X)", "tanh(X > w)", "maximum(X > 0, X)", "-(X > 0)", "w * (w > 0) * (w < 1)",
    ],
)  # fmt: skip
def test_masks_are_numbers_wherever_numbers_are_due(text):
    shapes = {"X": "N d", "w": "d", "b": ""}
    used = {name: shape for name, shape in shapes.items() if re.search(rf"\b{name}\b", text)}
    rng = np.random.default_rng(0)
    lengths = {"N": 5, "d": 3}
    values = {name: rng.normal(size=[lengths[s] for s in shape.split()]) for name, shape in used.items()}
    numbers = {name: np.asarray(value) for name, value in values.items()}
    expected = eval(masked(text), {"np": np}, numbers | functions())
    found = compile_outputs({"": parse(text, **used)})(**values)
    assert np.asarray(found).dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def masked(text):
    """A comparison as numbers: np.greater(a, b) times one."""
    tree = ast.parse(text, mode="eval")

    class Numbers(ast.NodeTransformer):
        def visit_Compare(self, node):
            self.generic_visit(node)
            return ast.BinOp(node, ast.Mult(), ast.Constant(1.0))

    return ast.unparse(ast.fix_missing_locations(Numbers().visit(tree)))


def functions():
    found = {name: getattr(np, name) for name in ("sum", "exp", "mean", "tanh", "maximum")}
    return found | {"norm": np.linalg.norm}


def test_broadcasting_restores_what_was_repeated():
    shapes = {"X": "N d", "v": "N", "b": "d"}
    source = compile_outputs({"": parse("tanh(X * v[:, None] + b) / (1 + v[:, None]**2)", **shapes)}).source
    assert "np.tanh(X * v[:, None] + b) / (1 + v**2)[:, None]" in source
    assert "broadcast" not in source and ".shape" not in source


def test_prediction_is_a_function_too():
    f = compile_outputs({"": parse("relu(X @ w + b)", X="N d", w="d", b="")})
    assert "def value(X, w, b):" in f.source
    np.testing.assert_allclose(f(X=[[1, 2], [3, -9]], w=[1, 1], b=0.5), [3.5, 0.0])
    assert f(X=np.ones((1, 2), np.float32), w=np.ones(2, np.float32), b=0).dtype == np.float32


# ------------------------------------------------------------------------------------------- safety

NAMES = st.one_of(
    st.sampled_from(
        ["np", "sum_", "N", "d", "dz", "return_", "z", "C", "e", "float", "list", "lambda_", "axis", "e_2"]
    ),
    st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,60}(_[a-z0-9])?", fullmatch=True).filter(
        lambda name: not keyword.iskeyword(name) and name not in RESERVED and len(name) <= 64
    ),
)


@settings(max_examples=40)
@given(st.lists(NAMES, min_size=6, max_size=6, unique=True))
@example(["np", "dz", "z", "C", "N_", "float"])
@example(["e", "C", "np_", "np", "value_and_gradients", "mask"])
@example([*(f"{letter * 63}x" for letter in "abcd"), "n" * 64, "d" * 64])
def test_any_names_give_safe_code(names):
    X, w, b, y, N, d = names
    shapes = {X: f"{N} {d}", w: d, b: "", y: N}
    loss = parse(f"mean(({y} - relu({X} @ {w} + {b}))**2)", **shapes)
    slope = derive(loss, [w, b], certify=False)
    f = compile_outputs({"": loss, **slope.answers}, slope.names)
    assert max(map(len, f.source.splitlines())) <= 100
    tree = ast.parse(f.source)
    assigned = [
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    taken = [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    assert len({*assigned, *taken}) == len([*assigned, *taken])
    for name in (*assigned, *taken):
        assert name not in dir(builtins) and name != "np" and not keyword.iskeyword(name) and "__" not in name
    keys = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {key for key in keys if "\n" not in key and len(key) <= 64 and " " not in key} <= {w, b}
    case = CASES["neuron"]
    values = dict(zip(names, arrays(case).values(), strict=False))
    expected = compiled(case)(**arrays(case))
    value, gradients = f(**values)
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(gradients[w], expected[1]["w"])


def test_text_around_the_program_cannot_escape_into_it():
    nasty = '"""\nimport os\n\\'
    loss = CASES["neuron"].loss
    f = compile_outputs({"C": loss}, comments={"C": nasty}, header=nasty)
    outputs, names = derived(CASES["neuron"])
    g = compile_outputs(outputs, names, comments={"z": nasty, "e": "x" * 300}, header=nasty)
    for source in (f.source, g.source):
        assert not any(
            isinstance(node, ast.Import) and node.names[0].name == "os"
            for node in ast.walk(ast.parse(source))
        )
    assert "# " in g.source


@pytest.mark.parametrize(
    "source",
    [
        "import os\n\n\ndef f():\n    return os\n",
        "import numpy as np\nprint(1)\n\n\ndef f():\n    return 1\n",
        "import numpy as np\n\n\ndef f():\n    return ().__class__\n",
        "import numpy as np\n\n\ndef f():\n    return __import__('os')\n",
    ],
)
def test_only_our_own_source_is_loaded(source):
    with pytest.raises(MathError, match="not the source"):
        executed(source)


def test_a_function_name_is_a_name():
    written = program({"": symbol("x") + 1})
    assert "def predict(x):" in write(written, "predict")
    for wrong in ("a b", "return", "f(): pass #", "__f"):
        with pytest.raises(MathError, match="name of a function"):
            write(written, wrong)


# ------------------------------------------------------------------------------------------- calling


@pytest.fixture(scope="module")
def neuron():
    return compiled(CASES["neuron"])


def test_lists_and_numbers_follow_the_arrays(neuron):
    values = {"X": [[1, 2], [3, 4]], "w": [0.5, 1], "b": 0, "y": [1, 2]}
    value, gradients = neuron(**values)
    assert gradients["w"].dtype == np.float64
    values["X"] = np.array(values["X"], dtype=np.float32)
    assert neuron(**values)[1]["w"].dtype == np.float32
    assert neuron(**values)[0] == pytest.approx(value)
    values["w"] = np.array(values["w"])
    assert neuron(**values)[1]["w"].dtype == np.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [1.0]}, "there is no variable x here"),
        ({"y": None}, "y has no value"),
        ({"y": [1.0, 2, 3]}, "the size N is 2"),
        ({"X": [1.0, 2.0]}, "X has 1 axes"),
        ({"w": ["a", "b"]}, "w should be an array of numbers"),
        ({"w": [[1.0], [1.0, 2.0]]}, "w should be an array of numbers"),
        ({"w": [1j, 2]}, "w should be an array of numbers"),
    ],
)
def test_arguments_are_checked(neuron, change, message):
    values = {"X": np.ones((2, 2)), "w": np.ones(2), "b": 0.0, "y": np.ones(2)} | change
    values = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(MathError, match=re.escape(message)):
        neuron(**values)


def test_the_nearest_name_is_suggested(neuron):
    with pytest.raises(MathError) as caught:
        neuron(X=np.ones((2, 2)), weights=np.ones(2), b=0.0, y=np.ones(2))
    assert "the variables are X, w, b, y" in str(caught.value)
    loss = parse("mean((price - area*w)**2)", price="N", area="N", w="")
    with pytest.raises(MathError, match="Perhaps price="):
        compile_outputs({"": loss})(prize=[1.0], area=[1.0], w=1)


def test_no_rows_is_an_error_rather_than_a_division_by_zero(neuron):
    with pytest.raises(MathError, match="the size N is 0"):
        neuron(X=np.ones((0, 2)), w=np.ones(2), b=0.0, y=np.ones(0))


def test_variables_may_be_called_anything_even_self():
    me = symbol("self")
    assert compile_outputs({"": me * 2})(self=3) == 6


@pytest.mark.parametrize("op", CODED, ids=lambda op: op.name)
def test_variables_may_be_called_like_the_functions_that_only_code_uses(op):
    loss = gs.parse(f"sum({op.name}*log(1 + exp({op.name})))", **{op.name: "n"})
    run = gs.compile(gs.derive(loss, op.name, certify=False))
    assert f"({op.name}):" not in run.source
    assert run(**{op.name: [0.0, 1.0]})[0] == pytest.approx(math.log1p(math.e))


def test_read_only_and_strided_arrays_are_fine(neuron):
    wide = np.random.default_rng(0).normal(size=(4, 12))
    X, y = wide[:, ::3], wide[::-1, 0]
    X.flags.writeable = False
    found = neuron(X=X, w=np.ones(4), b=0.1, y=y)
    expected = neuron(X=X.copy(), w=np.ones(4), b=0.1, y=y.copy())
    assert found[0] == pytest.approx(expected[0])


def test_sizes_come_from_variables_that_the_gradient_no_longer_mentions():
    loss = parse("mean(X @ w)", **{name: LINEAR[name] for name in ("X", "w")})
    d = derive(loss, "w", certify=False)
    assert compile_outputs({"": d.answers["w"]})(X=np.ones((3, 2)), w=[1, 2]) == pytest.approx(np.ones(2))


def test_an_unknown_back_end_lists_the_known():
    with pytest.raises(MathError) as caught:
        compile_outputs({"": symbol("x")}, backend="numpi")
    assert all(name in str(caught.value) for name in BACKENDS)
    assert "Perhaps" in str(caught.value)


# --------------------------------------------------------------------------------------- the writing itself


@pytest.mark.parametrize(
    ("left", "sign", "right", "expected"),
    [
        (("a @ b", "@"), "/", ("N", ""), "a @ b / N"),
        (("a @ b", "@"), "*", ("c", ""), "(a @ b) * c"),
        (("a - b", "-"), "-", ("c - d", "-"), "a - b - (c - d)"),
        (("-a", "-x"), "**", ("2", ""), "(-a) ** 2"),
        (("a", ""), "**", ("-1", "-x"), "a**-1"),
        (("a", ""), "/", ("b * c", "*"), "a / (b * c)"),
        (("-2 / N", "/"), "*", ("e", ""), "(-2 / N) * e"),
        (("a > b", ">"), "*", ("c", ""), "(a > b) * c"),
    ],
)
def test_parentheses_stand_where_a_reader_needs_them(left, sign, right, expected):
    assert infix(left, sign, right)[0] == expected


@given(st.fractions())
def test_numbers_are_written_exactly_or_as_the_nearest_float(value):
    assert eval(literal(value)[0]) == pytest.approx(float(value), rel=1e-15)


def test_a_template_knows_what_its_holes_accept():
    sigmoid = template("np.exp(-np.logaddexp(0, -({0})))")
    assert sigmoid.filled([("a + b", "+")], {})[0] == "np.exp(-np.logaddexp(0, -(a + b)))"
    assert sigmoid.filled([("z", "")], {})[0] == "np.exp(-np.logaddexp(0, -z))"
    assert sigmoid.filled([("-z", "-x")], {})[0] == "np.exp(-np.logaddexp(0, z))"
    assert template("{0}.T").filled([("A @ B", "@")], {})[0] == "(A @ B).T"


def test_constants_do_not_turn_float32_into_float64():
    X = symbol("X", "N d")
    f = compile_outputs({"": X * FUNCTIONS["log"](size("d")) / FUNCTIONS["sqrt"](size("d")) + number(0.5)})
    assert f.raw(np.ones((2, 3), np.float32)).dtype == np.float32
    assert "d**0.5" in f.source


@pytest.mark.parametrize(
    ("worked", "name", "said"),
    [
        (gs.derive, "value_and_gradients", "gradients"),
        (gs.jacobian, "value_and_jacobians", "jacobians"),
        (gs.hessian, "value_and_hessians", "hessians"),
        (lambda f, x: gs.hvp(f, x, "v"), "value_and_product", "product"),
        (lambda f, x: gs.jvp(f, x, "v"), "value_and_product", "product"),
    ],
)
def test_a_function_is_called_by_what_it_gives(worked, name, said):
    f = gs.compile(worked(gs.parse("sum(w**3)", w="n"), "w"))
    assert f"def {name}(w" in f.source
    assert repr(f).endswith(f": the value and the {said} for w>")


def test_a_boolean_takes_no_sign():
    loss = parse("-where(sum(u) > 0, det(W), 1)", W="d d", u="d")
    f = gs.compile(derive(loss, "W", seed=1))
    W = np.array([[2.0, 1.0], [1.0, 3.0]])
    value, gradients = f(W=W, u=np.ones(2))
    assert value == pytest.approx(-5)
    assert gradients["W"] == pytest.approx(-5 * np.linalg.inv(W).T)


def test_an_einsum_of_many_operands_compiles():
    loss = parse('einsum("' + ",".join(["ab"] * 12) + '->", ' + ", ".join(["S"] * 12) + ")", S="n n")
    value, gradients = gs.compile(derive(loss, "S", seed=1))(S=np.full((2, 2), 1.5))
    assert value == pytest.approx(4 * 1.5**12)
    assert gradients["S"] == pytest.approx(12 * 1.5**11)
