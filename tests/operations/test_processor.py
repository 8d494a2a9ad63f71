"""Are wide kernels chosen only where OpenBLAS would not, and never against the user's word?"""

import pytest

from gradstep.operations.processor import KERNELS, OPT_OUT, VARIABLE, advice, choose_kernels, is_underrated

WIDE = "avx2 avx512f avx512bw avx512dq avx512vl avx512cd"


def processor(vendor, flags):
    return f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: some: thing\nflags\t\t: fpu {flags} sse\n"


@pytest.mark.parametrize(
    ("described", "underrated"),
    [
        (processor("AuthenticAMD", WIDE), True),
        (processor("AuthenticAMD", "avx2"), False),
        (processor("AuthenticAMD", WIDE.replace("avx512vl", "")), False),
        (processor("GenuineIntel", WIDE), False),  # OpenBLAS knows these by their flags
        ("", False),
        ("processor: 0", False),
    ],
)
def test_what_openblas_underrates(described, underrated):
    assert is_underrated(described) is underrated
    assert bool(advice("Haswell", described)) is underrated
    assert not advice("SkylakeX", described)


def test_kernels_are_chosen_once_and_never_against_what_was_said():
    wide = processor("AuthenticAMD", WIDE)
    for environment, loaded in (({VARIABLE: "Zen"}, []), ({OPT_OUT: "as-is"}, []), ({}, ["numpy"])):
        before = dict(environment)
        assert choose_kernels(environment, loaded, wide) == "" and environment == before
    environment = {}
    said = choose_kernels(environment, [], wide)
    assert environment == {VARIABLE: KERNELS} and KERNELS in said and OPT_OUT in said
    assert choose_kernels({}, [], processor("GenuineIntel", WIDE)) == ""
