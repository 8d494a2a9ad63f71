"""What is an expression worth to many digits? The reference interpreter once more, over mpmath's numbers.

The arrays hold numbers of mpmath, which NumPy adds, multiplies and compares entry by entry. What an operation
is defined by stands in for it, so that only elementary functions and inverses are mpmath's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from gradstep.expression.errors import MathError, SingularError
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.operations.arithmetic import power_op
from gradstep.operations.evaluation import sizes_of, variables
from gradstep.operations.guards import guarded
from gradstep.operations.leaves import number_op, pi_op, symbol_op

# The elementary functions by the names of their operations, and what mpmath calls them.
ELEMENTARY: Mapping[str, str] = {
    **{name: name for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: name for name in ("log1p", "expm1", "erf", "sign")},
}


def evaluate_to(digits: int, expr: Expr, /, **values: Any) -> Any:
    """The value of `expr` with this many significant digits: an array of mpmath's numbers, or one.

    A float is taken for exactly the binary number that it is; mpmath's own numbers and integers are taken as
    they are. Raises `MathError` where mpmath is not installed, or a value is missing or does not fit.
    """
    import numpy as np

    context = _context(digits)
    convert = np.frompyfunc(context.convert, 1, 1)
    arrays = {name: np.asarray(convert(np.asarray(value, dtype=object))) for name, value in values.items()}
    declared = variables(expr)
    sizes = sizes_of(declared, arrays)
    expr = written_out(guarded([expr])[expr])
    done: dict[Expr, Any] = {}
    for node in walk(expr):
        if node.op is symbol_op:
            name = str(node.params[0])
            if name not in arrays:
                raise MathError(f"{name} has no value", mend=f"giving one: {name}=…")
            done[node] = arrays[name]
        elif node.op is number_op:
            value: Fraction = node.params[0]
            done[node] = context.mpf(value.numerator) / value.denominator
        elif node.op is pi_op:
            done[node] = +context.pi
        elif node.op.name in ELEMENTARY:
            function = _real(context, getattr(context, ELEMENTARY[node.op.name]))
            done[node] = np.frompyfunc(function, 1, 1)(done[node.args[0]])
        elif node.op is power_op:
            power = np.frompyfunc(_real(context, context.power), 2, 1)
            done[node] = power(done[node.args[0]], done[node.args[1]])
        elif node.op.name in LINEAR:
            done[node] = LINEAR[node.op.name](context, np, done[node.args[0]])
        else:
            done[node] = node.op.meaning(np, sizes, node.params, *(done[arg] for arg in node.args))
    return convert(done[expr])


def _real(context: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function where it is a real number, no number elsewhere."""

    def value(*numbers: Any) -> Any:
        try:
            found = function(*numbers)
        except ZeroDivisionError:
            return context.inf
        return found if isinstance(found, context.mpf) else context.nan

    return value


def _context(digits: int) -> Any:
    try:
        from mpmath import MPContext
    except ImportError:
        raise MathError("more digits than float64 has need mpmath", mend="pip install mpmath") from None
    context = MPContext()
    context.dps = digits
    return context


def written_out(expr: Expr) -> Expr:
    """`expr` in elementary functions: every operation that has a definition is replaced by it."""
    done: dict[Expr, Expr] = {}
    stack = [expr]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
        elif waiting := [arg for arg in node.args if arg not in done]:
            stack.extend(waiting)
        else:
            args = [done[arg] for arg in node.args]
            if node.op.definition is None or node.op.name in {*ELEMENTARY, *LINEAR}:
                done[node] = rebuild(node, args)
            else:
                meant = node.op.definition(node.params, *args)
                if meant not in done:
                    stack.append(meant)
                else:
                    done[node] = done[meant]
    return done[expr]


def _inverse(context: Any, np: Any, x: Any) -> Any:
    try:
        return np.array(context.inverse(context.matrix(x.tolist())).tolist(), dtype=object)
    except ZeroDivisionError:
        raise SingularError("the inverse") from None


def _determinant(context: Any, np: Any, x: Any) -> Any:
    return context.det(context.matrix(x.tolist()))


def _pseudoinverse(context: Any, np: Any, x: Any) -> Any:
    """Of full rank: (XᵀX)⁻¹Xᵀ or Xᵀ(XXᵀ)⁻¹."""
    if x.shape[0] < x.shape[1]:
        return x.T @ _inverse(context, np, x @ x.T)
    return _inverse(context, np, x.T @ x) @ x.T


LINEAR: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "inv": _inverse,
    "det": _determinant,
    "pinv": _pseudoinverse,
}
