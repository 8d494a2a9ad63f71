"""How does a training outlive the process that it runs in? What it has seen is kept in a file, now and then.

A checkpoint holds all that a descent goes on from, to the same bits: where it is, what its walk remembers,
the history and the pictures of the way. It also says what it belongs to: the formula, the settings,
fingerprints of the data, which rows do what, and on what it was computed. The newest two are kept, and one of
them is whole whenever the power is cut; neither holds code, and nothing in them is ever run.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gradstep.backends.threads import threads_for_products
from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn import packing
from gradstep.learn.columns import shown
from gradstep.learn.locks import Held, Lock
from gradstep.learn.log import Seen
from gradstep.learn.packing import UNFINISHED, beginning_of, check_numbers, packed, unpacked, write_whole
from gradstep.learn.places import is_address
from gradstep.learn.plain_data import Reader, Writer
from gradstep.learn.saved import CHECKPOINT, fields
from gradstep.learn.scaling import Array
from gradstep.learn.surface import Layout
from gradstep.learn.workers import SPOKEN, fingerprint

T = TypeVar("T")
FORMAT = 1
NUMBERS, THREADS = "numbers", "threads of products"
FIELDS = ("checkpoint", "about", "parts", "seen", NUMBERS)
NAME = "checkpoint.safetensors"
SHARE = 20  # of the time a twentieth is spent on keeping, no more
SECONDS = 60.0


@record
class Every:
    """How often: after so many seconds, or after so many steps where they are given."""

    seconds: float
    steps: int | None = None

    @classmethod
    def of(cls, given: object) -> Every:
        """60, "60" and "60 s" are seconds, "500 steps" are steps."""
        if isinstance(given, str):
            found = re.fullmatch(r"\s*([\d.]+)\s*(s|seconds?|steps?|)\s*", given)
            if found and found[2].startswith("step") and found[1].isdecimal() and int(found[1]):
                return cls(math.inf, int(found[1]))
            with contextlib.suppress(ValueError):
                given = float(found[1]) if found and not found[2].startswith("step") else given
        real = isinstance(given, int | float) and not isinstance(given, bool)
        if real and 0 <= given < math.inf:  # type: ignore[operator]
            return cls(float(given))  # type: ignore[arg-type]
        raise MathError(
            f"a checkpoint is written every so many seconds or steps, not every {given!r:.40}",
            mend='every=60, or every="500 steps"',
        )


@dataclass
class Found:
    """What a file of a checkpoint holds; `note` says what was the matter with a newer one."""

    about: Mapping[str, Any]
    parts: Mapping[str, Any]
    data: Any
    numbers: Array
    note: str = ""


@dataclass(eq=False)
class Checkpoint:
    """Where a training is kept, and what of it was found there.

    `place` is a folder, or a file that ends in .safetensors. With `resume` the training goes on from what is
    found there; without it nothing may be there yet. No other training can be kept there until this is left
    as a context. A `part` of another is kept by who has that.
    """

    place: Path
    every: Every
    resume: bool = False
    part: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    found: Found | None = field(init=False, default=None)
    notes: list[str] = field(init=False, default_factory=list)
    trouble: str = field(init=False, default="")
    ready: bool = field(init=False, default=False)
    kept: int | None = field(init=False, default=None)  # after how many steps it was kept last
    next: float = field(init=False, default=0.0)  # when it is time to keep it again
    lock: Lock = field(init=False)

    @classmethod
    def of(cls, place: object, every: object = SECONDS, resume: object = False) -> Checkpoint | None:
        """What `train` was asked for; what cannot be is a `MathError`."""
        if not isinstance(resume, bool):
            raise MathError(f"resume is True or False, not {resume!r:.40}", mend="resume=True")
        if isinstance(place, Checkpoint):
            return place
        if place is None:
            if resume:
                raise MathError(
                    "a training goes on from a checkpoint, and none was named", mend='checkpoint="run"'
                )
            return None
        if not isinstance(place, str | os.PathLike) or not os.fspath(place):
            raise MathError(
                f"a checkpoint is a folder or a file, not a {type(place).__name__}", mend='checkpoint="run"'
            )
        return cls(Path(os.fspath(place)), Every.of(every), resume)

    def __post_init__(self) -> None:
        self.lock = Lock(str(self.file.with_name(f".{self.file.name}.lock")))
        self.look_for_another()
        if self.resume:
            if self.file.parent.is_dir():
                self.take()
            try:
                self.found = latest(self.file, self.before)
            except BaseException:
                self.lock.leave()
                raise
            if self.found is None:
                self.notes.append(f"no checkpoint in {shown(str(self.place))} yet: from the start")
            elif self.found.note:
                self.notes.append(self.found.note)

    def look_for_another(self) -> None:
        """A checkpoint that is there already is an error for a training that begins."""
        try:
            there = [path for path in (self.file, self.before) if path.exists()]
        except (OSError, ValueError) as error:
            raise _beyond_use(self.place, "read", error) from None
        if there and not self.resume:
            raise MathError(
                f"there is a checkpoint in {shown(str(self.place))} already",
                mend="resume=True to go on from there, or another place",
            )
        if there and self.ready and self.found is None and self.kept is None:  # none was there before
            raise MathError(
                f"another training has been kept in {shown(str(self.place))} meanwhile",
                mend="the same once more, to go on with that one, or another place",
            )

    def take(self) -> None:
        """No other training can be kept in this place from now on; where one is, that is an error."""
        if self.part:
            return
        try:
            self.lock.take()
        except Held as who:
            raise MathError(
                f"a training that is kept in {shown(str(self.place))} is under way: {who}",
                facts=[f"the place is {os.path.abspath(self.place)}"],
                mend="when that has ended, or another place",
            ) from None
        except OSError:  # a place that cannot be written to: that is said when it is to be
            pass

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.leave()

    @property
    def file(self) -> Path:
        """The newest of the two."""
        return self.place if self.place.suffix == ".safetensors" else self.place / NAME

    @property
    def before(self) -> Path:
        """The one before."""
        return self.file.with_name(f"{self.file.stem}.before{self.file.suffix}")

    def variant(self, name: str) -> Checkpoint:
        """The place of one variant of a sweep."""
        folder = self.place.with_suffix("") if self.place.suffix == ".safetensors" else self.place
        return Checkpoint(folder / re.sub(r"[^\w.,+-]+", "_", name)[:100], self.every, self.resume, True)

    # ------------------------------------------------------------------------------- what it belongs to

    def agree(self, section: str, now: Mapping[str, Any]) -> None:
        """Puts facts of this training down; a training that goes on has to have the same ones."""
        now = _by_short_names(now) if section == "files" else dict(now)
        self.about[section] = now
        if self.found is None:
            return
        was = self.found.about.get(section)
        if not isinstance(was, Mapping):
            raise CHECKPOINT.spoiled(f"it does not tell the {section}")
        for name in [*was, *(each for each in now if each not in was)]:
            if name not in was or name not in now or was[name] != now[name]:
                raise _another(section, name, was.get(name), now.get(name), name in was, name in now)

    def recall(self, name: str, kind: Any, make: Callable[[], T]) -> T:
        """What was found out when the training began; by `make` if that is now."""
        if self.found is not None and name in self.found.parts:
            reader = Reader(self.found.numbers, CHECKPOINT)
            self.parts[name] = reader.value(kind, self.found.parts[name], name)
        else:
            self.parts[name] = make()
        found: T = self.parts[name]
        return found

    def agree_on_machine(self) -> None:
        """On another machine, or with other versions, the last bits may differ: a note."""
        self.about["machine"] = now = machine()
        was = {} if self.found is None else self.found.about.get("machine")
        if not isinstance(was, Mapping):
            raise CHECKPOINT.spoiled("it does not tell the machine")
        changed = [name for name in now if was.get(name, now[name]) != now[name]]
        if changed:
            told = "; ".join(f"{name}: {now[name]}, before {was[name]!s:.80}" for name in changed)
            self.notes.append(f"not what the training began on, so the last digits may differ ({told})")

    def told(self, interrupted: bool) -> tuple[str, ...]:
        """What has to be said of it."""
        more = [self.trouble] if self.trouble else []
        if interrupted and not more:
            more = [f"kept in {shown(str(self.place))} after step {self.kept}: resume=True goes on"]
        return (*self.notes, *more)

    # ------------------------------------------------------------------------------- for a descent

    def seen(self, layout: Layout) -> Seen | None:
        """What to go on from."""
        self.agree_on_machine()
        if self.found is None or self.found.data is None:
            return None
        found = self.found
        size = len(layout.start)
        seen: Seen = Reader(found.numbers, CHECKPOINT, size).value(Seen, found.data, "what was seen")
        _check_seen(seen, size)
        self.kept, self.next = seen.steps, time.monotonic() + self.every.seconds
        self.notes.append(f"went on from the checkpoint after step {seen.steps}")
        self.found = None  # its numbers are in use now
        return seen

    def due(self, steps: int) -> bool:
        """At the start, and then every so often."""
        if self.kept is None:
            return True
        if self.every.steps is not None:
            return steps - self.kept >= self.every.steps
        return time.monotonic() >= self.next

    def ahead(self, steps: int) -> int:
        """How many steps may be taken at most until it is due."""
        if self.every.steps is None or self.kept is None:
            return 1 << 62
        return max(1, self.every.steps - (steps - self.kept))

    def keep(self, seen: Seen | None) -> None:
        """Writes it, and keeps the one before; where that fails a training goes on, and says so.

        What cannot be written at the start, never could: a `MathError`.
        """
        steps, began = 0 if seen is None else seen.steps, time.monotonic()
        try:
            self.write(seen)
            self.kept, self.trouble = steps, ""
        except MathError as error:
            if self.kept is None:
                raise
            told = f"the checkpoint after step {steps} was not written: {error.what}"
            self.trouble = f"{told}; that after step {self.kept} is whole"
            warnings.warn(self.trouble, RuntimeWarning, stacklevel=2)
        took = time.monotonic() - began
        self.next = began + took + max(self.every.seconds, SHARE * took)

    def write(self, seen: Seen | None) -> None:
        """The file itself."""
        writer = Writer()
        parts = {name: writer.data(value) for name, value in self.parts.items()}
        data = writer.data(seen)
        tensors = {NUMBERS: writer.numbers}
        prints = {NUMBERS: packing.fingerprint(tensors[NUMBERS])}
        self.about.setdefault("machine", machine())
        values = (FORMAT, self.about, parts, data, prints)
        self.prepare()
        content = packed(tensors, dict(zip(FIELDS, values, strict=True)))
        write_whole(self.file, content, example=NAME, before=self.before)

    def prepare(self) -> None:
        """The folder, without what an earlier process left unfinished."""
        if self.ready:
            return
        self.ready = True
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.take()
            self.look_for_another()
            for path in (self.file, self.before):
                for left in self.file.parent.glob(f"{beginning_of(path)}*{UNFINISHED}"):
                    left.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise _beyond_use(self.place, "written", error) from None


def _beyond_use(place: Path, what: str, error: Exception) -> MathError:
    reason = getattr(error, "strerror", None) or str(error)
    return MathError(f"{shown(str(place))} cannot be {what}: {reason.lower()}")


def recalled(checkpoint: Checkpoint | None, name: str, kind: Any, make: Callable[[], T]) -> T:
    """What a checkpoint recalls, if there is one."""
    return make() if checkpoint is None else checkpoint.recall(name, kind, make)


# ----------------------------------------------------------------------------------------- what was found


def latest(file: Path, before: Path) -> Found | None:
    """The newest checkpoint that is whole, if there is one; where none is, the error of the newest."""
    errors = list[MathError]()
    for path in (file, before):
        if not path.exists():
            continue
        try:
            found = opened(path)
        except MathError as error:
            errors.append(error)
            continue
        if errors:
            found.note = f"{errors[0].what}: {path.name}, the one before, is whole"
        return found
    if errors:
        raise errors[0]
    return None


def opened(path: Path) -> Found:
    """The checkpoint in a file; one that is damaged, forged or newer is a `MathError`."""
    tensors, data = unpacked(path, CHECKPOINT)
    if isinstance(data, dict) and "checkpoint" not in data:
        raise MathError(f"{shown(path.name)} is no checkpoint, but a model", mend=f"gradstep predict {path}")
    if isinstance(data, dict) and isinstance(data["checkpoint"], int) and data["checkpoint"] > FORMAT:
        raise MathError(
            f"this checkpoint has format {data['checkpoint']}, and this gradstep reads {FORMAT}",
            mend="a newer gradstep",
        )
    given = fields(data, FIELDS, "its description", CHECKPOINT)
    check_numbers(tensors, given[NUMBERS], CHECKPOINT)
    whole = (
        isinstance(given["about"], dict) and isinstance(given["parts"], dict) and set(tensors) == {NUMBERS}
    )
    if given["checkpoint"] != FORMAT or not whole or tensors[NUMBERS].ndim != 1:
        raise CHECKPOINT.spoiled("its description is not what it should be")
    return Found(given["about"], given["parts"], given["seen"], tensors[NUMBERS])


def _check_seen(seen: Seen, size: int) -> None:
    """What belongs together fits together."""
    steps, points = seen.steps, (seen.start, seen.last, seen.lowest, seen.best)
    count = len(seen.watched)
    fine = (
        len(seen.history) == steps + 1
        and len(seen.rates) == steps
        and count in (0, steps + 1)
        and 0 <= seen.best_step <= steps
        and all(len(each) == size for point in points for each in (point.x, point.gradient) if each.ndim)
        and all(point.x.shape == point.gradient.shape == (size,) for point in points)
        and seen.snapshots.limit >= 2
        and seen.snapshots.every >= 1
        and all(picture.shape == (size,) for picture in seen.snapshots.kept.values())
        and len(seen.lows) > 0
    )
    if not fine:
        raise CHECKPOINT.spoiled("what was seen does not fit together")


def _by_short_names(files: Mapping[str, str]) -> dict[str, str]:
    """Files without their folders, which may be others on another machine, where that tells them apart."""
    short = {os.path.basename(path): print_ for path, print_ in files.items()}
    if len(short) == len(files):
        return short
    return {path if is_address(path) else os.path.abspath(path): print_ for path, print_ in files.items()}


ADVICE = {
    "loss": "the formula as it was",
    "settings": "the settings as they were",
    "data": "the data as they were",
    "files": "the same files",
    "rows": "the version of gradstep that it was made by",
}


def _another(section: str, name: str, was: Any, now: Any, before: bool, given: bool) -> MathError:
    """This training is not the one that a checkpoint belongs to."""
    facts = []
    if section == "files":
        what = f"{shown(name)} is not the file that it was when the training began"
        what = what if given else f"{shown(name)} was read when the training began, and now it is not"
        what = what if before else f"{shown(name)} was not among the files when the training began"
    elif section == "data":
        what = f"{name} holds other numbers than when the training began"
    elif section == "rows":
        what = f"the rows to {name} are not those of the training that the checkpoint belongs to"
    else:
        what = f"{name} is not what it was in the training that the checkpoint belongs to"
        facts = [f"it was {was!s:.200}", f"now it is {now!s:.200}"]
    mend = f"{ADVICE[section]}, or another place for the checkpoints of another training"
    return MathError(what, facts=facts, mend=mend)


# ----------------------------------------------------------------------------------------- on what


def machine() -> dict[str, str]:
    """What the last bits of a result depend on beside the numbers."""
    now = fingerprint()
    told = {SPOKEN[name]: str(getattr(now, name)) for name in SPOKEN}
    return told | {THREADS: str(threads_for_products())}
