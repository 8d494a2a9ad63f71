"""Does the certificate notice a mistake in a rule or a law? A slip in each record, another kind each time.

`python benchmarks/mutants.py --all` makes every slip in every record, in every example.
"""

from functools import cache

import pytest

from benchmarks.mutants import (
    Mutant,
    a_few,
    all_mutants,
    by_the_book,
    equations,
    judge,
    of_differential,
    of_law,
    witnesses,
)
from gradstep.calculus.order_laws import LAWS
from gradstep.operations.cumulative import prod_others_op

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


def test_a_slip_that_shows_in_vectors_of_three_alone_is_caught():
    slips = [m for y in witnesses(prod_others_op, True) for m in of_differential(y)]
    caught, missed, _ = judge([m for m in slips if m.kind == "a transposed operand"])
    assert not missed and caught.total() > 10


def test_a_slip_in_a_mask_that_small_numbers_never_reach_is_seen_to_change_values():
    law = next(law for law in LAWS if law.name == "read forwards")
    slips = [m for sides in equations(law, True) for m in of_law(law, *sides, by_the_book)]
    caught, missed, equivalent = judge(slips)
    assert not missed and not equivalent and caught.total() > 8
