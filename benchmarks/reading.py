"""How fast can memory be read here? A sum of everything, by code that does nothing else, with threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradstep.backends.native import engine
from gradstep.backends.native.assembly import Type, Writer
from gradstep.backends.threads import shared_out

CHUNK = 1 << 20  # bytes that a thread takes at a time
STREAMS = 4  # places at which a chunk is read at once
AHEAD = 4096  # bytes


def written() -> str:
    """A function of the address of (counter, chunks, data, results): sums chunks nobody has begun."""
    writer = Writer()
    wide = engine.vector_bytes()
    type = Type("float", wide // 4)
    part = CHUNK // STREAMS
    with writer.function("read", "ptr %a", inner=False):
        fields = [
            writer.scalar(f"load {t}, ptr {writer.at('%a', 8 * k)}")
            for k, t in enumerate(("ptr", "i64", "ptr", "ptr"))
        ]
        counter, chunks, data, results = fields
        writer.jump("again")
        writer.place("again")
        mine = writer.scalar(f"atomicrmw add ptr {counter}, i64 1 monotonic")
        writer.branch(writer.test("slt", mine, chunks), "work", "done")
        writer.place("work")
        start = writer.at(data, writer.integer("mul", mine, CHUNK))
        unrolled = 2 * STREAMS
        zero = [writer.number(0.0, type) for _ in range(unrolled)]
        with writer.loop(0, part, 2 * wide, zero) as loop:
            for k in range(unrolled):
                stream, half = divmod(k, 2)
                here = writer.at(writer.at(start, stream * part + half * wide), loop.at)
                writer.prefetch(writer.at(here, AHEAD), 3)
                loop.carried[k] = loop.carried[k] + writer.load(here, type, 4)
        total = loop.carried[0]
        for value in loop.carried[1:]:
            total = total + value
        place = writer.at(results, writer.integer("mul", mine, 4))
        writer.emit(f"store float {total.lane(0)}, ptr {place}, align 4")
        writer.jump("again")
        writer.place("done")
        writer.emit("ret void")
    return writer.text()


def reader(array: np.ndarray, threads: int) -> Callable[[], None]:
    """What reads all of an array when it is called."""
    function = engine.load(written(), "read")
    chunks = array.nbytes // CHUNK
    counter, results = np.zeros(8, np.int64), np.zeros(chunks, np.float32)
    args = np.array([counter.ctypes.data, chunks, array.ctypes.data, results.ctypes.data], np.int64)

    def read() -> None:
        counter[:] = 0
        results[:] = 0  # and keeps them alive
        shared_out(lambda _: function(args.ctypes.data), threads, threads)

    return read
