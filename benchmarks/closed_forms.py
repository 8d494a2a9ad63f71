"""How long are our answers beside the closed forms that people know, and are they right?

Derives every case of `shared/cases` (cases.json, evaluate.py), compares values on several draws at two sizes,
and counts operations as its README says: BinOp, UnaryOp, Call and Compare of Python's ast, on the plain text
of the answer, where a part that occurs twice counts once. The worst ratio comes first.

    python benchmarks/closed_forms.py [folder of the cases] [words that an id or a family starts with …]

The folder is the argument, or $GRADSTEP_CASES, or shared/cases beside the repository.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr

COUNTED = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Compare)
ASSUMED = {"spd": "symmetric positive definite"}
TOLERANCE = {"hessian": 1e-7}
BOUND = 1.5  # a right answer that is more than this many times as long as the closed form is a fault

Case = Mapping[str, Any]


def folder(argument: str | None = None) -> Path | None:
    """Where the cases are, if they are anywhere."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "cases"
    chosen = Path(argument or os.environ.get("GRADSTEP_CASES") or beside)
    return chosen if (chosen / "cases.json").is_file() else None


@functools.cache
def bank(place: Path) -> Any:
    """The module `evaluate` that belongs to the cases: draw, expected, error."""
    spec = importlib.util.spec_from_file_location("reference_cases", place / "evaluate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def cases(place: Path | None) -> list[dict[str, Any]]:
    """All cases, or none where there is no such folder."""
    return [] if place is None else list(bank(place).load())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case."""

    id: str
    family: str
    ours: int
    known: int
    written_out: int
    verdict: bool | None
    floating: int
    error: float
    seconds: float
    text: str
    problem: str = ""

    @property
    def ratio(self) -> float:
        """Our length over the known one; 1 where there is nothing to write."""
        return self.ours / self.known if self.known else 1.0 if not self.ours else float(1 + self.ours)


def expression(case: Case) -> Expr:
    """The function that is to be differentiated."""
    assume = {name: ASSUMED.get(word, word) for name, word in case.get("assume", {}).items()}
    shapes = {name: tuple(sizes) for name, sizes in case["vars"].items()}
    return gs.parse(case["expr"], assume=assume, **shapes)


def derivation(case: Case, certify: bool = True) -> Derivation:
    """The case's derivative, derived by the function that its kind asks for."""
    f = expression(case)
    kind = case.get("structure", "").replace("symtoeplitz", "symmetric toeplitz")
    extra = {"structure": {case["wrt"]: kind}} if kind else {}
    function = {"jacobian": "jacobian", "hessian": "hessian"}.get(case["kind"], "derive")
    made: Derivation = getattr(gs, function)(f, case["wrt"], certify=certify, **extra)
    return made


def operations(text: str) -> list[ast.AST]:
    """The operators, calls and comparisons in `text`, statement by statement."""
    tree = ast.parse(text.replace("; ", "\n"))
    return [node for node in ast.walk(tree) if isinstance(node, COUNTED)]


def length(text: str) -> int:
    """The operations in `text`; a part that occurs twice counts once."""
    distinct = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(text.replace("; ", "\n")))
        if isinstance(node, COUNTED)
    }
    return len(distinct)


def length_written_out(text: str) -> int:
    """The operations in `text`, every one of them."""
    return len(operations(text))


def named(d: Derivation) -> str:
    """The answer as text, its named parts in front."""
    answer = d.answers[d.wrt[0]]
    names = {part: name for part, name in d.names.items() if part is not answer}
    return str(gs.plain(answer, names))


def outcome(case: Case, place: Path, draws: int = 3) -> Outcome:
    """One case: derived, certified, evaluated at two sizes, counted."""
    began = time.perf_counter()
    try:
        d = derivation(case)
        seconds = time.perf_counter() - began
        answer = d.answers[case["wrt"]]
        error = worst_error(case, answer, place, draws)
    except Exception as problem:  # the table says what went wrong with each
        words = f"{type(problem).__name__}: {problem}".splitlines()[0]
        return Outcome(
            case["id"], case["family"], 0, case["ops"], 0, None, 0, float("inf"), 0.0, "", words[:90]
        )
    text, out = named(d), str(answer)
    verdict = d.certificate.verdict if d.certificate else None
    floating = d.certificate.floating if d.certificate else 0
    limit = TOLERANCE.get(case["kind"], 1e-9)
    wrong = "" if error <= limit else "wrong value"
    if verdict is False:
        wrong = "certificate: False"
    return Outcome(
        case["id"],
        case["family"],
        length(text),
        case["ops"],
        length_written_out(out),
        verdict,
        floating,
        error,
        seconds,
        text,
        wrong,
    )


def worst_error(case: Case, answer: Expr, place: Path, draws: int = 3) -> float:
    """The largest relative error over several draws at the case's sizes, and one a size larger."""
    module = bank(place)
    plan = [(seed, 0) for seed in range(16 if "piecewise" in case.get("tags", ()) else draws)] + [(0, 1)]
    worst = 0.0
    for seed, extra in plan:
        arrays = module.draw(case, seed, extra)
        with np.errstate(all="ignore"):
            got = np.asarray(gs.evaluate(answer, **arrays), dtype=float)
        worst = max(worst, module.error(got, module.expected(case, arrays)))
    return worst


def table(outcomes: Sequence[Outcome]) -> str:
    """All outcomes, the worst first, and what they amount to."""
    rows = []
    for one in sorted(outcomes, key=lambda one: (not one.problem, -one.ratio)):
        verdict = {True: "True", False: "FALSE", None: "None"}[one.verdict]
        marks = f"{one.floating} floating" if one.floating else ""
        rows.append(
            f"{one.id:<22} {one.ratio:6.2f} {one.ours:5d} {one.known:5d} {one.written_out:5d}  {verdict:<5} "
            f"{one.error:8.1e} {one.seconds * 1e3:6.0f} ms  {one.problem or marks or ''}  {one.text[:200]}"
        )
    good = [one for one in outcomes if not one.problem]
    ratios = [one.ratio for one in good]
    head = "case                    ratio  ours known   out  proof    error      time"
    reasons = Counter(one.problem for one in outcomes if one.problem)
    summary = [
        "",
        f"{len(outcomes)} cases, {len(good)} right; median ratio {median(ratios):.2f}"
        if ratios
        else "none right",
        f"{sum(r > BOUND for r in ratios)} longer than {BOUND} times the closed form",
        *(f"{count:4d} {reason}" for reason, count in reasons.most_common()),
    ]
    return "\n".join([head, *rows, *summary])


def main() -> int:
    """Print the table; 1 where there are no cases or one of them fails."""
    words = sys.argv[1:]
    given = words.pop(0) if words and Path(words[0]).is_dir() else None
    place = folder(given)
    if place is None:
        print("no cases here: name their folder (with cases.json and evaluate.py), or set GRADSTEP_CASES")
        return 1
    chosen = [
        case
        for case in cases(place)
        if not words or any(case["id"].startswith(w) or case["family"].startswith(w) for w in words)
    ]
    outcomes = [outcome(case, place) for case in chosen]
    print(table(outcomes))
    return int(any(one.problem for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
