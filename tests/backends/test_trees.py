"""Do the results of many windows come out the same, whoever added which of them?"""

import itertools

import numpy as np
import pytest

from gradstep.backends.blocks import in_pairs
from gradstep.backends.trees import Tree


def spelled(one, other):
    return f"({one}{other})"


def tree(values, first=0):
    found = Tree(spelled)
    for number, value in enumerate(values, start=first):
        found.put(number, 1, value)
    return found


@pytest.mark.parametrize("count", range(1, 40))
def test_parts_of_the_windows_lead_to_the_same_tree_as_all_of_them(count):
    values = [chr(0x4E00 + k) for k in range(count)]
    whole = tree(values).top()
    random = np.random.default_rng(count)
    for workers in (1, 2, 3, 7):
        borders = [0, *sorted(random.integers(0, count + 1, workers - 1)), count]
        together = Tree(spelled)
        for start, stop in itertools.pairwise(borders):
            for node in tree(values[start:stop], start).nodes:
                together.put(*node)
        assert together.top() == whole


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 11, 16, 100])
def test_the_tree_is_that_of_the_groups_of_blocks(count):
    numbers = np.random.default_rng(count).normal(size=count) * 10.0 ** np.arange(count % 13, count % 13 + 1)
    found = Tree(lambda one, other: one + other)
    for number, value in enumerate(numbers):
        found.put(number, 1, value)
    assert found.top() == in_pairs({"t": "sum"}, [{"t": value} for value in numbers])["t"]


def test_no_more_results_are_kept_than_have_no_partner():
    found = tree("x" * 1000)
    assert [node.size for node in found.nodes] == [512, 256, 128, 64, 32, 8]
