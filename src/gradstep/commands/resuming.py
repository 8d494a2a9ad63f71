"""How does the command go on with a training? All that it was asked for is in the checkpoint."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gradstep.backends.threads import use_threads_for_products
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn.columns import shown
from gradstep.learn.opening import paths
from gradstep.learn.prints import print_of
from gradstep.learn.saved import CHECKPOINT

if TYPE_CHECKING:
    from gradstep.learn import checkpoints, queries
    from gradstep.learn.checkpoints import Checkpoint, Found
else:
    checkpoints = late("gradstep.learn.checkpoints")
    queries = late("gradstep.learn.queries")

ITSELF = ("checkpoint", "every", "resume", "quiet")  # what is not taken up
FILES = ("save", "page", "predictions")


def taken_up(
    context: click.Context, data: str | None, shapes: Sequence[str], options: Mapping[str, Any]
) -> tuple[Checkpoint | None, str, Sequence[str], dict[str, Any]]:
    """The checkpoint that was asked for; DATA, SHAPES and options, where they are not given those in it."""
    place, goes_on = options["resume"] or options["checkpoint"], bool(options["resume"])
    if options["resume"] and options["checkpoint"]:
        raise MathError("--resume goes on in the checkpoint that it names", mend="--resume alone")
    checkpoint = checkpoints.Checkpoint.of(place, options["every"], goes_on) if place else None
    found = None if checkpoint is None else checkpoint.found
    if goes_on and found is None:
        raise MathError(f"there is no checkpoint in {shown(place)}", mend="--checkpoint, to begin one")
    asked = dict(options)
    if found is not None:
        data, shapes, asked = _as_begun(context, found, data, shapes, asked)
    if data is None:
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    if checkpoint is not None:
        kept = {name: value for name, value in asked.items() if name not in ITSELF}
        kept = {name: _open(value) for name, value in kept.items()}
        kept |= {name: value and os.path.abspath(value) for name, value in asked.items() if name in FILES}
        checkpoint.about["command"] = {"data": _lasting(data), "shapes": [*shapes], "options": kept}
    return checkpoint, data, shapes, asked


def _as_begun(
    context: click.Context, found: Found, data: str | None, shapes: Sequence[str], options: dict[str, Any]
) -> tuple[str, Sequence[str], dict[str, Any]]:
    """What the training began with, but for what is given now."""
    told, machine = found.about.get("command"), found.about.get("machine")
    if not isinstance(told, Mapping) or not isinstance(told.get("options"), Mapping):
        raise MathError(
            "this checkpoint was not begun by gradstep train",
            mend="gs.train(…, checkpoint=…, resume=True) with the same loss and data",
        )
    was, began = told["options"], told.get("shapes")
    for option in context.command.params:
        name = option.name or ""
        given = context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
        if name in was and name not in ITSELF and not given:
            options[name] = option.type_cast_value(context, was[name])
    if not isinstance(began, list) or not all(isinstance(each, str) for each in began):
        raise CHECKPOINT.spoiled("its shapes are not text")
    began_with = told.get("data")
    if data is None and not isinstance(began_with, str):
        raise MathError("where these data are is not kept, since it may hold a secret", mend="DATA once more")
    threads = machine.get(checkpoints.THREADS) if isinstance(machine, Mapping) else None
    if isinstance(threads, str) and threads.isdecimal():
        use_threads_for_products(int(threads))  # others would add up in another order
    return data or str(began_with), shapes or began, options


def files_of(data: str, query: str | None) -> dict[str, str]:
    """What the files of a table are known by; that of a data base is known by its rows alone."""
    return {} if query else {path: print_of(path) for path in paths(data)}


def _lasting(data: str) -> str | None:
    """Where data are, seen from any folder; none for an address that may hold a secret."""
    return _open(data) if "://" in data else os.path.abspath(data)


def _open(value: Any) -> Any:
    """An option, or None in the place of what may hold a secret: an address, or a query that tells one."""
    if not isinstance(value, str):
        return value
    address = "://" in value and (queries.has_password(value) or "?" in value)
    return None if address or queries.tells_a_secret(value) else value


@contextmanager
def outlived() -> Iterator[None]:
    """SIGTERM is heard as Ctrl-C is, and what goes wrong meanwhile is said at once."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest: click.echo(f"warning: {message}", err=True)
        with _terminable():
            yield


@contextmanager
def _terminable() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
