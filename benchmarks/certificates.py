"""What does proof cost beside derivation? Medians of both, for networks of up to 32 layers.

    python -m benchmarks.certificates [--repeat 9]

Each network is derived once without its certificate and certified then, both with warm caches; the ratio is
that of the medians. Where the reference cases lie beside the repository, the ratios of these follow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median, quantiles

import gradstep as gs
from benchmarks.closed_forms import cases, derivation, folder
from gradstep.calculus.certificate import certify

LAYERS = (1, 2, 4, 8, 16, 32)


def network(layers: int, end: str) -> tuple[gs.Expr, list[str]]:
    """A ReLU network with a bias in each layer: least squares, or softmax cross-entropy."""
    shapes = {"X": "N d", "Y": "N k"}
    lines, below, wide = [], "X", "d"
    for layer in range(1, layers + 1):
        out = "k" if layer == layers else f"h{layer}"
        shapes |= {f"W{layer}": f"{wide} {out}", f"b{layer}": out}
        affine = f"{below} @ W{layer} + b{layer}"
        lines.append(f"Z = {affine}" if layer == layers else f"A{layer} = relu({affine})")
        below, wide = f"A{layer}", out
    text = "; ".join([*lines, end])
    parameters = [f"{letter}{layer}" for layer in range(1, layers + 1) for letter in "Wb"]
    return gs.parse(text, **shapes), parameters


ENDS = {
    "least squares": "mean((Y - Z)**2)",
    "softmax cross-entropy": "-sum(Y*log(softmax(Z, axis=1)))/N",
}


def seconds(run: Callable[[], object], repeat: int) -> float:
    """The median processor time of a run."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return median(times)


def costs(layers: int, end: str, repeat: int) -> tuple[float, float]:
    """The time of a derivation, and of its certificate."""
    loss, parameters = network(layers, ENDS[end])
    d = gs.derive(loss, parameters, certify=False)
    assert certify(d, seed=1).verdict is True
    deriving = seconds(lambda: gs.derive(loss, parameters, certify=False), repeat)
    return deriving, seconds(lambda: certify(d, seed=1), repeat)


def of_cases(repeat: int) -> list[float]:
    """The ratio for each reference case, from the smallest; the gradients among them."""
    ratios = []
    for case in cases(folder()):
        if case["kind"] not in ("jacobian", "hessian"):
            d = derivation(case, certify=False)
            wrt = list(d.wrt)
            kinds = {name: inside.kind for name, inside in d.structures.items()}
            certify(d, seed=1)
            deriving = seconds(partial(gs.derive, d.of, wrt, structure=kinds, certify=False), repeat)
            ratios.append(seconds(partial(certify, d, seed=1), repeat) / deriving)
    return sorted(ratios)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeat", type=int, default=9)
    repeat = parser.parse_args(arguments).repeat
    print(f"{'network':24}{'layers':>7}{'derive':>11}{'certify':>11}{'ratio':>8}")
    for end in ENDS:
        for layers in LAYERS:
            deriving, proving = costs(layers, end, repeat)
            row = f"{end:24}{layers:>7}{deriving * 1e3:>8.1f} ms{proving * 1e3:>8.1f} ms"
            print(f"{row}{proving / deriving:>8.2f}")
    if ratios := of_cases(repeat):
        told = ", ".join(f"{cut:.2f}" for cut in quantiles(ratios, n=10))
        print(f"{len(ratios)} gradients of the cases: deciles {told}; {sum(r > 1 for r in ratios)} above 1")


if __name__ == "__main__":
    main()
