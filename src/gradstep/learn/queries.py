"""What does a data base answer? Batches of Arrow, by DuckDB or an ADBC driver, written down once.

The answer is asked for once: no data base promises the same order of rows twice, and every pass has to see
the same rows. Nothing of an address but its kind and the name of the data base is ever told.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from gradstep.expression.errors import MathError
from gradstep.learn.arrow import arrow, check_names, check_regular, fields_of, raw_of
from gradstep.learn.columns import listed, shown
from gradstep.learn.selection import selected
from gradstep.learn.spool import Spooled, spooling
from gradstep.learn.stores import Store

PACKAGES = {
    "duckdb": "duckdb",
    "sqlite": "adbc-driver-sqlite",
    "postgresql": "adbc-driver-postgresql",
}
IN_FILES = ("duckdb", "sqlite")
SELECT = "a query that the data base answers by itself"
SECRETS = r"(?i)(password|passwd|pwd|token|secret|key)(\s*[=:]\s*)\S+"
LONGEST = 160  # letters of what a driver says
STREAM = "__arrow_c_stream__"  # of the Arrow PyCapsule interface
ADDRESS = "duckdb:///houses.db"


def open_query(
    source: Any,
    query: str,
    target: str | None = None,
    *,
    features: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Store:
    """The answer to a query, as rows for `train`: its column `target` is y, all others, or `features`, are X.

    `source` is a connection of DuckDB or of an ADBC driver, or an address: "duckdb:///houses.db",
    "sqlite:///houses.db" or "postgresql://host/name". The query runs once; its answer is written down in a
    temporary file (in TMPDIR), which lasts as long as the rows are used. What columns become is said at
    `open_rows`. Needs the extra `gradstep[database]`.
    """
    return selected(answer(source, query), target, features, kinds=kinds)


def answer(source: Any, query: str) -> Spooled:
    """The answer to a query, as a table that was written down."""
    if not isinstance(query, str) or not query.strip():
        raise MathError("a query is text", mend='"SELECT * FROM houses"')
    if not isinstance(source, str):
        return written_down(source, query, f"the query {shown(clean(query, ()))}", ())
    kind, name, secrets = _parts(source)
    with contextlib.closing(_connected(kind, source, secrets)) as connection:
        return written_down(connection, query, f"the query {shown(clean(query, ()))} at {name}", secrets)


def written_down(connection: Any, query: str, source: str, secrets: Sequence[str]) -> Spooled:
    """An answer, written down; columns of other types than numbers and texts are left out."""
    stream, _open = _asked(connection, query, secrets)
    check_names(stream.schema.names, source)
    fields, notes = fields_of([stream.schema], [source])
    if not fields:
        raise MathError(f"{source} has no columns of numbers or texts", facts=notes)
    package = arrow()
    with spooling(fields) as spool:
        for batch in _batches(stream, secrets):
            table = package.Table.from_batches([batch])
            spool.write({name: raw_of(table.column(name), field) for name, field in fields.items()})
        if not spool.rows:
            raise MathError(f"{source} has no rows", facts=["columns: " + listed(fields)])
        return spool.finished(source, None, notes)


def _batches(stream: Any, secrets: Sequence[str]) -> Iterator[Any]:
    with _failing("the query fails while its rows come", secrets):
        yield from stream


def _parts(address: str) -> tuple[str, str, list[str]]:
    """The kind of an address, what may be told of it, and what may not."""
    try:
        parts = urlsplit(address)
        secrets = [parts.password, parts.username, *(value for _, value in parse_qsl(parts.query))]
        host = parts.hostname or ""
    except ValueError:
        raise MathError("this is no address of a data base", mend=ADDRESS) from None
    if parts.scheme not in PACKAGES:
        raise MathError(
            f"{shown(parts.scheme)} is no kind of data base that is known here"
            if parts.scheme
            else "an address says which kind of data base it is",
            facts=["known: " + ", ".join(PACKAGES)],
            mend=ADDRESS,
        )
    name = os.path.basename(parts.path) or parts.path
    return parts.scheme, f"{host}/{name}" if host else name, [*map(unquote, filter(None, secrets))]


def _connected(kind: str, address: str, secrets: Sequence[str]) -> Any:
    """A connection, which only reads where that can be said."""
    try:
        driver = _driver(kind)
    except ImportError:
        raise MathError(
            f"a {kind} data base is read by {PACKAGES[kind]}, which is not installed",
            mend="pip install 'gradstep[database]'" if kind in IN_FILES else f"pip install {PACKAGES[kind]}",
        ) from None
    with _failing("the data base cannot be opened", [address, *secrets], ADDRESS):
        if kind not in IN_FILES:
            return driver.connect(address)
        path = unquote(address.partition("://")[2].partition("?")[0]).removeprefix("/")
        path = f"/{path}" if path and not os.path.exists(path) and os.path.exists(f"/{path}") else path
        if path not in ("", ":memory:"):
            check_regular(path, "the file of a data base")
        if kind == "duckdb":
            return driver.connect(path or ":memory:", read_only=bool(path) and path != ":memory:")
        return driver.connect(f"file:{path}?mode=ro" if path else ":memory:")


def _driver(kind: str) -> Any:
    match kind:
        case "duckdb":
            import duckdb as driver
        case "sqlite":
            import adbc_driver_sqlite.dbapi as driver
        case _:
            import adbc_driver_postgresql.dbapi as driver
    return driver


def _asked(connection: Any, query: str, secrets: Sequence[str]) -> tuple[Any, Any]:
    """The answer of a connection as a stream of Arrow batches, and what must stay open for it."""
    package = arrow()
    with _failing("the query fails", secrets):
        found = cursor = connection
        if not hasattr(connection, STREAM):
            if hasattr(connection, "sql"):
                found = cursor = connection.sql(query)
            elif hasattr(connection, "cursor"):
                cursor = connection.cursor()
                cursor.execute(query)
                found = cursor.fetch_record_batch() if hasattr(cursor, "fetch_record_batch") else cursor
        if not hasattr(found, STREAM):
            raise MathError(
                "the query answers no rows of Arrow"
                if found is None
                else f"{type(connection).__name__} gives no rows of Arrow",
                mend="a SELECT" if found is None else "a connection of duckdb, or of an ADBC driver",
            )
        return package.RecordBatchReader.from_stream(found), cursor


@contextlib.contextmanager
def _failing(what: str, secrets: Sequence[str], mend: str = SELECT) -> Iterator[None]:
    """What a driver says, as an error without secrets."""
    try:
        yield
    except (MathError, KeyboardInterrupt, GeneratorExit):
        raise
    except Exception as error:
        raise MathError(what, facts=[clean(str(error), secrets)], mend=mend) from None


def clean(text: str, secrets: Sequence[str]) -> str:
    """What may be told of a message: no addresses with users, no passwords, and not too much."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 2:
            text = text.replace(secret, "…")
    text = re.sub(r"//[^/\s@]*@", "//…@", text)
    text = re.sub(SECRETS, r"\1\2…", text)
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^")]
    return " ".join(lines)[:LONGEST]


def tells_a_secret(text: str) -> bool:
    """Whether a message would leave something out of this text: a password, alone or in an address."""
    signs = (r"//[^/\s@:]*:[^/\s@]*@", SECRETS, r"(?i)create\s+secret")
    return any(re.search(sign, text) for sign in signs)


def has_password(address: str) -> bool:
    """Whether an address holds a password."""
    try:
        return urlsplit(address).password is not None or bool(re.search(r"(?i)[?&](password|pwd)=", address))
    except ValueError:
        return False
