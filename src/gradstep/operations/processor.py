"""Which kernels should NumPy's products use, and how many threads? Both are settled when OpenBLAS loads.

The OpenBLAS in NumPy's wheels chooses its kernels by the name of the processor, and takes AVX2 for those of
AMD that have AVX-512, which costs half the speed of matrix products. The variable OPENBLAS_CORETYPE says it
better, if it is set before NumPy is imported. OpenBLAS also starts a thread for each core, which takes longer
than all products of a small table.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, MutableMapping, Sequence

VARIABLE, KERNELS = "OPENBLAS_CORETYPE", "SkylakeX"
THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")  # the first of these counts
OPT_OUT = "GRADSTEP_BLAS"  # "as-is" leaves the choice to OpenBLAS
SMALL = 1 << 20  # bytes of a table that needs one thread
WIDE = ("--hidden", "--model")  # with these there may be more to multiply than the table says
NEEDED = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}


def described(path: str = "/proc/cpuinfo") -> str:
    """What Linux says about the first processor; nothing elsewhere."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1 << 14).partition("\n\n")[0]
    except OSError:
        return ""


def is_underrated(processor: str) -> bool:
    """Whether a processor has AVX-512 and OpenBLAS takes it for one that has not."""
    facts = dict(line.split("\t", 1) for line in processor.splitlines() if "\t" in line)
    values = {name.strip(): value.strip("\t: ") for name, value in facts.items()}
    return values.get("vendor_id") == "AuthenticAMD" and set(values.get("flags", "").split()) >= NEEDED


def choose_kernels(
    environment: MutableMapping[str, str] = os.environ,
    loaded: Iterable[str] = sys.modules,
    processor: str | None = None,
) -> str:
    """Let OpenBLAS use AVX-512 in this process, where it would not; for a program of our own alone.

    What was done, in words; nothing where it is not needed, not wanted, or too late.
    """
    if VARIABLE in environment or environment.get(OPT_OUT) == "as-is" or "numpy" in loaded:
        return ""
    if not is_underrated(described() if processor is None else processor):
        return ""
    environment[VARIABLE] = KERNELS
    return f"{VARIABLE}={KERNELS}, since this processor has AVX-512; {OPT_OUT}=as-is leaves it as it was"


def choose_threads(
    words: Sequence[str],
    environment: MutableMapping[str, str] = os.environ,
    loaded: Iterable[str] = sys.modules,
) -> str:
    """Let OpenBLAS start no threads where the words of a command say that a small table is trained on.

    What was done, in words; nothing where there may be more to do, or it was settled otherwise.
    """
    settled = not {*THREADS, OPT_OUT}.isdisjoint(environment)
    if settled or "numpy" in loaded or words[:1] != ["train"]:
        return ""
    sizes = [os.path.getsize(word) for word in words[1:] if os.path.isfile(word)]
    if not sizes or sum(sizes) > SMALL or any(word.startswith(WIDE) for word in words):
        return ""
    environment[THREADS[0]] = "1"
    return f"{THREADS[0]}=1, since the table is small; {OPT_OUT}=as-is leaves it as it was"


def advice(architecture: str, processor: str | None = None) -> str:
    """What a host program can do, where OpenBLAS has chosen these kernels."""
    if architecture not in ("Haswell", "Zen") or not is_underrated(
        described() if processor is None else processor
    ):
        return ""
    return (
        f"OpenBLAS uses AVX2 though this processor has AVX-512: with {VARIABLE}={KERNELS} in the environment "
        "before NumPy is imported, products of matrices are about twice as fast"
    )
