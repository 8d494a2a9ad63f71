"""Where did a wrong formula go wrong? Known slips are tried, one after the other, until one explains it.

A claim may be a multiple of what is right, its transpose, or right for symmetric matrices only: that is seen
by comparing both. Or one rule of the derivation was used wrongly: then the gradient is derived again with
that rule changed in one place (a factor dropped, a sign turned), and what comes out is the claim. Or the
claim itself is changed in one place until it is right. Numbers decide, at a few random points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from gradstep.calculus.borders import differing_points
from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.edits import MASKS, Edit, edits, exchanged
from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.samples import Factor, Sample, Samples, drawn_samples
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.operations.arithmetic import add, add_op, multiply_op, negate_op, subtract_op
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.leaves import number, symbol_op
from gradstep.operations.sums import mean
from gradstep.operations.sums import sum as total

MOST_NODES = 200  # of a loss whose derivation is gone through rule by rule
BESIDE = 4  # points next to conditions, where nothing else tells
WORK = 60_000  # nodes that are worked out in trials of one kind
FACTS = {
    "symmetric": (" is symmetric",),
    "rows sum to one": ("the rows of ", " sum to one"),
    "orthogonal": (" is orthogonal",),
    "diagonal": (" is diagonal",),
    "positive": ("all entries of ", " are positive"),
}
NOBODY = ", which nobody said"
OTHER_LAYOUT = "this is the transpose of the right matrix: it would be right in the other layout"

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


class Diagnosis:
    """What may explain that `claim` is not `truth`, which is ∂loss/∂part; `parts` are called by name.

    A claim that is a variable, a function whose formula nobody knows, has values at the points `drawn` alone.
    """

    def __init__(
        self,
        truth: Expr,
        claim: Expr,
        loss: Expr,
        part: Expr | None,
        parts: Collection[Expr],
        rng: Random,
        drawn: Sequence[Sample] | None = None,
    ) -> None:
        self.truth, self.claim, self.loss, self.part, self.rng = truth, claim, loss, part, rng
        self.parts = {node for node in walk(loss) if node.op is symbol_op or node in parts} - {loss}
        self.opaque = drawn is not None  # the claim has values at these points alone
        if drawn is None:
            drawn = drawn_samples((truth, claim, loss), (truth, claim), rng)
        self.samples = Samples(truth, claim, loss, drawn)
        if not self.opaque and self.samples.same(truth, claim):
            beside = islice(differing_points(truth, claim, (loss,), rng), BESIDE)
            self.samples.add([Sample(*point) for point in beside])
        self.later: list[Slip] = []
        self.most = WORK // (1 + sum(1 for _ in walk(truth, claim, loss)))

    def found(self) -> Slip | None:
        """The first slip that explains the claim."""
        if not self.samples.points or self.samples.same(self.truth, self.claim):
            return None
        if self.truth.shape != self.claim.shape:
            return next(self.shaped(), None)
        ways = (
            self.multiple, self.turned, self.symmetric, self.paths, self.rules, self.edited, self.told,
            lambda: iter(self.later),
        )  # fmt: skip
        return next((slip for way in ways for slip in way()), None)

    # ------------------------------------------------------------------------------------ the whole

    def multiple(self) -> Iterator[Slip]:
        """A factor too much or too little, in every entry alike."""
        factor = self.samples.factor(self.claim, self.truth)
        if factor is not None and not factor.plain:
            yield Slip("missing term", ("this is 0, but the loss does move",))
        elif factor is not None and not factor.is_one:
            yield by_factor(factor, self.claim)

    def turned(self) -> Iterator[Slip]:
        """The transpose of a square matrix."""
        truth = self.truth
        if truth.rank >= 2 and truth.shape[-1] == truth.shape[-2]:
            factor = self.samples.factor(self.claim, truth.mT)
            if factor is not None and factor.plain:
                words: Words = (OTHER_LAYOUT,)
                if not factor.is_one:
                    words = (*words, "; and ", *by_factor(factor, self.claim).words)
                yield Slip("transpose", words, mended=self.claim.mT)

    def symmetric(self) -> Iterator[Slip]:
        """Right for symmetric matrices only, where the loss does not care which of the two it is given."""
        for node in () if self.opaque else self.squares():
            turned = exchanged(self.truth, {node: node.mT}, list(walk(self.truth)), ())
            if turned is None or not self.samples.same(turned, self.truth):
                continue
            if self.samples.holds_with(node, "symmetric", self.claim, self.rng):
                yield Slip("symmetric", only_where(node, "symmetric"))

    def squares(self) -> Iterator[Expr]:
        """The square matrices of which nothing is known."""
        for node in walk(self.loss):
            square = node.rank == 2 and node.shape[0] == node.shape[1]
            if node.op is symbol_op and square and not node.params[2]:
                yield node

    def told(self) -> Iterator[Slip]:
        """Right only under an assumption that nobody made."""
        for node in () if self.opaque else walk(self.loss):
            if node.op is not symbol_op or node.params[2]:
                continue
            for fact in FACTS:
                square = node.rank == 2 and node.shape[0] == node.shape[1]
                if not (square or (fact == "positive" or (fact == "rows sum to one" and node.rank))):
                    continue
                if self.samples.holds_with(node, fact, self.claim, self.rng):
                    kind = "symmetric" if fact == "symmetric" else "assumption"
                    yield Slip(kind, only_where(node, fact))

    def shaped(self) -> Iterator[Slip]:
        """Another shape: an axis too many, one too few, or the axes in another order."""
        truth, claim, samples = self.truth, self.claim, self.samples
        if claim.rank >= 2 and claim.rank == truth.rank:
            turned = claim.mT
            if turned.shape == truth.shape and (factor := samples.factor(turned, truth)) and factor.plain:
                words: Words = ("its transpose has the shape of the parameter",)
                if not factor.is_one:
                    words = (*words, "; and ", *by_factor(factor, turned).words)
                yield Slip("layout", words, mended=turned)
        for axis in range(claim.rank):
            for made, word in ((total, "sum"), (mean, "mean")):
                for other in dict.fromkeys((made(claim, axis), made(claim, axis).mT)):
                    if other.shape == truth.shape and samples.same(other, truth):
                        what = f"the {word} over {claim.shape[axis]} is missing"
                        why = "what arrives at all of them is added" if word == "sum" else "all count alike"
                        yield Slip("sum", (f"{what}: {why}",), mended=other)
        if claim.rank == 2 and truth.rank == 0 and samples.same(total(claim), truth):
            yield Slip("sum", ("the sum over all entries is missing",), mended=total(claim))
        for edit in edits(claim, still=self.parts, mending=True):
            if edit.expr.shape == truth.shape and samples.same(edit.expr, truth):
                yield Slip(edit.kind, self.tidied(edit.words), mended=edit.expr)

    # ------------------------------------------------------------------------------------ rule by rule

    def paths(self) -> Iterator[Slip]:
        """What arrives along one path was left out, has the wrong sign, or a wrong factor."""
        for node, k, _, _, right in self.contributions():
            if self.samples.same(right, self.truth):
                continue
            more = self.samples.factor(self.claim - self.truth, right)
            if more is not None and more.of is None:
                times: Factor | None = Factor(more.plain + 1)
            else:
                times = self.samples.factor(self.claim - self.truth + right, right)
            if times is None or times.is_one:
                continue
            words: Words
            arg, rule = self.known(node.args[k]), f" ({node.op.rule})" if node.op.rule else ""
            place = node.args[k] if node.op in LINEAR else node
            if not times.plain:
                words = ("the path through ", arg, " is left out: ", node, f" moves with it too{rule}")
                yield Slip("missing term", self.tidied(words), place)
            elif times.of is None and times.plain == -1:
                words = ("what arrives through ", arg, " has the wrong sign", rule)
                yield Slip("sign", self.tidied(words), place)
            else:
                words = ("what arrives through ", arg, " is ", times.expr, f" times what it should be{rule}")
                kind = "mean" if times.has_size else "factor"
                yield Slip(kind, self.tidied(words), place)

    def known(self, node: Expr) -> Expr:
        """The named part that alone moves `node`, with functions of entries between; else `node`."""
        below = node
        while below not in self.parts:
            moving = [arg for arg in below.args if arg in self.back.moving]
            if len(moving) != 1 or (below.op not in (repeat_op, *LINEAR) and below.op.slopes is None):
                return node
            (below,) = moving
        return below if below.args else node

    def rules(self) -> Iterator[Slip]:
        """One rule used wrongly: what would have come out is the claim."""
        start = self.samples.trials
        for node, k, G, H, right in self.contributions():
            for edit in (*edits(H, whole=G, still={G, node, *node.args}), *skipped(node, G, H)):
                if self.samples.trials > start + self.most:
                    return
                if edit.expr.shape != H.shape:
                    continue
                try:
                    wrong = self.back.gradient(node.args[k], edit.expr)
                    other = None if wrong is None else self.truth - right + wrong
                except MathError:
                    continue
                factor = None if other is None else self.samples.factor(self.claim, other)
                if factor is None or not factor.plain:
                    continue
                kind = kind_of(edit, node)
                words = self.tidied(at(node, kind, edit))
                if factor.is_one:
                    yield Slip(kind, words, node)
                else:
                    words = (*words, "; and ", *by_factor(factor, self.claim).words)
                    self.later.append(Slip(kind, words, node))

    def contributions(self) -> Iterator[tuple[Expr, int, Expr, Expr, Expr]]:
        """Every step from a part to one that it is made of, and what of the gradient arrives along it."""
        if self.part is None or sum(1 for _ in walk(self.loss)) > MOST_NODES:
            return
        moving = moving_nodes(self.loss, [self.part])
        order = [node for node in walk(self.loss, stop=lambda node: node is self.part) if node in moving]
        self.back = Backwards(order, self.part)
        arriving = self.back.arriving({self.loss: number(1)})
        for node in reversed(order):
            G = arriving.get(node)
            if G is None or node is self.part or node.op.adjoint is None:
                continue
            for k, H in enumerate(node.op.adjoint(G, node, node.args)):
                if H is None or node.args[k] not in moving:
                    continue
                right = self.back.gradient(node.args[k], H)
                if right is not None:
                    yield node, k, G, H, right

    # ------------------------------------------------------------------------------------ the claim itself

    def edited(self) -> Iterator[Slip]:
        """One place of the claim changed, and it is right."""
        slopes = [
            slope(node, *node.args)
            for node in walk(self.loss)
            if node.op.slopes is not None and len(node.op.slopes) == 1 and node.rank
            for slope in node.op.slopes
        ]
        masks = [node for node in walk(self.truth) if node.op in MASKS]
        parts = list(dict.fromkeys([*(node for node in walk(self.loss) if node.rank), *slopes, *masks]))
        start = self.samples.trials
        for edit in edits(self.claim, still=self.parts, parts=parts, mending=True):
            if self.samples.trials > start + self.most:
                return
            if self.samples.same(self.truth, edit.expr):
                kind, words = edit.kind, edit.words
                if edit.gone is not None and edit.gone in slopes and kind != "mask":
                    kind = "slope"
                new = words[0]
                if (
                    kind == "part"
                    and isinstance(new, Expr)
                    and new.op is multiply_op
                    and edit.place in new.args
                ):
                    gone = new.args[new.args[0] is edit.place]
                    kind, words = "factor", ("the factor ", gone, " is missing beside ", edit.place)
                yield Slip(kind, self.tidied(words), mended=edit.expr)

    def tidied(self, words: Words) -> Words:
        """The words with formulas as short as they can be."""
        return tuple(simplify(part, BOOK, self.parts) if isinstance(part, Expr) else part for part in words)


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
        return self.arriving({node: G}).get(self.part)


def only_where(node: Expr, fact: str) -> Words:
    """Right only where this is known of a variable."""
    words: list[str | Expr] = ["this is right only where "]
    told = FACTS[fact]
    words += [node, *told] if len(told) == 1 else [told[0], node, told[1]]
    return (*words, NOBODY)


def by_factor(factor: Factor, claim: Expr) -> Slip:
    """The claim is `factor` times what is right."""
    mended = factor.inverse.expr * claim
    if factor.of is not None:
        words: Words = ("the factor ", factor.inverse.expr, " is missing: yours is ", factor.expr)
        words = (*words, " times the right one")
        return Slip("mean" if factor.has_size else "factor", words, mended=mended)
    plain = factor.plain
    if plain == -1:
        return Slip("sign", ("the sign is wrong: yours is −1 times the right one",), mended=mended)
    sign = ", and the sign is wrong" if plain < 0 else ""
    if abs(plain) > 1:
        return Slip("factor", ("a factor ", number(abs(plain)), f" is too much{sign}"), mended=mended)
    return Slip("factor", ("a factor ", number(1 / abs(plain)), f" is missing{sign}"), mended=mended)


ONE_OPERAND = 1
LINEAR = (add_op, subtract_op, negate_op)


def skipped(node: Expr, G: Expr, H: Expr) -> Iterator[Edit]:
    """The rule of a function not used at all: what arrives is passed on as it is."""
    if len(node.args) == ONE_OPERAND and G.shape == H.shape and G is not H and node.op not in LINEAR:
        yield Edit("slope", ("the rule of ", node.op.name, " was not used"), G, H)


def kind_of(edit: Edit, node: Expr) -> str:
    """The kind of a slip in a rule: a lost factor of a function of one operand is its slope."""
    if len(node.args) != ONE_OPERAND or node.op.slopes is None or edit.kind not in ("factor", "missing term"):
        return edit.kind
    return (
        "mask"
        if any(n.op in MASKS for n in walk(edit.place if edit.gone is None else edit.gone))
        else "slope"
    )


def at(node: Expr, kind: str, edit: Edit) -> Words:
    """Where a rule went wrong, and the slope of a function by what it is."""
    rule = f" ({node.op.rule})" if node.op.rule else ""
    if edit.gone is not None and kind in ("mask", "slope"):
        what = "term" if edit.kind == "missing term" else "factor"
        return (f"the {what} ", edit.gone, f" is missing{rule}: {node.op.why}")
    return ("in the step through ", node, f"{rule}: ", *edit.words)
