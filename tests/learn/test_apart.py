"""Do workers of this machine live on where the one who trains is asked to end, and end where it is killed?"""

import multiprocessing
import os
import signal
import time

import psutil
import pytest
from clusters import NEURON, STEPS, bits, store_in, until

import gradstep as gs
from gradstep.commands.resuming import outlived
from gradstep.learn import stores
from gradstep.learn.reaching import reached

pytest.importorskip("distributed")
pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("tiny_windows")]


def trained_in_a_group(folder, place, told):
    """In a process of its own, with a worker: in a step all of its group are asked to end, as a job is."""
    stores.WINDOW, stores.LEAST_WINDOW = 1 << 12, 1 << 11
    os.setpgid(0, 0)

    def at(step, steps, loss):
        if step == 3:
            os.killpg(0, signal.SIGTERM)

    with reached("local:1") as (client, _), outlived():
        before = client.run(os.getpid)
        fit = gs.train(NEURON, store_in(folder), cluster=client, checkpoint=place, progress=at, **STEPS)
        told.send((fit.stopped, fit.steps, before, client.run(os.getpid)))
        time.sleep(60)


def test_workers_outlive_a_signal_to_all_and_end_with_the_one_who_trains(forked, folder, tmp_path):
    listen, told = multiprocessing.Pipe(duplex=False)
    alone = multiprocessing.get_context("forkserver").Process(
        target=trained_in_a_group, args=(folder, tmp_path / "run", told)
    )
    alone.start()
    told.close()
    assert listen.poll(60)
    stopped, steps, before, after = listen.recv()
    assert stopped == "interrupted" and 3 <= steps < STEPS["steps"]
    assert after == before and len(before) == 1
    everyone = psutil.Process(alone.pid).children(recursive=True)
    assert set(before.values()) <= {each.pid for each in everyone}
    alone.kill()
    alone.join()
    until(lambda: not any(each.is_running() for each in everyone), 10)
    whole = gs.train(NEURON, store_in(folder), **STEPS)
    went_on = gs.train(NEURON, store_in(folder), checkpoint=tmp_path / "run", resume=True, **STEPS)
    assert bits(went_on) == bits(whole)
