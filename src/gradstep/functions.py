"""How is a backward function judged whose formula nobody knows? By its values, at points of many sizes.

The gradients that it returns are taken for variables with these values, so that the slips of a formula are
found in it too. What is no slip of mathematics is told beside: operands that it changes, accuracy in float32,
numbers that overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random, SystemRandom
from typing import Any

from gradstep.backends.foreign import Answer, Point
from gradstep.calculus.borders import conditions
from gradstep.calculus.examples import Example, points_beside, readable, small_points
from gradstep.calculus.floating import near_a_kink
from gradstep.calculus.samples import Sample, close, drawn_samples
from gradstep.calculus.slips import Diagnosis, Slip
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, Size, shape_text
from gradstep.notation.claiming import Line
from gradstep.notation.judging import LAYOUT, named
from gradstep.notation.truths import Truths
from gradstep.notation.verdicts import Judged, Verdict
from gradstep.operations.leaves import symbol_op

SINGLE = 2e-3  # of the largest entry: what is further off in float32 is told
LARGE = 1e4  # times this a function may overflow where its gradient does not
MOST_BESIDE = 48  # points next to conditions
NEXT_TO = "away from where a condition changes it is right, next to it wrong: its condition is another one"
Call = Callable[[Sequence[Point]], Sequence[Answer]]


def judge_function(
    derivation: Derivation, own: Mapping[Expr, str], name: str, call: Call, seed: int | None
) -> Verdict:
    """The verdict on the function `name`, which `call` calls, for the gradients that `derivation` derives."""
    import numpy as np

    seed = SystemRandom().getrandbits(32) if seed is None else seed
    rng = Random(seed)
    truths = Truths(derivation, own)
    exprs = (derivation.of, *derivation.answers.values())
    samples = [s for s in drawn_samples(exprs, exprs, rng) if not near_a_kink(np, exprs, s.sizes, s.values)]
    if not samples:
        raise MathError("no point was found at which this loss and its gradient have values")
    samples.sort(key=lambda sample: sum(not np.any(value) for value in sample.of(*exprs[1:])))
    small = list(small_points([*exprs, *named(truths)], rng))
    beside = list(points_beside(exprs, gaps, rng, MOST_BESIDE)) if (gaps := conditions(*exprs)) else []
    found = call(_points(samples, [*beside, *small]))
    judging = _Judging(truths, name, samples, beside, small, found)
    return judging.verdict(seed, rng)


def _points(samples: Sequence[Sample], small: Sequence[tuple[Any, Mapping[Expr, Any]]]) -> list[Point]:
    """Where the function is called: in float32, for large numbers, at the samples, at the small points."""
    import numpy as np

    first = {str(node.params[0]): value for node, value in samples[0].values.items()}
    single = {name: np.asarray(value, dtype=np.float32) for name, value in first.items()}
    large = {name: value * LARGE for name, value in first.items()}
    given = [sample.values for sample in samples] + [values for _, values in small]
    return [
        single,
        large,
        *({str(node.params[0]): value for node, value in values.items()} for values in given),
    ]


class _Judging:
    """The work of one verdict."""

    def __init__(
        self,
        truths: Truths,
        name: str,
        samples: Sequence[Sample],
        beside: Sequence[tuple[Any, dict[Expr, Any]]],
        small: Sequence[tuple[Any, dict[Expr, Any]]],
        found: Sequence[Answer],
    ) -> None:
        self.truths, self.name, self.samples, self.beside, self.small = truths, name, samples, beside, small
        self.single, self.large, *rest = found
        self.answers, rest = rest[: len(samples)], rest[len(samples) :]
        self.of_beside, self.of_small = rest[: len(beside)], rest[len(beside) :]

    def verdict(self, seed: int, rng: Random) -> Verdict:
        """What is right and what is not, for every gradient that was asked for."""
        error = next((answer.error for answer in self.answers if answer.error), "")
        judged: list[Judged] = []
        slip: Slip | None = Slip("error", (error,)) if error else None
        example: Example | None = None
        notes: list[str] = []
        for wrt in self.truths.wrt:
            subject = self.truths.gradient(wrt)
            truth = self.truths.derivation.answers[wrt]
            shape = None if error else self.shape(wrt)
            claim = symbol_op(params=("yours", truth.shape if shape is None else shape, ()))
            right = not error and shape is not None and self.agrees(wrt, truth)
            if right and (example := self.differing(wrt, truth, claim)) is not None:
                right, slip = False, slip or Slip("mask", (NEXT_TO,))
            turned = (
                not right and shape is not None and truth.rank > 1 and shape == truth.T.shape != truth.shape
            )
            if turned and self.agrees(wrt, truth.T):
                right, notes = True, [*notes, LAYOUT]
            line = Line(subject, 0, 0, claim, truth)
            judged.append(Judged("", subject.name, right, "floating point", line))
            if not right and slip is None:
                slip, example = self.explained(wrt, truth, claim, shape, rng)
        wrong = [k for k, one in enumerate(judged) if not one.verdict]
        kind = slip.kind if slip else "layout" if LAYOUT in notes else ""
        return Verdict(
            verdict=not wrong,
            lines=tuple(judged),
            first=wrong[0] + 1 if wrong else None,
            slip=slip,
            example=example,
            notes=tuple(dict.fromkeys([*notes, *(() if error else self.remarks())])),
            truths=self.truths,
            seed=seed,
            function=self.name,
            kind=kind,
        )

    def agrees(self, wrt: str, truth: Expr) -> bool:
        """Whether the function gives this gradient at all points."""
        import numpy as np

        return all(
            answer.gradients[wrt].shape == (right := sample.of(truth)[0]).shape
            and bool(np.all(np.isfinite(answer.gradients[wrt])))
            and close(answer.gradients[wrt], right)
            for sample, answer in zip(self.samples, self.answers, strict=True)
        )

    def differing(self, wrt: str, truth: Expr, claim: Expr) -> Example | None:
        """A point next to where a condition changes at which the function, right elsewhere, is wrong."""
        import numpy as np

        seen = [
            (sizes, {**values, claim: np.asarray(answer.gradients[wrt], dtype=float)})
            for (sizes, values), answer in zip(self.beside, self.of_beside, strict=True)
            if not answer.error
        ]
        return readable(truth, claim, named(self.truths), seen, kinks=True)

    def shape(self, wrt: str) -> Shape | None:
        """The shape of what the function returns, in names of sizes; None where none fits."""
        arrays = [answer.gradients[wrt] for answer in self.answers]
        truth = self.truths.derivation.answers[wrt]
        sizes = list(dict.fromkeys(s for v in self.truths.variables.values() for s in v.shape))
        if len({array.ndim for array in arrays}) > 1:
            return None
        found: list[Size] = []
        for axis in range(arrays[0].ndim):
            own = truth.shape[axis : axis + 1] if arrays[0].ndim == truth.rank else ()
            fitting = [
                size
                for size in (*own, *sizes, 1)
                if all(a.shape[axis] == s.sizes[size] for a, s in zip(arrays, self.samples, strict=True))
            ]
            if not fitting:
                return None
            found.append(fitting[0])
        return tuple(found)

    def explained(
        self, wrt: str, truth: Expr, claim: Expr, shape: Shape | None, rng: Random
    ) -> tuple[Slip | None, Example | None]:
        """The slip behind a wrong gradient, and small numbers that show it."""
        import numpy as np

        if shape is None:
            got = self.answers[0].gradients[wrt].shape
            what = f"it returns an array of shape {got}, which is not {shape_text(truth.shape)}"
            return Slip("shape", (what,)), None
        arrays = [answer.gradients[wrt] for answer in self.answers]
        if not all(np.all(np.isfinite(array)) for array in arrays):
            return Slip("not finite", ("it returns nan or inf where the gradient is finite",)), None
        drawn = [
            Sample(sample.sizes, {**sample.values, claim: array})
            for sample, array in zip(self.samples, arrays, strict=True)
        ]
        parts = self.truths.derivation.parts
        parameter = self.truths.derivation.parameters[wrt]
        slip = Diagnosis(truth, claim, self.truths.loss, parameter, parts, rng, drawn).found()
        if slip is None and shape != truth.shape:
            slip = Slip(
                "shape", (f"this is {shape_text(shape)}, but the gradient is {shape_text(truth.shape)}",)
            )
        seen = [
            (sizes, {**values, claim: np.asarray(answer.gradients[wrt], dtype=float)})
            for (sizes, values), answer in zip(self.small, self.of_small, strict=True)
            if not answer.error
        ]
        return slip, readable(truth, claim, named(self.truths), seen)

    def remarks(self) -> Iterator[str]:
        """What should be known of the function beside whether it is right."""
        import numpy as np

        for name in dict.fromkeys(name for answer in self.answers for name in answer.changed):
            yield f"it changes its operand {name}: whoever calls it finds other numbers there"
        loss = self.truths.loss
        for sample, answer in zip(self.samples, self.answers, strict=True):
            value = answer.value
            if value is not None and value.shape == () and not close(value, sample.of(loss)[0]):
                yield "the value that it returns is not that of the loss"
                break
        if self.single.error:
            yield f"in float32 {self.single.error}"
        for wrt, truth in () if self.single.error else self.truths.derivation.answers.items():
            right, got = self.samples[0].of(truth)[0], self.single.gradients[wrt]
            if got.shape == right.shape and self.agrees(wrt, truth):
                off = float(
                    np.max(np.abs(got - right), initial=0.0) / max(np.max(np.abs(right), initial=0.0), 1e-30)
                )
                if not off < SINGLE:
                    yield f"in float32 the gradient for {wrt} is off by {off:.1g}"
        values = {node: value * LARGE for node, value in self.samples[0].values.items()}
        far = Sample(self.samples[0].sizes, values)
        for wrt, truth in () if self.large.error else self.truths.derivation.answers.items():
            if np.all(np.isfinite(far.of(truth)[0])) and not np.all(np.isfinite(self.large.gradients[wrt])):
                yield f"for large numbers the gradient for {wrt} becomes nan or inf, though it is finite"
