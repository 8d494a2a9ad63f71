"""Do the programs in JAX and PyTorch compute what the program in NumPy computes?"""

import sys

import numpy as np
import pytest
from backends.losses import CASES, arrays, compiled

import gradstep as gs
from benchmarks.layouts import backwards, read_only
from gradstep.backends import BACKENDS, compile_outputs
from gradstep.backends.options import Options
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Lengths
from gradstep.operations import STEPS, TABLE
from gradstep.operations.coded import CODED
from gradstep.operations.evaluation import belongs
from gradstep.operations.leaves import symbol_op

LENGTHS = Lengths({"m": 4, "n": 4, "k": 4, "N": 5, "d": 3, "h": 2})
DIALECTS = ["jax", "torch"]
PARTS = 4  # of the operations, each tried by a test of its own
EXAMPLES = [
    (op, params, shapes)
    for op in (*TABLE, *STEPS, *CODED)
    for params, shapes in op.example
    if op.name != "declared"
]


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return pytest.importorskip(request.param) and request.param


def other(function, dialect):
    backend = BACKENDS[dialect]
    return backend.load(backend.write(function.program, ""), function.program, Options())


def same(found, wanted):
    found, wanted = (r if isinstance(r, tuple) else (r, {}) for r in (found, wanted))
    assert list(found[1]) == list(wanted[1])
    for name in ("", *wanted[1]):
        one, two = (slopes[name] if name else value for value, slopes in (found, wanted))
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_a_loss_and_its_gradients_agree(name, dialect):
    f, values = compiled(CASES[name]), arrays(CASES[name])
    same(other(f, dialect)(**values), f(**values))


def values_for(expr: Expr, names, seed=0):
    rng = np.random.default_rng(seed)
    domain = expr.op.domain
    found = {}
    for k, (name, arg) in enumerate(zip(names, expr.args, strict=True)):
        shape = [LENGTHS[size] for size in arg.shape]
        array = rng.uniform(0.2, 0.9, shape) * (
            1 if domain in ("positive", "inside one") else rng.choice([-1, 1], shape)
        )
        if domain == "mask" and k == 0:
            array = rng.integers(0, 2, shape).astype(float)
        if domain == "places" and k == len(expr.args) - 1:
            array = rng.integers(0, 3, shape).astype(float)
        if domain == "above one":
            array = 1 + np.abs(array)
        if expr.op.name in ("inv", "det", "logdet", "solve", "matrix_power", "pinv") and k == 0:
            array = array + 3 * np.eye(len(array))
        found[name] = array
    return found


@pytest.mark.peers
@pytest.mark.parametrize("part", range(PARTS))
def test_every_operation_is_spelled(part, dialect):
    """Many are outputs of one program: JAX takes longer over another function than over what is in it."""
    outputs, values = {}, {f"of_{size}": np.ones(length) for size, length in LENGTHS.items()}
    tellers = [symbol_op(params=(name, (name.removeprefix("of_"),), ())) for name in values]
    for place, (op, params, shapes) in enumerate(EXAMPLES[part::PARTS]):
        names = [f"x{place}_{k}" for k in range(len(shapes))]
        args = [symbol_op(params=(name, shape, ())) for name, shape in zip(names, shapes, strict=True)]
        expr = outputs[f"{op.name}_{place}"] = op(*args, params=params)
        belongs(expr, [*args, *tellers])  # what tells the sizes that no operand has
        values |= values_for(expr, names)
    f = compile_outputs(outputs)
    values = {given.name: values[given.name] for given in f.program.inputs}
    same(other(f, dialect)(**values), f(**values))


def neuron(dialect):
    return gs.compile(gs.derive(CASES["neuron"].loss, ["w", "b"], certify=False), dialect)


def test_a_dialect_that_is_not_installed_can_be_written_and_says_how_to_run_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in DIALECTS:
        f = neuron(name)
        assert "def value_and_gradients(X, w, b, y):" in f.source
        with pytest.raises(MathError, match="not installed"):
            f(**arrays(CASES["neuron"]))


def test_source_to_paste_has_the_derivation_above_it():
    for name in DIALECTS:
        source = neuron(name).source
        assert source.startswith("# The loss") and "∂C/∂w = Xᵀ ∂C/∂z" in source.partition("import")[0]
        compile(source, name, "exec")


def pasted(source):
    space = {}
    exec(source, space)
    return space["loss"]


RULES = ["neuron", "softmax regression", "two layers", "Huber by minimum", "Poisson", "norm of a matrix"]


@pytest.mark.peers
@pytest.mark.parametrize("name", RULES)
def test_the_function_for_pytorch_passes_its_gradcheck(name):
    torch = pytest.importorskip("torch")
    case = CASES[name]
    loss = pasted(gs.compile(gs.derive(case.loss, case.wrt.split(), certify=False), "torch").source)
    wanted = set(case.wrt.split())
    f = compiled(case)
    inputs = [
        torch.tensor(arrays(case)[given.name], requires_grad=given.name in wanted)
        for given in f.program.inputs
    ]
    assert torch.autograd.gradcheck(loss, inputs)
    data = [given.name not in wanted for given in f.program.inputs].index(True)
    inputs[data].requires_grad_(True)
    with pytest.raises(NotImplementedError, match="no gradient was derived"):
        loss(*inputs).backward()


@pytest.mark.peers
@pytest.mark.parametrize("name", RULES)
def test_the_function_for_jax_has_our_gradient_as_its_own(name):
    jax = pytest.importorskip("jax")
    case = CASES[name]
    loss = pasted(gs.compile(gs.derive(case.loss, case.wrt.split(), certify=False), "jax").source)
    f, values = compiled(case), arrays(case)
    names = [given.name for given in f.program.inputs]
    with jax.enable_x64(True):
        found = jax.jit(jax.grad(lambda *args: 3 * loss(*args), argnums=range(len(names))))(
            *(values[name] for name in names)
        )
    _, gradients = f(**values)
    for name, slope in zip(names, found, strict=True):
        if name in gradients:
            np.testing.assert_allclose(slope, 3 * gradients[name], rtol=1e-10, atol=1e-12)
        else:
            assert np.isnan(slope).all()  # data: no silent zero


@pytest.mark.peers
def test_pytorch_takes_arrays_that_lie_backwards_or_are_not_to_be_written(recwarn):
    pytest.importorskip("torch")
    f = gs.compile(gs.derive(gs.parse("sum(x**2)", x="n"), ["x"], certify=False), backend="torch")
    for lay in (backwards, read_only):
        value, slopes = f(x=lay(np.arange(3.0)))
        assert value == 5 and slopes["x"].tolist() == [0, 2, 4]
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]


@pytest.mark.peers
def test_pytorch_takes_a_number_that_is_chosen_as_it_is(recwarn):
    pytest.importorskip("torch")
    loss = gs.parse("sum(where(x > 0, a, -a)*x)", x="n", a="")
    f = gs.compile(gs.derive(loss, ["x", "a"], certify=False), backend="torch")
    value, slopes = f(x=np.arange(-2.0, 3), a=2.0)
    assert value == 12 and slopes["a"] == 6 and slopes["x"].tolist() == [-2, -2, -2, 2, 2]
    assert not list(recwarn)
