"""How do numbers and a description of them lie in a file? In one .safetensors file with its own fingerprints.

The file is written beside its place and moved there when it is whole, so a full disk or a power cut leaves
the old file as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn.columns import shown
from gradstep.learn.saved import MODEL, Kept
from gradstep.learn.scaling import Array
from gradstep.operations.memory import SHARE, memory, spoken

LONGEST = 20_000_000  # letters of a description
UNFINISHED = ".part"


def packed(tensors: Mapping[str, Array], description: Mapping[str, Any]) -> bytes:
    """A file of these numbers; the description goes with its fingerprint."""
    from safetensors.numpy import save as pack

    text = json.dumps(description, ensure_ascii=True, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return pack(dict(tensors), metadata={"gradstep": text, "sha256": digest})


def fingerprint(values: Array) -> str:
    """The SHA-256 of an array: of its shape and its bytes."""
    little = values.astype("<f8")
    return hashlib.sha256(f"{values.shape}".encode() + little.tobytes()).hexdigest()


def write_whole(
    path: str | os.PathLike[str],
    content: bytes | Iterable[bytes],
    *,
    example: str = "result",
    before: Path | None = None,
) -> None:
    """The whole content at `path`, or the old file untouched and a `MathError`.

    The old file is kept as `before`, where that is given; at no time is there neither of them.
    """
    where = Path(path)
    if where.is_dir():
        raise MathError(f"{shown(str(where))} is a folder: a file name is needed", mend=str(where / example))
    try:
        handle, beside = tempfile.mkstemp(dir=where.parent, prefix=beginning_of(where), suffix=UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, where.stat().st_mode & 0o777 if where.exists() else 0o666 & ~_umask())
            if before is not None and where.exists():
                os.replace(where, before)
            os.replace(beside, where)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        _settle(where.parent)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MathError(f"{shown(str(where))} cannot be written: {reason.lower()}") from None


def beginning_of(path: Path) -> str:
    """How the names begin of files that are being written in the place of one; they end with `UNFINISHED`."""
    return f".{path.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _settle(folder: Path) -> None:
    """The folder's own entry on disk, where the system allows it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def unpacked(path: str | os.PathLike[str], kept: Kept = MODEL) -> tuple[dict[str, Array], Any]:
    """The numbers in a file and their description, which is as it was written; else a `MathError`."""
    tensors, notes = _opened(path, kept)
    text = notes.get("gradstep", "")
    if notes.get("sha256") != hashlib.sha256(text.encode()).hexdigest():
        raise kept.spoiled("its description does not have the fingerprint that was saved with it")
    try:
        return tensors, json.loads(text)
    except (ValueError, RecursionError):
        raise kept.spoiled("its description is no JSON") from None


def _opened(path: str | os.PathLike[str], kept: Kept) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors in a .safetensors file and the notes beside them."""
    from safetensors import SafetensorError, safe_open

    if not isinstance(path, str | os.PathLike):
        raise MathError(f"a path is text, not a {type(path).__name__}", mend=f'"{kept.name}.safetensors"')
    where = os.fspath(path)
    try:
        about = os.stat(where)
        if not stat.S_ISREG(about.st_mode):
            what = "a folder" if stat.S_ISDIR(about.st_mode) else "not a regular file"
            raise MathError(f"{shown(where)} is {what}", mend="a .safetensors file that gradstep saved")
        if about.st_size > memory() // SHARE:
            raise MathError(
                f"{shown(where)} has {spoken(about.st_size)}: more than a quarter of the memory here",
                facts=[f"the memory is {spoken(memory())}"],
            )
        with safe_open(where, framework="numpy") as file:
            names = [*file.keys()]
            for name in names:
                if file.get_slice(name).get_dtype() != "F64":
                    raise kept.spoiled(f"{shown(name)} does not hold 64-bit numbers")
            notes = file.metadata() or {}
            if sum(map(len, notes.values())) > LONGEST:
                raise kept.spoiled(f"its description is longer than {LONGEST:,} letters")
            return {name: file.get_tensor(name) for name in names}, notes
    except FileNotFoundError:
        raise MathError(f"there is no file {shown(where)}") from None
    except SafetensorError as error:
        raise MathError(
            f"{shown(where)} is no {kept.name} of gradstep, or it is damaged",
            facts=[str(error)[:120]],
            mend="a .safetensors file that gradstep saved",
        ) from None
    except MathError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MathError(f"{shown(where)} cannot be read: {reason.lower()[:120]}") from None


def check_numbers(tensors: Mapping[str, Array], fingerprints: Any, kept: Kept = MODEL) -> None:
    """Every tensor is the one that was saved, bit by bit."""
    if not isinstance(fingerprints, Mapping) or set(fingerprints) != set(tensors):
        raise kept.spoiled("its tensors are not those of its description")
    for name, values in tensors.items():
        if values.dtype != np.float64 or fingerprint(values) != fingerprints[name]:
            raise kept.spoiled(f"the numbers of {name} are not those that were saved: the file is damaged")
