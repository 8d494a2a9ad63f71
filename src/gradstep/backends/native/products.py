"""Where does a pass multiply matrices, and what lies between? Chains of other work, and products, in turns.

A chain is a pass of its own: it reads data and what products have found, and gives totals, and the operands
of the next products, which are stored. What is cheap is computed again wherever it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradstep.backends.native.cells import Unsupported
from gradstep.backends.program import VIEWS, Input, Line, Program
from gradstep.backends.rows import Pass
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Size
from gradstep.operations.activations import abs_op, maximum_op, minimum_op, relu_op, sign_op
from gradstep.operations.arithmetic import (
    add_op,
    equal_op,
    greater_equal_op,
    greater_op,
    multiply_op,
    negate_op,
    not_equal_op,
    subtract_op,
)
from gradstep.operations.choices import where_op
from gradstep.operations.gates import leaky_relu_op
from gradstep.operations.leaves import symbol_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op

# What is computed sooner than fetched from memory.
CHEAP = VIEWS | {add_op, subtract_op, multiply_op, negate_op, where_op, maximum_op, minimum_op}
CHEAP |= {greater_op, greater_equal_op, equal_op, not_equal_op, relu_op, leaky_relu_op, abs_op, sign_op}


class NoProducts(Unsupported):
    """There are no products of matrices in a pass."""


@record
class Operand:
    """A matrix that has a name, `turned` where its transpose is meant."""

    symbol: Expr
    turned: bool


@record
class Product:
    """`symbol` = left @ right, entries for each row; or, where it is a `total`, a sum over the rows."""

    symbol: Expr
    left: Operand
    right: Operand
    total: bool


@record
class Phase:
    """A chain, if there is something to do, and the products that come after it."""

    chain: Pass | None
    products: tuple[Product, ...]


def phases(step: Pass, size: Size) -> tuple[Phase, ...]:
    """A pass over the rows `size` in phases; raises `Unsupported` where it has no products of matrices."""
    return _Splitting(step, size).phases()


def has_products(step: Pass, size: Size) -> bool:
    """Whether a pass over the rows `size` has products of matrices."""
    return any(is_product(node, size) for line in step.program.lines for node in walk(line.value))


def is_product(node: Expr, size: Size) -> bool:
    """Whether it is a product of matrices that have entries for each row."""
    matrices = node.op is matmul_op and all(arg.rank == 2 for arg in node.args)
    return matrices and any(size in arg.shape for arg in node.args)


class _Splitting:
    """A pass while it is split.

    ends     what it gives, by name
    level    of each node: how many products come one after the other before it is known
    stored   what is kept for later phases, under its symbol
    roots    by level: what its chain gives, by name
    """

    def __init__(self, step: Pass, size: Size) -> None:
        self.step, self.size = step, size
        known: dict[Expr, Expr] = {}
        for line in step.program.lines:
            known[named(line.name, line.value)] = replace(line.value, known)
        self.ends = {name: replace(output, known) for name, output in step.program.outputs.items()}
        self.level: dict[Expr, int] = {}
        for node in walk(*self.ends.values()):
            self.level[node] = self.after(node) + self.is_product(node)
        self.count = 1 + max((self.level[end] for end in self.ends.values()), default=0)
        self.stored: dict[Expr, Expr] = {}
        self.products: dict[Expr, Expr] = {}
        self.roots: list[dict[str, Expr]] = [{} for _ in range(self.count)]

    def after(self, node: Expr) -> int:
        """After how many products the operands are known."""
        return max((self.level[arg] for arg in node.args), default=0)

    def carries(self, node: Expr) -> bool:
        return self.size in node.shape

    def is_product(self, node: Expr) -> bool:
        return is_product(node, self.size)

    def phases(self) -> tuple[Phase, ...]:
        nodes = [node for node in self.level if self.is_product(node)]
        if not nodes:
            raise NoProducts("there is no product of matrices")
        totals = {self.ends[name] for name in self.step.totals}
        for k, node in enumerate(nodes):
            self.products[node] = named(f"product.{k}", node)
        after: list[list[Product]] = [[] for _ in range(self.count)]
        for node in nodes:
            if self.carries(node):
                after[self.after(node)].append(self.product(node, self.products[node], False))
        for name, end in self.ends.items():
            if self.is_product(end) and end in totals:
                after[self.after(end)].append(self.product(end, named(name, end), True))
            else:
                at = self.after(end) if name in self.step.totals else self.level[end]
                self.roots[at][name] = end
        chains = [self.chain(level) for level in reversed(range(self.count))][::-1]
        return tuple(
            Phase(chain, tuple(found))
            for chain, found in zip(chains, after, strict=True)
            if chain is not None or found
        )

    def product(self, node: Expr, symbol: Expr, total: bool) -> Product:
        left, right = map(self.operand, node.args)
        return Product(symbol, left, right, total)

    def operand(self, node: Expr) -> Operand:
        """A matrix as one that has a name: what has none is stored."""
        turned = node.op is transpose_op
        base = node.args[0] if turned else node
        if base.op is symbol_op:
            return Operand(base, turned)
        if base in self.products:
            return Operand(self.products[base], turned)
        if not self.carries(base):
            raise Unsupported("a product with a part of a matrix")
        return Operand(self.keep(base), turned)

    def keep(self, node: Expr) -> Expr:
        """The symbol under which a node is stored by the chain of its level."""
        if node not in self.stored:
            self.stored[node] = named(f"stored.{len(self.stored)}", node)
            self.roots[self.level[node]][str(self.stored[node].params[0])] = node
        return self.stored[node]

    # ------------------------------------------------------------------------------------- chains

    def chain(self, level: int) -> Pass | None:
        """What is done between two products; the chains after it are made already."""
        roots = self.roots[level]
        if not roots:
            return None
        read = dict(self.read(level, list(roots.values())))
        values = {name: self.opened(name, root, read) for name, root in roots.items()}
        given = dict.fromkeys(
            leaf for value in values.values() for leaf in walk(value) if leaf.op is symbol_op
        )
        lines = tuple(Line(name, value, "forward") for name, value in values.items())
        program = Program(
            tuple(Input(str(symbol.params[0]), symbol, symbol) for symbol in given),
            lines,
            {line.name: named(line.name, line.value) for line in lines},
            {},
        )
        totals = {name: how for name, how in self.step.totals.items() if name in roots}
        joined = {
            name: self.step.joined.get(name, root.shape.index(self.size))
            for name, root in roots.items()
            if name not in totals
        }
        return Pass(program, totals, joined)

    def opened(self, name: str, root: Expr, read: dict[Expr, Expr]) -> Expr:
        """A root in terms of what is read; one that is read itself is copied."""
        if name in self.step.totals:
            return root.op(*(replace(arg, read) for arg in root.args), params=root.params)
        return replace(root, read)

    def read(self, level: int, roots: Sequence[Expr]) -> Iterator[tuple[Expr, Expr]]:
        """What a chain takes from memory, found from its roots downwards."""
        seen: set[Expr] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in seen or not node.args:
                continue
            seen.add(node)
            if node in self.products and self.carries(node):
                yield node, self.products[node]
            elif self.level[node] < level and self.is_read(node):
                yield node, self.keep(node)
            else:
                stack += node.args

    def is_read(self, node: Expr) -> bool:
        """Whether an earlier value is stored and read, not computed again."""
        return self.carries(node) and (node in self.stored or node.op not in CHEAP)


def named(name: str, node: Expr) -> Expr:
    """The symbol of this name for a node."""
    return symbol_op(params=(name, node.shape, ()))
