"""Does the certificate notice a mistake in a rule or a law? A slip in each record, another kind each time.

`python benchmarks/mutants.py --all` makes every slip in every record, in every example.
"""

from functools import cache

import pytest

from benchmarks.mutants import Mutant, a_few, all_mutants, judge

CHUNKS = 8
KINDS = {
    "a factor of 1 + 1e-7",
    "the sign",
    "a factor of 2",
    "a transposed operand",
    "a wrong axis",
    "a lost mask",
    "a lost mean",
    "swapped operands",
    "a dropped term",
}


@cache
def few() -> list[Mutant]:
    return a_few(all_mutants())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_certificate_says_false_where_a_rule_or_a_law_has_a_slip(chunk, record_property):
    mutants = few()[chunk::CHUNKS]
    caught, missed, equivalent = judge(mutants)
    record_property("mutants", f"{caught.total()} caught, {len(equivalent)} change nothing")
    assert not missed
    assert caught.total() > len(mutants) * 2 // 3


def test_every_record_has_its_slip_and_every_kind_of_slip_its_turn():
    mutants = few()
    assert len(mutants) > 250
    assert {mutant.kind for mutant in mutants} == KINDS
