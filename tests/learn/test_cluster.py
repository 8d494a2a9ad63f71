"""Do the workers of a cluster come to the same bits as one process, whoever comes, goes or is killed?"""

import multiprocessing
import os
import re
import signal
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner
from clusters import NEURON, STEPS, bits, store_in, until
from disasters import called, clustered, judge
from tables import each

import gradstep as gs
from gradstep.commands.train import command
from gradstep.expression.errors import MathError
from gradstep.expression.records import replaced
from gradstep.learn import cluster as clusters
from gradstep.learn import opening, raw, reaching, stores
from gradstep.learn.opening import open_rows
from gradstep.learn.runs import runs
from gradstep.learn.surface import Measured
from gradstep.learn.workers import fingerprint

dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("tiny_windows")]

DEEP = gs.parse("mean((y - (relu(X @ V + c) @ w + b))**2)", X="N d", V="d h", c="h", w="h", b="", y="N")
RIDGE = gs.parse("mean((y - (X @ w + b))**2) + lam*sum(w**2)", X="N d", w="d", b="", y="N", lam="")
BATCH = gs.parse("Z = X @ w + b - mean(X @ w); mean((y - Z)**2)", X="N d", w="d", b="", y="N")


@pytest.fixture(scope="module")
def local(forked):
    with reaching.reached("local:2") as (client, said):
        assert said == ()
        yield client


@pytest.fixture
def client(local):
    two_workers(local)
    return local


def two_workers(client):
    """Other workers, where not both are there."""
    if len(client.nthreads()) != 2:
        client.cluster.scale(2)
        reaching.revive(client)
        until(lambda: len(client.nthreads()) == 2)


# ------------------------------------------------------------------------------------------- the same bits

WAYS = [
    ("gradient descent", NEURON, {"holdout": 0.2, "watch": 0.1}),
    ("l-bfgs", DEEP, {"sizes": {"h": 3}}),
    ("newton-cg", NEURON, {}),
    ("conjugate gradients", NEURON, {"backend": "numpy"}),
    ("levenberg-marquardt", RIDGE, {}),
    ("adam", NEURON, {"backend": "numpy", "batch": 200, "steps": 2}),
    ("momentum", BATCH, {"steps": 5}),
]


@each(("optimiser", "loss", "settings"), WAYS)
def test_two_workers_and_one_process_come_to_the_same_bits(client, folder, optimiser, loss, settings):
    settings = {"optimiser": optimiser, "steps": 4, **settings}
    beside = {"lam": 0.1} if loss is RIDGE else {}
    alone = train_on(folder, loss, beside, settings)
    spread = train_on(folder, loss, beside, {**settings, "cluster": client})
    assert bits(spread) == bits(alone)
    assert (spread.held_out_loss, spread.scores) == (alone.held_out_loss, alone.scores)


def test_variants_of_a_sweep_share_their_passes_over_the_workers(client, folder):
    settings = {"sweep": {"l2": [0.1, 1], "optimiser": ["adam", "newton-cg"]}, "steps": 3, "holdout": 0.2}
    alone = gs.train(NEURON, store_in(folder), backend="numpy", **settings)
    spread = gs.train(NEURON, store_in(folder), backend="numpy", cluster=client, **settings)
    assert [bits(fit) for fit in spread] == [bits(fit) for fit in alone] and len(spread) == 4
    assert [fit.scores for fit in spread] == [fit.scores for fit in alone]


def train_on(folder, loss, beside, settings):
    if not beside:
        return gs.train(loss, store_in(folder), **settings)
    paths = {"X": folder / "X.npy", "y": folder / "y.npy"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "EASY", 0)
        return gs.train(loss, {**paths, **beside}, **settings)


def test_a_loss_that_was_declared_in_another_order_is_the_same_loss(client, folder, one_process):
    again = gs.parse("mean((y - relu(X @ w + b))**2)", y="N", b="", w="d", X="N d")
    assert again is NEURON
    assert bits(gs.train(again, store_in(folder), cluster=client, **STEPS)) == one_process


def test_workers_add_up_what_others_found_where_it_is_much(client, folder, one_process, monkeypatch):
    monkeypatch.setattr(clusters, "MUCH", -1)
    monkeypatch.setattr(clusters, "FAN", 1 + 1)
    monkeypatch.setattr(clusters, "LARGE", 0)
    monkeypatch.setattr(clusters.Spread, "runs", lambda part, workers: runs(part.held.leaves.tolist(), 5))
    five = {**dict.fromkeys(client.nthreads(), 1), **{f"tcp://127.0.0.1:{k}": 1 for k in (1, 2, 3)}}
    monkeypatch.setattr(clusters.Cluster, "look", lambda workers: setattr(workers, "workers", five))
    fit = gs.train(NEURON, store_in(folder), cluster=client, **STEPS)
    assert bits(fit) == one_process


@each(("kills"), [{2: 1, 5: 1, 8: 1}, {4: 2}])
def test_workers_that_are_killed_in_a_step_change_no_bit(client, folder, one_process, kills):
    """Three of them one after the other, and all at once."""
    lost = []
    two_workers(client)

    def at(step, steps, loss):
        if step in kills:
            until(client.nthreads)
            pids = list(client.run(os.getpid).values())[: kills[step]]
            lost.extend(pids)
            for pid in pids:
                threading.Timer(0.002, os.kill, (pid, signal.SIGKILL)).start()

    fit = gs.train(NEURON, store_in(folder), cluster=client, progress=at, **STEPS)
    assert bits(fit) == one_process
    assert len(lost) == sum(kills.values())


def test_workers_that_come_and_go_change_no_bit(client, folder, one_process):
    """Two of them, then three, then one."""
    seen = set()

    def at(step, steps, loss):
        if step in (1, 6):
            client.cluster.scale({1: 3, 6: 1}[step])
            client.wait_for_workers(1)
        if step in (3, 8):
            wanted = {3: 3, 8: 1}[step]
            until(lambda: len(client.nthreads()) == wanted)
            patch.setattr(clusters, "LOOKS", 0.0)
            seen.add(wanted)

    with pytest.MonkeyPatch.context() as patch:
        fit = gs.train(NEURON, store_in(folder), cluster=client, progress=at, **STEPS)
    client.cluster.scale(2)
    assert bits(fit) == one_process and seen == {1, 3}


def test_a_training_goes_on_elsewhere_to_the_same_bits(client, folder, one_process, tmp_path):
    """Cut short on the cluster and gone on with in one process, and the other way round."""

    def enough(step, steps, loss):
        if step == 5:
            raise KeyboardInterrupt

    for first, then in ((client, None), (None, client)):
        kept = {"checkpoint": tmp_path / f"{first is None}", **STEPS}
        cut = gs.train(NEURON, store_in(folder), cluster=first, progress=enough, **kept)
        assert cut.stopped == "interrupted" and cut.steps < STEPS["steps"]
        fit = gs.train(NEURON, store_in(folder), cluster=then, resume=True, **kept)
        assert bits(fit) == one_process


def trained_by_many(folder, place, address, told):
    """In copies of this process, each killed at an evaluation or while the workers have it, but for the last.

    Tells how many, how far all but the last came, and the bits of one process and theirs.
    """
    stores.WINDOW, stores.LEAST_WINDOW = 1 << 12, 1 << 11
    store, settings, random, kills = store_in(folder), {**STEPS, "steps": 100}, np.random.default_rng(7), 0
    alone = bits(gs.train(NEURON, store, **settings))
    while kills <= LIVES:
        (owner, name), count = FATAL[random.integers(2)], random.integers(1, 8)
        child = os.fork()
        if not child:
            if kills < LIVES:
                deadly(owner, name, count)
            fit = gs.train(
                NEURON, store, cluster=address, checkpoint=place, every="1 step", resume=True, **settings
            )
            told.send((kills, fit.notes, alone, bits(fit)))
            os._exit(0)
        _, how = os.waitpid(child, 0)
        if not how:
            return
        assert os.WTERMSIG(how) == signal.SIGKILL
        kills += 1


LIVES = 20
FATAL = ((Measured, "all_of"), (clusters.Cluster, "wait"))


def deadly(owner, name, count):
    """The call of a method, so many a time, by which a process ends."""
    usual, left = getattr(owner, name), [count]

    def counted(*given):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*given)

    setattr(owner, name, counted)


def test_a_client_that_is_killed_twenty_times_comes_to_the_same_bits(client, folder, tmp_path):
    listen, told = multiprocessing.Pipe(duplex=False)
    asked = (folder, tmp_path / "run", client.scheduler.address, told)
    many = multiprocessing.get_context("forkserver").Process(target=trained_by_many, args=asked)
    many.start()
    told.close()
    many.join(100)
    assert many.exitcode == 0
    kills, notes, alone, spread = listen.recv()
    assert kills == LIVES and spread == alone
    assert any(re.fullmatch(r"went on from the checkpoint after step [4-9]\d", note) for note in notes), notes
    until(lambda: not sum(client.run(windows_held).values()))


def windows_held(dask_worker):
    return sum(len(each.held) for each in dask_worker.data.values() if hasattr(each, "held"))


def test_windows_are_kept_while_there_is_room_and_read_anew_where_there_is_none(client, folder, one_process):
    found = {}

    def keeps(share):
        def put():
            from gradstep.learn import workers

            workers.KEEPS = share

        return put

    for share in (0.5, 0.0):
        client.run(keeps(share))

        def at(step, steps, loss, share=share):
            if step == 8:
                found[share] = sum(client.run(windows_held).values())

        fit = gs.train(NEURON, store_in(folder), cluster=client, progress=at, **STEPS)
        assert bits(fit) == one_process
    client.run(keeps(0.5))
    assert found[0.5] >= len(store_in(folder).units) and found[0.0] == 0
    until(lambda: not sum(client.run(windows_held).values()))  # Dask forgets a training that is over


def test_an_unaligned_window_changes_no_bit(folder):
    """What comes out of a message may begin anywhere, and NumPy multiplies what is not aligned otherwise."""

    class Shifted(stores.NpyStore):
        def read(self, unit, names, share):
            for arrays in super().read(unit, names, share):
                yield {name: self.shifted(np.ascontiguousarray(array)) for name, array in arrays.items()}

        def shifted(self, array):
            room = np.empty(array.nbytes + 1, np.uint8)
            found = room[1:].view(array.dtype).reshape(array.shape)
            found[...] = array
            assert not found.flags.aligned
            return found

    plain = store_in(folder)
    shifted = Shifted(plain.arrays, plain.source)
    for backend in ("numpy", "native"):
        straight = gs.train(NEURON, plain, backend=backend, **STEPS)
        assert bits(gs.train(NEURON, shifted, backend=backend, **STEPS)) == bits(straight)


# ------------------------------------------------------------------------------------------- what goes wrong


def test_rows_that_end_every_worker_are_named(forked, folder, monkeypatch):
    class Deadly(stores.NpyStore):
        def read(self, unit, names, share):
            if unit == 1 and multiprocessing.parent_process():  # a worker
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(unit, names, share)

    monkeypatch.setattr(stores, "WINDOW", 1 << 14)
    plain = store_in(folder)
    with reaching.reached("local:1") as (client, _):  # whose workers Dask does not replace for ever
        client.cluster.scheduler.allowed_failures = 0
        with pytest.raises(MathError, match=r"no worker survives the rows") as error:
            gs.train(NEURON, Deadly(plain.arrays, plain.source), cluster=client, **STEPS)
    assert plain.told(1) in str(error.value) and "more memory" in error.value.mend


def test_a_fault_in_the_rows_says_where_it_is_and_on_which_worker(client, folder, tmp_path):
    y = np.load(folder / "y.npy")
    y[1234] = np.nan
    np.save(tmp_path / "y.npy", y)
    bad = open_rows({"X": folder / "X.npy", "y": tmp_path / "y.npy"})
    with pytest.raises(MathError, match="in row 1,234") as error:
        gs.train(NEURON, bad, cluster=client, **STEPS)
    assert any("on the worker tcp://127.0.0.1" in fact for fact in error.value.facts)


def test_files_that_a_worker_sees_otherwise_are_an_error(client, folder):
    class Elsewhere(stores.NpyStore):
        def prints(self):
            return {path: f"{known} {os.getpid()}" for path, known in super().prints().items()}

    plain = store_in(folder)
    with pytest.raises(MathError, match=r"sees another .*npy than this machine"):
        gs.train(NEURON, Elsewhere(plain.arrays, plain.source), cluster=client, **STEPS)


def test_a_worker_that_comes_later_and_sees_other_files_is_an_error(client, folder):
    class Elsewhere(stores.NpyStore):
        def prints(self):
            return {path: known + os.environ.get("ELSEWHERE", "") for path, known in super().prints().items()}

    def as_if_new(where):
        from gradstep.learn import workers

        workers._SEEN.clear()
        os.environ["ELSEWHERE"] = where

    def at(step, steps, loss):
        if step == 3:
            client.run(as_if_new, "another disk")

    plain = store_in(folder)
    with pytest.raises(MathError, match="which came later, sees other files") as error:
        gs.train(NEURON, Elsewhere(plain.arrays, plain.source), cluster=client, progress=at, **STEPS)
    client.run(as_if_new, "")
    assert "the same files" in error.value.mend


def test_workers_that_never_answer_are_not_asked_for_ever(client, folder, monkeypatch):
    monkeypatch.setattr(clusters, "STARTS", 0.3)
    monkeypatch.setattr(
        client, "run", lambda *given, **settings: {"tcp://127.0.0.1:1": OSError("no way there")}
    )
    with pytest.raises(MathError, match="no worker of the cluster"):
        gs.train(NEURON, store_in(folder), cluster=client, **STEPS)


WRONG = [
    (7, "a cluster is not int"),
    ("nowhere", "is no address of a cluster"),
    ("tcp://127.0.0.1", "is no address of a cluster"),
    ("local:many", "a number of workers"),
    ("local:0", "a number of workers"),
    ("tcp://127.0.0.1:9", "cannot be reached"),
]


@each(("asked", "told"), WRONG)
def test_what_is_no_cluster_is_an_error_soon(folder, monkeypatch, asked, told):
    monkeypatch.setattr(reaching, "CONNECTS", 0.3)
    began = time.monotonic()
    with pytest.raises(MathError, match=told) as error:
        gs.train(NEURON, store_in(folder), cluster=asked, **STEPS)
    assert "local:4" in error.value.mend and time.monotonic() - began < 5


def test_a_cluster_without_workers_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(clusters, "STARTS", 0.2)
    settings = {"host": "127.0.0.1", "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=0, **settings) as empty,
        distributed.Client(empty, set_as_default=False) as idle,
        pytest.raises(MathError, match=r"no workers|cannot be reached"),
    ):
        gs.train(NEURON, store_in(folder), cluster=idle, **STEPS)


def test_versions_and_kernels_are_compared(client):
    mine, met = fingerprint(), clusters.Cluster(client)
    met.meet(mine)
    assert met.said == ()
    met.meet(replaced(mine, products="openblas 0.3.31 Haswell", numpy="1.0"))
    assert any("Haswell" in said and "last digits" in said for said in met.said)
    assert any("NumPy" in said and "1.0" in said for said in met.said)
    with pytest.raises(MathError, match=r"a worker has gradstep 0\.0\.9"):
        met.meet(replaced(mine, gradstep="0.0.9"))


def test_a_network_that_is_not_encrypted_is_said_loudly():
    with pytest.warns(UserWarning, match="not encrypted"):
        (told,) = reaching.words_about("tcp://10.1.2.3:8786")
    assert "run code" in told and "tls://" in told
    for quiet in ("tls://10.1.2.3:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786"):
        assert reaching.words_about(quiet) == ()


def test_a_local_cluster_can_be_reached_from_this_machine_alone(client):
    import psutil

    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    assert len(processes) > 2
    listening = [c.laddr.ip for p in processes for c in p.net_connections() if c.status == "LISTEN"]
    assert listening and set(listening) == {"127.0.0.1"}


# ------------------------------------------------------------------------------------------- what is told


def test_the_report_says_where_the_time_went_and_that_one_machine_would_do(client, folder):
    moments = []

    class Seen:
        def __call__(self, step, steps, loss):
            pass

        def reading(self, moment):
            moments.append(moment)

    fit = gs.train(NEURON, store_in(folder), cluster=client, progress=Seen(), **STEPS)
    notes = "\n".join(fit.notes)
    assert "2 workers of tcp://127.0.0.1" in notes
    assert notes.count("waiting for rows") == 2 and notes.count(" it can read") == 2
    assert "without cluster= this training is faster" in notes
    assert moments[0].of == 1500 and moments[-1].rows == moments[-1].of == len(fit.rows)


def test_the_command_trains_on_a_cluster(client, folder, monkeypatch):
    monkeypatch.setattr(opening, "EASY", 100)
    words = [str(folder / "table.npy"), "--target", "4", "--steps", "5"]
    alone = CliRunner().invoke(command, words)
    spread = CliRunner().invoke(command, [*words, "--cluster", client.scheduler.address])
    assert spread.exit_code == alone.exit_code == 0, spread.output

    def learnt(said):
        return said.split("What it learned\n")[1].split("\n\n")[0]

    assert learnt(spread.output) == learnt(alone.output)
    assert "2 workers of tcp://127.0.0.1" in spread.output


def table_in(folder, kind, rows=1500):
    """A table with texts, a date, a column that does not vary, and rows without target; in two files."""
    import pyarrow
    from pyarrow import csv, parquet

    random, paths = np.random.default_rng(5), []
    for number in range(2):
        x, town = random.normal(size=rows), random.choice(["Bonn", "Köln", "Ulm"], rows)
        y = np.where(random.random(rows) < 0.3 * number, np.nan, x + 2 * (town == "Ulm"))
        day = np.datetime64("2020-01-01") + random.integers(0, 900, rows)
        every = {"x": x, "town": town, "flat": np.ones(rows), "day": np.datetime_as_string(day)}
        every["y"] = [None if value != value else value for value in y.tolist()]
        found, paths = pyarrow.table(every), [*paths, str(folder / f"t{number}.{kind}")]
        if kind == "csv":
            csv.write_csv(found, paths[-1])
        else:
            parquet.write_table(found, paths[-1], row_group_size=700)
    return paths


@each("kind", ["csv", "parquet"])
def test_workers_look_at_the_columns_and_find_what_one_process_finds(kind, tmp_path, client, monkeypatch):
    monkeypatch.setattr(raw, "ROWS", 500)
    paths = table_in(tmp_path, kind)
    alone = open_rows(paths, "y")
    with clusters.cluster_of(client) as workers:
        spread = open_rows(paths, "y", cluster=workers)
        assert (
            workers.passes == 2
        )  # over all columns to look at, and over those targets of which some are missing
    assert len(spread.columns["X"]) == 4 and spread.columns["X"][::3] == ("x", "day")
    for name in ("features", "readings", "classes", "notes", "units", "runs", "count", "whole"):
        assert getattr(spread, name) == getattr(alone, name), name
    assert spread.count < 3000 and any("without" in note for note in spread.notes)


def test_workers_read_what_lies_elsewhere_by_themselves(tmp_path, client, monkeypatch):
    """A folder plays the store of objects, here and on the workers."""

    def plays(where):
        from pyarrow import fs

        from gradstep.learn import places

        usual = places.__dict__.setdefault("_usual", places._system)
        places._system = lambda root: (
            fs.SubTreeFileSystem(where, fs.LocalFileSystem()) if where else usual(root)
        )

    (tmp_path / "rows").mkdir()
    table_in(tmp_path / "rows", "parquet")
    monkeypatch.setattr(stores, "WINDOW", 1 << 20)
    alone = bits(gs.train(NEURON, str(tmp_path / "rows" / "t*.parquet"), **STEPS))
    try:
        plays(str(tmp_path))
        client.run(plays, str(tmp_path))
        fit = gs.train(NEURON, "s3://rows/t*.parquet", cluster=client, **STEPS)
    finally:
        plays("")
        client.run(plays, "")
    assert bits(fit) == alone and "2 workers" in "\n".join(fit.notes)


def test_few_rows_are_trained_on_here(folder):
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    fit = gs.train(NEURON, {"X": X, "y": y}, cluster="local:2", steps=3)
    assert fit.notes[0].startswith("trained in this process, not on the cluster")


# ------------------------------------------------------------------------------------------- who takes which


@each(("units", "workers"), [(1, 1), (1, 5), (7, 3), (64, 4), (1000, 7), (1000, 1), (5, 5)])
def test_runs_share_all_units_out_evenly(units, workers):
    leaves = np.cumsum([0, *np.random.default_rng(units).integers(1, 4, units)])
    found = runs(leaves.tolist(), workers)
    assert [unit for run in found for unit in range(*run)] == list(range(units))
    assert len(found) == min(units, workers)
    sizes = [leaves[run.stop] - leaves[run.start] for run in found]
    assert min(sizes) >= 1 and max(sizes) <= 1.15 * leaves[-1] / len(found) + 3


@each("disaster, loss, kind, place", clustered(), ids=[called(*row) for row in clustered()])
def test_no_disaster_is_silent_on_a_cluster(disaster, loss, kind, place, tmp_path, client):
    judge(disaster, loss, kind, place, tmp_path, client)


# ------------------------------------------------------------------------------------------- in Dask


def collections(rows=600):
    import dask.array as da

    random = np.random.default_rng(3)
    X = random.normal(size=(rows, 3)) * [1, 5, 0.1]
    y = X @ [1.0, -0.5, 3.0] + 2 + 0.1 * random.normal(size=rows)
    return X, y, da.from_array(X, chunks=(170, 2)), da.from_array(y, chunks=250)


def test_estimators_take_dask_arrays_to_the_same_bits_with_workers_and_without(client):
    from gradstep.estimators import NetworkClassifier, NeuronRegressor

    X, y, rows, goal = collections()
    alone = NeuronRegressor(alpha=0.01, random_state=0).fit(rows, goal)
    with client.as_current():
        spread = NeuronRegressor(alpha=0.01, random_state=0).fit(rows, goal)
    whole = NeuronRegressor(alpha=0.01, random_state=0).fit(X, y)
    assert spread.coef_.tobytes() == alone.coef_.tobytes() and spread.intercept_ == alone.intercept_
    assert spread.coef_ == pytest.approx(whole.coef_, rel=1e-4)
    answers = spread.predict(rows)
    assert answers.chunks == ((170, 170, 170, 90),)
    assert answers.compute() == pytest.approx(spread.predict(X))
    labels = np.array(["low", "high"], dtype=object)[(goal > 2).compute().astype(int)]
    import dask.array as da

    judge = NetworkClassifier(hidden=(), max_iter=5)
    with client.as_current(), pytest.warns(UserWarning):
        judge.fit(rows, da.from_array(labels, chunks=300))
    assert list(judge.classes_) == ["high", "low"]
    assert judge.predict_proba(rows).compute() == pytest.approx(judge.predict_proba(X))
    assert (judge.predict(rows).compute() == labels).mean() > 0.9


def test_estimators_take_dask_data_frames(client):
    dataframe, pandas = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    from gradstep.estimators import NeuronRegressor

    X, y, _, _ = collections(300)
    table = dataframe.from_pandas(pandas.DataFrame({**dict(zip("abc", X.T, strict=True)), "y": y}), 3)
    with client.as_current():
        fit = NeuronRegressor().fit(table[["a", "b", "c"]], table["y"])
    assert list(fit.feature_names_in_) == ["a", "b", "c"]
    assert fit.coef_ == pytest.approx(NeuronRegressor().fit(X, y).coef_, rel=1e-4)
    assert np.corrcoef(fit.predict(table[["a", "b", "c"]]).compute(), y)[0, 1] > 0.99


def test_what_is_wrong_with_a_collection_is_said():
    import dask.array as da

    from gradstep.estimators import NeuronRegressor

    _, _, rows, goal = collections(100)
    for X, y, told in [
        (rows, goal[:50], "the same number of rows"),
        (rows.astype(str), goal, "should hold numbers"),
        (da.where(rows > 4, np.nan, rows), goal, "not a finite number"),
        (rows[:, 0], goal, "X is a matrix"),
    ]:
        with pytest.raises(ValueError, match=told):
            NeuronRegressor().fit(X, y)


def test_a_cluster_whose_worker_was_lost_before_it_was_listed_ends_all_the_same():
    before = set(threading.enumerate())
    local = distributed.LocalCluster(
        n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}
    )
    close, stumbled = local.scheduler.close, []

    async def stumble():
        await close()
        stumbled.append(True)
        raise KeyError("a worker that nobody has listed")

    local.scheduler.close = stumble
    reaching._close(local)
    assert stumbled and local.status == distributed.Status.closed
    assert not [thread for thread in {*threading.enumerate()} - before if thread.name.startswith("IO loop")]
    reaching._close(local)  # once more does no harm
