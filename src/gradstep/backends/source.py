"""How does a program read as source? One function, laid out as by hand, in the dialect of a back end."""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradstep.backends.numpy import Speller, indexed
from gradstep.backends.program import VIEWS, Line, Program
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, minus, size_names
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.leaves import NAME, number_op, symbol_op

WIDTH = 100
GLUE = "\N{NO-BREAK SPACE}"

HARMLESS = (enumerate, float, len, map, range, slice, tuple, zip)  # what helper functions may call
# Modules that few programs use, and how their use shows.
SELDOM = {f"import {name}": f"{name}." for name in ("itertools", "math")}


def write(program: Program, name: str = "", dialect: type[Speller] = Speller) -> str:
    """The source of a module with one function: `value_and_gradients`, or `value` without gradients."""
    name = name or called(program)
    if not NAME.match(name) or keyword.iskeyword(name) or "__" in name:
        raise MathError(f"{name!r:.60} cannot be the name of a function")
    speller = dialect(program)
    lines = []
    halves = [line.half for line in program.lines]
    for k, line in enumerate(program.lines):
        if k and line.half != halves[k - 1] and len(program.lines) > 5:
            lines.append("")
        lines += assignment(speller, line)
    returned = _returned(speller, program)
    arguments = [str(given.symbol.params[0]) for given in program.inputs]
    body = [
        *("\n\n" + helper.rstrip("\n") for helper in speller.helpers),
        "\n",
        *_signature(name, arguments),
        *_docstring(program),
        *_notes(program),
        *sizes_of_inputs(program, speller.sizes),
        *lines,
        *returned,
    ]
    needed = [line for line in speller.imports if line not in SELDOM or SELDOM[line] in "\n".join(body)]
    return "\n".join([*needed, *body]) + "\n"


def called(program: Program) -> str:
    """What the function of a program is called, if nobody says."""
    return "value_and_gradients" if program.gradients else "value"


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
    for name, shape in shapes.items():
        for size in shape:
            if untold := [one for one in size_names(size) if one in used and one not in places]:
                raise MathError(
                    f"the arrays do not tell the size {untold[0]}",
                    facts=[f"it is in the shape of {name} only as part of {size}"],
                    mend=f"a number for {untold[0]}, or a variable with an axis for each part of {size}, "
                    "reshaped in the formula",
                )
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
    return speller.copied(code) if output.rank else speller.as_scalar(code[0])


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


def executed(source: str, imports: Sequence[str] = Speller.imports) -> Callable[..., Any]:
    """The last function in a source that was written here; any other source is refused."""
    tree = ast.parse(source)
    head = [node for node in tree.body if isinstance(node, ast.Import)]
    rest = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    words = {word for node in ast.walk(tree) for word in vars(node).values() if isinstance(word, str)}
    ours = tree.body == [*head, *rest] and {ast.unparse(line) for line in head} <= set(imports)
    if not ours or any("__" in word and word.isidentifier() for word in words):
        raise MathError("this is not the source that gradstep wrote")
    known = {"__import__": __import__, **{each.__name__: each for each in HARMLESS}}
    space: dict[str, Any] = {"__builtins__": known, "__name__": __name__}
    exec(compile(tree, "<gradstep>", "exec"), space)
    function: Callable[..., Any] = space[rest[-1].name]
    return function
