"""How long does `gradstep derive` take, from the prompt to the last line, against `python -c "import numpy"`?

Both are whole processes, taken in turns so that a busy machine slows both; the medians are compared.

    python benchmarks/start.py [rounds]
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

NEURON = ["mean((y - relu(X @ w + b))**2)", "X:N,d", "w:d", "b:", "y:N", "--wrt", "w,b"]
PROCESSES = {
    "python": ["-c", "pass"],
    "import gradstep": ["-c", "import gradstep"],
    "import click": ["-c", "import click"],
    "import numpy": ["-c", "import numpy"],
    "derive": ["-m", "gradstep", "derive", *NEURON],
    "derive --view sample": ["-m", "gradstep", "derive", *NEURON, "--view", "sample"],
}
LOADED = """
import atexit, sys
atexit.register(lambda: print({names!r} & set(sys.modules), file=sys.stderr))
from gradstep.cli import main
main({words!r})
"""


def seconds(words: list[str]) -> float:
    """How long one process takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def loaded() -> str:
    """Which heavy packages a derivation has loaded: none, it should be."""
    code = LOADED.format(words=["derive", *NEURON], names={"numpy", "rich", "scipy", "safetensors"})
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1]


def main(rounds: int) -> None:
    """Measure and print."""
    taken: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for words in PROCESSES.values():
        seconds(words)
    for _ in range(rounds):
        for name, words in PROCESSES.items():
            taken[name].append(seconds(words))
    for name, times in taken.items():
        print(f"{name:22} {1000 * median(times):7.1f} ms")
    for name in ("derive", "derive --view sample"):
        ratios = [own / theirs for own, theirs in zip(taken[name], taken["import numpy"], strict=True)]
        print(f"{name} / import numpy = {median(ratios):.2f}")
    extra = median(a - b for a, b in zip(taken["import gradstep"], taken["python"], strict=True))
    print(f"import gradstep adds {1000 * extra:.1f} ms; heavy packages that derive loads: {loaded()}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
