"""How is a book of equations used where numbers are worked out? From left to right, until nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gradstep.expression.node import Expr, Operation, rebuild, uses
from gradstep.expression.records import record

Uses = Callable[[Expr], int]  # in how many places an expression is used


@record
class Improvement:
    """An equation for code: what stands left is computed as what stands right.

    `apply` (expr, uses) gives the right side, or None where the equation does not apply; `heads` are the
    operations that its left side may start with, and `examples` are expressions that it must change.
    """

    name: str
    why: str
    heads: tuple[Operation, ...]
    apply: Callable[[Expr, Uses], Expr | None]
    examples: tuple[Expr, ...]
    told: bool = True  # whether code says that it was used


def improved(
    roots: Sequence[Expr],
    book: Iterable[Improvement],
    used: dict[Improvement, None] | None = None,
    parts: Sequence[Expr] = (),
) -> dict[Expr, Expr]:
    """What every node under `roots` and `parts` becomes, when the book is applied until nothing changes.

    From the innermost node outwards, each node once. What has been applied is added to `used`. That something
    is a part which is asked for does not count as a use.
    """
    by_head: dict[Operation, list[Improvement]] = {}
    for improvement in book:
        for head in improvement.heads:
            by_head.setdefault(head, []).append(improvement)
    counts = uses(roots)
    for node in roots:
        counts[node] = counts.get(node, 0) + 1

    def uses_of(node: Expr) -> int:
        return counts.get(node, 0)

    done: dict[Expr, Expr] = {}
    becomes: dict[Expr, Expr] = {}  # met, rewritten, and waiting for what it was rewritten to
    opened: set[Expr] = set()
    stack = [*reversed(parts), *reversed(roots)]
    while stack:
        node = stack[-1]
        if node in done:
            counts[done[node]] = max(counts.get(done[node], 0), counts.get(node, 0))
            stack.pop()
        elif node in becomes:
            after = becomes[node]
            if after in done:
                done[node] = done[after]
            elif after in opened:  # two equations that undo each other: stop here
                done[node] = node
            else:
                opened.add(after)
                stack.append(after)
        elif waiting := [arg for arg in node.args if arg not in done]:
            stack.extend(reversed(waiting))
        else:
            settled = rebuild(node, [done[arg] for arg in node.args])
            after = settled
            for improvement in by_head.get(settled.op, ()):
                changed = improvement.apply(settled, uses_of)
                if changed is not None and changed is not settled:
                    after = changed
                    if used is not None:
                        used[improvement] = None
                    break
            if after is node:
                done[node] = node
            else:
                becomes[node] = after
    return done
