"""How is a formula kept in a file? As a list of nodes, each with its operation and the nodes it works on.

The list is plain JSON. Reading it back builds every node anew through its operation, so that shapes are
worked out again and never believed, and computes each node once on small arrays; nothing in the file is run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from gradstep.expression.errors import MathError, SingularError
from gradstep.expression.node import Expr, Params, upstairs, walk
from gradstep.expression.shapes import Lengths, size_names
from gradstep.operations.declared import DECLARED, Declared, operation
from gradstep.operations.leaves import (
    TRIANGLES,
    checked_size,
    eye_op,
    number,
    number_op,
    pi,
    pi_op,
    size,
    size_op,
    symbol,
    symbol_op,
    triangle_op,
)
from gradstep.operations.lengths import needs
from gradstep.operations.lookups import lookups

FORMAT = 1
MOST_NODES = 100_000
MOST_DIGITS = 1_100
LARGEST_SIZE = 1_000_000  # of an axis that is given as a number
MOST_ENTRIES = 20_000_000  # of the arrays that check the nodes
MOST_PRODUCTS = 1_000_000_000  # of their entries, at most
SMALL_SIZES = (2, 3, 5, 7, 4, 6)  # what the named sizes are while nodes are checked

MOST_FUNCTIONS = 100
DEEPEST = 20  # declared functions within declared functions


def to_json(roots: Mapping[str, Expr]) -> dict[str, Any]:
    """The expressions, by name, as one list of nodes that they share: plain values, ready for `json`."""
    place: dict[Expr, int] = {}
    nodes: list[list[Any]] = []
    for node in walk(*roots.values()):
        place[node] = len(nodes)
        nodes.append([node.op.name, [place[arg] for arg in node.args], _plain(node.params)])
    data = {"format": FORMAT, "nodes": nodes, "roots": {name: place[root] for name, root in roots.items()}}
    used = {node.op.name: DECLARED[node.op.name] for node in place if node.op.name in DECLARED}
    if used:
        data["functions"] = [_function_to_json(declared) for declared in used.values()]
    return data


def _function_to_json(declared: Declared) -> dict[str, Any]:
    """A declared function: its definition, as a formula over its variables."""
    return {
        "name": declared.name,
        "variables": [variable.params[0] for variable in declared.variables],
        "defaults": {name: _plain(value) for name, value in declared.defaults.items()},
        "definition": to_json({declared.name: declared.body}),
    }


def _function_from_json(data: object, depth: int) -> None:
    """Declares the function that a formula uses, from the definition that came with it."""
    match data:
        case {
            "name": str(name),
            "variables": [*variables],
            "defaults": Mapping() as defaults,
            "definition": definition,
            **rest,
        } if not rest and depth < DEEPEST and all(isinstance(each, str) for each in (*variables, *defaults)):
            read = {key: _param(0, value, 0) for key, value in defaults.items()}
            if set(read) <= set(variables) and all(isinstance(value, Fraction) for value in read.values()):
                body = _read(definition, depth + 1).get(name)
                if body is not None and not body.shape:
                    upstairs("_redeclared")(name, variables, read, body)
                    return
    raise _spoiled("a function that it uses is not declared as it should be")


def from_json(data: object) -> dict[str, Expr]:
    """The expressions that `to_json` wrote, by name. Anything that is not quite that is a `MathError`."""
    return _read(data, 0)


def _read(data: object, depth: int) -> dict[str, Expr]:
    if not isinstance(data, Mapping) or set(data) - {"functions"} != {"format", "nodes", "roots"}:
        raise _spoiled("it should have exactly the fields format, nodes, roots")
    if data["format"] != FORMAT:
        newer = isinstance(data["format"], int) and data["format"] > FORMAT
        raise MathError(
            f"this formula has format {data['format']!r:.20}, and this gradstep reads {FORMAT}",
            mend="a newer gradstep" if newer else None,
        )
    nodes, roots = data["nodes"], data["roots"]
    if not isinstance(nodes, list) or not 0 < len(nodes) <= MOST_NODES:
        raise _spoiled(f"it should have from 1 to {MOST_NODES:,} nodes")
    if not isinstance(roots, Mapping) or not roots:
        raise _spoiled("it has no roots")
    functions = data.get("functions", [])
    if not isinstance(functions, list) or len(functions) > MOST_FUNCTIONS:
        raise _spoiled("its functions should be a list")
    for function in functions:
        _function_from_json(function, depth)
    made: list[Expr] = []
    for at, node in enumerate(nodes):
        made.append(_node(at, node, made))
    found = {}
    for name, at in roots.items():
        if not isinstance(name, str) or not _is_place(at, len(made)):
            raise _spoiled("a root points to no node")
        found[name] = made[at]
    _check_names(made)
    _check_by_computing(made)
    return found


# ------------------------------------------------------------------------------------------- one node


def pickled(expr: Expr) -> dict[str, Any]:
    """`expr` as plain data, for pickle and copies to other processes."""
    return to_json({"expr": expr})


def unpickled(data: object) -> Expr:
    """The expression that `pickled` wrote."""
    return from_json(data)["expr"]


def _node(at: int, data: object, made: Sequence[Expr]) -> Expr:
    if not isinstance(data, list) or len(data) != 3:
        raise _spoiled(f"node {at} should be an operation, its operands and its parameters")
    name, places, plain = data
    if not isinstance(places, list) or not all(_is_place(place, at) for place in places):
        raise _spoiled(f"node {at} works on nodes that do not come before it")
    params = _params(at, plain)
    if not places:
        return _leaf(at, name, params)
    op = operation(name) if isinstance(name, str) else None
    if op is None:
        raise MathError(f"this formula uses an operation that gradstep does not know: {name!r:.40}")
    patterns = {_pattern(params) for params, _ in op.example}
    counts = {len(shapes) for _, shapes in op.example}
    if _pattern(params) not in patterns or len(places) not in counts:
        raise _spoiled(f"node {at} does not fit the operation {name}")
    try:
        return op(*(made[place] for place in places), params=params)
    except MathError as error:
        raise _spoiled(f"the shapes of node {at} do not fit: {error.what}") from None
    except (ValueError, TypeError, LookupError, AttributeError):
        raise _spoiled(f"node {at} does not fit the operation {name}") from None


def _leaf(at: int, name: object, params: Params) -> Expr:
    """A variable, a number or a size, through the same door as the user's own."""
    try:
        match name, params:
            case symbol_op.name, (str(called), tuple(shape), tuple(assumed)):
                return symbol(called, shape, assumed)
            case number_op.name, (Fraction() as value,):
                return number(value)
            case size_op.name, (str(called),):
                return size(called)
            case pi_op.name, ():
                return pi
            case eye_op.name, (str() | int() as n,):
                return eye_op(params=(checked_size(n),))
            case triangle_op.name, (str(side), str() | int() as m, str() | int() as n, Fraction() as k) if (
                side in TRIANGLES and k.denominator == 1
            ):
                return triangle_op(params=(side, checked_size(m), checked_size(n), k))
    except MathError as error:
        raise _spoiled(f"node {at}: {error.what}") from None
    raise _spoiled(f"node {at} is neither a variable nor a number")


def _pattern(param: object) -> object:
    """What kind of parameter this is, for comparison with the examples of the operation."""
    if isinstance(param, tuple):
        inside = {_pattern(part) for part in param}
        return "()" if not inside else (tuple, *map(_pattern, param)) if len(inside) > 1 else (tuple, *inside)
    return "size" if isinstance(param, int | str) else type(param)


def _plain(param: object) -> Any:
    """A parameter as JSON: a fraction is text such as "1/2" in a record of its own."""
    if isinstance(param, tuple):
        return [_plain(part) for part in param]
    return {"number": str(param)} if isinstance(param, Fraction) else param


def _params(at: int, plain: object) -> Params:
    params = _param(at, plain, 0)
    if not isinstance(params, tuple):
        raise _spoiled(f"the parameters of node {at} are not a list")
    return params


def _param(at: int, plain: object, depth: int) -> Any:
    match plain:
        case list() if depth < 4 and len(plain) <= 64:
            return tuple(_param(at, part, depth + 1) for part in plain)
        case bool():
            pass
        case int() if 0 <= plain <= LARGEST_SIZE:
            return plain
        case str() if len(plain) <= 64:
            return plain
        case {"number": str(text), **rest} if not rest and len(text) <= 2 * MOST_DIGITS:
            top, _, bottom = text.partition("/")
            if _digits(top.removeprefix("-")) and (not bottom or (_digits(bottom) and bottom.strip("0"))):
                return Fraction(int(top), int(bottom or "1"))
    raise _spoiled(f"node {at} has a parameter that no operation has")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def _is_place(at: object, below: int) -> bool:
    return isinstance(at, int) and not isinstance(at, bool) and 0 <= at < below


# ------------------------------------------------------------------------------------------- the whole


def _check_names(made: Sequence[Expr]) -> None:
    """A name is one variable, and no variable is called like a size."""
    variables: dict[object, Expr] = {}
    for node in made:
        if node.op is symbol_op and variables.setdefault(node.params[0], node) is not node:
            raise _spoiled(f"{node.params[0]} is two variables")
    clash = {name for node in made for size in node.shape for name in size_names(size)} & set(variables)
    if clash:
        raise _spoiled(f"{min(map(str, clash))} is both a variable and a size")


def _check_by_computing(made: Sequence[Expr]) -> None:
    """Each node, computed once on small arrays of ones, has the shape that its operation promised."""
    import numpy as np

    named = dict.fromkeys(
        name for node in made for size in (*node.shape, *_size_of(node)) for name in size_names(size)
    )
    sizes = Lengths(zip(named, itertools.cycle(SMALL_SIZES), strict=False))
    sizes.lengthen((need for node in made for need in needs(node)), len(SMALL_SIZES))
    shapes = [tuple(sizes[size] for size in node.shape) for node in made]
    entries = sum(map(math.prod, shapes))
    if entries > MOST_ENTRIES:
        raise _spoiled(f"even on small data it would need {entries:,} numbers")
    products = sum(
        math.prod(shape) * max((sizes[size] for arg in node.args for size in arg.shape), default=1)
        for node, shape in zip(made, shapes, strict=True)
        if node.op.slopes is None
    )
    if products > MOST_PRODUCTS:
        raise _spoiled(f"even on small data it would take {products:,} products")
    done: dict[Expr, Any] = {}
    rows = lookups(made)
    for at, (node, shape) in enumerate(zip(made, shapes, strict=True)):
        fill = np.zeros if node in rows else np.ones
        try:
            done[node] = fill(shape) if node.op is symbol_op else _computed(np, at, node, sizes, done)
        except SingularError:  # of ones; of other values it may have one
            done[node] = np.ones(shape)
        if done[node].shape != shape:
            raise _spoiled(f"node {at} does not have the shape that it should have")


def _computed(np: Any, at: int, node: Expr, sizes: Lengths, done: Mapping[Expr, Any]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return np.asarray(node.op.meaning(np, sizes, node.params, *(done[arg] for arg in node.args)))
    except SingularError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        raise _spoiled(f"node {at} cannot be computed") from None


def _size_of(node: Expr) -> Params:
    return node.params if node.op is size_op else ()


def _spoiled(why: str) -> MathError:
    return MathError(f"this saved formula cannot be used: {why}", mend="training and saving it again")
