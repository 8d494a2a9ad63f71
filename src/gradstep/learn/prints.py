"""Is a file still the one that was read? A fingerprint of its length and of the bytes that would differ."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, TypeAlias

from gradstep.expression.errors import MathError
from gradstep.learn.columns import shown
from gradstep.learn.places import about, is_address

END = 1 << 16  # bytes at either end of a file
WHOLE = 1 << 26  # bytes of a file that is looked at from end to end
LONGEST = 1 << 28
LETTERS = 32  # of a SHA-256 in hexadecimal: 128 bits


def digest(*parts: bytes) -> str:
    """The fingerprint of some bytes, each part with its length."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()[:LETTERS]


def print_of(path: str, tail: Callable[[BinaryIO], int] = lambda file: END) -> str:
    """The fingerprint of a file: its length and its bytes.

    Of more than 64 MB the first 64 KB alone and the last, or as many as `tail` says; see `lasting`. Of one
    that lies elsewhere its length, and when it was written.
    """
    if is_address(path):
        return digest(*(str(each).encode() for each in about([path])[0]))
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= WHOLE:
                return digest(str(size).encode(), file.read())
            head = file.read(END)
            file.seek(max(0, size - tail(file)))
            return digest(str(size).encode(), head, file.read())
    except OSError as error:
        raise _unreadable(path, error) from None


def lasting(prints: Mapping[str, str]) -> dict[str, str]:
    """Fingerprints that tell a file from what it was: those of large ones with when they last changed."""
    return {path: _dated(path, known) for path, known in prints.items()}


def _dated(path: str, known: str) -> str:
    with contextlib.suppress(OSError, ValueError):
        now = os.stat(path)
        if now.st_size > WHOLE:
            return f"{known} {now.st_mtime_ns}"
    return known


Stamps: TypeAlias = dict[str, tuple[int, int, int]]


def stamps(paths: Iterable[str]) -> Stamps:
    """By which it is seen cheaply whether files change while they are read."""
    paths = list(paths)
    away = [path for path in paths if is_address(path)]
    found: Stamps = {path: (0, *each) for path, each in zip(away, about(away), strict=True)}
    for path in paths:
        if path in found:
            continue
        try:
            known = os.stat(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        found[path] = known.st_ino, known.st_size, known.st_mtime_ns
    return found


def check_unchanged(before: Stamps) -> None:
    """Raises `MathError` where a file is no longer the one that it was."""
    now = stamps(before)
    path = next((path for path in before if now[path] != before[path]), None)
    if path is not None:
        raise MathError(
            f"{shown(os.path.basename(path))} has changed while it was trained on: no step was made of both",
            mend="a copy that nobody writes to",
        )


def _unreadable(path: str, error: OSError) -> MathError:
    reason = (error.strerror or str(error)).lower()
    return MathError(f"{shown(os.path.basename(path))} cannot be read: {reason}")


def footer(file: BinaryIO) -> int:
    """How long the description at the end of a Parquet file is, as its last bytes say."""
    file.seek(-8, os.SEEK_END)
    return min(int.from_bytes(file.read(4), "little") + 8, LONGEST)
