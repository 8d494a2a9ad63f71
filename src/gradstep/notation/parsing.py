"""How is text read? NumPy's syntax becomes an expression; no text of a user is ever evaluated as Python.

The text is scanned first, then Python's own parser makes a tree of it (`ast.parse`, nothing more), and of
that tree only the kinds of node named here are read, with an explicit stack.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Container, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakKeyDictionary

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import OPERATORS, Expr, walk
from gradstep.expression.places import written
from gradstep.expression.records import record
from gradstep.expression.shapes import shape_text, size_names
from gradstep.notation.calling import (
    ELSEWHERE,
    LIBRARIES,
    NUMPY,
    OF_TWO,
    Plan,
    along,
    call,
    function,
    parameters,
    subscripted,
)
from gradstep.notation.declaring import Assumptions, Given, declared
from gradstep.notation.mending import Candidate, Clash, Operand, Slip, mended, shape_facts
from gradstep.notation.places import Formula
from gradstep.notation.scanning import DEEPEST, statements
from gradstep.operations import FUNCTIONS
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.evaluation import declared_with
from gradstep.operations.leaves import checked_name, number, number_op, pi, size

if TYPE_CHECKING:
    from gradstep.notation import typed
else:
    typed = late("gradstep.notation.typed")

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
    ast.NotEq: "!=",
}
ATOMIC = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript)


@record
class Parsed:
    """What a text says: the expression, its named parts in order, the name of the last, and the variables."""

    expr: Expr
    names: dict[Expr, str]
    loss_name: str | None
    variables: dict[str, Expr]


# The names that the text of an expression gave its parts, and the name of the whole.
_NAMES: WeakKeyDictionary[Expr, tuple[dict[Expr, str], str | None]] = WeakKeyDictionary()


def parse(
    text: str,
    shapes: Mapping[str, Given] | None = None,
    /,
    *,
    assume: Assumptions | None = None,
    **more: Given,
) -> Expr:
    """The expression that a text writes: `parse("mean((y - relu(X @ w))**2)", X="N d", w="d", y="N")`.

    The syntax is NumPy's: np. may stand before its functions, and X.sum(axis=0) is sum(X, axis=0). max(0, z)
    is of two, entry by entry; np.max(X, 0) and max(X, axis=0) are along an axis.

    Each variable is given with its shape, sizes being names or integers. Several
    statements, `z = X @ w + b; a = relu(z); mean((y - a)**2)`, give names to parts (`names_of`); the last is
    the value. Sizes may be used as numbers. `assume={"S": "symmetric"}` tells what is known of a variable.
    Shapes may also be given as a mapping, `parse("sum(x)", {"x": "n"})`, in which any name can stand.

    Raises `MathError`, with its place in the text, for whatever is no such formula or does not fit together.
    """
    parsed = parse_named(text, assume=assume, shapes=_together(shapes, more))
    parts = set(walk(parsed.expr)) - {parsed.expr} if parsed.names else ()
    names = {met: name for part, name in parsed.names.items() if (met := _met(part, parts)) is not None}
    _NAMES[parsed.expr] = names, parsed.loss_name
    return parsed.expr


def _met(part: Expr, parts: Container[Expr]) -> Expr | None:
    """A named part as it stands in the formula: a column, an axis of size one, may be a vector there."""
    if part in parts:
        return part
    column = part.op is repeat_op and all(size == 1 for size in part.params[1])
    return part.args[0] if column and part.args[0] in parts else None


def names_of(expr: Expr) -> dict[Expr, str]:
    """The names that the parsed text gave to parts of `expr`, and to `expr` itself, in order."""
    names, whole = _NAMES.get(expr, ({}, None))
    return {**names, expr: whole} if whole is not None else dict(names)


def symbols(
    shapes: Mapping[str, Given] | None = None, /, *, assume: Assumptions | None = None, **more: Given
) -> tuple[Expr, ...]:
    """Variables of these shapes, in this order: `X, w = symbols(X="N d", w="d")`."""
    return tuple(declared(_together(shapes, more), assume).values())


def _together(shapes: Mapping[str, Given] | None, more: Mapping[str, Given]) -> Mapping[str, Given]:
    """The shapes of a mapping and those by name."""
    if shapes is None:
        return more
    if not isinstance(shapes, Mapping):
        raise MathError(f"shapes are given by name, not as {shapes!r:.40}", mend='x="n"')
    twice = next((name for name in more if name in shapes), None)
    if twice is not None:
        raise MathError(f"the shape of {twice} is given twice", mend="one of them")
    return {**shapes, **more}


def parse_named(text: str, *, shapes: Mapping[str, Given], assume: Assumptions | None = None) -> Parsed:
    """As `parse`, with all that the text says: its names, in order, and its variables."""
    if not isinstance(text, str):
        raise MathError(f"a formula is text, not {type(text).__name__}")
    variables = declared(shapes, assume)

    def read(candidate: Candidate) -> Expr:
        again = declared({**shapes, **candidate.shapes}, assume) if candidate.shapes else variables
        return Reader(candidate.text, again).parsed().expr

    try:
        parsed = Reader(text.replace("\r\n", "\n").replace("\t", " "), variables).parsed()
    except Slip as slip:
        raise _as_typed(mended(slip, read), text, variables, read) from None
    except MathError as error:
        raise _as_typed(error, text, variables, read) from None
    declared_with(parsed.expr, variables)
    return parsed


def _as_typed(
    error: MathError, text: str, variables: Mapping[str, Expr], read: Callable[[Candidate], Expr]
) -> MathError:
    """The error, with the formula in NumPy's syntax as its mend where it is written as on paper."""
    if error.mend is None:
        found = typed.typed(text, variables)
        if found is not None:
            return mended(Slip(error, [Candidate(found, found)]), read)
    return error


class Reader:
    """Reads one text; the variables, and the names given so far, are what its words mean."""

    methods: Container[str] = NUMPY  # what may stand behind an array: X.sum(axis=0)

    def __init__(self, source: str, variables: Mapping[str, Expr]) -> None:
        self.source = source
        self.variables = dict(variables)
        self.sizes = {n for given in variables.values() for size in given.shape for n in size_names(size)}
        self.given: dict[str, Expr] = {}

    def parsed(self) -> Parsed:
        """What the text says."""
        listed = statements(self.source)
        for statement in listed:
            value = self.value(Formula.read(self.source, statement))
            if statement.name is not None:
                self.give(statement.name, statement.name_span, value)
            elif statement is not listed[-1]:
                what = "the value of this statement is not used: only the last one may go without a name"
                raise MathError(what, source=self.source, span=(statement.start, statement.end))
        names: dict[Expr, str] = {}
        for name, part in self.given.items():
            if part.args:
                names.setdefault(part, name)
        return Parsed(value, names, listed[-1].name or names.get(value), self.variables)

    def give(self, name: str, span: tuple[int, int], value: Expr) -> None:
        """From here on `name` means `value`."""
        taken = {"a variable": self.variables, "a size": self.sizes, "the name of a part": self.given}
        for what, names in taken.items():
            if name in names:
                raise MathError(
                    f"{name} is {what} already", source=self.source, span=span, mend="another name"
                )
        try:
            self.given[checked_name(name)] = value
        except MathError as error:
            raise error.at(self.source, span) from None

    def value(self, formula: Formula) -> Expr:
        """The expression that a formula writes, operands first, without recursion."""
        done: dict[ast.expr, Expr] = {}
        stack: list[tuple[ast.expr, Plan | None, int]] = [(formula.root, None, 0)]
        while stack:
            node, plan, depth = stack.pop()
            if plan is not None:
                done[node] = self.made(formula, node, plan, [done.pop(part) for part in plan[0]])
                continue
            if depth > DEEPEST:
                formula.wrong(node, f"formulas nest at most {DEEPEST} deep", "names for the parts: z = …; …")
            plan = self.plan(formula, node)
            stack.append((node, plan, depth))
            for part in reversed(plan[0]):  # a chain such as a + b + c leans to the left and is not deep
                leans = (part.lineno, part.col_offset) == (node.lineno, node.col_offset)
                stack.append((part, None, depth + (not leans)))
        return done[formula.root]

    def plan(self, formula: Formula, node: ast.expr) -> Plan:
        """What must be known before `node`, and what it makes of that."""
        match node:
            case ast.Constant():
                value = self.literal(formula, node)
                return (), lambda: value
            case ast.Name():
                meaning = self.meaning(formula, node)
                return (), lambda: meaning
            case ast.UnaryOp(op=ast.USub()):
                return [node.operand], OPERATORS["neg"]
            case ast.UnaryOp(op=ast.UAdd()):
                return [node.operand], lambda x: x
            case ast.BinOp(op=op) if type(op) in BINARY:
                return [node.left, node.right], OPERATORS[BINARY[type(op)]]
            case ast.Compare(ops=[op], comparators=[right]) if type(op) in BINARY:
                return [node.left, right], OPERATORS[BINARY[type(op)]]
            case ast.Attribute(value=library, attr="pi") if self.is_library(library):
                return (), lambda: pi
            case ast.Attribute(attr="mT"):
                return [node.value], OPERATORS["mT"]
            case ast.Attribute(attr="T"):
                return [node.value], lambda x: transpose(formula, node, x)
            case ast.Subscript():
                return subscripted(formula, node, self.sizes)
            case ast.Call(func=ast.Attribute(value=inner, attr=name)) if ELSEWHERE.get(
                name, name
            ) in self.methods and not self.is_library(inner):
                return self.method(formula, node, inner, ELSEWHERE.get(name, name))
            case ast.Call():
                name = function(formula, node, {*self.given, *self.variables, *self.sizes})
                return call(formula, node, name, self.sizes)
        refuse(formula, node)

    def is_library(self, node: ast.expr) -> bool:
        """Whether np stands here, and no variable of that name."""
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name in LIBRARIES and name not in {*self.given, *self.variables, *self.sizes}
        return False

    def method(self, formula: Formula, node: ast.Call, inner: ast.expr, name: str) -> Plan:
        """X.sum(axis=0) as sum(X, axis=0)."""
        function = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node.func)
        whole = ast.Call(func=function, args=[inner, *node.args], keywords=node.keywords)
        whole = ast.copy_location(whole, node)
        whole = along(formula, whole, name) if name in OF_TWO and node.args else whole
        return call(formula, whole, name, self.sizes)

    def literal(self, formula: Formula, node: ast.Constant) -> Expr:
        """A number, exactly as written."""
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            formula.wrong(node, f"{formula.text(node)} is no number")
        try:
            return number(Fraction(formula.text(node)))
        except MathError as error:
            raise error.at(self.source, formula.span(node)) from None

    def meaning(self, formula: Formula, node: ast.Name) -> Expr:
        """What a name stands for: a part, a variable, a size."""
        name = node.id
        for values in (self.given, self.variables):
            if name in values:
                return values[name]
        if name in self.sizes:
            return size(name)
        if name == "pi":
            return pi
        if name in FUNCTIONS:
            formula.wrong(node, f"{name} is a function and needs an operand: {name}(…)")
        formula.unknown(node, f"{name} is not known", [*self.variables, *self.given, *sorted(self.sizes)])

    def made(self, formula: Formula, node: ast.expr, plan: Plan, values: Sequence[Expr]) -> Expr:
        """The expression of one node; where an operation refuses, the error gets its place and a mend."""
        operands, make = plan
        try:
            value = make(*values)
        except MathError as error:
            raise self.slip(formula, node, operands, values, error) from None
        if value.args and (value.op.adjoint is None or value.op.domain != "real"):
            written(value, self.source, formula.span(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):  # aˣ may be exp(x log a)
            for part in walk(value, stop=values.__contains__):
                if part.op.domain == "positive" and part not in values:
                    written(part, self.source, formula.span(node))
        entries = math.prod(n for n in value.shape if isinstance(n, int))
        if entries > MOST_ENTRIES:
            formula.wrong(node, f"{shape_text(value.shape)} is more than {MOST_ENTRIES:,} entries")
        return value

    def slip(
        self,
        formula: Formula,
        node: ast.expr,
        operands: Sequence[ast.expr],
        values: Sequence[Expr],
        error: MathError,
    ) -> Slip:
        """An operation refused its operands: where, of what shapes, and what may have been meant."""
        shapes = tuple(f" is {shape_text(value.shape)}" for value in values)
        if not error.facts or any(fact.endswith(shapes) for fact in error.facts):
            parts = [
                (part, value)
                for part, value in zip(operands, values, strict=True)
                if value.op is not number_op
            ]
            error.facts = shape_facts([(formula.text(part), value) for part, value in parts])
        error.at(self.source, formula.span(node))
        match node, operands:
            case ast.BinOp() | ast.Compare(), _:
                return Slip(error, *self.clash(formula, node, operands, values).choices())
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)), [_, _] if [
                *parameters(OF_TWO.get(name, name))
            ] == ["a", "b"]:
                return Slip(error, *self.clash(formula, node, operands, values).choices())
            case ast.Call(func=ast.Name(id=name)), [operand] if "axis" in parameters(name):
                inner = formula.text(operand)
                texts = [f"{name}({inner}{axis})" for axis in (", axis=1", ", axis=0", "")]
                return Slip(error, [Candidate(text, formula.edited(node, text)) for text in texts])
        return Slip(error)

    def clash(
        self, formula: Formula, node: ast.expr, operands: Sequence[ast.expr], values: Sequence[Expr]
    ) -> Clash:
        """Two operands that do not fit, with the text around them."""
        texts, sign, written = _in_between(formula, node, operands)
        left, right = (
            Operand(
                text,
                isinstance(part, ATOMIC) or text != formula.text(part),
                value,
                part.id if isinstance(part, ast.Name) and part.id in self.variables else None,
            )
            for text, part, value in zip(texts, operands, values, strict=True)
        )
        return Clash(sign, left, right, written, partial(formula.edited, node), self.source)


def _in_between(
    formula: Formula, node: ast.expr, operands: Sequence[ast.expr]
) -> tuple[list[str], str, Callable[[str, str, str], str]]:
    """The texts of both operands with their parentheses, the sign, and how others are put in their place."""
    match node:
        case ast.BinOp(op=op) | ast.Compare(ops=[op]):
            sign = BINARY[type(op)]
            start, end = formula.span(node)
            middle = formula.span(operands[0])[1]
            while not formula.source.startswith(sign, middle):  # brackets and space come before the sign
                middle += 1
            space = " " if formula.source[middle - 1] == " " else ""
            texts = [formula.source[start:middle].rstrip(), formula.source[middle + len(sign) : end].lstrip()]
            return texts, sign, lambda a, sign, b: f"{a}{space}{sign}{space}{b}"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name) as called):
            texts = [formula.text(part) for part in operands]
            word = formula.text(called)
            return texts, "@" if name == "dot" else "", lambda a, sign, b: f"{word}({a}, {b})"
    raise AssertionError(node)


def transpose(formula: Formula, node: ast.expr, x: Expr) -> Expr:
    """X.T; where that may mean two things the error offers X.mT."""
    try:
        return OPERATORS["T"](x)
    except MathError as error:
        formula.slip(node, error.what, [f"{formula.text(node).removesuffix('T')}mT"], error.facts)


def refuse(formula: Formula, node: ast.expr) -> NoReturn:
    """An error about a kind of Python that no formula has."""
    match node:
        case ast.Compare(left=a, ops=[first, second], comparators=[b, c]) if {type(first), type(second)} <= {
            *BINARY
        }:
            both = [
                f"({formula.text(x)} {BINARY[type(op)]} {formula.text(y)})"
                for x, op, y in ((a, first, b), (b, second, c))
            ]
            formula.slip(node, "comparisons do not chain", ["*".join(both)])
        case ast.Compare():
            formula.wrong(node, "comparisons do not chain")
        case ast.Attribute(value=ast.Name(id=library), attr=name) if library in LIBRARIES:
            formula.slip(node, f"write {name}, not {formula.text(node)}", [name])
        case ast.Attribute(attr=name):
            formula.wrong(node, f"the only attributes are .T and .mT, the transposes, not .{name}")
        case ast.List() | ast.Tuple():
            formula.wrong(node, "a formula has no lists: arrays are variables")
    formula.wrong(node, "this is Python, but no part of a formula")
