"""How does a program become loops over entries, for a language that has nothing else?

Every line of the program fills an array. What is computed entry by entry is written inside its loops; what
sums or looks along an axis has loops of its own: inside those where each entry is used once, else before.
A `Language` says how that is spelled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gradstep.backends.languages import CHOICE, PRODUCT, SIGN, SUM, TESTS, Language
from gradstep.backends.places import PLACES, Index
from gradstep.backends.program import Line, Program
from gradstep.backends.safe_names import Names
from gradstep.backends.statements import Body, Loop, Put, Statement, fused
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.expression.shapes import Size, size_names
from gradstep.operations.arithmetic import equal, exp, less, power_op
from gradstep.operations.broadcasting import repeat, squeeze_op, sum_over
from gradstep.operations.choices import where, where_op
from gradstep.operations.cumulative import cumsum_op, prod_op
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.leaves import number_op, symbol_op
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.pooling import POOLS, simpler
from gradstep.operations.precise import log1p
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax_op
from gradstep.operations.windows import gathered, overlap_add_op

LETTERS = "ijklmnopqrstuvwxyz"

BEGINNING: Mapping[object, str] = {max_op: "-{infinity}", min_op: "{infinity}", prod_op: "1", norm_op: "0"}
JOINED = {max_op: "maximum", min_op: "minimum", prod_op: "multiply", norm_op: "hypot"}
LOOPS = (*BEGINNING, logsumexp_op, cumsum_op)


def _axes(node: Expr) -> tuple[int, ...]:
    axes = node.params[0] if node.params else tuple(range(node.args[0].rank))
    return axes if isinstance(axes, tuple) else (axes,)


def _indices(node: Expr) -> tuple[list[str], str]:
    """The indices of the operands and of the result."""
    assert node.op.indices is not None
    inputs, _, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).partition("->")
    return inputs.split(","), output


def has_loops(node: Expr) -> bool:
    """Whether an entry of it needs a loop."""
    if node.op in LOOPS:
        return True
    if node.op.indices is None or not node.args or node.op is squeeze_op:
        return False
    words, output = _indices(node)
    return bool(set("".join(words)) - set(output))


@dataclass(slots=True)
class Writer:
    """A function while it is written: its program, and the statements so far."""

    program: Program
    language: Language
    names: Names = field(default_factory=Names)
    body: Body = field(default_factory=Body)
    used: set[str] = field(default_factory=set)  # helper functions
    made: dict[Expr, Expr] = field(default_factory=dict)
    rises: dict[tuple[Expr, tuple[int, ...]], tuple[Expr, Expr, Expr]] = field(default_factory=dict)
    here: list[list[Statement]] = field(default_factory=list)  # the loops that are open
    sums: dict[tuple[Expr, tuple[str, ...]], str] = field(default_factory=dict)  # of the statement at hand
    called: dict[str, str] = field(default_factory=dict)  # the names of the program -> names in the language
    wanted: str = ""  # what the next sum is to be called
    counters: int = 0
    letters: str = LETTERS

    @classmethod
    def of(cls, program: Program, language: Language) -> Writer:
        """A writer that knows every name."""
        writing = cls(program, language)
        inputs = [str(given.symbol.params[0]) for given in program.inputs]
        sizes = [name for given in program.inputs for size in given.symbol.shape for name in size_names(size)]
        taken = set(language.reserved) | set(language.helpers) | {*sizes}
        writing.names.taken |= taken
        for name in dict.fromkeys([*inputs, *(line.name for line in program.lines)]):
            writing.called[name] = name if name not in writing.names.taken else writing.names.give(name)
            writing.names.taken.add(writing.called[name])
        writing.letters = "".join(each for each in LETTERS if each not in writing.names.taken)
        writing.names.taken |= set(LETTERS)
        return writing

    def written(self, results: Mapping[str, str]) -> tuple[dict[str, str], Body]:
        """All statements; where each output is found. `results`: what they are to be called."""
        for line in self.program.lines:
            self.line(line)
        found: dict[str, str] = {}
        for key, output in self.program.outputs.items():
            wanted = results.get(key, "")
            if output.rank and (wanted or not self.is_there(output)):
                symbol = self.symbol(wanted or self.names.give("value"), output)
                self.fill(symbol, self.opened(output))
                found[key] = self.called_symbol(symbol)
            elif output.rank:
                found[key] = self.called_symbol(output)
            else:
                found[key] = self.at_top(self.opened(output), wanted)
        return found, fused(self.body, self.letters, found.values())

    def is_there(self, node: Expr) -> bool:
        """Whether it is an input or a line already."""
        return node.op is symbol_op

    def called_symbol(self, node: Expr) -> str:
        """What a symbol is called in this language."""
        name = str(node.params[0])
        return self.called.get(name, name)

    def symbol(self, name: str, like: Expr) -> Expr:
        """An array that gets its entries here."""
        self.called.setdefault(name, name)
        return symbol_op(params=(name, like.shape, ()))

    # From a line of the program to statements.

    def line(self, line: Line) -> None:
        self.fill(self.symbol(line.name, line.value), self.opened(line.value), line.comment)

    def opened(self, value: Expr) -> Expr:
        """`value` in which everything with loops of its own is a name, but for what can stand in its own."""
        value = self.simpler(value)
        for _ in range(100):
            inside = self.entry_by_entry(value)
            operands = {arg for node in walk(value) if self.is_matrix(node) for arg in node.args}
            cut = next(
                (
                    node
                    for node in walk(value)
                    if (has_loops(node) and node not in inside)
                    or (self.is_matrix(node) and node is not value)
                    or (node in operands and node.op is not symbol_op)
                ),
                None,
            )
            if cut is None:
                return value
            symbol = self.symbol(self.names.give("t"), cut)
            self.fill(symbol, cut)
            value = self.exchanged(value, {cut: symbol})
        raise MathError("too many loops in one line")

    def is_matrix(self, node: Expr) -> bool:
        """Whether a helper makes it of whole matrices."""
        return node.op.name in self.language.matrices and node.args[0].rank == 2

    def exchanged(self, value: Expr, table: Mapping[Expr, Expr]) -> Expr:
        done = dict(table)
        for node in walk(value):
            if node not in done:
                done[node] = rebuild(node, [done[arg] for arg in node.args]) if node.args else node
        return done[value]

    def simpler(self, value: Expr) -> Expr:
        """What is not known in this language by what defines it."""
        for node in walk(value):
            if node not in self.made:
                new = rebuild(node, [self.made[arg] for arg in node.args]) if node.args else node
                other = self.by_simpler(new)
                self.made[node] = new if other is None else self.simpler(other)
        return self.made[value]

    def by_simpler(self, node: Expr) -> Expr | None:
        """An operation along an axis by simpler ones."""
        if node.op in (softmax_op, log_softmax_op, unit_op, hardmax_op):
            (x,), axes = node.args, _axes(node)
            sizes = tuple(x.shape[axis] for axis in axes)
            if node.op is unit_op:  # 0 where the length is 0
                length = norm_op(x, params=node.params)
                return x / repeat(length + equal(length, 0), axes, sizes)
            if node.op is hardmax_op:
                largest = equal(x, repeat(max_op(x, params=(axes,)), axes, sizes))
                return largest / repeat(sum_over(largest, axes), axes, sizes)
            x, top, rise = self.top_and_rise(x, axes)
            under = x - repeat(top, axes, sizes) - repeat(rise, axes, sizes)
            return exp(under) if node.op is softmax_op else under
        if node.op is overlap_add_op:
            return gathered(node)
        if node.op in POOLS:
            return simpler(node)
        known = node.op.name in self.language.forms or node.op.indices is not None
        known = known or node.op in LOOPS or node.op in PLACES or self.is_matrix(node)
        if not known and node.args and node.op.definition is not None:
            return node.op.definition(node.params, *node.args)
        return None

    def top_and_rise(self, x: Expr, axes: tuple[int, ...]) -> tuple[Expr, Expr, Expr]:
        """x, its largest entry, and how far log Σ exp x is above that, with all digits, as names."""
        if (x, axes) not in self.rises:
            sizes = tuple(x.shape[axis] for axis in axes)
            z = x if x.op is symbol_op else self.named("z", x)
            top = self.named("top", max_op(z, params=(axes,)))
            below = where(less(z, repeat(top, axes, sizes)), exp(z - repeat(top, axes, sizes)), 0)
            equals = sum_over(equal(z, repeat(top, axes, sizes)), axes)
            self.rises[x, axes] = z, top, self.named("rise", log1p(sum_over(below, axes) + (equals - 1)))
        return self.rises[x, axes]

    def named(self, wanted: str, value: Expr) -> Expr:
        """The name of what is computed here."""
        symbol = self.symbol(self.names.give(wanted), value)
        self.fill(symbol, self.opened(value))
        return symbol

    def entry_by_entry(self, value: Expr) -> set[Expr]:
        """The parts of a value whose entries are used once each, at the place of the value's own."""
        inside, ahead = {value}, [value]
        while ahead:
            node = ahead.pop()
            if has_loops(node) or node.op.slopes is None or self.is_matrix(node):
                continue
            for arg in node.args:
                if arg.shape == value.shape and arg not in inside and not self.needs_array(arg):
                    inside.add(arg)
                    ahead.append(arg)
        return inside

    def needs_array(self, node: Expr) -> bool:
        """Whether its loops cannot stand inside those of what it is a part of."""
        if node.op is cumsum_op:
            return True
        return has_loops(node) and node.op not in LOOPS and bool(node.rank) and not self.is_local(node)

    def is_local(self, node: Expr) -> bool:
        """Whether memory is walked in order when each entry is summed up alone."""
        words, output = _indices(node)
        return self.order(words, node.args, output)[: len(output)] == list(output)

    # Statements.

    def put(self, statement: Statement) -> None:
        (self.here[-1] if self.here else self.body.statements).append(statement)

    def open(self, size: Size) -> str:
        """A loop; its counter."""
        self.counters += 1
        loop = Loop(f"_k{self.counters}_", self.language.size(size), [])
        self.put(loop)
        self.here.append(loop.body)
        return loop.counter

    def close(self, loops: int) -> None:
        del self.here[len(self.here) - loops :]

    def variable(self, wanted: str, value: str) -> str:
        """A number that changes, and with what it begins."""
        name = self.wanted or self.names.give(wanted)
        self.wanted = ""
        if self.here:
            self.put(Put(name, value, "variable"))
        else:
            self.body.start[name] = value
        return name

    def fill(self, symbol: Expr, value: Expr, comment: str = "") -> None:
        """The statements that give `symbol` its entries."""
        name = self.called_symbol(symbol)
        note = " ".join(comment.split())
        if self.is_matrix(value):
            given = [self.called_symbol(arg) for arg in value.args]
            size = self.language.size(value.args[0].shape[0])
            text = self.language.matrices[value.op.name].format(*given, size=size)
            self.help(text)
            self.put(Put(name, text, "constant", note))
            return
        if not symbol.rank:
            self.put(Put(name, self.at_top(value), "constant", note))
            return
        self.body.arrays[name] = self.length(symbol)
        if value.op is not cumsum_op and has_loops(value) and self.needs_array(value):
            self.body.start[name] = "0"
            self.added(symbol, value, note)
            return
        self.sums = {}
        index = [self.open(size) for size in symbol.shape]
        place = f"{name}[{self.place(symbol, index)}]"
        text = self.running(name, value, symbol, index) if value.op is cumsum_op else self.entry(value, index)
        self.put(Put(place, text, "set", note))
        self.close(len(index))

    def at_top(self, value: Expr, wanted: str = "") -> str:
        """A number; what it is to be called if it is a sum."""
        if self.is_matrix(value):
            symbol = self.symbol(self.names.give("t"), value)
            self.fill(symbol, value)
            return self.called_symbol(symbol)
        self.sums = {}
        self.wanted = wanted if has_loops(value) and value.op is not logsumexp_op else ""
        return self.entry(value, [])

    def added(self, symbol: Expr, value: Expr, note: str) -> None:
        """A sum of products, added to its entries in the order of memory."""
        words, output = _indices(value)
        order = self.order(words, value.args, output)
        sizes = self.sizes(value)
        counters = {letter: self.open(sizes[letter]) for letter in order}
        factors = [
            self.entry(arg, [counters[k] for k in word], PRODUCT if not n else SIGN)
            for n, (word, arg) in enumerate(zip(words, value.args, strict=True))
        ]
        place = self.place(symbol, [counters[letter] for letter in output])
        self.put(Put(f"{self.called_symbol(symbol)}[{place}]", " * ".join(factors), "add", note))
        self.close(len(order))

    def sizes(self, value: Expr) -> dict[str, Size]:
        """The size of every index."""
        words, _ = _indices(value)
        pairs = zip(words, value.args, strict=True)
        return {letter: size for word, arg in pairs for letter, size in zip(word, arg.shape, strict=True)}

    def order(self, words: Sequence[str], args: Sequence[Expr], output: str) -> list[str]:
        """The indices from the outermost loop to the innermost: along memory where the largest array lies."""
        largest = max(range(len(args)), key=lambda k: args[k].rank)
        word, arg = words[largest], args[largest]
        while arg.op.name == "transpose":
            word, arg = word[:-2] + word[-1] + word[-2], arg.args[0]
        every = dict.fromkeys(output + "".join(words))
        outside = [each for each in every if each not in word]
        return list(dict.fromkeys([*word[:-1], *outside, *word[-1:]]))

    # Numbers that need a loop.

    def summed(self, value: Expr, index: Index) -> str:
        """One entry of a sum of products, added up on the spot."""
        words, output = _indices(value)
        sizes = self.sizes(value)
        counters = dict(zip(output, index, strict=True))
        name = self.variable("total", "0")
        inner = [letter for letter in self.order(words, value.args, output) if letter not in counters]
        for letter in inner:
            counters[letter] = self.open(sizes[letter])
        factors = [
            self.entry(arg, [counters[k] for k in word], self.beside(words, n))
            for n, (word, arg) in enumerate(zip(words, value.args, strict=True))
        ]
        self.put(Put(name, " * ".join(factors), "add"))
        self.close(len(inner))
        return name

    def beside(self, words: Sequence[str], place: int) -> int:
        """How strongly a factor has to hold."""
        return CHOICE if len(words) == 1 else SIGN if place else PRODUCT

    def along(self, value: Expr, index: Index) -> str:
        """The largest, the length, the product or the logarithm of a sum along axes."""
        (x,), axes = value.args, _axes(value)

        def entries(holds: int = CHOICE) -> str:
            rest, places = iter(index), iter([self.open(x.shape[axis]) for axis in axes])
            return self.entry(
                x, [next(places) if axis in axes else next(rest) for axis in range(x.rank)], holds
            )

        language = self.language
        if value.op is not logsumexp_op:
            name = self.variable("found", BEGINNING[value.op].format(infinity=language.infinity))
            hold = SIGN if value.op is prod_op else CHOICE
            text = self.formed(JOINED[value.op], [name, entries(hold)])
            self.put(Put(name, text))
            self.close(len(axes))
            return name
        top = self.variable("top", f"-{language.infinity}")
        self.put(Put(top, self.formed("maximum", [top, entries()])))
        self.close(len(axes))
        level = self.names.give("level")
        self.put(Put(level, f"{language.finite.format(top)} ? {top} : {language.number(0)}", "constant"))
        total = self.variable("total", "0")
        self.put(Put(total, self.formed("exp", [f"{entries(SUM)} - {level}"]), "add"))
        self.close(len(axes))
        return f"{level} + {self.formed('log', [total])}"

    def running(self, name: str, value: Expr, symbol: Expr, index: Index) -> str:
        """Sums so far along an axis."""
        (x,), (axis,) = value.args, _axes(value)
        before = [f"({each} - 1)" if k == axis else each for k, each in enumerate(index)]
        past = f"({index[axis]} > 0 ? {name}[{self.place(symbol, before)}] : {self.language.number(0)})"
        return f"{past} + {self.entry(x, index, PRODUCT)}"

    # One entry.

    def entry(self, node: Expr, index: Index, holds: int = CHOICE) -> str:
        """The entry of `node` at an index, an expression that `holds` together at least so strongly."""
        if has_loops(node):
            key = (node, tuple(index))
            if key not in self.sums:
                self.sums[key] = self.along(node, index) if node.op in LOOPS else self.summed(node, index)
            text = self.sums[key]
            return text if text.isidentifier() or holds <= SUM else f"({text})"
        text, strength = self.spelled(node, index, holds)
        return text if strength >= holds else f"({text})"

    def spelled(self, node: Expr, index: Index, holds: int) -> tuple[str, int]:
        """An entry, and how strongly it holds together."""
        place = PLACES.get(node.op)
        if place is not None:
            return place(self, node, index, holds)
        if node.op is squeeze_op:
            rest = iter(index)
            whole = ["0" if k in node.params[0] else next(rest) for k in range(node.args[0].rank)]
            return self.entry(node.args[0], whole, holds), holds
        if node.op.indices is not None and node.op.slopes is None:
            return self.views(node, index, holds)
        form = self.language.forms.get(node.op.name)
        if form is None:
            spoken = f"{node.op.name} cannot be written in {self.language.name} yet"
            raise MathError(spoken, facts=[f"in {node.op.name}"])
        if node.op is power_op and node.args[1].op is number_op and node.args[1].params[0] == 2:
            base = self.entry(node.args[0], index, SIGN)
            if re.fullmatch(r"\w+(\[[^]]*\])?", base):
                return f"{base} * {base}", PRODUCT
        parts = []
        for k, arg in enumerate(node.args):
            where = index if arg.rank == node.rank else []
            asked = form.operands[k] if k < len(form.operands) else CHOICE
            if node.op is where_op and not k and arg.op.name in TESTS:
                parts.append(self.test(arg, where))
            else:
                parts.append(self.entry(arg, where, asked))
        numbers = {
            f"p{k}": self.language.number(p)
            for k, p in enumerate(node.params)
            if isinstance(p, int | Fraction)
        }
        return self.formed(node.op.name, parts, numbers), form.holds

    def test(self, node: Expr, index: Index) -> str:
        """A comparison as a condition."""
        places = [index if arg.rank == node.rank else [] for arg in node.args]
        parts = [self.entry(arg, place, SUM) for arg, place in zip(node.args, places, strict=True)]
        return self.language.test(node.op.name, parts)

    def views(self, node: Expr, index: Index, holds: int) -> tuple[str, int]:
        """Products of entries, and the same entries in other places."""
        words, output = _indices(node)
        letter = dict(zip(output, index, strict=True))
        if len(words) == 1:
            return self.entry(node.args[0], [letter[each] for each in words[0]], holds), holds
        parts = [
            self.entry(arg, [letter[each] for each in word], self.beside(words, n))
            for n, (word, arg) in enumerate(zip(words, node.args, strict=True))
        ]
        return " * ".join(parts), PRODUCT

    def formed(self, operation: str, parts: Sequence[str], numbers: Mapping[str, str] | None = None) -> str:
        """An operation of these operands, and the helper functions that it calls."""
        form = self.language.forms[operation]
        text = form.text.format(*parts, **(numbers or {}))
        self.help(text)
        return text

    def help(self, text: str) -> None:
        """Remember the helper functions in a text, and those in them."""
        for name, source in self.language.helpers.items():
            if name not in self.used and re.search(rf"(?<![\w.]){name}\(", text):
                self.used.add(name)
                self.help(source)

    def place(self, node: Expr, index: Index) -> str:
        """Where an entry lies in memory: i * d + j."""
        where = ""
        for each, size in zip(index, node.shape, strict=True):
            where = f"{_grouped(where)} * {_grouped(self.language.size(size))} + {each}" if where else each
        return where

    def length(self, node: Expr) -> str:
        return " * ".join(_grouped(self.language.size(size), len(node.shape) > 1) for size in node.shape)


def _grouped(text: str, several: bool = True) -> str:
    return text if not several or re.fullmatch(r"\w+", text) else f"({text})"
