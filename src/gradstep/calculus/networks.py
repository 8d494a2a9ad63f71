"""How is an array read off an expression that is linear in something? As a sum of products of entries.

A linear map from x to y is the array J with yₒ = Σᵥ Jₒᵥ xᵥ. While it is worked out it is a sum of terms, each
a number times a product of arrays with an index at every axis; an index that is neither of y nor of x is
summed, and an index that y and x share is a δ. At the end the terms are written as matrices where there is a
matrix notation, and as an einsum where there is none.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import reduce

from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Size, times
from gradstep.operations.arithmetic import (
    add,
    add_op,
    divide_op,
    multiply,
    multiply_op,
    negate_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import ones, repeat, repeat_op, squeeze_op, sum_over
from gradstep.operations.diagonals import diag, diagonal_matrix_op, eye
from gradstep.operations.einsums import einsum_of, einsum_op
from gradstep.operations.entries import (
    concatenate_op,
    cut,
    embed_op,
    is_whole,
    places_of,
    reshape,
    reshape_op,
    slice_op,
)
from gradstep.operations.families import is_one, slopes_at
from gradstep.operations.leaves import eye_op, number, size, value_of
from gradstep.operations.permutations import matrix_transpose, transpose_op
from gradstep.operations.pooling import max_share_op
from gradstep.operations.products import matmul, outer, outer_op
from gradstep.operations.toeplitz import diagonal_sums_op
from gradstep.operations.windows import by_identity, windows_op

PLACING = frozenset({slice_op, embed_op, concatenate_op})
Index = int
Factor = tuple[Expr, tuple[Index, ...]]


@record
class Term:
    """A number times factors with an index at every axis; `out` are the indices of the result."""

    number: Expr
    factors: tuple[Factor, ...]
    out: tuple[Index, ...]

    def renamed(self, old: Index, new: Index) -> Term:
        """The same with one index for another."""

        def change(places: tuple[Index, ...]) -> tuple[Index, ...]:
            return tuple(new if i == old else i for i in places)

        return Term(self.number, tuple((f, change(places)) for f, places in self.factors), change(self.out))


Terms = tuple[Term, ...]


class Network:
    """Linear maps from one array `source`; parts in `fences` are not opened."""

    def __init__(self, source: Expr, fences: Container[Expr] = ()) -> None:
        self.fences = fences
        self.sizes: list[Size] = [*source.shape]
        self.inputs = tuple(range(source.rank))

    def fresh(self, size: Size) -> Index:
        self.sizes.append(size)
        return len(self.sizes) - 1

    def identity(self) -> Terms:
        """The map from the source to itself."""
        return (Term(number(1), (), self.inputs),)

    def array(self, J: Expr) -> Terms:
        """The map whose array is `J`: the axes of the result, then those of the source."""
        lead = J.rank - len(self.inputs)
        out = tuple(self.fresh(n) for n in J.shape[:lead])
        return (self._times(Term(number(1), (), out), [(J, (*out, *self.inputs))]),)

    # ------------------------------------------------------------------------------------ through operations

    def map(self, change: Expr, known: Mapping[Expr, Terms]) -> Terms:
        """The map that `change` is, linear in the `known` ones."""
        done: dict[Expr, Terms] = dict(known)
        for node in walk(change, stop=lambda node: node in known or node in self.fences):
            if node in done:
                continue
            moving = [k for k, arg in enumerate(node.args) if done.get(arg)]
            done[node] = () if node in self.fences or not moving else self._through(node, moving, done)
        return done[change]

    def _through(self, node: Expr, moving: Sequence[int], done: Mapping[Expr, Terms]) -> Terms:
        op, args = node.op, node.args
        if op is add_op:
            return (*done[args[0]], *done[args[1]])
        if op is subtract_op:
            return (*done[args[0]], *map(_negative, done[args[1]]))
        if op is negate_op:
            return tuple(map(_negative, done[args[0]]))
        if op is diagonal_matrix_op:
            return tuple(Term(t.number, t.factors, t.out * 2) for t in done[args[0]])
        if op is reshape_op:
            return tuple(self._reshaped(node, t) for t in done[args[0]])
        if op.indices is not None:
            return tuple(term for k in moving for t in done[args[k]] for term in [self._product(node, k, t)])
        if op.slopes is not None:
            slopes = slopes_at(op, moving)
            return tuple(
                self._times(t, [(slopes[k](node, *args), t.out)]) for k in moving for t in done[args[k]]
            )
        if op is windows_op:
            return self.map(by_identity(node), done)
        if op in PLACING:
            return tuple(self._placed(node, k, t) for k in moving for t in done[args[k]])
        if op.definition is not None:
            return self.map(op.definition(node.params, *args), {arg: done.get(arg, ()) for arg in args})
        if op is max_share_op:
            return ()  # its slope is 0
        (k,) = moving
        return tuple(self._along(node, k, t) for t in done[args[k]])

    def _product(self, node: Expr, k: int, term: Term) -> Term:
        """Through an operation that is linear in operand `k`, by its index string."""
        assert node.op.indices is not None
        inputs, output = node.op.indices(node.params, *(arg.rank for arg in node.args)).split("->")
        operands = inputs.split(",")
        for at, letter in enumerate(operands[k]):
            first = operands[k].index(letter)
            term = self._same(term, term.out[first], term.out[at])[0]
        places = dict(zip(operands[k], term.out, strict=True))
        lost = [index for letter, index in places.items() if letter not in output]
        lost += [index for index in term.out if index not in places.values()]
        sized = [*zip(operands, (arg.shape for arg in node.args), strict=True), (output, node.shape)]
        for letters, shape in sized:
            for letter, n in zip(letters, shape, strict=True):
                if letter not in places:
                    places[letter] = self.fresh(n)
        others = [
            (arg, tuple(places[letter] for letter in letters))
            for j, (letters, arg) in enumerate(zip(operands, node.args, strict=True))
            if j != k
        ]
        bare = Term(term.number, term.factors, tuple(places[letter] for letter in output))
        return self._times(bare, others, lost)

    def _placed(self, node: Expr, k: int, term: Term) -> Term:
        """Through a slice, a join or zeros around: along each axis that is cut, rows of the identity."""
        arg = node.args[k]
        shape, cuts = (arg.shape, node.params) if node.op is slice_op else (node.shape, places_of(node, k))
        rest, out = iter(term.out), list[Index]()
        factors: list[tuple[Expr, tuple[Index, ...]]] = []
        lost: list[Index] = []
        for part, n in zip(cuts, shape, strict=True):
            if is_whole(part, n):
                out.append(next(rest))
                continue
            rows = cut(eye(n), [part, (0, n, 1)])
            whole: Index | None = next(rest) if node.op is slice_op else self.fresh(n)
            few: Index | None = None
            if part[1] != 0:
                few = self.fresh(part[1]) if node.op is slice_op else next(rest)
            kept, gone = (few, whole) if node.op is slice_op else (whole, few)
            factors.append((rows, tuple(i for i in (few, whole) if i is not None)))
            out += [] if kept is None else [kept]
            lost += [] if gone is None else [gone]
        return self._times(Term(term.number, term.factors, tuple(out)), factors, lost)

    def _reshaped(self, node: Expr, term: Term) -> Term:
        """Through a new shape: a run of axes with as many entries before as after is a reshaped identity."""
        places, old, new = list(term.out), list(node.args[0].shape), list(node.shape)
        out: list[Index] = []
        arrays: list[Factor] = []
        lost: list[Index] = []
        while old or new:
            i, j = _first_run(old, new)
            if i == j == 1:
                out.append(places[0])
            else:
                fresh = [self.fresh(n) for n in new[:j]]
                entries = times(1, *old[:i])
                arrays.append((reshape(eye(entries), (*new[:j], *old[:i])), (*fresh, *places[:i])))
                out += fresh
                lost += places[:i]
            places, old, new = places[i:], old[i:], new[j:]
        return self._times(Term(term.number, term.factors, tuple(out)), arrays, lost)

    def _along(self, node: Expr, k: int, term: Term) -> Term:
        """Through an operation that works along one axis: it is the matrix that it makes of the identity."""
        arg = node.args[k]
        if node.op is diagonal_sums_op:
            return self._along_diagonals(arg, term)
        axis = next(
            (a for a in range(arg.rank) if a >= node.rank or node.shape[a] != arg.shape[a]), arg.rank - 1
        )
        axis = int(node.params[0]) if node.params and isinstance(node.params[0], int) else axis
        identity = eye(arg.shape[axis])
        matrix = node.op(
            *(identity if j == k else other for j, other in enumerate(node.args)),
            params=(0, *node.params[1:]),
        )
        new = self.fresh(matrix.shape[0])
        out = tuple(new if a == axis else i for a, i in enumerate(term.out))
        lost = term.out[axis]
        return self._times(Term(term.number, term.factors, out), [(matrix, (new, lost))], [lost])

    def _along_diagonals(self, arg: Expr, term: Term) -> Term:
        """Through the sums of diagonals: what they make of the matrices with a single one."""
        n = arg.shape[-1]
        units = einsum_of([(0, 2), (1, 3)], range(4), [eye(n), eye(n)])
        new, lost = (self.fresh(n), self.fresh(n)), term.out[-2:]
        out = (*term.out[:-2], *new)
        sums = [(diagonal_sums_op(units), (*new, *lost))]
        return self._times(Term(term.number, term.factors, out), sums, lost)

    def _same(self, term: Term, a: Index, b: Index) -> tuple[Term, dict[Index, Index]]:
        """Two indices become one, and which replaces which; of two of the source, a δ says that they are."""
        if a == b:
            return term, {}
        if a in self.inputs and b in self.inputs:
            return Term(term.number, (*term.factors, (eye(self.sizes[a]), (a, b))), term.out), {}
        kept, gone = (b, a) if b in self.inputs else (a, b)
        return term.renamed(gone, kept), {gone: kept}

    def _times(
        self, term: Term, arrays: Sequence[tuple[Expr, tuple[Index, ...]]], lost: Sequence[Index] = ()
    ) -> Term:
        """The term times arrays with these indices, taken apart as far as that shows structure.

        The indices in `lost` leave the result: one that no factor has counts as often as it has values.
        """
        stack = list(reversed(arrays))
        renaming: dict[Index, Index] = {}

        def current(index: Index) -> Index:
            while index in renaming:
                index = renaming[index]
            return index

        while stack:
            x, places = stack.pop()
            at = tuple(map(current, places))
            opened = bool(x.args) and x not in self.fences
            if is_one(x):
                continue
            if not x.rank:
                term = Term(multiply(term.number, x), term.factors, term.out)
            elif x.op is eye_op:
                term, renamed = self._same(term, *at)
                renaming.update(renamed)
            elif opened and x.op is repeat_op:
                stack.append((x.args[0], tuple(i for a, i in enumerate(at) if a not in x.params[0])))
            elif opened and x.op is transpose_op:
                stack.append((x.args[0], (*at[:-2], at[-1], at[-2])))
            elif opened and x.op is negate_op:
                stack += [(x.args[0], at), (number(-1), ())]
            elif opened and x.op is scale_op:
                stack += [(x.args[1], at), (x.args[0], ())]
            elif opened and x.op is outer_op:
                stack += [(x.args[1], at[1:]), (x.args[0], at[:1])]
            elif opened and x.op is diagonal_matrix_op:
                stack += [(x.args[0], at[:1]), (eye(x.shape[0]), at)]
            elif opened and x.op is squeeze_op:
                inner, rest = x.args[0], iter(at)
                whole = [self.fresh(1) if a in x.params[0] else next(rest) for a in range(inner.rank)]
                stack.append((inner, tuple(whole)))
            elif opened and x.op is multiply_op and any(map(_has_structure, x.args)):
                stack += [(x.args[1], at), (x.args[0], at)]
            elif opened and x.op is divide_op and x.args[1].op is repeat_op:
                below = x.args[1]
                stack += [(repeat(1 / below.args[0], *below.params), at), (x.args[0], at)]
            elif opened and x.op is divide_op and _has_structure(x.args[0]) and not is_one(x.args[0]):
                stack += [(1 / x.args[1], at), (x.args[0], at)]
            elif opened and x.op is einsum_op:
                inputs, _ = x.params
                names: dict[int, Index] = dict(enumerate(at))
                for letters, arg in zip(inputs, x.args, strict=True):
                    for i, n in zip(letters, arg.shape, strict=True):
                        if i not in names:
                            names[i] = self.fresh(n)
                    stack.append((arg, tuple(names[i] for i in letters)))
            else:
                term = Term(term.number, (*term.factors, (x, at)), term.out)
        kept = {*self.inputs, *term.out, *(i for _, places in term.factors for i in places)}
        for index in dict.fromkeys(map(current, lost)):
            if index not in kept:
                term = Term(multiply(term.number, size(self.sizes[index])), term.factors, term.out)
        return term

    # ------------------------------------------------------------------------------------ written as arrays

    def written(self, terms: Terms) -> Expr | None:
        """The array of a map: the axes of the result, then those of the source. None where it is zero."""
        if not terms:
            return None
        nets = [_Net(self, term) for term in terms]
        merged: list[_Net] = []
        for net in nets:
            found = next((k for k, other in enumerate(merged) if other.joined(net)), None)
            if found is None:
                merged.append(net)
        return reduce(add, [net.array() for net in merged])


def _first_run(old: Sequence[Size], new: Sequence[Size]) -> tuple[int, int]:
    """How many axes of each shape, as few as possible, hold equally many entries; a size of 1 is an end."""
    pairs = ((i, j) for i in range(len(old) + 1) for j in range(len(new) + 1) if i or j)
    runs = (pair for pair in pairs if times(1, *old[: pair[0]]) == times(1, *new[: pair[1]]))
    return min(runs, key=lambda pair: (0 in pair, pair[0] + pair[1]))


def _negative(term: Term) -> Term:
    return Term(-term.number, term.factors, term.out)


def _has_structure(x: Expr) -> bool:
    """Whether an array is made of smaller ones."""
    return x.op in (repeat_op, eye_op, diagonal_matrix_op) or (
        x.op in (scale_op, transpose_op, negate_op) and _has_structure(x.args[-1])
    )


class _Net:
    """One term as a graph: its indices are the nodes, vectors stand at them and matrices between them."""

    def __init__(self, network: Network, term: Term) -> None:
        self.sizes, self.number = network.sizes, term.number
        self.order = (*term.out, *network.inputs)
        self.vectors: dict[Index, Expr] = {}
        self.matrices: dict[tuple[Index, Index], Expr] = {}
        self.others: list[Factor] = []
        for factor, places in term.factors:
            self.put(factor, places)
        self.contract()

    def put(self, x: Expr, places: tuple[Index, ...]) -> None:
        if not places:
            self.number = multiply(self.number, x)
        elif len(places) == 1:
            self.at(places[0], x)
        elif len(places) == 2 and places[0] == places[1]:
            self.at(places[0], diag(x))
        elif len(places) == 2:
            a, b = places
            if (b, a) in self.matrices:
                self.matrices[b, a] = self.matrices[b, a] * matrix_transpose(x)
            else:
                self.matrices[a, b] = self.matrices[a, b] * x if (a, b) in self.matrices else x
        else:
            self.others.append((x, places))

    def at(self, index: Index, v: Expr) -> None:
        self.vectors[index] = self.vectors[index] * v if index in self.vectors else v

    def between(self, a: Index, b: Index) -> Expr:
        """The matrix from a to b, taken out."""
        if (a, b) in self.matrices:
            return self.matrices.pop((a, b))
        return matrix_transpose(self.matrices.pop((b, a)))

    def contract(self) -> None:
        """Sums over all inner indices, as far as products of matrices can say it."""
        elsewhere = {i for _, places in self.others for i in places}
        while True:
            inner = {*self.vectors, *(i for pair in self.matrices for i in pair)} - {*self.order} - elsewhere
            ends = {s: [b if a == s else a for a, b in self.matrices if s in (a, b)] for s in inner}
            index = min(inner, key=lambda s: (len(ends[s]), -s), default=None)
            if index is None or len(ends[index]) > 2:
                return
            v = self.vectors.pop(index, None)
            match ends[index]:
                case []:
                    assert v is not None
                    self.number = multiply(self.number, sum_over(v, (0,)))
                case [other]:
                    M = self.between(other, index)
                    self.at(other, sum_over(M, (1,)) if v is None else matmul(M, v))
                case [a, b]:
                    a, b = sorted((a, b), key=self._place)
                    left, right = self.between(a, index), self.between(index, b)
                    self.put(matmul(left if v is None else matmul(left, diag(v)), right), (a, b))

    def _place(self, index: Index) -> tuple[int, int]:
        """Where an index stands in the result; inner ones by their age."""
        return (self.order.index(index), 0) if index in self.order else (len(self.order) // 2, index)

    def layout(self) -> tuple[list[int], dict[int, Expr], dict[tuple[int, int], Expr]] | None:
        """Which indices of the result are equal, and what stands where, by places in the result."""
        place = {index: self.order.index(index) for index in self.order}
        met = {*self.vectors, *(i for pair in self.matrices for i in pair)}
        if self.others or not met <= set(place):
            return None
        matrices = {}
        for (a, b), M in self.matrices.items():
            pair = place[a], place[b]
            matrices[min(pair, pair[::-1])] = M if pair[0] < pair[1] else matrix_transpose(M)
        return [place[i] for i in self.order], {place[i]: v for i, v in self.vectors.items()}, matrices

    def joined(self, other: _Net) -> bool:
        """Takes in another term that differs in one matrix only: A δ + Aᵀ δ = (A + Aᵀ) δ."""
        mine, theirs = self.layout(), other.layout()
        if len(self.order) < 3 or mine is None or theirs is None or mine[:2] != theirs[:2]:
            return False
        ours, others = mine[2], theirs[2]
        differing = [pair for pair in ours if ours[pair] is not others.get(pair)]
        if ours.keys() != others.keys() or len(differing) != 1:
            return False
        (pair,) = differing
        M, L = ours[pair], others[pair]
        if self.number is other.number:
            ours[pair] = M + L
        else:
            ours[pair], self.number = scale(self.number, M) + scale(other.number, L), number(1)
        self.matrices = {(self.order[a], self.order[b]): M for (a, b), M in ours.items()}
        return True

    def array(self) -> Expr:
        """The term as an array with its indices in order."""
        inner = {i for pair in self.matrices for i in pair} - {*self.order}
        if len(self.order) > 2 or self.others or inner:
            return self.times(self.by_indices())
        if not self.order:
            return self.number
        lengths = [self.sizes[i] for i in self.order]
        vectors = [self.vectors.get(i) for i in self.order]
        if len(self.order) == 1:
            return self.times(vectors[0] if vectors[0] is not None else ones(lengths[0]))
        (i, j), (u, v) = self.order, vectors
        if i == j:
            return self.times(eye(lengths[0]) if u is None else diag(u))
        if self.matrices:
            M = self.between(i, j)
            M = M if u is None else matmul(diag(u), M)
            return self.times(M if v is None else matmul(M, diag(v)))
        if u is None:
            return self.times(ones(*lengths) if v is None else repeat(v, 0, lengths[0]))
        return self.times(repeat(u, 1, lengths[1]) if v is None else outer(u, v))

    def times(self, array: Expr) -> Expr:
        """The number in front."""
        return array if value_of(self.number) == 1 else scale(self.number, array)

    def by_indices(self) -> Expr:
        """As an einsum."""
        factors: list[Factor] = [(M, pair) for pair, M in self.matrices.items()]
        factors += [(v, (i,)) for i, v in self.vectors.items()]
        factors += self.others
        order: list[Index] = []
        new = len(self.sizes)
        for index in self.order:
            if index in order:
                factors.append((eye(self.sizes[index]), (index, new)))
                index, new = new, new + 1
            order.append(index)
        covered = {i for _, places in factors for i in places}
        factors += [(ones(self.sizes[i]), (i,)) for i in order if i not in covered]
        factors.sort(key=lambda factor: min((order.index(i) for i in factor[1] if i in order), default=99))
        if len(factors) == 1 and list(factors[0][1]) == order:
            return factors[0][0]
        return einsum_of([places for _, places in factors], order, [x for x, _ in factors])


def applied(J: Expr, change: Expr, rank: int) -> Expr:
    """J · change: the array `J` of a linear map, whose last axes are those of `change`, put to work."""
    inner = change.rank
    if not inner:
        return multiply(change, J) if not J.rank else scale(change, J)
    if inner == 1 and J.rank in (1, 2):
        return matmul(J, change)
    places = tuple(range(J.rank))
    return einsum_of([places, places[rank:]], places[:rank], [J, change])
