"""In which order are the results of many windows made one? In a fixed tree over their numbers.

Neighbours are paired, pairs are paired, and so on upwards. A result is one of the windows from a multiple of
2ᵏ on, so many of them, whoever worked it out: one process, or several machines for their parts.
So the last bit does not depend on who did what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Node(NamedTuple, Generic[T]):
    """The result of 2ᵏ windows: the first of them, a multiple of 2ᵏ, how many they are, and what it is."""

    first: int
    size: int
    value: T


class Tree(Generic[T]):
    """Results that come in the order of their windows; no more of them are kept than have no partner yet."""

    def __init__(self, added: Callable[[T, T], T], nodes: Iterable[Node[T]] = ()) -> None:
        self.added = added
        self.nodes: list[Node[T]] = []
        for node in nodes:
            self.put(*node)

    def put(self, first: int, size: int, value: T) -> None:
        """The result of windows that follow those that have been put."""
        nodes = self.nodes
        while nodes and nodes[-1].size == size and nodes[-1].first % (2 * size) == 0:
            first, _, before = nodes.pop()
            value, size = self.added(before, value), 2 * size
        nodes.append(Node(first, size, value))

    def top(self) -> T:
        """The result of all windows; those without a partner are added from the last on."""
        value = self.nodes[-1].value
        for node in reversed(self.nodes[:-1]):
            value = self.added(node.value, value)
        return value
