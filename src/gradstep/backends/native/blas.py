"""Whose code multiplies matrices? That of the OpenBLAS which NumPy brings, called by its address."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from gradstep.backends.native.cells import Unsupported
from gradstep.expression.records import record

ROW_MAJOR, AS_IT_IS, TURNED = 101, 111, 112  # as CBLAS calls them
NAMES = ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_", "scipy_cblas_{}gemm", "cblas_{}gemm")
LETTERS = {"float": "s", "double": "d"}
REALS = {"float": ctypes.c_float, "double": ctypes.c_double}


@record
class Blas:
    """The addresses of the products by kind; the library lives as long."""

    library: Any
    products: dict[str, int]


@cache
def blas() -> Blas:
    """NumPy's OpenBLAS; `Unsupported` where it has none that can be called."""
    from threadpoolctl import ThreadpoolController

    found = [entry for entry in ThreadpoolController().info() if entry["internal_api"] == "openblas"]
    found.sort(key=lambda entry: "numpy" not in entry["filepath"])
    for entry in found:
        library = ctypes.CDLL(entry["filepath"])
        for name in NAMES:
            here = {kind: getattr(library, name.format(letter), None) for kind, letter in LETTERS.items()}
            if all(function is not None and _multiplies(kind, function) for kind, function in here.items()):
                products = {kind: _address(function) for kind, function in here.items()}
                return Blas(library, products)
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
