"""Is a program the expression it was made from, written once, in order, under safe names?"""

import keyword

import numpy as np
import pytest
from backends.losses import CASES, SIZES, arrays, derived, swept
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from gradstep.backends.economy import LEAN, vdot_op
from gradstep.backends.program import COLUMNS, INLINE, program, spelled
from gradstep.backends.safe_names import RESERVED, Names, identifier
from gradstep.expression.errors import MathError
from gradstep.expression.node import walk
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import belongs, evaluate, sizes_of, variables
from gradstep.operations.improving import improved
from gradstep.operations.leaves import number, number_op, size, symbol, symbol_op
from gradstep.operations.precision import evaluate_to
from gradstep.operations.stabilising import LATER

BOOK = [*LATER, *LEAN]
cases = each("case", CASES.values(), ids=CASES, tests=2)


def values_of(expr, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    belongs(expr, [symbol(f"of_size_{s}", s) for s in "mnkN"])
    lengths = {**SIZES, "n": 6}
    return {
        name: scale * rng.normal(size=[lengths.get(s, s) for s in variable.shape])
        for name, variable in variables(expr).items()
    }


def as_written(expr, values, digits=40):
    """The value of `expr` with many digits, where no improvement is needed and none is made."""
    return np.asarray(evaluate_to(digits, expr, **values), dtype=float)


# --------------------------------------------------------------------------------------- equations for code

EXAMPLES = [(entry, example) for entry in BOOK for example in entry.examples]


@each(("entry", "example"), EXAMPLES, ids=lambda x: getattr(x, "name", None) or str(x)[:60], tests=2)
def test_an_improvement_changes_its_examples_and_not_their_value(entry, example):
    after = improved([example], [entry])[example]
    assert after is not example
    assert after.shape == example.shape
    values = values_of(example)
    belongs(after, variables(example).values())
    np.testing.assert_allclose(evaluate(after, **values), as_written(example, values), rtol=1e-13, atol=1e-14)


@each("entry", BOOK, ids=lambda entry: entry.name)
def test_an_improvement_has_a_reason_and_examples(entry):
    assert entry.name and entry.why and entry.examples
    for example in entry.examples:
        assert any(node.op in entry.heads for node in walk(example))


@each(("entry", "example"), EXAMPLES, ids=lambda x: getattr(x, "name", None) or str(x)[:60], tests=2)
def test_the_whole_book_comes_to_an_end_and_keeps_the_value(entry, example):
    after = improved([example], BOOK)[example]
    assert improved([after], BOOK)[after] is after
    values = values_of(example, seed=1)
    belongs(after, variables(example).values())
    np.testing.assert_allclose(evaluate(after, **values), as_written(example, values), rtol=1e-12, atol=1e-13)


@each("example", [e for entry in LATER for e in entry.examples], ids=lambda e: str(e)[:60], tests=4)
def test_the_safe_form_has_a_value_wherever_there_is_one(example):
    """With 900 digits nothing that is written cancels, and nothing overflows."""
    name = next(iter(variables(example)))
    for large in (1000.0, -1000.0, 1e-20):
        values = values_of(example)
        shape = np.shape(values[name])
        spread = np.linspace(-large, large, values[name].size) if shape else np.array(large)
        values[name] = spread.reshape(shape)
        wanted = as_written(example, values, 900)
        there = np.isfinite(wanted)
        found = np.asarray(evaluate(example, **values))
        np.testing.assert_allclose(found[there], wanted[there], rtol=1e-13, atol=0)


# ------------------------------------------------------------------------------------------- the program


def run(made, values):
    """The outputs of a program, each line evaluated by the reference interpreter."""
    declared = [entry.symbol for entry in made.inputs]
    known = {
        str(entry.symbol.params[0]): np.asarray(values[entry.name], dtype=float) for entry in made.inputs
    }

    def worth(expr):
        belongs(expr, declared)
        return evaluate(expr, **{name: known[name] for name in variables(expr) if name in known})

    for line in made.lines:
        known[line.name] = worth(line.value)
    return {name: worth(output) for name, output in made.outputs.items()}


@pytest.mark.parametrize("made_by", [swept, lambda case: derived(case)[0]], ids=["swept", "derived"])
@cases
def test_a_program_is_worth_what_its_outputs_are(case, made_by):
    outputs, values = made_by(case), arrays(case)
    found = run(program(outputs), values)
    for name, output in outputs.items():
        belongs(output, variables(case.loss).values())
        np.testing.assert_allclose(found[name], evaluate(output, **values), rtol=1e-11, atol=1e-13)


@cases
def test_lines_are_in_single_assignment_and_in_order(case):
    made = program(*derived(case))
    known = {str(entry.symbol.params[0]) for entry in made.inputs}
    for line in made.lines:
        assert {node.params[0] for node in walk(line.value) if node.op is symbol_op} <= known
        assert line.name not in known
        known.add(line.name)
    assert {n.params[0] for n in walk(*made.outputs.values()) if n.op is symbol_op} <= known
    halves = [line.half for line in made.lines]
    assert halves == sorted(halves, reverse=True)  # forward, then backward


@cases
def test_nothing_is_computed_twice(case):
    made = program(*derived(case))
    written = [
        node for root in (*(line.value for line in made.lines), *made.outputs.values()) for node in [root]
    ]
    seen = set()
    for root in written:
        for node in walk(root):
            if node.args and node.rank and node.op not in INLINE:
                assert node not in seen, spelled(node)[0]
                seen.add(node)


@cases
def test_lines_are_short(case):
    for line in program(*derived(case)).lines:
        assert len(spelled(line.value)[0]) <= COLUMNS


def test_named_parts_keep_their_lines_and_cotangents_their_names():
    made = program(*derived(CASES["neuron"]))
    assert [line.name for line in made.lines] == ["z", "a", "e", "C", "dz"]
    assert str(made) == (
        "z = X @ w + b\na = relu(z)\ne = y - a\nC = e @ e/N\ndz = -2/N*(e*(z > 0))\n"
        "C: C\nw: X.T @ dz\nb: sum(dz)"
    )


def test_without_names_shared_parts_get_some():
    made = program(derived(CASES["neuron"])[0])
    assert [line.name for line in made.lines] == ["t", "e", "C", "g"]


def test_a_number_scales_once_and_late_where_one_gradient_is_asked_for():
    made = program(*derived(CASES["neuron for w alone"]))
    assert spelled(made.gradients["w"])[0] == "-2/N*(X.T @ (e*(z > 0)))"


def test_comments_stand_beside_the_lines_they_belong_to():
    outputs, names = derived(CASES["neuron"])
    made = program(outputs, names, comments={"z": "affine function"})
    assert {line.name: line.comment for line in made.lines}["z"] == "affine function"


def test_sizes_come_from_inputs_that_are_no_longer_mentioned():
    X, w = symbol("X", "N d"), symbol("w", "d")
    made = program({"": belongs(size("N") * FUNCTIONS["sum"](w), [X, w])})
    assert made.sizes["N"] == ("X", 0)
    assert {entry.name for entry in made.inputs} == {"X", "w"}


def test_a_size_that_no_input_has_is_an_error():
    with pytest.raises(MathError, match="the size q is not known"):
        program({"": symbol("b") * size("q")})
    with pytest.raises(MathError):
        program({})


def test_a_parameter_may_be_called_like_the_loss():
    C = symbol("C")
    made = program({"": C**2, "C": 2 * C})
    assert [line.name for line in made.lines] == ["C_2"]


def test_what_is_not_a_name_or_a_number_never_becomes_code():
    evil = symbol_op(params=("x; import os", (), ()))
    with pytest.raises(MathError, match="cannot be written as code"):
        program({"": evil + number(1)})
    with pytest.raises(MathError, match="cannot be written as code"):
        program({"": number_op(params=("1)",)) + symbol("x")})


def test_a_deep_network_hits_no_limit_and_grows_linearly():
    def lines(depth):
        A = symbol("X", "N d")
        for i in range(depth):
            A = FUNCTIONS["relu"](A @ symbol(f"W{i}", "d d") + symbol(f"b{i}", "d"))
        return len(program({"C": FUNCTIONS["mean"](A**2)}).lines)

    assert lines(1000) == pytest.approx(2 * lines(500), rel=0.1)


def test_the_inner_product_of_matrices_is_what_it_says():
    A, B = symbol("A", "m n"), symbol("B", "m n")
    values = values_of(A * B)
    np.testing.assert_allclose(evaluate(vdot_op(A, B), **values), (values["A"] * values["B"]).sum())


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("X", "X"), ("z̄", "dz"), ("∂C/∂Z1", "dZ1"), ("H₁", "H1"), ("Z̄₂", "dZ2"), ("λ", "lambda_"),
        ("Σ", "Sigma"), ("np", "np_"), ("sum", "sum_"), ("return", "return_"),
        ("1x", "t1x"), ("", "t"), ("∇w", "dw"),
        ("a b", "ab"), ("x__y", "x_y"), ("__class__", "class_"),
    ],
)  # fmt: skip
def test_names_become_identifiers_that_read_alike(wanted, name):
    assert identifier(wanted) == name


@given(st.lists(st.text(max_size=80), max_size=8))
def test_names_are_safe_and_each_is_given_once(wanted):
    names = Names()
    given_names = [names.give(word) for word in wanted]
    assert len(set(given_names)) == len(given_names)
    for name in given_names:
        assert name.isidentifier() and name.isascii() and len(name) <= 64
        assert not keyword.iskeyword(name) and name not in RESERVED and "__" not in name


def test_every_size_is_read_from_an_input_that_has_it():
    for case in CASES.values():
        made = program({"": case.loss})
        values = arrays(case)
        expected = sizes_of({e.name: e.declared for e in made.inputs}, values)
        names = {str(entry.symbol.params[0]): entry.name for entry in made.inputs}
        for name, (variable, axis) in made.sizes.items():
            assert values[names[variable]].shape[axis] == expected[name]


def test_variables_of_another_loss_with_the_same_gradient_do_not_come_along():
    w, X = symbol("w", "d"), symbol("X", "N d")
    belongs(2 * w, [w, X])
    made = program({"C": FUNCTIONS["sum"](w**2), "w": 2 * w})
    assert [entry.name for entry in made.inputs] == ["w"]


def test_a_recurrence_is_not_spelled_out_to_be_thrown_away():
    """Its text would be 3⁴⁰ letters long."""
    y = symbol("x", "n")
    for _ in range(40):
        y = FUNCTIONS["tanh"](y * y + y)
    assert program({"C": FUNCTIONS["sum"](y)}).header == "The value"
