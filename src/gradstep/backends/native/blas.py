"""Whose code multiplies matrices? That of the OpenBLAS which NumPy brings, called by its address."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from gradstep.backends.native.cells import Unsupported
from gradstep.expression.records import record

ROW_MAJOR, AS_IT_IS, TURNED = 101, 111, 112  # as CBLAS calls them
FORMS = (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", ""))  # what its names begin and end with
LETTERS = {"float": "s", "double": "d"}
REALS = {"float": ctypes.c_float, "double": ctypes.c_double}


@record
class Blas:
    """The addresses of the products by kind; the library lives as long."""

    library: Any
    products: dict[str, int]
    count: Callable[[], int]
    set_count: Callable[[int], None]

    @contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """Products by so many threads, as long as this lasts."""
        before = self.count()
        if before != count:
            self.set_count(count)
        try:
            yield
        finally:
            if before != count:
                self.set_count(before)


@cache
def blas() -> Blas:
    """NumPy's OpenBLAS; `Unsupported` where it has none that can be called."""
    from threadpoolctl import ThreadpoolController

    found = [entry for entry in ThreadpoolController().info() if entry["internal_api"] == "openblas"]
    found.sort(key=lambda entry: "numpy" not in entry["filepath"])
    for entry in found:
        library = ctypes.CDLL(entry["filepath"])
        for begin, end in FORMS:
            here = {
                kind: getattr(library, f"{begin}cblas_{letter}gemm{end}", None)
                for kind, letter in LETTERS.items()
            }
            count, set_count = (
                getattr(library, f"{begin}openblas_{word}_num_threads{end}", None) for word in ("get", "set")
            )
            if all([count, set_count, *here.values()]) and all(map(_multiplies, here, here.values())):
                products = {kind: _address(function) for kind, function in here.items()}
                assert count is not None and set_count is not None
                return Blas(library, products, count, set_count)
    raise Unsupported("NumPy brings no OpenBLAS whose products machine code could call")


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _multiplies(kind: str, function: Any) -> bool:
    """Whether a function does what its name says, asked as machine code asks: all lengths have 64 bits."""
    array = np.float32 if kind == "float" else np.float64
    A, B, C = np.arange(6, dtype=array).reshape(2, 3), np.ones((2, 3), array), np.ones((2, 2), array)
    real, whole, pointer = REALS[kind], ctypes.c_int64, ctypes.c_void_p
    how, matrix = [ctypes.c_int] * 3, [pointer, whole]
    called = ctypes.CFUNCTYPE(None, *how, whole, whole, whole, real, *matrix, *matrix, real, *matrix)
    ask = called(_address(function))
    a, b, c = (each.ctypes.data for each in (A, B, C))
    ask(ROW_MAJOR, AS_IT_IS, TURNED, 2, 2, 3, 2.0, a, 3, b, 3, 1.0, c, 2)
    return bool(np.array_equal(C, 2 * (A @ B.T) + 1))


@cache
def giving_way() -> int:
    """The address of the function by which a thread lets others run."""
    if sys.platform == "win32":
        return _address(ctypes.windll.kernel32.SwitchToThread)
    return _address(ctypes.CDLL(None).sched_yield)
