"""What tests of trainings on a cluster share: a network, rows in files, and workers that start soon."""

import hashlib
import time

import numpy as np

import gradstep as gs
from gradstep.learn.opening import open_rows

NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
STEPS = {"optimiser": "gradient descent", "learning_rate": 0.01, "steps": 12, "holdout": 0.2}


def store_in(folder):
    return open_rows({"X": folder / "X.npy", "y": folder / "y.npy"})


def bits(fit):
    """The parameters and the whole way to them, as a hash."""
    parts = [np.asarray(value).tobytes() for value in fit.parameters.values()]
    return hashlib.sha256(b"".join([*parts, np.asarray(fit.history).tobytes()])).hexdigest()


def until(done, seconds=20.0):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)
