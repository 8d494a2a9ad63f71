"""What could a loss be trained on that comes without data? On a few rows drawn at random.

Data are as their assumptions have them. What the loss compares with a prediction is what the network answers
at hidden parameters, with a little noise, so that there is something to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep.calculus.floating import compute, draw_symbol
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import SingularError
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Size, size_names
from gradstep.learn.descent import start_parameters
from gradstep.learn.structure import Above, moving, name_of, parents, prediction_of, rectifiers
from gradstep.notation.batches import batch_size
from gradstep.notation.wording import listed
from gradstep.operations.arithmetic import multiply_op, negate_op, subtract_op
from gradstep.operations.evaluation import variables
from gradstep.operations.leaves import size_op
from gradstep.operations.lookups import lookups, one_hot_op

Array = npt.NDArray[np.float64]
Random: TypeAlias = np.random.Generator
Seen: TypeAlias = Callable[[Any, Array, Random], Array]

ROWS = 24
NARROW, WIDE = (2, 3, 5, 6, 7), (6, 5, 7, 4, 8)  # lengths of the sizes that data have,
BESIDE = {NARROW: (4, 3, 5, 2, 6), WIDE: (3, 2, 4, 5, 6)}  # and of those that only parameters have
DEEP = 3  # layers that can be off
HIDDEN = 6  # sets of hidden parameters to choose from
NOISE = 0.1  # of the spread of an answer
SMALL = 0.1  # a number among data that have rows: a penalty, a margin
MOST_COUNTED = 50.0
NEGLIGIBLE = 1e-9
BALANCED = 0.25  # of the rows on either side of a kink


@record
class Answer:
    """Data that the loss compares with `of`, as they stand there; `seen` says what is seen of its worth."""

    node: Expr
    of: Expr
    seen: Seen


@dataclass(frozen=True)
class MadeUp:
    """Data for one loss; with the `sign` 1 what may be positive is."""

    derivation: Derivation
    seed: int = 0
    sign: int = 0

    @cached_property
    def data(self) -> dict[str, Array]:
        """All that is not trained, by name."""
        return {name: self._values[node] for name, node in self._given.items()}

    @cached_property
    def sizes(self) -> Lengths:
        """Small lengths that differ; where one feature makes two numbers to be found, one feature.

        Data without rows, or that are to be found again in themselves, are wider than what is between; and so
        are those of deep networks, of which no layer may be off altogether.
        """
        batch, parameters = batch_size(self.derivation), self.derivation.parameters.values()
        nodes = list(walk(self.derivation.of))
        rows = {batch: ROWS} if isinstance(batch, str) and size_names(batch) == (batch,) else {}
        mirrored = any(self._given[name] in walk(answer.of) for name, answer in self.answers.items())
        deep = len(rectifiers(self.derivation.of, set(parameters))) > DEEP
        lengths = NARROW if batch is not None and not mirrored and not deep else WIDE
        free = [name for name in _names(self._given.values()) if name not in rows]
        data = dict(zip(free, cycle(lengths), strict=False))
        if rows and len(free) == 1 and len(parameters) == 2 and all(p.rank < 2 for p in parameters):
            data = {free[0]: 1}
        counted = [str(node.params[0]) for node in nodes if node.op is size_op]
        own = [name for name in (*_names((*parameters, *nodes)), *counted) if name not in rows | data]
        beside = dict(zip(dict.fromkeys(own), cycle(BESIDE[lengths]), strict=False))
        found = Lengths({**rows, **data, **beside})
        while short := {name for n in nodes for s in n.shape if found[s] < 1 for name in size_names(s)}:
            found.update({name: found[name] + 1 for name in short})
        return found

    @cached_property
    def numbers(self) -> int:
        """How many numbers all arrays of the loss hold together."""
        lengths = self.sizes
        return sum(int(np.prod([lengths[s] for s in node.shape])) for node in walk(self.derivation.of))

    def starts(self) -> Iterator[dict[str, Array]]:
        """Parameters to begin with: those of any training, and others in case that these will not do."""
        parameters = self.derivation.parameters
        usual = start_parameters({name: self._shape(p) for name, p in parameters.items()}, self.seed)
        yield {n: abs(v) + SMALL if "positive" in parameters[n].params[2] else v for n, v in usual.items()}
        for sign in (1, 0):
            random = np.random.default_rng(self.seed)
            yield {name: draw_symbol(np, random, p, self._shape(p), sign) for name, p in parameters.items()}

    def told(self) -> list[str]:
        """How the data came about, in sentences."""
        names = list(self._given)
        drawn = [name for name in names if name not in self.answers]
        if not names:
            return ["There are no data: the way down begins at numbers drawn at random."]
        rows = f"{ROWS} rows" if ROWS in self.sizes.values() else "a few numbers"
        random = [f"{listed(drawn)} {'is' if len(drawn) == 1 else 'are'} drawn at random"] if drawn else []
        seen = [f"{name} is {SAID[answer.seen]}" for name, answer in self.answers.items()]
        return [f"The data are made up, {rows}: {'; '.join([*random, *seen])}."]

    @property
    def _given(self) -> dict[str, Expr]:
        known = variables(self.derivation.of)
        return {name: node for name, node in known.items() if name not in self.derivation.parameters}

    def _shape(self, node: Expr) -> tuple[int, ...]:
        return tuple(self.sizes[size] for size in node.shape)

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The data that the loss compares with what depends on parameters, by name."""
        loss, trained = self.derivation.of, set(self.derivation.parameters.values())
        above, moves = parents(loss), moving(loss, trained)
        places = [node for node in walk(loss) if node.op is one_hot_op]
        found: dict[str, Answer] = {}
        for node in (*places, *(each for each in self._given.values() if each.rank)):
            name = name_of(node.args[0] if node.op is one_hot_op else node)
            prediction = prediction_of(loss, node, trained)
            if prediction is not None:
                apart = any(user.op is subtract_op for user in above[node])
                seen = SEEN.get(prediction.op.name, _noisy)
                found.setdefault(name, Answer(node, prediction, _noisy if apart and seen is _count else seen))
            elif (margin := _margin(node, above, moves)) is not None:
                found.setdefault(name, Answer(node, margin, _side))
        return found

    @cached_property
    def _values(self) -> dict[Expr, Any]:
        random = np.random.default_rng(self.seed)
        places = lookups(walk(self.derivation.of))
        values = {node: self._drawn(node, places, random) for node in self._given.values()}
        return values | self._observed(values, random)

    def _drawn(self, node: Expr, places: Mapping[Expr, Size], random: Random) -> Array:
        if node in places:
            return np.asarray(random.integers(0, self.sizes[places[node]], self._shape(node)), np.float64)
        if not node.rank and batch_size(self.derivation) is not None:
            return np.asarray(SMALL)
        return np.asarray(draw_symbol(np, random, node, self._shape(node), self.sign))

    def _observed(self, values: Mapping[Expr, Any], random: Random) -> dict[Expr, Any]:
        """What is seen where parameters are hidden: of some sets those with the liveliest answers."""
        answers, trained, tried = self.answers, self.derivation.parameters.values(), []
        bent = [node.args[0] for node in rectifiers(self.derivation.of, set(trained))]
        for _ in range(HIDDEN if answers else 0):
            known = {**values, **{p: self._hidden(p, random) for p in trained}}
            try:
                worth = compute(np, [answer.of for answer in answers.values()], self.sizes, known)
                on = [float(np.mean(z > 0)) for z in compute(np, bent, self.sizes, known)]
            except SingularError:
                continue
            if all(np.isfinite(value).all() for value in worth):
                balance = min((min(share, 1 - share, BALANCED) for share in on), default=0.0)
                tried.append((balance, min(float(np.std(value)) for value in worth), worth))
        *_, worth = max(tried, key=lambda each: each[:2], default=(0.0, 0.0, []))
        found = {}
        for (name, answer), value in zip(answers.items(), worth, strict=False):
            seen, variable = answer.seen(answer, value, random), self._given[name]
            positive = self.sign > 0 or "positive" in variable.params[2]
            found[variable] = np.abs(seen) if positive else seen
        return found

    def _hidden(self, parameter: Expr, random: Random) -> Array:
        shape = self._shape(parameter)
        value = np.asarray(draw_symbol(np, random, parameter, shape, 0))
        return value * np.sqrt(2 / shape[-2]) if len(shape) > 1 else value


def _names(nodes: Iterable[Expr]) -> list[str]:
    """The names of the sizes along their axes."""
    return list(dict.fromkeys(name for node in nodes for size in node.shape for name in size_names(size)))


def _margin(node: Expr, above: Above, moves: set[Expr]) -> Expr | None:
    """z of losses that know y z alone, such as max(0, 1 − y z): then y is a side, 1 or −1."""
    users = above.get(node, ())
    while len(users) == 1 and users[0].op is negate_op:
        users = above[users[0]]
    if len(users) != 1 or users[0].op is not multiply_op:
        return None
    answers = [arg for arg in users[0].args if arg in moves and len(above[arg]) == 1]
    return answers[0] if len(answers) == 1 and any(user.op.slopes for user in above[users[0]]) else None


# ------------------------------------------------------------------------------------------- what is seen


def _noisy(answer: Answer, value: Array, random: Random) -> Array:
    spread = float(np.std(value))
    size = NOISE * spread if spread > NEGLIGIBLE else 1.0
    return np.asarray(value + size * random.standard_normal(value.shape))


def _side(answer: Answer, value: Array, random: Random) -> Array:
    return np.where(_noisy(answer, value, random) > 0, 1.0, -1.0)


def _coin(answer: Answer, value: Array, random: Random) -> Array:
    return np.asarray(random.random(value.shape) < value, np.float64)


def _count(answer: Answer, value: Array, random: Random) -> Array:
    return np.asarray(random.poisson(np.minimum(value, MOST_COUNTED)), np.float64)


def _class(answer: Answer, value: Array, random: Random) -> Array:
    """A class drawn by its chances: its number, or a one in its place."""
    axis = answer.of.params[0]
    chances = np.moveaxis(value, axis, -1)
    last = chances.shape[-1] - 1
    kinds = (random.random((*chances.shape[:-1], 1)) > chances.cumsum(axis=-1)).sum(axis=-1).clip(max=last)
    return kinds * 1.0 if answer.node.op is one_hot_op else np.moveaxis(np.eye(last + 1)[kinds], -1, axis)


# By the last operation of the answer.
SEEN: Mapping[str, Seen] = {"softmax": _class, "sigmoid": _coin, "exp": _count}

HIDDEN_NETWORK = "the network with hidden parameters"
SAID: Mapping[Seen, str] = {
    _noisy: f"what {HIDDEN_NETWORK} answers, with a little noise",
    _side: f"the side, 1 or −1, that {HIDDEN_NETWORK} answers, with a little noise",
    _coin: f"1 or 0, drawn with the chances that {HIDDEN_NETWORK} answers",
    _count: f"a count, drawn around what {HIDDEN_NETWORK} expects",
    _class: f"a class, drawn with the chances that {HIDDEN_NETWORK} answers",
}
