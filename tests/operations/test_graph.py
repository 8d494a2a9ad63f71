"""Does a formula come back from JSON as the identical expression, and nothing else come through?"""

import contextlib
import copy
import json
import random

import pytest
from tables import each

from gradstep.expression.errors import MathError
from gradstep.operations import TABLE
from gradstep.operations.graph import from_json, to_json
from gradstep.operations.leaves import number, pi, size, symbol
from gradstep.operations.sums import mean
from gradstep.operations.triangles import tril

EXAMPLES = [(op, params, shapes) for op in TABLE for params, shapes in op.example]


def there_and_back(roots):
    return from_json(json.loads(json.dumps(to_json(roots))))


def neuron():
    X, w, b, y = symbol("X", "N d"), symbol("w", "d"), symbol("b"), symbol("y", "N")
    return mean((y - (X @ w + b)) ** 2)


@each("op, params, shapes", EXAMPLES)
def test_every_operation_comes_back(op, params, shapes):
    operands = [symbol(f"v{k}", shape) for k, shape in enumerate(shapes)]
    expr = op(*operands, params=params)
    assert there_and_back({"e": expr})["e"] is expr


def test_leaves_come_back():
    roots = {
        "half": number(0.5) * symbol("S", "n n", ("symmetric",)),
        "tiny": number(1e-20) + symbol("x"),
        "long": number(2) ** 64,
        "size": size("N") * symbol("v", "N"),
        "pi": pi,
        "triangle": tril(symbol("T", "m n"), -2),
        "fixed": symbol("M", (3, "k")),
    }
    assert there_and_back(roots) == roots


def test_roots_share_their_nodes():
    loss = neuron()
    data = to_json({"loss": loss, "inner": loss.args[1]})
    assert len(data["nodes"]) == len(to_json({"loss": loss})["nodes"])


def forged(change):
    data = to_json({"loss": neuron()})
    change(data)
    return data


def at(name):
    """The first node of an operation, as a change sees it."""
    return lambda data: next(node for node in data["nodes"] if node[0] == name)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("roots"),
        lambda data: data.update(more=1),
        lambda data: data.update(format=0),
        lambda data: data.update(nodes=[]),
        lambda data: data.update(nodes="nodes"),
        lambda data: data.update(roots={}),
        lambda data: data["roots"].update(loss=99),
        lambda data: data["roots"].update(loss=-1),
        lambda data: data["roots"].update(loss=True),
        lambda data: data["nodes"].append(["add", [0, 99], []]),
        lambda data: data["nodes"].append(["add", [0, 0, 0], []]),
        lambda data: data["nodes"].append(["add", [0], []]),
        lambda data: data["nodes"].append(["eval", [0], ["__import__('os')"]]),
        lambda data: data["nodes"].append(["symbol", [], ["__class__", [], []]]),
        lambda data: data["nodes"].append(["symbol", [], ["exp", [], []]]),
        lambda data: data["nodes"].append(["symbol", [], ["q", ["N"] * 40, []]]),
        lambda data: data["nodes"].append(["symbol", [], ["X", ["N"], []]]),
        lambda data: data["nodes"].append(["symbol", [], ["N", ["d"], []]]),
        lambda data: data["nodes"].append(["symbol", [], ["q", [10**6, 10**6], []]]),
        lambda data: data["nodes"].append(["symbol", [], ["q", ["n"], ["nonsense"]]]),
        lambda data: data["nodes"].append(["number", [], [{"number": "1/0"}]]),
        lambda data: data["nodes"].append(["number", [], [{"number": "9" * 5000}]]),
        lambda data: data["nodes"].append(["number", [], [{"number": "٣"}]]),
        lambda data: data["nodes"].append(["number", [], [3.5]]),
        lambda data: data["nodes"].append(["size", [], [7]]),
        lambda data: data["nodes"].append("add"),
        lambda data: data["nodes"].append([["add"], [0, 0], []]),
        lambda data: at("matmul")(data)[1].reverse(),
        lambda data: at("matmul")(data).__setitem__(2, [[0]]),
        lambda data: at("sum")(data).__setitem__(2, [[7]]),
        lambda data: at("sum")(data).__setitem__(2, [["N"]]),
        lambda data: at("repeat")(data).__setitem__(2, [[0], [3]]),
        lambda data: at("repeat")(data).__setitem__(2, [[0], [[[[["N"]]]]]]),
        lambda data: at("repeat")(data).__setitem__(2, [[0, 1, 2, 3, 4, 5, 6], ["N"] * 7]),
    ],
)
def test_what_was_never_written_is_refused(change):
    with pytest.raises(MathError):
        from_json(forged(change))


def test_a_newer_format_says_so():
    with pytest.raises(MathError, match="format 2") as error:
        from_json(forged(lambda data: data.update(format=2)))
    assert error.value.mend == "a newer gradstep"


def test_an_unknown_operation_is_named():
    with pytest.raises(MathError, match="'eval'"):
        from_json(forged(lambda data: data["nodes"].append(["eval", [0], []])))


@pytest.mark.parametrize("data", [None, 3, "text", [], {}, {"format": 1}])
def test_what_is_no_graph_is_refused(data):
    with pytest.raises(MathError):
        from_json(data)


def test_random_damage_is_an_expression_or_an_error():
    dice = random.Random(0)
    original = to_json({"loss": neuron()})
    for _ in range(2000):
        data = copy.deepcopy(original)
        node = dice.choice(data["nodes"])
        node[dice.randrange(3)] = dice.choice(
            [0, -1, "add", [], [0], [[0], ["N"]], None, {"number": "1"}, 1e9, ["X"]]
        )
        with contextlib.suppress(MathError):
            from_json(data)
