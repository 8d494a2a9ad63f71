"""What does a formula look like, whatever its symbols are called? The same for every layer that repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from gradstep.expression.node import Expr, walk
from gradstep.operations.leaves import symbol_op

Look = tuple[object, ...]


def look(
    roots: Sequence[Expr], closed: Callable[[Expr], bool], about: Callable[[Expr], object], most: int
) -> tuple[Look, list[Expr]]:
    """What `roots` look like down to what is `closed`, and the symbols there: variables, and what is closed.

    Two look the same only where one is the other with its symbols renamed, no two of them alike: nodes are
    numbered in the order in which they are met, so that what is shared is shared in both. Of a symbol counts
    its shape, and what `about` says. No more than `most` nodes are looked at.
    """
    order: dict[Expr, int] = {}
    symbols: list[Expr] = []
    seen: list[object] = []
    for node in islice(walk(*roots, stop=closed), most):
        if node.op is symbol_op or closed(node):
            seen.append((node.shape, about(node)))
            symbols.append(node)
        else:
            seen.append((node.op, node.params, *[order[arg] for arg in node.args]))
        order[node] = len(order)
    return (*seen, *[order.get(root) for root in roots]), symbols
