"""How are formulas over entries spelled in a language with loops? Operators, functions, numbers and sizes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gradstep.expression.shapes import Size, terms

# How strongly an expression holds together: what stands around it decides whether it needs parentheses.
CHOICE, COMPARISON, SUM, PRODUCT, SIGN, ATOM = range(6)


@dataclass(frozen=True, slots=True)
class Form:
    """How an operation is written, entry by entry: `text` with its operands, which must hold at least so."""

    text: str
    holds: int = ATOM
    operands: tuple[int, ...] = (CHOICE,)


def calls(*names: str, inside: str = "") -> dict[str, Form]:
    """Functions that are called as the operations are: exp(x)."""
    return {name: Form(f"{inside}{name}({{0}})") for name in names}


OPERATORS: Mapping[str, Form] = {
    "add": Form("{0} + {1}", SUM, (SUM, PRODUCT)),
    "subtract": Form("{0} - {1}", SUM, (SUM, PRODUCT)),
    "multiply": Form("{0} * {1}", PRODUCT, (PRODUCT, SIGN)),
    "scale": Form("{0} * {1}", PRODUCT, (PRODUCT, SIGN)),
    "divide": Form("{0} / {1}", PRODUCT, (PRODUCT, SIGN)),
    "negate": Form("-{0}", SIGN, (ATOM,)),
}
FUNCTIONS = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")
ROUNDED = ("floor", "ceil", "trunc")
ARCS = ("sin", "cos", "tan", "sinh", "cosh", "tanh")
TESTS: Mapping[str, str] = {
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} {equals} {1}",
    "not_equal": "{0} {differs} {1}",
}


@dataclass(frozen=True)
class Language:
    """How loops are spelled in one language. `forms` are by the names of operations, `helpers` functions."""

    forms: Mapping[str, Form]
    helpers: Mapping[str, str]
    reserved: Collection[str]
    quotient: str  # of whole numbers, rounded down
    whole: str  # a number as a place
    signed: str  # a place that may become negative
    real: str  # a size as a number
    equals: str
    differs: str
    infinity: str
    finite: str
    name: str
    matrices: Mapping[str, str] = field(default_factory=dict)  # what helpers make of whole matrices

    def test(self, operation: str, parts: Sequence[str]) -> str:
        """A comparison."""
        return TESTS[operation].format(*parts, equals=self.equals, differs=self.differs)

    def number(self, value: int | Fraction) -> str:
        """A number of the formula."""
        exact = Fraction(value)
        if exact.denominator == 1 and abs(exact) < 2**53:
            return self.whole_number(exact.numerator)
        return repr(float(exact))

    def whole_number(self, value: int) -> str:
        """A whole number that is computed with."""
        return str(value)

    def size(self, size: Size) -> str:
        """A size, to count to."""
        text = " + ".join(
            " * ".join([*([str(times)] if times != 1 or not names else []), *names])
            for names, times in terms(size).items()
        )
        return re.sub(r" \+ -(?:1 \* )?", " - ", text)


def common(absolute: str, inside: str = "") -> dict[str, Form]:
    """What reads alike in all of them, but for how the size of a number and its functions are called.

    `inside` stands before a function of the language: Math.exp.
    """
    return {
        **OPERATORS,
        **calls(*FUNCTIONS, *ROUNDED, inside=inside),
        **calls("erf", "erfc", "sigmoid", "softplus"),
        **{f"arc{name}": Form(f"{inside}a{name}({{0}})") for name in ARCS},
        "power": Form(f"{inside}pow({{0}}, {{1}})"),
        "hypot": Form(f"{inside}hypot({{0}}, {{1}})"),
        "abs": Form(f"{absolute}({{0}})"),
        "where": Form("{0} ? {1} : {2}", CHOICE, (COMPARISON, COMPARISON, COMPARISON)),
        "leaky_relu": Form("{0} > 0 ? {0} : {p0} * {0}", CHOICE, (SIGN,)),
        "elu": Form(f"{{0}} > 0 ? {{0}} : {{p0}} * {inside}expm1({{0}})", CHOICE, (SUM,)),
        "softsign": Form(f"{{0}} / (1 + {absolute}({{0}}))", PRODUCT, (SIGN,)),
        "silu": Form("{0} * sigmoid({0})", PRODUCT, (SIGN,)),
        "bell": Form("sigmoid({0}) * sigmoid(-{0})", PRODUCT, (SIGN,)),
    }
