"""What is a function in a language with loops made of? Statements and loops, before anyone writes them down.

`fused` puts loops over the same entries together, where no entry is needed before it is there, and makes a
number of an array of which only the entry at hand is ever needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

Kind = Literal["set", "add", "variable", "constant"]
NAME = re.compile(r"[A-Za-z_]\w*")
TOKEN = re.compile(r"_k\d+_")  # the counter of a loop, until it gets its letter


@dataclass(slots=True)
class Put:
    """`place = value`, or what `kind` says: added to it, or the beginning of a variable or a constant."""

    place: str
    value: str
    kind: Kind = "set"
    comment: str = ""

    @property
    def name(self) -> str:
        """What is given a value."""
        return self.place.partition("[")[0]


@dataclass(slots=True)
class Loop:
    """The statements of `body` for each value of `counter` from 0 to below `size`."""

    counter: str
    size: str
    body: list[Statement]


Statement = Put | Loop
SIGNS: dict[Kind, str] = {"set": "=", "add": "+=", "variable": "=", "constant": "="}


@dataclass
class Body:
    """The statements of a function: what is there from the `start`, and what is done.

    `arrays` are those that are made on the way, with their lengths; `start` are numbers and arrays that begin
    with a value: an array has it as its entries.
    """

    arrays: dict[str, str] = field(default_factory=dict)
    start: dict[str, str] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)


def puts(statements: Sequence[Statement]) -> Iterator[Put]:
    """Every assignment, from the first to the last."""
    for each in statements:
        if isinstance(each, Put):
            yield each
        else:
            yield from puts(each.body)


def replaced(statement: Statement, change: Callable[[str], str]) -> Statement:
    """A statement whose texts are changed."""
    if isinstance(statement, Loop):
        body = [replaced(each, change) for each in statement.body]
        return Loop(change(statement.counter), change(statement.size), body)
    return Put(change(statement.place), change(statement.value), statement.kind, statement.comment)


def _exchanged(table: Mapping[str, str]) -> Callable[[str], str]:
    """A change of names by a table."""
    return lambda text: NAME.sub(lambda found: table.get(found[0], found[0]), text)


# ------------------------------------------------------------------------------- what touches what


def _places(statement: Statement, name: str) -> set[str]:
    """The places of an array that a statement reads and writes; the name itself for a number."""
    found: set[str] = set()
    for put in puts([statement]):
        for text in (put.place, put.value):
            if name in _names(text):
                found |= {_place_at(text, hit.end()) for hit in re.finditer(rf"\b{name}\b", text)}
    return found


def _place_at(text: str, start: int) -> str:
    """What stands in the brackets that begin at `start`."""
    if text[start : start + 1] != "[":
        return ""
    depth = 0
    for k in range(start, len(text)):
        depth += (text[k] == "[") - (text[k] == "]")
        if not depth:
            return text[start + 1 : k]
    return text[start + 1 :]


def _written(statement: Statement) -> set[str]:
    return {put.name for put in puts([statement])}


@lru_cache(maxsize=4096)
def _names(text: str) -> frozenset[str]:
    return frozenset(NAME.findall(text))


def _mentioned(statement: Statement) -> set[str]:
    return set().union(*(_names(text) for put in puts([statement]) for text in (put.place, put.value)))


def _apart(one: Statement, other: Statement) -> bool:
    """Whether two statements may change places."""
    return not (_written(one) & _mentioned(other) or _written(other) & _mentioned(one))


def _together(one: Loop, other: Loop, inside: bool) -> bool:
    """Whether what `other` does for a value of the counter may follow at once what `one` does for it.

    It may where both touch the same part of each array that one of them fills: the row of the counter.
    `inside` other loops only the same entry will do.
    """
    shared = (_written(one) & _mentioned(other)) | (_written(other) & _mentioned(one))
    for name in shared:
        places = _places(one, name) | _places(other, name)
        if inside:
            if len(places) > 1 or one.counter not in NAME.findall(next(iter(places))):
                return False
        elif not all(_row_of(place) == one.counter for place in places):
            return False
    return True


def _row_of(place: str) -> str:
    """The first index of a place: i of (i * d + j) * k + l."""
    hit = NAME.match(place.lstrip("("))
    rest = place.lstrip("(")[hit.end() :] if hit else ""
    return hit[0] if hit and (not rest or rest.startswith(" * ")) else ""


# ------------------------------------------------------------------------------------------- loops together


def merged(statements: Sequence[Statement], inside: bool = False) -> list[Statement]:
    """Loops over the same entries as one, wherever the order of what they do allows it."""
    done: list[Statement] = []
    for each in statements:
        place = _home(done, each, inside) if isinstance(each, Loop) else None
        if place is None or not isinstance(each, Loop):
            done.append(each)
            continue
        home = done[place]
        assert isinstance(home, Loop)
        moved = replaced(each, _exchanged({each.counter: home.counter}))
        assert isinstance(moved, Loop)
        done[place] = Loop(home.counter, home.size, [*home.body, *moved.body])
    return [
        Loop(each.counter, each.size, merged(each.body, inside=True)) if isinstance(each, Loop) else each
        for each in done
    ]


def _home(done: Sequence[Statement], loop: Loop, inside: bool) -> int | None:
    """The place of a loop before it that it can join."""
    for k in reversed(range(len(done))):
        one = done[k]
        if isinstance(one, Loop) and one.size == loop.size:
            moved = replaced(loop, _exchanged({loop.counter: one.counter}))
            assert isinstance(moved, Loop)
            if _together(one, moved, inside):
                return k
        if not _apart(one, loop):
            return None
    return None


def single(body: Body, kept: Collection[str]) -> None:
    """Arrays of which only the entry at hand is needed become numbers, but for those to be `kept`."""
    for name in list(body.arrays):
        home = None if name in body.start or name in kept else _only_home(body.statements, name)
        if home is None:
            continue
        (place,) = _places(home, name)
        entry = re.compile(rf"\b{name}\[{re.escape(place)}\]")
        changed = replaced(home, lambda text, entry=entry, name=name: entry.sub(name, text))  # type: ignore[misc]
        assert isinstance(changed, Loop)
        _begin(changed, name)
        home.body = changed.body
        del body.arrays[name]


def _only_home(statements: Sequence[Statement], name: str) -> Loop | None:
    """The loop in whose own body an array gets its entries, if nothing else ever asks for another entry."""
    using = [each for each in statements if name in _mentioned(each) | _written(each)]
    if len(using) != 1 or not isinstance(using[0], Loop):
        return None
    loop = using[0]
    first = next((each for each in loop.body if name in _mentioned(each) | _written(each)), None)
    if isinstance(first, Loop):
        return _only_home(loop.body, name)
    if not isinstance(first, Put) or first.name != name or first.kind != "set":
        return None
    if len(_places(loop, name)) != 1 or name in NAME.findall(first.value):
        return None
    written = [put for put in puts([loop]) if put.name == name]
    return loop if len(written) == 1 else None


def _begin(loop: Loop, name: str) -> None:
    """Where a number is given its value it is a constant."""
    for each in loop.body:
        if isinstance(each, Put) and each.place == name:
            each.kind = "constant"


def renamed(statements: Sequence[Statement], start: dict[str, str]) -> list[Statement]:
    """A number that only takes over a finished sum is that sum: instead of t = total the sum is called t."""
    table: dict[str, str] = {}
    here = {put.name for put in statements if isinstance(put, Put) and put.kind == "variable"}
    kept: list[Statement] = []
    for each in statements:
        takes_over = isinstance(each, Put) and each.kind == "constant" and each.value in here | start.keys()
        if takes_over and isinstance(each, Put) and each.value not in table and not each.comment:
            table[each.value] = each.place
        else:
            kept.append(each)
    for old in table.keys() & start.keys():
        start[table[old]] = start.pop(old)
    changed = [replaced(each, _exchanged(table)) for each in kept] if table else kept
    return [
        Loop(each.counter, each.size, renamed(each.body, {})) if isinstance(each, Loop) else each
        for each in changed
    ]


def lettered(statements: Sequence[Statement], letters: str) -> list[Statement]:
    """Loops with letters for counters: the outermost i, in it j, …"""

    def named(each: Statement, depth: int) -> Statement:
        if isinstance(each, Put):
            return each
        letter = letters[depth]
        changed = replaced(each, _exchanged({each.counter: letter}))
        assert isinstance(changed, Loop)
        return Loop(letter, changed.size, [named(inner, depth + 1) for inner in changed.body])

    return [named(each, 0) for each in statements]


def fused(body: Body, letters: str, kept: Collection[str]) -> Body:
    """The same with as few loops and arrays as there can be; arrays to be `kept` are somebody else's."""
    body.statements = merged(body.statements)
    single(body, kept)
    body.statements = lettered(renamed(body.statements, body.start), letters)
    return body
