"""What is a record? A value of named fields that does not change, declared like a data class.

    @record
    class Sup:
        base: Box
        exponent: Box

`dataclasses.dataclass(frozen=True, slots=True)` does the same by compiling half a dozen functions for each
class, which takes as long as all else that a command loads. Here the classes share their methods, and
`__init__` is compiled when the first record of a class is made, which then calls `__post_init__` if there is
one. A record of another kind of record has its fields first.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True)
def record(declared: type[Value]) -> type[Value]:
    """`declared`, whose annotations are its fields; a field that has a value here need not be given."""
    space = dict(vars(declared))
    own = tuple(space.get("__annotations__", ()))
    fields: tuple[str, ...] = (*getattr(declared, "__match_args__", ()), *own)
    defaults = {field: space.pop(field) for field in own if field in space}
    for without in ("__dict__", "__weakref__"):
        space.pop(without, None)
    space |= {"__slots__": own, "__match_args__": fields, "__values__": attrgetter(*fields)}
    kind: Any = type(declared)
    made = kind(declared.__name__, declared.__bases__, METHODS | space)

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        made.__init__ = _compiled(made, fields, defaults)
        self.__init__(*values, **named)

    made.__init__ = __init__
    result: type[Value] = made
    return result


def replaced(value: Value, **changes: Any) -> Value:
    """The record with other values in some of its fields."""
    made: Callable[..., Value] = type(value)
    return made(
        *[changes.pop(field) if field in changes else getattr(value, field) for field in _fields(value)],
        **changes,
    )


def _compiled(made: object, fields: tuple[str, ...], defaults: dict[str, Any]) -> Callable[..., None]:
    """`__init__`: each field is put in its slot."""
    head = ", ".join(f"{field}=defaults[{field!r}]" if field in defaults else field for field in fields)
    body = "\n".join(f"    put_{field}(self, {field})" for field in fields)
    body += "\n    self.__post_init__()" if hasattr(made, "__post_init__") else ""
    names: dict[str, Any] = {f"put_{field}": getattr(made, field).__set__ for field in fields}
    exec(f"def __init__(self, {head}):\n{body}", names | {"defaults": defaults}, names)
    compiled: Callable[..., None] = names["__init__"]
    return compiled


def _fields(value: Any) -> tuple[str, ...]:
    fields: tuple[str, ...] = value.__match_args__
    return fields


def _equal(self: Any, other: Any) -> Any:
    return self.__values__(self) == self.__values__(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(self.__values__(self))


def _told(self: Any) -> str:
    told = ", ".join(f"{field}={getattr(self, field)!r}" for field in _fields(self))
    return f"{type(self).__name__}({told})"


def _pickled(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), tuple([getattr(self, field) for field in _fields(self)])


def _fixed(self: object, name: str, value: object = None) -> NoReturn:
    raise AttributeError(f"a {type(self).__name__} does not change: {name} cannot be set")


METHODS: dict[str, Any] = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _told,
    "__reduce__": _pickled,
    "__setattr__": _fixed,
    "__delattr__": _fixed,
}
