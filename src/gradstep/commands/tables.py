"""What do the commands that read tables share? Options on how the file is written, and answers as CSV."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn.cells import Style
from gradstep.learn.columns import Table, shown
from gradstep.learn.data import LIMIT, read_table
from gradstep.learn.opening import is_short_text, is_stored, table_or_rows
from gradstep.learn.places import is_address, local

if TYPE_CHECKING:
    import pathlib
    import shlex

    from gradstep.learn import queries, stored_tables, tabular
    from gradstep.learn.cluster import Cluster
    from gradstep.learn.encoding import Encoder
    from gradstep.learn.predicting import Answers, Predictor
    from gradstep.learn.stores import Store
else:
    pathlib = late("pathlib")
    shlex = late("shlex")
    queries = late("gradstep.learn.queries")
    stored_tables = late("gradstep.learn.stored_tables")
    tabular = late("gradstep.learn.tabular")

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = "|".join(
    (
        "target|task|optimiser|learning_rate|l2|steps|batch|holdout|seed",
        "checkpoint|every|separator|decimal|thousands",
    )
)


def table_options(command: F) -> F:
    """--separator, --decimal and --thousands: how numbers and cells are written in the file; and --query."""
    for option in (
        click.option(
            "--query", metavar="SQL", help="What to ask a data base, whose address DATA is: duckdb:///file.db"
        ),
        click.option("--thousands", default="", metavar="MARK", help="What stands between thousands: , or ."),
        click.option("--decimal", default=".", metavar="MARK", help="The decimal mark: a point or a comma."),
        click.option(
            "--separator", default=None, metavar="MARK", help="What stands between cells; found by itself."
        ),
    ):
        command = option(command)
    return command


def _quoted(value: str) -> str:
    """A value as it is typed; a mark is put into quotes, so that it is seen."""
    return f'"{value}"' if value in (",", ".", ";") else shlex.quote(value)


# How an option is written in Python, and in a terminal.
WRITTEN = (
    (r'kinds=\{"([^"]*)": "(\w+)"\}', lambda m: f"--kind {shlex.quote(f'{m[1]}={m[2]}')}"),
    (r"resume=True", lambda m: "--resume"),
    (r"hidden=\(([\d, ]+)\)", lambda m: f"--hidden {m[1].replace(' ', '')}"),
    (
        rf'(?<!--sweep )({OPTIONS})=(?:"([^"]*)"|([\w.+-]+))',
        lambda m: f"--{m[1].replace('_', '-')} {_quoted(m[2] if m[3] is None else m[3])}",
    ),
)


def as_options(text: str) -> str:
    """Advice for Python, `steps=400`, as advice for a terminal, `--steps 400`."""
    for pattern, written in WRITTEN:
        text = re.sub(pattern, written, text)
    return text


@contextmanager
def in_a_terminal() -> Iterator[None]:
    """Errors from here on advise options of the command."""
    try:
        yield
    except MathError as error:
        error.mend = as_options(error.mend) if error.mend else None
        raise


def check_outputs(*paths: str | None) -> None:
    """Files that are to be written can be: an error before the work, not after it."""
    for path in paths:
        if not path:
            continue
        try:
            is_folder, has_folder = pathlib.Path(path).is_dir(), pathlib.Path(path).parent.is_dir()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MathError(f"{shown(path)} cannot be written: {reason.lower()}") from None
        if is_folder:
            raise MathError(f"{shown(path)} is a folder: a file name is needed")
        if not has_folder:
            what = f"there is no folder {shown(str(pathlib.Path(path).parent))}"
            raise MathError(f"{shown(path)} cannot be written: {what}")


def read_any(
    path: str,
    style: Mapping[str, Any],
    target: str | None,
    kinds: Mapping[str, str] | None = None,
    encoder: Encoder | None = None,
    workers: Callable[[], Cluster | None] = lambda: None,
) -> Table | Store:
    """The table at `path`, or its rows where they are too many for memory; in a mark, \\t is a tab.

    The `workers` are asked for where rows are too many, to look at them.
    """
    mark, decimal, thousands = (style[name] for name in ("separator", "decimal", "thousands"))
    mark, query = None if mark is None else mark.replace("\\t", "\t"), style.get("query")
    elsewhere = is_address(path) or path != local(path)
    if "://" in path and not query and not elsewhere:
        raise MathError("which rows of the data base?", mend='--query "SELECT * FROM …"')
    if query:
        if queries.has_password(path):
            raise MathError(
                "the address holds a password, which histories and lists of processes show to others",
                mend="an address without it, and PGPASSWORD or a file of passwords",
            )
        return table_or_rows(path, target, kinds, encoder, query=query, workers=workers)
    if is_stored(path) and not is_short_text(path, LIMIT):
        style_of = Style(decimal, thousands)
        return table_or_rows(path, target, kinds, encoder, mark, style_of, workers=workers)
    return read_table(local(path), separator=mark, decimal=decimal, thousands=thousands, kinds=kinds)


def kinds_of(given: Sequence[str]) -> dict[str, str]:
    """NAME=number or NAME=category, from the command line."""
    kinds = {}
    for each in given:
        name, sign, kind = each.rpartition("=")
        if not sign:
            raise MathError(f"{each!r:.60} should be a column and its kind", mend="--kind zip=category")
        kinds[name] = kind
    return kinds


def answers_csv(
    answers: Answers, target: str, classes: Sequence[str] | None, beside: Mapping[str, Sequence[Any]]
) -> str:
    """The answers as CSV, after the columns `beside`; probabilities follow where there are classes."""
    columns: dict[str, Sequence[Any]] = {**beside, f"predicted {target}": list(answers.predicted)}
    if answers.probabilities is not None:
        for k, label in enumerate(classes or ()):
            columns[f"p({label})"] = answers.probabilities[:, k].tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue()


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\0") else text


def predictions_of(predictor: Predictor, store: Store) -> Iterator[bytes]:
    """The answers for rows in files as CSV, window by window: the row, the true value if it is there."""
    encoder = predictor.encoder
    if encoder is None:
        raise MathError("this model was trained on arrays, so it does not know the columns of a table")
    at = 0
    truths = store.beside() if isinstance(store, tabular.TableStore) else itertools.repeat(None)
    for (arrays, answers), truth in zip(stored_tables.answered(predictor, store), truths, strict=False):
        count = len(answers.values)
        beside: dict[str, Sequence[Any]] = {"row": range(at, at + count)}
        if truth is not None or "y" in arrays:
            beside[encoder.target] = arrays["y"].tolist() if truth is None else truth
        text = answers_csv(answers, encoder.target, encoder.classes, beside)
        yield (text if not at else text.partition("\n")[2]).encode()
        at += count
