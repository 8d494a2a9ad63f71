"""What rules and laws does gradstep know? The rule book and the law book, as pages of Markdown.

Both are read off the tables: an operation's derivative is its own record, applied to letters. Nothing is
written twice, so the books cannot say anything else than what is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from gradstep.calculus.laws import BOOK, LAWS, assumed
from gradstep.calculus.rewriting import Law, simplify
from gradstep.expression.boxes import Box, Frac, Sym, row
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation
from gradstep.expression.shapes import Shape, shape_text
from gradstep.notation.legend import meaning_of
from gradstep.notation.mathml import mathml
from gradstep.notation.text import plain
from gradstep.notation.writing import Writer, kind_of
from gradstep.operations import TABLE
from gradstep.operations.leaves import KNOWN_ASSUMPTIONS, symbol

DOMAINS = {
    "real": "for all numbers",
    "positive": "where the operands are positive",
    "nonzero": "where nothing that divides is zero",
}
CONDITIONS = {
    "everywhere": "always",
    "positive": "where what stands under logarithms and powers is positive",
    "nonzero": "where nothing that divides is zero",
}
Entry = tuple[str, str]


def rule_book() -> str:
    """Every operation: how it is written, its shapes, its derivative both ways, the rule and the reason."""
    head = (
        "# The rule book\n\nEvery operation, with the record that gradstep computes with. G stands for the "
        "gradient of the loss with respect to the result, so that dC = ⟨G, dy⟩, the sum of all products of "
        "entries; dx is a change of x, and y is the result. [Compared with PyTorch](peers.md) says how "
        "they agree.\n\n## Operations\n"
    )
    return "\n".join([head, *(_section(op.name, rule(op)) for op in TABLE)])


def law_book() -> str:
    """Every law: its name, both sides, its condition, the reason, and whether it is a step of its own."""
    head = (
        "# The law book\n\nThe equations that tidy a line, used from left to right. A quiet law folds into "
        "the step before it and is seen when that is opened; a loud one is a step of its own.\n\n## Laws\n"
    )
    told = "\n\n## What follows from an assumption\n"
    return "\n".join([head, *_laws(LAWS), told, *_laws(assumption_laws())])


# ------------------------------------------------------------------------------------------- rules


def rule(op: Operation) -> Iterator[Entry]:
    """What the book says of an operation, entry by entry."""
    params, shapes = next(
        (example for example in op.example if op.slopes and len(example[1][0]) == 1), op.example[0]
    )
    args = [symbol(("xuvw" if len(shape) < 2 else "XABD")[k], shape) for k, shape in enumerate(shapes)]
    y = op(*args, params=params)
    yield "written", f"`{plain(y)}`"
    yield "on paper", _maths(Writer()(y))
    if meaning := meaning_of(y):
        yield "meaning", _words(meaning)
    yield "shapes", _words("; ".join(dict.fromkeys(_shapes(op, *example) for example in op.example)))
    if op.differential is not None and op.adjoint is not None:
        moves = [symbol(f"d{arg.params[0]}", arg.shape) for arg in args]
        G = symbol("G", y.shape)
        letter: Box = Sym("y" if y.rank < 2 else "Y", kind_of(y))
        names = {move: row("d", Writer()(arg)) for move, arg in zip(moves, args, strict=True)}
        write = Writer({**names, y: letter})
        moved = simplify(op.differential(y, args, moves), BOOK, {y})
        yield "moves by", _maths(row("d", letter, "=", write(moved)))
        for arg, cotangent in zip(args, op.adjoint(G, y, args), strict=True):
            slope = Frac(row("∂", Sym("C")), row("∂", write(arg)))
            shown: Box = Sym("0", "number") if cotangent is None else write(simplify(cotangent, BOOK, {y}))
            yield "gradient", _maths(row(slope, "=", shown))
    yield "rule", _words(op.rule)
    yield "reason", _words(op.why)
    yield "defined", DOMAINS.get(op.domain, op.domain)
    if op.kink:
        yield "at a kink", _words(op.kink)


def _shapes(op: Operation, params: tuple[object, ...], shapes: tuple[Shape, ...]) -> str:
    return f"{', '.join(map(shape_text, shapes))} → {shape_text(op.shape(params, *shapes))}"


# ------------------------------------------------------------------------------------------- laws


def assumption_laws() -> Iterator[Law]:
    """The laws that each assumption about a square matrix, or about rows, brings."""
    seen: set[str] = set()
    for fact in KNOWN_ASSUMPTIONS:
        for shape in (("m", "n"), ("n", "n")):
            try:
                laws = assumed(symbol("S", shape, (fact,)), fact)
            except MathError:
                continue
            for law in laws:
                if law.name not in seen:
                    seen.add(law.name)
                    yield law


def _laws(laws: Iterable[Law]) -> Iterator[str]:
    """A table with a row for each law; of a procedure, which has no one equation, an example."""
    yield "| law | equation | reason | holds | told |\n|:--|:--|:--|:--|:--|"
    for law in laws:
        cells = (_words(law.name), _equation(law), _words(law.why), CONDITIONS[law.domain])
        yield f"| {' | '.join(cells)} | {'quietly' if law.quiet else 'as a step'} |"


def _equation(law: Law) -> str:
    """Both sides; of a procedure those of the first of its examples."""
    forms = list(law.forms) or [(left, right) for left in law.examples() for right in _outcomes(law, left)]
    sides = (_maths(row(Writer()(left), "=", Writer()(right))) for left, right in forms[:1])
    return f"{'' if law.forms else 'for example '}{', '.join(sides)}"


def _outcomes(law: Law, example: Expr) -> Iterator[Expr]:
    """What a procedure makes of an example, or proposes for it."""
    if law.apply is not None and (changed := law.apply(example, ())) is not None:
        yield changed
    if law.propose is not None:
        yield from law.propose(example, ())


# ------------------------------------------------------------------------------------------- Markdown


def _section(title: str, entries: Iterable[Entry]) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in entries)
    return f"\n### {_words(title)}\n\n| | |\n|:--|:--|\n{rows}\n"


def _maths(box: Box) -> str:
    return mathml(box).replace("|", "&#124;").replace("\n", " ")


def _words(text: str) -> str:
    """A sentence, with what Markdown would take for its own written out."""
    return "".join(f"&#{ord(letter)};" if letter in "|*_`[]\\$" else letter for letter in escape(text))
