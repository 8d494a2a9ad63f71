"""What do operations of one kind have in common?

A family fills in most of an operation's record, so that a member writes only what is its own: an entrywise
function its slope and one sentence, a product its adjoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Any

from gradstep.expression.boxes import (
    ATOM,
    PRODUCT,
    Box,
    Fence,
    Of,
    Row,
    Sym,
    Written,
    fenced,
    row,
)
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, broadcast, contraction, same, shape_text

JUXTAPOSED = PRODUCT + 5  # A B binds tighter than A ⊙ B
DOTTED = PRODUCT + 2  # x·y: 2 x·y needs no parentheses, (x·y) z does
SIGNED = PRODUCT - 5  # −x: no parentheses first in a sum, parentheses inside a product

Spell = Callable[[Expr], Spelled]
Write = Callable[[Expr], Written]
Slope = Callable[..., Expr]
Told = Callable[[Expr, Sequence[int]], tuple[str, str]]
Door = Callable[..., Expr]  # the function that reads what was written, such as `arithmetic.add`


# ------------------------------------------------------------------------------------------- writing


def enclosed(spelled: Spelled, level: int) -> str:
    """Plain text, in parentheses when it binds more loosely than `level`."""
    text, binds = spelled
    return text if binds >= level else f"({text})"


def call_text(expr: Expr, spell: Spell) -> Spelled:
    """f(a, b, axis=1): a function call, the axis parameter spelled out."""
    parts = [spell(arg)[0] for arg in expr.args]
    return f"{expr.op.name}({', '.join(parts)})", ATOM


def axis_text(expr: Expr, spell: Spell) -> Spelled:
    """f(a, axis=1); no axis where the operand has only one."""
    axis = f", axis={expr.params[0]}" if expr.args[0].rank > 1 else ""
    return f"{expr.op.name}({spell(expr.args[0])[0]}{axis})", ATOM


def call_box(name: str) -> Callable[[Expr, Write], Written]:
    """The function's upright name before its operands in parentheses."""

    def layout(expr: Expr, write: Write) -> Written:
        items: list[Box] = []
        for arg in expr.args:
            items += [Sym(", ", "operator"), shown(arg, write).box]
        return Written(Row((Sym(name, "function"), Fence("(", Row(tuple(items[1:])), ")"))))

    return layout


def shown(operand: Expr, write: Write) -> Written:
    """The operand of an entrywise operation: a repeated number reads as the number (1 − H², not 𝟏𝟏ᵀ − H²)."""
    if operand.op.name == "repeat" and operand.args[0].rank == 0:
        inner = write(operand.args[0])
        return Written(Of(operand, inner.box), inner.level)
    return write(operand)


def infix_text(sign: str, level: int, door: Door | None = None) -> Callable[[Expr, Spell], Spelled]:
    """a sign b, left-associative; a repetition is left out where `door`, reading the text, puts it back."""

    def text(expr: Expr, spell: Spell) -> Spelled:
        left, right = map(spell, implicit(expr, door))
        return f"{enclosed(left, level)}{sign}{enclosed(right, level + 1)}", level

    return text


def spread_call_text(door: Door) -> Callable[[Expr, Spell], Spelled]:
    """f(a, b); a repetition is left out where `door`, reading the text, puts it back."""

    def text(expr: Expr, spell: Spell) -> Spelled:
        return f"{expr.op.name}({', '.join(spell(arg)[0] for arg in implicit(expr, door))})", ATOM

    return text


def implicit(expr: Expr, door: Door | None) -> Sequence[Expr]:
    """The operands of an entrywise operation as a person writes them: X + b, v[:, None]*M, 1 - y.

    Only where `door` spreads them to exactly `expr` again; its operands as they are otherwise.
    """
    if door is None or not any(arg.op.name == "repeat" for arg in expr.args):
        return expr.args
    choices = product(*map(_unrepeated, expr.args))
    for choice in sorted(choices, key=lambda choice: _repetitions(choice, expr)):
        if _gives(door, choice, expr):
            return choice
    return expr.args


def _unrepeated(operand: Expr) -> Sequence[Expr]:
    """What NumPy might spread to `operand`: what is repeated, its column or row, a thin array, or itself."""
    if operand.op.name != "repeat":
        return (operand,)
    inner = operand.args[0]
    found = [inner, *(inner.args if inner.op.name == "squeeze" else ())]
    if inner.rank == 1:
        found += [operand.op(inner, params=((axis,), (1,))) for axis in (1, 0)]
    elif inner.rank:  # axes in front come by themselves
        axes = operand.params[0]
        front = next(k for k in range(operand.rank) if k not in axes)
        within = tuple(axis - front for axis in axes if axis > front)
        found += [operand.op(inner, params=(within, (1,) * len(within)))] if within else []
    return (*found, operand)


def _repetitions(choice: Sequence[Expr], expr: Expr) -> int:
    """How many of the operands keep a repetition."""
    return sum(part is arg for part, arg in zip(choice, expr.args, strict=True))


def _gives(door: Door, operands: Sequence[Expr], expr: Expr) -> bool:
    try:
        shape = reduce(broadcast, (operand.shape for operand in operands))
        return shape == expr.shape and door(*operands) is expr
    except MathError:
        return False


def infix_box(sign: str, level: int, right: int | None = None) -> Callable[[Expr, Write], Written]:
    """a sign b as written mathematics."""

    def layout(expr: Expr, write: Write) -> Written:
        a, b = (shown(arg, write) for arg in expr.args)
        return Written(row(fenced(a, level), sign, fenced(b, level + 1 if right is None else right)), level)

    return layout


# ------------------------------------------------------------------------------------------- families


def template_meaning(code: str, arity: int) -> Callable[..., Any]:
    """The meaning that a template of our own states: "np.tanh({0})" as a function."""
    names = "abc"[:arity]
    source = f"lambda np, sizes, params, {', '.join(names)}: {code.format(*names)}"
    meaning: list[Callable[..., Any]] = []

    def evaluate(np: Any, sizes: Any, params: Params, *values: Any) -> Any:
        if not meaning:
            meaning.append(eval(source))  # our own constant, never a user's text
        return meaning[0](np, sizes, params, *values)

    return evaluate


def helped(helper: str, code: str) -> Callable[..., Any]:
    """The meaning of an operation whose code calls its helper: the same function, from the same source.

    `code` calls it with {0}, {1} … for the operands and {p0}, {p1} … for the parameters.
    """
    names = re.sub(r"\{p(\d)\}", r"params[\1]", re.sub(r"\{(\d)\}", r"values[\1]", code))
    made: list[Callable[..., Any]] = []

    def evaluate(np: Any, sizes: Any, params: Params, *values: Any) -> Any:
        if not made:
            space = {"np": np}
            exec(helper, space)  # our own constant, never a user's text
            made.append(eval(f"lambda values, params: {names}", space))
        return made[0]([np.asarray(value) for value in values], [_plain(p) for p in params])

    return evaluate


def _plain(param: Any) -> Any:
    return float(param) if isinstance(param, Fraction) else param


def alone(*told: tuple[str, str]) -> Told:
    """Another (rule, why) for each operand where it alone moves."""

    def telling(expr: Expr, places: Sequence[int]) -> tuple[str, str]:
        return told[places[0]] if len(places) == 1 else (expr.op.rule, expr.op.why)

    return telling


STAYS = "multiplication by a constant", "a factor that does not depend on the parameters stays in front"
DROPS = "what does not depend on the parameters drops out"


def same_shape(params: Params, *shapes: Shape) -> Shape:
    """All operands have one shape, and so has the result."""
    for shape in shapes[1:]:
        if shape != shapes[0]:
            if len(shape) == len(shapes[0]):
                for x, y in zip(shapes[0], shape, strict=True):
                    same((x, y))
            raise MathError(f"the shapes {shape_text(shapes[0])} and {shape_text(shape)} should be equal")
    return shapes[0]


def weighted(slope: Expr, change: Expr) -> Expr:
    """slope ⊙ change, without writing a slope that is one."""
    return change if is_one(slope) else change * slope


def is_one(expr: Expr) -> bool:
    """Whether `expr` is the number 1, repeated or not."""
    inner = expr.args[0] if expr.op.name == "repeat" else expr
    return inner.op.name == "number" and inner.params[0] == 1


def total(changes: Sequence[Expr]) -> Expr:
    """The sum of one or more changes."""
    result = changes[0]
    for change in changes[1:]:
        result = result + change
    return result


def only(dargs: Sequence[Expr | None]) -> Expr:
    """The change of the only operand; nobody asks for it unless it moves."""
    (change,) = dargs
    assert change is not None
    return change


def elementwise(
    name: str,
    *slopes: Slope,
    code: str,
    why: str,
    rule: str = "",
    text: Callable[[Expr, Spell], Spelled] = call_text,
    layout: Callable[[Expr, Write], Written] | None = None,
    meaning: Callable[..., Any] | None = None,
    definition: Callable[..., Expr] | None = None,
    domain: str = "real",
    kink: str = "",
    helper: str = "",
    example: tuple[tuple[Params, tuple[Shape, ...]], ...] | None = None,
    told: Told | None = None,
    alone: tuple[Slope, ...] | None = None,
) -> Operation:
    """A function of each entry by itself: a member gives its slopes (y, *args) -> dy/darg."""

    def differential(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
        chosen = slopes if alone is None or sum(d is not None for d in dargs) > 1 else alone
        return total(
            [weighted(slope(y, *args), d) for slope, d in zip(chosen, dargs, strict=True) if d is not None]
        )

    def adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> list[Expr | None]:
        return [weighted(slope(y, *args), G) for slope in slopes]

    arity = len(slopes)
    shapes: tuple[Shape, ...] = ((), ("n",), ("m", "n"))
    return Operation(
        name,
        same_shape,
        meaning or (helped(helper, code) if helper else template_meaning(code, arity)),
        text,
        layout or call_box(name),
        differential,
        adjoint,
        rule or f"chain rule for {name}",
        why,
        code,
        slopes=slopes,
        definition=definition,
        domain=domain,
        kink=kink,
        helper=helper,
        example=example or tuple(((), (shape,) * arity) for shape in shapes),
        told=told,
        alone=alone,
    )


def slopes_at(op: Operation, places: Sequence[int]) -> tuple[Slope, ...]:
    """The slopes of an entrywise operation of which the operands at these places move."""
    assert op.slopes is not None
    return op.slopes if op.alone is None or len(places) > 1 else op.alone


def pulled_back(
    G: Expr, y: Expr, moving: Container[Expr], held: Container[Expr] = ()
) -> Sequence[Expr | None]:
    """The cotangents of the operands of `y` that are in `moving`, where `y` has the cotangent `G`.

    What is only `held` fixed here moves elsewhere, and gets its share at a kink.
    """
    assert y.op.adjoint is not None
    places = [k for k, arg in enumerate(y.args) if arg in moving]
    if y.op.alone is None or len(places) > 1 or any(arg in held for arg in y.args if arg not in moving):
        return [H if k in places else None for k, H in enumerate(y.op.adjoint(G, y, y.args))]
    return [weighted(slope(y, *y.args), G) if k in places else None for k, slope in enumerate(y.op.alone)]


def product_differential(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
    """Each factor moves while the others stand still: d(A B) = dA B + A dB."""
    return total(
        [y.op(*args[:k], d, *args[k + 1 :], params=y.params) for k, d in enumerate(dargs) if d is not None]
    )


def multilinear(
    name: str,
    indices: Callable[..., str],
    adjoint: Callable[[Expr, Expr, Sequence[Expr]], Sequence[Expr | None]],
    *,
    rule: str,
    why: str,
    text: Callable[[Expr, Spell], Spelled],
    layout: Callable[[Expr, Write], Written],
    meaning: Callable[..., Any],
    code: str | Callable[[Expr], str] = "",
    example: tuple[tuple[Params, tuple[Shape, ...]], ...],
    shape: Callable[..., Shape] | None = None,
    told: Told | None = None,
) -> Operation:
    """Linear in each operand. `indices` (params, *ranks) -> "ik,kj->ij" states shape, meaning and proof."""

    def shape_rule(params: Params, *shapes: Shape) -> Shape:
        return contraction(indices(params, *map(len, shapes)), shapes)

    return Operation(
        name,
        shape or shape_rule,
        meaning,
        text,
        layout,
        product_differential,
        adjoint,
        rule,
        why,
        code,
        indices=indices,
        example=example,
        told=told,
    )


def leaf(
    name: str,
    shape: Callable[..., Shape],
    meaning: Callable[..., Any],
    text: Callable[[Expr, Spell], Spelled],
    layout: Callable[[Expr, Write], Written],
    why: str,
    code: str | Callable[[Expr], str] = "",
    example: tuple[tuple[Params, tuple[Shape, ...]], ...] = (),
) -> Operation:
    """What has no operands: a variable, a number, a size."""
    return Operation(name, shape, meaning, text, layout, None, None, "", why, code, example=example)
