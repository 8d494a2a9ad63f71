"""How is a compiled function called? By name, with arrays that are checked against the declared shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradstep.backends.program import Program
from gradstep.expression.errors import MathError, SingularError, resembling
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Lengths, shape_text, size_names
from gradstep.operations.evaluation import sizes_of
from gradstep.operations.lookups import check_places
from gradstep.operations.memory import check_room

MOST = 64  # kinds of calls that are remembered


class Compiled:
    """A function made from a program: `f(X=…, w=…)` gives (value, {"w": gradient}), or the value alone.

    The value is a float where it is a number. Arrays are checked by name and shape. A gradient is an array of
    its own, in the shape of its parameter. All numbers are float64, or float32 where every floating array
    that is given is float32.

    source    the code, as text
    program   the straight-line program that it was written from
    raw       the bare function: takes the arrays in the order of `program.inputs`, checks nothing
    report    how it runs
    """

    def __init__(self, source: str, program: Program, raw: Callable[..., Any]) -> None:
        self.source, self.program, self.raw = source, program, raw
        self.declared = {given.name: given.declared for given in program.inputs}
        self.kinds: dict[Any, Any] = {}  # by what arguments are like that were found to fit: theirs

    def __repr__(self) -> str:
        takes = ", ".join(given.name for given in self.program.inputs)
        slopes = ", ".join(self.program.gradients)
        what = self.raw.__name__.removeprefix("value_and_").replace("_", " ")
        return f"<function of {takes}: the value{f' and the {what} for {slopes}' if slopes else ''}>"

    @property
    def report(self) -> str:
        """How it runs: in blocks of rows and by how many threads, or why not; as in the last call, if any."""
        return self.told()

    def told(self, size: int | None = None) -> str:
        """How it runs on so many bytes of data; those of the last call, if not said."""
        told: Callable[[int | None], str] | None = getattr(self.raw, "report", None)
        return told(size) if told else "all at once"

    def __call__(self, /, **values: Any) -> Any:
        import numpy as np

        arrays = self.arguments(values)
        kind = arrays[0].dtype if arrays else np.dtype(np.float64)
        try:
            with np.errstate(all="ignore"):
                result = self.raw(*arrays)
        except np.linalg.LinAlgError:
            raise SingularError from None
        if len(self.program.outputs) == 1:
            return _value(result, kind)
        value, gradients = result
        return _value(value, kind), {name: np.asarray(g, dtype=kind) for name, g in gradients.items()}

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values as arrays of one kind, in the order of the inputs; raises `MathError`."""
        import numpy as np

        arrays = (np.ndarray, np.float64, np.float32)
        like = tuple(
            [
                (name, value.shape, value.dtype) if type(value) in arrays else (name, type(value))
                for name, value in values.items()
            ]
        )
        kind = self.kinds.get(like)
        if kind is not None:
            return [np.asarray(values[name], kind) for name in self.declared]
        found = _arrays(_named(self.program, self.declared, values))
        sizes = _sizes(self.program, self.declared, found)
        for name, size in self.program.lookups.items():
            check_places(np, name, found[name], sizes[size])
        if not self.program.lookups and all(type(value) in (*arrays, float) for value in values.values()):
            if len(self.kinds) >= MOST:
                self.kinds.clear()
            self.kinds[like] = next((array.dtype for array in found.values()), np.dtype(np.float64))
        return [found[name] for name in self.declared]


def to_take_away(source: str, program: Program, language: str) -> Compiled:
    """Source in a language that is not run here: who calls it is told so by a `MathError`."""

    def run(*arrays: object) -> None:
        told = f"{language} is written to be taken away, not run here"
        raise MathError(told, mend="f.source, or another back end")

    return Compiled(source, program, run)


def _value(result: Any, kind: Any) -> Any:
    import numpy as np

    array = np.asarray(result, dtype=kind)
    return array if array.ndim else float(array)


def _named(program: Program, declared: Mapping[str, Expr], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are needed; one that is not known or missing is a `MathError`."""
    values = {name: value for name, value in values.items() if name not in program.spare}
    for name in values:
        if name not in declared:
            near = resembling(name, [other for other in declared if other not in values], cutoff=0.3)
            raise MathError(
                f"there is no variable {name} here",
                facts=[f"the variables are {', '.join(declared)}"],
                mend=f"{near[0]}=…" if near else None,
            )
    missing = [name for name in declared if name not in values]
    if missing:
        shape = declared[missing[0]].shape
        raise MathError(
            f"{missing[0]} has no value",
            facts=[f"{missing[0]} is {shape_text(shape)}"],
            mend=f"giving one: {missing[0]}=…",
        )
    return values


def _sizes(program: Program, declared: Mapping[str, Expr], arrays: Mapping[str, Any]) -> Lengths:
    """All sizes; `MathError` for arrays of shapes that do not fit, or that would take too much memory."""
    sizes = sizes_of(declared, arrays)
    for size, length in sizes.items():
        if length == 0:
            raise MathError(f"the size {size} is 0: there is nothing to compute")
    for need in program.needs:
        if sizes[need] < 0:
            known = [f"{name} = {sizes[name]}" for name in size_names(need)]
            raise MathError(f"some entry is not there: {need} should not be negative", facts=known)
    check_room(program.grown, sizes)
    return sizes


def _arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays of float32 where every array of floating numbers that is given has it, else of float64.

    Lists and Python's numbers have no precision of their own and follow the arrays.
    """
    import numpy as np

    arrays = {}
    kinds = set()
    for name, value in values.items():
        try:
            array = np.asarray(value)
            if array.dtype.kind not in "biuf":
                raise TypeError
        except (TypeError, ValueError):
            raise MathError(f"{name} should be an array of numbers, not {type(value).__name__}") from None
        arrays[name] = array
        if hasattr(value, "dtype") and array.dtype.kind == "f":
            kinds.add(array.dtype)
    kind = np.float32 if kinds == {np.dtype(np.float32)} else np.float64
    return {name: np.asarray(array, dtype=kind) for name, array in arrays.items()}
