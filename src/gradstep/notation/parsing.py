"""How is text read? NumPy's syntax becomes an expression; no text of a user is ever evaluated as Python.

The text is scanned first, then Python's own parser makes a tree of it (`ast.parse`, nothing more), and of that
tree only the kinds of node named here are read, with an explicit stack.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from gradstep.expression.errors import MathError
from gradstep.expression.node import OPERATORS, Expr, walk
from gradstep.expression.shapes import Size, shape_text
from gradstep.notation.declaring import Assumptions, Given, declared
from gradstep.notation.mending import Candidate, Clash, Operand, Slip, mended, nearest, shape_facts
from gradstep.notation.scanning import DEEPEST, Statement, statements
from gradstep.operations import FUNCTIONS
from gradstep.operations.broadcasting import repeat
from gradstep.operations.evaluation import belongs
from gradstep.operations.leaves import checked_name, number, pi
from gradstep.operations.leaves import size as size_expression

MOST_NODES = 50_000
MOST_ENTRIES = 10**10  # of an array whose sizes are known

BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.Gt: ">",
    ast.Lt: "<",
    ast.GtE: ">=",
    ast.LtE: "<=",
    ast.Eq: "==",
}
ATOMIC = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript)
NUMPY = frozenset({"np", "numpy", "gs", "gradstep", "torch", "jnp", "jax", "tf", "math", "linalg", "special"})
ELSEWHERE = {
    "max": "maximum",
    "min": "minimum",
    "ln": "log",
    "sgn": "sign",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "fabs": "abs",
    "absolute": "abs",
    "average": "mean",
    "total": "sum",
    "inner": "dot",
    "vdot": "dot",
    "lrelu": "leaky_relu",
}

# What to evaluate first, and what to make of it.
Plan = tuple[Sequence[ast.expr], Callable[..., Expr]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says: the expression, its named parts in order, the name of the last, and the variables."""

    expr: Expr
    names: dict[Expr, str]
    loss_name: str | None
    variables: dict[str, Expr]


# The names that the text of an expression gave its parts, and the name of the whole.
_NAMES: WeakKeyDictionary[Expr, tuple[dict[Expr, str], str | None]] = WeakKeyDictionary()


def parse(text: str, /, *, assume: Assumptions | None = None, **shapes: Given) -> Expr:
    """The expression that `text` writes: `parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")`.

    The syntax is NumPy's. Each variable is given with its shape, sizes being names or integers. Several
    statements, `z = X @ w + b; a = relu(z); mean((y - a)**2)`, give names to parts (`names_of`); the last is
    the value. Sizes may be used as numbers. `assume={"S": "symmetric"}` tells what is known of a variable.

    Raises `MathError`, with its place in the text, for whatever is no such formula or does not fit together.
    """
    parsed = parse_named(text, assume=assume, shapes=shapes)
    parts = set(walk(parsed.expr)) - {parsed.expr} if parsed.names else ()
    names = {part: name for part, name in parsed.names.items() if part in parts}
    _NAMES[parsed.expr] = names, parsed.loss_name
    return parsed.expr


def names_of(expr: Expr) -> dict[Expr, str]:
    """The names that the parsed text gave to parts of `expr`, and to `expr` itself, in order."""
    names, whole = _NAMES.get(expr, ({}, None))
    return {**names, expr: whole} if whole is not None else dict(names)


def symbols(*, assume: Assumptions | None = None, **shapes: Given) -> tuple[Expr, ...]:
    """Variables of these shapes, in this order: `X, w = symbols(X="N d", w="d")`."""
    return tuple(declared(shapes, assume).values())


def parse_named(text: str, *, shapes: Mapping[str, Given], assume: Assumptions | None = None) -> Parsed:
    """As `parse`, with all that the text says: its names, in order, and its variables."""
    if not isinstance(text, str):
        raise MathError(f"a formula is text, not {type(text).__name__}")
    text = text.replace("\r\n", "\n")
    variables = declared(shapes, assume)

    def retried(candidate: Candidate) -> Expr:
        again = declared({**shapes, **candidate.shapes}, assume) if candidate.shapes else variables
        return Reader(candidate.text, again).parsed().expr

    try:
        parsed = Reader(text, variables).parsed()
    except Slip as slip:
        raise mended(slip, retried) from None
    belongs(parsed.expr, variables.values())
    return parsed


class Reader:
    """Reads one text; the variables and the names given so far are what its words mean."""

    def __init__(self, source: str, variables: Mapping[str, Expr]) -> None:
        self.source = source
        self.variables = dict(variables)
        self.sizes = {
            size for variable in variables.values() for size in variable.shape if isinstance(size, str)
        }
        self.given: dict[str, Expr] = {}
        self.nodes = 0
        self.base = 0
        self.lines = [0]

    def parsed(self) -> Parsed:
        """What the text says."""
        listed = statements(self.source)
        for statement in listed:
            value = self.value(self.tree(statement))
            if statement.name is not None:
                self.give(statement.name, statement.name_span, value)
            elif statement is not listed[-1]:
                raise MathError(
                    "the value of this statement is not used: only the last one may go without a name",
                    source=self.source,
                    span=(statement.start, statement.end),
                )
        names: dict[Expr, str] = {}
        for name, part in self.given.items():
            if part.args:
                names.setdefault(part, name)
        return Parsed(value, names, listed[-1].name or names.get(value), self.variables)

    def give(self, name: str, span: tuple[int, int], value: Expr) -> None:
        """`name` means `value` from here on."""
        taken = {
            "a variable": name in self.variables,
            "a size": name in self.sizes,
            "the name of a part": name in self.given,
        }
        for what, is_so in taken.items():
            if is_so:
                raise MathError(
                    f"{name} is {what} already", source=self.source, span=span, mend="another name"
                )
        try:
            self.given[checked_name(name)] = value
        except MathError as error:
            raise error.at(self.source, span) from None

    # ------------------------------------------------------------------------- text -> tree

    def tree(self, statement: Statement) -> ast.expr:
        """Python's tree of a formula."""
        text = self.source[statement.start : statement.end]
        self.base = statement.start
        self.lines = [0, *(k + 1 for k, letter in enumerate(text) if letter == "\n")] if "\n" in text else [0]
        try:
            return ast.parse(text, mode="eval").body
        except SyntaxError as error:
            start = min(self.at(error.lineno or 1, (error.offset or 1) - 1), statement.end)
            what = "this cannot be read: something is missing here, or too much"
            raise MathError(what, source=self.source, span=(start, start + 1)) from None
        except (ValueError, MemoryError, RecursionError, OverflowError):
            raise MathError(
                "this formula chains too many operators, or nests too deeply",
                source=self.source,
                span=(statement.start, statement.start + 1),
                mend="sum(…) for a long sum, names for the parts: z = …; …",
            ) from None

    def at(self, line: int, column: int) -> int:
        """The place in the source of a line and column of the current statement."""
        return self.base + self.lines[min(line, len(self.lines)) - 1] + column

    def span(self, node: ast.expr) -> tuple[int, int]:
        """Where a node stands in the source."""
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno or 1, node.end_col_offset or 0)

    def text(self, node: ast.expr) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.source[start:end]

    def wrong(self, node: ast.expr, what: str, mend: str | None = None) -> NoReturn:
        raise MathError(what, source=self.source, span=self.span(node), mend=mend)

    def edited(self, node: ast.expr, instead: str) -> str:
        """The source with other text in the place of `node`."""
        start, end = self.span(node)
        return self.source[:start] + instead + self.source[end:]

    # ------------------------------------------------------------------------- tree -> expression

    def value(self, root: ast.expr) -> Expr:
        """The expression that a tree stands for, operands first, without recursion."""
        done: dict[ast.expr, Expr] = {}
        stack: list[tuple[ast.expr, Plan | None, int]] = [(root, None, 0)]
        while stack:
            node, plan, depth = stack.pop()
            if plan is not None:
                done[node] = self.made(node, plan, [done.pop(part) for part in plan[0]])
                continue
            self.nodes += 1
            if self.nodes > MOST_NODES:
                self.wrong(node, f"this text has more than {MOST_NODES:,} parts")
            if depth > DEEPEST:
                self.wrong(node, f"formulas nest at most {DEEPEST} deep", "names for the parts: z = …; …")
            plan = self.plan(node)
            stack.append((node, plan, depth))
            for part in reversed(plan[0]):  # a chain of operators leans to the left and is not deep
                leans = part.col_offset == node.col_offset and part.lineno == node.lineno
                stack.append((part, None, depth + (not leans)))
        return done[root]

    def made(self, node: ast.expr, plan: Plan, values: Sequence[Expr]) -> Expr:
        """The expression of one node; an error of an operation gets its place, its facts and its mend."""
        operands, make = plan
        try:
            value = make(*values)
        except MathError as error:
            raise self.slip(node, operands, values, error) from None
        entries = math.prod(size for size in value.shape if isinstance(size, int))
        if entries > MOST_ENTRIES:
            error = MathError(
                f"this has {entries:.2g} entries", facts=[f"at most {MOST_ENTRIES:.0e} are possible"]
            )
            raise error.at(self.source, self.span(node))
        return value

    def plan(self, node: ast.expr) -> Plan:
        """What `node` needs and what is made of it."""
        match node:
            case ast.Constant():
                value = self.literal(node)
                return (), lambda: value
            case ast.Name():
                meaning = self.meaning(node)
                return (), lambda: meaning
            case ast.UnaryOp(op=ast.USub()):
                return [node.operand], OPERATORS["neg"]
            case ast.UnaryOp(op=ast.UAdd()):
                return [node.operand], lambda x: x
            case ast.BinOp(op=op) if type(op) in BINARY:
                return [node.left, node.right], OPERATORS[BINARY[type(op)]]
            case ast.Compare(ops=[op], comparators=[right]) if type(op) in BINARY:
                return [node.left, right], OPERATORS[BINARY[type(op)]]
            case ast.Compare():
                self.chained(node)
            case ast.Attribute(attr="T"):
                return [node.value], OPERATORS["T"]
            case ast.Subscript():
                return [node.value], partial(thin, axis=self.new_axis(node))
            case ast.Call():
                return self.call(node)
        self.refused(node)

    def literal(self, node: ast.Constant) -> Expr:
        """A number, exactly as written."""
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            self.wrong(node, f"{self.text(node)} is no number")
        try:
            return number(Fraction(self.text(node)))
        except MathError as error:
            raise error.at(self.source, self.span(node)) from None

    def meaning(self, node: ast.Name) -> Expr:
        """What a name stands for: a part, a variable, a size."""
        name = node.id
        found = self.given.get(name) or self.variables.get(name)
        if found is not None:
            return found
        if name in self.sizes:
            return size_expression(name)
        if name == "pi":
            return pi
        if name in FUNCTIONS:
            self.wrong(node, f"{name} is a function and needs an operand", f"{name}(…)")
        self.unknown(node, f"{name} is not known", [*self.given, *self.variables, *sorted(self.sizes)])

    def unknown(self, node: ast.expr, what: str, known: Sequence[str], name: str | None = None) -> NoReturn:
        """Nothing is called so; the nearest names that work are offered."""
        close = nearest(name or self.text(node), known)
        facts = [f"known: {', '.join(known)}"] if known and len(known) <= 20 else []
        if not close and not known:
            facts = ["no variable is declared"]
        error = MathError(what, source=self.source, span=self.span(node), facts=facts)
        raise Slip(error, [Candidate(other, self.edited(node, other)) for other in close])

    def chained(self, node: ast.Compare) -> NoReturn:
        """a < b < c: two masks."""
        if len(node.ops) == 2 and all(type(op) in BINARY for op in node.ops):
            first, second = (BINARY[type(op)] for op in node.ops)
            a, b, c = map(self.text, (node.left, *node.comparators))
            both = f"({a} {first} {b})*({b} {second} {c})"
            error = MathError("comparisons do not chain", source=self.source, span=self.span(node))
            raise Slip(error, [Candidate(both, self.edited(node, both))])
        self.wrong(node, "comparisons do not chain")

    def new_axis(self, node: ast.Subscript) -> int:
        """The place of the new axis in x[:, None] or x[None, :]."""
        match node.slice:
            case ast.Tuple(elts=[ast.Slice(None, None, None), ast.Constant(value=None)]):
                return 1
            case ast.Tuple(elts=[ast.Constant(value=None), ast.Slice(None, None, None)]):
                return 0
        self.wrong(node, "the only subscripts are x[:, None], a vector as a column, and x[None, :], as a row")

    def refused(self, node: ast.expr) -> NoReturn:
        """A kind of Python that no formula has."""
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in NUMPY:
                error = MathError(
                    f"write {name}, not {self.text(node)}", source=self.source, span=self.span(node)
                )
                raise Slip(error, [Candidate(name, self.edited(node, name))])
            case ast.Attribute():
                self.wrong(node, f"the only attribute is .T, the transpose, not .{node.attr}")
            case ast.List() | ast.Tuple():
                self.wrong(node, "a formula has no lists: arrays are variables")
        self.wrong(node, "this is Python, but no part of a formula")

    # ------------------------------------------------------------------------- calls

    def call(self, node: ast.Call) -> Plan:
        """A function on operands; axis, keepdims and sizes are read here and now."""
        name = self.function(node)
        function = FUNCTIONS[name]
        places = parameters(name)
        given: dict[str, ast.expr] = {}
        if places[0].kind is inspect.Parameter.VAR_POSITIONAL:
            sizes = self.sizes_in(node)
            return (), lambda: function(*sizes)
        if len(node.args) > len(places):
            count = "one operand" if len(places) == 1 else f"at most {len(places)} operands"
            self.wrong(node, f"{name} takes {count}, not {len(node.args)}")
        for place, argument in zip(places, node.args, strict=False):
            given[place.name] = argument
        for keyword in node.keywords:
            options = [place.name for place in places]
            if keyword.arg not in options:
                offered = ", ".join(option for option in options[1:]) or "none"
                self.wrong(
                    keyword.value, f"{name} has no option {keyword.arg or '**'}; its options are: {offered}"
                )
            if keyword.arg in given:
                self.wrong(keyword.value, f"{keyword.arg} is given twice")
            given[keyword.arg] = keyword.value
        for place in places:
            if place.default is inspect.Parameter.empty and place.name not in given:
                needs = ", ".join(p.name for p in places if p.default is inspect.Parameter.empty)
                self.wrong(node, f"{name} needs {place.name}: {name}({needs})")
        readers: dict[str, Callable[[ast.expr], object]] = {
            "axis": self.axis,
            "keepdims": self.flag,
            "size": self.one_or_more_sizes,
        }
        fixed = {option: readers[option](given.pop(option)) for option in readers if option in given}
        operands = tuple(given)
        return list(given.values()), lambda *values: function(
            **dict(zip(operands, values, strict=True)), **fixed
        )

    def function(self, node: ast.Call) -> str:
        """The name of the function that is called."""
        match node.func:
            case ast.Name(id=name) if name in FUNCTIONS and name not in self.given:
                return name
            case ast.Name(id=name) if name in self.given or name in self.variables or name in self.sizes:
                start, end = self.span(node.func)
                error = MathError(f"{name} is no function", source=self.source, span=(start, end))
                raise Slip(error, [Candidate(f"{name}*(…)", f"{self.source[:end]}*{self.source[end:]}")])
            case ast.Name(id=name):
                known = [*FUNCTIONS, *([name] if name in ELSEWHERE else [])]
                close = [ELSEWHERE.get(other, other) for other in nearest(name, known)]
                error = MathError(
                    f"gradstep has no function {name}",
                    source=self.source,
                    span=self.span(node.func),
                    facts=[f"near: {', '.join(close)}"] if close else [f"functions: {', '.join(FUNCTIONS)}"],
                )
                raise Slip(error, [Candidate(other, self.edited(node.func, other)) for other in close])
            case ast.Attribute(value=ast.Name(id=module) | ast.Attribute(attr=module), attr=name) if (
                module in NUMPY and module not in self.variables
            ):
                ours = ELSEWHERE.get(name, name)
                written = self.text(node.func)
                what = (
                    f"write {ours}, not {written}"
                    if ours in FUNCTIONS
                    else f"gradstep has no function {written}"
                )
                error = MathError(what, source=self.source, span=self.span(node.func))
                close = nearest(ours, FUNCTIONS)
                raise Slip(error, [Candidate(other, self.edited(node.func, other)) for other in close])
            case ast.Attribute(value=inner, attr=name) if name in FUNCTIONS:
                rest = [self.text(part) for part in node.args]
                rest += [f"{keyword.arg}={self.text(keyword.value)}" for keyword in node.keywords]
                instead = f"{name}({', '.join([self.text(inner), *rest])})"
                error = MathError(
                    f"functions stand in front of their operand, {name}(x)",
                    source=self.source,
                    span=self.span(node.func),
                )
                raise Slip(error, [Candidate(instead, self.edited(node, instead))])
            case ast.Attribute(attr="T"):
                self.wrong(node, "the transpose is written .T, without brackets", self.text(node.func))
        self.wrong(node.func, "only the functions of gradstep can be called, by their names")

    def axis(self, node: ast.expr) -> object:
        """A literal axis: 0, -1, (0, 1) or None."""
        match node:
            case ast.Constant(value=None):
                return None
            case ast.Tuple(elts=parts) if parts:
                return tuple(map(self.integer, parts))
        return self.integer(node)

    def integer(self, node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))) if not isinstance(
                value, bool
            ):
                return -value
        self.wrong(node, "an axis is a whole number, written out: axis=0")

    def flag(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return node.value
        self.wrong(node, "keepdims is True or False")

    def one_or_more_sizes(self, node: ast.expr) -> object:
        """A size, or several in brackets."""
        return tuple(map(self.size, node.elts)) if isinstance(node, ast.Tuple) else self.size(node)

    def size(self, node: ast.expr) -> Size:
        """A size: the name of one, or a positive whole number."""
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool) and value > 0:
                return value
            case ast.Name(id=name) if name in self.sizes:
                return name
            case ast.Name(id=name):
                self.unknown(node, f"{name} is no size", sorted(self.sizes))
        self.wrong(node, "a size is its name or a positive whole number")

    def sizes_in(self, node: ast.Call) -> list[Size]:
        """The sizes of ones(N, k) or ones((N, k))."""
        parts = node.args
        if len(parts) == 1 and isinstance(parts[0], ast.Tuple):
            parts = parts[0].elts
        if node.keywords or not parts:
            self.wrong(node, "ones needs sizes: ones(N), ones(N, d)")
        return [self.size(part) for part in parts]

    # ------------------------------------------------------------------------- what went wrong

    def slip(
        self, node: ast.expr, operands: Sequence[ast.expr], values: Sequence[Expr], error: MathError
    ) -> Slip:
        """An operation refused its operands: where, with what shapes, and what may have been meant."""
        about = {f" is {shape_text(value.shape)}" for value in values}
        if not error.facts or any(fact.endswith(tuple(about)) for fact in error.facts):
            texts = [self.text(part) for part in operands]
            error.facts = shape_facts(zip(texts, values, strict=True))
        error.at(self.source, self.span(node))
        if len(values) == 2 and not isinstance(node, ast.Subscript):
            return Slip(error, *self.clash(node, operands, values).choices())
        if isinstance(node, ast.Call) and "axis" in [place.name for place in parameters(self.function(node))]:
            head = ", ".join(self.text(part) for part in operands)
            name = self.function(node)
            texts = [f"{name}({head}{axis})" for axis in (", axis=1", ", axis=0", "")]
            return Slip(error, [Candidate(text, self.edited(node, text)) for text in texts])
        return Slip(error) if error.mend is None else Slip(error)

    def clash(self, node: ast.expr, operands: Sequence[ast.expr], values: Sequence[Expr]) -> Clash:
        """Both operands with the text around them, for the search of a mend."""
        left, right = operands
        start, end = self.span(node)
        sign, written = "", None
        texts = [self.text(left), self.text(right)]
        match node:
            case ast.BinOp(op=op) | ast.Compare(ops=[op]):
                sign = BINARY[type(op)]
                after = self.span(left)[1]
                while self.source[after] in " \t\n)":
                    after += 1
                texts = [self.source[start:after].rstrip(), self.source[after + len(sign) : end].lstrip()]
                space = " " if self.source[after - 1] == " " else ""
                written = lambda a, sign, b: f"{a}{space}{sign}{space}{b}"  # noqa: E731
            case ast.Call():
                name = self.function(node)
                sign = "@" if name == "dot" else ""
                written = lambda a, sign, b: f"{name}({a}, {b})"  # noqa: E731
        sides = [
            Operand(
                text,
                isinstance(part, ATOMIC) or text[0] == "(" and text[-1] == ")" and text != self.text(part),
                value,
                part.id if isinstance(part, ast.Name) and part.id in self.variables else None,
            )
            for text, part, value in zip(texts, operands, values, strict=True)
        ]
        assert written is not None
        return Clash(sign, *sides, written, partial(self.edited, node), self.source)


def thin(x: Expr, axis: int) -> Expr:
    """A vector as a matrix of one column (axis 1) or one row (axis 0)."""
    if x.rank != 1:
        raise MathError("only a vector becomes a column or a row")
    return repeat(x, axis, 1)


@cache
def parameters(name: str) -> Sequence[inspect.Parameter]:
    """What a function takes."""
    return tuple(inspect.signature(FUNCTIONS[name]).parameters.values())
