"""Is what was saved what we wrote? Plain checks of JSON; nothing in it is ever run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.expression.errors import MathError


def spoiled(why: str) -> MathError:
    return MathError(f"this saved model cannot be used: {why}", mend="training and saving it again")


def fields(data: object, keys: Sequence[str], what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or set(data) != set(keys):
        raise spoiled(f"{what} should have exactly the fields {', '.join(keys)}")
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
