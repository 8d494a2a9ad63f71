"""What does the way back need of the way forward? The values that must be kept, and what it costs not to.

Whoever writes a kernel asks this first: which forward values does the backward half read, how large are they,
and which of them can be worked out again from what is kept anyway. A value counts as read by a gradient if it
stands in ∂C/∂N as it was derived, the gradients of other parts being there already.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from math import prod

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, upstairs, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Size, terms

# The same entries in another order or shape: nothing is computed, and nothing need be kept.
VIEWS = frozenset({"transpose", "permutation", "repeat", "squeeze", "reshape"})
FAR = 3  # parts that are worked out on the way to another
BYTES = {"float16": 2, "float32": 4, "float64": 8}


@record
class Count:
    """A number in terms of sizes: 12 n m + 2 n, as {("m", "n"): 12, ("n",): 2}."""

    terms: Mapping[tuple[str, ...], int]

    def __add__(self, other: Count) -> Count:
        total = dict(self.terms)
        for names, times in other.terms.items():
            total[names] = total.get(names, 0) + times
        return Count({names: times for names, times in total.items() if times})

    def at(self, sizes: Mapping[str, int]) -> int:
        """The number, for sizes by name."""
        return sum(times * prod(sizes[name] for name in names) for names, times in self.terms.items())

    def __str__(self) -> str:
        said = []
        for names, times in sorted(self.terms.items(), key=lambda term: (-len(term[0]), term[0])):
            powers = [f"{x}{_raised(names.count(x))}" for x in dict.fromkeys(names)]
            said.append(" ".join([*([str(times)] if times != 1 or not names else []), *powers]))
        return " + ".join(said) or "0"


def _raised(power: int) -> str:
    return "" if power == 1 else str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


@record
class Kept:
    """A forward value that the way back reads.

    needed   the parts and parameters N in whose ∂C/∂N it stands
    entries  how many numbers it is
    again    what it can be worked out from, of what is kept or given
    work     multiplications in products that this takes; none where it goes entry by entry or row by row
    """

    value: Expr
    needed: tuple[Expr, ...]
    entries: Count
    again: tuple[Expr, ...]
    work: Count

    @property
    def is_cheap(self) -> bool:
        """Whether it can be worked out again without a product of matrices."""
        return not self.work.terms


@record
class Tape:
    """All forward values that the way back reads, in the order in which they are made."""

    derivation: Derivation
    kept: tuple[Kept, ...]

    @property
    def spared(self) -> tuple[Kept, ...]:
        """Those that need not be kept: made again from others and what is given, without a product."""
        values = {one.value for one in self.kept}
        return tuple(
            one for one in self.kept if one.is_cheap and all(not x.args or x in values for x in one.again)
        )

    @property
    def entries(self) -> Count:
        """How many numbers are on the tape."""
        return _total(kept.entries for kept in self.kept)

    @property
    def least(self) -> Count:
        """How many numbers must be kept if all that is cheap is worked out again."""
        return _total(kept.entries for kept in self.kept if kept not in self.spared)

    def bytes(self, dtype: str = "float32", **sizes: int) -> int:
        """The memory that the tape takes, for these sizes: `tape.bytes("float32", n=512, d=64)`."""
        if dtype not in BYTES:
            raise MathError(
                f"there is no type {dtype!r:.40} here", facts=[f"the types are {', '.join(BYTES)}"]
            )
        for name in (name for names in self.entries.terms for name in names):
            if name not in sizes:
                raise MathError(f"the size {name} has no number", mend=f"{name}=64, for example")
        return BYTES[dtype] * self.entries.at(sizes)

    def __str__(self) -> str:
        return str(upstairs("_tape")(self))

    def __repr__(self) -> str:
        return f"<tape of {len(self.kept)} values, {self.entries} numbers: print(d.tape) shows them>"


def tape_of(derivation: Derivation) -> Tape:
    """The tape of a gradient."""
    if derivation.kind != "gradient":
        raise MathError(
            f"a tape belongs to a gradient, and this is a {derivation.kind}", mend="gs.derive(…).tape"
        )
    forward = set(walk(derivation.of))
    order = {node: k for k, node in enumerate(walk(derivation.of))}
    needed: dict[Expr, list[Expr]] = {}
    told = {*derivation.parts, *derivation.parameters.values()}
    cotangents = {part: G for part, G in derivation.cotangents.items() if part in told}
    gradients = set(cotangents.values())
    for part, G in cotangents.items():
        for value in _read(G, forward, gradients - {G}, derivation.parts):
            needed.setdefault(value, []).append(part)
    values = sorted(needed, key=order.__getitem__)
    held, named = set(values), derivation.parts
    kept = tuple(
        Kept(value, tuple(needed[value]), entries_of(value), *_again(value, held, named)) for value in values
    )
    return Tape(derivation, kept)


def _read(
    G: Expr, forward: Container[Expr], others: Container[Expr], named: Container[Expr]
) -> Iterator[Expr]:
    """The forward values in a gradient, not counting those in other gradients that stand in it.

    What has no name and goes entry by entry is made on the way, from what it is made of.
    """
    seen: set[Expr] = set()
    found: dict[Expr, None] = {}
    stack = [G]
    while stack:
        node = stack.pop()
        if node in seen or node in others:
            continue
        seen.add(node)
        value = _made(node)
        if node not in forward or (value not in named and value.op.slopes is not None):
            stack += node.args
        elif value.args and value.rank:
            found[value] = None
    yield from found


def _made(node: Expr) -> Expr:
    """The value that `node` shows: without transposes and repetitions."""
    while node.op.name in VIEWS:
        (node,) = node.args
    return node


def _again(
    value: Expr, kept: Container[Expr], named: Container[Expr], far: int = FAR
) -> tuple[tuple[Expr, ...], Count]:
    """From what a value can be worked out again, and the multiplications in products on the way.

    A part that is not kept is worked out in turn if that soon comes to an end; else it is named.
    """
    given: dict[Expr, None] = {}
    work = Count({})

    def ends(node: Expr) -> bool:
        return node is not value and (node in kept or node in named)

    for node in walk(value, stop=ends):
        if ends(node) or (not node.args and node.rank):
            found: tuple[Expr, ...] = (node,)
            more = Count({})
            if node.args and node not in kept and far:
                within, cost = _again(node, kept, named, far - 1)
                if all(not part.args or part in kept for part in within):
                    found, more = within, cost
            given |= dict.fromkeys(found)
            work += more
        elif node.op.indices is not None and len(node.args) > 1:
            work += _multiplications(node)
    return tuple(given), work


def _multiplications(node: Expr) -> Count:
    """Of a product of arrays: one for each choice of its indices, if it sums over some of them."""
    assert node.op.indices is not None
    inputs, _, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).partition("->")
    sizes: dict[str, Size] = {}
    for letters, arg in zip(inputs.split(","), node.args, strict=True):
        sizes |= dict(zip(letters, arg.shape, strict=True))
    return _product(sizes.values()) if set(sizes) - set(output) else Count({})


def entries_of(value: Expr) -> Count:
    """How many numbers an array has."""
    return _product(value.shape)


def _product(sizes: Iterable[Size]) -> Count:
    total: dict[tuple[str, ...], int] = {(): 1}
    for size in sizes:
        found: dict[tuple[str, ...], int] = {}
        for names, times in total.items():
            for more, factor in terms(size).items():
                key = tuple(sorted((*names, *more)))
                found[key] = found.get(key, 0) + times * factor
        total = found
    return Count(total)


def _total(counts: Iterable[Count]) -> Count:
    total = Count({})
    for count in counts:
        total += count
    return total
