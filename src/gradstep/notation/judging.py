"""How is a claim judged? Every line against what is right; the first wrong one is explained.

A line that only gives a name is taken as it is. A gradient that code gives a name to (`dz = …`) may be wrong
without harm, if what is made of it is right: it is then no ∂C/∂z, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random, SystemRandom

from gradstep.calculus.borders import conditions
from gradstep.calculus.claims import Comparison, compared
from gradstep.calculus.examples import Example, differing
from gradstep.calculus.samples import Samples, drawn_samples
from gradstep.calculus.slips import Diagnosis, Slip
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.node import replace as exchanged
from gradstep.expression.shapes import shape_text
from gradstep.notation.claiming import PLAIN_NAME, Line, lines_of
from gradstep.notation.truths import Truths
from gradstep.notation.verdicts import Judged, Verdict
from gradstep.operations.broadcasting import repeat
from gradstep.operations.einsums import einsum_of
from gradstep.operations.leaves import symbol
from gradstep.operations.sums import sum as total

LAYOUT = "right, in the other layout: the transpose has the shape that gradstep gives it"
OTHER = {False: "numerator", True: "denominator"}  # than ours, of a gradient and of a Jacobian
LAYOUTS = ("numerator", "denominator")


def judge(
    derivation: Derivation,
    own: Mapping[Expr, str],
    claim: str,
    seed: int | None = None,
    layout: str | None = None,
) -> Verdict:
    """The verdict on `claim`, lines of text about the derivative that `derivation` derives.

    Matrices may stand in either layout, or have to stand in the one that is given.
    """
    seed = SystemRandom().getrandbits(32) if seed is None else seed
    rng = Random(seed)
    truths = Truths(derivation, own)
    lines = lines_of(claim, truths)
    check_complete(lines, truths, claim)
    strict, turned = layout is not None, layout == OTHER[derivation.kind == "jacobian"]
    lines = [in_our_layout(line) if turned else line for line in lines]
    found = [outcome(line, rng, strict) for line in lines]
    text = " ".join
    names = mere_names(lines, found, truths, Random(seed))
    judged = tuple(
        Judged(
            text(claim[line.start : line.end].split()),
            line.subject.name,
            result.verdict,
            result.method,
            line,
            k in names,
        )
        for k, (line, (result, _)) in enumerate(zip(lines, found, strict=True))
    )
    notes = [note for _, note in found if note]
    if turned:
        notes.append(f"yours is read in {layout} layout: what is shown of it is its transpose")
    wrong = [k for k, (result, _) in enumerate(found) if result.verdict is False and k not in names]
    unknown = any(result.verdict is None for result, _ in found)
    verdict = False if wrong else None if unknown else True
    for k in names:
        subject = lines[k].subject
        then = "" if wrong else ", but what is made of it is right"
        notes.append(f"the name {subject.name} does not stand for {truths.gradient_name(subject.part)}{then}")
    slip: Slip | None = None
    example: Example | None = None
    kind = "layout" if LAYOUT in notes else ""
    if wrong:
        slip, example = explained(lines[wrong[0]], truths, rng, layout)
        kind = slip.kind if slip else ""
    elif verdict and (bent := bent_line([line for k, line in enumerate(lines) if k not in names], rng)):
        kind, example, note = bent
        notes.append(note)
    results = [result for result, _ in found]
    return Verdict(
        verdict=verdict,
        lines=judged,
        first=wrong[0] + 1 if wrong else None,
        slip=slip,
        example=example,
        notes=tuple(dict.fromkeys(notes)),
        truths=truths,
        prime=max((result.prime for result in results), default=0),
        seed=seed,
        chance=sum(result.chance for result in results),
        kind=kind,
    )


def check_complete(lines: Sequence[Line], truths: Truths, claim: str) -> None:
    """A claim says something about every derivative that was asked for."""
    about = {line.subject.part for line in lines if line.subject.kind in ("gradient", "slope")}
    about |= {
        p
        for line in lines
        if line.subject.kind == "change" and line.subject.part is truths.loss
        for p in truths.derivation.parameters.values()
    }
    entries = any(line.subject.entry for line in lines)
    for name, parameter in truths.derivation.parameters.items():
        if parameter not in about and not entries:
            others = [n for n, p in truths.derivation.parameters.items() if p in about]
            raise MathError(
                f"the claim says nothing of {truths.gradient(name).name}",
                source=claim,
                mend=f"--wrt {','.join(others)}" if others else f"a last line d{name} = …",
            )


def in_our_layout(line: Line) -> Line:
    """A line in the other layout, turned into ours: a matrix of slopes is transposed."""
    matrix = line.subject.kind in ("gradient", "slope") and line.claim.rank == 2
    return replace(line, claim=line.claim.mT) if matrix and not line.subject.entry and not line.free else line


def outcome(line: Line, rng: Random, strict: bool = False) -> tuple[Comparison, str]:
    """Whether a line holds, and what is to be said of it; `strict`: in our layout only."""
    if line.truth is None:
        return Comparison(True, "exact", 0, 0.0), ""
    truth, claim = expected(line), line.claim
    if truth.shape == claim.shape:
        found = compared(truth, claim, rng)
        total = line.subject.total
        if found.verdict is False and total is not None and total.shape == claim.shape:
            found = compared(total, claim, rng)
        return found, ""
    if not strict and claim.rank == truth.rank >= 2 and claim.mT.shape == truth.shape:
        result = compared(truth, claim.mT, rng)
        if result.verdict:
            return result, LAYOUT
    return Comparison(False, "exact", 0, 0.0), ""


def expected(line: Line) -> Expr:
    """What a line should be worth: the same for each value of an index that nothing binds."""
    assert line.truth is not None
    sizes = line.claim.shape[: len(line.free)]
    return repeat(line.truth, tuple(range(len(sizes))), sizes)


def mere_names(
    lines: Sequence[Line], found: Sequence[tuple[Comparison, str]], truths: Truths, rng: Random
) -> list[int]:
    """Names such as dz that are no ∂C/∂z, without being what is wrong.

    All that is made of them is right. Or they are a multiple of ∂C/∂z, and with ∂C/∂z in their
    place too what is made of them would be wrong.
    """
    asked = set(truths.derivation.parameters.values())
    wrong = [k for k, (result, _) in enumerate(found) if result.verdict is False]
    named = [
        k
        for k in wrong
        if lines[k].subject.kind == "gradient"
        and PLAIN_NAME.fullmatch(lines[k].subject.name)
        and lines[k].subject.part not in asked
    ]
    others = [k for k in wrong if k not in named]
    if not others and all(result.verdict is not None for result, _ in found):
        return named
    scaled = [k for k in named if is_multiple(lines[k], truths, rng)]
    if not scaled:
        return []
    right = {lines[k].claim: expected(lines[k]) for k in scaled}
    mended = all(
        lines[k].claim.shape == expected(lines[k]).shape
        and compared(expected(lines[k]), exchanged(lines[k].claim, right), rng).verdict
        for k in others
    )
    return [] if mended else scaled


def is_multiple(line: Line, truths: Truths, rng: Random) -> bool:
    """Whether a line is a number times what is right."""
    truth = expected(line)
    if truth.shape != line.claim.shape:
        return False
    samples = Samples(
        truth, line.claim, truths.loss, drawn_samples((truth, line.claim, truths.loss), (truth,), rng)
    )
    factor = samples.factor(line.claim, truth)
    return factor is not None and bool(factor.plain)


def explained(
    line: Line, truths: Truths, rng: Random, layout: str | None
) -> tuple[Slip | None, Example | None]:
    """The slip behind a wrong line, and small numbers that show it."""
    truth = expected(line)
    example = differing(truth, line.claim, named(truths), rng)
    slip: Slip | None
    if (
        layout is not None
        and line.claim.rank == 2
        and outcome(in_our_layout(line), rng, strict=True)[0].verdict
    ):
        words = (f"this is right in the other layout: in {layout} layout it is transposed",)
        return Slip("layout", words, mended=line.claim.mT), example
    slip = unbound(line) if line.free else diagnosed(line, truth, truths, rng)
    if slip is None and truth.shape != line.claim.shape:
        what = f"this is {shape_text(line.claim.shape)}, but {line.subject.name} is {shape_text(truth.shape)}"
        slip = Slip("shape", (what,))
    return slip, example


def diagnosed(line: Line, truth: Expr, truths: Truths, rng: Random) -> Slip | None:
    """The slip behind a line whose indices are all bound.

    A Jacobian is looked at as a gradient: that of ⟨G, f⟩ is Σ G ∂f/∂x, whatever G is.
    """
    derivation, loss, claim = truths.derivation, truths.loss, line.claim
    asked = line.subject.kind == "gradient" and not line.subject.entry
    part = line.subject.part if asked else None
    f = loss
    if derivation.kind == "hessian" and derivation.base is not None and part is not None:
        f = next(derivation.base.answers[n] for n, p in derivation.parameters.items() if p is part)
    whole = Diagnosis(truth, claim, loss, None if f.rank else part, derivation.parts, rng).found()
    if whole is not None or not f.rank or part is None or truth.shape != claim.shape:
        return whole
    G = symbol("G", f.shape)
    axes, rest = list(range(f.rank)), list(range(f.rank, truth.rank))
    right, yours = (einsum_of([axes, [*axes, *rest]], rest, [G, array]) for array in (truth, claim))
    return Diagnosis(right, yours, total(G * f), part, derivation.parts, rng).found()


def unbound(line: Line) -> Slip:
    """An index stands outside every sum: the case split belongs inside."""
    index = line.free[0]
    what = f"the index {index} stands free here: nothing sums over it, and the left side has no {index}"
    if any(node.op.name == "where" for node in walk(line.claim)):
        return Slip(
            "split", (f"{what}. The case split belongs inside the sum: each {index} has its own condition",)
        )
    return Slip("index", (f"{what}, so this is another value for each {index}",))


def named(truths: Truths) -> list[Expr]:
    """The parts whose values are worth seeing at an example."""
    return [node for node in truths.derivation.parts if node is not truths.loss]


def bent_line(lines: Sequence[Line], rng: Random) -> tuple[str, Example, str] | None:
    """Where a right claim takes another slope than gradstep: at a kink only."""
    for line in lines:
        if line.truth is None or line.truth is line.claim or line.truth.shape != line.claim.shape:
            continue
        if conditions(line.truth, line.claim):
            example = differing(line.truth, line.claim, (), rng, kinks=True)
            if example is not None:
                return "kink", example, "right except at kinks: there gradstep takes another slope"
    return None
