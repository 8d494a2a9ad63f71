"""Have GradBench's objectives, said in gradstep's language, JAX's and PyTorch's gradients, and how fast?

    python3 dev.py setup --peers
    .venv/bin/python benchmarks/gradbench.py [names of objectives …] [--small]

GradBench (partly Microsoft's ADBench: Srajer, Kukelova and Fitzgibbon, "A benchmark of selected algorithmic
differentiation tools on some problems in computer vision and machine learning", 2018) compares tools on
problems like these. Its harness is no package; the problems are written here from their definitions, at its
sizes, with random data of its kind. Every gradient is compared in float64 with what JAX and PyTorch give for
the same function, written with their own operations, where they are installed.

What does not fit: the sequence of `lstm` is 16 long instead of 1,024, because a formula has no loop and grows
with the sequence; `ode`, `particle` and `saddle` are loops too, and `ht` needs a skeleton's transformations.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.expression.node import Expr

TOLERANCE = 1e-8  # relative to the largest entry of a gradient
PEERS = ("torch", "jax")
Sizes = Mapping[str, int]
Values = Mapping[str, Any]
LETTERS = 14  # of the alphabet in lstm


@dataclass(frozen=True, slots=True)
class Objective:
    """One problem: `ours` in gradstep, `theirs` by a peer's functions, `data` by sizes, gradients by `wrt`.

    Where `newton`, what is asked for is the gradient over the diagonal of the Hessian, as in k-means.
    """

    name: str
    about: str
    ours: Callable[[Sizes], Expr]
    theirs: Callable[[Any, Values], Any]
    data: Callable[[np.random.Generator, Sizes], dict[str, Any]]
    wrt: Sequence[str]
    sizes: Sequence[Sizes]
    small: Sizes
    newton: bool = False


# ------------------------------------------------------------------------------------------- the problems


def triangle(d: int) -> np.ndarray:
    """Where each entry of a matrix is found among 0 and those below the diagonal, column by column."""
    places = np.zeros((d, d))
    places.T[np.triu_indices(d, 1)] = np.arange(1, d * (d - 1) // 2 + 1)
    return places.ravel()


def _gmm_data(rng: np.random.Generator, sizes: Sizes) -> dict[str, Any]:
    d, k = sizes["d"], sizes["k"]
    return {
        "x": rng.normal(size=(sizes["n"], d)),
        "alpha": rng.normal(size=k),
        "mu": rng.uniform(size=(k, d)),
        "q": rng.normal(size=(k, d)),
        "l": rng.normal(size=(k, d * (d - 1) // 2)),
        "places": triangle(d),
    }


def _gmm(sizes: Sizes) -> Expr:
    """The log-posterior of a mixture of normals with a Wishart prior (γ = 1, m = 0), up to a constant."""
    return gs.parse(
        """Q = exp(q)
        L = reshape(take(concatenate([zeros(1, k), l.T]), places), (d, d, k))
        E = x[:, None, :] - mu[None, :, :]
        R = Q[None, :, :]*E + einsum("ijk,nkj->nki", L, E)
        likelihood = sum(logsumexp(alpha + sum(q, axis=1) - sum(R**2, axis=2)/2, axis=1)) - n*logsumexp(alpha)
        likelihood + (sum(Q**2) + sum(l**2))/2""",
        x="n d", alpha="k", mu="k d", q="k d", l="k p", places="d*d",
    )  # fmt: skip


def _gmm_theirs(xp: Any, v: Values) -> Any:
    Q, d, k = xp.exp(v["q"]), v["x"].shape[1], v["alpha"].shape[0]
    columns = xp.concatenate([xp.constant(np.zeros((1, k))), v["l"].T])
    L = xp.take(columns, v["places"]).reshape(d, d, k)
    E = v["x"][:, None, :] - v["mu"][None]
    R = Q * E + xp.einsum("ijk,nkj->nki", L, E)
    inner = v["alpha"] + v["q"].sum(1) - (R**2).sum(2) / 2
    likelihood = xp.logsumexp(inner, 1).sum() - v["x"].shape[0] * xp.logsumexp(v["alpha"], 0)
    return likelihood + ((Q**2).sum() + (v["l"] ** 2).sum()) / 2


def _ba_data(rng: np.random.Generator, sizes: Sizes) -> dict[str, Any]:
    """Cameras that look at points a few units away, one of each for every observation."""
    p = sizes["p"]
    camera = rng.normal(size=(p, 11)) * [0.5] * 11
    camera[:, 6] += 3
    return {
        "camera": camera,
        "X": rng.normal(size=(p, 3)) + np.array([0, 0, 5]),
        "w": rng.uniform(0.5, 1.5, p),
        "feat": rng.normal(size=(p, 2)),
    }


def _ba(sizes: Sizes) -> Expr:
    """Bundle adjustment: how far every point is projected from where it was seen.

    A camera is a rotation (axis times angle, Rodrigues' formula), its centre, its focal length, its principal
    point and two radial distortions. Every residual depends on one camera and one point: the gradient of the
    sum of all first (second) coordinates has the blocks of the sparse Jacobian as its rows; `t` weighs both.
    """
    return gs.parse(
        """r = camera[:, 0:3]; a = norm(r, axis=1, keepdims=True); u = r/a
        B = X - camera[:, 3:6]
        c = cos(a); s = sin(a)
        cross = stack([u[:, 1]*B[:, 2] - u[:, 2]*B[:, 1], u[:, 2]*B[:, 0] - u[:, 0]*B[:, 2],
                       u[:, 0]*B[:, 1] - u[:, 1]*B[:, 0]], axis=1)
        V = B*c + cross*s + u*(sum(u*B, axis=1, keepdims=True)*(1 - c))
        P = V[:, 0:2]/V[:, 2:3]
        rr = sum(P**2, axis=1, keepdims=True)
        D = P*(1 + camera[:, 9:10]*rr + camera[:, 10:11]*rr**2)
        F = (D*camera[:, 6:7] + camera[:, 7:9] - feat)*w[:, None]
        sum(F @ t)""",
        camera=("p", 11), X=("p", 3), w=("p",), feat=("p", 2), t=(2,),
    )  # fmt: skip


def _ba_theirs(xp: Any, v: Values) -> Any:
    r, B = v["camera"][:, :3], v["X"] - v["camera"][:, 3:6]
    a = (r**2).sum(1)[:, None] ** 0.5
    u, c, s = r / a, xp.cos(a), xp.sin(a)
    V = B * c + xp.cross(u, B) * s + u * ((u * B).sum(1)[:, None] * (1 - c))
    P = V[:, :2] / V[:, 2:]
    rr = (P**2).sum(1)[:, None]
    D = P * (1 + v["camera"][:, 9:10] * rr + v["camera"][:, 10:] * rr**2)
    return ((D * v["camera"][:, 6:7] + v["camera"][:, 7:9] - v["feat"]) * v["w"][:, None] @ v["t"]).sum()


def _lstm_data(rng: np.random.Generator, sizes: Sizes) -> dict[str, Any]:
    """Weights, and a text of letters as rows with a one."""
    layers, steps = sizes["layers"], sizes["steps"]
    return {
        "main": rng.normal(size=(2 * layers, 4 * LETTERS)),
        "extra": rng.normal(size=(3, LETTERS)),
        "state": rng.normal(size=(2 * layers, LETTERS)),
        "sequence": np.eye(LETTERS)[rng.integers(LETTERS, size=steps)],
    }


def _lstm(sizes: Sizes) -> Expr:
    """A network with long short-term memory, its weights diagonal: what comes next in a sequence?"""
    layers, steps = sizes["layers"], sizes["steps"]
    gates = {
        name: (slice(k * LETTERS, (k + 1) * LETTERS))
        for k, name in enumerate(("forget", "take", "out", "change"))
    }
    v = gs.symbols(
        main=(2 * layers, 4 * LETTERS),
        extra=(3, LETTERS),
        state=(2 * layers, LETTERS),
        sequence=(steps, LETTERS),
    )
    main, extra, state, sequence = v

    def gate(name: str, layer: int, x: Expr) -> Expr:
        return x * main[2 * layer, gates[name]] + main[2 * layer + 1, gates[name]]

    hidden = [state[2 * k] for k in range(layers)]
    cell = [state[2 * k + 1] for k in range(layers)]
    total: Any = 0
    for t in range(steps - 1):
        x = sequence[t] * extra[0]
        for k in range(layers):
            kept = cell[k] * gs.sigmoid(gate("forget", k, x))
            cell[k] = kept + gs.sigmoid(gate("take", k, hidden[k])) * gs.tanh(gate("change", k, hidden[k]))
            x = hidden[k] = gs.sigmoid(gate("out", k, x)) * gs.tanh(cell[k])
        y = x * extra[1] + extra[2]
        total = total + gs.sum(sequence[t + 1] * (y - gs.log(2 + gs.sum(gs.exp(y)))))
    return -total / ((steps - 1) * LETTERS)


def _lstm_theirs(xp: Any, v: Values) -> Any:
    main, extra, state, sequence = (v[name] for name in ("main", "extra", "state", "sequence"))
    b, layers = LETTERS, state.shape[0] // 2
    hidden = [state[2 * k] for k in range(layers)]
    cell = [state[2 * k + 1] for k in range(layers)]
    total = 0.0
    for t in range(sequence.shape[0] - 1):
        x = sequence[t] * extra[0]
        for k in range(layers):
            w, c, h = main[2 * k], main[2 * k + 1], hidden[k]
            forget = xp.sigmoid(x * w[:b] + c[:b])
            take = xp.sigmoid(h * w[b : 2 * b] + c[b : 2 * b])
            out = xp.sigmoid(x * w[2 * b : 3 * b] + c[2 * b : 3 * b])
            change = xp.tanh(h * w[3 * b :] + c[3 * b :])
            cell[k] = cell[k] * forget + take * change
            x = hidden[k] = out * xp.tanh(cell[k])
        y = x * extra[1] + extra[2]
        total = total + (sequence[t + 1] * (y - xp.log(2 + xp.exp(y).sum()))).sum()
    return -total / ((sequence.shape[0] - 1) * b)


def _llsq_data(rng: np.random.Generator, sizes: Sizes) -> dict[str, Any]:
    t = np.linspace(-1, 1, sizes["n"])
    return {"x": rng.uniform(size=sizes["m"]), "s": np.sign(t), "t": t}


def _llsq(sizes: Sizes) -> Expr:
    """A polynomial in t fitted to the sign of t; k are the exponents."""
    return gs.parse("T = t[:, None]**k[None, :]; sum((s - T @ x)**2)/2", x="m", s="n", t="n", k="m")


def _llsq_theirs(xp: Any, v: Values) -> Any:
    return ((v["s"] - v["t"][:, None] ** v["k"] @ v["x"]) ** 2).sum() / 2


def _lse_theirs(xp: Any, v: Values) -> Any:
    return xp.logsumexp(v["x"], 0)


def _kmeans(sizes: Sizes) -> Expr:
    """The sum of the squared distances of all points from their nearest centres."""
    return gs.parse(
        "D = sum(P**2, axis=1)[:, None] + sum(C**2, axis=1)[None, :] - 2*P @ C.T; sum(min(D, axis=1))",
        P="n d", C="k d",
    )  # fmt: skip


def _kmeans_theirs(xp: Any, v: Values) -> Any:
    P, C = v["P"], v["C"]
    return xp.min((P**2).sum(1)[:, None] + (C**2).sum(1) - 2 * P @ C.T, 1).sum()


def _kmeans_data(rng: np.random.Generator, sizes: Sizes) -> dict[str, Any]:
    P = rng.uniform(size=(sizes["n"], sizes["d"]))
    return {"P": P, "C": P[-sizes["k"] :].copy()}


OBJECTIVES = (
    Objective(
        "gmm", "mixture of normals", _gmm, _gmm_theirs, _gmm_data, ["alpha", "mu", "q", "l"],
        [{"d": d, "k": k, "n": 1000} for d, k in ((2, 5), (10, 25), (20, 50), (64, 10), (64, 100))],
        {"d": 3, "k": 2, "n": 5},
    ),
    Objective(
        "ba", "bundle adjustment", _ba, _ba_theirs,
        lambda rng, sizes: {**_ba_data(rng, sizes), "t": np.array([1.0, -0.5])}, ["camera", "X", "w"],
        [{"p": 31843}, {"p": 204472}], {"p": 4},
    ),
    Objective(
        "lstm", "long short-term memory", _lstm, _lstm_theirs, _lstm_data, ["main", "extra"],
        [{"layers": 2, "steps": 8}, {"layers": 2, "steps": 16}], {"layers": 2, "steps": 4},
    ),
    Objective(
        "llsq", "polynomial least squares", _llsq, _llsq_theirs,
        lambda rng, sizes: {**_llsq_data(rng, sizes), "k": np.arange(sizes["m"], dtype=float)}, ["x"],
        [{"m": 128, "n": n} for n in (16, 1024, 16392)], {"m": 4, "n": 6},
    ),
    Objective(
        "lse", "log Σ exp, by name", lambda sizes: gs.parse("logsumexp(x)", x="n"), _lse_theirs,
        lambda rng, sizes: {"x": rng.uniform(-100, 100, sizes["n"])}, ["x"],
        [{"n": n} for n in (2500, 80_000, 1_280_000)], {"n": 6},
    ),
    Objective(
        "lse by hand", "log Σ exp, by max, exp, sum and log",
        lambda sizes: gs.parse("a = max(x); a + log(sum(exp(x - a)))", x="n"), _lse_theirs,
        lambda rng, sizes: {"x": rng.uniform(-100, 100, sizes["n"])}, ["x"],
        [{"n": n} for n in (2500, 80_000, 1_280_000)], {"n": 6},
    ),
    Objective(
        "kmeans", "Newton's step of k-means", _kmeans, _kmeans_theirs, _kmeans_data, ["C"],
        [{"k": k, "n": n, "d": 8} for k, n in ((10, 1000), (100, 10_000), (100, 100_000))],
        {"k": 2, "n": 7, "d": 3}, newton=True,
    ),
    Objective(
        "det", "determinant", lambda sizes: gs.parse("det(A)", A="n n"), lambda xp, v: xp.det(v["A"]),
        lambda rng, sizes: {"A": rng.uniform(size=(sizes["n"], sizes["n"]))}, ["A"],
        [{"n": 5}, {"n": 11}], {"n": 3},
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- who computes

Run = Callable[[], dict[str, np.ndarray]]


def ours(objective: Objective, sizes: Sizes, values: Values) -> Run:
    """The compiled gradient."""
    f = objective.ours(sizes)
    slope = gs.compile(gs.derive(f, list(objective.wrt)))
    if not objective.newton:
        return lambda: slope(**values)[1]
    (name,) = objective.wrt
    curve = gs.compile(gs.hvp(f, name, "ones_"))
    ones = np.ones_like(values[name])
    return lambda: {name: slope(**values)[1][name] / curve(**values, ones_=ones)[1][name]}


class Torch:
    """PyTorch, with its functions by the names that the problems use."""

    def __init__(self) -> None:
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
        self.torch = torch
        for name in ("exp", "log", "cos", "sin", "tanh", "sigmoid", "einsum", "logsumexp"):
            setattr(self, name, getattr(torch, name))
        self.concatenate, self.det, self.cross = torch.cat, torch.linalg.det, torch.linalg.cross
        self.min, self.constant = torch.amin, torch.from_numpy

    def take(self, rows: Any, places: Any) -> Any:
        return rows[places.long()]

    def run(self, objective: Objective, values: Values) -> Run:
        torch = self.torch
        given = {name: torch.from_numpy(np.asarray(value)).clone() for name, value in values.items()}
        moving = [given[name].requires_grad_() for name in objective.wrt]

        def gradient() -> dict[str, np.ndarray]:
            slopes = torch.autograd.grad(objective.theirs(self, given), moving, create_graph=objective.newton)
            if objective.newton:
                (curve,) = torch.autograd.grad(slopes[0].sum(), moving)
                slopes = [slopes[0] / curve]
            return {name: slope.detach().numpy() for name, slope in zip(objective.wrt, slopes, strict=True)}

        return gradient


class Jax:
    """JAX in float64, compiled before it is timed."""

    def __init__(self) -> None:
        jax = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)
        self.jax, jnp = jax, jax.numpy
        for name in ("exp", "log", "cos", "sin", "tanh", "einsum", "concatenate", "cross", "min"):
            setattr(self, name, getattr(jnp, name))
        self.logsumexp, self.sigmoid = jax.nn.logsumexp, jax.nn.sigmoid
        self.det, self.constant = jnp.linalg.det, jnp.asarray

    def take(self, rows: Any, places: Any) -> Any:
        return rows[places.astype(int)]

    def run(self, objective: Objective, values: Values) -> Run:
        jax, wrt = self.jax, list(objective.wrt)
        moving = {name: jax.numpy.asarray(values[name]) for name in wrt}
        still = {name: jax.numpy.asarray(value) for name, value in values.items() if name not in moving}

        def slope(at: Values, rest: Values) -> Any:
            return jax.grad(lambda there: objective.theirs(self, {**rest, **there}))(at)

        def newton(at: Values, rest: Values) -> Any:
            ones = jax.tree.map(jax.numpy.ones_like, at)
            g, h = jax.jvp(lambda there: slope(there, rest), (at,), (ones,))
            return jax.tree.map(lambda a, b: a / b, g, h)

        compiled = jax.jit(newton if objective.newton else slope)
        return lambda: {name: np.asarray(found) for name, found in compiled(moving, still).items()}


MAKERS: Mapping[str, Callable[[], Any]] = {"torch": Torch, "jax": Jax}


def error(found: Values, wanted: Values) -> float:
    """The largest difference, relative to the largest entry of each gradient."""
    return max(
        float(np.abs(found[name] - wanted[name]).max() / np.abs(wanted[name]).max()) for name in wanted
    )


def seconds(run: Run, least: float = 0.2) -> float:
    """The shortest of several runs, for at least so long."""
    best, spent = math.inf, 0.0
    while spent < least:
        began = time.perf_counter()
        run()
        took = time.perf_counter() - began
        best, spent = min(best, took), spent + took
    return best


def rows(objectives: Sequence[Objective], small: bool = False) -> Iterator[tuple[str, float]]:
    """A line for each problem and size, and its largest error."""
    peers = {name: MAKERS[name]() for name in PEERS if importlib.util.find_spec(name)}
    for objective in objectives:
        for sizes in [objective.small] if small else objective.sizes:
            values = objective.data(np.random.default_rng(31337), sizes)
            began = time.perf_counter()
            mine = ours(objective, sizes, values)
            made = time.perf_counter() - began
            found, own = mine(), seconds(mine)
            cells, worst = "", 0.0
            for peer in peers.values():
                theirs = peer.run(objective, values)
                wrong = error(found, theirs())
                worst = max(worst, wrong)
                cells += f"{wrong:9.1e} {own / seconds(theirs):8.2f}"
            shown = " ".join(f"{name}={size}" for name, size in sizes.items())
            yield f"{objective.name:<12} {shown:<20} {made:7.2f} s {own * 1e3:9.2f} ms {cells}", worst


def main() -> int:
    """Print the table; 1 where a gradient differs."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("names", nargs="*")
    asked.add_argument("--small", action="store_true", help="small sizes")
    given = asked.parse_args()
    chosen = [o for o in OBJECTIVES if not given.names or o.name.split()[0] in given.names]
    names = [name for name in PEERS if importlib.util.find_spec(name)]
    print(f"{'problem':<12} {'sizes':<20} {'derived':>9} {'run':>12} ", end="")
    print(" ".join(f"{'error':>8} {'/' + name:>8}" for name in names))
    failed = 0
    for line, worst in rows(chosen, given.small):
        failed += worst > TOLERANCE
        print(line, flush=True)
    print(f"\n{'all gradients agree' if not failed else f'{failed} differ'} to {TOLERANCE:g}; /peer:")
    print("how many times as long ours takes, one thread each, compiled code of JAX and eager PyTorch")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
