"""How does a law change an expression? Matching, and applying laws until none applies.

The rewriter works from the innermost place outwards and does not look beneath a fence: a named part is one
symbol to it, which keeps lines short and the time linear in deep networks.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gradstep.calculus.steps import Rewrite
from gradstep.expression.boxes import ATOM, Sym, Written, letter_kind
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape
from gradstep.operations.families import leaf
from gradstep.operations.leaves import is_constant

# params: name, shape, and what it stands for.
wildcard_op = leaf(
    "wildcard",
    lambda params: params[1],
    lambda np, sizes, params: None,
    lambda expr, spell: (str(expr.params[0]), ATOM),
    lambda expr, write: Written(Sym(str(expr.params[0]), letter_kind(expr.rank))),
    "stands for any expression",
)
Kind = Literal["any", "constant"]
Domain = Literal["everywhere", "nonzero"]


def wildcard(name: str, shape: Shape = (), kind: Kind = "any") -> Expr:
    """A letter in a law that stands for any expression of this shape; its sizes stand for any sizes."""
    return wildcard_op(params=(name, shape, kind))


@dataclass(frozen=True, slots=True)
class Law:
    """An equation that is used from left to right.

    `forms` are the equation at each rank: pairs of expressions over wildcards. A procedural law has `apply`
    instead, (expression, fences) -> expression or None, and `examples` that it must change. `domain` says
    where the left side is defined, which the right side must be too. A quiet law folds into the step before.
    """

    name: str
    why: str
    forms: tuple[tuple[Expr, Expr], ...] = ()
    quiet: bool = True
    domain: Domain = "everywhere"
    apply: Callable[[Expr, Container[Expr]], Expr | None] | None = None
    heads: tuple[Operation, ...] = ()
    examples: tuple[Expr, ...] = ()


Binding = dict[Any, Any]  # wildcards to expressions, names of sizes to sizes


def match(pattern: Expr, expr: Expr, binding: Binding, fences: Container[Expr]) -> bool:
    """Whether `pattern` can stand for `expr`; `binding` collects what its wildcards and sizes stand for."""
    if pattern.op is wildcard_op:
        if pattern in binding:
            return binding[pattern] is expr
        if pattern.rank != expr.rank or (pattern.params[2] == "constant" and not is_constant(expr)):
            return False
        if not _sizes_match(pattern.shape, expr.shape, binding):
            return False
        binding[pattern] = expr
        return True
    if pattern.op is not expr.op or expr in fences or len(pattern.args) != len(expr.args):
        return False
    if pattern.params != expr.params and not _params_match(pattern.params, expr.params, binding):
        return False
    if pattern.op.name in COMMUTATIVE:
        kept = dict(binding)
        if _all_match(pattern.args, expr.args, binding, fences):
            return True
        binding.clear()
        binding.update(kept)
        return _all_match(pattern.args, expr.args[::-1], binding, fences)
    return _all_match(pattern.args, expr.args, binding, fences)


COMMUTATIVE = frozenset({"add", "multiply"})


def _all_match(
    patterns: Sequence[Expr], args: Sequence[Expr], binding: Binding, fences: Container[Expr]
) -> bool:
    return all(match(p, a, binding, fences) for p, a in zip(patterns, args, strict=True))


def _sizes_match(pattern: Shape, shape: Shape, binding: Binding) -> bool:
    for p, s in zip(pattern, shape, strict=True):
        if (binding.setdefault(p, s) if isinstance(p, str) else p) != s:
            return False
    return True


def _params_match(pattern: Params, params: Params, binding: Binding) -> bool:
    """Parameters are equal but for sizes, which a law leaves open."""
    if len(pattern) != len(params):
        return False
    for p, q in zip(pattern, params, strict=True):
        if isinstance(p, tuple) and isinstance(q, tuple) and len(p) == len(q):
            if not all(_size_matches(a, b, binding) for a, b in zip(p, q, strict=True)):
                return False
        elif not _size_matches(p, q, binding):
            return False
    return True


def _size_matches(p: object, q: object, binding: Binding) -> bool:
    return (binding.setdefault(p, q) if isinstance(p, str) else p) == q


def build(template: Expr, binding: Binding) -> Expr:
    """`template` with its wildcards and sizes replaced by what they stand for."""
    if template.op is wildcard_op:
        found: Expr = binding[template]
        return found
    args = [build(arg, binding) for arg in template.args]
    return template.op(*args, params=tuple(_sized(p, binding) for p in template.params))


def _sized(param: Any, binding: Binding) -> Any:
    return tuple(_sized(p, binding) for p in param) if isinstance(param, tuple) else binding.get(param, param)


class Book:
    """Laws, indexed by the operation at their head."""

    def __init__(self, laws: Iterable[Law]) -> None:
        self.laws = tuple(laws)
        self._forms: dict[tuple[Operation, int], list[tuple[Law, Expr, Expr, frozenset[Operation]]]] = {}
        self._procedures: dict[Operation, list[Law]] = {}
        for law in self.laws:
            for left, right in law.forms:
                needs = frozenset(arg.op for arg in left.args if arg.op is not wildcard_op)
                self._forms.setdefault((left.op, left.rank), []).append((law, left, right, needs))
            for head in law.heads:
                self._procedures.setdefault(head, []).append(law)

    def first(self, expr: Expr, fences: Container[Expr]) -> tuple[Law, Expr] | None:
        """The first law that applies at the root of `expr`, and what it makes of it."""
        for law in self._procedures.get(expr.op, ()):
            changed = law.apply(expr, fences) if law.apply else None
            if changed is not None and changed is not expr:
                return law, changed
        present = {arg.op for arg in expr.args if arg not in fences}
        for law, left, right, needs in self._forms.get((expr.op, expr.rank), ()):
            binding: Binding = {}
            if needs <= present and match(left, expr, binding, fences):
                changed = build(right, binding)
                if changed is not expr:
                    return law, changed
        return None


@dataclass(slots=True)
class Simplifier:
    """Applies the laws of a book, innermost place first, until none applies; remembers what it has done."""

    book: Book
    fences: Container[Expr]
    done: dict[Expr, Expr] = field(default_factory=dict)

    def __call__(self, expr: Expr) -> tuple[Expr, list[Rewrite], list[Law]]:
        """The simplified expression, the rewrites made on the way, and their laws."""
        rewrites: list[Rewrite] = []
        laws: list[Law] = []
        done = self.done
        becomes: dict[Expr, Expr] = {}  # met, rewritten, and waiting for what it was rewritten to
        stack: list[Expr] = [expr]
        while stack:
            node = stack[-1]
            if node in done:
                stack.pop()
            elif node in becomes:
                after = becomes[node]
                if after in done:
                    done[node] = done[after]
                else:
                    stack.append(after)
            elif node in self.fences or not node.args:
                done[node] = node
            elif waiting := [arg for arg in node.args if arg not in done]:
                stack.extend(waiting)
            elif any(done[arg] is not arg for arg in node.args):
                becomes[node] = node.op(*(done[arg] for arg in node.args), params=node.params)
            elif found := self.book.first(node, self.fences):
                law, after = found
                rewrites.append(Rewrite(law.name, law.why, node, after))
                laws.append(law)
                becomes[node] = after
            else:
                done[node] = node
        return done[expr], rewrites, laws


def simplify(expr: Expr, book: Book, fences: Container[Expr] = ()) -> Expr:
    """`expr` with the laws of `book` applied until none applies."""
    return Simplifier(book, fences)(expr)[0]
