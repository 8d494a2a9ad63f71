"""Which functions has the user declared? Each is an entrywise operation with a formula for its definition.

A declared function is known by its name from then on: in text, in saved formulas and from Python. Its slopes
are given by whoever declares it, who has derived them (notation/functions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

from gradstep.expression.errors import MathError
from gradstep.expression.node import OPERATORS, Expr, Number, Operation, Params, rebuild, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import broadcast
from gradstep.operations import FUNCTIONS, STEPS, TABLE
from gradstep.operations.broadcasting import spread
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.families import elementwise, spread_call_text
from gradstep.operations.leaves import RESERVED, expression, number

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "scale": "*", "divide": "/", "power": "**"}
SIGNS |= {"negate": "neg", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}


@record
class Declared:
    """A declared function: `body` is the formula over numbers, `variables` in the order of the operands."""

    name: str
    variables: tuple[Expr, ...]
    defaults: Mapping[str, Fraction]
    body: Expr
    op: Operation
    told: Any  # how its slopes were derived, for those who show it


DECLARED: dict[str, Declared] = {}


def lifted(formula: Expr, table: Mapping[Expr, Expr]) -> Expr:
    """A formula over numbers, its variables replaced by arrays of one shape."""
    done: dict[Expr, Expr] = {}
    for node in walk(formula, stop=table.__contains__):
        if node in table:
            done[node] = table[node]
        elif node.args:
            args = [done[arg] for arg in node.args]
            if node.op.name in SIGNS:
                done[node] = OPERATORS[SIGNS[node.op.name]](*args)
            else:
                shape = reduce(broadcast, [arg.shape for arg in args])
                done[node] = node.op(*(spread(arg, shape) for arg in args), params=node.params)
        else:
            done[node] = node
    shape = reduce(broadcast, [arg.shape for arg in table.values()])
    return spread(done[formula], shape)


def declare(
    name: str,
    variables: Sequence[Expr],
    defaults: Mapping[str, Fraction],
    body: Expr,
    slopes: Sequence[Expr],
    whys: Sequence[str],
    kink: str,
    told: object,
) -> Declared:
    """From here on `name` is the entrywise function that `body` states, with these slopes."""

    def over(formula: Expr) -> Callable[..., Expr]:
        return lambda y, *args: lifted(formula, {**dict(zip(variables, args, strict=True)), body: y})

    def meaning(np: Any, sizes: Any, params: Params, *values: Any) -> Any:
        done = dict(zip(variables, values, strict=True))
        for node in walk(body):
            if node not in done:
                done[node] = node.op.meaning(np, sizes, node.params, *(done[arg] for arg in node.args))
        return done[body]

    def telling(expr: Expr, places: Sequence[int]) -> tuple[str, str]:
        return expr.op.rule, "; ".join(whys[place] for place in places)

    op = elementwise(
        name,
        *(over(slope) for slope in slopes),
        code="",
        why="; ".join(whys),
        text=spread_call_text(lambda *args: called(name, *args)),
        meaning=meaning,
        definition=lambda params, *args: lifted(body, dict(zip(variables, args, strict=True))),
        kink=kink,
        told=telling,
    )
    made = Declared(name, tuple(variables), dict(defaults), body, op, told)
    DECLARED[name] = made
    RESERVED.add(name)
    return made


def called(name: str, *operands: Expr | Number, **options: Expr | Number) -> Expr:
    """The declared function of these operands, spread to one shape; defaults fill in what is not given."""
    declared = DECLARED[name]
    names = [str(variable.params[0]) for variable in declared.variables]
    given: dict[str, Expr | Number] = dict(zip(names, operands, strict=False))
    wrong = next((option for option in options if option not in names or option in given), None)
    if len(operands) > len(names) or wrong is not None:
        raise MathError(f"{name} takes {', '.join(names)}", facts=[f"not {wrong}"] if wrong else ())
    given |= options
    missing = next((n for n in names if n not in given and n not in declared.defaults), None)
    if missing is not None:
        raise MathError(f"{name} needs {missing}", mend=f"{name}({', '.join(names)})")
    args = [expression(given[n]) if n in given else number(declared.defaults[n]) for n in names]
    shape = reduce(broadcast, [arg.shape for arg in args])
    return declared.op(*(spread(arg, shape) for arg in args))


def inlined(roots: Sequence[Expr]) -> dict[Expr, Expr]:
    """What each of `roots` becomes when every declared function is written out by its definition."""
    if not DECLARED:
        return {root: root for root in roots}
    done: dict[Expr, Expr] = {}
    for node in walk(*roots):
        args = [done[arg] for arg in node.args]
        declared = DECLARED.get(node.op.name)
        if declared is not None and declared.op is node.op:
            inner = inlined([declared.body])[declared.body]
            done[node] = lifted(inner, dict(zip(declared.variables, args, strict=True)))
        else:
            done[node] = rebuild(node, args)
    return {
        root: done[root] if done[root] is root else belongs(done[root], variables(root)) for root in roots
    }


def operation(name: str) -> Operation | None:
    """The operation of this name, of the table or declared."""
    found = _BUILT_IN.get(name)
    return found or (DECLARED[name].op if name in DECLARED else None)


_BUILT_IN: Mapping[str, Operation] = {op.name: op for op in (*TABLE, *STEPS)}
BUILT_IN = frozenset(FUNCTIONS) | frozenset(_BUILT_IN)  # names that no declaration takes
