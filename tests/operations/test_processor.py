"""Are kernels and threads chosen only where OpenBLAS would not, and never against the user's word?"""

import pytest

from gradstep.operations.processor import (
    KERNELS,
    OPT_OUT,
    SMALL,
    THREADS,
    VARIABLE,
    advice,
    choose_kernels,
    choose_threads,
    is_underrated,
)

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


def test_a_small_table_is_trained_on_with_one_thread(tmp_path):
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_bytes(bytes(1000))
    large.write_bytes(bytes(SMALL))
    environment = {}
    said = choose_threads(["train", str(small), "--target", "y"], environment, [])
    assert environment == {THREADS[0]: "1"} and THREADS[0] in said and OPT_OUT in said
    many = [["predict", str(small)], ["train", str(tmp_path / "none.csv")], ["train", str(small), str(large)]]
    many += [["train", str(small), *more] for more in (["--hidden", "300"], ["--hidden=9"], ["--model", "b"])]
    for words in [*many, ["train"], []]:
        environment = {}
        assert choose_threads(words, environment, []) == "" and not environment, words
    for environment in ({name: "3"} for name in (*THREADS, OPT_OUT)):
        before = dict(environment)
        assert choose_threads(["train", str(small)], environment, []) == "" and environment == before
    assert choose_threads(["train", str(small)], {}, ["numpy"]) == ""
