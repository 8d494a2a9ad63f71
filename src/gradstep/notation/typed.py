"""How is a formula typed that is written as on paper? Σᵢ (yᵢ − w·xᵢ)² is typed sum((y - X @ w)**2).

A loss is read in NumPy's syntax alone. What is written otherwise is refused, and this is the mend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from gradstep.calculus.laws import LAWS
from gradstep.calculus.rewriting import Book, Law, simplify
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.errors import MathError, shallow
from gradstep.expression.node import Expr
from gradstep.expression.shapes import size_names
from gradstep.notation.handwriting import read
from gradstep.notation.pieces import cleaned
from gradstep.notation.raising import settled
from gradstep.notation.vocabulary import Words
from gradstep.operations.broadcasting import repeat
from gradstep.operations.leaves import size
from gradstep.operations.sums import sum

LONGEST = 400  # characters
WRITTEN = re.compile(r"[^\x00-\x7f]|[\\^]")
HEAD = re.compile(r"\s*[A-Za-z]\w*\s*(?:\([^()=]*\))?\s*=(?!=)")

_v, _M = wildcard("v", ("n",)), wildcard("M", ("m", "n"))
ROWS = tuple(
    Law("a product with each row", "Σⱼ Mᵢⱼ vⱼ is (M v)ᵢ", ((sum(product, 1), _M @ _v),))
    for product in (_M * repeat(_v, 0, "m"), repeat(_v, 0, "m") * _M)
)
BOOK = Book((*LAWS, *ROWS))


def typed(text: str, variables: Mapping[str, Expr]) -> str | None:
    """The formula that is written here, in NumPy's syntax; None where it cannot be read."""
    if len(text) > LONGEST or not WRITTEN.search(text):
        return None
    text = cleaned(text)
    head = HEAD.match(text)
    start = head.end() if head is not None else 0
    sizes = {n: size(n) for given in variables.values() for each in given.shape for n in size_names(each)}
    words = Words({**sizes, **variables}, _no_slope)
    try:
        value = shallow(read)(text, start, len(text), words)
        expr, free = settled(value, value.over, value.expr.shape[len(value.over) :])
    except MathError:
        return None
    return None if free else str(simplify(expr, BOOK))


def _no_slope(of: Expr | None, by: Expr) -> NoReturn:
    raise MathError("a loss has no slopes in it")
