"""How is a long text table read? In pieces of whole records, each with the line it begins in."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.learn.arrow import check_regular
from gradstep.learn.data import Record, records
from gradstep.learn.files import CONTROL, GZIP, check_text, utf16
from gradstep.learn.places import is_address
from gradstep.learn.places import opened as opened_away
from gradstep.learn.stores import called

PIECE = 1 << 24  # bytes
LONGEST = 1 << 24  # bytes of a record
CONTROLS = b"".join(re.findall(CONTROL, bytes(range(128))))
QUOTE, NEWLINE = ord('"'), ord("\n")


@dataclass(frozen=True)
class Piece:
    """Whole records in UTF-8; `line` is the number of the first line."""

    text: bytes
    line: int
    separator: str
    source: str

    def records(self) -> Iterator[Record]:
        """The cells of each record, and the line in which it ends."""
        return records(self.text.decode(), self.separator, self.source, self.line - 1)

    def is_plain(self, rows: int) -> bool:
        """Whether each of so many records stands in a line of its own, one after the other."""
        return rows == newlines(self.text) + (not self.text.endswith(b"\n"))

    def lines(self, rows: int) -> NDArray[np.intp]:
        """The line of each record, of which there are so many."""
        if self.is_plain(rows):
            return self.line + np.arange(rows)
        return np.array([record.line for record in self.records()], dtype=np.intp)


def pieces(path: str, encoding: str, separator: str) -> Iterator[Piece]:
    """A text in pieces; what is no text is a `MathError`, another encoding a `UnicodeDecodeError`."""
    source, line, rest = called(path), 1, b""
    for raw in decoded(path, encoding):
        found = re.search(CONTROL, raw) if _has_control(raw) else None
        if found:
            what = "a NUL byte" if found[0] == b"\x00" else f"a control character (0x{found[0][0]:02X})"
            at = line + rest.count(b"\n") + raw.count(b"\n", 0, found.start())
            raise MathError(
                f"{source} holds {what} in line {at:,}: it is not a text table", mend="a CSV file"
            )
        whole = rest + raw
        cut = last_end(whole, separator)
        text, rest = whole[:cut], whole[cut:]
        if text:
            yield Piece(text, line, separator, source)
            line += newlines(text)
        if len(rest) > LONGEST:
            raise MathError(
                f"{source}: the record that begins in line {line:,} has no end within {LONGEST:,} bytes",
                facts=["perhaps a quote there is never closed"] if b'"' in rest else [],
                mend='lines that end, and "" for a quote inside quotes',
            )
    if rest.strip():
        last = Piece(rest, line, separator, source)
        if b'"' in rest:
            deque(last.records(), maxlen=0)  # one that is never closed is an error here, and none to pyarrow
        yield last


def newlines(text: bytes) -> int:
    """How many lines end in a text."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == NEWLINE))


def _has_control(raw: bytes) -> bool:
    """Whether a text may hold what no text holds: the quick way is that only newlines are below a space."""
    low = int(np.count_nonzero(np.frombuffer(raw, np.uint8) < ord(" ")))
    return low > newlines(raw) and len(raw.translate(None, CONTROLS)) < len(raw)


def last_end(text: bytes, separator: str) -> int:
    """Behind the last newline that ends a record, and is not within quotes."""
    cut = text.rfind(b"\n") + 1
    if text.find(b'"', 0, cut) < 0:
        return cut
    raw = np.frombuffer(text, np.uint8, cut)
    quotes, ends = np.flatnonzero(raw == QUOTE), np.flatnonzero(raw == NEWLINE)
    if not (np.searchsorted(quotes, ends) % 2).any():  # an even number in each line: none goes on in the next
        return cut
    opening = rb'(?<![^\n\r%s])"' % re.escape(separator.encode())
    bare = re.sub(opening + rb'(?:[^"]|"")*"', lambda found: b"x" * len(found[0]), text)
    unclosed = re.search(opening, bare)
    return bare.rfind(b"\n", 0, unclosed.start() if unclosed else len(bare)) + 1


def decoded(path: str, encoding: str) -> Iterator[bytes]:
    """The bytes of a text as UTF-8, unpacked, without a mark in front."""
    decoder = codecs.getincrementaldecoder(encoding)()
    begun = False
    with opened(path) as file:
        while True:
            raw = read(file, path)
            if begun and encoding == "utf-8" and raw.isascii() and not decoder.getstate()[0]:
                if not raw:
                    return
                yield raw
                continue
            text = decoder.decode(raw, final=not raw)
            if text:
                yield (text if begun else text.removeprefix("\ufeff")).encode()
                begun = True
            if not raw:
                return


def read(file: BinaryIO, path: str, size: int = 0) -> bytes:
    """The next bytes of a text; damage is a `MathError`."""
    try:
        return file.read(size or PIECE)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MathError(
            f"{called(path)} is damaged or ends too early: {str(error).lower()}",
            mend="the file written anew, or another copy of it",
        ) from None
    except OSError as error:
        raise MathError(f"{called(path)} cannot be read: {(error.strerror or str(error)).lower()}") from None


def opened(path: str) -> BinaryIO:
    """A text file, unpacked if it is compressed by gzip."""
    check_regular(path, "a CSV file")
    try:
        file = opened_away(path) if is_address(path) else open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise MathError(f"{called(path)} cannot be read: {(error.strerror or str(error)).lower()}") from None
    packed = file.read(2) == GZIP
    file.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file


def beginning(path: str, size: int = 1 << 16) -> bytes:
    """The first bytes of a text; what is no text is a `MathError`."""
    with opened(path) as file:
        start = read(file, path, size)
    check_text(start, called(path))
    return start


def encodings(start: bytes) -> list[str]:
    """The encodings that a text may have, likeliest first."""
    wide = utf16(start)
    return [wide] if wide else ["utf-8", "cp1252", "latin-1"]
