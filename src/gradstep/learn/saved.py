"""Is what was saved what we wrote? Plain checks of JSON; nothing in it is ever run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.expression.errors import MathError
from gradstep.expression.records import record


@record
class Kept:
    """What is kept in a file: what it is called, and what to do where it cannot be used."""

    name: str
    called: str
    mend: str

    def spoiled(self, why: str) -> MathError:
        return MathError(f"this {self.called} cannot be used: {why}", mend=self.mend)


MODEL = Kept("model", "saved model", "training and saving it again")
CHECKPOINT = Kept("checkpoint", "checkpoint", "a training from its start, kept elsewhere")


def spoiled(why: str) -> MathError:
    return MODEL.spoiled(why)


def fields(data: object, keys: Sequence[str], what: str, kept: Kept = MODEL) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or set(data) != set(keys):
        raise kept.spoiled(f"{what} should have exactly the fields {', '.join(keys)}")
    return data


def list_of(data: object, key: str) -> list[Any]:
    if not isinstance(data, list):
        raise spoiled(f"{key} is not a list")
    return data


def text_of(data: object, key: str) -> str:
    if not isinstance(data, str) or not data:
        raise spoiled(f"{key} is not text")
    return data


def texts_of(data: object, key: str, least: int) -> tuple[str, ...]:
    texts = tuple(text_of(each, key) for each in list_of(data, key))
    if len(texts) < least or len(set(texts)) < len(texts):
        raise spoiled(f"{key} should be at least {least} different texts")
    return texts


def number_of(data: object, key: str) -> float:
    if not isinstance(data, int | float) or isinstance(data, bool) or not math.isfinite(data):
        raise spoiled(f"{key} is not a finite number")
    return float(data)
