"""Is every operation what its record says? Each test states one truth about the whole table.

Shapes are small and of distinct sizes, so that a wrong transpose cannot fit.
"""

import re
from fractions import Fraction

import numpy as np
import pytest
from tables import each

from gradstep.calculus.lifting import NotLifted, lifted
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.errors import MathError, SingularError
from gradstep.expression.node import OPERATORS
from gradstep.expression.shapes import Lengths
from gradstep.notation.latex import latex
from gradstep.notation.parsing import parse
from gradstep.notation.plain import line
from gradstep.notation.text import plain
from gradstep.notation.writing import Writer
from gradstep.operations import FUNCTIONS, LEAVES, STEPS, TABLE
from gradstep.operations.evaluation import belongs, evaluate
from gradstep.operations.leaves import is_constant, symbol

OPERATORS.setdefault("str", plain)

SIZES = Lengths({"m": 3, "n": 4, "k": 5, "h": 2})
LETTERS = "abc"


STAYING = (lambda x: x, 1)
# How a random number gets into the domain that an operation states, and whether it may move there.
INSIDE = {
    "real": STAYING,
    "nonzero": STAYING,
    "positive": (lambda x: np.abs(x) + 0.2, 1),
    "inside one": (lambda x: 0.9 * np.tanh(x), 1),
    "above one": (lambda x: np.abs(x) + 1.2, 1),
    "above minus one": (lambda x: np.abs(x) - 0.8, 1),
    "between quarter turns": (np.tanh, 1),
}


def inside(op, count):
    """The same for each operand. A mask and places are data, which stand still."""
    if op.domain == "mask":
        return (lambda x: 1.0 * (x > 0), 0), *[STAYING] * (count - 1)
    if op.domain == "places":
        return *[STAYING] * (count - 1), (lambda x: np.floor(2 * np.abs(np.sin(x))), 0)
    return (INSIDE[op.domain],) * count


class Case:
    """An operation on variables a, b …, which move by da, db …, with a cotangent G; and values for all."""

    def __init__(self, op, params, shapes, seed=0):
        self.op, self.params, self.shapes = op, params, shapes
        self.args = [symbol(LETTERS[i], shape) for i, shape in enumerate(shapes)]
        self.dargs = [symbol(f"d{LETTERS[i]}", shape) for i, shape in enumerate(shapes)]
        self.y = op(*self.args, params=params)
        self.G = symbol("G", self.y.shape)
        draw = np.random.default_rng(seed).standard_normal
        self.values = {
            str(v.params[0]): draw([SIZES[size] for size in v.shape])
            for v in (*self.args, *self.dargs, self.G)
        }
        for arg, (into, moves) in zip(self.args, inside(op, len(self.args)), strict=True):
            name = arg.params[0]
            self.values[name] = into(self.values[name])
            self.values[f"d{name}"] = moves * self.values[f"d{name}"]

    def value(self, expr, **values):
        return np.asarray(
            evaluate(belongs(expr, [*self.args, *self.dargs, self.G]), **{**self.values, **values})
        )

    def moved(self, step):
        """The value of the operation after its operands have moved by `step`."""
        there = {
            a.params[0]: self.values[a.params[0]] + step * self.values[da.params[0]]
            for a, da in zip(self.args, self.dargs, strict=True)
        }
        return self.value(self.y, **there)


def examples(op):
    """Those that its record has, and the last one that is a matrix once more with an axis in front."""
    found = [*op.example]
    matrices = [(params, shapes) for params, shapes in op.example if max(map(len, shapes)) == 2]
    for params, shapes in matrices[-1:]:
        letters = [wildcard(LETTERS[i], shape) for i, shape in enumerate(shapes)]
        table = {x: wildcard(x.params[0], ("h", *x.shape)) for x in letters if x.rank}
        try:
            stacked = lifted(op(*letters, params=params), table, "h")
        except (NotLifted, MathError):
            continue
        found.append((stacked.params, tuple(arg.shape for arg in stacked.args)))
    return [*dict.fromkeys(found)]


def every(has=lambda op: True):
    """The test goes through all examples of all operations that have something."""
    calls = [(op, params, shapes) for op in TABLE if has(op) for params, shapes in examples(op)]
    names = [f"{op.name}-{params or ''}{shapes}" for op, params, shapes in calls]
    return each("case", [Case(*call) for call in calls], ids=names, tests=2)


def test_the_table_is_complete():
    """What a function or an operator makes of variables is made of operations of the table."""
    assert len({op.name for op in TABLE}) == len(TABLE)
    assert all(op.example for op in TABLE)
    assert {op.name for op in TABLE if op.adjoint is None or op.differential is None} == set()


@every()
def test_the_differential_is_the_slope_of_the_value(case):
    step = 1e-5
    slope = (case.moved(step) - case.moved(-step)) / (2 * step)
    declared = case.value(case.op.differential(case.y, case.args, case.dargs))
    assert declared.shape == slope.shape == tuple(SIZES[size] for size in case.y.shape)
    np.testing.assert_allclose(declared, slope, rtol=1e-7, atol=1e-8)


@every()
def test_an_operand_that_stands_still_adds_nothing(case):
    for k in range(len(case.args)):
        only = [d if j == k else None for j, d in enumerate(case.dargs)]
        others = {d.params[0]: 0 * case.values[d.params[0]] for j, d in enumerate(case.dargs) if j != k}
        alone = case.value(case.op.differential(case.y, case.args, only))
        together = case.value(case.op.differential(case.y, case.args, case.dargs), **others)
        np.testing.assert_allclose(alone, together, rtol=1e-13, atol=1e-14)


@every()
def test_the_adjoint_mirrors_the_differential(case):
    forward = np.sum(case.value(case.G) * case.value(case.op.differential(case.y, case.args, case.dargs)))
    cotangents = case.op.adjoint(case.G, case.y, case.args)
    moving = case.args[:-1] if case.op.domain == "places" else case.args
    assert [c if c is None else c.shape for c in cotangents] == [
        arg.shape if arg in moving else None for arg in case.args
    ]
    terms = [
        case.value(c) * case.value(d) for c, d in zip(cotangents, case.dargs, strict=True) if c is not None
    ]
    size = sum(np.abs(term).sum() for term in terms)
    assert abs(forward - sum(term.sum() for term in terms)) <= 100 * np.finfo(float).eps * (1 + size)


@every(lambda op: op.slopes)
def test_the_slopes_make_the_differential(case):
    changes = [
        case.value(slope(case.y, *case.args)) * case.value(d)
        for slope, d in zip(case.op.slopes, case.dargs, strict=True)
    ]
    declared = case.value(case.op.differential(case.y, case.args, case.dargs))
    np.testing.assert_allclose(sum(changes), declared, rtol=1e-13, atol=1e-14)


@every(lambda op: op.definition)
def test_the_definition_has_the_same_value(case):
    simpler = case.op.definition(case.params, *case.args)
    assert simpler.shape == case.y.shape and simpler.op is not case.op
    np.testing.assert_allclose(case.value(simpler), case.value(case.y), rtol=1e-12, atol=1e-13)


@every(lambda op: op.indices)
def test_the_indices_state_the_meaning(case):
    inputs, output = case.op.indices(case.params, *map(len, case.shapes)).split("->")
    new = [letter for letter in output if letter not in inputs]
    lengths = dict(zip(output, case.value(case.y).shape, strict=True))
    oracle = np.einsum(
        f"{','.join([inputs, *new])}->{output}",
        *map(case.value, case.args),
        *(np.ones(lengths[letter]) for letter in new),
    )
    np.testing.assert_allclose(case.value(case.y), oracle, rtol=1e-13, atol=1e-14)


@every()
def test_the_text_reads_back(case):
    shapes = {arg.params[0]: arg.shape for arg in case.args}
    sizes = symbol("sizes_", tuple(SIZES))
    assert parse(plain(case.y), **shapes, sizes_=sizes.shape) is case.y


@every()
def test_the_code_has_the_same_value(case):
    op, y = case.op, case.y
    names = [arg.params[0] for arg in case.args]
    template = op.code(y) if callable(op.code) else op.code
    if not template:
        source = op.text(y, lambda part: (part.params[0], 100))[0]
    else:
        source = template.format(*names, **{f"p{k}": _literal(p) for k, p in enumerate(case.params)})
    space = {"np": np, **SIZES, "repeat": _repeat, **{name: case.values[name] for name in names}}
    exec(op.helper, space)
    np.testing.assert_allclose(eval(source, space), case.value(y), rtol=1e-13, atol=1e-14)
    assert not op.helper or f"def {re.match(r'[a-z_]+', template)[0]}(" in op.helper


def _literal(param):
    return float(param) if isinstance(param, Fraction) else param


def _repeat(x, axis, size):
    axes, sizes = ((axis,), (size,)) if isinstance(axis, int) else (axis, size)
    for a, n in zip(axes, sizes, strict=True):
        x = np.repeat(np.expand_dims(x, a), n, a)
    return x


@every()
def test_the_layout_renders(case):
    box = Writer()(case.y)
    shown = line(box)
    assert shown.strip() and "\n" not in shown
    for arg in case.args:
        assert arg.params[0] in shown
    written = latex(box)
    assert written.strip() and written.count("{") == written.count("}")


@each("op", TABLE, ids=lambda op: op.name)
def test_rule_and_reason_can_be_read_aloud(op):
    assert re.fullmatch(r"\S.*\S", op.rule) and len(op.rule.split()) >= 2
    assert len(op.why.split()) >= 4 and not op.why.endswith(".") and op.why == op.why.strip()
    assert op.domain in ("mask", "places", *INSIDE)


def is_defined(case):
    """Whether the operation has a value here: an inverse has none at a singular matrix."""
    try:
        case.moved(0)
    except SingularError:
        return False
    return True


@each("op", TABLE, ids=lambda op: op.name, tests=2)
def test_a_kink_is_stated_where_there_is_one_and_only_there(op):
    """Approach points where many functions bend, all operands 0 or all 1, from both sides along a line."""
    if INSIDE.get(op.domain) not in (None, STAYING) or op.domain == "places":
        assert not op.kink
        return
    bends = False
    for params, shapes in op.example:
        for start in (0.0, 1.0):
            for seed in range(3):
                case = Case(op, params, shapes, seed)
                case.values |= {
                    arg.params[0]: np.full_like(case.values[arg.params[0]], start) for arg in case.args
                }
                if not is_defined(case):
                    continue
                h, step = 1e-4, 1e-6
                left, right = (
                    (case.moved(side * h + step) - case.moved(side * h - step)) / (2 * step)
                    for side in (-1, 1)
                )
                jump = [np.abs(case.moved(side * h) - case.moved(0)).max() > 0.1 for side in (-1, 1)]
                if np.isfinite(left).all() and np.isfinite(right).all():
                    bends |= bool(np.any(np.abs(left - right) > 0.05) or any(jump))
    assert bends == bool(op.kink)


@pytest.mark.parametrize("op", [op for op in TABLE if op.kink and op.slopes], ids=lambda op: op.name)
def test_at_a_kink_the_slope_is_the_subgradient_of_smallest_norm(op):
    """On the line through equal operands: the slope there lies between its neighbours, nearest to none."""
    params, shapes = op.example[0]
    case = Case(op, params, shapes)
    at, h = {arg.params[0]: 0.0 for arg in case.args}, 1e-9
    slopes = [
        [float(case.value(slope(case.y, *case.args), **{**at, "a": x})) for x in (-h, 0.0, h)]
        for slope in op.slopes
    ]
    for before, here, after in slopes:
        low, high = sorted((before, after))
        nearest = min(max(low, 0.0), high)
        assert here == pytest.approx(nearest if len(slopes) == 1 else (low + high) / 2)


@each("name", FUNCTIONS)
def test_every_function_makes_operations_of_the_table(name):
    """And takes plain numbers where it takes expressions."""
    x = symbol("x", "n 1")
    special = {
        "ones": ("n",),
        "repeat": (x, 0, "m"),
        "squeeze": (x, 1),
        "dot": (x.T, x),
        "inner": (x, x),
        "vdot": (x, x),
        "outer": (symbol("v", "n"),) * 2,
        "kron": (x, x),
        "trace": (symbol("S", "n n"),),
        **{name: (symbol("S", "n n"),) for name in ("inv", "det", "logdet", "diagonal_sums")},
        "solve": (symbol("S", "n n"), symbol("v", "n")),
        "matrix_power": (symbol("S", "n n"), 3),
        "diag": (symbol("S", "n n"),),
        "eye": ("n",),
        "pinv": (x,),
        "triu": (symbol("S", "n n"),),
        "tril": (symbol("S", "n n"), 1),
        "swapaxes": (x, 0, 1),
        "einsum": ("ij,kj->ik", x, x),
        "zeros": ("n",),
        "cumsum": (x, 0),
        "flip": (x, 0),
        "prod_others": (x, 0),
        "concatenate": ([x, x],),
        "stack": ([x, x],),
        "reshape": (x, ("n",)),
        "embed": (x, FUNCTIONS["zeros"]("n", 2)[:, :1]),
        "take": (x, symbol("places_", "m")),
        "one_hot": (symbol("places_", "m"), "k"),
        "windows": (x, 1),
        **{f"{kind}_pool{axes}d": (x, 1) for kind in ("max", "avg") for axes in (1, 2)},
        **{f"max_share{axes}d": (x, 1) for axes in (1, 2)},
        "overlap_add": (x, "n"),
        **{f"max_{kind}{axes}d": (x, x, 1) for kind in ("take", "unpool") for axes in (1, 2)},
        "avg_unpool1d": (x, x.shape[1:], 1),
        "avg_unpool2d": (x, x.shape, 1),
        **dict.fromkeys(("conv1d", "conv_transpose1d"), (symbol("s", "c c n"), symbol("s", "c c n"))),
        **dict.fromkeys(("conv2d", "conv_transpose2d"), (symbol("s", "c c n n"), symbol("s", "c c n n"))),
        "conv1d_weight": (symbol("s", "c c n"), symbol("s", "c c n"), 1),
        "conv2d_weight": (symbol("s", "c c n n"), symbol("s", "c c n n"), (1, 1)),
    }
    axis = {"softmax": {"axis": 0}, "log_softmax": {"axis": 0}, "logsumexp": {"axis": 1}}
    several = {"maximum": 2, "minimum": 2, "where": 3, "clip": 3}
    two = (x,) * several.get(name, 1)
    made = FUNCTIONS[name](*special.get(name, two), **axis.get(name, {}))
    assert made.op in (*TABLE, *STEPS, *LEAVES)


def test_a_constant_is_told_from_a_variable():
    x, n = symbol("x", ""), parse("n", x="n")
    assert is_constant(n * 2 + 1) and not is_constant(n * x)


def test_what_divides_is_what_scales():
    """A number over a constant, and an array over a number, are scaled: one form for one thing."""
    x, v, n = symbol("x", ""), symbol("v", "n"), parse("n", x="n")
    assert x / n is (1 / n) * x and v / x is (1 / x) * v and x / 4 is 0.25 * x
    assert (2 / n).op.name == "divide" and (x / x).op.name == "divide"


def test_repetition_is_written_in_one_way():
    x, v, repeat = symbol("x", ""), symbol("v", "n"), FUNCTIONS["repeat"]
    assert repeat(x, (1, 0), ("m", "k")) is repeat(x, (0, 1), ("k", "m"))
    assert repeat(repeat(x, 0, "k"), 1, "m") is repeat(x, (0, 1), ("k", "m"))
    assert repeat(v, -1, "m") is repeat(v, 1, "m")
    for axis, size in ((3, "m"), ((0, 0), ("m", "k")), ((0,), ("m", "k")), (0, 0), (0, "1x"), (0, "exp")):
        with pytest.raises(MathError):
            repeat(v, axis, size)


@pytest.mark.parametrize(
    "value", [10**1200, -(10**400), Fraction(1, 10**1100), float("inf"), float("nan"), "1", None]
)
def test_a_number_that_no_formula_holds_is_refused(value):
    with pytest.raises(MathError):
        FUNCTIONS["relu"](value)
