"""Does every text end in an expression or in a MathError, and every expression in a derivation that holds?

    python benchmarks/fuzz.py                      1,000,000 texts into the parser
    python benchmarks/fuzz.py --count 20000 --deep texts that are read go on: derived, proved, told, run
    python benchmarks/fuzz.py --seed 7 --jobs 2

Texts are formulas of a grammar, reference cases (../shared/cases, where they lie beside the clone) with
words exchanged, characters of all Unicode, and declarations of shapes. Whatever is neither read nor refused
with a `MathError` is a crash and is printed with its text, as is a derivation whose check fails, and an
answer whose plain text does not read back. The script then leaves with 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation.presentation import LAYOUTS
from gradstep.notation.views import STYLES, VIEWS
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import mentioned

CASES = Path(__file__).parents[2] / "shared" / "cases" / "cases.json"
SHAPES: Mapping[str, object] = {
    "X": "N d", "Y": "N d", "W": "d d", "S": "d d", "w": "d", "u": "d", "y": "N", "t": "N 1", "b": "",
    "c": "",
}  # fmt: skip
LENGTHS = {"N": 3, "d": 2}
HANGS = 10  # seconds of processor time for one text
DEEP_HANGS = 60
OWN_CHECKS = ("failed its own check", "failed its check", "failed their check")

Text = tuple[str, Mapping[str, object]]

# ------------------------------------------------------------------------------------------- texts

BY_RANK = {0: ["b", "c", "N", "d", "pi", "2", "0.5", "3", "1/3"], 1: ["w", "u"], 2: ["X", "Y"]}
ENTRYWISE = [
    "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "abs", "softplus", "sin", "cos", "arctan", "erf", "gelu",
    "silu", "elu", "sign", "leaky_relu", "sinh", "cosh", "log1p", "expm1", "softsign", "mish", "tan", "relu6",
]  # fmt: skip
WHOLE = ["softmax", "cumsum", "flip", "unit", "log_softmax"]
COMPARED = [">", "<", ">=", "==", "!="]
REDUCED = ["sum", "mean", "max", "min", "norm", "prod", "logsumexp", "var", "std"]
EXTREME = [
    "0", "-1", "1e300", "1e-300", "64", "-64", "999999999999", "0.1", "1e999", "9" * 41, "1/0", "2**64",
]  # fmt: skip
PIECES = [
    *SHAPES, *FUNCTIONS, "N", "d", "pi", "z", "None", "True", "axis", "0", "1", "2.5", "1e3", ".", ".T", "(",
    ")", "[", "]", "[:, None]", "[0]", "[::-1]", "[1:]", ",", ":", "=", "==", ";", "\n", " ", "+", "-",
    "*", "**", "/", "@", "<", ">", ">=", "!=", "axis=1", "axis=-1", "keepdims=True", "size=N", "lambda", "if",
    "__", "'", "#", "²", "ᵀ", '"ij->ji"', "...", "\u202e", "\0", "\\", "{", "}", "%", "$", "&",
]  # fmt: skip


def formula(rng: Random, rank: int, depth: int) -> str:
    """A text that most often is a formula, of this rank."""
    if depth <= 0 or rng.random() < 0.12:
        return rng.choice(BY_RANK[rank]) if rng.random() < 0.98 else rng.choice(EXTREME)

    def part(rank: int) -> str:
        return formula(rng, rank, depth - 1)

    same: list[Callable[[], str]] = [
        lambda: f"{rng.choice(ENTRYWISE)}({part(rank)})",
        lambda: f"({part(rank)} {rng.choice('+-*/')} {part(rng.choice([0, rank]))})",
        lambda: f"({part(rank)} {rng.choice('+-*/')} {part(rank)})",
        lambda: f"({part(rank)})**{rng.choice(['2', '3', '-1', '0.5', '1/3', '2', '-2', part(0)])}",
        lambda: f"(-{part(rank)})",
        lambda: f"{rng.choice(['maximum', 'minimum'])}({part(rank)}, {part(rng.choice([0, rank]))})",
        lambda: f"where({part(rank)} {rng.choice(COMPARED)} {part(0)}, {part(rank)}, {part(rank)})",
        lambda: f"clip({part(rank)}, {part(0)}, {part(0)})",
    ]
    own: Mapping[int, list[Callable[[], str]]] = {
        0: [
            lambda: f"{rng.choice(REDUCED)}({part(rng.choice([1, 2]))})",
            lambda: f"({part(1)} @ {part(1)})",
            lambda: f"{rng.choice(['trace', 'det', 'logdet'])}({square(rng, depth - 1)})",
            lambda: f"{part(1)}[{rng.choice(['0', '1', '-1'])}]",
        ],
        1: [
            lambda: f"({square(rng, depth - 1)} @ {part(1)})",
            lambda: f"({part(2)}.T @ y)",
            lambda: f"{rng.choice(REDUCED)}({part(2)}, axis=0)",
            lambda: f"{rng.choice(WHOLE)}({part(1)})",
            lambda: f"solve({square(rng, depth - 1)}, {part(1)})",
            lambda: f"{part(2)}[{rng.choice(['0', '-1', '2'])}]",
            lambda: f"diagonal_sums({square(rng, depth - 1)})[:d]",
        ],
        2: [
            lambda: f"({part(2)} @ {square(rng, depth - 1)})",
            lambda: f"({part(2)} {rng.choice('+-*')} {part(1)})",
            lambda: f"softmax({part(2)}, axis=1)",
            lambda: f"outer(y, {part(1)})",
            lambda: f"({part(2)} / sum({part(2)}, axis=1, keepdims=True))",
            lambda: f"repeat({part(1)}, axis=0, size=N)",
            lambda: f'einsum("ij,jk->ik", {part(2)}, {square(rng, depth - 1)})',
            lambda: f"cumsum({part(2)}, axis={rng.choice([0, 1])})",
        ],
    }
    return rng.choice(same if rng.random() < 0.5 else own[rank])()


def square(rng: Random, depth: int) -> str:
    """A text of a d×d matrix."""
    if depth <= 0 or rng.random() < 0.3:
        return rng.choice(["W", "S", "W.T", "S", "eye(d)", "diag(w)"])

    def part() -> str:
        return square(rng, depth - 1)

    forms: list[Callable[[], str]] = [
        lambda: f"({part()} @ {part()})",
        lambda: f"({part()} {rng.choice('+-*')} {part()})",
        lambda: f"inv({part()})",
        lambda: f"({part()}).T",
        lambda: f"(X.T @ {formula(rng, 2, depth - 1)})",
        lambda: f"matrix_power({part()}, {rng.choice([2, 3, -1, 0])})",
        lambda: f"{rng.choice(ENTRYWISE)}({part()})",
    ]
    return rng.choice(forms)()


def assigned(rng: Random, depth: int) -> str:
    """z = …; q = …; a formula of these."""
    first = f"z = {formula(rng, 1, depth)}"
    second = f"q = {rng.choice(['tanh(z)', 'z*z', 'z + w', 'softmax(z)', 'relu(z)'])}"
    last = rng.choice(["sum(q*z)", "q @ z", "mean((q - z)**2)", "sum(q)", formula(rng, 0, depth)])
    return rng.choice(["; ", "\n"]).join([first, second, last])


def mutated(rng: Random, text: str) -> str:
    """The text with one or several of its pieces or characters exchanged, doubled, lost or moved."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        at, to = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        match rng.randrange(8):
            case 0:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + 1 :]
            case 2:
                text = text[:at] + rng.choice(PIECES) + text[at + 1 :]
            case 3:
                text = text[:at] + text[at:to] * 2 + text[to:]
            case 4:
                text = text[:at] + text[to:]
            case 5:
                text = text[:at] + rng.choice(EXTREME) + text[at:]
            case 6:
                text = f"{rng.choice(list(FUNCTIONS))}({text})"
            case _:
                text = text[:at] + characters(rng, 2) + text[at:]
        text = text[:3000]
    return text


def characters(rng: Random, most: int) -> str:
    """Any characters: ASCII, Latin-1, all planes, lone surrogates among them."""
    below = rng.choice([0x80, 0x80, 0x100, 0x3000, 0x110000])
    return "".join(chr(rng.randrange(below)) for _ in range(rng.randrange(most + 1)))


def texts(seed: int, deep: bool) -> Iterator[Text]:
    """Texts with the shapes of their variables, without an end."""
    rng = Random(seed)
    cases = json.loads(CASES.read_text("utf-8")) if CASES.exists() else []
    known: list[Text] = [(case["expr"], case["vars"]) for case in cases] or [
        ("mean((y - relu(X @ w + b))**2)", SHAPES)
    ]
    while True:
        depth = rng.choice([1, 2, 2, 3, 3, 4] if deep else [1, 2, 3, 4, 6])
        rank = rng.choice([0, 0, 0, 1, 2])
        kind = rng.random()
        if kind < (0.75 if deep else 0.25):
            yield (assigned(rng, depth - 1) if kind < 0.1 else formula(rng, rank, depth)), SHAPES
        elif kind < (1.0 if deep else 0.6):
            text, shapes = rng.choice(known)
            yield mutated(rng, text), shapes
        elif kind < 0.7:
            yield mutated(rng, formula(rng, rank, depth)), SHAPES
        elif kind < 0.8:
            yield "".join(rng.choices(PIECES, k=rng.randrange(25))), SHAPES
        elif kind < 0.95:
            yield characters(rng, 60), SHAPES
        else:
            name, sizes = rng.choice(["x", characters(rng, 4)]), rng.choice(["N", "N+1", "3", "N,d", "n*m-1"])
            yield "b", {"b": "", name: mutated(rng, sizes)}


# ------------------------------------------------------------------------------------------- one text


class Hang(BaseException):
    """One text takes too long."""


def hang(*_: object) -> None:
    raise Hang


def read(text: str, shapes: Mapping[str, object]) -> Expr:
    """The expression of the text; its plain text reads back to the same one."""
    expr = gs.parse(text, **shapes)
    again = gs.parse(str(expr), **shapes)
    assert again is expr, f"plain text reads back as another expression: {expr}"
    return expr


def followed(expr: Expr, shapes: Mapping[str, object], rng: Random) -> str:
    """What becomes of an expression: derived for one of its variables, told in one of all ways."""
    variables = mentioned(expr)
    if not variables or expr.rank > 2:
        return "left alone"
    wrt = rng.choice(list(variables))
    kind = "jacobian" if expr.rank else "hessian" if rng.random() < 0.2 else "derive"
    view, style, layout = rng.choice(VIEWS), rng.choice(STYLES), rng.choice(LAYOUTS)
    follow(expr, shapes, kind, wrt, view, style, layout, rng)
    return kind


def follow(
    expr: Expr,
    shapes: Mapping[str, object],
    kind: str,
    wrt: str,
    view: str,
    style: str,
    layout: str,
    rng: Random,
) -> None:
    """The expression derived, proved, told, read back, compiled and evaluated."""
    variables = mentioned(expr)
    d = getattr(gs, kind)(expr, wrt, seed=1)
    assert d.certificate is not None and d.certificate.verdict is not False, d.certificate
    for told in (d.text, d.latex, d.markdown, d.html):
        told(view=view, style=style, layout=layout)
    json.dumps(d.to_json(view, style, layout=layout), allow_nan=False)
    d.text(view=view, style=style, opened=True)
    declared = {name: v.shape for name, v in variables.items()}
    for answer in d.answers.values():
        known = {**shapes, **{name: shape for name, shape in declared.items() if name not in shapes}}
        try:
            again = gs.parse(str(answer), **known)
        except MathError as error:
            raise AssertionError(f"the answer does not read back: {answer}: {error.what}") from None
        same = again is answer or str(again) == str(answer)  # 1/N x may have been x/N
        assert same, f"the answer reads back as another: {answer}"
    arrays = {name: values(rng, v) for name, v in variables.items()}
    f = gs.compile(d)
    gs.evaluate(expr, **arrays)
    f(**{name: arrays[name] for name in (given.name for given in f.program.inputs) if name in arrays})


def values(rng: Random, variable: Expr) -> np.ndarray:
    """Some numbers for a variable."""
    shape = [n if isinstance(n, int) else LENGTHS.get(n, 3) for n in variable.shape]
    return np.random.default_rng(rng.getrandbits(32)).normal(size=shape) + 0.5


@dataclass
class Tally:
    """What came of the texts of one process."""

    ends: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    crashes: list[str] = field(default_factory=list)
    megabytes: float = 0.0

    def add(self, other: Tally) -> None:
        """The same of another process, too."""
        self.ends += other.ends
        self.slowest = max(self.slowest, other.slowest)
        self.crashes += other.crashes
        self.megabytes = max(self.megabytes, other.megabytes)


def tried(text: str, shapes: Mapping[str, object], rng: Random, deep: bool, tally: Tally) -> None:
    """One text, counted."""
    began = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, DEEP_HANGS if deep else HANGS)
    stage = "read"
    try:
        expr = read(text, shapes)
        if deep:
            stage = "follow"
            tally.ends[followed(expr, shapes, rng)] += 1
        else:
            tally.ends["read"] += 1
    except MathError as error:
        if any(words in str(error) for words in OWN_CHECKS):
            tally.crashes.append(f"{text!r} {dict(shapes)}\n    {str(error)[:600]}")
        tally.ends["refused" if stage == "read" else "refused later"] += 1
    except (Exception, Hang) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        tally.ends["crash"] += 1
        where = f"{Path(place.filename).name}:{place.lineno}"
        what = f"{type(error).__name__}: {str(error)[:300]} ({where})"
        tally.crashes.append(f"{text!r} {dict(shapes)}\n    {what}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    tally.slowest = max(tally.slowest, (time.process_time() - began, text[:200]))


def run(seed: int, count: int, deep: bool) -> Tally:
    """So many texts."""
    before = signal.signal(signal.SIGVTALRM, hang)
    tally, rng = Tally(), Random(seed)
    for _, (text, shapes) in zip(range(count), texts(seed, deep), strict=False):
        tried(text, shapes, rng, deep, tally)
    signal.signal(signal.SIGVTALRM, before)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally.megabytes = most / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return tally


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--deep", action="store_true")
    asked = options.parse_args()
    began = time.monotonic()
    batch = 200 if asked.deep else 10_000
    batches = [
        (asked.seed * 1_000_003 + k, min(batch, asked.count - batch * k), asked.deep)
        for k in range(-(-asked.count // batch))
    ]
    total = Tally()
    with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
        for done, tally in enumerate(pool.imap_unordered(_run, batches), 1):
            total.add(tally)
            for crash in tally.crashes:
                print(crash, flush=True)
            if sys.stderr.isatty():
                print(f"\r{done}/{len(batches)}", end="", file=sys.stderr)
    ends = ", ".join(f"{count:,} {end}" for end, count in total.ends.most_common())
    print(f"{total.ends.total():,} texts in {time.monotonic() - began:.0f} s: {ends}")
    print(f"slowest {total.slowest[0]:.2f} s of processor time: {total.slowest[1]!r}")
    print(f"largest process {total.megabytes:.0f} MB; {len(total.crashes)} crashes and failed checks")
    return 1 if total.crashes else 0


def _run(asked: tuple[int, int, bool]) -> Tally:
    return run(*asked)


if __name__ == "__main__":
    sys.exit(main())
