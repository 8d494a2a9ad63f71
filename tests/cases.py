"""The reference cases: derivatives with known closed forms, if they lie beside the clone."""

import json
from pathlib import Path

import gradstep as gs

FILE = Path(__file__).parents[2] / "shared" / "cases" / "cases.json"
FACTS = {"spd": "symmetric positive definite"}


def load():
    return json.loads(FILE.read_text(encoding="utf-8"))


def parsed(case):
    """f, the function that the case is about."""
    shapes = {name: " ".join(map(str, shape)) for name, shape in case["vars"].items()}
    facts = {name: FACTS.get(fact, fact) for name, fact in case.get("assume", {}).items()}
    return gs.parse(case["expr"], assume=facts, **shapes)


def losses(cases):
    """The cases whose f is a number, with f; what gradstep cannot read yet is left out."""
    for case in cases:
        try:
            loss = parsed(case)
        except gs.MathError:
            continue
        if loss.shape == ():
            yield case, loss
