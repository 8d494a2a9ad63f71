"""What are the inverse and the determinant of a matrix in a prime field? Exact elimination, with no rounding.

What they are is found by elimination; how they move is written from calculus, not read from the operations:
X⁻¹X = I gives d(X⁻¹) = −X⁻¹ dX X⁻¹, and Jacobi's formula gives d det X = det X tr(X⁻¹ dX).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from operator import mul

Array = Sequence[int]  # row-major, modulo a prime


def eliminated(p: int, matrix: Array) -> tuple[Array | None, int]:
    """The inverse of a square matrix modulo `p`, None where it is singular, and its determinant.

    A `p` that is no integer leaves numbers as they are: the matrix is then one of real numbers.
    """
    n = isqrt(len(matrix))
    rows = [[*matrix[k : k + n], *(int(j * n == k) for j in range(n))] for k in range(0, n * n, n)]
    determinant = 1
    for column in range(n):
        pivot = next((k for k in range(column, n) if rows[k][column]), None)
        if pivot is None:
            return None, 0
        if pivot != column:
            rows[column], rows[pivot] = rows[pivot], rows[column]
            determinant = -determinant
        head = rows[column][column]
        determinant = determinant * head % p
        over = pow(head, -1, p) if isinstance(p, int) else 1 / head
        lead = rows[column] = [x * over % p for x in rows[column]]
        for k, row in enumerate(rows):
            if k != column and (times := row[column]):
                rows[k] = [(x - times * y) % p for x, y in zip(row, lead, strict=True)]
    return [x for row in rows for x in row[n:]], determinant % p


def product(p: int, a: Array, b: Array) -> Array:
    """The product of two square matrices modulo `p`."""
    return multiplied(p, a, b, isqrt(len(a)))


def multiplied(p: int, a: Array, b: Array, inner: int) -> Array:
    """The product of two matrices modulo `p`; the first has `inner` columns, the second as many rows."""
    across = len(b) // inner
    rows, columns = [a[k : k + inner] for k in range(0, len(a), inner)], [b[k::across] for k in range(across)]
    return [sum(map(mul, row, column)) % p for row in rows for column in columns]


def turned(a: Array, columns: int) -> Array:
    """The transpose of a matrix with so many columns."""
    return [x for k in range(columns) for x in a[k::columns]]


def trace_of_product(p: int, a: Array, b: Array) -> int:
    """tr(A B) modulo `p`."""
    n = isqrt(len(a))
    return sum(sum(map(mul, a[k * n : k * n + n], b[k::n])) for k in range(n)) % p
