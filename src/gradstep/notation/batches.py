"""Which axis counts the examples, and can a loss be told example by example?"""

from __future__ import annotations

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.operations.leaves import symbol_op


def batch_size(derivation: Derivation, batch: str | None = None) -> Size | None:
    """The batch axis: the one that data carry, no parameter carries, and the loss sums over."""
    symbols = [node for node in walk(derivation.of) if node.op is symbol_op]
    parameters = set(derivation.parameters.values())
    carried = {size for p in parameters for size in p.shape}
    if batch is not None:
        if not isinstance(batch, str | int) or batch not in {size for s in symbols for size in s.shape}:
            raise MathError(f"no variable has an axis of size {batch!s:.60}")
        return batch
    found = (size for s in symbols if s not in parameters for size in s.shape[:1] if size not in carried)
    return next(found, None)


def tells(derivation: Derivation, batch: Size | None) -> bool:
    """Whether each example has one number for every named part, and a parameter enters through one part."""
    if batch is None or not derivation.steps:
        return False
    parts = [part for part in derivation.parts if part is not derivation.of and part in derivation.cotangents]
    entered = [direct_parts(derivation, p) for p in derivation.parameters.values()]
    return (
        bool(parts)
        and all(part.shape in ((batch,), ()) for part in parts)
        and all(p.rank < 2 and batch not in p.shape for p in derivation.parameters.values())
        and all(len(through) < 2 and derivation.of not in through for through in entered)
        and not any(_adds_examples(derivation, part, batch) for through in entered for part in through)
    )


def _adds_examples(derivation: Derivation, part: Expr, batch: Size) -> bool:
    """Whether a parameter enters `part` through a sum over the examples, so that it is no matter of one."""
    return any(
        node in derivation.cotangents
        and batch not in node.shape
        and any(batch in arg.shape for arg in node.args)
        for node in walk(part, stop=lambda node: node is not part and node in derivation.parts)
    )


def direct_parts(derivation: Derivation, parameter: Expr) -> list[Expr]:
    """The parts, the loss among them, that the parameter enters without passing another part."""
    reached = {parameter}
    found = []
    for node in walk(derivation.of):
        if any(arg in reached for arg in node.args):
            if node in derivation.parts:
                found.append(node)
            else:
                reached.add(node)
    return found
