"""Where do files lie that are not on this machine? Behind an address, s3://bucket/rows/part-1.parquet.

Arrow's file systems reach them: from here, and from each worker by itself. Keys come from the environment or
the role of a machine, never from an address: addresses are shown, kept in checkpoints and sent to workers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gradstep.expression.errors import MathError, resembling
from gradstep.expression.late import late
from gradstep.learn.columns import shown

if TYPE_CHECKING:
    import fnmatch
    import urllib.parse as parse
else:
    fnmatch = late("fnmatch")
    parse = late("urllib.parse")

FILE = "file"
SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs")
MARKS = "*["  # of a pattern
DEEPER = r"(?:(?!\.)[^/]+/)*"  # any folders: what ** stands for
MENDS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION in the environment",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS in the environment",
}
ELSEWHERE = "the keys in the environment"


class About(NamedTuple):
    """What is known of a file before it is read: its bytes, and when it was written last, in nanoseconds."""

    size: int
    written: int


def is_address(path: str) -> bool:
    """Whether a path is an address of files elsewhere."""
    return path.partition("://")[0] in SCHEMES and "://" in path


def local(path: str) -> str:
    """A path; file:///rows is /rows."""
    return parse.unquote(parse.urlsplit(path).path) if path.startswith(f"{FILE}://") else path


def check_address(path: str) -> None:
    """Raises `MathError` for an address that may hold a secret; it is not repeated."""
    parts = parse.urlsplit(path)
    mend = MENDS.get(parts.scheme, ELSEWHERE)
    if parts.password is not None or (parts.username is not None and parts.scheme == "s3"):
        raise MathError("the address of files holds a key, which others would see", mend=mend)
    if parts.query or parts.fragment:
        raise MathError(
            "the address of files has options after ?, which may hold a secret and are not taken", mend=mend
        )
    if not parts.netloc:
        mend = f"{parts.scheme}://bucket/x.parquet"
        raise MathError("the address of files should name where they are", mend=mend)


@lru_cache(16)
def _system(root: str) -> Any:
    from pyarrow import fs

    return fs.FileSystem.from_uri(root)[0]


def _within(path: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    check_address(path)
    parts = parse.urlsplit(path)
    bucket = "" if parts.scheme == "hdfs" else parts.netloc.rpartition("@")[0] or parts.netloc
    return _system(f"{parts.scheme}://{parts.netloc}/"), bucket + parts.path


@contextlib.contextmanager
def reaching(path: str) -> Iterator[None]:
    """What is in the way to files, as an error that says so."""
    try:
        yield
    except MathError:
        raise
    except ImportError:
        told = "files elsewhere are read by pyarrow, which is not installed"
        raise MathError(told, mend="pip install 'gradstep[parquet]'") from None
    except (OSError, ValueError, NotImplementedError) as error:
        why = " ".join(str(error).split())[:200]
        scheme = path.partition("://")[0]
        raise MathError(
            f"{shown(path)} cannot be reached", facts=[why], mend=MENDS.get(scheme, ELSEWHERE)
        ) from None


def about(paths: Sequence[str]) -> list[About]:
    """What is known of files at addresses; one that is not there is a `MathError`."""
    found = []
    for path, info in zip(paths, _infos(paths), strict=True):
        if not info.is_file:
            what = "is no file" if info.type.name == "Directory" else "is not there"
            raise MathError(f"{shown(path)} {what}", mend=_near(path))
        found.append(About(info.size, info.mtime_ns or 0))
    return found


def _infos(paths: Sequence[str]) -> list[Any]:
    if not paths:
        return []
    with reaching(paths[0]):
        inside = [_within(path) for path in paths]
        alike = all(system is inside[0][0] for system, _ in inside)
        if alike:  # at once: many are asked for side by side
            return list(inside[0][0].get_file_info([path for _, path in inside]))
        return [system.get_file_info(path) for system, path in inside]


def _near(path: str) -> str | None:
    """A file beside that is called alike."""
    folder, _, name = path.rpartition("/")
    with contextlib.suppress(MathError):
        beside = {each.rpartition("/")[2]: each for each in files_in(folder, deep=False)}
        return next((beside[near] for near in resembling(name, list(beside))), None)
    return None


def opened(path: str) -> Any:
    """A file at an address, to be read anywhere."""
    with reaching(path):
        system, where = _within(path)
        return system.open_input_file(where)


def files_in(folder: str, deep: bool = True) -> list[str]:
    """All files in a folder at an address, in order, and if it is to be `deep` in those in it."""
    with reaching(folder):
        from pyarrow import fs

        system, where = _within(folder)
        found = system.get_file_info(fs.FileSelector(where.rstrip("/"), recursive=deep, allow_not_found=True))
        before = len(where.rstrip("/"))
        return sorted(folder.rstrip("/") + each.path[before:] for each in found if each.is_file)


def is_folder(path: str) -> bool:
    """Whether there is a folder at an address."""
    return bool(_infos([path])[0].type.name == "Directory")


def matching(pattern: str) -> list[str]:
    """The files at the addresses that a pattern describes, in order; * does not begin with a point."""
    parts = pattern.split("/")
    marked = next(k for k, part in enumerate(parts) if any(mark in part for mark in MARKS))
    *folders, last = parts[marked:]
    wanted = "".join(f"{_written(part)}/" if part != "**" else DEEPER for part in folders)
    wanted += DEEPER + _written("*") if last == "**" else _written(last)
    root, deep = "/".join(parts[:marked]), bool(folders) or last == "**"
    return [path for path in files_in(root, deep) if re.fullmatch(wanted, path[len(root) + 1 :])]


def _written(part: str) -> str:
    """A part of a pattern as a regular expression, within which no / is."""
    known = "[^/]*".join(fnmatch.translate(piece)[len("(?s:") : -len(r")\Z")] for piece in part.split("*"))
    return known if part.startswith(".") else r"(?!\.)" + known
