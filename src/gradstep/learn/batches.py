"""What is in Arrow files (also called Feather or IPC)? Columns, read batch by batch where they lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from gradstep.expression.errors import MathError
from gradstep.learn import places
from gradstep.learn.arrow import arrow, check_names, check_regular, columns_of, fields_of, reading
from gradstep.learn.frames import Frame, Raw
from gradstep.learn.parquet import called_together
from gradstep.learn.stores import Window, called
from gradstep.operations.memory import SHARE, memory, spoken

WHAT = "an Arrow file"


class ArrowFrame(Frame):
    """Arrow files of the same columns."""

    piece = "batch"

    def __init__(self, paths: Sequence[str], source: str | None = None) -> None:
        self.paths = tuple(paths)
        self.source = source or called_together(paths)
        files = [opened(path) for path in paths]
        self.fields, notes = fields_of([file.schema for file in files], paths)
        self.notes = tuple(notes)
        self.parts, self.bytes = [], 0
        for number, path in enumerate(paths):
            for batch, (rows, size) in enumerate(sizes(path)):
                self.parts += [(number, batch, rows)] if rows else []
                self.bytes += size

    def size(self) -> int:
        return max(self.bytes, super().size())

    def read(self, part: int, names: Sequence[str], runs: Sequence[Window]) -> Iterator[dict[str, Raw]]:
        number, batch, rows = self.parts[part]
        path = self.paths[number]
        with reading(path, WHAT, f", {self.piece} {batch}"):
            file = opened(path, names)
            table = arrow().Table.from_batches([file.get_batch(batch)])
            if table.num_rows != rows:
                raise MathError(
                    f"{called(path)}, {self.piece} {batch} is another than before: it was changed"
                )
            for start, stop in runs:
                yield self._columns(table.slice(start, stop - start), names)

    def _columns(self, table: Any, names: Sequence[str]) -> dict[str, Raw]:
        return columns_of(table, self.fields, names)


def opened(path: str, names: Sequence[str] | None = None) -> Any:
    """An Arrow file, of which only some columns are read."""
    package = arrow()
    check_regular(path, "a .arrow or .feather file")
    with reading(path, WHAT):
        with _bytes(path) as file:
            if file.read(6) != b"ARROW1":
                raise MathError(
                    f"{called(path)} is no Arrow file: it does not begin like one",
                    mend="a file that pyarrow.feather.write_feather or pyarrow.ipc.new_file wrote",
                )
        mapped = _bytes(path)
        found = package.ipc.open_file(mapped)
        check_names(found.schema.names, called(path))
        if names is None:
            return found
        places = sorted(found.schema.names.index(name) for name in names)
        return package.ipc.open_file(mapped, options=package.ipc.IpcReadOptions(included_fields=places))


def _bytes(path: str) -> Any:
    """Those of a file, in memory as far as they are looked at; or from elsewhere."""
    return places.opened(path) if places.is_address(path) else arrow().memory_map(path)


def sizes(path: str) -> list[tuple[int, int]]:
    """Rows of each batch, and its bytes in memory, as they are told in front of it; nothing is unpacked.

    A batch that needs too much memory is a `MathError`: it can only be read whole.
    """
    package, found = arrow(), []
    with reading(path, WHAT):
        mapped = _bytes(path)
        mapped.seek(8)
        for message in package.ipc.MessageReader.open_stream(mapped):
            if message.type in ("record batch", "dictionary"):
                rows, size = _told(message)
                if size > memory() // SHARE:
                    raise MathError(
                        f"{called(path)} has a batch of {spoken(size)}: too much to be read at once",
                        facts=[f"the memory is {spoken(memory())}"],
                        mend="batches of fewer rows, or Parquet",
                    )
                if message.type == "record batch":
                    found.append((rows, size))
    return found


def _told(message: Any) -> tuple[int, int]:
    """Rows and bytes of a batch, from its description, which is a FlatBuffer (Arrow, format/Message.fbs)."""
    about = memoryview(message.metadata).tobytes()

    def whole(at: int, code: str) -> int:
        return int(struct.unpack_from("<" + code, about, at)[0])

    def field(table: int, number: int) -> int:
        """Where a field of a table lies; 0 where it is not said."""
        kinds = table - whole(table, "i")
        at = 4 + 2 * number
        offset = whole(kinds + at, "H") if at < whole(kinds, "H") else 0
        return table + offset if offset else 0

    def pointed(at: int) -> int:
        return at + whole(at, "I")

    batch = pointed(field(pointed(0), 2))
    if message.type == "dictionary":
        batch = pointed(field(batch, 1))
    rows = whole(length, "q") if (length := field(batch, 0)) else 0
    buffers, packed = pointed(field(batch, 2)), field(batch, 3)
    size = 0
    for k in range(whole(buffers, "I")):
        start, length = (whole(buffers + 4 + 16 * k + part, "q") for part in (0, 8))
        if packed and length >= 8:  # in front of a packed buffer stands its length, -1 if it is not packed
            unpacked = int.from_bytes(memoryview(message.body)[start : start + 8], "little", signed=True)
            length = unpacked if unpacked >= 0 else length
        size += length
    return rows, size
