"""Which networks come along? Layers and losses in gradstep's own language: the table is `networks.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import resources
from typing import Any

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError, resembling
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.expression.shapes import size_names
from gradstep.notation.parsing import parse
from gradstep.public import derive

DEPTH = 3  # layers, or steps in time, where nobody says how many
DEEPEST = 1000
Sizes = Mapping[str, int]
_PLACE = re.compile(r"\{(k-1|k|depth)\}")


@record
class Network:
    """One entry of the table: a loss as text, and what its letters are.

    `text` has lines for every layer k, with {k} and {k-1} in them, where the network has layers or steps;
    `each` are the variables of every layer. `G` in a text is ∂C/∂output, what arrives from the layers above.
    """

    name: str
    about: str
    source: str
    text: str
    shapes: str
    wrt: str
    each: str = ""
    assume: Mapping[str, str] = {}

    @property
    def deep(self) -> bool:
        """Whether it has as many layers, or steps in time, as are asked for."""
        return "{k}" in self.text

    def written(self, depth: int = DEPTH, sizes: Sizes | None = None) -> str:
        """The mathematics of so many layers, a line for each part; `sizes={"h": 8}` gives numbers."""
        text = "\n".join(self._lines(self.text.strip().splitlines(), self._checked(depth)))
        return _put(text, self._known(depth, sizes))

    def variables(self, depth: int = DEPTH, sizes: Sizes | None = None) -> dict[str, str]:
        """The shape of every variable, as `gs.parse` takes it."""
        known = self._known(depth, sizes)
        return {name: _put(shape, known) for name, shape in self._shapes(depth).items()}

    def parameters(self, depth: int = DEPTH) -> list[str]:
        """What it is derived with respect to."""
        return list(self._lines(self.wrt.split(), self._checked(depth)))

    def loss(self, depth: int = DEPTH, sizes: Sizes | None = None) -> Expr:
        """The loss as an expression, for `gs.derive` and `gs.train`.

        Of sizes that no array has alone, h heads in an axis of h·k, the numbers are needed to run it.
        """
        text = "; ".join(self.written(depth, sizes).splitlines())
        return parse(text, assume=dict(self.assume), **self.variables(depth, sizes))

    def derive(self, depth: int = DEPTH, sizes: Sizes | None = None, **settings: Any) -> Derivation:
        """Its gradients, step by step; `settings` are those of `gs.derive`, `wrt` among them."""
        return derive(self.loss(depth, sizes), settings.pop("wrt", self.parameters(depth)), **settings)

    def _shapes(self, depth: int) -> dict[str, str]:
        each = [item.strip() for item in self.each.split(",") if item.strip()]
        items = [*self.shapes.split(","), *self._lines(each, self._checked(depth))]
        return {name.strip(): shape.strip() for name, _, shape in (item.partition(":") for item in items)}

    def _known(self, depth: int, sizes: Sizes | None) -> Sizes:
        """The numbers that sizes have."""
        shapes = self._shapes(depth)
        names = {name for shape in shapes.values() for name in size_names(shape)}
        for name, number in (sizes or {}).items():
            if name not in names:
                raise MathError(
                    f"{name!s:.40} is no size here", facts=[f"the sizes are {', '.join(sorted(names))}"]
                )
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise MathError(
                    f"a size is a whole number from 1 on, not {number!r:.40}", mend='sizes={"h": 8}'
                )
        return sizes or {}

    def _checked(self, depth: object) -> int:
        if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= DEEPEST:
            raise MathError(
                f"a network has 1 to {DEEPEST} layers, not {depth!r:.40}", mend=f"depth={DEPTH}, for example"
            )
        return depth

    def _lines(self, lines: list[str], depth: int) -> Iterator[str]:
        """Each line, those of a layer once for every layer: a block of them stays together."""
        block: list[str] = []
        for line in (*lines, ""):
            if "{k}" in line:
                block.append(line)
                continue
            for k in range(1, depth + 1):
                yield from (_numbered(one, {"k": k, "k-1": k - 1, "depth": depth}) for one in block)
            block = []
            if line:
                yield line.replace("{depth}", str(depth))


def _put(text: str, sizes: Sizes) -> str:
    """A text or a shape with numbers for sizes."""
    return re.sub(r"[A-Za-z_]\w*", lambda found: str(sizes.get(found[0], found[0])), text)


def _numbered(line: str, numbers: Mapping[str, int]) -> str:
    return _PLACE.sub(lambda found: str(numbers[found[1]]), line)


class Networks(Mapping[str, Network]):
    """The table, by name: `gs.networks["layer norm"].derive()`."""

    @cached_property
    def _table(self) -> dict[str, Network]:
        text = resources.files("gradstep").joinpath("networks.toml").read_text("utf-8")
        return {name: Network(name, **entry) for name, entry in tomllib.loads(text).items()}

    def __getitem__(self, name: str) -> Network:
        found = self._table.get(name)
        if found is None:
            near = resembling(str(name), self._table, cutoff=0.4)
            raise MathError(
                f"there is no network called {name!s:.60}",
                facts=[f"the networks are {', '.join(self._table)}"],
                mend=f"gs.networks[{near[0]!r}]" if near else "",
            )
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        width = max(map(len, self._table))
        return "\n".join(f"{name:{width}}  {network.about}" for name, network in self._table.items())


networks = Networks()
