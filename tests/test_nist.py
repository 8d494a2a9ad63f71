"""Do our Jacobians give the standard deviations that NIST has certified?

The sets lie in shared/data/nist beside the repository; a clone without them has no such tests.
"""

import pytest

from benchmarks.nist import DIGITS, folder, outcome, read

FOLDER = folder()
FILES = sorted(FOLDER.glob("*.dat")) if FOLDER else []

if FILES:

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_a_jacobian_gives_the_certified_deviations(file):
        found = outcome(read(file))
        assert found.deviations >= DIGITS, found
        assert found.squares >= DIGITS, found

    def test_all_sets_are_there():
        assert len(FILES) == 27
