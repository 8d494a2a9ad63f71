"""Where did a wrong formula go wrong? Known slips are tried, one after the other, until one explains it.

Two kinds. A claim may be a multiple of what is right, its transpose, or right for symmetric matrices only:
that is seen by comparing both. Or one rule of the derivation was used wrongly: then the gradient is derived
again with that rule changed in one place (a factor dropped, a sign turned, a term left out), and what comes
out is the claim. Numbers decide, at a few random points with sizes of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.edits import Edit, edits
from gradstep.calculus.floating import compute, points
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.operations.arithmetic import add
from gradstep.operations.leaves import number, size_op, symbol_op, value_of
from gradstep.operations.leaves import size as size_of
from gradstep.operations.sums import mean
from gradstep.operations.sums import sum as total

SAMPLES = 4
DRAWS = 5  # of points, three each
TOLERANCE = 1e-8
MOST_NODES = 160  # of a loss whose derivation is gone through rule by rule
MOST_TRIALS = 3000

Words = tuple[str | Expr, ...]  # a sentence with formulas in it


@dataclass(frozen=True, slots=True)
class Slip:
    """What went wrong, in a word ("sign", "factor", "mask" …) and in a sentence.

    `place` is the part of the loss whose rule was used wrongly; `mended` the claim with the slip repaired.
    """

    kind: str
    words: Words
    place: Expr | None = None
    mended: Expr | None = None


@dataclass(frozen=True, slots=True)
class Factor:
    """A number: `plain` times a power of `of`."""

    plain: Fraction
    of: Expr | None = None
    power: int = 1

    @property
    def expr(self) -> Expr:
        """The factor as a formula."""
        if self.of is None:
            return number(self.plain)
        raised = self.of ** abs(self.power)
        return number(self.plain) * raised if self.power > 0 else number(self.plain) / raised

    @property
    def inverse(self) -> Factor:
        """One over it."""
        return Factor(1 / self.plain, self.of, -self.power)

    @property
    def is_one(self) -> bool:
        """Whether it changes nothing."""
        return self.of is None and self.plain == 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One random point: lengths of sizes, and values of the variables."""

    sizes: Mapping[Size, int]
    values: dict[Expr, Any]

    def of(self, *exprs: Expr) -> list[Any]:
        """The values of expressions; what they share is worked out once."""
        import numpy as np

        known = self.values
        found = compute(np, exprs, self.sizes, known)
        known.update(zip(exprs, found, strict=True))
        return found


def telling_samples(truth: Expr, claim: Expr, loss: Expr, rng: Random) -> list[Sample]:
    """Points at which `truth` is not zero, if there are such, with sizes as different as possible."""
    import numpy as np

    exprs = (truth, claim, loss)
    drawn = [Sample(*point) for _ in range(DRAWS) for point in points(exprs, rng, (truth, claim))]
    telling = [sample for sample in drawn if np.any(sample.of(truth)[0])] or drawn
    met: set[tuple[int, ...]] = set()
    ranked: list[tuple[bool, Sample]] = []
    for sample in telling:
        sizes = tuple(length for _, length in sorted(sample.sizes.items(), key=lambda pair: str(pair[0])))
        ranked.append((sizes in met, sample))
        met.add(sizes)
    return [sample for _, sample in sorted(ranked, key=lambda pair: pair[0])][:SAMPLES]


class Diagnosis:
    """What may explain that `claim` is not `truth`, which is ∂loss/∂part."""

    def __init__(self, truth: Expr, claim: Expr, loss: Expr, part: Expr | None, rng: Random) -> None:
        self.truth, self.claim, self.loss, self.part, self.rng = truth, claim, loss, part, rng
        self.samples = telling_samples(truth, claim, loss, rng)
        self.trials = 0

    def found(self) -> Slip | None:
        """The first slip that explains the claim."""
        if self.truth.shape == self.claim.shape and not self.samples:
            return None
        ways = (
            (self.shaped,)
            if self.truth.shape != self.claim.shape
            else (
                self.multiple,
                self.turned,
                self.only_symmetric,
                self.derived_again,
                self.edited,
                self.entries,
            )
        )
        for way in ways:
            for slip in way():
                return slip
        return None

    # ------------------------------------------------------------------------------------ comparisons

    def same(self, a: Expr, b: Expr) -> bool:
        """Whether both have the same values at all samples."""
        self.trials += 1
        return a.shape == b.shape and all(_close(*sample.of(a, b)) for sample in self.samples)

    def ratios(self, a: Expr, b: Expr) -> list[float] | None:
        """The number that b is multiplied with to give a, at each sample; None where there is none."""
        import numpy as np

        found = []
        for sample in self.samples:
            x, y = sample.of(a, b)
            scale = float(np.sum(y * y))
            if not scale > 0:
                return None
            ratio = float(np.sum(x * y)) / scale
            if not _close(x, ratio * y):
                return None
            found.append(ratio)
        return found or None

    def factor(self, ratios: Sequence[float]) -> Factor | None:
        """What these numbers are: a plain number, sizes, or a number of the loss."""
        first = ratios[0]
        if all(abs(r - first) <= 1e-9 * abs(first) + 1e-12 for r in ratios):
            plain = Fraction(first).limit_denominator(64)
            simple = abs(plain - first) < 1e-9 * max(1, abs(first))
            return Factor(plain if simple else Fraction(f"{first:.8g}"))
        for power in (1, -1, 2, -2):
            for scalar in self.scalars():
                values = [float(sample.of(scalar)[0]) for sample in self.samples]
                if any(v == 0 for v in values):
                    continue
                rest = {round(r / v**power, 9) for r, v in zip(ratios, values, strict=True)}
                if len(rest) == 1 and (c := Fraction(rest.pop()).limit_denominator(16)) in SIMPLE:
                    return Factor(c, scalar, power)
        return None

    def scalars(self) -> Iterator[Expr]:
        """The numbers that a factor may be: sizes, their products, and what is a number in the loss."""
        sizes = [
            size_of(s)
            for s in dict.fromkeys(s for node in walk(self.loss) for s in node.shape)
            if isinstance(s, str)
        ]
        yield from sizes
        yield from (a * b for k, a in enumerate(sizes) for b in sizes[k + 1 :])
        yield from (a - 1 for a in sizes)
        for node in walk(self.loss, self.truth):
            if not node.rank and value_of(node) is None and node not in sizes:
                yield node

    # ------------------------------------------------------------------------------------ the whole

    def multiple(self) -> Iterator[Slip]:
        """A factor too much or too little, in every entry alike."""
        ratios = self.ratios(self.claim, self.truth)
        if ratios is None:
            if all(_close(sample.of(self.claim)[0], 0.0) for sample in self.samples):
                yield Slip("missing term", ("this is 0, but the loss does move",))
            return
        factor = self.factor(ratios)
        if factor is not None and factor.plain and not factor.is_one:
            yield _by_factor(factor, self.claim)

    def turned(self) -> Iterator[Slip]:
        """The transpose of a square matrix."""
        truth = self.truth
        if truth.rank >= 2 and truth.shape[-1] == truth.shape[-2]:
            ratios = self.ratios(self.claim, truth.T)
            factor = None if ratios is None else self.factor(ratios)
            if factor is not None and factor.plain:
                words: Words = ("this is the transpose of the right matrix: right, in the other layout",)
                if not factor.is_one:
                    words = (*words, ", and ", *_by_factor(factor, self.claim).words)
                yield Slip("transpose", words, mended=self.claim.T)

    def only_symmetric(self) -> Iterator[Slip]:
        """Right for symmetric matrices only."""
        for node in walk(self.loss):
            if (
                node.op is symbol_op
                and node.rank == 2
                and node.shape[0] == node.shape[1]
                and not node.params[2]
            ):
                table = [
                    Sample(
                        s.sizes,
                        {
                            n: (v + v.T) / 2 if n is node else v
                            for n, v in s.values.items()
                            if n.op is symbol_op
                        },
                    )
                    for s in self.samples
                ]
                if all(_close(*sample.of(self.truth, self.claim)) for sample in table):
                    words: Words = ("this is right only where ", node, " is symmetric, which nobody said")
                    yield Slip("symmetric", words)

    def shaped(self) -> Iterator[Slip]:
        """Another shape: an axis too many, one too few, or the axes in another order."""
        truth, claim = self.truth, self.claim
        if claim.rank >= 2 and claim.rank == truth.rank:
            turned = claim.T
            if turned.shape == truth.shape and self.same(turned, truth):
                yield Slip(
                    "layout",
                    ("right, in the other layout: its transpose has the shape of the parameter",),
                    mended=turned,
                )
        for axis in range(claim.rank):
            for made, words in ((total, "sum"), (mean, "mean")):
                for other in (made(claim, axis), made(claim, axis).T):
                    if other.shape == truth.shape and self.same(other, truth):
                        size = claim.shape[axis]
                        what = f"the {words} over {size} is missing: what arrives at all of them is added"
                        yield Slip("sum", (what,), mended=other)
        if claim.rank == 2 and truth.rank == 0 and self.same(total(claim), truth):
            yield Slip("sum", ("the sum over all entries is missing",), mended=total(claim))

    # ------------------------------------------------------------------------------------ rule by rule

    def derived_again(self) -> Iterator[Slip]:
        """One rule of the derivation used wrongly: what would have come out is the claim."""
        part = self.part
        if part is None or sum(1 for _ in walk(self.loss)) > MOST_NODES:
            return
        moving = moving_nodes(self.loss, [part])
        order = [node for node in walk(self.loss, stop=lambda node: node is part) if node in moving]
        back = Backwards(order, part)
        arriving = back.arriving({self.loss: number(1)})
        later = []
        for node in reversed(order):
            G = arriving.get(node)
            if G is None or node is part or node.op.adjoint is None:
                continue
            for k, H in enumerate(node.op.adjoint(G, node, node.args)):
                if H is None or node.args[k] not in moving:
                    continue
                right = back.gradient(node.args[k], H)
                if right is None:
                    continue
                yield from self.flow(node, k, right)
                later.append((node, k, G, H, right))
        for node, k, G, H, right in later:
            for edit in edits(H, whole=G, still={G, node, *node.args}):
                if self.trials > MOST_TRIALS:
                    return
                try:
                    wrong = back.gradient(node.args[k], edit.expr)
                    if wrong is None:
                        continue
                    other = self.truth - right + wrong
                except MathError:
                    continue
                ratios = self.ratios(self.claim, other)
                factor = None if ratios is None else self.factor(ratios)
                if factor is not None and factor.plain:
                    kind = _kind(edit, node)
                    words = (*_at(node, kind, edit), *(() if kind in SLOPES else edit.words))
                    if not factor.is_one:
                        words = (*words, "; and ", *_by_factor(factor, self.claim).words)
                    yield Slip(kind, words, node)

    def flow(self, node: Expr, k: int, right: Expr) -> Iterator[Slip]:
        """What arrives along one path was left out, has the wrong sign, or a wrong factor."""
        ratios = self.ratios(self.claim - self.truth, right)
        factor = None if ratios is None else self.factor([r + 1 for r in ratios])
        if factor is None or self.same(right, self.truth):
            return
        arg = node.args[k]
        if not factor.plain:
            words: Words = ("the path through ", node, " is missing: ", arg, " moves it too")
            yield Slip("missing term", words, node)
        elif factor.of is None and factor.plain == -1:
            rule = f" ({node.op.rule})" if node.op.rule else ""
            yield Slip("sign", ("the sign of what arrives through ", node, f" is wrong{rule}"), node)
        elif not factor.is_one:
            words = ("what arrives through ", node, " is counted ", factor.expr, " times")
            yield Slip("factor", words, node)

    # ------------------------------------------------------------------------------------ the claim itself

    def edited(self) -> Iterator[Slip]:
        """One place of the claim changed, and it is right."""
        parts = [node for node in walk(self.loss) if node.rank]
        for edit in edits(self.claim, still=set(), parts=parts, mending=True):
            if self.trials > 2 * MOST_TRIALS:
                return
            try:
                ratios = self.ratios(self.truth, edit.expr)
            except MathError:
                continue
            if ratios is not None and all(abs(r - 1) < 1e-9 for r in ratios):
                yield Slip(edit.kind, edit.words, mended=edit.expr)

    def entries(self) -> Iterator[Slip]:
        """An array that every entry is multiplied with too much, or that is missing."""
        for node in walk(self.loss, self.truth):
            if node.shape == self.truth.shape and node.rank:
                if self.same(self.claim, self.truth * node):
                    yield Slip("factor", ("the factor ", node, " is too much"))
                if self.same(self.claim * node, self.truth):
                    kind = "mask" if node.op.name in MASKS else "factor"
                    yield Slip(kind, ("the factor ", node, " is missing"), mended=self.claim * node)


class Backwards:
    """Reverse mode without laws: what arrives at `part` from a cotangent anywhere above it."""

    def __init__(self, order: Sequence[Expr], part: Expr) -> None:
        self.order, self.part = order, part
        self.moving = set(order)

    def arriving(self, start: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
        """The cotangent of every node, from those that are given."""
        found = dict(start)
        for node in reversed(self.order):
            G = found.get(node)
            if G is None or node is self.part or node.op.adjoint is None:
                continue
            for arg, H in zip(node.args, node.op.adjoint(G, node, node.args), strict=True):
                if H is not None and arg in self.moving:
                    found[arg] = add(found[arg], H) if arg in found else H
        return found

    def gradient(self, node: Expr, G: Expr) -> Expr | None:
        """What arrives at the part when `G` stands at `node`."""
        if G.shape != node.shape:
            raise MathError("a cotangent of another shape")
        return self.arriving({node: G}).get(self.part)


SIMPLE = {Fraction(s * n, d) for s in (1, -1) for n in (1, 2, 3, 4) for d in (1, 2, 3, 4)}
MASKS = frozenset({"greater", "greater_equal", "equal", "not_equal"})


def _close(a: Any, b: Any) -> bool:
    import numpy as np

    scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)), 1e-12)
    return bool(np.all(np.abs(a - b) <= TOLERANCE * scale))


def _by_factor(factor: Factor, claim: Expr) -> Slip:
    """The claim is `factor` times what is right."""
    mended = factor.inverse.expr * claim
    if factor.of is not None:
        words: Words = (
            "the factor ",
            factor.inverse.expr,
            " is missing: yours is ",
            factor.expr,
            " times the right one",
        )
        sizes = any(node.op is size_op for node in walk(factor.of))
        return Slip("mean" if sizes else "factor", words, mended=mended)
    plain = factor.plain
    if plain == -1:
        return Slip("sign", ("the sign is wrong: yours is −1 times the right one",), mended=mended)
    sign = ", and the sign is wrong" if plain < 0 else ""
    if abs(plain) > 1:
        return Slip("factor", ("a factor ", number(abs(plain)), f" is too much{sign}"), mended=mended)
    return Slip("factor", ("a factor ", number(1 / abs(plain)), f" is missing{sign}"), mended=mended)


SLOPES = ("mask", "slope")


def _kind(edit: Edit, node: Expr) -> str:
    if edit.kind == "missing factor" and node.op.slopes is not None:
        return "mask" if any(n.op.name in MASKS for n in walk(edit.place)) else "slope"
    return {"missing factor": "factor"}.get(edit.kind, edit.kind)


def _at(node: Expr, kind: str, edit: Edit) -> Words:
    """Where a rule went wrong: the slope of an activation by its own name."""
    if kind in SLOPES and edit.gone is not None:
        return ("the factor ", edit.gone, f" is missing, the {node.op.rule}: {node.op.why}")
    return ("at ", node, f" ({node.op.rule}): ") if node.op.rule else ("at ", node, ": ")
