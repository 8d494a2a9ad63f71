"""How long until the same loss? Our optimisers beside scikit-learn's solvers, on scikit-learn's data.

    python benchmarks/solvers.py [--rounds 7] [names of problems …]

Each problem is one loss, penalty included, that scikit-learn states in its manual and gradstep derives from
its text. The goal is a loss within a millionth of the lowest that anyone finds. Nobody's path is looked into:
each solver is run with its loosest tolerance, of powers of ten, whose result is at the goal, and that run is
timed. Runs of all solvers take turns; times are medians, with one thread for linear algebra.

"walk" is the optimiser alone, as a solver of scikit-learn is; "all" is gs.train: the derivation, its
certificate, the code, and what a `Fit` tells. scikit-learn's times are those of fit(), which derives nothing.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.linear_model import (
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from threadpoolctl import threadpool_limits

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn.descent import descend
from gradstep.learn.knowledge import curvature_of, line_of, residuals_of
from gradstep.learn.objective import compiled, objective
from gradstep.learn.optimisers import OPTIMISERS

CLOSE = 1e-6
TOLERANCES = [10.0**-k for k in range(1, 15)]
MOST_STEPS = 20_000
LINEAR = {"X": "N d", "w": "d", "b": "", "y": "N"}
SOFTMAX = {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One loss on one data set; `theirs` are scikit-learn's solvers for it, by a tolerance.

    `read` turns one of their estimators into our parameters.
    """

    text: str
    shapes: Mapping[str, str]
    data: Arrays
    start: Arrays
    theirs: Mapping[str, Callable[[float], Any]]
    read: Callable[[Any], dict[str, Any]]
    target: np.ndarray

    @property
    def size(self) -> str:
        return "×".join(map(str, self.data["X"].shape))


def plane(estimator: Any) -> dict[str, Any]:
    """The weights and the bias of a linear model of one output."""
    return {"w": np.ravel(estimator.coef_), "b": np.ravel(estimator.intercept_)[0]}


def planes(estimator: Any) -> dict[str, Any]:
    return {"W": estimator.coef_.T, "b": estimator.intercept_}


def scaled(X: np.ndarray) -> np.ndarray:
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)


def ridge(X: np.ndarray, y: np.ndarray, alpha: float = 1.0) -> Problem:
    """Ridge: ‖y − Xw − b‖² + α‖w‖²."""
    solvers = {
        f"Ridge {name}": lambda tol, name=name: Ridge(alpha=alpha, solver=name, tol=tol, max_iter=MOST_STEPS)
        for name in ("cholesky", "svd", "sparse_cg", "lsqr", "sag")
    }
    sgd = {
        "SGDRegressor": lambda tol: SGDRegressor(alpha=alpha / len(y), tol=tol, max_iter=2000, random_state=0)
    }
    return Problem(
        f"(sum((y - (X @ w + b))**2) + {alpha}*(w @ w))/N",
        LINEAR,
        {"X": X, "y": y},
        {"w": np.zeros(X.shape[1]), "b": np.zeros(())},
        solvers | sgd,
        plane,
        y,
    )


def logistic(X: np.ndarray, y: np.ndarray, C: float = 1.0) -> Problem:
    """LogisticRegression of two classes: C Σ log(1 + exp(−±z)) + ‖w‖²/2, here divided by C N."""
    solvers = {
        f"LogisticRegression {name}": lambda tol, name=name: LogisticRegression(
            C=C, solver=name, tol=tol, max_iter=MOST_STEPS, random_state=0
        )
        for name in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
    }
    sgd = {
        "SGDClassifier": lambda tol: SGDClassifier(
            loss="log_loss", alpha=1 / (C * len(y)), tol=tol, max_iter=2000, random_state=0
        )
    }
    return Problem(
        f"z = X @ w + b; mean(softplus(z) - y*z) + (w @ w)/(2*{C}*N)",
        LINEAR,
        {"X": X, "y": y.astype(float)},
        {"w": np.zeros(X.shape[1]), "b": np.zeros(())},
        solvers | sgd,
        plane,
        y,
    )


def softmax(X: np.ndarray, y: np.ndarray, C: float = 1.0) -> Problem:
    """LogisticRegression of several classes: softmax cross-entropy and ‖W‖²/2, divided by C N."""
    solvers = {
        f"LogisticRegression {name}": lambda tol, name=name: LogisticRegression(
            C=C, solver=name, tol=tol, max_iter=MOST_STEPS, random_state=0
        )
        for name in ("lbfgs", "newton-cg", "newton-cholesky")
    }
    k = int(y.max()) + 1
    return Problem(
        f"Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1)) + sum(W**2)/(2*{C}*N)",
        SOFTMAX,
        {"X": X, "Y": np.eye(k)[y]},
        {"W": np.zeros((X.shape[1], k)), "b": np.zeros(k)},
        solvers,
        planes,
        y,
    )


def poisson(X: np.ndarray, y: np.ndarray, alpha: float = 1.0) -> Problem:
    """PoissonRegressor: half the mean deviance, without what does not depend on w, and α‖w‖²/2."""
    solvers = {
        f"PoissonRegressor {name}": lambda tol, name=name: PoissonRegressor(
            alpha=alpha, solver=name, tol=tol, max_iter=MOST_STEPS
        )
        for name in ("lbfgs", "newton-cholesky")
    }
    return Problem(
        f"z = X @ w + b; mean(exp(z) - y*z) + {alpha / 2}*(w @ w)",
        LINEAR,
        {"X": X, "y": y},
        {"w": np.zeros(X.shape[1]), "b": np.asarray(np.log(y.mean()))},
        solvers,
        plane,
        y,
    )


def huber(X: np.ndarray, y: np.ndarray, alpha: float = 1e-4, bend: float = 1.35) -> Problem:
    """HuberRegressor: Σ (σ + H((y − Xw − b)/σ) σ) + α‖w‖², with σ found too; divided by N, and σ = exp(s)."""
    text = (
        f"s = exp(t); u = (y - (X @ w + b))/s; a = minimum(abs(u), {bend}); "
        f"s*mean(1 + a*(2*abs(u) - a)) + {alpha}*(w @ w)/N"
    )
    return Problem(
        text,
        {**LINEAR, "t": ""},
        {"X": X, "y": y},
        {"w": np.zeros(X.shape[1]), "b": np.zeros(()), "t": np.zeros(())},
        {
            "HuberRegressor": lambda tol: HuberRegressor(
                epsilon=bend, alpha=alpha, tol=tol, max_iter=MOST_STEPS
            )
        },
        lambda found: plane(found) | {"t": np.log(found.scale_)},
        y,
    )


def problems() -> dict[str, Callable[[], Problem]]:
    """By name; data are made when they are asked for."""

    def counts() -> tuple[np.ndarray, np.ndarray]:
        X = scaled(datasets.load_diabetes().data)
        return X, np.round(datasets.load_diabetes().target / 10)

    def loaded(name: str) -> tuple[np.ndarray, np.ndarray]:
        data = getattr(datasets, f"load_{name}")()
        return scaled(data.data), data.target

    def classes() -> tuple[np.ndarray, np.ndarray]:
        X, y = datasets.make_classification(20_000, 100, n_informative=30, random_state=0)
        return scaled(X), y

    def numbers() -> tuple[np.ndarray, np.ndarray]:
        X, y = datasets.make_regression(20_000, 100, n_informative=30, noise=20, random_state=0)
        return scaled(X), y

    return {
        "ridge, diabetes": lambda: ridge(*loaded("diabetes")),
        "ridge, made 20,000": lambda: ridge(*numbers()),
        "logistic, breast cancer": lambda: logistic(*loaded("breast_cancer")),
        "logistic, made 20,000": lambda: logistic(*classes()),
        "softmax, iris": lambda: softmax(*loaded("iris")),
        "softmax, wine": lambda: softmax(*loaded("wine")),
        "softmax, digits": lambda: softmax(*loaded("digits")),
        "poisson, diabetes": lambda: poisson(*counts()),
        "huber, diabetes": lambda: huber(*loaded("diabetes")),
    }


# ------------------------------------------------------------------------------------------- runs


@dataclass
class Runner:
    """A solver on a problem: `run(tolerance)` gives the parameters it finds."""

    name: str
    ours: bool
    run: Callable[[float], Mapping[str, Any]]
    tolerance: float | None = None
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def runners(problem: Problem) -> list[Runner]:
    """All solvers: theirs; ours, alone and with all that gs.train does."""
    loss = gs.parse(problem.text, **problem.shapes)
    derivation = gs.derive(loss, wrt=list(problem.start))
    function = compiled(derivation)
    found = []
    for name, made in problem.theirs.items():

        def theirs(tolerance: float, made: Callable[[float], Any] = made) -> Mapping[str, Any]:
            return problem.read(made(tolerance).fit(problem.data["X"], problem.target))

        found.append(Runner(name, False, theirs))
    for name, each in OPTIMISERS.items():
        if name in ("momentum", "adam"):
            continue
        try:
            known = {
                "gradient": dict,
                "curvature": lambda: {"curvature": curvature_of(derivation, problem.data)},
                "line": lambda: {"line": line_of(derivation, problem.data)},
                "residuals": lambda: {
                    "residuals": residuals_of(derivation, problem.data, dict(problem.start))
                },
            }[each.needs]()
        except MathError:
            continue  # no sum of squares

        def walk(tolerance: float, name: str = name, known: Mapping[str, Any] = known) -> Mapping[str, Any]:
            measured = objective(function, problem.data)
            options = {"steps": MOST_STEPS, "tolerance": tolerance, "optimiser": name, **known}
            return descend(measured, problem.start, **options).parameters

        def whole(tolerance: float, name: str = name) -> Mapping[str, Any]:
            options = {"steps": MOST_STEPS, "tolerance": tolerance, "optimiser": name, "standardise": False}
            return gs.train(
                loss, problem.data, list(problem.start), start=problem.start, **options
            ).parameters

        found += [Runner(f"{name}, walk", True, walk), Runner(f"{name}, all", True, whole)]
    return found


def solved(problem: Problem, rounds: int) -> list[Runner]:
    """All solvers with the tolerance that they need and their times; None where none is fine enough."""
    everyone = runners(problem)
    loss = gs.parse(problem.text, **problem.shapes)
    value = objective(compiled(gs.derive(loss, wrt=list(problem.start))), problem.data)

    def reached(runner: Runner, tolerance: float) -> float:
        found = {name: np.asarray(part, dtype=float) for name, part in runner.run(tolerance).items()}
        return float(value(found)[0])

    best = min(reached(each, 1e-12) for each in everyone if "SGD" not in each.name)
    goal = best + CLOSE * abs(best)
    for each in everyone:
        each.tolerance = next((tol for tol in TOLERANCES if reached(each, tol) <= goal), None)
    for _ in range(rounds):
        for each in everyone:
            if each.tolerance is None:
                continue
            wall, cpu = time.perf_counter(), time.process_time()
            each.run(each.tolerance)
            each.wall.append(time.perf_counter() - wall)
            each.cpu.append(time.process_time() - cpu)
    return everyone


def table(name: str, problem: Problem, everyone: Sequence[Runner]) -> str:
    """A line for each solver, the fastest of theirs being 1."""
    timed = [each for each in everyone if each.wall]
    fastest = min((median(each.cpu) for each in timed if not each.ours), default=float("nan"))
    lines = [
        f"{name}   {problem.size}",
        f"  {'':32} {'tolerance':>9} {'wall':>10} {'CPU':>10}   CPU, their best = 1",
    ]
    for each in sorted(everyone, key=lambda each: (each.ours, median(each.cpu) if each.cpu else np.inf)):
        if each.tolerance is None:
            lines.append(f"  {each.name:32} does not get so far")
            continue
        wall, cpu = median(each.wall), median(each.cpu)
        lines.append(
            f"  {each.name:32} {each.tolerance:9.0e} {wall * 1e3:7.2f} ms {cpu * 1e3:7.2f} ms"
            f"   {cpu / fastest:8.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Print a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", help="parts of their names")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with threadpool_limits(limits=1):
        for name, made in problems().items():
            if not options.problems or any(part in name for part in options.problems):
                problem = made()
                print(table(name, problem, solved(problem, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
