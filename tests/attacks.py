"""Everything that an attacker may try, each in a process of its own: how long, how much memory, what is said.

Run as a script it prints a line of JSON for each attack; `test_attacks.py` judges them. A fork of a small
process measures one attack truly, and a limit of the system ends what would hang or fill the memory.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn.data import read_table
from gradstep.operations.graph import from_json

HANG, HUGE = 10, 2 << 30  # seconds and bytes at which the system ends an attack


class Attack(NamedTuple):
    """What is tried, and words of the error; None where it must end well, in time."""

    door: str
    name: str
    words: str | None
    run: Callable[[], object]


SHAPES = {
    "X": "N d", "w": "d", "W": "d k", "b": "", "y": "N", "S": "n n", "v": "n", "c": "N 1",
    "huge": "1000000 1", "wide": "1 1000000",
}  # fmt: skip


def chain(step: str, length: int, first: str = "b") -> str:
    """z0 = b; z1 = z0 + z0; … : a short text, a small graph, and 2^length paths through it."""
    return "; ".join([f"z0 = {first}", *(f"z{k + 1} = {step.format(f'z{k}')}" for k in range(length))])


# ------------------------------------------------------------------------------------------- texts

TEXTS: dict[str, tuple[str, ...]] = {
    # code, attributes, what is Python but no formula
    "no function": ("getattr(X, b)", "print(X)", "vars(X)"),
    "cannot be a name": (
        "().__class__.__bases__[0].__subclasses__()", "__import__(b)", "x.__class__", "X.T.__init__", "_x",
        "a__b", "a" * 65, "X.__dict__", "exec__(b)",
    ),
    "the only attributes are": ("X.T.T.base", "X.shape", "X.dtype.type", "pi.real", "N.denominator"),
    "no quotes": ("f'{X}'", "'a'*10**9", 'eval("1")', "open('/etc/passwd')", "X['a']", '"tanh"*b'),
    "no braces": ("{1: 2}", "{b}", "@{b}"),
    "reserved word": (
        "lambda: 0", "await X", "yield", "import os", "del X", "assert X", "global X", "return b",
        "class X", "try", "raise X", "nonlocal b", "with b",
    ),
    "has no": (
        "[x for x in X]", "X if y else z", "X and y", "not X", "b -> b", "~b", "b << 2", "b | b",
        "b & b", "b % 2", "b ! b", "b += 1", "# b", "b  # comment", "b // 2", "X is X",
    ),
    "no lists": ("[X]", "(b, b)", "b, b"),
    "closes nothing": ("b)", "]",),
    "not closed": ("(b", "X[0", "relu(b", "(" * 50),
    # characters
    "U+0000": ("b\0", "\0"),
    "U+202E": ("b\u202e", "\u202eb"),
    "U+200B": ("b\u200b",),
    "U+FEFF": ("\ufeffb",),
    "U+D800": ("\ud800",),
    "x is typed": ("\uff58", "\U0001d465"),
    "U+0430": ("\u0430",),
    "U+001B": ("b\x1b[31m",),
    "U+000C": ("b\x0c",),
    "U+2028": ("b\u2028b",),
    # markup and shells
    "no logic": ("=cmd|' /C calc'!A0",),
    "given with =": ("(b := 1)",),
    "NumPy syntax, not LaTeX": ("\\input{/etc/passwd}", "\\immediate\\write18{id}"),
    "no part of a formula": ("`id`", "$(id)", "$x$", "${b}", "b?"),
    "is missing": ("b b", "b<img src=b onerror=b>"),
    "nothing follows": ("<script>alert(1)</script>",),
    # numbers
    "a number has at most 40 digits": ("9" * 5000, "9" * 10**4, "1." + "0" * 3000),
    "numbers lie between": ("1e999", "1e-999", "1e999999999", "1e" + "9" * 5000),
    "numbers are written in decimal": ("0x" + "f" * 10_000, "0b1", "0o7"),
    "without _": ("1_000",),
    "out of bounds": ("9**9**9**9", "2**1000000", "10**10**8", "b**1e300", "b**-1e300", "b**(1/999983)"),
    "more digits than": (
        "123456789123456789**60*b", "0.12345678901234567890**60*b",
        chain("{0}*{0}", 40, "99999999") + "; z40*b",
        chain("{0}*{0} + 1/7", 40, "1/3") + "; z40*b",
        "10**60*" * 1000 + "b",
    ),
    "division by zero": ("b/0", "0**-1*b", "b/(1 - 1)"),
    # size and depth
    "nest at most": (
        "(" * 5000 + "b" + ")" * 5000, "(" * 150 + "b" + ")" * 150, "relu(" * 3000 + "b" + ")" * 3000,
    ),
    "more than 20 signs in a row": ("-" * 10_000 + "b", "X" + ".T" * 9000, "+" * 50),
    "nests too deeply": ("b" + "**b" * 3000, f"X[{'1+' * 4000}1]"),
    "characters: at most": ("b" * 500_000, "b" * 30_000, " " * 30_000 + "b", "b+" * 12_000 + "b"),
    "names, numbers and signs": (
        "; ".join(f"z{k} = b + {k}" for k in range(20_000)),
        "\n".join("b+" * 5_000 for _ in range(9)),
        ";" * 100_000,
    ),
    "there is no formula": ("", "   ", "\n\n", ";", ";;;;"),
    # shapes that no memory holds, each refused before an array is made
    "entries": (
        "huge + wide", "sum(ones(999999999999999))*b", "sum(ones(99999, 99999, 99999))*b",
        "trace(eye(1000000))*b", "sum(diag(ones(10000000)))*b", "sum(outer(ones(1000000), ones(1000000)))*b",
        "sum(repeat(repeat(X, axis=0, size=10000000000), axis=0, size=1000000000000))",
        "ones(1000000000000000)[999999999999999]*b", chain("repeat({0}, axis=0, size=1000)", 7) + "; sum(z7)",
        "sum(kron(ones(100000, 100000), ones(100000, 100000)))*b",
    ),
    "at most 8 axes": (f"sum(ones({', '.join(['2'] * 30)}))*b", f"sum(ones({', '.join(['2'] * 1000)}))*b"),
    "a product of more than 12 sizes": (chain("kron({0}, S)", 30, "S"), chain("kron({0}, {0})", 30, "S")),
    "too many parts for a size": (
        f"X[{'*'.join(['9' * 30] * 40)}]", f"ones({'*'.join(['(N + d + 1)'] * 20)})",
    ),
    "a size is at most": (
        "X[99999999999999999999999999999999]", "X[:99999999999999999999999999999999]",
        "X[-99999999999999999999999999999999]",
    ),
    "between −64 and 64": ("trace(matrix_power(S, 1000000000))", "trace(matrix_power(S, -1000000000))"),
    "there is no axis": ("sum(X, axis=99999999999999999999999)",),
    "is given twice": (f"sum(X, axis=({', '.join(['0'] * 4000)}))",),
    "has at most 23 different indices": (
        f'einsum("{",".join(a + b for a, b in pairwise("abcdefghijklmnopqrstuvwxy"))}->a", {"S, " * 23}S)',
    ),
}  # fmt: skip

# Short texts of graphs that are huge as trees, and of arrays that are small: they are read.
READ = [
    chain("{0} + {0}", 400) + "; z400",
    chain("sin({0})*{0}", 200) + "; z200",
    chain("concatenate([{0}, {0}])", 60, "v") + "; sum(z60)",
    chain("where({0} > 0, {0}, {0}*b)", 200) + "; z200",
    "b" + "-b" * 2500,
    "b*N" + "*N" * 2000,
    f"sum(concatenate([{', '.join(['v'] * 4000)}]))",
    "; ".join(f"z{k} = {f'z{k - 1}' if k else 'b'}*2 + 1" for k in range(2400)),
]


def texts() -> Iterator[Attack]:
    for words, listed in TEXTS.items():
        for text in listed:
            yield Attack("text", text[:60], words, lambda text=text: gs.parse(text, **SHAPES))
    for text in READ:
        yield Attack("text", text[:60], None, lambda text=text: gs.parse(text, **SHAPES))
    for text in (None, b"b", 3, 1.5, ["b"], {"b": 1}):
        yield Attack("text", repr(text), "a formula is text", lambda text=text: gs.parse(text, **SHAPES))


# ------------------------------------------------------------------------------------------- what follows

# Texts that are read, and what makes most work of them. Each is told or refused; none runs away.
WORK = {
    chain("{0} + {0}", 25) + "; z25": "b",
    chain("sin({0})*{0}", 12) + "; z12": "b",
    chain("maximum({0}, {0}*b)", 6) + "; z6": "b",
    "*".join(["sin(b)"] * 7): "b",
    "b**64*b**64": "b",
    "((b**64)**64)**64": "b",
    "trace(matrix_power(S, 20))": "S",
    chain("inv({0} @ S)", 5, "S") + "; trace(z5)": "S",
    chain("concatenate([{0}, {0}])", 8, "v") + "; sum(z8**2)": "v",
    f"sum(concatenate([{', '.join(['v'] * 250)}])**2)": "v",
    "prod(v)*prod(prod(X, axis=0))": "v",
    "sum(kron(kron(S, S), S))": "S",
    "einsum(\"" + ",".join(["ab"] * 12) + "->\", " + ", ".join(["S"] * 12) + ")": "S",
}  # fmt: skip


def deep(length: int) -> object:
    """A recurrence that no text could write."""
    z, c = gs.symbols(z="", c="")
    for _ in range(length):
        z = gs.tanh(z) * c
    return gs.derive(z, "c")


def derived(text: str, wrt: str) -> object:
    d = gs.derive(gs.parse(text, **SHAPES), wrt, seed=1)
    assert d.certificate is not None and d.certificate.verdict is True
    gs.compile(d)
    assert gs.parse(str(d.answers[wrt]), **SHAPES) is d.answers[wrt]
    return d.text(), d.latex()


def work() -> Iterator[Attack]:
    for text, wrt in WORK.items():
        yield Attack("work", text[:60], "", lambda text=text, wrt=wrt: derived(text, wrt))
    yield Attack("work", "40,000 operations", "more than 10,000 operations", partial(deep, 20_000))


# ------------------------------------------------------------------------------------------- files


def graph(*nodes: object, roots: object = None, **more: object) -> dict[str, object]:
    return {"format": 1, "nodes": [*nodes], "roots": roots or {"loss": len(nodes) - 1}, **more}


b, S = ["symbol", [], ["b", [], []]], ["symbol", [], ["S", ["n", "n"], []]]
GRAPHS: dict[str, list[object]] = {
    "should have exactly the fields": [{}, [], None, 3, "graph", {"format": 1}, graph(b, code="import os")],
    "this gradstep reads 1": [{**graph(b), "format": 2}, {**graph(b), "format": "1"}],
    "from 1 to 100,000 nodes": [graph(), graph(*[b] * 100_001), {**graph(b), "nodes": {"0": b}}],
    "do not come before it": [
        graph(["exp", [0], []]),
        graph(b, ["exp", [1], []]),
        graph(b, ["exp", [-1], []]),
        graph(b, ["exp", [True], []]),
        graph(b, ["exp", [0.0], []]),
    ],
    "does not know": [
        graph(b, ["exec", [0], []]),
        graph(b, ["__import__", [0], []]),
        graph(b, [None, [0], []]),
    ],
    "does not fit the operation": [
        graph(b, ["exp", [0, 0], []]),
        graph(b, ["repeat", [0], [[0], [[]]]]),
    ],
    "cannot be computed": [graph(b, ["sum", [0], [[0]]])],
    "should be an operation": [graph("b"), graph(["exp"]), graph(b, None)],
    "neither a variable nor a number": [
        graph([[], [], []]),
        graph(["symbol", [], []]),
        graph(["size", [], [3]]),
        graph(["x", [], []]),
    ],
    "cannot be a name": [
        graph(["symbol", [], ["__builtins__", [], []]]),
        graph(["symbol", [], ["</script>", [], []]]),
    ],
    "reserved word": [graph(["symbol", [], ["lambda", [], []]])],
    "a parameter that no operation has": [
        graph(["symbol", [], ["b" * 65, [], []]]),
        graph(["number", [], [{"number": "1/0"}]]),
        graph(["number", [], [{"number": "9" * 5000}]]),
        graph(["eye", [], [10**9]]),
        graph(["number", [], [0.5]]),
        graph(["symbol", [], ["b", [[[[["n"]]]]], []]]),
    ],
    "even on small data": [
        graph(
            ["number", [], [{"number": "1"}]],
            ["repeat", [0], [[0], [1_000_000]]],
            ["repeat", [1], [[0], [1_000_000]]],
        ),
        graph(["eye", [], [1_000_000]]),
    ],
    "a root points to no node": [
        graph(b, roots={"loss": 7}),
        graph(b, roots={"loss": -1}),
        graph(b, roots={"a": []}),
    ],
    "it has no roots": [graph(b, roots=[0]), {**graph(b), "roots": {}}],
    "is two variables": [graph(b, ["symbol", [], ["b", ["n"], []]])],
    "is both a variable and a size": [graph(["symbol", [], ["n", [], []]], S)],
    "not declared as it should be": [graph(b, functions=[{}]), graph(b, functions=[{"name": "f"}])],
    "its functions should be a list": [graph(b, functions={}), graph(b, functions=[{}] * 101)],
}
READ_GRAPHS = {"2^60 paths": graph(b, *(["add", [k, k], []] for k in range(60)))}


def graphs() -> Iterator[Attack]:
    for words, listed in GRAPHS.items():
        for data in listed:
            yield Attack("graph", repr(data)[:60], words, lambda data=data: from_json(data))
    for name, data in READ_GRAPHS.items():
        yield Attack("graph", name, None, lambda data=data: str(from_json(data)["loss"]))


def header(*of: object, body: bytes = b"") -> bytes:
    """A .safetensors file with this header, whatever it claims."""
    text = json.dumps(of[0]).encode() if not isinstance(of[0], bytes) else of[0]
    return struct.pack("<Q", len(text)) + text + body


def tensor(kind: str, shape: list[int], end: int) -> dict[str, object]:
    return {"w": {"dtype": kind, "shape": shape, "data_offsets": [0, end]}}


TABLES: dict[str, list[bytes]] = {
    "is empty": [b"", b"\n" * 500_000],
    "NUL byte": [b"a,b\n1,\0\n", b"\0" * 1000],
    "control character": [b"a,b\n\x01,2\n"],
    "two columns called": [b"a,a\n1,2\n"],
    "not 2 as the header": [b"a,b\n1,2\n3\n", b"a,b\n" + b"," * 100_000 + b"\n"],
    "never closed": [b'a,b\n"1,2\n', b'"' * 100_001],
    "not a text table": [b"PK\x03\x04", b"PAR1", gzip.compress(bytes(10**7)), b"\x93NUMPY"],
    "not valid UTF-16": [b"\xff\xfea"],
    "no such date": [
        b"a,b\n0000-01-01,2\n0001-01-01,3\n",
        b"a,b\n0001-01-01T00:00:00+23:59,2\n2001-01-01,3\n",
    ],
    "not a finite number": [b"a,b\n1e400,2\n1,2\n", b"a,b\n1e" + b"9" * 5000 + b",2\n1,3\n"],
}
PATHS = ["/dev/zero", "/etc", "/proc/self/mem", "a\0b", "x" * 5000, "", None, 3, "http://a/b", "\ud800"]
MODELS = [
    b"", b"PK\x03\x04", b"\x80\x04\x95pickle", struct.pack("<Q", 2**62) + b"{}", header(b"[" * 10**6),
    struct.pack("<Q", 99_000_000) + b"{" + b" " * 100,
    header({"__metadata__": {"gradstep": "x" * 2_000_000}}),
    header(tensor("F64", [10**6, 10**6], 8 * 10**12)),
    header(tensor("F64", [2**32, 2**32], 8), body=bytes(8)),
    header(tensor("F64", [-1], 8), body=bytes(8)), header(tensor("F64", [0, 10**18], 0)),
    header(tensor("F8_E5M2", [1], 1), body=b"\0"), header(tensor("BF16", [1], 2), body=bytes(2)),
]  # fmt: skip


def files() -> Iterator[Attack]:
    def opened(reader: Callable[[str], object], content: bytes) -> object:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return reader(file.name)

    for words, listed in TABLES.items():
        for content in listed:
            yield Attack("table", repr(content[:40]), words, partial(opened, read_table, content))
    for content in MODELS:
        yield Attack("model", repr(content[:40]), "", partial(opened, gs.load, content))
    for path in PATHS:
        yield Attack("path", repr(path)[:40], "", partial(read_table, path))
        yield Attack("path", repr(path)[:40], "", partial(gs.load, path))


def arrays() -> Iterator[Attack]:
    """Small data, and arrays that no memory holds."""
    zeros = np.zeros(1_000_000)
    for text, data in {
        "sum(one_hot(y, 10000000000))": {"y": [1, 2]},
        "sum(cumsum(ones(10000000000)*b))": {"b": 1.0},
        "mean(exp(y[:, None] - y[None, :]))": {"y": zeros},
    }.items():
        loss = gs.parse(text, y="N", b="")
        for run in (partial(gs.evaluate, loss), gs.compile(loss)):
            yield Attack("arrays", text, "more than a quarter of the", partial(run, **data))
    trained = gs.parse("mean(exp(y[:, None] - y[None, :]))*b**2", y="N", b="")
    yield Attack(
        "arrays", "train", "more than a quarter of the", partial(gs.train, trained, {"y": zeros}, "b")
    )


# ------------------------------------------------------------------------------------------- the judge


def tried(attack: Attack) -> tuple[str, str]:
    """How an attack ends: "read", "refused" with the error, or "crash"."""
    try:
        attack.run()
    except MathError as error:
        return "refused", str(error)
    except BaseException as error:
        return "crash", f"{type(error).__name__}: {error}"
    return "read", ""


def measured(attack: Attack) -> dict[str, object]:
    """The same in a process of its own, with its seconds of processor time and its megabytes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (HANG, HANG))
        resource.setrlimit(resource.RLIMIT_AS, (HUGE, HUGE))
        began = time.process_time()
        end, said = tried(attack)
        took = time.process_time() - began
        with os.fdopen(writing, "w", errors="backslashreplace") as out:
            json.dump([end, said[:4000], took], out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status, used = os.wait4(child, 0)
    end, said, took = (
        json.loads(told) if told else ("killed", f"status {status}", used.ru_utime + used.ru_stime)
    )
    most = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return {**attack._asdict(), "run": "", "end": end, "said": said, "seconds": took, "megabytes": most}


def attacks() -> Iterator[Attack]:
    for door in (texts, work, graphs, files, arrays):
        yield from door()


if __name__ == "__main__":
    for text in ("sum(relu(X @ w)**2)", "getattr(X, b)"):  # everything is loaded before
        tried(Attack("work", text, "", partial(derived, text, "w")))
    for attack in attacks():
        print(json.dumps(measured(attack)), flush=True)
