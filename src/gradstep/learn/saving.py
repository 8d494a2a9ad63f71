"""How is a trained model kept? In one .safetensors file: numbers, the formula as a graph, no code, no pickle.

Reading checks everything: fingerprints of every tensor and of the description, the formula node by node,
every shape.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.shapes import shape_text
from gradstep.learn.encoding import Encoder
from gradstep.learn.packing import check_numbers, fingerprint, packed, unpacked, write_whole
from gradstep.learn.predicting import Predictor
from gradstep.learn.saved import MODEL, fields, spoiled, text_of
from gradstep.learn.scaling import Scaler
from gradstep.operations.evaluation import mentioned, sizes_of
from gradstep.operations.graph import from_json, to_json

FORMAT = 1
KEYS = ("format", "formula", "tensors", "features", "encoder", "scaling", "title")


def save(model: Predictor, path: str | os.PathLike[str], scaling: Mapping[str, Scaler] | None = None) -> None:
    """Write `model` to `path`; `scaling` is how the data were standardised in training, for the record."""
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
    write_whole(path, packed(tensors, description), example="model.safetensors")


def load(path: str | os.PathLike[str]) -> Predictor:
    """The model that `save` wrote at `path`. A file that is damaged, forged or newer is a `MathError`."""
    tensors, data = unpacked(path, MODEL)
    newer = isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > FORMAT
    if newer:
        raise MathError(
            f"this model has format {data['format']}, and this gradstep reads {FORMAT}",
            mend="a newer gradstep",
        )
    given = fields(data, KEYS, "its description")
    if given["format"] != FORMAT:
        raise spoiled(f"it has the format {given['format']!r:.20}")
    check_numbers(tensors, given["tensors"], MODEL)
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise spoiled(f"{name} holds numbers that are not finite")
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
