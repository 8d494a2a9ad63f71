"""How does an expression look as written mathematics? Expression -> boxes, names in place of named parts."""

from __future__ import annotations

from collections.abc import Mapping

from gradstep.calculus.steps import Derivation
from gradstep.expression.boxes import (
    POWER,
    Box,
    Fence,
    Of,
    Row,
    Sup,
    Sym,
    SymbolKind,
    Written,
    fenced,
    parts_of,
    row,
)
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.notation.symbols import symbol
from gradstep.operations.arithmetic import negate_op, scale_op
from gradstep.operations.broadcasting import TRANSPOSED
from gradstep.operations.families import JUXTAPOSED, SIGNED
from gradstep.operations.leaves import symbol_op
from gradstep.operations.permutations import matrix_transpose
from gradstep.operations.products import matmul_op

KINDS: tuple[SymbolKind, ...] = ("scalar", "vector", "matrix")
MOST_BOXES = 60_000  # of one formula: about 2,000 terms
LONGEST = 5_000  # symbols of one line of a derivation


def kind_of(expr: Expr) -> SymbolKind:
    """The typeface of a name for `expr`: scalar, vector or matrix."""
    return KINDS[min(expr.rank, 2)]


def name_box(name: str, what: Expr) -> Box:
    """A name for `what`, as written: λ, W₁, ŷ."""
    return Of(what, symbol(name, kind_of(what)))


class Writer:
    """Writes expressions; a part in `names` is written by its name."""

    def __init__(self, names: Mapping[Expr, Box | str] | None = None) -> None:
        self.names = {
            part: name_box(name, part) if isinstance(name, str) else name
            for part, name in (names or {}).items()
        }
        self._done: dict[Expr, Written] = {}
        self._weights: dict[int, int] = {}  # of the boxes in _done, by identity

    def __call__(self, expr: Expr) -> Box:
        """`expr` as a box, by its name if it has one."""
        return self.written(expr).box

    def opened(self, expr: Expr, part: Expr | None = None) -> Box:
        """`expr` one level open: its own name is not used, the names of its parts are.

        Where `expr` is an entry of `part`, which it defines, the name of that is not used either.
        """
        if part is not None and part in expr.params[:1]:
            return Writer({node: name for node, name in self.names.items() if node is not part})(expr)
        return self._laid_out(expr).box

    def written(self, expr: Expr) -> Written:
        """`expr` and how tightly its notation binds."""
        for node in walk(expr, stop=lambda node: node in self.names or node in self._done):
            if node not in self._done:
                named = self.names.get(node)
                written = Written(named) if named is not None else self._laid_out(node)
                self._done[node] = written
                self._weights.setdefault(id(written.box), self._weight(written.box))
        return self._done[expr]

    def _laid_out(self, expr: Expr) -> Written:
        if expr.op is symbol_op:
            return Written(name_box(str(expr.params[0]), expr))
        written = expr.op.layout(expr, self.written)
        return Written(Of(expr, written.box), written.level)

    def _weight(self, box: Box) -> int:
        """How many boxes are drawn for `box`: what is shared is drawn wherever it stands."""
        weight, stack = 0, [box]
        while stack:
            inner = stack.pop()
            known = self._weights.get(id(inner))
            weight += known or 1
            if known is None:
                stack += parts_of(inner)
        if weight > MOST_BOXES:
            raise MathError(
                f"a formula here is too long to be written: more than {MOST_BOXES:,} signs and brackets",
                mend="names for its parts: z = …; …",
            )
        return weight


def stands_alone(box: Box) -> bool:
    """Whether d or ∂ before `box` clearly belongs to all of it: z, |e|, log(a)."""
    match box:
        case Of(_, inner):
            return stands_alone(inner)
        case Row((Sym(_, "function"), Fence())):
            return True
        case _:
            return isinstance(box, Fence)


def lying(vector: Expr, write: Writer) -> Box:
    """A vector lying down: (c A v)ᵀ = c vᵀ Aᵀ."""
    if vector.op is scale_op:
        return row(fenced(write.written(vector.args[0]), SIGNED), lying(vector.args[1], write))
    if vector.op is negate_op:
        return row("−", lying(vector.args[0], write))
    if vector.op is matmul_op and vector.args[0].rank == 2:
        A, v = vector.args
        return row(lying(v, write), fenced(write.written(matrix_transpose(A)), JUXTAPOSED))
    return Sup(fenced(write.written(vector), POWER + 5), TRANSPOSED)


def check_length(derivation: Derivation) -> None:
    """A `MathError` about a derivation with a line that no one would read to its end, for want of names."""
    named = {*derivation.names, *derivation.fences}
    shown = [G for step in derivation.steps for G, _ in step.after]
    sizes: dict[Expr, int] = {}
    for node in walk(*(arg for G in shown for arg in G.args), stop=named.__contains__):
        sizes[node] = 1 if node in named else 1 + sum(sizes[arg] for arg in node.args)
    longest = max((1 + sum(sizes[arg] for arg in G.args) for G in shown), default=0)
    if longest > LONGEST:
        symbols = f"{longest:,} symbols" if longest < 10**9 else "more than a billion symbols"
        raise MathError(
            "written out, a line of this derivation is too long to be read",
            facts=[f"it has {symbols}"],
            mend='names for its parts: names="auto", or your own',
        )
