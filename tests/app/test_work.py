"""Is work done in a process that can be stopped, one training at a time, with its progress told?"""

import asyncio
import io
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import numpy as np
import pytest

from gradstep import load
from gradstep.app import desk
from gradstep.app.work import Spare, Worker
from gradstep.expression.errors import MathError
from gradstep.learn.optimisers import OPTIMISERS

SLOW = {"formula": "mean(" + "*".join(f"tanh(X @ w{k})" for k in range(60)) + ")", "page": "p"}
QUICK = {"formula": "mean((y - X @ w)**2)", "page": "p"}


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_work_is_stopped_when_it_takes_too_long_or_is_asked_anew():
    async def play():
        spare = Spare()
        worker = Worker(spare)
        first = await worker.begin()
        with pytest.raises(MathError, match=r"more than 0\.05 seconds"):
            await worker.do("derive", SLOW, 0.05)
        await first.wait()
        slow = asyncio.create_task(worker.do("derive", SLOW, 60, "me"))
        await asyncio.sleep(0.05)
        assert worker.owner == "me"
        worker.stop()
        assert await slow == {"stopped": True}
        answer = await worker.do("derive", QUICK, 60)
        assert answer["proved"] is True
        last = await worker.begin()
        last.kill()
        await last.wait()
        assert (await worker.do("derive", QUICK, 60))[
            "proved"
        ] is True  # a process that died is another one next time
        last, ready = await worker.begin(), await spare.prepare()
        assert alive(ready.pid) and ready is not last
        await worker.close()
        await spare.close()
        assert not any(alive(each.pid) for each in (first, last, ready))

    with ThreadPoolExecutor(1) as aside:  # the thread of the tests may have a loop of the browser's
        aside.submit(asyncio.run, play()).result()


def told(client, job):
    """The events of a training, until it is over."""
    status, headers, body = client("GET", f"/jobs/{job}")
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in body.decode().splitlines() if line]


def asked(client, path, question):
    return json.loads(client("POST", path, json.dumps(question).encode())[2])


TABLE = "size,=cmd|' /C calc'!A0,<b>price</b>\n" + "".join(f"{k},{k % 3},{2 * k + 1}\n" for k in range(30))


@pytest.fixture
def table(client):
    answer = json.loads(client("POST", "/table", TABLE.encode(), x_name="../%3Cb%3E.csv")[2])
    assert answer["file"] == "_b_.csv" and answer["rows"] == 30
    assert [each["name"] for each in answer["columns"]][2] == "<b>price</b>"
    return answer["table"]


def test_a_table_trains_into_a_page_and_a_model(client, table, tmp_path):
    begun = asked(client, "/train", {"table": table, "target": "<b>price</b>", "network": "formula", **QUICK})
    events = told(client, begun["job"])
    assert events[-1]["state"] == "over" and "error" not in events[-1]
    assert "What" not in events[-1]["report"] or events[-1]["report"]
    status, headers, body = client("GET", f"/results/{begun['job']}/page.html")
    policy = headers["content-security-policy"]
    assert status == 200 and "sandbox allow-scripts" in policy and "default-src 'none'" in policy
    assert "sha256-" in policy and "unsafe-inline" not in policy.partition("script-src")[2]
    assert b"<b>price</b>" not in body and b"&lt;b&gt;price" in body
    status, headers, body = client("GET", f"/results/{begun['job']}/model.safetensors")
    assert headers["content-disposition"].startswith("attachment")
    (tmp_path / "model.safetensors").write_bytes(body)
    assert load(tmp_path / "model.safetensors").parameters["w"].shape == (2,)


def trained(client, table, **question):
    """How a training ends."""
    begun = asked(client, "/train", {"table": table, "target": "<b>price</b>", "steps": "30", **question})
    return told(client, begun["job"])[-1]


def test_a_size_by_name_is_as_large_as_is_said(client, table):
    formula = {"formula": "mean((y - tanh(X @ V) @ u)**2)", "shapes": {"V": "d h", "u": "h"}}
    last = trained(client, table, network="formula", sizes={"h": "3"}, **formula)
    assert "error" not in last and "V 2×3, u 3" in last["report"]


def test_several_values_are_compared_and_the_best_is_kept(client, table):
    given = {"learning_rate": "0.001, 0.1", "seed": "1, 2", "l2": "0.01", "batch": "10"}
    last = trained(client, table, network="default", optimiser="adam", **given)
    compared, best = last["report"].split("The best of them")
    assert "4 fits" in compared and "adam" in best


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_a_table_of_numbers_is_read_from_its_file(client, kind):
    values, file = np.arange(12.0).reshape(6, 2), io.BytesIO()
    if kind == "npy":
        np.save(file, values)
    else:
        arrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(
            arrow.table({"0": values[:, 0], "1": values[:, 1]}), file
        )
    answer = json.loads(client("POST", "/table", file.getvalue(), x_name=f"numbers.{kind}")[2])
    assert answer["rows"] == 6 and [each["name"] for each in answer["columns"]] == ["0", "1"]
    broken = json.loads(client("POST", "/table", file.getvalue()[:-9], x_name=f"numbers.{kind}")[2])
    assert "itself failed" not in broken["error"]["text"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "nothing"},
        {"network": "other"},
        {"table": 99},
        {"table": "1"},
        {"steps": "many"},
        {"l2": "much"},
        {"seed": "0.5"},
        {"batch": "0"},
        {"learning_rate": "0.1,"},
        {"learning_rate": "1,2,3,4,5", "seed": "1,2,3,4,5"},
        {"sizes": {"h": "0"}, "formula": "mean((y - tanh(X @ V) @ u)**2)", "shapes": {"V": "d h", "u": "h"}},
        {"holdout": "2"},
        {"learning_rate": "fast"},
        {"optimiser": "luck"},
        {"formula": "mean(X @ w"},
        {"network": "hidden", "hidden": "1e9"},
        {"kinds": {"size": "colour"}},
        {"decimal": ";"},
        {"formula": "mean((y - X @ w)**2) + lam*sum(w**2)", "wrt": ["w"]},
    ],
)
def test_a_training_that_cannot_be_says_why(client, table, wrong):
    begun = asked(
        client, "/train", {"table": table, "target": "size", "network": "formula", **QUICK, **wrong}
    )
    error = begun["error"] if "error" in begun else told(client, begun["job"])[-1]["error"]
    assert error["what"] and "itself failed" not in error["text"]


def test_one_training_at_a_time_and_each_can_be_stopped(client, table):
    slow = {
        "table": table,
        "target": "size",
        "network": "hidden",
        "hidden": "40,40",
        "steps": "100000000",
        "optimiser": "adam",
        "holdout": "0",
    }
    first, second, third = (asked(client, "/train", slow)["job"] for _ in range(3))
    ends = time.monotonic() + 30
    app = client.serving.server.config.app.application.state.desk
    while "step" not in app.jobs[first].state:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert [app.jobs[each].state["state"] for each in (second, third)] == ["waiting", "waiting"]
    asked(client, "/stop", {"job": second})
    assert "queue" in told(client, second)[-1]["error"]["what"]
    asked(client, "/stop", {"job": first})
    last = told(client, first)[-1]
    assert "error" not in last and "interrupted" in last["report"]
    asked(client, "/stop", {"job": third})
    assert told(client, third)[-1]["state"] == "over"
    assert asked(client, "/stop", {"job": "x"}) == asked(client, "/stop", {"job": 99}) == {"ok": True}


def test_a_table_is_read_again_in_another_style(client):
    body = b"a;b\n1,5;2,5\n2,5;3,5\n1.000,5;1\n"
    answer = json.loads(client("POST", "/table", body, x_name="odd.csv")[2])
    assert "error" in answer or {each["kind"] for each in answer["columns"]} != {"number"}
    again = asked(client, "/look", {"table": answer["table"], "decimal": ",", "thousands": "."})
    assert [each["first"] for each in again["columns"]] == [["1.5", "2.5", "1000.5"], ["2.5", "3.5", "1"]]
    assert "not here" in asked(client, "/look", {"table": 999})["error"]["what"]


def test_old_tables_and_trainings_are_thrown_away(client):
    app = client.serving.server.config.app.application.state.desk
    for _ in range(desk.MOST_KEPT + 2):
        asked(client, "/sample", {})
    assert len(app.tables) == desk.MOST_KEPT
    assert len(list(app.folder.glob("table-*"))) == desk.MOST_KEPT


@pytest.mark.parametrize(
    "question, mend",
    [
        ({"formula": "trace(A @ B)"}, "the shapes of A, B below"),
        ({"formula": "mean((y - relu(X @ V) @ w)**2)", "shapes": {"V": "d h", "w": "h"}}, "16 as the size h"),
        ({"formula": "1/N Σᵢ (yᵢ − max(0, w·xᵢ + b))²"}, "mean((y - relu(X @ w + b))**2)"),
        ({"network": "hidden", "hidden": "x"}, "widths such as 32,16"),
        ({"kinds": {"size": "category"}, "network": "default", "decimal": "x"}, "a comma as decimal mark"),
    ],
)
def test_advice_is_for_the_page(client, table, question, mend):
    begun = asked(client, "/train", {"table": table, "target": "size", "network": "formula", **question})
    text = told(client, begun["job"])[-1]["error"]["text"]
    assert mend in text and "--" not in text and "=" not in text.rpartition("Perhaps")[2]


def test_what_can_be_chosen_is_what_there_is():
    page = resources.files("gradstep.app").joinpath("app.html").read_text("utf-8")
    options = re.search(r'id="optimiser">(.*?)</select>', page, re.DOTALL)
    assert re.findall(r"<option>(.*?)</option>", options[1]) == list(OPTIMISERS)


def test_any_name_may_be_that_of_a_variable(client):
    answer = asked(
        client, "/derive", {"formula": "mean((assume - X @ shapes)**2)", "shapes": {"assume": "N"}}
    )
    assert answer["proved"] is True and [each["shape"] for each in answer["variables"]] == ["N", "N d", "d"]


def test_a_claim_is_judged(client):
    loss = {"formula": "mean((y - relu(X @ w + b))**2)"}
    right = asked(
        client,
        "/check",
        {**loss, "wrt": ["w"], "claim": "z = X @ w + b\ndw = -2/N * X.T @ ((y - relu(z)) * (z > 0))"},
    )
    assert right["verdict"] is True and right["first"] is None
    wrong = asked(client, "/check", {**loss, "wrt": ["b"], "claim": "db = -2/N * sum(y - relu(X @ w + b))"})
    assert wrong["verdict"] is False and wrong["first"] == 1 and wrong["slip"]
    half = asked(client, "/check", {**loss, "claim": "db = 1"})["error"]["text"]
    assert "says nothing of ∂C/∂w" in half and "only b ticked" in half
    assert "nothing to check" in asked(client, "/check", {**loss, "claim": " "})["error"]["what"]


@pytest.mark.parametrize(
    "language, word",
    [
        ("latex", r"\frac"),
        ("numpy", "import numpy"),
        ("javascript", "export function"),
        ("c", "double"),
        ("page", "<!DOCTYPE"),
        ("torch", "torch"),
        ("jax", "jax"),
    ],
)
def test_the_gradient_is_taken_away(client, language, word):
    answer = asked(client, "/code", {**QUICK, "to": language})
    assert word in answer["source"] and answer["name"].startswith("gradient.")
