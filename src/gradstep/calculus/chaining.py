"""How does the vector chain rule multiply Jacobians? Link by link, where every part is a number or a vector.

∂f/∂x = ∂f/∂a ∂a/∂z ∂z/∂x; where x reaches a part along several paths, what comes along them is added
(Parr and Howard, "The Matrix Calculus You Need For Deep Learning", section 4.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.calculus.forward import Forward
from gradstep.calculus.jacobians import book_of
from gradstep.calculus.moves import Move, certify_moves
from gradstep.calculus.networks import applied
from gradstep.calculus.steps import Change, Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record

VECTOR = 1  # axes


@record
class Local:
    """∂part/∂by, where `by` is a part or a variable that `part` is made of directly."""

    part: Expr
    by: Expr
    array: Expr
    rules: tuple[tuple[str, str], ...]
    kink: str


@record
class Total:
    """∂part/∂by through all that lies between: each path as links (part, by), the outermost first."""

    part: Expr
    by: Expr
    paths: tuple[tuple[tuple[Expr, Expr], ...], ...]
    array: Expr
    several: bool = False  # whether anything here is a total derivative: written d, where links are ∂


@record
class Chain:
    """The links, and the products that they make."""

    locals: tuple[Local, ...]
    totals: tuple[Total, ...]


def chain(derivation: Derivation) -> Chain | None:
    """The chain of Jacobians behind a Jacobian; None where a part has more than one axis.

    Raises `MathError` if a link is not the slope that it says.
    """
    changes = [change for change in derivation.changes if change.form is not None]
    sources = list(derivation.parameters.values())
    everything = [*sources, *(change.part for change in changes)]
    if any(part.rank > VECTOR for part in everything) or derivation.of in sources:
        return None
    forward = Forward([derivation.of], sources, derivation.parts, book_of(derivation))
    known = {change.part: change for change in changes}
    found: list[Local] = []
    for change in changes:
        for by in change.by:
            array = forward.local(change, by)
            if array is not None:
                found.append(Local(change.part, by, array, change.rules, change.kink))
    _check(found, known, derivation)
    links: dict[Expr, list[Expr]] = {}
    for local in found:
        links.setdefault(local.part, []).append(local.by)
    totals = []
    for source in sources:
        simple = _single_path(links, derivation.of, source)
        if simple is not None and len(simple) > 1:
            J = forward.jacobian(derivation.of, source)
            totals += [] if J is None else [Total(derivation.of, source, (simple,), J)]
        elif simple is None:
            totals += _by_parts(forward, links, changes, source)
    return Chain(tuple(found), tuple(totals))


def _single_path(
    links: Mapping[Expr, Sequence[Expr]], target: Expr, source: Expr
) -> tuple[tuple[Expr, Expr], ...] | None:
    """The links from target to source if there is one path only."""
    path: list[tuple[Expr, Expr]] = []
    part = target
    reaching = _reaching(links, source)
    while part is not source:
        ways = [by for by in links.get(part, ()) if by is source or by in reaching]
        if len(ways) != 1:
            return None if ways else ()
        path.append((part, ways[0]))
        part = ways[0]
    return tuple(path)


def _reaching(links: Mapping[Expr, Sequence[Expr]], source: Expr) -> set[Expr]:
    """The parts that depend on the source; the links are in the order in which parts are made."""
    found: set[Expr] = set()
    for part, ways in links.items():
        if any(by is source or by in found for by in ways):
            found.add(part)
    return found


def _by_parts(
    forward: Forward, links: Mapping[Expr, Sequence[Expr]], changes: Sequence[Change], source: Expr
) -> list[Total]:
    """∂part/∂source for each part that other parts stand between, one link at a time."""
    reaching = _reaching(links, source)
    totals = []
    for change in changes:
        ways = [by for by in links.get(change.part, ()) if by is source or by in reaching]
        if not ways or ways == [source]:
            continue
        paths = tuple(
            ((change.part, by),) if by is source else ((change.part, by), (by, source)) for by in ways
        )
        J = forward.jacobian(change.part, source)
        if J is not None:
            totals.append(Total(change.part, source, paths, J, True))
    return totals


def _check(found: Sequence[Local], known: Mapping[Expr, Change], derivation: Derivation) -> None:
    """Every link moves its part as it says."""
    if derivation.certificate is None or not found:
        return
    moves = []
    for local in found:
        change = known[local.part]
        marker = change.markers[change.by.index(local.by)]
        form = applied(local.array, marker, local.part.rank)
        still = tuple(n for n in change.by if n is not local.by)
        moves.append(Move("link", "this is not the slope", local.part, {local.by: marker}, form, True, still))
    certificate = certify_moves(moves, seed=derivation.certificate.seed)
    if certificate.verdict is False:
        raise MathError(
            "a link of the chain rule failed its check, so it is not shown",
            facts=[str(certificate)],
            mend="another style, and reporting this formula to the authors of gradstep",
        )
