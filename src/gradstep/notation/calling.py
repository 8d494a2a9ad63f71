"""How is a call such as sum(X, axis=1) read? Which function, which operands, and what is fixed in writing."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import NoReturn

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, minus, plus, terms, times
from gradstep.notation.mending import Candidate, Slip, nearest
from gradstep.notation.places import Formula
from gradstep.operations import FUNCTIONS
from gradstep.operations.leaves import LARGEST_SIZE

# What to evaluate first, and what to make of it.
Plan = tuple[Sequence[ast.expr], Callable[..., Expr]]

LIBRARIES = frozenset(
    {"np", "numpy", "gs", "gradstep", "torch", "jnp", "jax", "tf", "math", "linalg", "special"}
)
ELSEWHERE = {
    "ln": "log",
    "sgn": "sign",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "fabs": "abs",
    "absolute": "abs",
    "average": "mean",
    "total": "sum",
    "lrelu": "leaky_relu",
    "swish": "silu",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "clamp": "clip",
    "rint": "round",
    "fix": "trunc",
    "inverse": "inv",
    "determinant": "det",
    "slogdet": "logdet",
    "tr": "trace",
    "amax": "max",
    "amin": "min",
    "concat": "concatenate",
    "cat": "concatenate",
    "hstack": "concatenate",
    "vstack": "stack",
    "column_stack": "stack",
    "variance": "var",
    "stdev": "std",
    "product": "prod",
    "onehot": "one_hot",
    "embedding": "take",
    "gather": "take",
    "flatten": "ravel",
    "vec": "ravel",
    "flipud": "flip",
    "normalize": "unit",
}

# What NumPy has by the same name and with the same meaning: np.sum(X, axis=0) is sum(X, axis=0).
NUMPY = frozenset({
    "sum", "mean", "var", "std", "prod", "cumsum", "max", "min", "concatenate", "stack", "reshape", "ravel",
    "flip", "dot", "inner", "vdot", "outer", "transpose", "swapaxes", "trace", "diag", "eye", "triu", "tril",
    "einsum", "kron", "ones", "zeros", "squeeze", "exp", "log", "sqrt", "abs", "sign", "tanh", "maximum",
    "minimum", "where", "clip", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh",
    "arccosh", "arctanh", "log1p", "expm1", "floor", "ceil", "round", "trunc", "absolute", "fabs", "rint",
    "fix", "amax", "amin", "asin", "acos", "atan", "asinh", "acosh", "atanh", "concat", "linalg.norm",
    "linalg.inv", "linalg.det", "linalg.solve", "linalg.pinv", "linalg.matrix_power",
})  # fmt: skip
NUMPYS = ("np.", "numpy.", "jnp.", "jax.numpy.")
# What is written with a sign, or as another function of the same operands.
SPELLED = {"square": "({})**2", "Max": "max({})", "Min": "min({})"}

OF_TWO = {"max": "maximum", "min": "minimum"}
WHICH = "a whole number beside an array of several axes may be one of its axes"

PLACES = "the place of an entry is a whole number, which jumps"
# What has no derivative: why, and what may be meant instead.
NO_DERIVATIVE = {
    "argmax": (PLACES, "hardmax({})"),
    "argmin": (PLACES, "hardmax(-({}))"),
    "argsort": (PLACES, "{}"),
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
        case ast.Name(id=name) if name in NO_DERIVATIVE:
            inner = ", ".join(map(formula.text, node.args))
            instead = NO_DERIVATIVE[name][1].format(inner)
            formula.slip(node, f"{name} has no derivative: {NO_DERIVATIVE[name][0]}", [instead])
        case ast.Name(id=name) if name in SPELLED:
            instead = SPELLED[name].format(", ".join(map(formula.text, node.args)))
            formula.slip(node, f"gradstep has no function {name}", [instead])
        case ast.Name(id=name):
            close = _near(name)
            facts = f"near: {', '.join(close)}" if close else f"functions: {', '.join(FUNCTIONS)}"
            formula.slip(node.func, f"gradstep has no function {name}", close, [facts])
        case ast.Attribute(value=ast.Name(id=library) | ast.Attribute(attr=library), attr=name) if (
            library in LIBRARIES and library not in values
        ):
            written, ours = formula.text(node.func), ELSEWHERE.get(name, name)
            if ours in FUNCTIONS and any(written.removeprefix(module) in NUMPY for module in NUMPYS):
                return ours
            if name in SPELLED:
                ours = SPELLED[name].format(", ".join(map(formula.text, node.args)))
                formula.slip(node, f"gradstep has no function {written}", [ours])
            plain = f"write {ours}, not {written}"
            what = plain if ours in FUNCTIONS else f"gradstep has no function {written}"
            formula.slip(node.func, what, _near(name))
        case ast.Attribute(value=inner, attr=name) if name in FUNCTIONS:
            rest = [formula.text(part) for part in node.args]
            rest += [f"{option.arg}={formula.text(option.value)}" for option in node.keywords]
            instead = f"{name}({', '.join([formula.text(inner), *rest])})"
            formula.slip(node, "a function stands before its operand", [instead])
        case ast.Attribute(attr="T" | "mT" as turned):
            formula.slip(
                node, f"the transpose is written .{turned}, without brackets", [formula.text(node.func)]
            )
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
    if name in OF_TWO and len(node.args) > 1:
        if isinstance(node.func, ast.Name):
            return _of_two(formula, node, name)
        node = along(formula, node, name)
    arguments = _arguments(formula, node, name)
    readers: dict[str, Callable[[ast.expr], object]] = {
        "ord": lambda part: _order(formula, part),
        "ddof": lambda part: _integer(formula, part, "ddof is a whole number, written out: ddof=1"),
        **dict.fromkeys(("axis", "axes"), lambda part: _axis(formula, part)),
        **dict.fromkeys(("axis1", "axis2"), lambda part: _integer(formula, part)),
        "keepdims": lambda part: _flag(formula, part),
        **dict.fromkeys(("size", "sizes"), lambda part: _one_or_more_sizes(formula, part, sizes)),
        **dict.fromkeys(STEPS, lambda part: _steps(formula, part)),
        "approximate": lambda part: _word(formula, part),
    }
    listed = _listed(formula, arguments["parts"], name) if "parts" in arguments else ()
    fixed = {option: read(arguments.pop(option)) for option, read in readers.items() if option in arguments}
    if listed:
        return listed, lambda *values: made(values, **fixed)
    operands = tuple(arguments)
    return (
        tuple(arguments.values()),
        lambda *values: made(**dict(zip(operands, values, strict=True)), **fixed),
    )


def _of_two(formula: Formula, node: ast.Call, name: str) -> Plan:
    """max(0, z): the larger of two, entry by entry, as in mathematics and in Python.

    NumPy's np.max(X, 0) is along an axis. So where the second may be one, it is asked which was meant.
    """
    first, second, *more = (formula.text(part) for part in node.args)
    if more:
        what = f"{name} is of one array or of two, not of {len(node.args)}"
        formula.slip(node, what, [f"{name}({name}({first}, {second}), {', '.join(more)})"])
    if node.keywords:
        options = ", ".join(f"{option.arg}={formula.text(option.value)}" for option in node.keywords)
        formula.slip(node, f"{name} of two has no options", [f"{name}({first}, axis={second}, {options})"])
    axis, made = _as_whole(node.args[1]), FUNCTIONS[OF_TWO[name]]

    def of(a: Expr, b: Expr) -> Expr:
        if axis is None or a.rank < 2 or not -a.rank <= axis < a.rank:
            return made(a, b)
        error = MathError(WHICH, source=formula.source, span=formula.span(node))
        raise Slip(
            error,
            *(
                [Candidate(f"{text} ({meaning})", formula.edited(node, text))]
                for text, meaning in (
                    (f"{name}({second}, {first})", "entry by entry"),
                    (f"{name}({first}, axis={second})", "along the axis"),
                )
            ),
        )

    return node.args, of


def along(formula: Formula, node: ast.Call, name: str) -> ast.Call:
    """np.max(X, 0) and X.max(0) as max(X, axis=0)."""
    first, second, *more = node.args
    fixed = _as_whole(second) is not None or isinstance(second, ast.Tuple | ast.Constant)
    if more or not fixed:
        one, other = formula.text(first), formula.text(second)
        what = f"NumPy's {name} takes one array and an axis; of two arrays, entry by entry, {OF_TWO[name]}"
        formula.slip(node, what, [f"{OF_TWO[name]}({one}, {other})"])
    keywords = [ast.keyword(arg="axis", value=second), *node.keywords]
    return ast.copy_location(ast.Call(func=node.func, args=[first], keywords=keywords), node)


def _listed(formula: Formula, node: ast.expr, name: str) -> Sequence[ast.expr]:
    """What is joined: [a, b]."""
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        for part in node.elts:
            if isinstance(part, ast.Starred):
                formula.wrong(part, "a formula has no *: every part is written out")
        return node.elts
    formula.wrong(node, f"{name} takes a list of arrays", f"{name}([a, b])")


def subscripted(formula: Formula, node: ast.Subscript, sizes: Collection[Size]) -> Plan:
    """x[0], X[1:3, :], v[:, None]; x[idx] with a variable idx looks rows up."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if not parts:
        formula.wrong(node, "there is nothing in these brackets")
    if len(parts) == 1 and isinstance(parts[0], ast.Name) and parts[0].id not in sizes:
        return [node.value, parts[0]], lambda x, places: x[places]
    key = tuple(_subscript(formula, part, sizes) for part in parts)
    return [node.value], lambda x: x[key]


def _subscript(formula: Formula, node: ast.expr, sizes: Collection[Size]) -> object:
    """One subscript: 0, -1, n - 1, 1:3, ::2, : or None."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=value) if value is Ellipsis:
            return Ellipsis
        case ast.Slice(lower=lower, upper=upper, step=step):
            first, last = (None if part is None else whole(formula, part, sizes) for part in (lower, upper))
            return slice(first, last, None if step is None else _integer(formula, step, STEP))
    return whole(formula, node, sizes)


STEP = "the step of a slice is a whole number, written out: x[::2]"


def _order(formula: Formula, node: ast.expr) -> object:
    """The order of a norm: a number, or inf."""
    match node:
        case ast.Name(id="inf") | ast.Attribute(attr="inf", value=ast.Name(id="np" | "numpy" | "math")):
            return math.inf
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return Fraction(formula.text(node))
    formula.wrong(node, "the order of a norm is a number from 1 on, written out, or inf")


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


AXIS = "an axis is a whole number, written out: axis=0"


def _integer(formula: Formula, node: ast.expr, what: str = AXIS) -> int:
    found = _as_whole(node)
    if found is None:
        formula.wrong(node, what)
    return found


def _as_whole(node: ast.expr) -> int | None:
    """The whole number that is written out here."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))) if not isinstance(
            value, bool
        ):
            return -value
    return None


STEPS = ("stride", "padding", "output_padding", "dilation")


def _steps(formula: Formula, node: ast.expr) -> int | tuple[int, ...]:
    """How windows slide: one whole number, or one for each axis."""
    what = "this is a whole number, or one for each axis, written out: stride=2, stride=(2, 1)"
    match node:
        case ast.Tuple(elts=parts) if parts:
            return tuple(_integer(formula, part, what) for part in parts)
    return _integer(formula, node, what)


def _flag(formula: Formula, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    formula.wrong(node, "keepdims is True or False")


def _word(formula: Formula, node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    formula.wrong(node, 'gelu is exact, or the form with tanh: gelu(x, approximate="tanh")')


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
    """A size that some variable has, a positive whole number, or a sum or product of these."""
    found = whole(formula, node, sizes)
    if isinstance(found, int) and found <= 0:
        formula.wrong(node, "a size is its name or a positive whole number")
    return found


def whole(formula: Formula, node: ast.expr, sizes: Collection[Size]) -> Size:
    """A number that counts: 2, n, n - 1, 2*n."""
    if sum(1 for _ in islice(ast.walk(node), MOST_PARTS + 1)) > MOST_PARTS:
        formula.wrong(node, "this has too many parts for a size")
    try:
        found = _counted(formula, node, sizes)
        if max(map(abs, terms(found).values()), default=0) > LARGEST_SIZE:
            formula.wrong(node, f"a size is at most {LARGEST_SIZE:,}")
        return found
    except Slip:
        raise
    except MathError as error:
        raise error.at(formula.source, formula.span(node)) from None


def _counted(formula: Formula, node: ast.expr, sizes: Collection[Size]) -> Size:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name) if name in sizes:
            return name
        case ast.Name(id=name):
            _no_size(formula, node, name, sizes)
        case ast.UnaryOp(op=ast.USub(), operand=part):
            found = _counted(formula, part, sizes)
            if not isinstance(found, int):
                formula.wrong(node, "a size is its name or a positive whole number")
            return -found
        case ast.BinOp(left=ast.Constant(value=int(a)), op=ast.Pow(), right=ast.Constant(value=int(b))):
            short = a > 0 and b >= 0 and b * math.log2(a) < MOST_BITS
            formula.wrong(node, "a size is written out, not as a power", str(a**b) if short else None)
        case ast.BinOp(left=a, op=op, right=b) if type(op) in COUNTED:
            return COUNTED[type(op)](_counted(formula, a, sizes), _counted(formula, b, sizes))
    formula.wrong(node, COUNTS)


MOST_PARTS = 60  # of a size
MOST_BITS = 64  # of a power that is worked out for a mend
COUNTED: dict[type[ast.AST], Callable[[Size, Size], Size]] = {ast.Add: plus, ast.Sub: minus, ast.Mult: times}
COUNTS = "this should be a whole number, the name of a size, or a sum of such"


def _no_size(formula: Formula, node: ast.expr, name: str, sizes: Collection[Size]) -> NoReturn:
    formula.unknown(node, f"{name} is no size", sorted(size for size in sizes if isinstance(size, str)))
