"""How does a user declare a function? In one line; its derivative is derived, never asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from inspect import Parameter, Signature

from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, walk
from gradstep.notation.parsing import parse_named
from gradstep.notation.plain import line
from gradstep.notation.writing import Writer
from gradstep.operations import FUNCTIONS
from gradstep.operations.arithmetic import COMPARISONS, power_op, relation, scale_op
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.declared import BUILT_IN, DECLARED, Declared, called, declare
from gradstep.operations.evaluation import mentioned
from gradstep.operations.leaves import RESERVED, checked_name, number, symbol, value_of

HEAD = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*\Z")
WORD = re.compile(r"(?<![\w.])[A-Za-z]\w*(?!\w)(?!\s*\()")
OPTIONS = frozenset(
    {"axis", "keepdims", "size", "indices", "parts", "approximate"}
)  # read otherwise in calls
AXIS = "entries"  # the size of the arrays on which it is tried whether a body acts entry by entry
SEVERAL = 8  # variables at most


class Function:
    """A declared function: call it on expressions, or by its name in text.

    name        as it is called
    variables   the names of its operands, in order
    body        its formula, over numbers
    slopes      its derivative by each variable, over numbers
    derivations how each slope was derived
    """

    def __init__(self, declared: Declared) -> None:
        self.name = declared.name
        self.variables = tuple(str(variable.params[0]) for variable in declared.variables)
        self.body = declared.body
        self.derivations: Mapping[str, Derivation] = declared.told
        self.slopes = {name: told.answers[name] for name, told in self.derivations.items()}
        self._defaults = declared.defaults
        defaults = [declared.defaults.get(name, Parameter.empty) for name in self.variables]
        self.__signature__ = Signature(
            [
                Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default)
                for name, default in zip(self.variables, defaults, strict=True)
            ]
        )

    def __call__(self, *operands: Expr | Number, **options: Expr | Number) -> Expr:
        return called(self.name, *operands, **options)

    def __repr__(self) -> str:
        return f"<function {self.name}({', '.join(self.variables)}) = {self.body}>"

    def __reduce__(self) -> tuple[object, ...]:
        head = f"{self.name}({', '.join(self.variables)})"
        return _again, (head, str(self.body), dict(self._defaults))


def function(name: str, formula: str | None = None, **defaults: float | Fraction) -> Function:
    """Declares an entrywise function: `function("swish", "x*sigmoid(x)")`.

    The derivative is derived from the formula, step by step and certified. Afterwards `swish(z)` may be
    called on expressions and in text. Several variables take the order in which the formula mentions them,
    or that of the head, `function("huber(x, d)", "where(abs(x) <= d, x**2/2, d*(abs(x) - d/2))", d=1)`; a
    number by keyword is the default of a variable. "swish(x) = x*sigmoid(x)" in one text will do as well.

    Raises `MathError` for a name that cannot be or is taken, a formula that does not act entry by entry, and
    one that goes through a function without derivative. The same declaration twice is one.
    """
    head, formula = _split(name, formula)
    found = HEAD.match(head)
    if found is None:
        raise MathError(
            f"{head[:60]!r} cannot be the head of a function", mend='function("swish(x)", "x*sigmoid(x)")'
        )
    called_so = _free_name(found[1])
    variables = _variables(called_so, found[2], formula, defaults)
    for variable in defaults:
        if variable not in variables:
            raise MathError(f"{variable} does not occur in {called_so}", source=formula)
    _check_entrywise(called_so, formula, variables)
    body = parse_named(formula, shapes=dict.fromkeys(variables, "")).expr
    exact = {variable: _default(variable, value) for variable, value in defaults.items()}
    return _declared(called_so, [symbol(variable) for variable in variables], exact, body)


def redeclared(name: str, variables: Sequence[str], defaults: Mapping[str, Fraction], body: Expr) -> Function:
    """A function that a saved formula carries with it."""
    symbols = [symbol(variable) for variable in variables]
    if not set(mentioned(body).values()) <= set(symbols):
        raise MathError(f"the function {name} uses variables that are not its own")
    if not all(_is_entrywise(node) for node in walk(body)):
        raise MathError(f"the function {name} does not act entry by entry")
    return _declared(_free_name(name), symbols, defaults, body)


def _again(head: str, formula: str, defaults: Mapping[str, Fraction]) -> Function:
    """What pickle calls: the same declaration once more."""
    return function(head, formula, **defaults)


def _declared(name: str, variables: Sequence[Expr], defaults: Mapping[str, Fraction], body: Expr) -> Function:
    known = DECLARED.get(name)
    if known is not None:
        if (known.variables, known.defaults, known.body) != (tuple(variables), defaults, body):
            raise MathError(
                f"{name} is declared already, as another function",
                facts=[f"{name}({_listed(known.variables)}) = {known.body}"],
                mend=f"another name, such as {name}_2",
            )
        found = FUNCTIONS[name]
        assert isinstance(found, Function)
        return found
    told = {str(variable.params[0]): derive(body, [variable], names={body: name}) for variable in variables}
    slopes = [told[str(variable.params[0])].answers[str(variable.params[0])] for variable in variables]
    whys = [_why(name, variables, variable, slope) for variable, slope in zip(variables, slopes, strict=True)]
    made = Function(declare(name, variables, defaults, body, slopes, whys, _kink(body), told))
    FUNCTIONS[name] = made
    return made


# ------------------------------------------------------------------------------------------- the head


def _split(name: object, formula: object) -> tuple[str, str]:
    """The head and the formula; "swish(x) = x*sigmoid(x)" has both."""
    if not isinstance(name, str) or not isinstance(formula, str | None):
        raise MathError("a function is declared by texts", mend='function("swish", "x*sigmoid(x)")')
    if formula is not None:
        return name, formula
    head, sign, rest = name.partition("=")
    if not sign or rest.startswith("="):
        raise MathError("a function needs a formula", source=name, mend='function("swish", "x*sigmoid(x)")')
    return head, rest.strip()


def _free_name(name: str) -> str:
    """`name`, if a function may be called so."""
    if name in BUILT_IN or (name in RESERVED and name not in DECLARED):
        raise MathError(f"{name} is a function of gradstep already", mend=f"another name, such as {name}_2")
    return name if name in DECLARED else checked_name(name)


def _variables(name: str, listed: str | None, formula: str, defaults: Mapping[str, object]) -> list[str]:
    """The names of the operands in order; those with a default come last."""
    known = {"pi", "None", "True", "False", *FUNCTIONS}
    assigned = set(re.findall(r"(?:^|[;\n])\s*([A-Za-z]\w*)\s*=(?!=)", formula))
    found = [
        word
        for word in dict.fromkeys(WORD.findall(formula))
        if word not in known and word not in assigned and word not in OPTIONS
    ]
    if listed is not None:
        names = [part.strip() for part in listed.split(",")]
        stray = next((word for word in found if word not in names), None)
        if stray is not None:
            at = WORD.search(formula, formula.index(stray))
            raise MathError(
                f"{stray} is no variable of {name}",
                source=formula,
                span=at.span() if at else None,
                mend=f"{name}({', '.join([*names, stray])})",
            )
    else:
        names = sorted(found, key=lambda word: word in defaults)
    if name in names:
        raise MathError(f"{name} cannot be a variable of itself", mend="another name for one of them")
    if not names or len(names) > SEVERAL:
        raise MathError(f"a function has from 1 to {SEVERAL} variables", source=formula)
    if len(set(names)) < len(names):
        raise MathError(f"{name} names a variable twice", facts=[f"{name}({', '.join(names)})"])
    for variable in names:
        checked_name(variable)
        if variable in OPTIONS:
            raise MathError(f"{variable} is an option of functions and cannot be a variable of {name}")
    return names


def _default(name: str, value: object) -> Fraction:
    exact = value_of(number(value))
    assert exact is not None
    return exact


# ------------------------------------------------------------------------------------------- the body


def _is_entrywise(node: Expr) -> bool:
    return not node.args or node.op.slopes is not None or node.op in (power_op, scale_op)


def _check_entrywise(name: str, formula: str, variables: Sequence[str]) -> None:
    """Tried on vectors, every part of the body must be one thing for each entry."""
    whole = parse_named(formula, shapes=dict.fromkeys(variables, AXIS)).expr
    for node in walk(whole):
        if not _is_entrywise(node) and node.op is not repeat_op:
            raise MathError(
                f"a function acts on each entry by itself, and {node.op.name} takes several together",
                source=formula,
                span=_place(formula, node.op.name),
                mend=f"{node.op.name} outside: sum({name}(z)), not {name} with a sum inside",
            )


def _place(formula: str, name: str) -> tuple[int, int]:
    """Where the function `name` is called in a formula; a mean is a sum."""
    signs = {"matmul": "@", "transpose": r"\.T"}
    words = "|".join({"sum": ("sum", "mean", "var", "std")}.get(name, (name,)))
    found = re.search(signs.get(name, rf"\b(?:{words})\b(?=\s*\()"), formula)
    return found.span() if found else (0, len(formula))


def _kink(body: Expr) -> str:
    """What is taken where the body bends, said of each part that does."""
    write = Writer()
    said = []
    for node in walk(body):
        if node.op in COMPARISONS:
            border = line(relation(node, COMPARISONS[node.op], write.written))
            said.append(f"at the border of {border} the side counts that holds there")
        elif node.op.kink:
            said.append(f"{line(write(node))}: {node.op.kink}")
    return "; ".join(dict.fromkeys(said))


def _why(name: str, variables: Sequence[Expr], variable: Expr, slope: Expr) -> str:
    """swish′(x) = σ(x) + x σ(x) (1 − σ(x)); of several variables ∂huber/∂x = …"""
    left = f"{name}′({variable})" if len(variables) == 1 else f"∂{name}/∂{variable}"
    return f"{left} = {line(Writer()(slope))}"


def _listed(variables: Sequence[Expr]) -> str:
    return ", ".join(map(str, variables))
