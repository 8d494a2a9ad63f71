"""What loads only when it is used? A module that stands for another until one of its names is asked for.

    if TYPE_CHECKING:
        from gradstep.learn import newton
    else:
        newton = late("gradstep.learn.newton")

A command then loads what it uses and no more. The arrow between two rooms stays where it can be read, at the
top of the file: `tests/test_architecture.py` takes it for an import like any other.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class _Late(ModuleType):
    """Has the names of the module that is called like it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def late(name: str) -> ModuleType:
    """The module of this name, which is loaded when it is first needed."""
    return _Late(name)
