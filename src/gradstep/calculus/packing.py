"""How are many sums of products modulo a prime worked out at once? In long integers that hold a row each.

Σ aⱼ bⱼₖ for all k is one sum of products of integers: bⱼₖ is the k-th digit of the j-th, in a base that no
sum reaches (Kronecker's substitution). A processor multiplies them some times faster than number by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import mul

Array = Sequence[int]


class Packing:
    """Rows of numbers modulo `prime` as long integers, of which up to `terms` products are added up."""

    def __init__(self, prime: int, terms: int) -> None:
        self.prime = prime
        self.width = (2 * prime.bit_length() + terms.bit_length() + 7) // 8  # bytes of a digit
        self.nothing = bytes(self.width)

    def digits(self, array: Array) -> list[bytes]:
        """Each number as a digit of a row."""
        p, width = self.prime, self.width
        return [(x % p).to_bytes(width, "little") for x in array]

    def row(self, digits: Iterable[bytes]) -> int:
        """A row of digits as one integer."""
        return int.from_bytes(b"".join(digits), "little")

    def sums(self, factors: Array, rows: Sequence[int], length: int) -> list[int]:
        """Σⱼ aⱼ bⱼₖ for each of `length` places k, the rows being bⱼ; the factors are not negative."""
        p, width, read = self.prime, self.width, int.from_bytes
        whole = sum(map(mul, factors, rows)).to_bytes(width * length, "little")
        return [read(whole[k : k + width], "little") % p for k in range(0, width * length, width)]
