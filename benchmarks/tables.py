"""Do the default networks come as near as the best line there is, on real tables, and how fast?

    python benchmarks/tables.py [--seeds 5]

Four tables: scikit-learn's diabetes, breast cancer and digits, and the penguins of Palmer Station with
their missing values and categories. For each the default network, and one with 32 hidden units, beside the
mean (or the commonest class) and scikit-learn's LinearRegression or LogisticRegression on the same rows and
features. Every number is the mean over some ways to hold out a fifth of the rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import palmerpenguins
from sklearn import datasets
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradstep.learn.columns import Table
from gradstep.learn.comparison import Measures, measures
from gradstep.learn.data import from_arrays
from gradstep.learn.encoding import Encoder, Prepared
from gradstep.learn.models import default_model
from gradstep.learn.training import train_model


def tables() -> Iterator[tuple[str, Table, str]]:
    """Name, table and target."""
    loaders: dict[str, Callable[..., datasets.base.Bunch]] = {
        "diabetes": datasets.load_diabetes,
        "breast cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }
    for name, load in loaders.items():
        frame = load(as_frame=True).frame
        yield name, from_arrays({str(column): frame[column].to_numpy() for column in frame.columns}), "target"
    frame = palmerpenguins.load_penguins()
    for target in ("species", "body_mass_g"):
        yield (
            f"penguins: {target}",
            from_arrays({name: frame[name].tolist() for name in frame.columns}),
            target,
        )


def ours(prepared: Prepared, hidden: tuple[int, ...], seed: int) -> dict[str, Measures]:
    """The measures of the network and of the mean, by the rows they are taken on."""
    fit = train_model(default_model(prepared, hidden), prepared, seed=seed)
    network, *_, mean = fit.scores
    return {"training": network.training, "held out": network.held_out or {}, "mean": mean.held_out or {}}


def theirs(prepared: Prepared) -> dict[str, Measures]:
    """The same of scikit-learn's line."""
    X, y, train, test = prepared.X, prepared.y, prepared.train, prepared.test
    if prepared.classes is None:
        line = LinearRegression().fit(X[train], y[train])
        answers = line.predict(X)
    else:
        labels = y if y.ndim == 1 else y.argmax(axis=1)
        line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(X[train], labels[train])
        answers = line.predict_proba(X)
        answers = answers[:, 1] if y.ndim == 1 else answers
    classes = prepared.classes is not None
    return {
        "training": measures(y[train], answers[train], classes),
        "held out": measures(y[test], answers[test], classes),
    }


def main() -> None:
    """Print a table for each table."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seeds", type=int, default=5)
    seeds = range(asked.parse_args().seeds)
    heads = ("training", "held out", "to line", "to mean", "seconds")
    print(f"{'':44}{'measure':20}" + "".join(f"{head:>10}" for head in heads))
    for name, table, target in tables():
        runs: dict[str, list[tuple[dict[str, Measures], float]]] = {}
        for seed in seeds:
            prepared = Encoder.fit(table, target, seed=seed)
            methods: dict[str, Callable[[], dict[str, Measures]]] = {
                "scikit-learn's line": lambda: theirs(prepared),  # noqa: B023
                "gradstep": lambda: ours(prepared, (), seed),  # noqa: B023
                "gradstep --hidden 32": lambda: ours(prepared, (32,), seed),  # noqa: B023
            }
            for method, run in methods.items():
                begin = time.perf_counter()
                found = run()
                runs.setdefault(method, []).append((found, time.perf_counter() - begin))
        for measure in runs["gradstep"][0][0]["mean"]:
            line = average(runs["scikit-learn's line"], "held out", measure)
            mean = average(runs["gradstep"], "mean", measure)
            for method, results in runs.items():
                held = average(results, "held out", measure)
                seconds = float(np.mean([spent for _, spent in results]))
                numbers = (average(results, "training", measure), held, held / line, held / mean, seconds)
                cells = "".join(f"{number:>10.4g}" for number in numbers)
                print(f"{name:22}{method:22}{measure:20}{cells}")


def average(results: list[tuple[dict[str, Measures], float]], rows: str, measure: str) -> float:
    """The mean over the seeds."""
    return float(np.mean([found[rows][measure] for found, _ in results]))


if __name__ == "__main__":
    main()
