"""Does every back end compute what NumPy computes, for odd sizes and however the arrays lie in memory?

Takes the reference cases (`shared/cases`) in turn, draws sizes around those of vectors and blocks (1, 7, 8,
9, 63, 64, 65 …), a kind (float32, float64), a layout for each array (unaligned, strided, backwards,
transposed, read-only, the other byte order) and a number of threads, and compares all outputs with NumPy's on
plain float64 arrays: the largest difference beside the largest entry. The limit is 1e-12 for float64 and 1e-5
for float32, or ten times what NumPy itself loses in this kind where that is more.

    python benchmarks/layouts.py [--seed 0] [--seconds 600] [--backends numpy native c jax torch] [ids …]

Blocks have few rows here, so that there are several, and nothing is too small for machine code.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.backends import blocks, run
from gradstep.backends.c import write as write_c
from gradstep.backends.native import running
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import size_names
from gradstep.operations.evaluation import sizes_of

try:
    from closed_forms import bank, cases, derivation, folder
except ImportError:
    from benchmarks.closed_forms import bank, cases, derivation, folder

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65)
MOST = {"gradient": 65, "jacobian": 9, "hessian": 7}  # a Hessian for a matrix has so many to the fourth
INVERTED = 8  # larger random matrices are hardly ever well conditioned
LIMITS = {"float64": 1e-12, "float32": 1e-5}
NOISE = 1e-2  # a result that NumPy does not know to two digits tells nothing
THREADS = (1, 2, 3)
BACKENDS = ("numpy", "native", "c", "jax", "torch")

Arrays = Mapping[str, Any]


# ------------------------------------------------------------------------------------------- layouts


def unaligned(array: np.ndarray) -> np.ndarray:
    room = np.empty(array.nbytes + 1, np.uint8)
    found = room[1:].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def strided(array: np.ndarray) -> np.ndarray:
    """Every third place of a larger array, with other numbers between."""
    room = np.full([3 * length + 1 for length in array.shape], 1e30, array.dtype)
    found = room[(slice(1, None, 3),) * array.ndim]
    found[...] = array
    return found


def backwards(array: np.ndarray) -> np.ndarray:
    turned = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[turned])[turned]


def transposed(array: np.ndarray) -> np.ndarray:
    return np.asfortranarray(array)


def part_of_rows(array: np.ndarray) -> np.ndarray:
    """The first columns of a wider matrix."""
    if array.ndim < 2:
        return strided(array)
    wide = np.full((*array.shape[:-1], array.shape[-1] + 3), 1e30, array.dtype)
    wide[..., :-3] = array
    return wide[..., :-3]


def read_only(array: np.ndarray) -> np.ndarray:
    found = array.copy()
    found.flags.writeable = False
    return found


def swapped(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder())


LAYOUTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": np.array,
    **{f.__name__: f for f in (unaligned, strided, backwards, transposed, part_of_rows, read_only, swapped)},
}

# ------------------------------------------------------------------------------------------- functions


@contextmanager
def small(rows: int) -> Iterator[None]:
    """Blocks of so many rows, and machine code for the smallest data."""
    changed = {
        (blocks, "FEWEST"): rows,
        (blocks, "BLOCK"): 1,
        (blocks, "GROUPS"): 5,
        (run, "MANY"): 0,
        (running, "FEW"): 0,
    }
    before = {place: getattr(*place) for place in changed}
    try:
        for (module, name), value in changed.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


def in_c(program: Any, place: Path) -> Callable[..., Any]:
    """The program in C, compiled; takes the arrays by name."""
    source, library = place / "f.c", place / "f.so"
    source.write_text(write_c(program, "f"), encoding="utf-8")
    subprocess.run(["gcc", "-O1", "-w", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).f
    function.restype = ctypes.c_double
    symbols = {each.name: each.symbol for each in program.inputs}
    sizes = dict.fromkeys(n for s in symbols.values() for size in s.shape for n in size_names(size))

    def call(**values: Any) -> Any:
        given = {name: np.array(values[name], np.float64, order="C") for name in symbols}
        lengths = sizes_of(symbols, given)
        shapes = {name: [lengths[n] for n in slope.shape] for name, slope in program.gradients.items()}
        found = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
        arguments: list[Any] = [ctypes.c_size_t(lengths[size]) for size in sizes]
        for name, symbol in symbols.items():
            arguments.append(pointer(given[name]) if symbol.rank else ctypes.c_double(float(given[name])))
        return function(*arguments, *map(pointer, found.values())), found

    return call


def pointer(array: np.ndarray) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


@dataclass
class Tried:
    """A case, its reference, and its function by back end and number of threads, as far as there are some."""

    case: Mapping[str, Any]
    place: Path

    def __post_init__(self) -> None:
        self.derivation = derivation(self.case, certify=False)
        self.reference = gs.compile(self.derivation)
        self.function = cache(self.made)

    def made(self, backend: str, threads: int) -> Callable[..., Any] | None:
        try:
            if backend == "c":
                return in_c(self.reference.program, self.place) if shutil.which("gcc") else None
            options = {"threads": threads} if backend in ("numpy", "native") else {}
            return gs.compile(self.derivation, backend=backend, **options)
        except MathError:
            return None

    def drawn(self, rng: np.random.Generator) -> Arrays | None:
        """Values at odd sizes."""
        most = MOST.get(self.case["kind"], 65)
        if "invertible" in self.case.get("assume", {}).values():
            most = min(most, INVERTED)
        able = [size for size in SIZES if size <= most]
        dims = {name: int(rng.choice(able)) for name in self.case["dims"]}
        try:
            return bank(self.folder()).draw({**self.case, "dims": dims}, int(rng.integers(1 << 30)))
        except (ValueError, IndexError):  # there is no second unit vector in one dimension
            return None

    @staticmethod
    def folder() -> Path:
        found = folder()
        assert found is not None
        return found


# ------------------------------------------------------------------------------------------- comparison


def outputs(result: Any) -> list[np.ndarray]:
    value, slopes = result if isinstance(result, tuple) else (result, {})
    return [np.asarray(each, np.float64) for each in (value, *slopes.values())]


def difference(found: Any, wanted: Any) -> float:
    """The largest difference beside the largest entry, over all outputs."""
    worst = 0.0
    for one, other in zip(outputs(found), outputs(wanted), strict=True):
        real = np.isfinite(other)
        if one.shape != other.shape or not np.array_equal(np.isfinite(one), real):
            return float("inf")
        largest = np.max(np.abs(other[real]), initial=0.0)
        apart = np.max(np.abs(one[real] - other[real]), initial=0.0)
        worst = max(worst, float(apart / largest) if largest else float(apart))
    return worst


@dataclass(frozen=True)
class Found:
    """One comparison."""

    where: str
    error: float
    limit: float

    @property
    def good(self) -> bool:
        return self.error <= self.limit


def lost(tried: Tried, values: Arrays, exact: Any, rng: np.random.Generator, kind: str) -> float:
    """What NumPy's own result loses in this kind: by rounding the arrays once more, and on the way."""
    room = np.finfo(kind).eps
    worst = 0.0
    for _ in range(3):
        near = {
            name: np.asarray(array * (1 + room * rng.choice((-1, 0, 1), array.shape)), dtype=kind)
            for name, array in values.items()
        }
        worst = max(worst, difference(tried.reference(**near), exact))
    if kind == "float64":
        longer = [values[given.name].astype(np.longdouble) for given in tried.reference.program.inputs]
        with suppress(TypeError, np.linalg.LinAlgError), np.errstate(all="ignore"):  # LAPACK has no such kind
            worst = max(worst, difference(tried.reference.raw.whole(*longer), exact))
    return worst


def compared(tried: Tried, backend: str, rng: np.random.Generator) -> Found | None:
    """One draw of a case by one back end; nothing where it cannot run the case, or nobody can these sizes."""
    values = tried.drawn(rng)
    kind = "float64" if backend == "c" else str(rng.choice(list(LIMITS)))
    threads, rows = int(rng.choice(THREADS)), int(rng.choice((2, 16, 64)))
    names = {name: str(rng.choice(list(LAYOUTS))) for name in tried.case["vars"]}
    function = tried.function(backend, threads)
    if values is None or function is None:
        return None
    rounded = {name: np.asarray(array).astype(kind) for name, array in values.items()}
    used = {given.name: rounded[given.name] for given in tried.reference.program.inputs}
    lying = {name: LAYOUTS[names[name]](array) if array.ndim else array for name, array in used.items()}
    before = {name: array.copy() for name, array in lying.items()}
    try:
        exact = tried.reference(**{name: array.astype(np.float64) for name, array in used.items()})
        noise = lost(tried, used, exact, rng, kind)
    except MathError:
        return None
    if noise > NOISE:
        return None
    with small(rows):
        try:
            error = difference(function(**lying), exact)
        except MathError as problem:
            return Found(f"{tried.case['id']} {backend}: {problem}", np.inf, 0)
    if any(not np.array_equal(lying[name], before[name]) for name in before):
        error = np.inf  # it wrote into what it was given
    limit = max(LIMITS[kind], 10 * noise)
    shapes = ", ".join(f"{name} {array.shape} {names[name]}" for name, array in used.items())
    return Found(f"{tried.case['id']:12} {backend} {kind} {threads} {rows}: {shapes}", error, limit)


def search(seed: int, seconds: float, backends: list[str], words: list[str]) -> Counter[str]:
    """Tries until the time is over; says what is wrong, and counts what was compared."""
    rng = np.random.default_rng(seed)
    bank_of_cases = [
        case for case in cases(folder()) if not words or any(case["id"].startswith(word) for word in words)
    ]
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as place:
        for turn in range(1_000_000):
            for case in rng.permutation(np.array(bank_of_cases, object)):
                here = Path(place, f"{turn}-{case['id']}")
                here.mkdir()
                tried = Tried(case, here)
                for backend in backends:
                    for _ in range(3):
                        if time.monotonic() > end:
                            return counts
                        found = compared(tried, backend, rng)
                        counts[backend] += found is not None
                        if found and not found.good:
                            counts["wrong"] += 1
                            print(f"{found.error:9.2e} > {found.limit:.1e}  {found.where}", flush=True)
                shutil.rmtree(here)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=BACKENDS)
    given = parser.parse_args()
    counts = search(given.seed, given.seconds, given.backends, given.words)
    wrong = counts.pop("wrong", 0)
    print(", ".join(f"{name} {count}" for name, count in counts.items()), f"compared, {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
