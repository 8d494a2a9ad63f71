"""How is LLVM IR written? As vectors that one calculates with; each operation adds a line of text.

What is written here is plain text: nothing of LLVM is needed until it is compiled.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from gradstep.expression.records import record

BITS = {"float": 32, "double": 64, "i1": 1, "i32": 32, "i64": 64, "ptr": 64}
MANGLED = {"float": "f32", "double": "f64", "i32": "i32", "i64": "i64", "i1": "i1", "ptr": "p0"}
WHOLE = {"float": "i32", "double": "i64"}  # whole numbers with as many bits


@record
class Type:
    """A vector of so many `lanes` of one `kind`: float, double, i1, i32, i64 or ptr."""

    kind: str
    lanes: int

    def __str__(self) -> str:
        return f"<{self.lanes} x {self.kind}>"

    @property
    def mangled(self) -> str:
        """How it stands in the name of an intrinsic: v8f32."""
        return f"v{self.lanes}{MANGLED[self.kind]}"

    @property
    def bits(self) -> int:
        return self.lanes * BITS[self.kind]

    @property
    def real(self) -> bool:
        return self.kind in ("float", "double")

    def of(self, kind: str) -> Type:
        return Type(kind, self.lanes)


def rounded(value: float, kind: str) -> float:
    """`value` as a number of this kind has it."""
    if kind == "double" or not math.isfinite(value):
        return value
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(single)


@cache
def literal(value: float, kind: str) -> str:
    """A number of this kind: floating ones by their bits."""
    if kind not in ("float", "double"):
        return str(int(value))
    (bits,) = struct.unpack("<Q", struct.pack("<d", rounded(float(value), kind)))
    return f"0x{bits:016X}"


@cache
def splat(value: float, type: Type) -> str:
    """The number in every lane."""
    if value == 0 and math.copysign(1, value) > 0:
        return "zeroinitializer"
    return f"<{', '.join([f'{type.kind} {literal(value, type.kind)}'] * type.lanes)}>"


class Vec:
    """A value in the code: a vector, with the arithmetic of IEEE 754 in every lane."""

    __slots__ = ("text", "type", "writer")

    def __init__(self, writer: Writer, text: str, type: Type) -> None:
        self.writer, self.text, self.type = writer, text, type

    def like(self, value: Vec | float) -> Vec:
        """A number as a vector of this type."""
        return value if isinstance(value, Vec) else Vec(self.writer, splat(value, self.type), self.type)

    def _binary(self, real: str, whole: str, other: Vec | float) -> Vec:
        op = real if self.type.real else whole
        return self.writer.value(f"{op} {self.type} {self.text}, {self.like(other).text}", self.type)

    def __add__(self, other: Vec | float) -> Vec:
        return self._binary("fadd", "add", other)

    def __radd__(self, other: float) -> Vec:
        return self.like(other) + self

    def __sub__(self, other: Vec | float) -> Vec:
        return self._binary("fsub", "sub", other)

    def __rsub__(self, other: float) -> Vec:
        return self.like(other) - self

    def __mul__(self, other: Vec | float) -> Vec:
        return self._binary("fmul", "mul", other)

    def __rmul__(self, other: float) -> Vec:
        return self * other

    def __truediv__(self, other: Vec | float) -> Vec:
        return self._binary("fdiv", "sdiv", other)

    def __rtruediv__(self, other: float) -> Vec:
        return self.like(other) / self

    def __pow__(self, exponent: int) -> Vec:
        result = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def __neg__(self) -> Vec:
        return self.writer.value(f"fneg {self.type} {self.text}", self.type)

    def __and__(self, other: Vec | float) -> Vec:
        return self._binary("and", "and", other)

    def __or__(self, other: Vec | float) -> Vec:
        return self._binary("or", "or", other)

    def __lshift__(self, other: float) -> Vec:
        return self._binary("shl", "shl", other)

    def __rshift__(self, other: float) -> Vec:
        return self._binary("ashr", "ashr", other)

    def compare(self, how: str, other: Vec | float) -> Vec:
        """A mask: `how` is olt, oge, une, uno … as LLVM calls them; of whole numbers slt, eq …"""
        word = "fcmp" if self.type.real else "icmp"
        text = f"{word} {how} {self.type} {self.text}, {self.like(other).text}"
        return self.writer.value(text, self.type.of("i1"))

    def __lt__(self, other: Vec | float) -> Vec:
        return self.compare("olt", other)

    def __gt__(self, other: Vec | float) -> Vec:
        return self.compare("ogt", other)

    def __le__(self, other: Vec | float) -> Vec:
        return self.compare("ole", other)

    def __ge__(self, other: Vec | float) -> Vec:
        return self.compare("oge", other)

    def max(self) -> float:
        """How large entries may be."""
        return math.inf

    def select(self, yes: Vec | float, no: Vec | float) -> Vec:
        """Of a mask: `yes` where it holds, else `no`."""
        model = yes if isinstance(yes, Vec) else no
        assert isinstance(model, Vec)
        a, b = model.like(yes), model.like(no)
        text = f"select {self.type} {self.text}, {a.type} {a.text}, {b.type} {b.text}"
        return self.writer.value(text, a.type)

    def call(self, name: str, *others: Vec | float) -> Vec:
        """An intrinsic of LLVM whose operands are all of this type."""
        return self.writer.intrinsic(name, self.type, [self, *map(self.like, others)])

    def times_plus(self, factor: Vec | float, term: Vec | float) -> Vec:
        """self · factor + term, rounded once where the processor can."""
        return self.call("fmuladd", factor, term)

    def scaled(self, n: Vec) -> Vec:
        """self · 2ⁿ for whole n, rounded once; of 512 bits, by an instruction of AVX-512."""
        kind, type = self.type.kind, self.type
        name, mask = f"llvm.x86.avx512.mask.scalef.p{kind[0].replace('f', 's')}.512", f"i{type.lanes}"
        self.writer.declared[f"declare {type} @{name}({type}, {type}, {type}, {mask}, i32)"] = None
        given = f"{type} {self.text}, {type} {n.text}, {type} zeroinitializer, {mask} -1, i32 4"
        return self.writer.value(f"call {type} @{name}({given})", type)

    def cast(self, how: str, kind: str) -> Vec:
        to = self.type.of(kind)
        return self.writer.value(f"{how} {self.type} {self.text} to {to}", to)

    def bits(self) -> Vec:
        """The bits of a floating number as a whole one."""
        return self.cast("bitcast", WHOLE[self.type.kind])

    def as_kind(self, kind: str) -> Vec:
        """In another precision."""
        if kind == self.type.kind:
            return self
        return self.cast("fpext" if BITS[kind] > BITS[self.type.kind] else "fptrunc", kind)

    def lanes(self, places: Sequence[int], other: Vec | None = None) -> Vec:
        """The lanes at these places; those of `other` are counted on."""
        to = Type(self.type.kind, len(places))
        second = other.text if other is not None else "poison"
        mask = f"<{len(places)} x i32> <{', '.join(f'i32 {k}' for k in places)}>"
        text = f"shufflevector {self.type} {self.text}, {self.type} {second}, {mask}"
        return self.writer.value(text, to)

    def lane(self, place: int) -> str:
        """One lane, as a scalar."""
        return self.writer.scalar(f"extractelement {self.type} {self.text}, i32 {place}")


class Writer:
    """Text of one module while it is written: functions, and what they declare."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declared: dict[str, None] = {}
        self.count = 0
        self.block = "entry"  # the label of what is being written

    def text(self) -> str:
        return "\n".join([*self.lines, *self.declared, ""])

    def emit(self, text: str) -> None:
        self.lines.append("  " + text)

    def scalar(self, text: str) -> str:
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def value(self, text: str, type: Type) -> Vec:
        return Vec(self, self.scalar(text), type)

    def number(self, value: float, type: Type) -> Vec:
        return Vec(self, splat(value, type), type)

    def intrinsic(self, name: str, type: Type, args: Sequence[Vec]) -> Vec:
        full = f"llvm.{name}.{type.mangled}"
        self.declared[f"declare {type} @{full}({', '.join(str(arg.type) for arg in args)})"] = None
        given = ", ".join(f"{arg.type} {arg.text}" for arg in args)
        return self.value(f"call {type} @{full}({given})", type)

    def spread(self, scalar: str, type: Type) -> Vec:
        """A scalar in every lane."""
        one = self.scalar(f"insertelement {type} poison, {type.kind} {scalar}, i64 0")
        return Vec(self, one, type).lanes([0] * type.lanes)

    def counted(self, type: Type) -> Vec:
        """0, 1, 2 … in the lanes."""
        return Vec(self, f"<{', '.join(f'{type.kind} {k}' for k in range(type.lanes))}>", type)

    # ------------------------------------------------------------------------------------- whole numbers

    def integer(self, op: str, a: str | int, b: str | int) -> str:
        """`op` of two i64; what is known is worked out here."""
        if isinstance(a, int) and isinstance(b, int):
            raise ValueError("both are known")
        if (op in ("add", "sub") and b == 0) or (op == "mul" and b == 1):
            return str(a)
        if (op == "add" and a == 0) or (op == "mul" and a == 1):
            return str(b)
        return self.scalar(f"{op} i64 {a}, {b}")

    def test(self, how: str, a: str, b: str | int) -> str:
        return self.scalar(f"icmp {how} i64 {a}, {b}")

    # ------------------------------------------------------------------------------------- memory

    def at(self, pointer: str, offset: str | int) -> str:
        """The address so many bytes further on."""
        if offset == 0:
            return pointer
        return self.scalar(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def load(self, pointer: str, type: Type, align: int) -> Vec:
        return self.value(f"load {type}, ptr {pointer}, align {align}", type)

    def load_lane(self, pointer: str, type: Type) -> Vec:
        """One number from memory in every lane."""
        align = BITS[type.kind] // 8
        return self.spread(self.scalar(f"load {type.kind}, ptr {pointer}, align {align}"), type)

    def store(self, value: Vec, pointer: str, align: int) -> None:
        self.emit(f"store {value.type} {value.text}, ptr {pointer}, align {align}")

    def masked_load(self, pointer: str, mask: Vec, type: Type) -> Vec:
        """Lanes outside of the mask are 0, and their memory is not touched."""
        full = f"llvm.masked.load.{type.mangled}.p0"
        self.declared[f"declare {type} @{full}(ptr, i32, {mask.type}, {type})"] = None
        args = f"ptr {pointer}, i32 1, {mask.type} {mask.text}, {type} zeroinitializer"
        return self.value(f"call {type} @{full}({args})", type)

    def masked_store(self, value: Vec, pointer: str, mask: Vec) -> None:
        type = value.type
        full = f"llvm.masked.store.{type.mangled}.p0"
        self.declared[f"declare void @{full}({type}, ptr, i32, {mask.type})"] = None
        args = f"{type} {value.text}, ptr {pointer}, i32 1, {mask.type} {mask.text}"
        self.emit(f"call void @{full}({args})")

    def gather(self, pointers: Vec, mask: Vec, type: Type) -> Vec:
        full = f"llvm.masked.gather.{type.mangled}.{pointers.type.mangled}"
        self.declared[f"declare {type} @{full}({pointers.type}, i32, {mask.type}, {type})"] = None
        args = f"{pointers.type} {pointers.text}, i32 1, {mask.type} {mask.text}, {type} zeroinitializer"
        return self.value(f"call {type} @{full}({args})", type)

    def prefetch(self, pointer: str, near: int) -> None:
        """Asks for a line of memory that is read soon; `near` is 3 for the nearest cache."""
        self.declared["declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"] = None
        self.emit(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 {near}, i32 1)")

    # ------------------------------------------------------------------------------------- control

    def label(self, wanted: str) -> str:
        self.count += 1
        return f"{wanted}{self.count}"

    def place(self, label: str) -> None:
        self.block = label
        self.lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        self.emit(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.emit(f"br i1 {condition}, label %{yes}, label %{no}")

    def where_any(self, mask: Vec, usual: Vec, rare: Callable[[], Vec]) -> Vec:
        """`usual`, and `rare()` in the lanes of the mask: it is computed only where there are some."""
        bits = self.scalar(f"bitcast {mask.type} {mask.text} to i{mask.type.lanes}")
        some = self.scalar(f"icmp ne i{mask.type.lanes} {bits}, 0")
        inside, after = self.label("rare"), self.label("after")
        before = self.block
        self.branch(some, inside, after)
        self.place(inside)
        other = mask.select(rare(), usual)
        last = self.block
        self.jump(after)
        self.place(after)
        return self.value(
            f"phi {usual.type} [ {usual.text}, %{before} ], [ {other.text}, %{last} ]", usual.type
        )

    @contextmanager
    def function(
        self, name: str, parameters: str, result: str = "void", inner: bool = True
    ) -> Iterator[None]:
        """A function; an inner one is not seen from outside, and stays a function."""
        linkage, attributes = ("internal ", " noinline nounwind") if inner else ("", " nounwind")
        self.lines.append(f"define {linkage}{result} @{name}({parameters}){attributes} {{")
        self.place("entry")
        yield
        self.lines.append("}")

    @contextmanager
    def loop(
        self, start: str | int, stop: str | int, step: str | int, carried: Sequence[Vec] = ()
    ) -> Iterator[Loop]:
        """`at` from start while below stop; `carried` values go from one turn to the next."""
        before, body, after = self.label("before"), self.label("body"), self.label("after")
        head = self.label("head")
        self.jump(before)
        self.place(before)
        self.jump(head)
        self.place(head)
        loop = Loop(f"%at{self.count}")
        mark = len(self.lines)
        for value in carried:
            self.count += 1
            loop.carried.append(Vec(self, f"%c{self.count}", value.type))
        going = f"%going{self.count}"
        self.emit(f"{going} = icmp slt i64 {loop.at}, {stop}")
        self.branch(going, body, after)
        self.place(body)
        inside = list(loop.carried)
        yield loop
        latch = self.label("latch")
        self.jump(latch)
        self.place(latch)
        following = self.integer("add", loop.at, step)
        self.jump(head)
        phis = [f"  {loop.at} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]"]
        for value, phi, last in zip(carried, inside, loop.carried, strict=True):
            phis.append(
                f"  {phi.text} = phi {value.type} [ {value.text}, %{before} ], [ {last.text}, %{latch} ]"
            )
        self.lines[mark:mark] = phis
        self.place(after)
        loop.carried[:] = inside


class Loop:
    """A loop while its body is written: where it is, and what it carries on; after it, the last values."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.carried: list[Vec] = []
