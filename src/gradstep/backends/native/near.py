"""How is a pass with products written whose matrices stay in the cache? With products of its own.

A right factor that lies in memory by columns is copied first, once for all rows; one that is another for
every piece of the rows is left to OpenBLAS.
"""

from __future__ import annotations

from gradstep.backends.native.chains import Work, WorkWriter, argument_places
from gradstep.backends.native.multiplying import Multiplying
from gradstep.backends.native.plan import Processor, Room
from gradstep.backends.native.products import Operand, Product
from gradstep.expression.node import Expr

Place = tuple[str, str, bool]


def near_places(work: Work) -> dict[object, int]:
    """At which byte of the arguments each stands: those of any pass, and where totals of products go."""
    places = argument_places(work)
    totals = [("total", str(product.symbol.params[0])) for product in work.totals]
    return places | {name: 8 * (len(places) + k) for k, name in enumerate(totals)}


class NearWriter(WorkWriter):
    """A pass while its code is written.

    turned   the factors that are copied, by name
    copies   at which byte of the copies each begins
    room     how many bytes they take
    """

    def __init__(self, work: Work, processor: Processor) -> None:
        super().__init__(work)
        self.multiplying = Multiplying(self.writer, work.kind, processor)
        self.turned: dict[str, Expr] = {}
        for product in (product for _, products in work.phases for product in products):
            right = product.left if self.is_swapped(product) else product.right
            if right.turned != self.is_swapped(product):
                self.turned[str(right.symbol.params[0])] = right.symbol
        self.turned = {name: symbol for name, symbol in self.turned.items() if name in work.matrices}
        room = Room()
        self.copies = {
            name: room.give(self.multiplying.room(*(work.cells.lengths[size] for size in symbol.shape)))
            for name, symbol in self.turned.items()
        }
        self.room = room.used
        self.called: dict[str, str] = {}  # matrices by where they are

    def argument_places(self) -> dict[object, int]:
        return near_places(self.work)

    def outside(self) -> None:
        self.multiplying.functions()
        super().outside()

    def begin(self) -> None:
        """Copies the factors."""
        for name, symbol in self.turned.items():
            start, (n, k) = self.argument(("matrix", name), "ptr"), map(self.length, symbol.shape)
            line = int(k) * self.work.item
            self.writer.emit(
                f"call void @turn(ptr {start}, i64 {line}, i64 {n}, i64 {k}, ptr {self.copy(name)})"
            )

    def copy(self, name: str) -> str:
        return self.writer.at(self.argument("copies", "ptr"), self.copies[name])

    def matrix(self, operand: Operand) -> Place:
        found = super().matrix(operand)
        self.called[found[0]] = str(operand.symbol.params[0])
        return found

    def result(self, product: Product) -> tuple[str, str, tuple[str, str]]:
        if not product.total:
            return super().result(product)
        place = self.argument(("total", str(product.symbol.params[0])), "ptr")
        return "1.0", self.before, (place, self.length(product.symbol.shape[1]))

    def multiply(
        self, alpha: str, beta: str, a: Place, b: Place, c: tuple[str, str], sizes: tuple[str, str, str]
    ) -> None:
        """By functions of this module, if the lines of the right factor are lines in memory."""
        writer, (m, n, k), name = self.writer, sizes, self.called[b[0]]
        if alpha != "1.0" or (b[2] and name not in self.copies):
            super().multiply(alpha, beta, a, b, c, sizes)
            return
        item, panel = self.work.item, self.multiplying.panel * self.work.item
        a_line, b_line, c_line = (writer.integer("mul", far, item) for far in (a[1], b[1], c[1]))
        left = f"i64 {item}, i64 {a_line}" if a[2] else f"i64 {a_line}, i64 {item}"
        right = f"ptr {b[0]}, i64 {b_line}, i64 {panel}"
        if b[2]:
            right = f"ptr {self.copy(name)}, i64 {panel}, i64 {writer.integer('mul', k, panel)}"
        add = writer.scalar(f"fcmp une {self.work.kind} {beta}, 0.0")
        writer.emit(
            f"call void @multiply(ptr {a[0]}, {left}, {right}, ptr {c[0]}, i64 {c_line}, "
            f"i64 {m}, i64 {n}, i64 {k}, i1 {add})"
        )
