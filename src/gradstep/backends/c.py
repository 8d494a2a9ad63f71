"""How does a program read in C? Loops over entries, for any sizes, in C99 with nothing but math.h.

It is source to take away, not run here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradstep.backends.compiled import Compiled, to_take_away
from gradstep.backends.languages import (
    ARCS,
    COMPARISON,
    FUNCTIONS,
    ROUNDED,
    SUM,
    TESTS,
    Form,
    Language,
    calls,
    common,
)
from gradstep.backends.loops import Writer
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.statements import SIGNS, Loop, Put, Statement
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import size_names

# Entry by entry. What is missing here is written by its definition.
FORMS: Mapping[str, Form] = {
    **common("fabs"),
    **{
        name: Form(test.format("{0}", "{1}", equals="==", differs="!="), COMPARISON, (SUM, SUM))
        for name, test in TESTS.items()
    },
    **calls("sign"),
    "round": Form("nearbyint({0})"),
    "maximum": Form("larger({0}, {1})"),
    "minimum": Form("smaller({0}, {1})"),
    "relu": Form("larger({0}, 0.0)"),
}
HELPERS: Mapping[str, str] = {
    "sign": "static double sign(double x) { return x != x ? x : (x > 0) - (x < 0); }",
    "larger": "static double larger(double a, double b) { return a != a || a > b ? a : b; }",
    "smaller": "static double smaller(double a, double b) { return a != a || a < b ? a : b; }",
    "sigmoid": (
        "static double sigmoid(double x) { double q = exp(-fabs(x)); return (x < 0 ? q : 1) / (1 + q); }"
    ),
    "softplus": "static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }",
}
WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
NAN INFINITY NULL malloc calloc free memory size_t isfinite pow fabs nearbyint hypot tgamma lgamma gamma
y0 y1 yn j0 j1 jn main abs div exit time signal
"""


@dataclass(frozen=True)
class _C(Language):
    def whole_number(self, value: int) -> str:
        return f"{value}.0"


LANGUAGE = _C(
    forms=FORMS,
    helpers=HELPERS,
    reserved={*WORDS.split(), *FUNCTIONS, *ROUNDED, *(f"a{name}" for name in ARCS), "erf", "erfc"},
    quotient="{0} / {1}",
    whole="(size_t){0}",
    signed="(long){0}",
    real="(double){0}",
    equals="==",
    differs="!=",
    infinity="INFINITY",
    finite="isfinite({0})",
    name="C",
)


def write(program: Program, name: str = "") -> str:
    """The source of a function in C: sizes, inputs, then where each gradient is put; it returns the value.

    Arrays lie row by row. It gives NaN where there is no memory for what it computes on the way.
    """
    name = name or ("value_and_gradients" if program.gradients else "value")
    if program.value.rank:
        raise MathError("a function in C returns a number", mend="a loss, or one entry")
    writing = Writer.of(program, LANGUAGE)
    given = {key: writing.names.give(f"d{key}") for key in program.gradients}
    arrays = {key: given[key] for key, output in program.gradients.items() if output.rank}
    found, body = writing.written(arrays)
    inputs = [each.symbol for each in program.inputs]
    sizes = list(dict.fromkeys(n for symbol in inputs for size in symbol.shape for n in size_names(size)))
    called = [writing.called_symbol(symbol) for symbol in inputs]
    arguments = [f"size_t {size}" for size in sizes]
    arguments += [
        f"const double *{each}" if symbol.rank else f"double {each}"
        for each, symbol in zip(called, inputs, strict=True)
    ]
    arguments += [f"double *{each}" for each in given.values()]
    shapes = ", ".join(f"{s.params[0]} {'×'.join(map(str, s.shape))}" for s in inputs if s.rank)
    room = {each: length for each, length in body.arrays.items() if each not in arrays.values()}
    value = next(iter(program.outputs))
    lines = [
        *_memory(room),
        *_started(body.start, body.arrays, room, LANGUAGE),
        *_lines(body.statements, 1),
        *(f"    *{each} = {found[key]};" for key, each in given.items() if key not in arrays),
        *(["    free(memory);"] if room else []),
        f"    return {found[value]};",
    ]
    used = [HELPERS[helper] for helper in HELPERS if helper in writing.used]
    header = " ".join(program.header.replace("*/", "* /").split())
    return "\n".join(
        [
            f"/* {header}   {shapes} */",
            "#include <math.h>",
            "#include <stddef.h>",
            "#include <stdlib.h>",
            "",
            *used,
            *([""] if used else []),
            f"double {name}({', '.join(arguments)})",
            "{",
            *lines,
            "}",
            "",
        ]
    )


def _memory(room: Mapping[str, str]) -> list[str]:
    """One allocation for all arrays, whose entries are zero."""
    if not room:
        return []
    whole = " + ".join(room.values())
    lines = [f"    double *memory = calloc({whole}, sizeof(double));", "    if (!memory) return NAN;"]
    before = "memory"
    for name, length in room.items():
        lines.append(f"    double *{name} = {before};")
        before = f"{name} + {length}"
    return lines


def _started(
    start: Mapping[str, str], arrays: Mapping[str, str], room: Mapping[str, str], language: Language
) -> Iterator[str]:
    """With what numbers begin, and arrays that the caller has made."""
    for name, value in start.items():
        if name not in arrays:
            yield f"    double {name} = {value};"
        elif name not in room:
            yield f"    for (size_t i = 0; i < {arrays[name]}; i++)"
            yield f"        {name}[i] = {value};"


def _lines(statements: Sequence[Statement], depth: int) -> Iterator[str]:
    indent = "    " * depth
    for each in statements:
        if isinstance(each, Put):
            declared = "double " if each.kind in ("variable", "constant") else ""
            note = each.comment.replace("*/", "* /")
            if note:
                yield f"{indent}/* {note} */"
            yield f"{indent}{declared}{each.place} {SIGNS[each.kind]} {each.value};"
            continue
        brace = len(each.body) > 1
        yield f"{indent}{_head(each)}{' {' if brace else ''}"
        yield from _lines(each.body, depth + 1)
        if brace:
            yield f"{indent}}}"


def _head(loop: Loop) -> str:
    return f"for (size_t {loop.counter} = 0; {loop.counter} < {loop.size}; {loop.counter}++)"


def load(source: str, program: Program, options: Options) -> Compiled:
    """A function that says that it is source only."""
    return to_take_away(source, program, "C")
