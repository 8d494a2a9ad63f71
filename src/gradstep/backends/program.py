"""What is computed, line by line? The interned graph of value and gradients as a straight-line program.

Each line gives one name to one expression over the inputs and earlier lines, once. A back end only has to
write the lines down in its language; what is shared, what is stable and what is cheap is settled here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from gradstep.backends.economy import LEAN, LINEAR, scaled
from gradstep.backends.safe_names import Names
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Spelled, rebuild, replace, tree_size, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Shape, Size, minus, size_names
from gradstep.expression.shapes import renamed as with_names
from gradstep.operations.arithmetic import negate_op, scale
from gradstep.operations.broadcasting import repeat_op, squeeze_op
from gradstep.operations.entries import reshape_op, slice_op
from gradstep.operations.evaluation import mentioned, variables
from gradstep.operations.flips import flip_op
from gradstep.operations.guards import guarded
from gradstep.operations.improving import Improvement, improved
from gradstep.operations.leaves import NAME, is_constant, size_op, symbol_op
from gradstep.operations.lengths import needs
from gradstep.operations.lookups import lookups
from gradstep.operations.permutations import transpose_op
from gradstep.operations.stabilising import stabilised

VIEWS = frozenset(
    {repeat_op, transpose_op, squeeze_op, slice_op, flip_op, reshape_op}
)  # show the same entries
INLINE = VIEWS | {negate_op}  # cost so little that they get no line of their own
Below = Callable[[Expr], Sequence[Expr]]
COLUMNS = 72  # the text of a line is cut into several above this

# What a line is called that nobody named, by the operation at its head; a matrix takes the capital.
LETTERS: Mapping[str, str] = {
    "matmul": "z",
    "subtract": "e",
    "relu": "a",
    "leaky_relu": "a",
    "tanh": "a",
    "sigmoid": "a",
    "softmax": "p",
    "log_softmax": "log_p",
    "logsumexp": "s",
    "softplus": "s",
    "norm": "s",
    "greater": "mask",
    "greater_equal": "mask",
    "equal": "mask",
}


@record
class Input:
    """A variable: the user's `name` for it, the `symbol` in the lines, and as the user `declared` it."""

    name: str
    symbol: Expr
    declared: Expr


@record
class Line:
    """`name` = `value`, whose leaves are inputs, earlier lines, numbers and sizes.

    A line is forward when the value needs it, and backward when only gradients do.
    """

    name: str
    value: Expr
    half: Literal["forward", "backward"]
    comment: str = ""


@record
class Program:
    """Straight-line code in single assignment.

    inputs   the variables, in the order in which they are taken
    lines    one name for one expression each, operands before what uses them
    outputs  by name; the first is the value, the others are gradients by the user's name of the parameter
    sizes    for every size by name: the input that has it, or it plus a number, and along which axis
    header   what is computed, in one sentence
    spare    variables that belong to the formula but are not needed: a caller may give them
    needs    what must not be negative, of the sizes as declared: n − 6 where the formula takes x[5]
    lookups  the inputs by name that look rows up, and how many rows there are
    notes    what is computed in another form than it was written in, and why
    grown    the shapes, as declared, of arrays that are made and that no input has
    """

    inputs: tuple[Input, ...]
    lines: tuple[Line, ...]
    outputs: Mapping[str, Expr]
    sizes: Mapping[str, tuple[str, int]]
    header: str = ""
    spare: frozenset[str] = frozenset()
    needs: tuple[Size, ...] = ()
    lookups: Mapping[str, Size] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    grown: tuple[Shape, ...] = ()

    @property
    def value(self) -> Expr:
        """The first output."""
        return next(iter(self.outputs.values()))

    @property
    def gradients(self) -> Mapping[str, Expr]:
        """The other outputs, by the name of the parameter."""
        return dict(list(self.outputs.items())[1:])

    def __str__(self) -> str:
        lines = [f"{line.name} = {spelled(line.value)[0]}" for line in self.lines]
        outputs = [f"{name or 'value'}: {spelled(output)[0]}" for name, output in self.outputs.items()]
        return "\n".join(lines + outputs)


def program(
    outputs: Mapping[str, Expr],
    names: Mapping[Expr, str] | None = None,
    comments: Mapping[str, str] | None = None,
    header: str = "",
) -> Program:
    """The outputs as one straight-line program.

    The first output is the value (its name may be "", where a parameter could have the same), the others are
    gradients. A part of the value that `names` names has a line of its own under that name; any other named
    expression, such as a cotangent ∂C/∂z, is called so where it needs a line. `comments` are put beside
    the line of that name. Raises `MathError` for a size that no input has.
    """
    if not outputs:
        raise MathError("a program computes something: it needs an output")
    roots = list(outputs.values())
    _check(roots)
    names = {node: name for node, name in (names or {}).items() if node.args}
    writing = _Writing(Names(), comments or {})
    inputs, sizes = writing.inputs(roots)

    used: dict[Improvement, None] = {}
    stable = stabilised(roots, list(names), used)
    strict = guarded([stable[node] for node in (*roots, *names)])
    stable = {node: strict.get(after, after) for node, after in stable.items()}
    called: dict[Expr, str] = {}
    for node, name in names.items():
        called.setdefault(stable[node], name)
    roots = _by_known_cotangents([stable[root] for root in roots], called)
    named = _lines_by_name(roots, called)
    pieces = writing.pieces(roots, called, named).lean()
    finished = writing.straight(pieces, next(iter(outputs)) if len(outputs) > 1 else None)
    results = dict(zip(outputs, finished, strict=True))
    spare = frozenset(variables(*outputs.values())) - {given.name for given in inputs}
    order = list(walk(*outputs.values()))
    return Program(
        inputs,
        tuple(writing.lines),
        results,
        sizes,
        header or writing.header(outputs, finished),
        spare,
        tuple(dict.fromkeys(size for node in order for size in needs(node))),
        {str(places.params[0]): size for places, size in lookups(order).items()},
        tuple(dict.fromkeys(improvement.why for improvement in used if improvement.told)),
        _grown(order, {given.declared.shape for given in inputs}),
    )


def _grown(nodes: Iterable[Expr], given: Collection[Shape]) -> tuple[Shape, ...]:
    """The shapes of what is made of the inputs, where they are none of theirs; a view makes nothing."""
    made = dict.fromkeys(node.shape for node in nodes if node.args and node.op not in VIEWS)
    return tuple(shape for shape in made if shape and shape not in given)


# ------------------------------------------------------------------------------------------- the check


def _check(roots: Sequence[Expr]) -> None:
    """Nothing but names, numbers and axes goes into a program: what is written as code comes from here."""
    for node in walk(*roots):
        for param in node.params:
            if not _is_plain(param):
                raise MathError(f"{param!r:.60} cannot be written as code", facts=[f"in {node.op.name}"])


def _is_plain(param: object) -> bool:
    if isinstance(param, tuple):
        return all(map(_is_plain, param))
    if isinstance(param, str):
        words = re.split(r"[-+* ]", param)
        return len(param) <= 200 and all(NAME.match(word) or word.isdecimal() for word in words)
    return isinstance(param, int | float | Fraction)


def _told_by(size: Size) -> tuple[str, ...]:
    """The size that an axis of this size tells: n, or n of n + 1."""
    names = size_names(size)
    return names if len(names) == 1 and isinstance(minus(size, names[0]), int) else ()


# ----------------------------------------------------------------------------------------- names and sharing


def _demand(order: Sequence[Expr], roots: Sequence[Expr], below: Below) -> dict[Expr, int]:
    """How many places use each node of `order`, where what gets no line passes on what is asked of it."""
    counts = dict.fromkeys(order, 0)
    for root in roots:
        counts[root] += 1
    for node in reversed(order):
        for arg in below(node):
            counts[arg] += counts[node] if node.op in INLINE else 1
    return counts


def _lines_by_name(roots: Sequence[Expr], called: Mapping[Expr, str]) -> set[Expr]:
    """Named parts of the value, and other named expressions that are used in several places."""
    forward = set(walk(roots[0]))
    order = list(walk(*roots))
    asked = _demand(order, roots, lambda node: node.args)
    return {node for node in order if node in called and (node in forward or asked[node] > 1)}


def _by_known_cotangents(roots: list[Expr], called: Mapping[Expr, str]) -> list[Expr]:
    """c Xᵀ g becomes Xᵀ (c g) where several places want c g: ∂C/∂z once, for w and for b."""
    order = list(walk(*roots))
    asked = _demand(order, roots, lambda node: node.args)
    sites: dict[Expr, list[tuple[Expr, Expr]]] = {}  # c g -> c L(g), L(c g)
    for node in order:
        part = None if node in called else scaled(node)
        if part is None or part[1].op not in LINEAR:
            continue
        factor, body = part
        for k, arg in enumerate(body.args):
            if arg.args and arg.op not in INLINE:
                known = scale(factor, arg)
                args = [known if j == k else other for j, other in enumerate(body.args)]
                sites.setdefault(known, []).append((node, rebuild(body, args)))
    table: dict[Expr, Expr] = {}
    for known, found in sites.items():
        whole = scaled(known)
        only_here = whole is not None and asked.get(whole[1]) == len(found)
        if len(found) > 1 and (known in called or only_here):
            table.update(pair for pair in found if pair[0] not in table)
    return [replace(root, table) for root in roots] if table else roots


# ------------------------------------------------------------------------------------------- the lines


@dataclass(slots=True)
class _Pieces:
    """The graph cut at its named parts: what each name stands for, and the outputs, in terms of names."""

    bodies: dict[Expr, Expr]  # the symbol of a name -> what it stands for
    outputs: list[Expr]
    hints: dict[Expr, str]  # what to call other parts, should they need a line

    def lean(self) -> _Pieces:
        """The same with the cheaper form of every piece."""
        pieces = self
        for _ in range(4):
            roots = [*pieces.bodies.values(), *pieces.outputs]
            table = improved(roots, LEAN)
            if all(table[root] is root for root in roots):
                break
            pieces = _Pieces(
                {symbol: table[body] for symbol, body in pieces.bodies.items()},
                [table[output] for output in pieces.outputs],
                {table.get(node, node): name for node, name in pieces.hints.items()},
            )
        return pieces

    def order(self) -> list[Expr]:
        """Every node once, operands before what uses them; what a name stands for counts as its operand."""
        seen: set[Expr] = set()
        order: list[Expr] = []
        stack = [(output, False) for output in reversed(self.outputs)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack += [(node, True), *((arg, False) for arg in reversed(self.below(node)))]
        return order

    def below(self, node: Expr) -> tuple[Expr, ...]:
        """The operands of a node; of a name, what it stands for."""
        return (self.bodies[node],) if node in self.bodies else node.args


@dataclass(slots=True)
class _Writing:
    """A program while it is written: the names given so far, and the lines."""

    names: Names
    comments: Mapping[str, str]
    lines: list[Line] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)  # sizes
    leaves: dict[Expr, Expr] = field(default_factory=dict)
    comment_of: dict[str, str] = field(default_factory=dict)
    texts: dict[Expr, Spelled] = field(default_factory=dict)
    made: dict[Expr, Expr] = field(default_factory=dict)  # what stands for a node, in terms of the lines
    half: Literal["forward", "backward"] = "forward"

    def inputs(self, roots: Sequence[Expr]) -> tuple[tuple[Input, ...], dict[str, tuple[str, int]]]:
        """The variables that the outputs mention, and where each size is found.

        A variable that only belongs to the value counts where no other tells a size: X in sum(w)/N.
        """
        order, here = list(walk(*roots)), mentioned(*roots)
        told = {name for variable in here.values() for size in variable.shape for name in _told_by(size)}
        needed = {name for node in order for size in node.shape for name in size_names(size)}
        needed |= {node.params[0] for node in order if node.op is size_op}
        declared = {}
        for name, variable in {**variables(roots[0]), **here}.items():
            sizes_here = [size for whole in variable.shape for size in _told_by(whole)]
            if name in here or any(size in needed and size not in told for size in sizes_here):
                declared[name] = variable
                told.update(sizes_here)
        symbols = {name: self.names.give(name) for name in declared}
        for variable in declared.values():
            for size in variable.shape:
                for name in size_names(size):
                    if name not in self.renamed:
                        self.renamed[name] = self.names.give(name)
        inputs = []
        sizes: dict[str, tuple[str, int]] = {}
        for name, variable in declared.items():
            shape = tuple(self.size(size) for size in variable.shape)
            symbol = self.leaves[variable] = symbol_op(params=(symbols[name], shape, ()))
            inputs.append(Input(name, symbol, variable))
            for axis, size in enumerate(shape):
                if size_names(size) == (size,):
                    sizes.setdefault(str(size), (symbols[name], axis))
        for given in inputs:  # n of n+1, where nothing else tells it
            for axis, size in enumerate(given.symbol.shape):
                for name in _told_by(size):
                    sizes.setdefault(name, (str(given.symbol.params[0]), axis))
        return tuple(inputs), sizes

    def size(self, size: Size) -> Size:
        return with_names(size, self.renamed)

    def leaf(self, node: Expr) -> Expr:
        """A variable or a size under its safe name."""
        if node.op is size_op and node.params[0] not in self.renamed:
            raise MathError(
                f"the size {node.params[0]} is not known from any variable",
                mend="a variable that has this size, or a number in its place",
            )
        if node not in self.leaves:
            self.leaves[node] = node.op(params=self.params(node.params))
        return self.leaves[node]

    def params(self, params: tuple[object, ...]) -> tuple[object, ...]:
        """Parameters with the safe names of sizes."""
        return tuple(
            self.params(p) if isinstance(p, tuple) else self.size(p) if isinstance(p, str) else p
            for p in params
        )

    def pieces(self, roots: Sequence[Expr], called: Mapping[Expr, str], named: set[Expr]) -> _Pieces:
        """The graph under `roots` cut at the nodes in `named`, with safe names throughout."""
        cut: dict[Expr, Expr] = {}
        bodies: dict[Expr, Expr] = {}
        for node in walk(*roots):
            args = [cut[arg] for arg in node.args]
            made = node.op(*args, params=self.params(node.params)) if args else self.leaf(node)
            if node in named:
                symbol = self.symbol(called[node], made.shape)
                bodies[symbol] = made
                made = symbol
            cut[node] = made
        hints = {cut[node]: name for node, name in called.items() if node in cut and node not in named}
        return _Pieces(bodies, [cut[root] for root in roots], hints)

    def symbol(self, wanted: str, shape: Shape) -> Expr:
        """A new name of this shape."""
        name = self.names.give(wanted)
        if wanted in self.comments:
            self.comment_of[name] = self.comments[wanted]
        return symbol_op(params=(name, shape, ()))

    def straight(self, pieces: _Pieces, key: str | None) -> list[Expr]:
        """Writes the lines, and gives the outputs in terms of them; `key` is what to call the value."""
        order = pieces.order()
        asked = _demand(order, pieces.outputs, pieces.below)
        value = pieces.outputs[0]
        wants_line = {node for node in order if asked[node] > 1 and _is_work(node)}
        if key is not None and value.op is not symbol_op:
            wants_line.add(value)
            pieces.hints.setdefault(value, key or "C")
        for node in order:
            if node in pieces.bodies:
                self.line(node, self.made[pieces.bodies[node]])
            elif node in wants_line:
                self.made[node] = self.new_line(node, pieces.hints, self.short(node, pieces.hints))
            else:
                self.made[node] = self.short(node, pieces.hints)
            if node is value:
                self.half = "backward"
        return [self.made[output] for output in pieces.outputs]

    def short(self, node: Expr, hints: Mapping[Expr, str]) -> Expr:
        """`node` in terms of the lines, with new ones for its longest operands while its text is too long."""
        new = rebuild(node, [self.made[arg] for arg in node.args])
        while len(self.spell(new)[0]) > COLUMNS:
            both = zip(new.args, node.args, strict=True)
            parts = {_beneath_views(arg): _beneath_views(old) for arg, old in both if arg.args}
            if not any(part.args for part in parts):
                break
            longest = max(parts, key=lambda part: len(self.spell(part)[0]) if part.args else 0)
            table = {longest: self.new_line(parts[longest], hints, longest)}
            new = rebuild(new, [replace(arg, table) for arg in new.args])
            self.made.update({old: replace(self.made[old], table) for old in node.args})
        return new

    def new_line(self, node: Expr, hints: Mapping[Expr, str], value: Expr) -> Expr:
        """The symbol of a new line for `value`, which is what became of `node`."""
        letter = LETTERS.get(value.op.name, "t" if self.half == "forward" else "g")
        if value.rank > 1 and letter != "mask":
            letter = letter[:-1] + letter[-1].upper()
        symbol = self.symbol(hints.get(node, letter), value.shape)
        self.line(symbol, value)
        return symbol

    def line(self, symbol: Expr, value: Expr) -> None:
        name = str(symbol.params[0])
        self.made[symbol] = symbol
        self.lines.append(Line(name, value, self.half, self.comment_of.get(name, "")))

    def spell(self, node: Expr) -> Spelled:
        """The text of a node in terms of lines."""
        if node not in self.texts:
            self.texts[node] = node.op.text(node, self.spell)
        return self.texts[node]

    def header(self, outputs: Mapping[str, Expr], finished: Sequence[Expr]) -> str:
        """What is computed, in one sentence: C = mean(…) and ∂C/∂w, ∂C/∂b."""
        value = finished[0]
        whole = next(iter(outputs.values()))
        text = spelled(whole, self.leaves)[0] if tree_size(whole) <= 2 * COLUMNS else ""
        name = self.spell(value)[0] if value.op is symbol_op else "C"
        slopes = ", ".join(f"∂{name}/∂{parameter}" for parameter in list(outputs)[1:])
        short = 0 < len(text) <= COLUMNS
        if not slopes:
            return text if short else "The value"
        return f"{name} = {text} and {slopes}" if short else f"{name} and {slopes}"


def _is_work(node: Expr) -> bool:
    """Whether computing `node` twice would cost something."""
    return bool(node.args) and node.op not in INLINE and not (node.rank == 0 and is_constant(node))


def _beneath_views(node: Expr) -> Expr:
    while node.op in INLINE:
        node = node.args[0]
    return node


def spelled(expr: Expr, leaves: Mapping[Expr, Expr] | None = None) -> Spelled:
    """The plain text of `expr`, with other names for the `leaves`."""
    texts: dict[Expr, Spelled] = {}

    def spell(node: Expr) -> Spelled:
        if node not in texts:
            shown = leaves.get(node, node) if leaves else node
            texts[node] = shown.op.text(shown, spell)
        return texts[node]

    for node in walk(expr):  # operands first, so that nothing recurs deeply
        spell(node)
    return texts[expr]
