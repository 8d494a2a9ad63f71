"""Is a file still the one that was read? A fingerprint of its length and of the bytes that would differ."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import BinaryIO

from gradstep.expression.errors import MathError
from gradstep.learn.columns import shown

END = 1 << 16  # bytes at either end of a file
LONGEST = 1 << 28
LETTERS = 32  # of a SHA-256 in hexadecimal: 128 bits


def digest(*parts: bytes) -> str:
    """The fingerprint of some bytes, each part with its length."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()[:LETTERS]


def print_of(path: str, tail: Callable[[BinaryIO], int] = lambda file: END) -> str:
    """The fingerprint of a file: its length, its first 64 KB, and its last, or as many bytes as `tail` says.

    What was changed in place in the middle of a longer file is not seen.
    """
    try:
        with open(path, "rb") as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(END)
            file.seek(max(0, size - tail(file)))
            return digest(str(size).encode(), head, file.read())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MathError(f"{shown(os.path.basename(path))} cannot be read: {reason}") from None


def footer(file: BinaryIO) -> int:
    """How long the description at the end of a Parquet file is, as its last bytes say."""
    file.seek(-8, os.SEEK_END)
    return min(int.from_bytes(file.read(4), "little") + 8, LONGEST)
