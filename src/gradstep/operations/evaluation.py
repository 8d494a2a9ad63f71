"""What is an expression worth? The reference interpreter, in float64 NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Lengths, Size, shape_text, size_names, terms
from gradstep.operations.leaves import symbol_op
from gradstep.operations.memory import check_room
from gradstep.operations.stabilising import ready

# Variables that belong to an expression though it does not mention them (any more): their arrays still tell
# the sizes. A gradient of mean(w * x) with respect to w needs N even where x is gone.
_BELONGING: WeakKeyDictionary[Expr, Mapping[str, Expr]] = WeakKeyDictionary()


def belongs(expr: Expr, variables: Iterable[Expr] | Mapping[str, Expr]) -> Expr:
    """`expr`, which now knows these variables too; where two have one name, these count, and they come first.

    A variable alone needs no others: what several formulas share would otherwise carry the variables of all.
    """
    named = variables if isinstance(variables, Mapping) else {str(v.params[0]): v for v in variables}
    others = {name: v for name, v in _BELONGING.get(expr, {}).items() if name not in named}
    return declared_with(expr, {**named, **others} if others else named)


def declared_with(expr: Expr, variables: Mapping[str, Expr]) -> Expr:
    """`expr`, which now knows these variables and no others: a text that is read again is declared anew."""
    if expr.op is not symbol_op:
        _BELONGING[expr] = variables
    return expr


def mentioned(*roots: Expr) -> dict[str, Expr]:
    """The variables that occur in the expressions, by name; two of one name are a `MathError`."""
    found: dict[str, Expr] = {}
    for node in walk(*roots):
        if node.op is symbol_op and found.setdefault(str(node.params[0]), node) is not node:
            name, *before = found[str(node.params[0])].params
            raise MathError(
                f"{name} is declared twice here",
                facts=[f"once as {_declared(before)}", f"once as {_declared(node.params[1:])}"],
                mend="one declaration, or two names",
            )
    return found


def _declared(params: Sequence[Any]) -> str:
    shape, facts = params
    return ", ".join([shape_text(shape), *facts])


def variables(*roots: Expr) -> dict[str, Expr]:
    """The variables that occur in the expressions or belong to them, by name."""
    found: dict[str, Expr] = {}
    for root in roots:
        found.update(_BELONGING.get(root, {}))
    return found | mentioned(*roots)


def sizes_of(declared: Mapping[str, Expr], arrays: Mapping[str, Any]) -> Lengths:
    """Every size by name, read from the shapes of the arrays; a contradiction is a `MathError`."""
    sizes = Lengths()
    told: dict[Size, str] = {}
    sums: list[tuple[str, Size, int]] = []
    for name, variable in declared.items():
        if name not in arrays:
            continue
        shape = arrays[name].shape
        if len(shape) != variable.rank:
            raise MathError(
                f"{name} has {len(shape)} axes, but was declared as {shape_text(variable.shape)}",
                facts=[f"{name} is {shape_text(shape)}"],
            )
        for size, length in zip(variable.shape, shape, strict=True):
            if isinstance(size, str) and size_names(size) != (size,):
                sums.append((name, size, length))
                continue
            known = sizes.setdefault(size, length) if isinstance(size, str) else size
            if known != length:
                where = f" ({told[size]})" if isinstance(size, str) else ""
                raise MathError(
                    f"{name} does not fit: the size {size} is {known}{where}, here it is {length}",
                    facts=[f"{name} is {shape_text(shape)}, declared {shape_text(variable.shape)}"],
                )
            if isinstance(size, str):
                told.setdefault(size, f"told by {name}")
    for name, size, length in sums:
        _solve(sizes, size, length)
        try:
            known = sizes[size]
        except KeyError:
            continue
        if known != length:
            raise MathError(
                f"{name} does not fit: the size {size} is {known}, here it is {length}",
                facts=[", ".join(f"{part} = {sizes[part]} ({told[part]})" for part in size_names(size))],
            )
    return sizes


def _solve(sizes: Lengths, size: Size, length: int) -> None:
    """n of n+1, when n+1 has this length and nothing else tells n."""
    unknown = [name for name in size_names(size) if name not in sizes]
    if len(unknown) == 1 and terms(size).get((unknown[0],)) == 1:
        rest = Lengths(sizes)
        rest[unknown[0]] = 0
        if length > rest[size]:
            sizes[unknown[0]] = length - rest[size]


def as_arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as float64 arrays; what is not made of numbers is a `MathError`."""
    import numpy as np

    arrays = {}
    for name, value in values.items():
        try:
            array = np.asarray(value)
            if array.dtype.kind not in "biuf":
                raise TypeError
            arrays[name] = array.astype(np.float64)
        except (TypeError, ValueError):
            raise MathError(f"{name} should be an array of numbers, not {type(value).__name__}") from None
    return arrays


def evaluate(expr: Expr, /, **values: Any) -> Any:
    """The value of `expr` as a float64 NumPy array (a float when it is a number).

    Give every variable by name. Sizes come from the arrays, by the declared shapes. Raises `MathError` where
    a value is missing, unknown or does not fit its declared shape. What would overflow or cancel as it is
    written, log(1 + exp(x)), is worked out in a safe form. Outside its domain a function gives what NumPy
    gives there (nan or inf); where a comparison fails, its product with that is 0. An array that would
    take more than a quarter of the memory is refused before it is made.
    """
    import numpy as np

    if not isinstance(expr, Expr):
        raise MathError(
            f"evaluate takes an expression, not {type(expr).__name__}", mend='gs.parse(text, X="N d", …)'
        )
    result = np.asarray(worked_out([expr], values)[expr], dtype=np.float64)
    return result if result.ndim else float(result)


def worked_out(exprs: Sequence[Expr], values: Mapping[str, Any]) -> dict[Expr, Any]:
    """What every part of some expressions is worth, in the safe forms that `ready` gives them."""
    import numpy as np

    declared, roots = variables(*exprs), [ready(expr) for expr in exprs]
    arrays = as_arrays(values)
    missing = sorted(v.params[0] for v in walk(*roots) if v.op is symbol_op and v.params[0] not in arrays)
    if missing:
        raise MathError(f"{missing[0]} has no value", mend=f"giving one: {missing[0]}=…")
    sizes = sizes_of(declared, arrays)
    done: dict[Expr, Any] = {}
    with np.errstate(all="ignore"):
        for node in walk(*roots):
            if node.op is symbol_op:
                done[node] = arrays[str(node.params[0])]
                continue
            try:
                check_room((node.shape,), sizes)
                done[node] = node.op.meaning(np, sizes, node.params, *(done[arg] for arg in node.args))
            except KeyError as error:
                raise MathError(
                    f"the size {error.args[0]} is not known",
                    mend="the value of a variable that has this size",
                ) from None
    return done | {expr: done[root] for expr, root in zip(exprs, roots, strict=True)}
