"""How does the gradient of one part follow from those of the parts that use it? The chain rule, link by link.

A derivation goes from the loss to the parameters in steps. Here the same steps are taken between neighbouring
named parts only, with ∂C/∂M as a symbol: ∂C/∂z = ∂C/∂a ⊙ 1[z > 0]. This is how a textbook writes it down.
"""

from __future__ import annotations

from gradstep.calculus.cotangents import cotangent
from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.laws import book_with
from gradstep.calculus.opening import Opening
from gradstep.calculus.repeats import Repeats
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation, Step
from gradstep.expression.node import Expr, rebuild, replace, walk
from gradstep.expression.records import record
from gradstep.operations.arithmetic import add


@record
class Link:
    """One line of the chain rule: ∂C/∂part from the gradients of the parts that use it.

    part     a named part or a parameter
    sources  the parts through which the loss depends on it
    form     ∂C/∂part with symbols ∂C/∂source in it
    closed   ∂C/∂part as it was derived, gradients written out where they are short
    steps    the steps that lead here, in order
    """

    part: Expr
    sources: tuple[Expr, ...]
    form: Expr
    closed: Expr
    steps: tuple[Step, ...]


def links(derivation: Derivation) -> tuple[Link, ...]:
    """The links from the loss to the parameters, in the order in which the parts were opened."""
    loss, parameters = derivation.of, list(derivation.parameters.values())
    moving = moving_nodes(loss, parameters)
    parts = {part for part in derivation.parts if part in moving}
    stops = {*parts, *parameters}
    book = book_with([(v, str(fact)) for v in walk(loss) if v.op.name == "symbol" for fact in v.params[2]])
    written, repeats = frozenset(walk(loss)), Repeats(loss)
    forms: dict[Expr, list[tuple[Expr, Expr]]] = {}
    steps: dict[Expr, list[Step]] = {}
    for source in derivation.cotangents:
        if source in parameters or (source not in parts and source is not loss):
            continue
        G, named = cotangent(source, loss), parts - {loss}
        work = Opening(source, G, stops - {source}, moving, named, book, written=written, repeats=repeats)
        work.run()
        for part, form in work.cotangents.items():
            if part in stops and part is not source:
                forms.setdefault(part, []).append((source, form))
                above = _above(part, source, work, stops)
                steps.setdefault(part, []).extend(step for step in work.steps if step.place in above)
    shown: dict[Expr, Expr] = {part: part for part in stops}
    shown |= {G: cotangent(part, loss) for G, part in derivation.fences.items()}
    found = []
    for part, G in derivation.cotangents.items():
        if part not in forms:
            continue
        total = forms[part][0][1]
        for _, other in forms[part][1:]:
            total = add(total, other)
        found.append(
            Link(
                part,
                tuple(source for source, _ in forms[part]),
                simplify(total, book, parts) if len(forms[part]) > 1 else total,
                rebuild(G, [replace(arg, shown) for arg in G.args]),
                tuple(steps[part]),
            )
        )
    order = {part: k for k, part in enumerate(derivation.cotangents)}
    asked = {parameter: k for k, parameter in enumerate(parameters)}

    def reading_order(link: Link) -> tuple[int, bool, int]:
        """After its sources; parameters before the next part, as they were asked for."""
        is_part = link.part not in asked
        return max(order[s] for s in link.sources), is_part, order[link.part] if is_part else asked[link.part]

    return tuple(sorted(found, key=reading_order))


def _above(part: Expr, source: Expr, work: Opening, stops: set[Expr]) -> set[Expr]:
    """The nodes between `source` and `part` that lead to it, and `part` (laws rewrite its cotangent)."""
    leading, moving = {part}, work.moving
    for node in walk(source, stop=lambda node: node not in moving or (node in stops and node is not source)):
        whole = work.whole(node)
        args = node.args if whole is None else (whole.x,)
        if (node is source or node not in stops) and any(arg in leading for arg in args):
            leading.add(node)
    return leading
