"""Do our Jacobians give NIST's certified deviations, and our fits its parameters? All 27 nonlinear sets.

    python benchmarks/nist.py [folder of the sets] [names of sets …]

Each file of NIST's StRD states a model in mathematics, which gradstep reads as it stands there (its square
brackets made round), the data, and parameters with their standard deviations, certified to 11 digits. At the
certified parameters the residual sum of squares r·r, and the deviations √(r·r/(n − p) diag((JᵀJ)⁻¹)) with our
Jacobian J, should have the certified digits. No difference quotient is involved.

Lanczos 1, 2 and 3 are sums of exponentials that nearly fit their data exactly: there the eleven digits of the
parameters do not determine the sum of squares. Gauss–Newton steps on the same expressions, evaluated with 60
digits, go to the minimum first; where they end, all eleven digits are the certified ones.

The fits begin where NIST does, at its two starting points, the first far off. Levenberg–Marquardt minimises
r·r by the derived gradient and the derived Jacobian; nothing is tuned for a set.

The folder is the argument, or $GRADSTEP_NIST, or shared/data/nist beside the repository.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.expression.node import Expr
from gradstep.learn.descent import descend
from gradstep.learn.knowledge import residuals_of
from gradstep.learn.objective import compiled, objective
from gradstep.operations.precision import evaluate_to

DIGITS = 9  # that must agree
FITTED = 6  # that parameters must have after a fit
LONG = 60  # digits of the numbers in which parameters are refined
REFINED = ("Lanczos1", "Lanczos2", "Lanczos3")


def folder(argument: str | None = None) -> Path | None:
    """Where the sets are, if they are anywhere."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "nist"
    chosen = Path(argument or os.environ.get("GRADSTEP_NIST") or beside)
    return chosen if (chosen / "Misra1a.dat").is_file() else None


@dataclass(frozen=True, slots=True)
class Set:
    """One file: the model y = f(b, x) as text, the data, and what is certified. All numbers are exact."""

    name: str
    response: str
    model: str
    data: Mapping[str, tuple[Fraction, ...]]
    starts: tuple[tuple[float, ...], tuple[float, ...]]
    parameters: tuple[Fraction, ...]
    deviations: tuple[Fraction, ...]
    squares: Fraction

    @property
    def names(self) -> list[str]:
        return [f"b{k}" for k in range(1, len(self.parameters) + 1)]


def read(file: Path) -> Set:
    """A file of NIST's StRD, nonlinear regression."""
    text = file.read_text(encoding="ascii")
    lines = text.splitlines()
    (first, last), (start, end) = (
        map(int, re.search(rf"{head}\s*\(lines\s+(\d+)\s+to\s+(\d+)\)", text).groups())
        for head in ("Certified Values", "Data")
    )
    formula = re.search(r"Model:.*?Parameters.*?\n\s*\n(.*?)\+\s*e\s*\n", text, re.DOTALL)[1]
    left, _, model = " ".join(formula.translate(str.maketrans("[]", "()")).split()).rpartition("=")
    certified = [line.split() for line in lines[first - 1 : last] if re.match(r"\s*b\d+ =", line)]
    names = lines[start - 2].split()[1:]
    rows = [[Fraction(entry) for entry in line.split()] for line in lines[start - 1 : end]]
    return Set(
        file.stem,
        left.split()[-1],  # one set says first what pi is
        model.strip(),
        {name: tuple(row[k] for row in rows) for k, name in enumerate(names)},
        tuple(tuple(float(words[k]) for words in certified) for k in (2, 3)),
        tuple(Fraction(words[-2]) for words in certified),
        tuple(Fraction(words[-1]) for words in certified),
        Fraction(re.search(r"Sum of Squares:\s*(\S+)", text)[1]),
    )


@functools.cache
def residual(response: str, model: str, data: tuple[str, ...], names: tuple[str, ...]) -> tuple[Expr, Any]:
    """The residual as an expression, and its derivation: how every residual moves with every parameter."""
    shapes = {**dict.fromkeys(names, ()), **dict.fromkeys(data, "n")}
    r = gs.parse(f"{response} - ({model})", **shapes)
    return r, gs.jacobian(r, list(names), certify=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many digits of one set are NIST's: of the sum of squares, and of the worst standard deviation."""

    name: str
    parameters: int
    observations: int
    squares: float
    deviations: float
    seconds: float
    note: str = ""


def outcome(one: Set) -> Outcome:
    """One set at its certified parameters, refined first where they do not determine the answer."""
    began = time.perf_counter()
    r, d = residual(one.response, one.model, tuple(one.data), tuple(one.names))
    if one.name in REFINED:
        squares, deviations, steps = refined(one, r, d.answers)
        note = f"parameters refined with {LONG} digits, {steps} steps"
    else:
        squares, deviations = at_certified(one, r, d.answers)
        note = ""
    digits = min(agreeing(*pair) for pair in zip(deviations, one.deviations, strict=True))
    return Outcome(
        one.name,
        len(one.parameters),
        len(next(iter(one.data.values()))),
        agreeing(squares, one.squares),
        digits,
        time.perf_counter() - began,
        note,
    )


def agreeing(ours: Any, certified: Fraction) -> float:
    """−log₁₀ of the relative error, at most 11, which is how many digits are certified."""
    error = abs(float(ours - float(certified)) / float(certified))
    return 11.0 if error < 1e-11 else float(-np.log10(error))


def at_certified(one: Set, r: Expr, answers: Mapping[str, Expr]) -> tuple[float, list[float]]:
    """The sum of squares and the standard deviations in float64, from compiled code and a QR of J."""
    given = {name: np.array([float(x) for x in column]) for name, column in one.data.items()}
    given |= {name: float(b) for name, b in zip(one.names, one.parameters, strict=True)}
    e = gs.compile(r)(**given)
    J = np.stack(
        [np.broadcast_to(gs.evaluate(answers[name], **given), e.shape) for name in one.names], axis=1
    )
    size = np.linalg.norm(J, axis=0)
    R = np.linalg.qr(J / size, mode="r")
    inverse = np.linalg.solve(R, np.eye(len(R)))
    s = np.sqrt(e @ e / (len(e) - len(R)))
    return float(e @ e), list(s * np.linalg.norm(inverse, axis=1) / size)


def refined(one: Set, r: Expr, answers: Mapping[str, Expr]) -> tuple[Any, list[Any], int]:
    """The same in long numbers, at the minimum that Gauss–Newton steps reach from there."""
    from mpmath import MPContext

    context = MPContext()
    context.dps = LONG
    exact = np.vectorize(lambda x: context.mpf(x.numerator) / x.denominator, otypes=[object])
    given = {name: exact(np.array(column, dtype=object)) for name, column in one.data.items()}
    b = list(exact(np.array(one.parameters, dtype=object)))
    steps = 0
    while True:
        at = {**given, **dict(zip(one.names, b, strict=True))}
        e = context.matrix(list(evaluate_to(LONG, r, **at)))
        columns = [list(evaluate_to(LONG, answers[name], **at)) for name in one.names]
        J = context.matrix(columns).T
        step = context.lu_solve(J.T * J, -(J.T * e))
        if max(abs(step[k] / b[k]) for k in range(len(b))) < 1e-25 or steps == 50:
            break
        b = [b[k] + step[k] for k in range(len(b))]
        steps += 1
    squares = (e.T * e)[0]
    spread = (J.T * J) ** -1
    s = squares / (len(e) - len(b))
    return squares, [context.sqrt(s * spread[k, k]) for k in range(len(b))], steps


@dataclass(frozen=True, slots=True)
class Reached:
    """A fit of one set from one start: how many digits of the worst parameter are NIST's, and the steps."""

    name: str
    start: int
    digits: float
    steps: int
    evaluations: int
    stopped: str
    seconds: float


def fits(one: Set) -> list[Reached]:
    """One set from both of its starting points; the derivation is made once."""
    r, _ = residual(one.response, one.model, tuple(one.data), tuple(one.names))
    data = {name: np.array([float(x) for x in column]) for name, column in one.data.items()}
    derivation = gs.derive(gs.sum(r**2), wrt=one.names)
    measured = objective(compiled(derivation), data)
    found = []
    for k, values in enumerate(one.starts, start=1):
        began = time.process_time()
        start = {name: np.asarray(value) for name, value in zip(one.names, values, strict=True)}
        reached = descend(
            measured,
            start,
            optimiser="levenberg-marquardt",
            residuals=residuals_of(derivation, data, start),
        )
        b = [float(reached.parameters[name]) for name in one.names]
        digits = min(agreeing(*pair) for pair in zip(b, one.parameters, strict=True))
        seconds = time.process_time() - began
        found.append(
            Reached(one.name, k, digits, reached.steps, reached.evaluations, reached.stopped, seconds)
        )
    return found


def fits_table(found: list[list[Reached]]) -> str:
    """A line for each set, with both starts, and what they amount to."""
    head = f"{'set':<10}" + "".join(f"   from start {k}: digits steps evaluations  time" for k in (1, 2))
    rows = [
        f"{both[0].name:<10}"
        + "".join(
            f"   {one.digits:20.1f} {one.steps:5} {one.evaluations:11} {one.seconds * 1e3:4.0f} ms"
            for one in both
        )
        for both in found
    ]
    sums = [
        f"from start {k + 1}, {sum(both[k].digits >= FITTED for both in found)} of {len(found)} sets: "
        f"all parameters to {FITTED} digits"
        for k in (0, 1)
    ]
    return "\n".join([head, *rows, "", *sums])


def table(outcomes: list[Outcome]) -> str:
    """A line for each set, and what they amount to."""
    head = f"{'set':<10} {'p':>2} {'n':>4}   digits of r·r   of the deviations   time"
    rows = [
        f"{one.name:<10} {one.parameters:>2} {one.observations:>4}   {one.squares:13.1f} "
        f"{one.deviations:19.1f} {one.seconds * 1e3:5.0f} ms  {one.note}".rstrip()
        for one in outcomes
    ]
    right = sum(one.deviations >= DIGITS for one in outcomes)
    return "\n".join(
        [head, *rows, "", f"{right} of {len(outcomes)} sets: all standard deviations to {DIGITS} digits"]
    )


def main() -> int:
    """Print the table; 1 where there are no sets or one of them has fewer digits."""
    words = sys.argv[1:]
    given = words.pop(0) if words and Path(words[0]).is_dir() else None
    place = folder(given)
    if place is None:
        print("no sets here: name the folder of NIST's *.dat files, or set GRADSTEP_NIST")
        return 1
    chosen = [file for file in sorted(place.glob("*.dat")) if not words or file.stem in words]
    outcomes = [outcome(read(file)) for file in chosen]
    print(table(outcomes))
    found = [fits(read(file)) for file in chosen]
    print(f"\n{fits_table(found)}")
    right = all(one.deviations >= DIGITS for one in outcomes)
    return int(not right or any(one.digits < FITTED for both in found for one in both))


if __name__ == "__main__":
    sys.exit(main())
