"""The reference cases: derivatives with known closed forms, if they lie beside the clone."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.closed_forms import derivation

FILE = Path(__file__).parents[2] / "shared" / "cases" / "cases.json"


def load():
    return json.loads(FILE.read_text(encoding="utf-8"))


def derivations(cases) -> Iterator:
    """Each case with its derivation: a gradient, a Jacobian or a Hessian."""
    for case in cases:
        yield case, derivation(case, certify=False)
