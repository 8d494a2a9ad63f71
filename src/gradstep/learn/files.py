"""What text is in a file? Only that of a regular file of bounded size, in an encoding that was recognised."""

from __future__ import annotations

import os
import re
import stat
import zlib

from gradstep.expression.errors import MathError, resembling
from gradstep.learn.columns import shown

GZIP = b"\x1f\x8b"
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
}


def content(path: str | os.PathLike[str], limit: int) -> tuple[bytes, str]:
    """The bytes of a regular file of bounded size, and its name for messages."""
    if not isinstance(path, str | os.PathLike):
        raise MathError(f"a path is text, not of type {type(path).__name__}", mend='"data.csv"')
    if not isinstance(limit, int):
        raise MathError(f"a limit is a number of bytes, not {limit!r:.40}", mend="limit=100_000_000")
    where = os.fspath(path)
    try:
        about = os.stat(where)
        if stat.S_ISDIR(about.st_mode):
            raise MathError(f"{where} is a folder, not a file", mend="the path of a CSV file in it")
        if not stat.S_ISREG(about.st_mode):
            raise MathError(f"{where} is not a regular file (a device, pipe or socket)", mend="a CSV file")
        with open(where, "rb") as file:
            raw = file.read(limit + 1)
    except MathError:
        raise
    except FileNotFoundError:
        raise not_found(where) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MathError(f"{shown(where)} cannot be read: {reason.lower()}") from None
    if len(raw) > limit:
        raise MathError(
            f"{where} is larger than {limit:,} bytes",
            facts=[f"it has {about.st_size:,} bytes"] if about.st_size > limit else [],
            mend="a part of it, or a larger limit= if the memory allows about twenty times the size",
        )
    return raw, os.path.basename(where) or where


def not_found(where: str) -> MathError:
    folder, name = os.path.split(where)
    try:
        beside = sorted(os.listdir(folder or "."))
    except OSError:
        return MathError(f"there is no file {shown(where)}", facts=[f"and no folder {shown(folder)}"])
    near = resembling(name, beside)
    return MathError(f"there is no file {shown(where)}", mend=os.path.join(folder, near[0]) if near else None)


def unpacked(raw: bytes, source: str, limit: int) -> bytes:
    """The bytes, unpacked if they are compressed by gzip; no more of them than the limit are ever made."""
    if not raw.startswith(GZIP):
        return raw
    found = b""
    try:
        while raw and len(found) <= limit:  # a file may be several, one after the other
            packed = zlib.decompressobj(wbits=31)
            found += packed.decompress(raw, limit + 1 - len(found))
            if len(found) <= limit and not packed.eof:
                raise MathError(f"{source} (gzip) ends too early: it is damaged, or still being written")
            raw = packed.unused_data
    except zlib.error as error:
        raise MathError(f"{source} (gzip) is damaged: {error}") from None
    if len(found) > limit:
        raise MathError(
            f"{source} is larger than {limit:,} bytes when it is unpacked",
            mend="a part of it, or a larger limit= if the memory allows about twenty times the size",
        )
    return found


def check_text(raw: bytes, source: str) -> None:
    """Raises `MathError` for what begins like another kind of file."""
    for magic, what in _NOT_TEXT.items():
        if raw.startswith(magic):
            raise MathError(f"{source} is {what}, not a text table", mend="the table saved as CSV")
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)\b", raw, re.IGNORECASE):
        raise MathError(f"{source} is a page of the web, not a text table", mend="the table saved as CSV")


def decoded(raw: bytes, source: str) -> tuple[str, list[str]]:
    """The bytes as text, and what had to be said about it."""
    check_text(raw, source)
    wide = utf16(raw)
    if wide:
        try:
            return raw.decode(wide).removeprefix("\ufeff"), [f"{source} is UTF-16 text"]
        except UnicodeDecodeError as error:
            raise MathError(f"{source} is not valid UTF-16 at byte {error.start:,}", mend="UTF-8") from None
    _check_control(raw, source)
    try:
        return raw.decode().removeprefix("\ufeff"), []
    except UnicodeDecodeError as error:
        place = f"byte {error.start:,} is 0x{raw[error.start]:02X}"
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text, [f"{source} is not UTF-8 ({place}), so it was read as Latin-1: check letters with accents"]


def utf16(raw: bytes) -> str | None:
    """The flavour of UTF-16, by its mark or by every second byte being zero."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    sample = raw[:2000]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    enough = len(sample) // 2 * 0.7
    if len(sample) >= 4 and max(even, odd) > enough and min(even, odd) == 0:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None


CONTROL = rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]"


def _check_control(raw: bytes, source: str) -> None:
    found = re.search(CONTROL, raw)
    if found:
        what = "a NUL byte" if found[0] == b"\x00" else f"a control character (0x{found[0][0]:02X})"
        raise MathError(
            f"{source} holds {what} at byte {found.start():,}: it is not a text table", mend="a CSV file"
        )
