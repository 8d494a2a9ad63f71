"""How does a training show itself in a notebook? As its report, and as Markdown with tables."""

from __future__ import annotations

from gradstep.learn.fit import Fit
from gradstep.learn.sweeps import Sweep
from gradstep.notation.notebooks import Bundle, equation, fenced, folded, table, words
from gradstep.page.fitted import head, results


def fit(found: Fit) -> Bundle:
    """`Fit._repr_mimebundle_`: the descent, the comparison, the parameters, the loss and its code."""
    weighed, rest = found.weighed()
    parts = [f"**{words(found.descended())}**", equation(found.derivation.names[found.of], found.of)]
    if found.scores:
        parts.append(table(head(found), results(found)[::-1], right=True))
    if weighed:
        parts.append(table(weighed[0], weighed[1:], right=True))
    parts += [f"**{words(fault)}**" for fault in found.faults]
    said = [*rest, *(n for n in found.notes if n not in found.faults), found.exactness(), *found.ran]
    parts += [words(line) for line in said]
    parts.append(folded("The code that ran", fenced(found.source.splitlines())))
    return {"text/plain": found.report(), "text/markdown": "\n\n".join(parts) + "\n"}


def sweep(found: Sweep) -> Bundle:
    """`Sweep._repr_mimebundle_`: every variant, and which is the best."""
    first, *rows = found.rows()
    parts = [table(first, rows), words(found.told())]
    return {"text/plain": str(found), "text/markdown": "\n\n".join(parts) + "\n"}
