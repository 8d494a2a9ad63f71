"""How is a call such as sum(X, axis=1) read? Which function, which operands, and what is fixed in writing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import NoReturn

from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size
from gradstep.notation.mending import nearest
from gradstep.notation.places import Formula
from gradstep.operations import FUNCTIONS

# What to evaluate first, and what to make of it.
Plan = tuple[Sequence[ast.expr], Callable[..., Expr]]

LIBRARIES = frozenset(
    {"np", "numpy", "gs", "gradstep", "torch", "jnp", "jax", "tf", "math", "linalg", "special"}
)
ELSEWHERE = {
    "max": "maximum",
    "min": "minimum",
    "ln": "log",
    "sgn": "sign",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "fabs": "abs",
    "absolute": "abs",
    "average": "mean",
    "total": "sum",
    "inner": "dot",
    "vdot": "dot",
    "lrelu": "leaky_relu",
    "inverse": "inv",
    "determinant": "det",
    "slogdet": "logdet",
    "tr": "trace",
}


@cache
def parameters(name: str) -> Mapping[str, inspect.Parameter]:
    """What a function takes, by name."""
    return inspect.signature(FUNCTIONS[name]).parameters


def function(formula: Formula, node: ast.Call, values: Collection[str]) -> str:
    """The name of the function that `node` calls; `values` are the names that are no functions."""
    match node.func:
        case ast.Name(id=name) if name in values:
            inner = ", ".join(map(formula.text, node.args))
            formula.slip(node, f"{name} is no function", [f"{name}*({inner})"])
        case ast.Name(id=name) if name in FUNCTIONS:
            return name
        case ast.Name(id=name):
            close = _near(name)
            facts = f"near: {', '.join(close)}" if close else f"functions: {', '.join(FUNCTIONS)}"
            formula.slip(node.func, f"gradstep has no function {name}", close, [facts])
        case ast.Attribute(value=ast.Name(id=library) | ast.Attribute(attr=library), attr=name) if (
            library in LIBRARIES and library not in values
        ):
            written, ours = formula.text(node.func), ELSEWHERE.get(name, name)
            plain = f"write {ours}, not {written}"
            what = plain if ours in FUNCTIONS else f"gradstep has no function {written}"
            formula.slip(node.func, what, _near(name))
        case ast.Attribute(value=inner, attr=name) if name in FUNCTIONS:
            rest = [formula.text(part) for part in node.args]
            rest += [f"{option.arg}={formula.text(option.value)}" for option in node.keywords]
            instead = f"{name}({', '.join([formula.text(inner), *rest])})"
            formula.slip(node, "a function stands before its operand", [instead])
        case ast.Attribute(attr="T"):
            formula.slip(node, "the transpose is written .T, without brackets", [formula.text(node.func)])
    formula.wrong(node.func, "only the functions of gradstep can be called, by their names")


def _near(name: str) -> list[str]:
    """The functions that may be meant."""
    close = nearest(name, FUNCTIONS)
    return list(dict.fromkeys([ELSEWHERE[name], *close])) if name in ELSEWHERE else close


def call(formula: Formula, node: ast.Call, name: str, sizes: Collection[Size]) -> Plan:
    """The operands of a call and what it makes of them; axes, sizes and keepdims are read here and now."""
    made = FUNCTIONS[name]
    takes = parameters(name)
    if [place.kind for place in takes.values()] == [inspect.Parameter.VAR_POSITIONAL]:
        given = _sizes_of(formula, node, name, sizes)
        return (), lambda: made(*given)
    if "indices" in takes:
        return _einsum(formula, node, made)
    arguments = _arguments(formula, node, name)
    readers: dict[str, Callable[[ast.expr], object]] = {
        "axis": lambda part: _axis(formula, part),
        "keepdims": lambda part: _flag(formula, part),
        "size": lambda part: _one_or_more_sizes(formula, part, sizes),
    }
    fixed = {option: read(arguments.pop(option)) for option, read in readers.items() if option in arguments}
    operands = tuple(arguments)
    return (
        tuple(arguments.values()),
        lambda *values: made(**dict(zip(operands, values, strict=True)), **fixed),
    )


def _einsum(formula: Formula, node: ast.Call, made: Callable[..., Expr]) -> Plan:
    """einsum("ij,jk->ik", A, B): the indices are fixed in writing."""
    match node:
        case ast.Call(args=[ast.Constant(value=str(indices)), *operands], keywords=[]) if operands:
            return operands, lambda *values: made(indices, *values)
    formula.wrong(node, 'einsum takes its indices in quotes and the operands: einsum("ij,jk->ik", A, B)')


def _arguments(formula: Formula, node: ast.Call, name: str) -> dict[str, ast.expr]:
    """What is given for each parameter of the function."""
    takes = parameters(name)
    if len(node.args) > len(takes):
        most = "one operand" if len(takes) == 1 else f"at most {len(takes)} operands"
        formula.wrong(node, f"{name} takes {most}, not {len(node.args)}")
    given = dict(zip(takes, node.args, strict=False))
    for option in node.keywords:
        if option.arg is None or option.arg not in takes:
            offered = ", ".join(list(takes)[1:]) or "none"
            formula.wrong(option.value, f"{name} has no option {option.arg or '**'}; its options: {offered}")
        if option.arg in given:
            formula.wrong(option.value, f"{option.arg} is given twice")
        given[option.arg] = option.value
    needed = [key for key, place in takes.items() if place.default is inspect.Parameter.empty]
    missing = [key for key in needed if key not in given]
    if missing:
        formula.wrong(node, f"{name} needs {missing[0]}: {name}({', '.join(needed)})")
    return given


# ------------------------------------------------------------------------------- what is fixed in writing


def _axis(formula: Formula, node: ast.expr) -> object:
    """An axis: 0, -1, (0, 1) or None."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Tuple(elts=parts) if parts:
            return tuple(_integer(formula, part) for part in parts)
    return _integer(formula, node)


def _integer(formula: Formula, node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))) if not isinstance(
            value, bool
        ):
            return -value
    formula.wrong(node, "an axis is a whole number, written out: axis=0")


def _flag(formula: Formula, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    formula.wrong(node, "keepdims is True or False")


def _sizes_of(formula: Formula, node: ast.Call, name: str, sizes: Collection[Size]) -> tuple[Size, ...]:
    """The sizes in ones(N, d) or ones((N, d))."""
    parts = node.args
    if len(parts) == 1 and isinstance(parts[0], ast.Tuple):
        parts = parts[0].elts
    if node.keywords or not parts:
        formula.wrong(node, f"{name} needs sizes: {name}(N), {name}(N, d)")
    return tuple(_size(formula, part, sizes) for part in parts)


def _one_or_more_sizes(formula: Formula, node: ast.expr, sizes: Collection[Size]) -> object:
    if isinstance(node, ast.Tuple):
        return tuple(_size(formula, part, sizes) for part in node.elts)
    return _size(formula, node, sizes)


def _size(formula: Formula, node: ast.expr, sizes: Collection[Size]) -> Size:
    """A size that some variable has, or a positive whole number."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool) and value > 0:
            return value
        case ast.Name(id=name) if name in sizes:
            return name
        case ast.Name(id=name):
            _no_size(formula, node, name, sizes)
    formula.wrong(node, "a size is its name or a positive whole number")


def _no_size(formula: Formula, node: ast.expr, name: str, sizes: Collection[Size]) -> NoReturn:
    formula.unknown(node, f"{name} is no size", sorted(size for size in sizes if isinstance(size, str)))
