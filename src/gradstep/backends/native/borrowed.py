"""How is a function that an operation brings along in NumPy's words computed in lanes? By the same words.

The source that generated code carries is run once, while code is written, with vectors in the place of arrays
and the functions below in the place of NumPy's: the same polynomials, and the same digits. What it asks of
whole arrays, such as whether any entry is large, is answered so that no case is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from types import SimpleNamespace
from typing import Any

from gradstep.backends.native import elements
from gradstep.backends.native.assembly import Vec
from gradstep.backends.native.cells import Unsupported
from gradstep.expression.node import Operation

CALL = re.compile(r"(\w+)\(\{0\}(, \{p0\})?\)")


def _either(on_vector: Callable[..., Vec], on_number: Callable[..., float]) -> Callable[..., Any]:
    """A function of vectors or numbers; what stands beside a vector becomes one."""

    def function(*args: Any) -> Any:
        model = next((arg for arg in args if isinstance(arg, Vec)), None)
        return on_number(*args) if model is None else on_vector(*map(model.like, args))

    return function


def _where(condition: Vec, yes: Vec | float, no: Vec | float) -> Vec:
    return condition.select(yes, no)


NUMPY = SimpleNamespace(
    pi=math.pi,
    exp=_either(elements.exp, math.exp),
    log=_either(elements.log, math.log),
    log1p=_either(elements.log1p, math.log1p),
    sqrt=_either(lambda x: x.call("sqrt"), math.sqrt),
    abs=_either(elements.magnitude, abs),
    minimum=_either(elements.minimum, min),
    maximum=_either(elements.maximum, max),
    copysign=_either(lambda x, y: x.call("copysign", y), math.copysign),
    sinh=_either(elements.sinh, math.sinh),
    where=_where,
    any=lambda condition: True,
)


@cache
def _functions(source: str) -> Mapping[str, Any]:
    """What the source of an operation defines, for vectors."""
    space: dict[str, Any] = {"np": NUMPY, "__builtins__": {}}
    exec(source, space)
    space["by_blocks"] = lambda function, x: function(x)
    return space


def brings_source(op: Operation) -> bool:
    """Whether an operation on entries brings a function along."""
    return op.slopes is not None and isinstance(op.code, str) and bool(op.helper and CALL.fullmatch(op.code))


def borrowed(op: Operation, params: tuple[Any, ...], x: Vec) -> Vec:
    """The function that an operation brings along, of a vector, in float64; raises `Unsupported`."""
    assert isinstance(op.code, str)
    call = CALL.fullmatch(op.code)
    assert call is not None
    numbers = [float(param) for param in params if isinstance(param, int | Fraction)]
    try:
        result = _functions(op.helper)[call[1]](x.as_kind("double"), *numbers)
    except (AttributeError, TypeError):
        raise Unsupported(f"{op.name} has no compiled form") from None
    assert isinstance(result, Vec)
    return result.as_kind(x.type.kind)
