"""What does a derivation say about its formula? Where it is defined, and why a derivative is 0."""

from __future__ import annotations

from collections.abc import Mapping

from gradstep.calculus.duals import STANDING_STILL
from gradstep.calculus.naming import Part
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr, describe, walk
from gradstep.operations.arithmetic import power_op
from gradstep.operations.domains import conditions


def loss_name(parts: Mapping[Expr, object], loss: Expr) -> str:
    """What the loss is called."""
    return str(getattr(parts[loss], "name", "C"))


def defined_where(loss: Expr, moving: set[Expr], parts: Mapping[Expr, Part]) -> tuple[str, ...]:
    """What the loss asks of its parts: "log(z) is defined where z > 0"."""
    said = []
    for node, asks in conditions(loss, moving):
        operand = node.args[0]
        short = parts[operand].name if operand in parts else describe(operand)
        whole = f"{node.op.name}({short})" if node.op is not power_op else describe(node)
        said.append(f"{whole} is defined where {asks(short)}")
    return tuple(dict.fromkeys(said))


def asked_besides(derivation: Derivation) -> tuple[str, ...]:
    """What the lines of a certified derivation ask for, and neither the formula nor a remark on it does."""
    if derivation.certificate is None:
        return ()
    implied = {note.rpartition(" is defined where ")[2].replace(" > 0", " ≠ 0") for note in derivation.notes}
    implied |= {note.rpartition(" is defined where ")[2] for note in derivation.notes}
    needs = [need for line in derivation.certificate.checked for need in line.needs if need not in implied]
    if not needs:
        return ()
    asked = " and ".join(dict.fromkeys(needs))
    return (
        f"what is written here needs {asked}, which the formula itself does not: where that fails there may "
        "be a derivative all the same, but not in this form",
    )


def stillness(told: str, f: Expr, name: str, variable: Expr, what: str) -> str:
    """Why f, called `told`, has derivative 0: the variable does not occur, or moves f in jumps only."""
    if variable not in walk(f):
        return f"{told} does not depend on {name}: its {what} is 0"
    if variable in walk(*(node for node in walk(f) if node.op in STANDING_STILL)):
        return f"{told} moves with {name} in jumps only: between them its {what} is 0"
    return f"{told} does not move with {name}: its {what} is 0"
