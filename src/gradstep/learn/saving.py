"""How is a trained model kept? In one .safetensors file: numbers, the formula as a graph, no code, no pickle.

The file is written beside its place and moved there when it is whole, so a full disk or a power cut leaves
the old file as it was. Reading checks everything: fingerprints of every tensor and of the description, the
formula node by node, every shape.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.shapes import shape_text
from gradstep.learn.columns import shown
from gradstep.learn.encoding import Encoder
from gradstep.learn.predicting import Predictor
from gradstep.learn.saved import fields, spoiled, text_of
from gradstep.learn.scaling import Array, Scaler
from gradstep.operations.evaluation import mentioned, sizes_of
from gradstep.operations.graph import from_json, to_json
from gradstep.operations.memory import SHARE, memory, spoken

FORMAT = 1
LONGEST = 20_000_000  # letters of a description
KEYS = ("format", "formula", "tensors", "features", "encoder", "scaling", "title")


def save(model: Predictor, path: str | os.PathLike[str], scaling: Mapping[str, Scaler] | None = None) -> None:
    """Write `model` to `path`; `scaling` is how the data were standardised in training, for the record."""
    from safetensors.numpy import save as pack

    tensors = {name: np.array(value, dtype=np.float64, order="C") for name, value in model.parameters.items()}
    description = {
        "format": FORMAT,
        "formula": to_json({"loss": model.loss, "prediction": model.prediction}),
        "tensors": {name: fingerprint(value) for name, value in tensors.items()},
        "features": model.features,
        "encoder": None if model.encoder is None else model.encoder.to_json(),
        "scaling": {name: scaler.to_json() for name, scaler in (scaling or {}).items()},
        "title": model.title,
    }
    text = json.dumps(description, ensure_ascii=True, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_whole(path, pack(tensors, metadata={"gradstep": text, "sha256": digest}))


def fingerprint(values: Array) -> str:
    """The SHA-256 of an array: of its shape and its bytes."""
    little = values.astype("<f8")
    return hashlib.sha256(f"{values.shape}".encode() + little.tobytes()).hexdigest()


def write_whole(path: str | os.PathLike[str], content: bytes | Iterable[bytes]) -> None:
    """The whole content at `path`, or the old file untouched and a `MathError`."""
    where = Path(path)
    if where.is_dir():
        raise MathError(
            f"{shown(str(where))} is a folder: a file name is needed", mend=str(where / "model.safetensors")
        )
    try:
        handle, beside = tempfile.mkstemp(dir=where.parent, prefix=f".{where.name[:40]}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, where.stat().st_mode & 0o777 if where.exists() else 0o666 & ~_umask())
            os.replace(beside, where)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        _settle(where.parent)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MathError(f"{shown(str(where))} cannot be written: {reason.lower()}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _settle(folder: Path) -> None:
    """The folder's own entry on disk, where the system allows it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load(path: str | os.PathLike[str]) -> Predictor:
    """The model that `save` wrote at `path`. A file that is damaged, forged or newer is a `MathError`."""
    tensors, notes = _unpacked(path)
    text = notes.get("gradstep", "")
    if notes.get("sha256") != hashlib.sha256(text.encode()).hexdigest():
        raise spoiled("its description does not have the fingerprint that was saved with it")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise spoiled("its description is no JSON") from None
    newer = isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > FORMAT
    if newer:
        raise MathError(
            f"this model has format {data['format']}, and this gradstep reads {FORMAT}",
            mend="a newer gradstep",
        )
    given = fields(data, KEYS, "its description")
    if given["format"] != FORMAT:
        raise spoiled(f"it has the format {given['format']!r:.20}")
    _check_tensors(tensors, given["tensors"])
    roots = from_json(given["formula"])
    if set(roots) != {"loss", "prediction"}:
        raise spoiled("its formula should be a loss and a prediction")
    encoder = None if given["encoder"] is None else Encoder.from_json(given["encoder"])
    if not isinstance(given["scaling"], Mapping):
        raise spoiled("its scaling is not a record")
    for scaling in given["scaling"].values():
        Scaler.from_json(scaling)
    model = Predictor(
        prediction=roots["prediction"],
        loss=roots["loss"],
        parameters=tensors,
        features=text_of(given["features"], "features"),
        encoder=encoder,
        title=text_of(given["title"], "title"),
    )
    _check_fit(model)
    return model


def _unpacked(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors in a .safetensors file and the notes beside them."""
    from safetensors import SafetensorError, safe_open

    if not isinstance(path, str | os.PathLike):
        raise MathError(f"a path is text, not a {type(path).__name__}", mend='"model.safetensors"')
    where = os.fspath(path)
    try:
        about = os.stat(where)
        if not stat.S_ISREG(about.st_mode):
            what = "a folder" if stat.S_ISDIR(about.st_mode) else "not a regular file"
            raise MathError(f"{shown(where)} is {what}", mend="a .safetensors file that gradstep saved")
        if about.st_size > memory() // SHARE:
            raise MathError(
                f"{shown(where)} has {spoken(about.st_size)}: more than a quarter of the memory here",
                facts=[f"the memory is {spoken(memory())}"],
            )
        with safe_open(where, framework="numpy") as file:
            names = [*file.keys()]
            for name in names:
                if file.get_slice(name).get_dtype() != "F64":
                    raise spoiled(f"{shown(name)} does not hold 64-bit numbers")
            notes = file.metadata() or {}
            if sum(map(len, notes.values())) > LONGEST:
                raise spoiled(f"its description is longer than {LONGEST:,} letters")
            return {name: file.get_tensor(name) for name in names}, notes
    except FileNotFoundError:
        raise MathError(f"there is no file {shown(where)}") from None
    except SafetensorError as error:
        raise MathError(
            f"{shown(where)} is no model of gradstep, or it is damaged",
            facts=[str(error)[:120]],
            mend="a .safetensors file that gradstep saved",
        ) from None
    except MathError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MathError(f"{shown(where)} cannot be read: {reason.lower()[:120]}") from None


def _check_tensors(tensors: Mapping[str, Array], fingerprints: Any) -> None:
    """Every tensor is the one that was saved, bit by bit, and finite."""
    if not isinstance(fingerprints, Mapping) or set(fingerprints) != set(tensors):
        raise spoiled("its tensors are not those of its description")
    for name, values in tensors.items():
        if values.dtype != np.float64 or fingerprint(values) != fingerprints[name]:
            raise spoiled(f"the numbers of {name} are not those that were saved: the file is damaged")
        if not np.isfinite(values).all():
            raise spoiled(f"{name} holds numbers that are not finite")


def _check_fit(model: Predictor) -> None:
    """The parts of the file belong to each other."""
    declared = mentioned(model.prediction, model.loss)
    strangers = sorted(set(model.parameters) - set(declared))
    if strangers:
        raise spoiled(f"its formula does not know {strangers[0]}")
    parameters = {name: declared[name] for name in model.parameters}
    try:
        sizes = sizes_of(parameters, model.parameters)
    except MathError as error:
        raise spoiled(error.what) from None
    if model.encoder is None:
        return
    needed = model.data
    features = needed.get(model.features)
    if features is None or features.rank != 2 or len(needed) != 1:
        raise spoiled(f"its prediction should need {model.features} and nothing else")
    count = len(model.encoder.feature_names)
    width = features.shape[1]
    if sizes.get(width, count) != count if isinstance(width, str) else width != count:
        raise spoiled(f"its formula takes {sizes.get(str(width), width)} features, but its table has {count}")
    classes = len(model.encoder.classes or ())
    shape = model.prediction.shape
    columns = sizes.get(str(shape[1]), shape[1]) if len(shape) == 2 else None
    if len(shape) not in (1, 2) or (columns != classes if columns is not None else classes > 2):
        raise spoiled(f"its prediction is {shape_text(shape)}, which does not fit its {classes} classes")
