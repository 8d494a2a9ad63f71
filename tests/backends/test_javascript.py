"""Does the program in JavaScript compute what the program in NumPy computes, for any sizes?"""

import json

import numpy as np
import pytest
from backends.losses import CASES
from backends.test_c import MORE, functions
from cases import FILE, derivations, load

import gradstep as gs
from benchmarks.closed_forms import bank, folder
from gradstep.backends.javascript import write
from gradstep.expression.errors import MathError
from gradstep.operations.evaluation import sizes_of

RUN = """
const numbers = x => Array.from(typeof x === "number" ? [x] : x, String);
const run = (f, inputs, sizes) => {
  const given = Object.fromEntries(Object.entries(inputs).map(
    ([key, x]) => [key, Array.isArray(x) ? Float64Array.from(x.map(Number)) : Number(x)]));
  let found = f(given, sizes);
  if (found.value === undefined) found = { value: found, gradients: {} };
  const gradients = Object.entries(found.gradients).map(([key, x]) => [key, numbers(x)]);
  return { value: numbers(found.value), gradients: Object.fromEntries(gradients) };
};
globalThis.answer = {};
"""


def plain(array):
    """An array as JSON has it, row by row; infinities as words."""
    return [str(x).replace("inf", "Infinity") for x in np.ravel(array)] if np.ndim(array) else float(array)


def run(javascript, jobs):
    """Every function in JavaScript on its values, in one go."""
    text = RUN
    for name, (function, values) in jobs.items():
        source = write(function.program).replace("export function", "return function")
        given = {each.name: np.array(values[each.name], float) for each in function.program.inputs}
        symbols = {each.name: each.declared for each in function.program.inputs}
        sizes = {key: n for key, n in sizes_of(symbols, given).items() if isinstance(key, str)}
        inputs = json.dumps({key: plain(value) for key, value in given.items()})
        text += f"answer[{json.dumps(name)}] = run((() => {{{source}}})(), {inputs}, {json.dumps(sizes)});\n"
    return javascript(text)


def compare(found, expected, close=1e-12):
    value, gradients = expected if isinstance(expected, tuple) else (expected, {})
    everything = {"": value, **gradients}
    given = {"": found["value"], **found["gradients"]}
    for key, right in everything.items():
        scale = np.abs(np.nan_to_num(np.asarray(right), posinf=0, neginf=0)).max(initial=0)
        np.testing.assert_allclose(
            [float(x) for x in given[key]], np.ravel(right), rtol=1e-11, atol=close * max(1, scale)
        )


@pytest.fixture(scope="module")
def answers(javascript):
    jobs = {name: (function, values) for name, function, values in functions()}
    found = run(javascript, jobs)
    return {name: (found[name], *job) for name, job in jobs.items()}


@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_javascript_agrees(answers, name):
    found, function, values = answers[name]
    compare(found, function(**values))


@pytest.mark.skipif(not FILE.is_file(), reason="the reference cases are not here")
def test_reference_cases_agree(javascript):
    place = folder()
    jobs, unsaid = {}, []
    for case, derivation in derivations(load()):
        function = gs.compile(derivation)
        try:
            write(function.program)
        except MathError as error:
            unsaid.append(str(error).split()[0])
            continue
        jobs[f"f{len(jobs)}"] = (function, bank(place).draw(case, 3))
    found = run(javascript, jobs)
    for name, (function, values) in jobs.items():
        given = {each.name: values[each.name] for each in function.program.inputs}
        compare(found[name], function(**given))
    assert len(jobs) >= 220
    assert {*unsaid} <= {"diagonal_sums"}


def test_logdet_is_of_the_size_of_the_determinant(javascript):
    function = gs.compile(gs.derive(gs.parse("logdet(A) + det(A)", A="n n"), "A", certify=False))
    values = {"A": np.array([[1.0, 3.0], [2.0, 1.0]])}
    compare(run(javascript, {"negative": (function, values)})["negative"], function(**values))


def test_it_reads_as_by_hand():
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    source = gs.compile(gs.derive(loss, ["w", "b"]), "javascript").source
    assert source.count("for (") == 3, "one pass over the rows, in it the products with w and for dw"
    assert source.count("new Float64Array") == 1, "what is needed for one row is a number"
    assert "const d = w.length, N = y.length;" in source


@pytest.mark.parametrize("name", ["new", "double", "total", "sizes", "Math", "i", "dx", "eliminated"])
def test_names_that_mean_something_elsewhere(name, javascript):
    loss = gs.parse(f"sum({name}**2 * x) + sum(erf(x)) + sum(x)**2", **{name: "n", "x": "n"})
    function = gs.compile(gs.derive(loss, [name, "x"]))
    values = {name: np.array([1.0, 2, 3]), "x": np.array([0.5, -1, 4])}
    compare(run(javascript, {"f0": (function, values)})["f0"], function(**values))
    assert f"double {name}," not in gs.compile(loss, "c").source or name not in ("new", "double")


def test_lengths_are_checked_and_sizes_asked_for():
    source = gs.compile(gs.parse("sum(A @ B)", A="m n", B="n k"), "javascript").source
    assert "function value({ A, B }, { m, n, k })" in source
    assert 'throw new RangeError("B has to be n×k")' in source
    with pytest.raises(MathError, match="taken away"):
        gs.compile(gs.parse("sum(x)", x="n"), "javascript")(x=np.ones(3))
