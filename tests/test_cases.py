"""Do the reference cases come out right, certified, and about as long as people write them?

The cases lie in shared/cases beside the repository; a clone without them has no such tests.
"""

import ast

import pytest

import gradstep as gs
from benchmarks.closed_forms import cases, folder, outcome
from gradstep.operations import FUNCTIONS

FOLDER = folder()


def speaks(case):
    """Whether gradstep has the functions that the case uses, and the kind of derivative that it asks for."""
    calls = {node.func.id for node in ast.walk(ast.parse(case["expr"])) if isinstance(node, ast.Call)}
    kind = {"jacobian": "jacobian", "hessian": "hessian"}.get(case["kind"], "derive")
    return calls <= set(FUNCTIONS) and hasattr(gs, kind) and "structure" not in case


CASES = [case for case in cases(FOLDER) if speaks(case)]

if CASES:

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
    def test_a_reference_case_comes_out_right(case):
        found = outcome(case, FOLDER, draws=2)
        assert found.problem == "", found
