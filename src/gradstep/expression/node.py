"""What is an expression made of?

One kind of node: an operation, its operands, its parameters, and the shape that follows. Nodes are immutable
and interned, so that equal means identical, a tree is a graph, and common parts are common for free. No
function here knows an operation by name: an operator looks its operation up in a table that the room of
operations fills.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from gradstep.expression.boxes import Written
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import Shape, shape_text

Params = tuple[Any, ...]  # hashable; what stands in them, each operation knows of itself
Spelled = tuple[str, int]  # plain text, and how tightly it binds


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """Everything gradstep knows about one operation, said once.

    name          as the user writes it
    shape         (params, *operand shapes) -> shape, or a `MathError`
    meaning       (np, sizes, params, *values) -> value: the reference interpreter's step; what a slope at a
                  kink is, is said in `kink`
    text          (expr, spell) -> (plain text, level) that the parser reads back
    layout        (expr, write) -> Written: the written mathematics
    differential  (y, args, dargs) -> dy, forward; a darg of None does not move
    adjoint       (G, y, args) -> one cotangent per operand (None where it never moves), reverse
    rule, why     the name of the derivative rule, and the sentence that makes it believable
    indices       (params, *ranks) -> "ik,kj->ij" for what is linear in each operand, or None
    slopes        per operand, (y, *args) -> dy/darg for what acts entry by entry, or None
    alone         the same where one operand moves by itself, if its slope at a kink is then another one
    definition    (params, *args) -> the same in simpler operations, where there is one
    code          NumPy source as a template, "np.tanh({0})", or expr -> template; empty: the same as `text`.
                  `helper` is the source of a function that the template calls
    domain        where it is defined: "real" (everywhere), "positive", "nonzero", "inside one" …; "mask": its
                  first operand is 0 or 1; "places": its last operand is whole numbers
    kink          the value of the slope where there is none, in words
    told          (expr, places) -> (rule, why) as they read when the operands at these places move; None:
                  always `rule` and `why`
    example       (params, shapes of operands) for each way in which the tests call it
    """

    name: str
    shape: Callable[..., Shape]
    meaning: Callable[..., Any]
    text: Callable[[Expr, Callable[[Expr], Spelled]], Spelled]
    layout: Callable[[Expr, Callable[[Expr], Written]], Written]
    differential: Callable[[Expr, Sequence[Expr], Sequence[Expr | None]], Expr] | None
    adjoint: Callable[[Expr, Expr, Sequence[Expr]], Sequence[Expr | None]] | None
    rule: str
    why: str
    code: str | Callable[[Expr], str] = ""
    indices: Callable[..., str] | None = None
    slopes: tuple[Callable[..., Expr], ...] | None = None
    definition: Callable[..., Expr] | None = None
    helper: str = ""
    domain: str = "real"
    kink: str = ""
    example: tuple[tuple[Params, tuple[Shape, ...]], ...] = ()
    told: Callable[[Expr, Sequence[int]], tuple[str, str]] | None = None
    alone: tuple[Callable[..., Expr], ...] | None = None

    def __call__(self, *args: Expr, params: Params = ()) -> Expr:
        """The expression of this operation on `args`; a clash of shapes names the operands."""
        key = (self, params, *map(id, args))
        found = _INTERNED.get(key)
        if found is not None:
            return found
        try:
            shape = self.shape(params, *(arg.shape for arg in args))
        except MathError as error:
            if not error.facts:
                error.facts = tuple(dict.fromkeys(f"{describe(a)} is {shape_text(a.shape)}" for a in args))
            raise
        made = Expr(self, args, params, shape)
        _INTERNED[key] = made
        return made

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


_INTERNED: WeakValueDictionary[tuple[Hashable, ...], Expr] = WeakValueDictionary()


def upstairs(name: str) -> Callable[..., Any]:
    """A function of an upper room, by its name in the table of gradstep/__init__.py.

    For methods that need a room above their own, such as `str(expr)`, which needs notation.
    """
    found: Callable[..., Any] = getattr(sys.modules["gradstep"], name)
    return found


# What each operator of Python means: filled once, by operations/__init__.py.
OPERATORS: dict[str, Callable[..., Expr]] = {}

Number = int | float


class Expr:
    """An expression: `op` applied to `args` with `params`; `shape` is a tuple of sizes.

    Made by operators and by functions such as `gs.relu`, never directly. Equal expressions are the same
    object, so `is` compares them; `==` does too and gives a bool.
    """

    __slots__ = ("__weakref__", "args", "op", "params", "rank", "shape")
    __array_ufunc__ = None  # so that `array @ expr` asks the expression, which then explains

    op: Operation
    args: tuple[Expr, ...]
    params: Params
    shape: Shape
    rank: int
    """The number of axes."""

    def __init__(self, op: Operation, args: tuple[Expr, ...], params: Params, shape: Shape) -> None:
        put = object.__setattr__
        put(self, "op", op)
        put(self, "args", args)
        put(self, "params", params)
        put(self, "shape", shape)
        put(self, "rank", len(shape))

    def __setattr__(self, name: str, value: object) -> None:
        raise MathError(f"an expression does not change: {name} cannot be set")

    @property
    def T(self) -> Expr:
        """The transpose of a matrix. A vector is its own transpose, as in NumPy; with more axes see `mT`."""
        return OPERATORS["T"](self)

    @property
    def mT(self) -> Expr:
        """The last two axes swapped: the transpose of each matrix."""
        return OPERATORS["mT"](self)

    def __add__(self, other: Expr | Number) -> Expr:
        return OPERATORS["+"](self, other)

    def __radd__(self, other: Number) -> Expr:
        return OPERATORS["+"](other, self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return OPERATORS["-"](self, other)

    def __rsub__(self, other: Number) -> Expr:
        return OPERATORS["-"](other, self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return OPERATORS["*"](self, other)

    def __rmul__(self, other: Number) -> Expr:
        return OPERATORS["*"](other, self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return OPERATORS["/"](self, other)

    def __rtruediv__(self, other: Number) -> Expr:
        return OPERATORS["/"](other, self)

    def __pow__(self, other: Expr | Number) -> Expr:
        return OPERATORS["**"](self, other)

    def __rpow__(self, other: Number) -> Expr:
        return OPERATORS["**"](other, self)

    def __matmul__(self, other: Expr) -> Expr:
        return OPERATORS["@"](self, other)

    def __rmatmul__(self, other: object) -> Expr:
        return OPERATORS["@"](other, self)

    def __neg__(self) -> Expr:
        return OPERATORS["neg"](self)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return OPERATORS["abs"](self)

    def __floor__(self) -> Expr:
        return OPERATORS["floor"](self)

    def __ceil__(self) -> Expr:
        return OPERATORS["ceil"](self)

    def __trunc__(self) -> Expr:
        return OPERATORS["trunc"](self)

    def __round__(self, digits: int | None = None) -> Expr:
        if digits:
            raise MathError(
                "an expression is rounded to whole numbers", mend="round(100*x)/100 for two digits"
            )
        return OPERATORS["round"](self)

    def __float__(self) -> float:
        raise MathError(
            "an expression has no value before its variables have", mend="gs.evaluate(expr, …) with numbers"
        )

    __int__ = __complex__ = __float__

    def __gt__(self, other: Expr | Number) -> Expr:
        return OPERATORS[">"](self, other)

    def __lt__(self, other: Expr | Number) -> Expr:
        return OPERATORS["<"](self, other)

    def __ge__(self, other: Expr | Number) -> Expr:
        return OPERATORS[">="](self, other)

    def __le__(self, other: Expr | Number) -> Expr:
        return OPERATORS["<="](self, other)

    def __getitem__(self, key: Any) -> Expr:
        return OPERATORS["[]"](self, key)

    def __iter__(self) -> Iterator[Expr]:
        raise MathError(
            "an expression cannot be run through before it has numbers",
            mend="x[0], x[1], … for its entries, sum(x) or another function of all of them",
        )

    def __len__(self) -> int:
        raise MathError(
            "how many entries an expression has is only known when it has numbers",
            mend="its size by name, or x.shape",
        )

    def __contains__(self, item: object) -> bool:
        raise MathError("what an expression holds is only known when it has numbers")

    def __bool__(self) -> bool:
        raise MathError(
            "an expression is neither true nor false before it has numbers",
            mend="gs.evaluate(expr, …) for its value, or `is` to ask whether two expressions are the same",
        )

    def __copy__(self) -> Expr:
        return self  # equal expressions are the same object, and a copy is equal

    def __deepcopy__(self, memo: object) -> Expr:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return upstairs("_unpickled"), (upstairs("_pickled")(self),)

    def __str__(self) -> str:
        return str(upstairs("plain")(self))

    def __repr__(self) -> str:
        return f"<{self} : {shape_text(self.shape)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle: dict[str, str] = upstairs("_expression")(self)
        return bundle


def describe(expr: Expr) -> str:
    """`expr` in an error message: its text when short."""
    text = str(expr)
    return text if len(text) <= 40 else f"{text[:36]} …"


def walk(*roots: Expr, stop: Callable[[Expr], bool] | None = None) -> Iterator[Expr]:
    """Every distinct node once, operands before what uses them; nothing beneath a node where `stop` holds."""
    seen: set[Expr] = set()
    stack: list[Any] = [*reversed(roots)]
    while stack:
        node = stack.pop()
        if node is None:  # the operands of what lies beneath have been yielded
            yield stack.pop()
        elif node not in seen:
            seen.add(node)
            if not node.args or (stop is not None and stop(node)):
                yield node
            else:
                stack += (node, None)
                stack += node.args[::-1]


def rebuild(expr: Expr, args: Sequence[Expr]) -> Expr:
    """`expr` with other operands."""
    if all(new is old for new, old in zip(args, expr.args, strict=True)):
        return expr
    return expr.op(*args, params=expr.params)


def replace(expr: Expr, table: Mapping[Expr, Expr]) -> Expr:
    """`expr` with every node in `table` exchanged for what stands there."""
    done: dict[Expr, Expr] = {}
    for node in walk(expr, stop=lambda node: node in table):
        found = table.get(node)
        done[node] = found if found is not None else rebuild(node, [done[arg] for arg in node.args])
    return done[expr]


def uses(roots: Iterable[Expr]) -> dict[Expr, int]:
    """How many places use each node."""
    counts: dict[Expr, int] = {}
    for node in walk(*roots):
        for arg in node.args:
            counts[arg] = counts.get(arg, 0) + 1
    return counts


def tree_size(expr: Expr, stop: Callable[[Expr], bool] | None = None, most: int = 10**9) -> int:
    """How many nodes `expr` has written out as a tree, where what is shared is written wherever it is used.

    What `stop` holds for counts one; the count goes no further than `most`.
    """
    sizes: dict[Expr, int] = {}
    for node in walk(expr, stop=stop):
        ends = stop is not None and stop(node)
        sizes[node] = 1 if ends else min(most, 1 + sum(sizes[arg] for arg in node.args))
    return sizes[expr]
