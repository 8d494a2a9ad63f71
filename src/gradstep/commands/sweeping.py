"""How is a sweep typed? `--sweep learning_rate=0.1,1 --sweep seed=0,1`: a list of values for each name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradstep.expression.errors import MathError
from gradstep.learn.penalty import L2
from gradstep.learn.variants import MANNERS, Variant

AUTOMATIC = ("automatic", "auto", "none")
WHOLE = ("seed", "batch", "steps")


def sweep_of(words: Sequence[str]) -> dict[str, list[Any]]:
    """The lists of values by name; `learning-rate` is `learning_rate`."""
    sweep: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name or not values.strip():
            raise MathError(
                f"a sweep is a name and its values, not {word!r:.60}", mend="--sweep learning_rate=0.01,0.1,1"
            )
        if name in sweep:
            raise MathError(f"{name} is swept twice", mend=f"--sweep {name}={values} with all its values")
        sweep[name] = [_value(name, text.strip()) for text in values.split(",")]
    return sweep


def _value(name: str, text: str) -> Any:
    """What is meant by one of the values of a name."""
    if name == "optimiser":
        return text
    if text.lower() in AUTOMATIC and name in ("learning_rate", "batch"):
        return None
    read: Callable[[str], Any] = int if name in WHOLE else float
    try:
        return read(text)
    except ValueError:
        kind, such = ("whole numbers", "32,256") if name in WHOLE else ("numbers", "0.01,0.1,1")
        raise MathError(
            f"the values of {name} are {kind}, not {text!r:.40}",
            mend=f"--sweep {name}={such}",
        ) from None


def chosen(options: Mapping[str, Any], best: Variant) -> dict[str, Any]:
    """The options with which the best variant alone is trained; --seed would hold out other rows."""
    able = [name for name in (*MANNERS, L2) if name in options and name != "seed"]
    manners = {name: value for name, value in best.items() if name in able}
    rest = [f"{name}={value}" for name, value in best.items() if name not in manners]
    return {**options, **manners, "sweep": tuple(rest)}
