"""What does a person say beside a line? Reasons that name the things at hand: "y does not depend on w"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gradstep.calculus.steps import Derivation, Step
from gradstep.expression.boxes import Box, Sym, row
from gradstep.expression.node import Expr
from gradstep.notation.plain import line
from gradstep.operations.activations import abs_op
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op, sum_op
from gradstep.operations.families import STAYS
from gradstep.operations.leaves import is_constant, value_of
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op

SHORT = 16  # a longer text is not put into a sentence
TERMS = frozenset({add_op, subtract_op})


def listed(words: Sequence[str], joint: str = "and") -> str:
    """a, b and c."""
    *first, last = words
    return f"{', '.join(first)} {joint} {last}" if first else last


def numbered(numbers: Iterable[int]) -> str:
    """line 3; lines 3 and 5; lines 3–6."""
    found = sorted(set(numbers))
    if len(found) == 1:
        return f"line {found[0]}"
    if found == list(range(found[0], found[-1] + 1)):
        return f"lines {found[0]} and {found[1]}" if len(found) == 2 else f"lines {found[0]}–{found[-1]}"
    return f"lines {listed([str(n) for n in found])}"


def about(names: Sequence[str]) -> str:
    """The parameters in a sentence: w; w or b; the parameters."""
    return listed(names, "or") if len(names) < 3 else "the parameters"


class Wording:
    """Finds the words; `write` writes an expression as it stands in this view, `name` as a whole."""

    def __init__(
        self, derivation: Derivation, write: Callable[[Expr], Box], name: Callable[[Expr], Box]
    ) -> None:
        self.d, self.write, self.name = derivation, write, name

    def text(self, expr: Expr) -> str:
        """`expr` in a sentence; "" when it is too long for one."""
        told = line(self.write(expr))
        return told if len(told) <= SHORT else ""

    def reason(self, step: Step, parameters: str, towards: Expr | None = None) -> str:
        """Why the step holds, about the things at hand; `parameters` move, and it leads `towards` a part."""
        node = step.place
        if any(part is node for _, part in step.after):  # a law, or paths that meet
            return self.meeting(step) if len(step.before) > 1 else step.why
        if node.op in TERMS:
            still = [arg for arg in node.args if arg not in self.d.cotangents]
            if still and is_constant(unrepeated(still[0])):
                return f"{self.text(unrepeated(still[0])) or 'a constant'} is a constant"
            told = self.text(still[0]) if still else ""
            return f"{told} does not depend on {parameters}" if told else step.why
        if step.rule == "multiplication by a constant" and len(node.args) > 1:
            return self.staying(node, parameters) or step.why
        if node.op is matmul_op:
            return (self.crossing(node, towards) if node.rank else self.dotted(node)) or step.why
        if node.op is sum_op:
            return "it moves inside the sum"
        if node.op is repeat_op:
            told = self.text(node.args[0])
            return f"{told} stands {self.place(node)}: what arrives there is added" if told else step.why
        if node.op is power_op and value_of(node.args[1]) == 2:
            base = self.write(node.args[0])
            told = line(base)
            change = line(row(Sym("2", "number"), base, row("d", base)))
            return f"d({told}²) = {change}" if len(told) <= SHORT and " " not in told else step.why
        if towards is not None and towards in node.args and node.op.told is not None:
            rule, why = node.op.told(node, [node.args.index(towards)])
            if rule != STAYS[0]:  # the other factor moves too, though not on this way
                return why
        return step.why.removeprefix(f"the two pieces of {step.rule.removeprefix('slope of ')}: ")

    def meeting(self, step: Step) -> str:
        """Several paths lead to one part."""
        told = self.text(step.place) or "this part"
        return f"{told} is used in {len(step.before)} places: what arrives from them is added"

    def place(self, repeated: Expr) -> str:
        """Where a repeated thing stands again and again."""
        if repeated.rank == 1 or not repeated.args[0].rank:
            return "in every entry"
        if repeated.rank > 2:
            return f"at every place along {listed([str(size) for size in repeated.params[1]])}"
        return "in every row" if 0 in repeated.params[0] else "in every column"

    def staying(self, node: Expr, parameters: str) -> str:
        """1/N stays in front."""
        still = next(arg for arg in node.args if arg not in self.d.cotangents)
        told = self.text(unrepeated(still))
        if not told:
            return ""
        return (
            f"{told} stays in front"
            if is_constant(unrepeated(still))
            else f"{told} does not depend on {parameters}"
        )

    def dotted(self, product: Expr) -> str:
        """d(w·c) = c·dw."""
        moving = [factor for factor in product.args if factor in self.d.cotangents]
        if len(moving) > 1:
            return "each factor moves while the other stands still"
        A, B = (line(self.name(factor)) for factor in product.args)
        if len(A + B) > SHORT or " " in A + B:
            return ""
        return f"d({A}·{B}) = {B}·d{A}" if moving[0] is product.args[0] else f"d({A}·{B}) = {A}·d{B}"

    def crossing(self, product: Expr, towards: Expr | None) -> str:
        """⟨G, A dB⟩ = ⟨Aᵀ G, dB⟩ with the factors at hand."""
        left, right = product.args
        A, B = (line(self.name(factor)) for factor in product.args)
        A, B = (f"({factor})" if " " in factor else factor for factor in (A, B))
        if len(A + B) > SHORT or left.rank < 2:
            return ""
        told = []
        if left in self.d.cotangents and towards is not right:
            told.append(f"⟨G, d{A} {B}⟩ = ⟨G {self.turned(right, B)}, d{A}⟩")
        if right in self.d.cotangents and towards is not left:
            told.append(f"⟨G, {A} d{B}⟩ = ⟨{self.turned(left, A)} G, d{B}⟩")
        return listed(told) if told else ""

    def turned(self, factor: Expr, name: str) -> str:
        """Aᵀ; K of Kᵀ."""
        return line(self.name(factor.args[0])) if factor.op is transpose_op else f"{name}ᵀ"


def unrepeated(expr: Expr) -> Expr:
    """What is repeated, if `expr` is a repetition."""
    return expr.args[0] if expr.op is repeat_op else expr


def what_it_is(loss: Expr, roles: Mapping[Expr, str]) -> str:
    """What the loss is called: mean squared error, …"""
    body, averaged = loss, False
    while body.op in (scale_op, multiply_op, negate_op, divide_op):
        scaled = body.op in (scale_op, multiply_op) and is_constant(body.args[0])
        if not scaled and body.op is not negate_op:
            break
        averaged |= scaled
        body = body.args[-1]
    if body.op is not sum_op or body.rank:
        return "the loss"
    entry = body.args[0]
    of_error = entry.args and roles.get(entry.args[0], "") == "error"
    if entry.op is power_op and of_error and value_of(entry.args[1]) == 2:
        return "mean squared error" if averaged else "sum of squared errors"
    if entry.op is abs_op and of_error:
        return "mean absolute error" if averaged else "sum of absolute errors"
    return "the loss"
