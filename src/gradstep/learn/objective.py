"""How does a derivation become a function to walk down? Value and gradients as one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gradstep.backends.compiled import Compiled
from gradstep.backends.program import Program, program
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr
from gradstep.learn.coordinates import Arrays
from gradstep.learn.surface import Objective, Parameters


def load(written: Program) -> Compiled:  # PROVISIONAL: until backends/numpy.py has its own
    from gradstep.expression.node import walk

    names = [str(given.symbol.params[0]) for given in written.inputs]

    def run(nodes, known, sizes, done):
        for node in walk(*nodes):
            if node in done:
                continue
            if node.op.name == "symbol":
                done[node] = known[node.params[0]]
            else:
                done[node] = node.op.meaning(np, sizes, node.params, *(done[a] for a in node.args))

    def raw(*arrays):
        known = dict(zip(names, arrays))
        sizes = {size: known[n].shape[axis] for size, (n, axis) in written.sizes.items()}
        done: dict = {}
        for line in written.lines:
            run([line.value], known, sizes, done)
            known[line.name] = done[line.value]
        run(written.outputs.values(), known, sizes, done)
        out = [np.asarray(done[e], dtype=float) for e in written.outputs.values()]
        if len(out) == 1:
            return out[0]
        return float(out[0]), dict(zip(list(written.outputs)[1:], out[1:]))

    return Compiled("", written, raw)


def compiled(derivation: Derivation) -> Compiled:
    """The value and all gradients of a derivation, as NumPy code."""
    loss = derivation.names[derivation.of]
    return load(program({loss: derivation.of, **derivation.answers}, names=derivation.names))


def objective(function: Compiled, data: Arrays) -> Objective:
    """The loss on these data as a function of the parameters."""
    inputs = [given.name for given in function.program.inputs]

    def measured(parameters: Parameters) -> tuple[float, Mapping[str, object]]:
        arrays = [data[name] if name in data else parameters[name] for name in inputs]
        return function.raw(*arrays)

    return measured


def expression(expr: Expr) -> Compiled:
    """An expression as a function of its variables."""
    return load(program({"": expr}))


def watch_of(measured: Objective, enough: float = 0.0) -> Callable[[Parameters], float]:
    """The loss as `descend` watches it; below the share `enough` of its first value all is equally good."""
    first: list[float] = []

    def watch(parameters: Parameters) -> float:
        loss = float(np.asarray(measured(parameters)[0]))
        first.append(loss)
        del first[1:]
        return max(loss, enough * first[0])

    return watch
