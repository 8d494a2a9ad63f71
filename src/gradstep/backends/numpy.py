"""How does an expression read in NumPy? As one would write it by hand; other dialects change a few words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

from gradstep.backends.economy import MASKS, scaled
from gradstep.backends.program import Program
from gradstep.backends.python import COMPARED, Text, atom, infix, literal, prefixed, template
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Shape, size_names
from gradstep.operations.arithmetic import divide_op, multiply_op, negate_op, power_op, scale_op
from gradstep.operations.broadcasting import repeat_op, squeeze_op, sum_op
from gradstep.operations.choices import where_op
from gradstep.operations.leaves import (
    eye_op,
    is_constant,
    number_op,
    size_op,
    symbol_op,
    triangle_op,
    value_of,
)
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op

# ------------------------------------------------------------------------------------------- expressions


def indexed(code: Text, axes: Sequence[int], rank: int) -> Text:
    """`code` with new axes at `axes`, where broadcasting does not bring them back by itself: v[:, None]."""
    places = ["None" if axis in axes else ":" for axis in range(rank)]
    while places and places[0] == "None":
        del places[0]
    if "None" not in places:
        return code
    while places[-1] == ":":
        del places[-1]
    return f"{atom(code)}[{', '.join(places)}]", ""


def once(expr: Expr) -> Expr:
    """`expr` before its entries are repeated."""
    return expr.args[0] if expr.op is repeat_op else expr


def _added_products(body: Expr, axes: Sequence[int]) -> tuple[Expr, Expr] | None:
    """X and Z of Σ XᵀZ over all axes in front: one product, with no array of all the XᵀZ."""
    if body.op is not matmul_op or body.rank < 3 or tuple(axes) != tuple(range(body.rank - 2)):
        return None
    left, right = body.args
    return (left.args[0], right) if left.op is transpose_op and left.rank == right.rank else None


def _sizes_in(params: Iterable[object]) -> Iterator[str]:
    """The names of sizes in the parameters of an operation."""
    for param in params:
        if isinstance(param, tuple):
            yield from _sizes_in(param)
        elif isinstance(param, str):
            yield from size_names(param)


class Speller:
    """Writes expressions in NumPy, and remembers which sizes and helper functions they need.

    A dialect is a subclass: it says which modules are imported, which templates differ from those of the
    operations, and how arrays are made and turned into each other.
    """

    imports: tuple[str, ...] = ("import numpy as np",)
    some_kind = "float"  # the dtype where no array tells it

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sizes: set[str] = set()
        self.helpers: dict[str, None] = {}
        self.masks: set[Expr] = set()  # lines that are boolean
        arrays = [given.symbol for given in program.inputs if given.symbol.rank]
        self.same_shape = {symbol.shape: str(symbol.params[0]) for symbol in reversed(arrays)}
        self.kind = f"{arrays[0].params[0]}.dtype" if arrays else self.some_kind

    def is_mask(self, expr: Expr) -> bool:
        """Whether the code of `expr` is boolean."""
        if expr.op is multiply_op:
            return all(self.is_mask(once(arg)) for arg in expr.args)
        if expr.op in (transpose_op, squeeze_op):
            return self.is_mask(expr.args[0])
        return expr in self.masks or expr.op in MASKS

    def number(self, expr: Expr) -> Text:
        """The code of `expr`, a mask as numbers 0 and 1."""
        code = self.code(expr)
        if not self.is_mask(expr):
            return code
        if not expr.rank:
            return self.as_scalar(code[0]), ""
        return self.cast(code, self.kind_of(expr)), ""

    def kind_of(self, expr: Expr) -> str:
        """The dtype of the first array in `expr` that is no mask."""
        arrays = [node for node in walk(expr) if node.op is symbol_op and node.rank]
        return next((f"{node.params[0]}.dtype" for node in arrays if node not in self.masks), self.kind)

    def code(self, expr: Expr) -> Text:
        """The code of `expr`; that of a mask is boolean."""
        writer = WRITERS.get(expr.op)
        if writer is not None:
            written: Text = getattr(self, writer.__name__)(expr)  # as the dialect says it
            return written
        operands = self.operands(expr)
        code, helper = self.template(expr)
        self.sizes.update(_sizes_in(expr.params))
        if not code:
            raise MathError(f"{expr.op.name} cannot be written here yet", facts=[", ".join(self.imports)])
        found = template(code)
        if helper:
            self.helpers.update(dict.fromkeys(helper.split("\n\n\n")))
        if sign := re.fullmatch(r"\(?\{0\} ?([-+*/@>=!]+) ?\{1\}\)?", found.text):
            if sign[1] in COMPARED and is_constant(once(expr.args[0])):  # z <= 1 rather than 1 >= z
                return infix(operands[1], COMPARED[sign[1]], operands[0])
            return infix(operands[0], sign[1], operands[1])
        text, head = found.filled(operands, self.params(expr))
        if "(" in text and not expr.rank and is_constant(expr):
            return self.as_number(text, expr), ""
        return text, head

    # What a dialect says in its own way.

    def template(self, expr: Expr) -> tuple[str, str]:
        """The code of an operation, with holes for its operands, and the helper functions that it calls."""
        return expr.op.code if isinstance(expr.op.code, str) else expr.op.code(expr), expr.op.helper

    def as_number(self, text: str, expr: Expr) -> str:
        """A constant: a number of Python's own leaves float32 arrays in float32."""
        return f"float({text})"

    def as_scalar(self, text: str) -> str:
        """One entry, or one truth value, as a number."""
        return f"float({text})"

    def cast(self, code: Text, kind: str) -> str:
        """An array with this dtype."""
        return f"{atom(code)}.astype({kind})"

    def copied(self, code: Text) -> str:
        """An array that shares its memory with nothing."""
        return f"{atom(code)}.copy()"

    def counted(self, text: str) -> str:
        """How many entries of a mask are true."""
        return f"float(np.count_nonzero({text}))"  # as int64 it would turn float32 to float64

    def condition(self, code: str, expr: Expr) -> str:
        """What decides between two numbers: a mask, or numbers that are 0 or not."""
        return code

    def choice(self, condition: str, one: str, other: str, kind: str) -> str:
        """Where the condition holds the one, else the other; two numbers become entries of this `kind`."""
        code = f"np.where({condition}, {one}, {other})"
        return self.cast((code, ""), kind) if kind else code

    def full(self, shape: str, value: str) -> str:
        return f"np.full({shape}, {value}, dtype={self.kind})"

    def contracted(self, left: str, right: str, axes: tuple[int, ...]) -> str:
        """The sum over these axes of both."""
        return f"np.tensordot({left}, {right}, axes=({axes}, {axes}))"

    def swapped(self, text: str) -> str:
        """The last two axes exchanged."""
        return f"np.swapaxes({text}, -1, -2)"

    def params(self, expr: Expr) -> dict[str, str]:
        """The numbers among the parameters, for the holes {p0}, {p1} … of a template."""
        numbers = {k: p for k, p in enumerate(expr.params) if isinstance(p, int | Fraction)}
        return {f"p{k}": literal(Fraction(value))[0] for k, value in numbers.items()}

    def operands(self, expr: Expr) -> list[Text]:
        """The operands; of an entrywise operation each before the repetition that broadcasting restores."""
        if not expr.op.slopes or not expr.rank or not self.broadcasts(expr):
            return [self.number(arg) for arg in expr.args]
        return [self.before_repeating(arg, self.number) for arg in expr.args]

    def broadcasts(self, expr: Expr) -> bool:
        """Whether every axis of the result is there in some operand before repetition."""
        kept: set[int] = set()
        for arg in expr.args:
            new = arg.params[0] if arg.op is repeat_op else ()
            kept.update(axis for axis in range(arg.rank) if axis not in new)
        return len(kept) == expr.rank

    def before_repeating(self, arg: Expr, code: Callable[[Expr], Text]) -> Text:
        if arg.op is not repeat_op:
            return code(arg)
        return indexed(code(arg.args[0]), arg.params[0], arg.rank)

    # The operations that do not simply fill in their template.

    def symbol(self, expr: Expr) -> Text:
        return str(expr.params[0]), ""

    def constant(self, expr: Expr) -> Text:
        return literal(expr.params[0])

    def size(self, expr: Expr) -> Text:
        self.sizes.add(str(expr.params[0]))
        return str(expr.params[0]), ""

    def eye(self, expr: Expr) -> Text:
        (size,) = expr.params
        self.sizes.update(size_names(size))
        return f"np.eye({size}, dtype={self.kind})", ""

    def triangle(self, expr: Expr) -> Text:
        side, _, _, k = expr.params
        ones = f"np.ones({self.shape(expr.shape)}, dtype={self.kind})"
        return f"np.{side}({ones}{f', {k}' if k else ''})", ""

    def negate(self, expr: Expr) -> Text:
        code, head = self.number(expr.args[0])
        masks = {str(mask.params[0]) for mask in self.masks}  # a boolean takes no sign
        if (
            not expr.rank
            and head in ("*", "/")
            and not re.match(r"[-(]|.*@", code)
            and code.split(" ")[0] not in masks
        ):
            return f"-{code}", head  # −a/b rather than −(a/b)
        return prefixed((code, head))

    def multiply(self, expr: Expr) -> Text:
        """A factor that is a mask stays boolean: e * (z > 0)."""
        part = scaled(expr) if not expr.rank else None
        if part is not None:
            return self.product(*part)
        if not any(self.is_mask(once(arg)) for arg in expr.args):
            left, right = self.operands(expr)
        elif expr.rank and self.broadcasts(expr):
            left, right = (self.before_repeating(arg, self.code) for arg in expr.args)
        else:
            left, right = map(self.code, expr.args)
        return infix(left, "*", right)

    def scale(self, expr: Expr) -> Text:
        return self.product(*expr.args)

    def product(self, factor: Expr, body: Expr) -> Text:
        """A number times an array: x / N rather than 1 / N * x."""
        code = self.number(body)
        top, bottom = self.fraction(factor)
        if bottom is not None and top == 1:
            return infix(code, "/", bottom)
        if bottom is not None and top == -1 and not body.rank:
            return infix(prefixed(code), "/", bottom)
        return infix(self.number(factor), "*", code)

    def fraction(self, factor: Expr) -> tuple[Fraction | None, Text | None]:
        """The numerator of a fraction where it is a number, and the code of its denominator."""
        value = value_of(factor)
        if value is not None and literal(value)[1] == "/":
            return Fraction(value.numerator), (str(value.denominator), "")
        if factor.op is divide_op:
            return value_of(factor.args[0]), self.number(factor.args[1])
        return None, None

    def matmul(self, expr: Expr) -> Text:
        return infix(self.number(expr.args[0]), "@", self.number(expr.args[1]))

    def where(self, expr: Expr) -> Text:
        """The condition stays boolean; numbers that are chosen have the dtype of what is compared."""
        spread = bool(expr.rank) and self.broadcasts(expr)
        condition, *sides = expr.args
        codes = [(condition, self.code), *((side, self.number) for side in sides)]
        texts = [self.before_repeating(arg, code) if spread else code(arg) for arg, code in codes]
        decides, one, other = (text for text, _ in texts)
        numbers = spread and not any(once(side).rank for side in sides)
        decides = self.condition(decides, once(condition))
        return self.choice(decides, one, other, self.kind_of(condition) if numbers else ""), ""

    def power(self, expr: Expr) -> Text:
        return infix(self.number(expr.args[0]), "**", self.number(expr.args[1]))

    def transpose(self, expr: Expr) -> Text:
        code = self.code(expr.args[0])
        return (f"{atom(code)}.T" if expr.rank == 2 else self.swapped(code[0])), ""

    def sum(self, expr: Expr) -> Text:
        body, axes = expr.args[0], expr.params[0]
        if not expr.rank and self.is_mask(body):
            return self.counted(self.code(body)[0]), ""
        if (factors := _added_products(body, axes)) is not None:
            left, right = (self.number(factor)[0] for factor in factors)
            return self.contracted(left, right, tuple(range(body.rank - 1))), ""
        code = self.number(body)
        along = ""
        if expr.rank:
            along = f"axis={axes[0] if len(axes) == 1 else axes}"
        if code[1]:
            return f"np.sum({', '.join(filter(None, (code[0], along)))})", ""
        return f"{atom(code)}.sum({along})", ""

    def repeat(self, expr: Expr) -> Text:
        """An array that broadcasting does not restore."""
        inner, (axes, sizes) = expr.args[0], expr.params
        code = self.number(inner)
        if not inner.rank and expr.shape in self.same_shape:
            return self.filled_like(self.same_shape[expr.shape], code), ""
        shape = self.shape(expr.shape)
        if not inner.rank:
            return self.full(shape, code[0]), ""
        if all(size == 1 for size in sizes):
            return f"np.expand_dims({code[0]}, {axes[0] if len(axes) == 1 else axes})", ""
        return f"np.broadcast_to({indexed(code, axes, expr.rank)[0]}, {shape})", ""

    def filled_like(self, name: str, code: Text) -> str:
        if code[0] in ("0", "1"):
            return f"np.{('zeros', 'ones')[int(code[0])]}_like({name})"
        return f"np.full_like({name}, {code[0]})"

    def shape(self, shape: Shape) -> str:
        self.sizes.update(name for size in shape for name in size_names(size))
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


WRITERS: dict[object, Callable[[Speller, Expr], Text]] = {
    symbol_op: Speller.symbol,
    number_op: Speller.constant,
    size_op: Speller.size,
    eye_op: Speller.eye,
    triangle_op: Speller.triangle,
    negate_op: Speller.negate,
    multiply_op: Speller.multiply,
    scale_op: Speller.scale,
    power_op: Speller.power,
    where_op: Speller.where,
    matmul_op: Speller.matmul,
    transpose_op: Speller.transpose,
    sum_op: Speller.sum,
    repeat_op: Speller.repeat,
}
