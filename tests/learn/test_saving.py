"""Does a saved model come back to the same answers, and does nothing else come through?"""

import hashlib
import json
import struct

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as pack

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn import packing, saving
from gradstep.learn.data import from_arrays
from gradstep.learn.encoding import Encoder
from gradstep.learn.models import default_model
from gradstep.learn.packing import fingerprint, write_whole
from gradstep.learn.saving import load
from gradstep.learn.training import train, train_model


def flowers(rows=60):
    random = np.random.default_rng(0)
    kind = np.arange(rows) % 3
    return from_arrays(
        {
            "length": 3 + kind + 0.2 * random.normal(size=rows),
            "colour": np.array(["red", "blue", "white"])[random.integers(0, 3, rows)],
            "kind": np.array(["rose", "lily", "iris"])[kind],
            "height": 20 + 5 * kind + random.normal(size=rows),
        }
    )


def fitted(target="kind", hidden=()):
    prepared = Encoder.fit(flowers(), target)
    return train_model(default_model(prepared, hidden), prepared, steps=60)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    fitted().save(path)
    return path


# ------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("hidden", [(), (4, 3)])
@pytest.mark.parametrize("target", ["kind", "height"])
def test_the_same_answers_to_the_last_bit(tmp_path, target, hidden):
    fit = fitted(target, hidden)
    fit.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert np.array_equal(again.answers(flowers()).values, fit.predictor.answers(flowers()).values)
    assert list(again.predict(flowers())) == list(fit.predict(flowers()))
    assert again.loss is fit.of
    assert again.title == fit.title


def test_a_model_of_arrays_comes_back(tmp_path):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(30, 2)), random.normal(size=30)
    fit = train(gs.parse("mean((y - tanh(X @ w + b))**2)", X="N d", w="d", b="", y="N"), {"X": X, "y": y})
    fit.save(tmp_path / "m")
    assert np.array_equal(gs.load(tmp_path / "m").predict(X), fit.predict(X))
    assert np.array_equal(gs.load(str(tmp_path / "m")).predict({"X": X[:5]}), fit.predict(X[:5]))


def test_the_file_holds_numbers_and_json_alone(file):
    with safe_open(file, framework="numpy") as opened:
        assert set(opened.keys()) == {"W", "b"}
        description = json.loads(opened.metadata()["gradstep"])
    assert set(description) == set(saving.KEYS)
    assert description["formula"]["roots"].keys() == {"loss", "prediction"}
    assert description["scaling"]["X"]["mean"]


# ------------------------------------------------------------------------------------------- damage


def test_every_flipped_bit_is_noticed(file):
    whole = file.read_bytes()
    missed = []
    for at in range(len(whole)):
        bits = [at % 8] if at % 41 else range(8)  # one bit of each byte, and some bytes bit by bit
        for bit in bits:
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            try:
                load(file)
            except MathError:
                continue
            missed.append((at, bit, whole[max(0, at - 10) : at + 10]))
    assert missed == []


def test_every_shortened_file_is_noticed(file):
    whole = file.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(MathError):
            load(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(MathError):
        load(file)


def resealed(file, change, tensors=None):
    """The file with a changed description under a fitting fingerprint: what a forger would write."""
    with safe_open(file, framework="numpy") as opened:
        given = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        description = json.loads(opened.metadata()["gradstep"])
    given |= tensors or {}
    description["tensors"] = {name: fingerprint(value) for name, value in given.items()}
    change(description)
    text = json.dumps(description)
    digest = hashlib.sha256(text.encode()).hexdigest()
    file.write_bytes(pack(given, metadata={"gradstep": text, "sha256": digest}))
    return file


FORGERIES = {
    "a newer format": (lambda d: d.update(format=2), {}, "format 2"),
    "no format": (lambda d: d.pop("format"), {}, "exactly the fields"),
    "an older format": (lambda d: d.update(format=0), {}, "format 0"),
    "more": (lambda d: d.update(code="import os"), {}, "exactly the fields"),
    "an unknown operation": (lambda d: d["formula"]["nodes"].append(["exec", [0], []]), {}, "does not know"),
    "one root": (lambda d: d["formula"]["roots"].pop("loss"), {}, "a loss and a prediction"),
    "no encoder": (lambda d: d.update(encoder={}), {}, "exactly the fields"),
    "another encoder": (lambda d: d["encoder"]["features"].pop(), {}, "features, but its table has"),
    "other classes": (lambda d: d["encoder"]["classes"].append("tulip"), {}, "does not fit its 4 classes"),
    "no features": (lambda d: d.update(features=""), {}, "features is not text"),
    "other features": (lambda d: d.update(features="Z"), {}, "should need Z"),
    "a wrong scaling": (lambda d: d["scaling"]["X"].update(scale=[0.0]), {}, "do not fit"),
    "a scaling of text": (lambda d: d.update(scaling=[]), {}, "scaling"),
    "another shape": (lambda d: None, {"W": np.zeros((7, 3))}, "features, but its table has"),
    "shapes that clash": (lambda d: None, {"b": np.zeros(2)}, "does not fit"),
    "NaN": (lambda d: None, {"b": np.array([0, np.nan, 1])}, "not finite"),
    "float32": (lambda d: None, {"b": np.zeros(3, dtype=np.float32)}, "does not hold 64-bit numbers"),
    "a stranger": (lambda d: None, {"q": np.zeros(3)}, "does not know q"),
    "a swapped fingerprint": (lambda d: d["tensors"].update(b="0" * 64), {}, "not those that were saved"),
    "a lost fingerprint": (lambda d: d["tensors"].pop("b"), {}, "not those of its description"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused(file, name):
    change, tensors, message = FORGERIES[name]
    with pytest.raises(MathError, match=message):
        load(resealed(file, change, tensors))


def test_a_resealed_honest_file_is_read(file):
    load(resealed(file, lambda description: None))


NO_MODELS = {
    "empty": b"",
    "a zip": b"PK\x03\x04",
    "a pickle": b"\x80\x04\x95pickle",
    "a header without end": struct.pack("<Q", 2**62) + b"{}",
    "an empty header": struct.pack("<Q", 2) + b"{}",
    "tensors alone": pack({"w": np.zeros(3)}),
    "no description": pack({"w": np.zeros(3)}, metadata={"gradstep": "{}", "sha256": "0"}),
    "a deep description": pack({"w": np.zeros(3)}, metadata={"gradstep": "[" * 100_000}),
}


@pytest.mark.parametrize("content", NO_MODELS.values(), ids=NO_MODELS)
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(MathError):
        load(path)


def test_deep_json_under_a_true_fingerprint_is_refused(tmp_path):
    text = "[" * 100_000
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = tmp_path / "m.safetensors"
    path.write_bytes(pack({"w": np.zeros(3)}, metadata={"gradstep": text, "sha256": digest}))
    with pytest.raises(MathError, match="no JSON"):
        load(path)


@pytest.mark.parametrize("path", ["nowhere.safetensors", ".", "a\0b", 3, None])
def test_paths_that_lead_nowhere(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MathError):
        load(path)


# ------------------------------------------------------------------------------------------- writing


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing.os, "fsync", full)
    with pytest.raises(MathError, match="no space left"):
        write_whole(file, b"new")
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("path", ["no/such/folder/m", "."])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MathError):
        fitted().save(path)


def test_an_old_file_keeps_its_permissions(file):
    file.chmod(0o600)
    fitted().save(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_model_without_prediction_is_not_saved(tmp_path):
    fit = train(gs.parse("sum((w - v)**2)", w="n", v="n"), {"v": np.arange(3.0)})
    with pytest.raises(MathError, match="does not show what it predicts"):
        fit.save(tmp_path / "m")
