"""Do our Jacobians give the standard deviations that NIST has certified, and our fits its parameters?

The sets lie in shared/data/nist beside the repository; a clone without them has no such tests.
"""

import pytest

from benchmarks.nist import DIGITS, FITTED, fits, folder, outcome, read

FOLDER = folder()
FILES = sorted(FOLDER.glob("*.dat")) if FOLDER else []

if FILES:

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_a_jacobian_gives_the_certified_deviations(file):
        found = outcome(read(file))
        assert found.deviations >= DIGITS, found
        assert found.squares >= DIGITS, found

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_a_fit_reaches_the_certified_parameters_from_both_starts(file):
        for reached in fits(read(file)):
            assert reached.digits >= FITTED, reached

    def test_all_sets_are_there():
        assert len(FILES) == 27
