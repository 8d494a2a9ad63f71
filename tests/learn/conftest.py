"""What tests of trainings on a cluster begin with: rows in files, and workers that start soon."""

import numpy as np
import pytest
from clusters import NEURON, STEPS, bits, store_in

import gradstep as gs
from gradstep.learn import stores


@pytest.fixture
def tiny_windows(monkeypatch):
    monkeypatch.setattr(stores, "WINDOW", 1 << 12)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 1 << 11)


@pytest.fixture(scope="module")
def forked():
    """Processes are copies of one that has loaded what they need."""
    loaded = [
        "pytest",
        "distributed",
        "gradstep.learn.cluster",
        "gradstep.learn.training",
        "llvmlite.binding",
    ]
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        distributed.utils.get_mp_context().set_forkserver_preload(loaded)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found, random = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    X = random.normal(size=(1500, 4)) * [1, 2, 0.5, 3] + [2, 0, -1, 5]
    y = np.maximum(X @ [0.5, -1, 2, 1] + 1, 0) + 0.1 * random.normal(size=1500)
    np.save(found / "X.npy", X.astype(np.float32))
    np.save(found / "y.npy", y.astype(np.float32))
    np.save(found / "table.npy", np.column_stack([X, y]))
    return found


@pytest.fixture(scope="module")
def one_process(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "WINDOW", 1 << 12)
        patch.setattr(stores, "LEAST_WINDOW", 1 << 11)
        return bits(gs.train(NEURON, store_in(folder), **STEPS))
