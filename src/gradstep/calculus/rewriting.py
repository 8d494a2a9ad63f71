"""How does a law change an expression? Matching, and applying laws until none applies.

The rewriter works from the innermost place outwards and does not look beneath a fence: a named part is one
symbol to it, which keeps lines short and the time linear in deep networks.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any, Literal, TypeVar

from gradstep.calculus.counting import length
from gradstep.calculus.lifting import lifted_forms
from gradstep.calculus.steps import Rewrite
from gradstep.calculus.wildcards import wildcard_op
from gradstep.expression.node import Expr, Operation
from gradstep.expression.records import record
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.leaves import eye_op

Domain = Literal["everywhere", "nonzero", "positive"]


@record
class Law:
    """An equation that is used from left to right.

    `forms` are the equation at each rank: pairs of expressions over wildcards. A procedural law has `apply`
    instead, (expression, fences) -> expression or None, and `examples`, made when asked for, that it must
    change. `domain` says where the left side is defined, which the right side must be too. A quiet law folds
    into the step before. A law that proposes is used only where what it proposes, tidied, is shorter than
    what stood there; it has something to say only where one of the operations `amid` is met among the terms
    and factors, and one of those `within` anywhere. Where not `oracle`, it holds for real numbers only: it
    needs signs, or what an operation is worth.
    """

    name: str
    why: str
    forms: tuple[tuple[Expr, Expr], ...] = ()
    quiet: bool = True
    domain: Domain = "everywhere"
    apply: Callable[[Expr, Container[Expr]], Expr | None] | None = None
    heads: tuple[Operation, ...] = ()
    examples: Callable[[], Iterable[Expr]] = tuple
    oracle: bool = True
    propose: Callable[[Expr, Container[Expr]], Iterable[Expr]] | None = None
    amid: frozenset[Operation] = frozenset()  # empty: whatever is met
    within: frozenset[Operation] = frozenset()


class Fences(set[Expr]):
    """Named parts, which are symbols to the rewriter; `known` is what has been worked out above them."""

    def __init__(self, parts: Iterable[Expr]) -> None:
        super().__init__(parts)
        self.known: dict[tuple[Any, ...], Any] = {}

    def add(self, part: Expr) -> None:
        """Another one."""
        super().add(part)
        self.known.clear()


Answer = TypeVar("Answer")


def remembered(work: Callable[..., Answer]) -> Callable[..., Answer]:
    """`work(expr, fences, …)`, which is done once for each expression above the same fences."""

    @wraps(work)
    def recalled(expr: Expr, fences: Container[Expr], *more: Any) -> Answer:
        if not isinstance(fences, Fences):
            return work(expr, fences, *more)
        key = work, expr, *more
        if key not in fences.known:
            fences.known[key] = work(expr, fences, *more)
        answer: Answer = fences.known[key]
        return answer

    return recalled


Binding = dict[Any, Any]  # wildcards to expressions, names of sizes to sizes
Pairs = Sequence[tuple[Expr, Expr]]


def match(pattern: Expr, expr: Expr, fences: Container[Expr]) -> Binding | None:
    """What the wildcards and sizes of `pattern` stand for when it stands for `expr`, if it can."""
    return _match(((pattern, expr),), {}, fences)


COMMUTATIVE = frozenset({"add", "multiply"})


def _match(pairs: Pairs, binding: Binding, fences: Container[Expr]) -> Binding | None:
    """One binding for all `pairs` of pattern and expression; commutative operands are tried both ways."""
    if not pairs:
        return binding
    (pattern, expr), *rest = pairs
    if pattern.op is wildcard_op:
        if pattern in binding:
            return _match(rest, binding, fences) if binding[pattern] is expr else None
        extended = _bind(pattern.shape, expr.shape, {**binding, pattern: expr})
        return None if extended is None else _match(rest, extended, fences)
    if pattern.op is eye_op is expr.op:
        extended = _bind(pattern.params, expr.params, binding)
        return None if extended is None else _match(rest, extended, fences)
    if not pattern.args:
        return _match(rest, binding, fences) if pattern is expr else None
    if pattern.op is not expr.op or expr in fences:
        return None
    extended = _bind(pattern.params, expr.params, binding)
    if extended is None:
        return None
    ways = (expr.args, expr.args[::-1]) if pattern.op.name in COMMUTATIVE else (expr.args,)
    for args in ways:
        found = _match([*zip(pattern.args, args, strict=True), *rest], extended, fences)
        if found is not None:
            return found
    return None


def _bind(pattern: Sequence[Any], params: Sequence[Any], binding: Binding) -> Binding | None:
    """`binding` with the sizes that a law leaves open; everything else in the parameters must be equal."""
    if len(pattern) != len(params):
        return None
    for p, q in zip(pattern, params, strict=True):
        if isinstance(p, tuple) and isinstance(q, tuple):
            extended = _bind(p, q, binding)
            if extended is None:
                return None
            binding = extended
        elif isinstance(p, str) and p not in binding:
            binding = {**binding, p: q}
        elif binding.get(p, p) != q:
            return None
    return binding


def build(template: Expr, binding: Binding) -> Expr:
    """`template` with its wildcards and sizes replaced by what they stand for."""
    if template.op is wildcard_op:
        found: Expr = binding[template]
        return found
    args = [build(arg, binding) for arg in template.args]
    return template.op(*args, params=tuple(_sized(p, binding) for p in template.params))


def _sized(param: Any, binding: Binding) -> Any:
    return tuple(_sized(p, binding) for p in param) if isinstance(param, tuple) else binding.get(param, param)


Indexed = tuple["Law", Expr, Expr]  # a law, and both sides of it
Heads = tuple[Operation | None, ...]  # the operations of operands
Forms = dict[tuple[Operation, int], list[Indexed]]


def _index(forms: Forms, law: Law, equations: Iterable[tuple[Expr, Expr]]) -> None:
    """Puts equations of a law where they are looked for."""
    for left, right in equations:
        forms.setdefault((left.op, left.rank), []).append((law, left, right))


def _fits(left: Expr, heads: Heads) -> bool:
    """Whether an equation may be about something whose operands have these operations."""
    asked = [None if arg.op is wildcard_op else arg.op for arg in left.args]
    ways = (heads, heads[::-1]) if left.op.name in COMMUTATIVE else (heads,)
    return any(all(op is None or op is head for op, head in zip(asked, way, strict=True)) for way in ways)


class Book:
    """Laws, indexed by the operation at their head."""

    def __init__(self, laws: Iterable[Law]) -> None:
        self.laws = tuple(laws)
        self._forms: Forms = {}
        self._stacked: dict[int, Forms] = {}
        self._fitting: dict[tuple[Operation, int, int, Heads], list[Indexed]] = {}
        self._with_quiet: dict[int, Book] = {}
        self._procedures: dict[Operation, list[Law]] = {}
        self._proposing: dict[Operation, list[Law]] = {}
        for law in self.laws:
            _index(self._forms, law, law.forms)
            for head in law.heads:
                (self._proposing if law.propose else self._procedures).setdefault(head, []).append(law)

    def and_last(self, law: Law) -> Book:
        """The same with one more law, which proposes."""
        more = copy(self)
        more.__dict__.pop("quiet", None)
        more._with_quiet = {}
        more.laws = (*self.laws, law)
        more._proposing = self._proposing | {head: [*self.proposing(head), law] for head in law.heads}
        return more

    @cached_property
    def quiet(self) -> Book:
        """The quiet laws alone."""
        return Book(law for law in self.laws if law.quiet)

    def quiet_and(self, law: Law) -> Book:
        """The quiet laws and this one."""
        place = next(k for k, other in enumerate(self.laws) if other is law)
        found = self._with_quiet.get(place)
        if found is None:
            found = self._with_quiet[place] = Book(one for one in self.laws if one.quiet or one is law)
        return found

    def first(self, expr: Expr, fences: Container[Expr]) -> tuple[Law, Expr] | None:
        """The first law that applies at the root of `expr`, and what it makes of it."""
        for law in self._procedures.get(expr.op, ()):
            changed = law.apply(expr, fences) if law.apply else None
            if changed is not None and changed is not expr:
                return law, changed
        heads = tuple([None if arg in fences and arg.args else arg.op for arg in expr.args])
        for law, left, right in self.forms(expr, heads):
            binding = match(left, expr, fences)
            if binding is not None:
                changed = build(right, binding)
                if changed is not expr:
                    return law, changed
        return None

    def forms(self, expr: Expr, heads: Heads) -> Sequence[Indexed]:
        """The equations about what has this operation at its root, with so many axes, also of each matrix.

        Of them those whose operands have these operations, None for what is fenced.
        """
        most = max([arg.rank for arg in expr.args])
        key = expr.op, expr.rank, most, heads
        found = self._fitting.get(key)
        if found is None:
            forms = [*self._forms.get((expr.op, expr.rank), ())]
            for depth in range(1, most - 1):
                forms += self.stacked(depth, expr)
            found = self._fitting[key] = [form for form in forms if _fits(form[1], heads)]
        return found

    def stacked(self, depth: int, expr: Expr) -> Sequence[Indexed]:
        """The equations that hold of each matrix, with `depth` axes in front; made when first asked for."""
        if depth not in self._stacked:
            self._stacked[depth] = {}
            for law in self.laws:
                made = [lifted for form in law.forms for lifted in lifted_forms(form, depth)]
                _index(self._stacked[depth], law, made)
        return self._stacked[depth].get((expr.op, expr.rank), ())

    def proposing(self, op: Operation) -> Sequence[Law]:
        """The laws that propose something shorter for what has this operation at its root."""
        return self._proposing.get(op, ())


# What terms and factors are put together by.
JOINING = frozenset({add_op, subtract_op, negate_op, multiply_op, divide_op, scale_op, power_op, repeat_op})


@dataclass(slots=True)
class Simplifier:
    """Applies the laws of a book, innermost place first, until none applies; remembers what it has done."""

    book: Book
    fences: Container[Expr]
    done: dict[Expr, Expr] = field(default_factory=dict)
    shortens: bool = True
    written: Container[Expr] = ()  # as the user wrote it: not made shorter
    lengths: dict[Expr, int] = field(default_factory=dict)
    tidied: dict[Expr, Expr] = field(default_factory=dict)  # what has been proposed, by the other laws alone
    found: dict[Expr, tuple[Law, Expr] | None] = field(default_factory=dict)  # what a law makes of a place
    amid: dict[Expr, frozenset[Operation]] = field(default_factory=dict)  # operations of terms and factors
    within: dict[Expr, frozenset[Operation]] = field(default_factory=dict)  # operations of all parts

    def afresh(self) -> Simplifier:
        """One that tells every rewrite again, and need not look for those that this one has found."""
        return replace(self, done={})

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
                stack += waiting
            elif (tidy := tuple([done[arg] for arg in node.args])) != node.args:
                becomes[node] = node.op(*tidy, params=node.params)
            elif found := self.applied(node):
                law, after = found
                rewrites.append(Rewrite(law.name, law.why, node, after))
                laws.append(law)
                becomes[node] = after
            else:
                done[node] = node
        return done[expr], rewrites, laws

    def applied(self, node: Expr) -> tuple[Law, Expr] | None:
        """What a law makes of `node`, whose operands are tidy."""
        if node not in self.found:
            found = self.book.first(node, self.fences)
            if found is None and self.shortens and node not in self.written:
                found = self.shorter(node)
            self.found[node] = found
        return self.found[node]

    def shorter(self, node: Expr) -> tuple[Law, Expr] | None:
        """The law whose proposal for the root of `node`, tidied, is the shortest, if it is shorter at all."""
        laws = [law for law in self.book.proposing(node.op) if self.concerns(law, node)]
        best, found = length(node, self.fences, self.lengths) if laws else 0, None
        for law in laws:
            for proposal in law.propose(node, self.fences) if law.propose else ():
                tidy = Simplifier(self.book, self.fences, self.tidied, shortens=False)(proposal)[0]
                if (now := length(tidy, self.fences, self.lengths)) < best:
                    best, found = now, (law, tidy)
        return found

    def concerns(self, law: Law, node: Expr) -> bool:
        """Whether `node` has the operations without which `law` has nothing to say."""
        return not (
            (law.amid and law.amid.isdisjoint(self.operations(node, self.amid, JOINING.__contains__)))
            or (law.within and law.within.isdisjoint(self.operations(node, self.within, bool)))
        )

    def operations(
        self, expr: Expr, known: dict[Expr, frozenset[Operation]], opened: Callable[[Operation], bool]
    ) -> frozenset[Operation]:
        """The operation of `expr`, and of its parts, and of theirs where it is one that is `opened`."""
        fences = self.fences

        stack = [expr]
        while stack:
            node = stack[-1]
            if node in known:
                stack.pop()
                continue
            parts = () if node in fences or not opened(node.op) else node.args
            if waiting := [part for part in parts if part not in known]:
                stack += waiting
            else:
                known[node] = frozenset({node.op}).union(*[known[part] for part in parts])
        return known[expr]

    def fenced(self) -> None:
        """There is another fence: what was measured without it is forgotten."""
        for known in (self.lengths, self.tidied, self.found, self.amid, self.within):
            known.clear()


def simplify(expr: Expr, book: Book, fences: Container[Expr] = ()) -> Expr:
    """`expr` with the laws of `book` applied until none applies."""
    return Simplifier(book, fences)(expr)[0]
