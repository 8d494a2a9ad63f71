"""How is a pass with products of matrices written? Block by block: chains by kernels, products by OpenBLAS.

The function takes one address, that of its arguments. Everything that has entries for each row of a block has
its place in memory that is used again for the next block. Products that are totals come to lie in `totals`;
where there is a place for `sums`, they are added to it in float64 after each block. Where `gather` is not 0
they are added up where they lie instead: the blocks are pieces of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.blas import AS_IT_IS, ROW_MAJOR, TURNED
from gradstep.backends.native.cells import Cells
from gradstep.backends.native.entries import Entries
from gradstep.backends.native.kernels import _Kernel
from gradstep.backends.native.plan import Layout, Plan, Room
from gradstep.backends.native.products import Operand, Product
from gradstep.expression.node import Expr
from gradstep.expression.records import record

ENTRY = "gradstep_matrices"
FIRST = ("low", "high", "rows", "gather", "gemm", "copies", "scratch", "out", "totals", "sums")
INNER = re.compile(r"@(block|stage\d+|one\d+|loop\d+)\(")


class ChainPlan(Plan):
    """A plan for rows that are near: nothing is asked for ahead."""

    @property
    def pipelined(self) -> bool:
        return False

    def ahead(self, name: str, level: int, row: int) -> list[tuple[int, int]]:
        return []


@record
class Work:
    """All that a pass with products is made of.

    phases    plans of chains, where there is one, and the products after each
    layouts   how each array with entries for each row lies, by name
    moving    those that have all rows, not only those of a block: data, and what is given for each row
    matrices  what products take that has no rows
    sizes     the sizes of the axes
    """

    cells: Cells
    kind: str
    phases: tuple[tuple[ChainPlan | None, tuple[Product, ...]], ...]
    layouts: Mapping[str, Layout]
    moving: frozenset[str]
    matrices: tuple[str, ...]

    @property
    def item(self) -> int:
        return 4 if self.kind == "float" else 8

    @property
    def chains(self) -> list[ChainPlan]:
        return [plan for plan, _ in self.phases if plan is not None]

    @property
    def totals(self) -> list[Product]:
        return [product for _, products in self.phases for product in products if product.total]

    def total_places(self) -> tuple[dict[str, int], int]:
        """Where each total of a product begins, in numbers, and how many numbers there are."""
        room, places = Room(), {}
        for product in self.totals:
            rows, columns = (self.cells.lengths[size] for size in product.symbol.shape)
            places[str(product.symbol.params[0])] = room.give(rows * columns * self.item) // self.item
        return places, room.used // self.item


def argument_places(work: Work) -> dict[object, int]:
    """At which byte of the arguments each stands; all have eight."""
    names: list[object] = list(FIRST)
    for name in work.layouts:
        names += [("data", name), ("stride", name)]
    names += [("matrix", name) for name in work.matrices]
    names += [("chain", k) for k in range(len(work.chains))]
    return {name: 8 * k for k, name in enumerate(names)}


def chain_places(plan: Plan) -> dict[object, int]:
    """The same for the arguments of a chain."""
    names: list[object] = ["fixed"]
    for name in plan.layouts:
        names += [("data", name), ("stride", name)]
    for name in plan.unrolled.joined:
        names += [("joined", name), ("stride", name)]
    return {name: 8 * k for k, name in enumerate(names)}


def write_work(work: Work) -> str:
    """The text of the module."""
    return WorkWriter(work).text()


class _Near(Entries):
    """Entries of rows that are near."""

    def ahead(self, pointer: str, size: int) -> None:
        """Nothing is asked for."""


class ChainWriter(_Kernel):
    """A chain: a kernel that is called block by block."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.args = self.loops.args = chain_places(plan)
        self.entries = _Near(self.loops)

    def outside(self) -> None:
        """Nothing: the block is called from elsewhere."""

    def write_entry(self, name: str, place: int, row: str, mask: Vec | None, value: Vec) -> None:
        """One entry of a group of rows of an array that lies in columns."""
        writer, plan = self.writer, self.plan
        far = writer.integer("mul", self.argument(("stride", name)), place) if place else 0
        column = writer.at(self.argument(("joined", name), "ptr"), far)
        pointer = writer.at(column, writer.integer("mul", row, plan.item))
        if mask is None:
            writer.store(value, pointer, 1)
        else:
            writer.masked_store(value, pointer, mask)


class WorkWriter:
    """A pass while its code is written; %a are the arguments."""

    def __init__(self, work: Work) -> None:
        self.work, self.writer = work, Writer()
        self.args = self.argument_places()
        self.places, self.numbers = work.total_places()
        self.here: dict[str, str] = {}  # where the rows of this block begin
        self.before = "0.0"  # times that what there is of a total is kept

    def argument_places(self) -> dict[object, int]:
        return argument_places(self.work)

    def functions(self) -> dict[str, ChainPlan]:
        """The chains, by the names that their functions begin with."""
        return {f"chain{number}": plan for number, plan in enumerate(self.work.chains)}

    def text(self) -> str:
        texts = []
        for name, plan in self.functions().items():
            code = ChainWriter(plan)
            code.text()
            self.writer.declared.update(code.writer.declared)
            texts.append(INNER.sub(rf"@{name}_\1(", "\n".join(code.writer.lines)))
        self.outside()
        return "\n".join([*texts, self.writer.text()])

    def argument(self, name: object, type: str = "i64") -> str:
        return self.writer.scalar(f"load {type}, ptr {self.writer.at('%a', self.args[name])}")

    def outside(self) -> None:
        """All blocks of the rows from low to high."""
        writer = self.writer
        self.add_totals()
        with writer.function(ENTRY, "ptr %a", inner=False):
            low, high, rows = (self.argument(name) for name in ("low", "high", "rows"))
            self.begin()
            gather = writer.test("ne", self.argument("gather"), 0)
            with writer.loop(low, high, rows) as loop:
                later = writer.scalar(f"and i1 {gather}, {writer.test('sgt', loop.at, low)}")
                self.before = writer.scalar(f"uitofp i1 {later} to {self.work.kind}")
                end = writer.integer("add", loop.at, rows)
                stop = writer.scalar(f"select i1 {writer.test('slt', end, high)}, i64 {end}, i64 {high}")
                self.block(loop.at, writer.integer("sub", stop, loop.at))
            writer.emit("ret void")

    def begin(self) -> None:
        """What is done once for all blocks: nothing."""

    def block(self, row: str, count: str) -> None:
        """The rows from `row` on."""
        self.here = {name: self.first(name, row) for name in self.work.layouts}
        self.all_phases(count, self.argument("out", "ptr"))
        if self.numbers:
            given = f"ptr {self.argument('totals', 'ptr')}, ptr {self.argument('sums', 'ptr')}"
            self.writer.emit(f"call void @add_totals({given})")

    def all_phases(self, count: str, out: str) -> None:
        """Chains and products, on rows that lie `here`."""
        writer, work = self.writer, self.work
        number = numbers = 0
        for plan, products in work.phases:
            if plan is not None:
                area = self.argument(("chain", number), "ptr")
                for key, at in chain_places(plan).items():
                    if isinstance(key, tuple) and key[0] != "stride" and key[1] in work.moving:
                        writer.emit(f"store ptr {self.here[key[1]]}, ptr {writer.at(area, at)}")
                self.call_chain(f"chain{number}", area, "0", count, writer.at(out, 8 * numbers))
                number, numbers = number + 1, numbers + plan.numbers
            for product in products:
                self.product(product, count)

    def call_chain(self, name: str, area: str, low: str, high: str, out: str) -> None:
        scratch = self.argument("scratch", "ptr")
        given = f"ptr {area}, ptr {scratch}, i64 {low}, i64 {high}, ptr {out}"
        self.writer.emit(f"call void @{name}_block({given})")

    def first(self, name: str, row: str) -> str:
        """Where the rows of a block begin."""
        writer, layout = self.writer, self.work.layouts[name]
        base = self.argument(("data", name), "ptr")
        if name not in self.work.moving:
            return base
        far: str | int = layout.entries * self.work.item
        far = self.argument(("stride", name)) if layout.how == "rows" else far
        far = self.work.item if layout.how == "columns" else far
        return writer.at(base, writer.integer("mul", row, far))

    # ------------------------------------------------------------------------------------- products

    def product(self, product: Product, count: str) -> None:
        """A product, stored as its layout says: in columns it is the transpose that is asked for."""
        left, right = product.left, product.right
        a, b = self.matrix(left), self.matrix(right)
        alpha, beta, (c, far) = self.result(product)
        m, n = (self.extent(size, count) for size in product.symbol.shape)
        shape = left.symbol.shape
        k = self.extent(shape[0] if left.turned else shape[1], count)
        if self.is_swapped(product):
            a, b, m, n = (*b[:2], not b[2]), (*a[:2], not a[2]), n, m
        self.multiply(alpha, beta, a, b, (c, far), (m, n, k))

    def is_swapped(self, product: Product) -> bool:
        """Whether the transpose of a product is asked for."""
        return not product.total and self.lies_turned(product.symbol)

    def multiply(
        self,
        alpha: str,
        beta: str,
        a: tuple[str, str, bool],
        b: tuple[str, str, bool],
        c: tuple[str, str],
        sizes: tuple[str, str, str],
    ) -> None:
        """alpha a b + beta c to the place of c, by OpenBLAS."""
        how = ", ".join(f"i32 {TURNED if each[2] else AS_IT_IS}" for each in (a, b))
        real, (m, n, k) = self.work.kind, sizes
        self.writer.emit(
            f"call void {self.argument('gemm', 'ptr')}(i32 {ROW_MAJOR}, {how}, i64 {m}, i64 {n}, i64 {k}, "
            f"{real} {alpha}, ptr {a[0]}, i64 {a[1]}, ptr {b[0]}, i64 {b[1]}, {real} {beta}, "
            f"ptr {c[0]}, i64 {c[1]})"
        )

    def result(self, product: Product) -> tuple[str, str, tuple[str, str]]:
        """Its factor and that of what is there before; where the lines begin, and how far apart."""
        name = str(product.symbol.params[0])
        if not product.total:
            return "1.0", "0.0", self.place(name)
        place = self.writer.at(self.argument("totals", "ptr"), self.places[name] * self.work.item)
        return "1.0", self.before, (place, self.length(product.symbol.shape[1]))

    def length(self, size: object) -> str:
        return str(self.work.cells.lengths[size])  # type: ignore[index]

    def extent(self, size: object, count: str) -> str:
        return count if size == self.work.cells.row_size else self.length(size)

    def matrix(self, operand: Operand) -> tuple[str, str, bool]:
        """Where an operand begins, how far it is from one line to the next, and whether it is transposed."""
        name, symbol = str(operand.symbol.params[0]), operand.symbol
        if name in self.work.matrices:
            return self.argument(("matrix", name), "ptr"), self.length(symbol.shape[1]), operand.turned
        return *self.place(name), operand.turned != self.lies_turned(symbol)

    def place(self, name: str) -> tuple[str, str]:
        """Where the rows of an array begin, and how many numbers it is from one line to the next."""
        layout = self.work.layouts[name]
        if layout.how == "packed":
            return self.here[name], str(layout.entries)
        stride = self.argument(("stride", name))
        return self.here[name], self.writer.integer("sdiv", stride, self.work.item)

    def lies_turned(self, symbol: Expr) -> bool:
        """Whether the lines in memory are the columns of a matrix."""
        columns = self.work.layouts[str(symbol.params[0])].how == "columns"
        return columns != (symbol.shape.index(self.work.cells.row_size) == 1)

    # ------------------------------------------------------------------------------------- totals

    def add_totals(self) -> None:
        """Adds the totals of products to sums in float64, where there are sums."""
        writer, item = self.writer, self.work.item
        width = self.work.chains[0].width if self.work.chains else 64 // item
        chunk = Type(self.work.kind, width)
        with writer.function("add_totals", "ptr %totals, ptr %sums"):
            some, done = writer.label("some"), writer.label("done")
            writer.branch(writer.scalar("icmp ne ptr %sums, null"), some, done)
            writer.place(some)
            with writer.loop(0, self.numbers, width) as loop:
                more = writer.load(writer.at("%totals", writer.integer("mul", loop.at, item)), chunk, item)
                place = writer.at("%sums", writer.integer("mul", loop.at, 8))
                known = writer.load(place, chunk.of("double"), 8)
                writer.store(known + more.as_kind("double"), place, 8)
            writer.jump(done)
            writer.place(done)
            writer.emit("ret void")


def joined_layouts(plans: Sequence[Plan]) -> dict[str, Layout]:
    """How what chains give for each row lies: with a wide axis row by row, else in columns."""
    found = {}
    for plan in plans:
        for name, array in plan.unrolled.joined.items():
            entries = 1
            for axis in array.axes:
                entries *= axis.length if axis.kind != "row" else 1
            wide = any(axis.kind == "wide" for axis in array.axes)
            found[name] = Layout("packed" if wide or entries == 1 else "columns", entries)
    return found
