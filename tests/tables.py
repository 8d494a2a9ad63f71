"""Tables that one test goes through: for rows that need less time than pytest takes for a test of its own."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence

import pytest


def each(names: str | Sequence[str], rows: Iterable, ids: Iterable | Callable | None = None, tests: int = 1):
    """As `pytest.mark.parametrize`, but all rows are tried by one test (or by so many `tests`).

    Every row is tried, also after one has failed; each that fails is told by its name and its traceback.
    Fixtures are the same for all rows of a test.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    table = [row if len(arguments) > 1 else (row,) for row in rows]
    said = ids if callable(ids) else str
    called = map(str, ids) if ids and not callable(ids) else ["-".join(map(str, map(said, r))) for r in table]
    named = list(zip(called, table, strict=True))

    def all_of(test):
        @functools.wraps(test)
        def tried(part, **fixtures):
            failed = []
            for name, row in named[part::tests]:
                try:
                    test(**dict(zip(arguments, row, strict=True)), **fixtures)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"in the row {name}")
                    failed.append((name, error))
            if failed:
                wrong, errors = zip(*failed, strict=True)
                raise BaseExceptionGroup(f"these rows fail: {', '.join(wrong)}", errors)

        fixtures = [p for name, p in inspect.signature(test).parameters.items() if name not in arguments]
        part = inspect.Parameter("part", inspect.Parameter.KEYWORD_ONLY)
        tried.__signature__ = inspect.Signature([*fixtures, part])
        return pytest.mark.parametrize("part", range(tests))(tried)

    return all_of
