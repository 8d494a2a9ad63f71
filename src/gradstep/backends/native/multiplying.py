"""How are matrices multiplied that are small enough to stay in the cache? Where they lie, without copies.

BLAS copies both factors into an order of its own first, which pays where each number is used many times. Here
a block of the result stays in registers: a few lines of the left factor, each number in all lanes, times
a few vectors of the right factor's lines. Only a right factor whose lines are columns in memory is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gradstep.backends.native.assembly import BITS, Type, Vec, Writer
from gradstep.backends.native.plan import Processor
from gradstep.backends.native.tiles import turned

DEPTH = 128  # lines of the right factor that are used before the next ones are looked at
LINES = (6, 2, 1)  # of the left factor at a time
TURNS = 4  # of the innermost loop that are written out, of a large block


class Multiplying:
    """Writes the functions `@multiply` and `@turn` of a module for numbers of one kind."""

    MULTIPLY = (
        "ptr %a, i64 %a_line, i64 %a_column, ptr %b, i64 %b_line, i64 %b_panel, ptr %c, i64 %c_line, "
        "i64 %m, i64 %n, i64 %k, i1 %add"
    )
    TURN = "ptr %b, i64 %line, i64 %n, i64 %k, ptr %to"

    def __init__(self, writer: Writer, kind: str, processor: Processor) -> None:
        self.writer, self.kind = writer, kind
        self.item = BITS[kind] // 8
        self.chunk = Type(kind, processor.vector // self.item)
        self.widths = (4, 2, 1) if processor.registers > 16 else (2, 1)

    @property
    def panel(self) -> int:
        """How many columns of the right factor are used together."""
        return self.widths[0] * self.chunk.lanes

    def room(self, n: int, k: int) -> int:
        """How many bytes a copy of a factor with n columns and k lines takes, in panels."""
        return -(-n // self.panel) * self.panel * k * self.item

    # ------------------------------------------------------------------------------------- the product

    def functions(self) -> None:
        """The functions themselves."""
        writer = self.writer
        self.turning()
        for width in self.widths:
            self.columns(f"columns{width}", width, None)
        rest = writer.counted(self.chunk.of("i64"))
        self.columns("columns_left", 1, rest)
        with writer.function("multiply", self.MULTIPLY):
            with writer.loop(0, "%k", DEPTH) as deep:
                depth = self.least(DEPTH, writer.integer("sub", "%k", deep.at))
                a = writer.at("%a", writer.integer("mul", deep.at, "%a_column"))
                b = writer.at("%b", writer.integer("mul", deep.at, "%b_line"))
                later = writer.test("sgt", deep.at, 0)
                add = writer.scalar(f"or i1 %add, {later}")
                with writer.loop(0, "%n", self.panel) as loop:
                    number = writer.scalar(f"udiv i64 {loop.at}, {self.panel}")
                    here = writer.at(b, writer.integer("mul", number, "%b_panel"))
                    to = writer.at("%c", writer.integer("mul", loop.at, self.item))
                    left = self.least(self.panel, writer.integer("sub", "%n", loop.at))
                    self.one_panel(a, here, to, left, depth, add)
            writer.emit("ret void")

    def least(self, known: int, other: str) -> str:
        smaller = self.writer.test("sgt", other, known)
        return self.writer.scalar(f"select i1 {smaller}, i64 {known}, i64 {other}")

    def one_panel(self, a: str, b: str, c: str, count: str, depth: str, add: str) -> None:
        """All lines times `count` columns: wide pieces first, what is left under a mask."""
        writer = self.writer

        def call(name: str, at: str, more: str = "") -> None:
            far = writer.integer("mul", at, self.item)
            given = f"ptr {a}, i64 %a_line, i64 %a_column, ptr {writer.at(b, far)}, i64 %b_line"
            rest = f"ptr {writer.at(c, far)}, i64 %c_line, i64 %m, i64 {depth}, i1 {add}, i64 {more or 0}"
            writer.emit(f"call void @{name}({given}, {rest})")

        done = "0"
        for width in self.widths:
            size = width * self.chunk.lanes
            left = writer.integer("sub", count, done)
            whole = writer.scalar(f"udiv i64 {left}, {size}")
            stop = writer.integer("add", done, writer.integer("mul", whole, size))
            with writer.loop(done, stop, size) as loop:
                call(f"columns{width}", loop.at)
            done = stop
        left = writer.integer("sub", count, done)
        with self.where(writer.test("sgt", left, 0)):
            call("columns_left", done, left)

    @contextmanager
    def where(self, condition: str) -> Iterator[None]:
        """What is done only where this holds."""
        writer = self.writer
        yes, after = writer.label("yes"), writer.label("after")
        writer.branch(condition, yes, after)
        writer.place(yes)
        yield
        writer.jump(after)
        writer.place(after)

    COLUMNS = (
        "ptr %a, i64 %a_line, i64 %a_column, ptr %b, i64 %b_line, ptr %c, i64 %c_line, "
        "i64 %m, i64 %depth, i1 %add, i64 %left"
    )

    def columns(self, name: str, width: int, rest: Vec | None) -> None:
        """All lines times `width` vectors of columns, or times `%left` columns that are no whole vector."""
        writer = self.writer
        with writer.function(name, self.COLUMNS):
            mask = None
            if rest is not None:
                mask = rest.compare("slt", writer.spread("%left", rest.type))
            done = "0"
            for lines in LINES:
                left = writer.integer("sub", "%m", done)
                whole = writer.scalar(f"udiv i64 {left}, {lines}")
                stop = writer.integer("add", done, writer.integer("mul", whole, lines))
                with writer.loop(done, stop, lines) as loop:
                    self.tile(loop.at, lines, width, mask)
                done = stop
            writer.emit("ret void")

    def tile(self, line: str, lines: int, width: int, mask: Vec | None) -> None:
        """A block of the result, in registers."""
        writer = self.writer
        first = writer.at("%a", writer.integer("mul", line, "%a_line"))
        starts = [first]
        for _ in range(1, lines):
            starts.append(writer.at(starts[-1], "%a_line"))
        found = [writer.number(0.0, self.chunk)] * (lines * width)
        done = "0"
        for turns in (TURNS, 1) if lines * width == LINES[0] * self.widths[0] else (1,):
            left = writer.integer("sub", "%depth", done)
            whole = writer.integer("mul", writer.scalar(f"udiv i64 {left}, {turns}"), turns)
            stop = writer.integer("add", done, whole)
            with writer.loop(done, stop, turns, found) as loop:
                for k in range(turns):
                    self.turn(starts, writer.integer("add", loop.at, k), width, mask, loop.carried)
            found, done = loop.carried, stop
        to = writer.at("%c", writer.integer("mul", line, "%c_line"))
        places = []
        for _ in range(lines):
            places += [self.vector(to, k) for k in range(width)]
            to = writer.at(to, "%c_line")
        more, fresh, after = (writer.label(word) for word in ("more", "fresh", "stored"))
        writer.branch("%add", more, fresh)
        writer.place(more)
        self.store([self.load(p, mask) + v for p, v in zip(places, found, strict=True)], places, mask)
        writer.jump(after)
        writer.place(fresh)
        self.store(found, places, mask)
        writer.jump(after)
        writer.place(after)

    def turn(self, starts: Sequence[str], at: str, width: int, mask: Vec | None, sums: list[Vec]) -> None:
        """Adds one line of the right factor, times a number of each line of the left one, to the sums."""
        writer = self.writer
        far = writer.integer("mul", at, "%a_column")
        here = writer.at("%b", writer.integer("mul", at, "%b_line"))
        right = [self.load(self.vector(here, k), mask) for k in range(width)]
        for i, start in enumerate(starts):
            number = writer.load_lane(writer.at(start, far), self.chunk)
            for k, vector in enumerate(right):
                sums[i * width + k] = number.times_plus(vector, sums[i * width + k])

    def vector(self, start: str, k: int) -> str:
        return self.writer.at(start, k * self.chunk.lanes * self.item)

    def load(self, place: str, mask: Vec | None) -> Vec:
        if mask is None:
            return self.writer.load(place, self.chunk, self.item)
        return self.writer.masked_load(place, mask, self.chunk)

    def store(self, values: Sequence[Vec], places: Sequence[str], mask: Vec | None) -> None:
        for value, place in zip(values, places, strict=True):
            if mask is None:
                self.writer.store(value, place, self.item)
            else:
                self.writer.masked_store(value, place, mask)

    # ------------------------------------------------------------------------------------- the copy

    def turning(self) -> None:
        """The transpose of n lines of k numbers, in panels of its columns."""
        writer, lanes, item = self.writer, self.chunk.lanes, self.item
        width = 128 // BITS[self.kind]
        with writer.function("turn", self.TURN):
            far = self.panel * item  # from one line of a panel to the next
            size = writer.integer("mul", "%k", far)
            whole_k = writer.integer("mul", writer.scalar(f"udiv i64 %k, {width}"), width)
            whole_n = writer.integer("mul", writer.scalar(f"udiv i64 %n, {lanes}"), lanes)

            def place(n: str, k: str) -> str:
                number = writer.scalar(f"udiv i64 {n}, {self.panel}")
                panel = writer.at("%to", writer.integer("mul", number, size))
                at = writer.scalar(f"urem i64 {n}, {self.panel}")
                line = writer.at(panel, writer.integer("mul", k, far))
                return writer.at(line, writer.integer("mul", at, item))

            def source(n: str, k: str) -> str:
                line = writer.at("%b", writer.integer("mul", n, "%line"))
                return writer.at(line, writer.integer("mul", k, item))

            def singles(n: tuple[str, str], k: tuple[str, str]) -> None:
                with writer.loop(*n, 1) as one, writer.loop(*k, 1) as other:
                    number = writer.scalar(f"load {self.kind}, ptr {source(one.at, other.at)}")
                    writer.emit(f"store {self.kind} {number}, ptr {place(one.at, other.at)}")

            with writer.loop(0, whole_n, lanes) as loop, writer.loop(0, whole_k, width) as inner:
                first = source(loop.at, inner.at)
                starts = [first]
                for _ in range(1, lanes):
                    starts.append(writer.at(starts[-1], "%line"))
                some = Type(self.kind, width)
                found = turned(lambda r: writer.load(starts[r], some, item), lanes, width, self.kind)
                to = place(loop.at, inner.at)
                for k, vector in enumerate(found):
                    writer.store(vector, writer.at(to, k * far), item)
            singles(("0", whole_n), (whole_k, "%k"))
            singles((whole_n, "%n"), ("0", "%k"))
            writer.emit("ret void")
