"""How does a formula read in Python? Operators with the parentheses that a reader needs, and numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache

from gradstep.expression.errors import MathError
from gradstep.expression.records import record

Text = tuple[str, str]  # code, and the operator at its head: "" for a name, a call, a number

COMPARED = {
    ">": "<",
    ">=": "<=",
    "==": "==",
    "!=": "!=",
    "<": ">",
    "<=": ">=",
}  # and the same with its sides exchanged

# How tightly Python's operators bind, and which may stand to the left of which without parentheses. Python
# allows more; a reader should not have to know the order in which @, * and / are worked off.
BINDS = {"": 9, "**": 6, "-x": 5, "@": 4, "*": 4, "/": 4, "+": 3, "-": 3} | dict.fromkeys(COMPARED, 2)
LEFT: Mapping[str, set[str]] = {
    "+": {"+", "-"},
    "-": {"+", "-"},
    "*": {"*"},
    "/": {"*", "/", "@"},
    "@": {"@"},
}


def bare_left(inner: str, sign: str) -> bool:
    """Whether an operand with `inner` at its head needs no parentheses on the left of `sign`."""
    return BINDS[inner] > BINDS[sign] or inner in LEFT.get(sign, ())


def bare_right(inner: str, sign: str) -> bool:
    """The same on the right; a power takes a sign there."""
    return BINDS[inner] > BINDS[sign] or (sign == "**" and inner == "-x")


def infix(left: Text, sign: str, right: Text) -> Text:
    """left sign right, with the parentheses that a reader needs."""
    a = left[0] if bare_left(left[1], sign) else f"({left[0]})"
    b = right[0] if bare_right(right[1], sign) else f"({right[0]})"
    simple = sign == "**" and not re.search(r"[ (\[]", a + b)
    return f"{a}{sign}{b}" if simple else f"{a} {sign} {b}", sign


def prefixed(operand: Text) -> Text:
    """−operand; a sign that is there already falls away."""
    if operand[1] == "-x":
        return operand[0][1:], ""
    return (f"-{operand[0]}" if BINDS[operand[1]] > BINDS["-x"] else f"-({operand[0]})"), "-x"


def atom(text: Text) -> str:
    """Code that a dot or a bracket may follow."""
    return text[0] if not text[1] and not text[0][0].isdigit() else f"({text[0]})"


# ------------------------------------------------------------------------------------------- templates


@record
class Template:
    """The code of an operation, "np.tanh({0})", with the operator at its head and what its holes accept."""

    text: str
    head: str
    accepts: tuple[Callable[[str], bool], ...]

    def filled(self, operands: Sequence[Text], params: Mapping[str, str]) -> Text:
        text, codes = self.text, []
        for k, ((code, head), accept) in enumerate(zip(operands, self.accepts, strict=True)):
            if head == "-x" and f"-{{{k}}}" in text:  # −(−x) is x
                text, code, head = text.replace(f"-{{{k}}}", f"{{{k}}}"), code[1:], ""
            codes.append(code if accept(head) else f"({code})")
        return text.format(*codes, **params), self.head


SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**", ast.USub: "-x",
    ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


@cache
def template(code: str) -> Template:
    """A template read by Python's own grammar, which knows where a hole needs parentheses."""
    code = re.sub(r"(?<![\w\]])\((\{\d+\})\)", r"\1", code)  # the holes get their own
    tree = ast.parse(re.sub(r"\{(\w+)\}", r"HOLE\1", code), mode="eval").body
    accepts: dict[str, Callable[[str], bool]] = {}
    for parent in ast.walk(ast.Expression(tree)):
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.Name) and re.fullmatch(r"HOLE\d+", child.id):
                accepts[child.id] = _accepts(parent, child)
    return Template(code, _head(tree), tuple(accepts[hole] for hole in sorted(accepts, key=_place)))


def _place(hole: str) -> int:
    """Which operand a hole is for: 12 for HOLE12."""
    return int(hole.removeprefix("HOLE"))


def _head(node: ast.AST) -> str:
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        return SIGNS[type(node.op)]
    return SIGNS[type(node.ops[0])] if isinstance(node, ast.Compare) else ""


def _accepts(parent: ast.AST, child: ast.AST) -> Callable[[str], bool]:
    sign = _head(parent)
    if isinstance(parent, ast.Attribute | ast.Subscript):
        return lambda head: not head
    if not sign:
        return lambda head: True
    if sign == "-x":
        return lambda head: BINDS[head] > BINDS["-x"]
    left = isinstance(parent, ast.BinOp) and parent.left is child
    return lambda head: bare_left(head, sign) if left else bare_right(head, sign)


# ------------------------------------------------------------------------------------------- numbers


def literal(value: Fraction) -> Text:
    """An exact number as Python writes it: 2, 0.01, 1 / 3."""
    sign = "-x" if value < 0 else ""
    try:
        nearest = float(value)
    except OverflowError:
        raise MathError("a number in this formula is beyond the range of float64") from None
    if value.denominator == 1 and abs(value.numerator) < 2**53:
        return str(value.numerator), sign
    if Fraction(repr(nearest)) == value or max(abs(value.numerator), value.denominator) >= 2**53:
        return repr(nearest), sign
    return f"{value.numerator} / {value.denominator}", "/"
