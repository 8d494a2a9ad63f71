"""How does a program read in NumPy? Source as one would write it by hand, and the function it defines."""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from gradstep.backends.economy import MASKS, scaled
from gradstep.backends.program import VIEWS, Line, Program
from gradstep.backends.python import COMPARED, Text, atom, infix, literal, prefixed, template
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Shape, minus, size_names
from gradstep.operations.arithmetic import divide_op, multiply_op, negate_op, power_op, scale_op
from gradstep.operations.broadcasting import repeat_op, squeeze_op, sum_op
from gradstep.operations.choices import where_op
from gradstep.operations.leaves import (
    NAME,
    eye_op,
    is_constant,
    number_op,
    size_op,
    symbol_op,
    triangle_op,
    value_of,
)
from gradstep.operations.products import matmul_op, transpose_op

WIDTH = 100
GLUE = "\N{NO-BREAK SPACE}"
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


def _sizes_in(params: Iterable[object]) -> Iterator[str]:
    """The names of sizes in the parameters of an operation."""
    for param in params:
        if isinstance(param, tuple):
            yield from _sizes_in(param)
        elif isinstance(param, str):
            yield from size_names(param)


class Speller:
    """Writes expressions in NumPy, and remembers which sizes and helper functions they need."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sizes: set[str] = set()
        self.helpers: dict[str, None] = {}
        self.masks: set[Expr] = set()  # lines that are boolean
        arrays = [given.symbol for given in program.inputs if given.symbol.rank]
        self.same_shape = {symbol.shape: str(symbol.params[0]) for symbol in reversed(arrays)}
        self.kind = f"{arrays[0].params[0]}.dtype" if arrays else "float"

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
            return f"float({code[0]})", ""
        return f"{atom(code)}.astype({self.kind_of(expr)})", ""

    def kind_of(self, expr: Expr) -> str:
        """The dtype of the first array in `expr` that is no mask."""
        arrays = [node for node in walk(expr) if node.op is symbol_op and node.rank]
        return next((f"{node.params[0]}.dtype" for node in arrays if node not in self.masks), self.kind)

    def code(self, expr: Expr) -> Text:
        """The code of `expr`; that of a mask is boolean."""
        writer = WRITERS.get(expr.op)
        if writer is not None:
            return writer(self, expr)
        operands = self.operands(expr)
        code = expr.op.code if isinstance(expr.op.code, str) else expr.op.code(expr)
        self.sizes.update(_sizes_in(expr.params))
        if not code:
            raise MathError(f"{expr.op.name} cannot be written in NumPy yet")
        found = template(code)
        if expr.op.helper:
            self.helpers.update(dict.fromkeys(expr.op.helper.split("\n\n\n")))
        if sign := re.fullmatch(r"\(?\{0\} ?([-+*/@>=!]+) ?\{1\}\)?", found.text):
            if sign[1] in COMPARED and is_constant(once(expr.args[0])):  # z <= 1 rather than 1 >= z
                return infix(operands[1], COMPARED[sign[1]], operands[0])
            return infix(operands[0], sign[1], operands[1])
        text, head = found.filled(operands, self.params(expr))
        if "(" in text and not expr.rank and is_constant(expr):
            return f"float({text})", ""  # a number of Python's own leaves float32 arrays in float32
        return text, head

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
        code = f"np.where({', '.join(text for text, _ in texts)})"
        numbers = spread and not any(once(side).rank for side in sides)
        return (f"{code}.astype({self.kind_of(condition)})" if numbers else code), ""

    def power(self, expr: Expr) -> Text:
        return infix(self.number(expr.args[0]), "**", self.number(expr.args[1]))

    def transpose(self, expr: Expr) -> Text:
        code = self.code(expr.args[0])
        return (f"{atom(code)}.T" if expr.rank == 2 else f"np.swapaxes({code[0]}, -1, -2)"), ""

    def sum(self, expr: Expr) -> Text:
        body, axes = expr.args[0], expr.params[0]
        if not expr.rank and self.is_mask(body):
            return f"float(np.count_nonzero({self.code(body)[0]}))", ""  # int64 would turn float32 to float64
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
            return f"np.full({shape}, {code[0]}, dtype={self.kind})", ""
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


# ------------------------------------------------------------------------------------------- the source


def write(program: Program, name: str = "") -> str:
    """The source of a module with one function: `value_and_gradients`, or `value` without gradients."""
    name = name or ("value_and_gradients" if program.gradients else "value")
    if not NAME.match(name) or keyword.iskeyword(name) or "__" in name:
        raise MathError(f"{name!r:.60} cannot be the name of a function")
    speller = Speller(program)
    lines = []
    halves = [line.half for line in program.lines]
    for k, line in enumerate(program.lines):
        if k and line.half != halves[k - 1] and len(program.lines) > 5:
            lines.append("")
        lines += assignment(speller, line)
    returned = _returned(speller, program)
    arguments = [str(given.symbol.params[0]) for given in program.inputs]
    source = [
        "import numpy as np",
        *("\n\n" + helper.rstrip("\n") for helper in speller.helpers),
        "\n",
        *_signature(name, arguments),
        *_docstring(program),
        *_notes(program),
        *sizes_of_inputs(program, speller.sizes),
        *lines,
        *returned,
    ]
    return "\n".join(source) + "\n"


def assignment(speller: Speller, line: Line) -> list[str]:
    if speller.is_mask(line.value):
        speller.masks.add(symbol_op(params=(line.name, line.value.shape, ())))
    code = speller.code(line.value)[0]
    text = f"    {line.name} = {code}"
    note = " ".join(line.comment.split())
    if note and len(text) + len(note) + 4 <= WIDTH:
        return [f"{text}  # {note}"]
    above = [f"    # {part}" for part in textwrap.wrap(note, WIDTH - 6)]
    if len(text) <= WIDTH:
        return [*above, text]
    return [*above, f"    {line.name} = (", *_wrapped(code, 8), "    )"]


def _wrapped(code: str, indent: int) -> list[str]:
    """Code inside brackets over several lines; a space may become a new line there."""
    margin = " " * indent
    lines = textwrap.wrap(code, WIDTH - indent, break_long_words=False, break_on_hyphens=False)
    return [margin + line for line in lines]


def _signature(name: str, arguments: Sequence[str]) -> list[str]:
    line = f"def {name}({', '.join(arguments)}):"
    return [line] if len(line) <= WIDTH else [f"def {name}(", *_wrapped(", ".join(arguments) + ",", 4), "):"]


def _docstring(program: Program) -> list[str]:
    """What is computed, and the shapes; in one line if it fits."""
    header = re.sub(r"\s+", " ", program.header).strip().replace("\\", "/").replace('"', "'").rstrip(".")
    entries = [f"{given.symbol.params[0]}: {_shape(given.symbol.shape)}" for given in program.inputs]
    shapes = "  ".join(entries)
    short = f'    """{header}.   {shapes}"""'
    if len(short) <= WIDTH:
        return [short]
    whole = [entry.replace(" ", GLUE) if len(entry) < WIDTH - 4 else entry for entry in entries]
    rows = [row.replace(GLUE, " ") for row in _wrapped("  ".join(whole), 4)]
    return [*_wrapped(f'"""{header}.', 4), "", *rows, '    """']


def _notes(program: Program) -> list[str]:
    """A comment for each form that is computed in the place of the one that was written."""
    return [f"    # {line}" for note in program.notes for line in textwrap.wrap(note, WIDTH - 6)]


def _shape(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def sizes_of_inputs(program: Program, used: set[str]) -> list[str]:
    """N, d = X.shape where one variable has them all, else N = X.shape[0]."""
    if not used:
        return []
    for given in program.inputs:
        shape = given.symbol.shape
        if len(shape) > 1 and set(shape) == used and len(used) == len(shape):
            return [f"    {', '.join(map(str, shape))} = {given.symbol.params[0]}.shape"]
    places = {size: place for size, place in program.sizes.items() if size in used}
    shapes = {str(given.symbol.params[0]): given.symbol.shape for given in program.inputs}
    lines = []
    for size, (name, axis) in places.items():
        more = minus(size, shapes[name][axis])  # −1 where the axis has n + 1 entries
        rest = f" {'+-'[more < 0]} {abs(more)}" if isinstance(more, int) and more else ""
        lines += _statement(f"    {size} = ", f"{name}.shape[{axis}]{rest}")
    return lines


def _returned(speller: Speller, program: Program) -> list[str]:
    given = {entry.name: entry.symbol for entry in program.inputs}
    bodies = {symbol_op(params=(line.name, line.value.shape, ())): line.value for line in program.lines}
    gone: set[Expr] = set()
    codes = []
    for name, output in program.outputs.items():
        like = given.get(name) if program.gradients else None
        codes.append(_output(speller, output, like, bodies, gone))
    value, *gradients = codes
    if not gradients:
        return _statement("    return ", value)
    pairs = [f'"{name}": {code}' for name, code in zip(program.gradients, gradients, strict=True)]
    line = f"    return {value}, {{{', '.join(pairs)}}}"
    if len(line) <= WIDTH:
        return [line]
    rows = [row for pair in pairs for row in _entry(pair)]
    return [f"    return {value}, {{", *rows, "    }"]


def _entry(pair: str) -> list[str]:
    if len(pair) + 9 <= WIDTH:
        return [f"        {pair},"]
    name, code = pair.split(": ", 1)
    return [f"        {name}: (", *_wrapped(code, 12), "        ),"]


def _statement(head: str, code: str) -> list[str]:
    if len(head) + len(code) <= WIDTH:
        return [head + code]
    return [f"{head}(", *_wrapped(code, 8), "    )"]


def _output(
    speller: Speller, output: Expr, like: Expr | None, bodies: Mapping[Expr, Expr], gone: set[Expr]
) -> str:
    """The code of an output: an array of its own, which shares no memory with an input or another output."""
    if output.op is repeat_op and like is not None and like.shape == output.shape:
        inner = output.args[0]
        code = indexed(speller.number(inner), output.params[0], output.rank)
        return speller.filled_like(str(like.params[0]), code)
    code = speller.number(output)
    if output.op is number_op:
        return repr(float(output.params[0]))
    owner, fresh = _owner(output, bodies)
    if owner is None:
        return code[0]
    fresh = fresh and owner not in gone
    gone.add(owner)
    if fresh:
        return code[0]
    return f"{atom(code)}.copy()" if output.rank else f"float({code[0]})"


def _owner(output: Expr, bodies: Mapping[Expr, Expr]) -> tuple[Expr | None, bool]:
    """Whose memory an output shows, if a variable or a line owns it, and whether it may be given away."""
    fresh = True
    while True:
        if output.op in VIEWS:
            fresh = fresh and output.op is not repeat_op
            output = output.args[0]
        elif output.op is not symbol_op:
            return (None, True) if fresh else (output, False)
        elif output not in bodies:
            return output, False
        elif bodies[output].op in VIEWS or bodies[output].op is symbol_op:
            output = bodies[output]
        else:
            return output, fresh


def executed(source: str) -> Callable[..., Any]:
    """The last function in a source that was written here; any other source is refused."""
    tree = ast.parse(source)
    functions = [node for node in tree.body[1:] if isinstance(node, ast.FunctionDef)]
    words = {word for node in ast.walk(tree) for word in vars(node).values() if isinstance(word, str)}
    if ast.unparse(tree.body[0]) != "import numpy as np" or len(functions) != len(tree.body) - 1:
        raise MathError("this is not the source that gradstep wrote")
    if any("__" in word and word.isidentifier() for word in words):
        raise MathError("this is not the source that gradstep wrote")
    space: dict[str, Any] = {"__builtins__": {"__import__": __import__, "float": float}, "__name__": __name__}
    exec(compile(tree, "<gradstep>", "exec"), space)
    function: Callable[..., Any] = space[functions[-1].name]
    return function
