"""What does a function of the user's give? Called at many points, here or in a process of its own.

    python -m gradstep.backends.foreign FILE:NAME POINTS.npz ANSWERS.npz

A function may be `backward(X, w, b, y)`, its operands named as the variables of the loss or in their order,
with the gradient that arrives in front or by another name (G, grad_output …) if it takes one more. It returns
the gradients as a dictionary, or in the order in which they are asked for. A `torch.autograd.Function` is
applied, and PyTorch asked for the gradients. What a function raises is an answer too.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.records import record

Point = Mapping[str, Any]
SECONDS = 120  # that all calls together may take in a process of its own
LONGEST = 300  # characters of an error that are told


@record
class Answer:
    """What came of one call: gradients by name, or an error; operands it changed; the value, if known."""

    gradients: Mapping[str, Any]
    error: str = ""
    changed: tuple[str, ...] = ()
    value: Any = None


@record
class Asked:
    """What to call a function with: the variables in order, the gradient that arrives, what is asked for."""

    variables: tuple[str, ...]
    arriving: str
    wrt: tuple[str, ...]


def answers(function: Callable[..., Any], asked: Asked, points: Sequence[Point]) -> list[Answer]:
    """The answers of a function, called here."""
    ask = _torch_call if is_torch_function(function) else _call
    return [ask(function, asked, point) for point in points]


def is_torch_function(function: object) -> bool:
    """Whether this is a subclass of torch.autograd.Function."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(function, type) and issubclass(function, torch.autograd.Function)


def _call(function: Callable[..., Any], asked: Asked, point: Point) -> Answer:
    given = {name: np.array(value) for name, value in point.items()}
    try:
        arguments = _arguments(function, asked, given)
        with np.errstate(all="ignore"):
            result = function(*arguments)
        gradients, value = _gradients(result, asked)
    except Exception as error:
        return Answer({}, _told(error))
    changed = tuple(
        name for name, array in given.items() if not np.array_equal(array, point[name], equal_nan=True)
    )
    return Answer(gradients, "", changed, value)


def _arguments(function: Callable[..., Any], asked: Asked, given: Mapping[str, Any]) -> list[Any]:
    """The operands in the order in which the function takes them."""
    takes = [
        name
        for name, place in inspect.signature(function).parameters.items()
        if place.kind in (place.POSITIONAL_ONLY, place.POSITIONAL_OR_KEYWORD)
        and (place.default is place.empty or name in given)
    ]
    takes = [name for name in takes if name not in ("self", "ctx")]
    known = [name for name in asked.variables if name in given]
    one = given.get(asked.arriving, np.array(1.0))
    if set(known) <= set(takes) or set(takes) <= set(known):
        return [given.get(name, one) for name in takes]
    if len(takes) == len(known):
        return [given[name] for name in known]
    if len(takes) == len(known) + 1:
        return [one, *(given[name] for name in known)]
    raise MathError(
        f"it takes {', '.join(takes) or 'nothing'}, but the variables are {', '.join(known)}",
        mend=f"def backward({', '.join(known)})",
    )


def _gradients(result: Any, asked: Asked) -> tuple[dict[str, Any], Any]:
    """The gradients by name, and the value of the loss where it comes first."""
    value = None
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        value, result = np.asarray(result[0], dtype=float), result[1]
    if isinstance(result, Mapping):
        found = {str(name).removeprefix("grad_"): array for name, array in result.items()}
        found = {
            name if name in asked.wrt else name.removeprefix("d"): array for name, array in found.items()
        }
        missing = [name for name in asked.wrt if name not in found]
        if missing:
            raise MathError(f"it returns no gradient for {missing[0]}", mend=f'{{"{missing[0]}": …}}')
        arrays = [found[name] for name in asked.wrt]
    elif isinstance(result, tuple | list) and len(asked.wrt) > 1:
        if len(result) != len(asked.wrt):
            raise MathError(f"it returns {len(result)} gradients where {len(asked.wrt)} are asked for")
        arrays = list(result)
    else:
        arrays = [result[0] if isinstance(result, tuple) and len(result) == 1 else result]
    made = {name: np.asarray(array) for name, array in zip(asked.wrt, arrays, strict=True)}
    for name, array in made.items():
        if array.dtype.kind not in "biuf":
            raise MathError(f"it returns no numbers for {name}, but {type(array.flat[0]).__name__}")
    return made, value


def _torch_call(function: Any, asked: Asked, point: Point) -> Answer:
    torch: Any = sys.modules["torch"]
    try:
        tensors = {name: torch.tensor(np.asarray(value)) for name, value in point.items()}
        for name in asked.wrt:
            tensors[name].requires_grad_()
        takes = [name for name in inspect.signature(function.forward).parameters if name != "ctx"]
        known = list(asked.variables)
        order = takes if set(takes) <= set(known) else known
        out = function.apply(*(tensors[name] for name in order))
        arriving = tensors.get(asked.arriving, torch.ones_like(out))
        found = torch.autograd.grad(out, [tensors[name] for name in asked.wrt], arriving, allow_unused=True)
    except Exception as error:
        return Answer({}, _told(error))
    arrays = [
        np.zeros(np.shape(point[name])) if gradient is None else gradient.detach().numpy()
        for name, gradient in zip(asked.wrt, found, strict=True)
    ]
    return Answer(dict(zip(asked.wrt, arrays, strict=True)), "", (), out.detach().numpy())


def _told(error: Exception) -> str:
    """An error of the function in one line, with the line in which it was raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    where = f" in line {frames[-1].lineno}, {frames[-1].line}" if frames and frames[-1].line else ""
    words = " ".join(str(error).split())
    kind = "" if isinstance(error, MathError) else f"it raises {type(error).__name__}: "
    return f"{kind}{words:.{LONGEST}}{where if kind else ''}"


# ------------------------------------------------------------------------------------- in another process


def answers_of(place: str, asked: Asked, points: Sequence[Point], seconds: float = SECONDS) -> list[Answer]:
    """The answers of the function NAME of FILE, `place` being FILE:NAME, run in a process of its own.

    The file is run as it is, with all that it does: that is at the user's own risk. Raises `MathError` where
    there is no such file or function, or it takes too long.
    """
    file, _, name = place.rpartition(":")
    if not file or not name.isidentifier():
        raise MathError(f"a function is given as FILE:NAME, not {place!r:.80}", mend="mine.py:backward")
    if not Path(file).is_file():
        raise MathError(f"there is no file {file}")
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "points.npz"), Path(folder, "answers.npz")
        told = {"asked": [asked.variables, asked.arriving, asked.wrt], "points": len(points)}
        arrays = {f"{k}.{key}": value for k, point in enumerate(points) for key, value in point.items()}
        np.savez(given, told=np.array(json.dumps(told)), **arrays)
        command = [sys.executable, "-m", "gradstep.backends.foreign", place, str(given), str(found)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise MathError(f"{place} has not answered within {seconds:.0f} seconds") from None
        if done.returncode or not found.is_file():
            last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise MathError(f"{place} cannot be called: {last:.{LONGEST}}")
        return _read(found, asked)


def _read(file: Path, asked: Asked) -> list[Answer]:
    with np.load(file, allow_pickle=False) as saved:
        said = json.loads(str(saved["told"]))
        return [
            Answer(
                {name: saved[f"{k}.{name}"] for name in asked.wrt if f"{k}.{name}" in saved},
                str(error),
                tuple(changed),
                saved.get(f"{k}/value"),
            )
            for k, (error, changed) in enumerate(said)
        ]


def main(place: str, given: str, found: str) -> None:
    """Call the function of a file at the points of a file, and write the answers to a third."""
    file, _, name = place.rpartition(":")
    with np.load(given, allow_pickle=False) as saved:
        told = json.loads(str(saved["told"]))
        points: list[dict[str, Any]] = [{} for _ in range(told["points"])]
        for key in saved.files:
            number, _, variable = key.partition(".")
            if variable:
                points[int(number)][variable] = saved[key]
    variables, arriving, wrt = told["asked"]
    sys.path.insert(0, str(Path(file).resolve().parent))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise SystemExit(f"{file} has no function {name}")
    made = answers(function, Asked(tuple(variables), arriving, tuple(wrt)), points)
    arrays = {f"{k}.{name}": array for k, one in enumerate(made) for name, array in one.gradients.items()}
    arrays |= {f"{k}/value": one.value for k, one in enumerate(made) if one.value is not None}
    said = [(one.error, list(one.changed)) for one in made]
    np.savez(found, told=np.array(json.dumps(said)), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:4])
