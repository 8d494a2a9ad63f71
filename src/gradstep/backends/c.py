"""How does a program read in C? Loops over entries, for any sizes, in C99 with nothing but math.h.

Every line of the program fills an array; what is computed entry by entry is written inside its loops, and
what sums or looks along an axis has loops of its own before. It is source to take away, not run here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gradstep.backends.c_places import PLACES, Index, grouped, number_text, size_text
from gradstep.backends.compiled import Compiled
from gradstep.backends.options import Options
from gradstep.backends.program import Line, Program
from gradstep.backends.safe_names import Names
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.expression.shapes import Size, size_names
from gradstep.operations.arithmetic import equal, exp, power_op
from gradstep.operations.broadcasting import repeat, squeeze_op, sum_over
from gradstep.operations.cumulative import cumsum_op, prod_op
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.leaves import (
    number_op,
    symbol_op,
)
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax_op

LETTERS = "ijklmnopqrstuvwxyz"

# Entry by entry. What is missing here is written by its definition.
ENTRIES: Mapping[str, str] = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "scale": "{0} * {1}",
    "negate": "-{0}",
    "power": "pow({0}, {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "where": "({0} ? {1} : {2})",
    **{name: f"{name}({{0}})" for name in ("exp", "log", "log1p", "expm1", "sqrt", "erf", "erfc")},
    **{name: f"{name}({{0}})" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: f"{name}({{0}})" for name in ("floor", "ceil", "trunc")},
    **{f"arc{name}": f"a{name}({{0}})" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "round": "nearbyint({0})",
    "abs": "fabs({0})",
    "sign": "sign({0})",
    "maximum": "larger({0}, {1})",
    "minimum": "smaller({0}, {1})",
    "relu": "larger({0}, 0)",
    "leaky_relu": "({0} > 0 ? {0} : {p0} * {0})",
    "sigmoid": "sigmoid({0})",
    "softplus": "softplus({0})",
    "elu": "({0} > 0 ? {0} : {p0} * expm1({0}))",
    "softsign": "{0} / (1 + fabs({0}))",
    "silu": "{0} * sigmoid({0})",
    "bell": "sigmoid({0}) * sigmoid(-{0})",
    "hypot": "hypot({0}, {1})",
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
BEGINNING: Mapping[object, str] = {max_op: "-INFINITY", min_op: "INFINITY", prod_op: "1", norm_op: "0"}
JOINED: Mapping[object, str] = {
    max_op: "larger({0}, {1})",
    min_op: "smaller({0}, {1})",
    prod_op: "{0} * ({1})",
    norm_op: "hypot({0}, {1})",
}


def _axes(node: Expr) -> tuple[int, ...]:
    axes = node.params[0] if node.params else tuple(range(node.args[0].rank))
    return axes if isinstance(axes, tuple) else (axes,)


def _simpler(node: Expr) -> Expr | None:
    """An operation along an axis by simpler ones: the softmax of a row is exp(x − logsumexp x)."""
    if node.op in (softmax_op, log_softmax_op, unit_op, hardmax_op):
        (x,), axes = node.args, _axes(node)
        sizes = tuple(x.shape[axis] for axis in axes)
        if node.op is unit_op:  # 0 where the length is 0
            length = norm_op(x, params=node.params)
            return x / repeat(length + equal(length, 0), axes, sizes)
        if node.op is hardmax_op:
            largest = equal(x, repeat(max_op(x, params=(axes,)), axes, sizes))
            return largest / repeat(sum_over(largest, axes), axes, sizes)
        under = x - repeat(logsumexp_op(x, params=node.params), axes, sizes)
        return exp(under) if node.op is softmax_op else under
    known = node.op.name in ENTRIES or node.op.indices is not None or node.op in LOOPS or node.op in PLACES
    if not known and node.args and node.op.definition is not None:
        return node.op.definition(node.params, *node.args)
    return None


# ------------------------------------------------------------------------------------------- one entry


@dataclass(slots=True)
class _Writing:
    """A function while it is written."""

    program: Program
    names: Names = field(default_factory=Names)
    lines: list[str] = field(default_factory=list)
    room: list[tuple[str, str]] = field(default_factory=list)  # the arrays that are made, and their lengths
    used: set[str] = field(default_factory=set)  # helper functions
    made: dict[Expr, Expr] = field(default_factory=dict)
    letters: str = LETTERS  # for indices

    # From a line of the program to loops.

    def line(self, line: Line) -> None:
        symbol = symbol_op(params=(line.name, line.value.shape, ()))
        self.fill(symbol, self.opened(line.value, top=True), line.comment)

    def opened(self, value: Expr, top: bool = False) -> Expr:
        """`value` in which everything with loops of its own is a name; not so itself at the `top`."""
        for node in walk(value):
            if node in self.made:
                continue
            new = self.without_loops_below(node)
            if top and node is value:
                return new
            if self.has_loops(new):
                symbol = symbol_op(params=(self.names.give("t"), new.shape, ()))
                self.fill(symbol, new)
                new = symbol
            self.made[node] = new
        return self.without_loops_below(value) if top else self.made[value]

    def without_loops_below(self, node: Expr) -> Expr:
        """A node whose operands are written already; what is not known in C by what defines it."""
        other = _simpler(node)
        if other is not None:
            return self.opened(other, top=True)
        return rebuild(node, [self.made[arg] for arg in node.args]) if node.args else node

    def has_loops(self, node: Expr) -> bool:
        """Whether an entry of it needs a loop."""
        if node.op in LOOPS:
            return True
        if node.op.indices is None or not node.args:
            return False
        inputs, _, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).partition("->")
        return bool(set(inputs) - set(output) - {","}) and node.op is not squeeze_op

    def fill(self, symbol: Expr, value: Expr, comment: str = "") -> None:
        """The loops that give `symbol` its entries."""
        name = str(symbol.params[0])
        if comment:
            self.lines.append(f"    /* {' '.join(comment.replace('*/', '* /').split())} */")
        if symbol.rank:
            self.room.append((name, self.length(symbol)))
        index = self.letters[: symbol.rank]
        place = f"{name}[{self.place(symbol, index)}]" if symbol.rank else name
        if not symbol.rank and not self.has_loops(value):
            self.lines.append(f"    double {name} = {self.entry(value, index)};")
            return
        if not symbol.rank:
            self.lines.append(f"    double {name} = 0;")
        if value.op is cumsum_op:
            self.running(place, value, symbol, index)
        elif value.op in LOOPS:
            self.along(place, value, symbol, index)
        elif self.has_loops(value):
            self.summed(place, value, symbol, index)
        else:
            with_loops = self.loops(index, symbol.shape)
            self.put(with_loops, f"{place} = {self.entry(value, index)};")

    def loops(self, letters: Sequence[str], sizes: Sequence[Size]) -> list[str]:
        return [
            f"for (size_t {letter} = 0; {letter} < {size_text(size)}; {letter}++)"
            for letter, size in zip(letters, sizes, strict=True)
        ]

    def put(self, loops: Sequence[str], *statements: str, depth: int = 1) -> None:
        """Statements inside loops."""
        for level, loop in enumerate(loops):
            last = level == len(loops) - 1
            self.lines.append(
                "    " * (depth + level) + loop + (" {" if last and len(statements) > 1 else "")
            )
        indent = "    " * (depth + len(loops))
        self.lines += [indent + statement for statement in statements]
        if loops and len(statements) > 1:
            self.lines.append("    " * (depth + len(loops) - 1) + "}")

    def summed(self, place: str, value: Expr, symbol: Expr, index: str) -> None:
        """A sum of products: its indices are those of the operation."""
        assert value.op.indices is not None
        text = value.op.indices(value.params, *(arg.rank for arg in value.args))
        inputs, _, output = text.partition("->")
        words = inputs.split(",")
        sizes: dict[str, Size] = {}
        for word, arg in zip(words, value.args, strict=True):
            sizes.update(zip(word, arg.shape, strict=True))
        letter = dict(zip(output, index, strict=True))
        free = iter(self.letters[len(index) :])
        letter |= {each: next(free) for each in sizes if each not in letter}
        pairs = zip(words, value.args, strict=True)
        factors = [self.entry(arg, [letter[k] for k in word], tight=len(words) > 1) for word, arg in pairs]
        order = self.order(words, value.args, output)
        if symbol.rank:
            self.put(self.loops(index, symbol.shape), f"{place} = 0;")
        loops = self.loops([letter[each] for each in order], [sizes[each] for each in order])
        self.put(loops, f"{place} += {' * '.join(factors)};")

    def order(self, words: Sequence[str], args: Sequence[Expr], output: str) -> list[str]:
        """The indices from the outermost loop to the innermost: along memory where the largest array lies."""
        largest = max(range(len(args)), key=lambda k: args[k].rank)
        word, arg = words[largest], args[largest]
        while arg.op.name == "transpose":
            word, arg = word[:-2] + word[-1] + word[-2], arg.args[0]
        every = dict.fromkeys(output + "".join(words))
        outside = [each for each in every if each not in word]
        return list(dict.fromkeys([*word[:-1], *outside, *word[-1:]]))

    def along(self, place: str, value: Expr, symbol: Expr, index: str) -> None:
        """The largest, the length, the product or the logarithm of a sum along axes."""
        (x,), axes = value.args, _axes(value)
        inner = self.letters[len(index) : len(index) + len(axes)]
        rest, places = iter(index), iter(inner)
        entry = self.entry(x, [next(places) if axis in axes else next(rest) for axis in range(x.rank)])
        outer = self.loops(index, symbol.shape)
        loops = self.loops(inner, [x.shape[axis] for axis in axes])
        depth = 1 + len(outer)
        self.put(outer[:-1], *([outer[-1] + " {"] if outer else ["{"]))
        if value.op is logsumexp_op:
            self.used.add("larger")
            self.lines.append("    " * depth + "double top = -INFINITY, sum = 0;")
            self.put(loops, f"top = larger(top, {entry});", depth=depth)
            self.lines.append("    " * depth + "if (!isfinite(top)) top = 0;")
            self.put(loops, f"sum += exp({entry} - top);", depth=depth)
            self.lines.append("    " * depth + f"{place} = top + log(sum);")
        else:
            joined = self.helped(JOINED[value.op].format("all", entry))
            self.lines.append("    " * depth + f"double all = {BEGINNING[value.op]};")
            self.put(loops, f"all = {joined};", depth=depth)
            self.lines.append("    " * depth + f"{place} = all;")
        self.lines.append("    " * max(1, len(outer)) + "}")

    def running(self, place: str, value: Expr, symbol: Expr, index: str) -> None:
        """Sums so far along an axis."""
        (x,), (axis,) = value.args, _axes(value)
        at = index[axis]
        before = [f"({at} - 1)" if k == axis else letter for k, letter in enumerate(index)]
        name = str(symbol.params[0])
        past = f"({at} ? {name}[{self.place(symbol, before)}] : 0)"
        self.put(self.loops(index, symbol.shape), f"{place} = {past} + {self.entry(x, index, tight=True)};")

    # One entry.

    def entry(self, node: Expr, index: Index, tight: bool = False) -> str:
        """The entry of `node` at an index, an expression of C; `tight` where a product stands around it."""
        place = PLACES.get(node.op)
        if place is not None:
            return place(self, node, index)
        if node.op is squeeze_op:
            axes = node.params[0]
            rest = iter(index)
            whole = ["0" if k in axes else next(rest) for k in range(node.args[0].rank)]
            return self.entry(node.args[0], whole, tight)
        if node.op.indices is not None and node.op.slopes is None:
            return self.views(node, index, tight)
        code = ENTRIES.get(node.op.name)
        if code is None:
            raise MathError(f"{node.op.name} cannot be written in C yet", facts=[f"in {node.op.name}"])
        if node.op is power_op and node.args[1].op is number_op:
            base, exponent = self.entry(node.args[0], index, tight=True), node.args[1].params[0]
            if exponent == 2 and re.fullmatch(r"\w+(\[[^]]*\])?", base):
                return f"({base} * {base})" if tight else f"{base} * {base}"
        if node.op is power_op and node.args[0].rank and not node.args[1].rank:
            parts = [self.entry(node.args[0], index, True), self.entry(node.args[1], [], True)]
        else:
            parts = [self.entry(arg, index, True) for arg in node.args]
        numbers = {
            f"p{k}": number_text(p) for k, p in enumerate(node.params) if isinstance(p, int | Fraction)
        }
        text = self.helped(code.format(*parts, **numbers))
        return text if not tight or _is_atom(text) else f"({text})"

    def views(self, node: Expr, index: Index, tight: bool) -> str:
        """Products of entries, and the same entries in other places."""
        assert node.op.indices is not None
        inputs, _, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).partition("->")
        letter = dict(zip(output, index, strict=True))
        several = len(node.args) > 1
        parts = [
            self.entry(arg, [letter[each] for each in word], tight or several)
            for word, arg in zip(inputs.split(","), node.args, strict=True)
        ]
        text = " * ".join(parts)
        return f"({text})" if several and tight else text

    def helped(self, text: str) -> str:
        """`text`, and the helper functions that it calls."""
        self.used.update(name for name in HELPERS if re.search(rf"\b{name}\(", text))
        return text

    def place(self, node: Expr, index: Index) -> str:
        """Where an entry lies in memory: i*d + j."""
        where = ""
        for letter, size in zip(index, node.shape, strict=True):
            where = f"{grouped(where)} * {size_text(size)} + {letter}" if where else letter
        return where

    def length(self, node: Expr) -> str:
        return " * ".join(size_text(size) for size in node.shape)


def _is_atom(text: str) -> bool:
    """Whether a factor beside it leaves it whole: a name, an entry, a call, what stands in parentheses."""
    head = re.match(r"\w*", text)
    rest = text[head.end() :] if head else text
    if not rest or rest[0] not in "([":
        return not rest
    depth = 0
    for k, letter in enumerate(rest):
        depth += (letter in "([") - (letter in ")]")
        if not depth:
            return k == len(rest) - 1
    return False


LOOPS = (*BEGINNING, logsumexp_op, cumsum_op)


# ------------------------------------------------------------------------------------------- the source


def write_c(program: Program, name: str = "") -> str:
    """The source of a function in C: sizes, inputs, then where each gradient is put; it returns the value.

    Arrays lie row by row. It gives NaN where there is no memory for what it computes on the way.
    """
    name = name or ("value_and_gradients" if program.gradients else "value")
    if program.value.rank:
        raise MathError("a function in C returns a number", mend="a loss, or one entry")
    writing = _Writing(program)
    inputs = [given.symbol for given in program.inputs]
    shapes_of = [size for symbol in inputs for size in symbol.shape]
    sizes = list(dict.fromkeys(name for size in shapes_of for name in size_names(size)))
    writing.names.taken |= {str(symbol.params[0]) for symbol in inputs}
    writing.names.taken |= {line.name for line in program.lines}
    writing.letters = "".join(letter for letter in LETTERS if letter not in writing.names.taken | set(sizes))
    writing.names.taken |= {*sizes, *LETTERS, *HELPERS, "memory", "top", "sum", "all"}
    for line in program.lines:
        writing.line(line)
    wanted = {key: writing.names.give(f"d{key}") for key in program.gradients}
    for key, gradient in program.gradients.items():
        value = writing.opened(gradient, top=True)
        answer = symbol_op(params=(wanted[key], value.shape, ()))
        index = writing.letters[: value.rank]
        if writing.has_loops(value) and value.rank:
            before = len(writing.room)
            writing.fill(answer, value)
            del writing.room[before:]  # the caller has room for it
        elif value.rank:
            place = f"{wanted[key]}[{writing.place(answer, index)}]"
            writing.put(writing.loops(index, value.shape), f"{place} = {writing.entry(value, index)};")
        else:
            number = writing.opened(gradient)
            writing.lines.append(f"    *{wanted[key]} = {writing.entry(number, [])};")
    result = writing.entry(writing.opened(program.value), [])
    arguments = [f"size_t {size}" for size in sizes]
    arguments += [f"const double *{s.params[0]}" if s.rank else f"double {s.params[0]}" for s in inputs]
    arguments += [f"double *{each}" for each in wanted.values()]
    shapes = ", ".join(f"{s.params[0]} {'×'.join(map(str, s.shape))}" for s in inputs if s.rank)
    return "\n".join(
        [
            f"/* {' '.join(program.header.replace('*/', '* /').split())}   {shapes} */",
            "#include <math.h>",
            "#include <stddef.h>",
            "#include <stdlib.h>",
            "",
            *(HELPERS[helper] for helper in HELPERS if helper in writing.used),
            *([""] if writing.used else []),
            f"double {name}({', '.join(arguments)})",
            "{",
            *_memory(writing.room),
            *writing.lines,
            *(["    free(memory);"] if writing.room else []),
            f"    return {result};",
            "}",
            "",
        ]
    )


def _memory(room: Sequence[tuple[str, str]]) -> list[str]:
    """One allocation for all arrays."""
    if not room:
        return []
    whole = " + ".join(length for _, length in room)
    lines = [f"    double *memory = malloc(sizeof(double) * ({whole}));", "    if (!memory) return NAN;"]
    before = "memory"
    for name, length in room:
        lines.append(f"    double *{name} = {before};")
        before = f"{name} + {length}"
    return lines


def load_c(source: str, program: Program, options: Options) -> Compiled:
    """A function that says that it is source only."""

    def run(*arrays: object) -> None:
        raise MathError("C is written to be taken away, not run here", mend="f.source, or another back end")

    return Compiled(source, program, run)
