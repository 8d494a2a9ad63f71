"""Do the reference cases come out right, certified, and about as long as people write them?

The cases lie in shared/cases beside the repository; a clone without them has no such tests.
"""

from statistics import median

from tables import each

from benchmarks.closed_forms import BOUND, cases, derivation, folder, length, named, outcome

FOLDER = folder()
CASES = cases(FOLDER)
# Answers that are longer than that, and why.
LONGER = {
    "cb-55": (2.0, "the known form has a pseudo-inverse, which is no operation here"),
    "ph-grad-g": (2.0, "the known form knows that u and v are the unit vectors"),
    "ph-jac-fg": (2.3, "the known form knows that u and v are the unit vectors"),
}

if CASES:

    @each("case", CASES, ids=lambda case: case["id"], tests=8)
    def test_a_reference_case_comes_out_right_and_short(case):
        found = outcome(case, FOLDER, draws=2)
        assert found.problem == "", found
        longest, _ = LONGER.get(case["id"], (BOUND, ""))
        assert found.ratio <= longest, found

    def test_half_of_the_answers_are_about_as_short_as_the_known_forms():
        """One test for all cases, so that it holds however the others are spread over processes."""
        ratios = [
            length(named(derivation(case, certify=False))) / case["ops"] for case in CASES if case["ops"]
        ]
        assert len(ratios) > 200 and median(ratios) <= 1.1
