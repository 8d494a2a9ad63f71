"""Does whatever comes in end well: read, or refused with a reason, at once and in little memory?"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fuzz

SECONDS = 0.5  # of processor time
MEGABYTES = 300
WORK = 8.0  # seconds for what is read, derived, proved, told and compiled

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="attacks are measured in forks")


@pytest.fixture(scope="module")
def outcomes():
    script = Path(__file__).with_name("attacks.py")
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def told(outcome):
    return f"{outcome['door']} {outcome['name']!r}: {outcome['end']}, {outcome['said'][:200]!r}"


def test_every_attack_ends_as_it_should(outcomes):
    wrong = []
    for outcome in outcomes:
        words = outcome["words"]
        right = outcome["end"] == ("read" if words is None else "refused") if words != "" else True
        if outcome["end"] in ("crash", "killed") or not right or (words and words not in outcome["said"]):
            wrong.append(told(outcome))
    assert wrong == []
    assert len(outcomes) > 200


def test_every_attack_ends_at_once_in_little_memory(outcomes):
    slow = [
        f"{outcome['seconds']:.2f} s, {outcome['megabytes']:.0f} MB: {told(outcome)}"
        for outcome in outcomes
        if outcome["seconds"] > (WORK if outcome["door"] == "work" else SECONDS)
        or outcome["megabytes"] > MEGABYTES
    ]
    assert slow == []


def test_messages_are_short_and_printable(outcomes):
    for outcome in outcomes:
        assert len(outcome["said"]) < 2500, told(outcome)
        assert outcome["said"].replace("\n", "").isprintable(), told(outcome)


@pytest.mark.parametrize("deep, count", [(False, 1000), (True, 6)])
def test_a_sample_of_the_fuzz(deep, count):
    tally = fuzz.run(20, count, deep)
    assert tally.crashes == []
    assert tally.ends["refused"] and tally.ends.total() == count
    assert tally.ends["derive"] if deep else tally.ends["read"] > count / 5
