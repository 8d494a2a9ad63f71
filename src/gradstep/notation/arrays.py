"""How are Jacobians and Hessians told? Part by part, how each moves, and then what stands before dx.

Where every part is a number or a vector the lines are Jacobians, ∂a/∂z = diag(1 − a²), multiplied by the
vector chain rule as in Parr and Howard, section 4.5; elsewhere, and in the style `differential`, they are
differentials, dA = (1 − A²) ⊙ dZ, from which the array is read off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

from gradstep.calculus.chaining import Chain, Local, Total, chain
from gradstep.calculus.cotangents import cotangent
from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Change, Derivation
from gradstep.expression.boxes import Big, Box, Fence, Frac, Row, Sup, Sym, row
from gradstep.expression.node import Expr, replace
from gradstep.expression.shapes import shape_text
from gradstep.notation.checking import Claim
from gradstep.notation.differentials import without
from gradstep.notation.indices import Index, entry_op
from gradstep.notation.lowering import Lowering
from gradstep.notation.plain import line
from gradstep.notation.presentation import Behind, Said, Section
from gradstep.notation.proofs import proof_of_operation
from gradstep.notation.wording import listed, numbered
from gradstep.notation.writing import Writer
from gradstep.operations.arithmetic import negate_op, scale_op
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.leaves import eye_op, symbol_op
from gradstep.operations.permutations import matrix_transpose

TRANSPOSED = Sym("ᵀ", "operator")
MATRIX = 2


class Arrays:
    """Tells a Jacobian, a Hessian or a product with a vector; `claims` are what it has printed."""

    def __init__(
        self,
        derivation: Derivation,
        style: str,
        layout: str,
        lower: Lowering,
        names: Mapping[Expr, Box | str],
        claims: list[Claim],
    ) -> None:
        self.d, self.style, self.layout, self.lower = derivation, style, layout, lower
        self.f = derivation.of
        self.claims = claims
        self.shown = {G: cotangent(part, self.f) for G, part in derivation.fences.items()}
        self.table = {**{part: part for part in derivation.parts if part is not self.f}, **self.shown}
        plain = Writer(names)
        gradients = {G: cotangent(p, self.f) for p, G in self.gradients.items()}
        self.boxes: dict[Expr, Box | str] = {**names}
        self.moved: dict[Expr, Expr] = {}
        for k, change in enumerate(derivation.changes):
            part = {**self.shown, **gradients}.get(change.part, change.part)
            box = plain(part)
            box = Fence("(", box, ")") if part is not change.part else box
            self.moved[change.part] = symbol_op(params=(f"•moved{k}", change.part.shape, ()))
            self.boxes[self.moved[change.part]] = row("d", box)
            for n, marker in zip(change.by, change.markers, strict=True):
                inner = plain(self.shown.get(n, n))
                self.boxes[marker] = row("d", Fence("(", inner, ")") if n in self.shown else inner)
        self.write = Writer(self.boxes)
        self.known = {change.part: change for change in derivation.changes}
        self.count = 0
        self.whole: set[Expr] = set()  # the parts of which the total derivative has a line
        self.total_sign = "∂"  # d where a variable reaches the result along several paths

    @property
    def gradients(self) -> dict[Expr, Expr]:
        """For a Hessian the gradient of each parameter; nothing for a Jacobian."""
        base = self.d.base
        return {} if base is None else {p: base.answers[name] for name, p in base.parameters.items()}

    def sections(self) -> tuple[Section, ...]:
        """How the parts move, and what follows."""
        moving = [change for change in self.d.changes if change.form is not None]
        found = chain(self.d) if self.style == "partials" and self.d.kind == "jacobian" else None
        self.total_sign = "d" if found and any(total.several for total in found.totals) else "∂"
        if found is not None and moving:
            work = Section(
                f"Multiply from {self.name(self.wrt[0])} to {self.name(self.f)}", self.chained(found)
            )
        else:
            title = "Differentiate the gradient once more" if self.gradients else "How the parts move"
            start = self.count + 1
            lines = [*map(self.change, moving)]
            lines += [
                self.change(change, f"{numbered([*range(start, self.count + 1)])} put together")
                for change in self.d.together
            ]
            work = Section(title, tuple(lines))
        return (work, Section(self.title(), self.answers()))

    @property
    def wrt(self) -> list[Expr]:
        return [*self.d.parameters.values()]

    def name(self, part: Expr) -> str:
        return line(self.write(part))

    def title(self) -> str:
        """What it is that is found."""
        match self.d.kind:
            case "jacobian":
                return "The Jacobian"
            case "hessian":
                return "The Hessian"
            case "jvp":
                return "The Jacobian–vector product"
            case _:
                return "The Hessian–vector product"

    # ------------------------------------------------------------------------------------- how parts move

    def number(self) -> int:
        self.count += 1
        return self.count

    def change(self, change: Change, rule: str = "") -> Said:
        """dz = X dw."""
        rules = ", ".join(dict.fromkeys(rule for rule, _ in change.rules))
        return Said(
            *self.line(change),
            rule=rule or rules,
            why=reason(change.rules),
            number=self.number(),
            kink=change.kink,
            behind=lambda: Behind(self.proof(change), () if rule else self.behind(change)),
        )

    def line(self, change: Change) -> tuple[Box, tuple[Box]]:
        """dz and X dw."""
        assert change.form is not None
        at = self.lower.indices(change.part)
        shown = self.claimed(replace(change.form, self.table), change.form, at)
        return self.write(self.lower(self.moved[change.part], at)), (self.write(shown),)

    def by_entries(self) -> Arrays | None:
        """The same teller by indices, with a list of claims in common; None where it is that already."""
        if self.lower.sizes is None:
            return None
        other = copy(self)
        other.lower = self.lower.fully()
        return other

    def proof(self, change: Change) -> tuple[Box, ...]:
        """zᵢ = Σⱼ Xᵢⱼ wⱼ, dzᵢ = Σⱼ Xᵢⱼ dwⱼ."""
        told = self.by_entries()
        if told is None or not any(x.rank for x in (change.part, *change.by)):
            return ()
        left, (right,) = told.line(change)
        return *told.definition(change.part), row(left, "=", right)

    def definition(self, part: Expr) -> tuple[Box, ...]:
        """zᵢ = Σⱼ Xᵢⱼ wⱼ of a named part."""
        if part not in self.d.parts:
            return ()
        at = self.lower.indices(part)
        opened = self.lower.opening(part)(part, at)
        return (
            row(self.write(self.lower.entry(part, at) if any(at) else part), "=", self.write.opened(opened)),
        )

    def behind(self, change: Change) -> tuple[Said, ...]:
        """Why the rules of a change are so, entry by entry or from definitions."""
        names, reserved = self.write.names, self.lower.reserved
        proofs = (proof_of_operation(place, by, names, reserved) for place, by in change.places)
        told = change.rules[-1] if change.rules else ("", "")
        return tuple(without(said, *told) for proof in proofs for said in proof)

    def claimed(self, expr: Expr, meant: Expr, at: Sequence[Index]) -> Expr:
        """`expr` as it will be printed, noted so that it is worked out again."""
        shown = self.lower(expr, at)
        if self.lower.sizes != ():
            shown = simplify(shown, BOOK, self.lower.named)
        self.claims.append(Claim(shown, meant, tuple(at)))
        return shown

    # ------------------------------------------------------------------------------------- the chain rule

    def chained(self, found: Chain) -> tuple[Said, ...]:
        """∂a/∂z = diag(1 − a²), …, and the products."""
        said = [*map(self.link, found.locals)]
        self.whole = {total.part for total in found.totals}
        return (*said, *map(self.total, found.totals))

    def link(self, local: Local) -> Said:
        """∂a/∂z = diag(1 − a²)."""
        return Said(
            self.partial(local.part, local.by),
            (self.array(local.array),),
            rule=", ".join(dict.fromkeys(rule for rule, _ in local.rules)),
            why=self.why(local),
            number=self.number(),
            kink=local.kink,
            behind=lambda: Behind(self.proof_of_link(local), self.behind(self.known[local.part])),
        )

    def proof_of_link(self, local: Local) -> tuple[Box, ...]:
        """zᵢ = Σⱼ Aᵢⱼ xⱼ, ∂zᵢ/∂xⱼ = Aᵢⱼ."""
        told = self.by_entries()
        if told is None or not (local.part.rank or local.by.rank):
            return ()
        entry = row(told.partial(local.part, local.by), "=", told.array(local.array))
        return *told.definition(local.part), entry

    def why(self, local: Local) -> str:
        """Why a link is what it is; of what works entry by entry, that its Jacobian is diagonal."""
        told = reason(local.rules)
        body = local.array
        while body.op in (negate_op, scale_op):
            body = body.args[-1]
        if not local.part.rank or body.op not in (diagonal_matrix_op, eye_op):
            return told
        f, x = (line(self.write(entry_op(params=(part, ("i",))))) for part in (local.part, local.by))
        only = f"{f} depends on {x} alone"
        return f"{told}; {only}, so the Jacobian is diagonal (element-wise diagonal condition)"

    def total(self, total: Total) -> Said:
        """∂f/∂x = ∂f/∂a ∂a/∂z ∂z/∂x, or the sum over several paths."""
        x, f, paths = self.name(total.by), self.name(total.part), len(total.paths)
        rule, why = "vector chain rule", "the Jacobians of the links are multiplied"
        if paths > 1:
            rule = "total derivative"
            why = f"{x} reaches {f} along {paths} paths: what comes along them is added"
        return Said(
            self.partial(total.part, total.by, sign="d" if total.several else "∂"),
            (self.ways(total), self.array(total.array)),
            rule=rule,
            why=why,
            number=self.number(),
            because=("the factors put in",),
            behind=lambda: Behind(self.proof_of_total(total)),
        )

    def ways(self, total: Total) -> Box:
        """What comes along the paths, added."""
        terms: list[Box | str] = []
        for path in total.paths:
            terms += ["+", self.product(path, total.several)]
        return row(*terms[1:])

    def proof_of_total(self, total: Total) -> tuple[Box, ...]:
        """∂fᵢ/∂xⱼ = Σₖ ∂fᵢ/∂aₖ ∂aₖ/∂xⱼ = Σₖ Bᵢₖ (1 − aₖ²) Aₖⱼ."""
        told = self.by_entries()
        if told is None or not any(x.rank for path in total.paths for link in path for x in link):
            return ()
        left = told.partial(total.part, total.by, sign="d" if total.several else "∂")
        return (row(left, "=", told.ways(total), "=", told.array(total.array)),)

    def product(self, path: Sequence[tuple[Expr, Expr]], several: bool) -> Box:
        """The links of a path side by side; by indices, what stands in between is summed."""
        at = self.lower.indices(path[0][0])
        end = self.column(path[-1][1], at)
        taken = {i for i in (*at, *end) if i}
        factors: list[Box] = []
        sums: list[str] = []
        for k, (part, by) in enumerate(path):
            last = k == len(path) - 1
            other = end if last else self.column(by, [*taken])
            taken |= {i for i in other if i}
            sums += [] if last else [i for i in other if i]
            factors.append(
                self.partial(part, by, at, other, "d" if several and k and part in self.whole else "∂")
            )
            at = other
        if self.layout == "denominator" and not sums:
            factors.reverse()
        body: Box = factors[0] if len(factors) == 1 else Row(tuple(factors))
        for index in reversed(sums):
            body = Big("Σ", Sym(index, "index"), None, body)
        return body

    def partial(
        self,
        part: Expr,
        by: Expr,
        at: Sequence[Index] | None = None,
        other: Sequence[Index] | None = None,
        sign: str = "∂",
    ) -> Box:
        """∂a/∂z; in the index view ∂aᵢ/∂zⱼ. The sign of a total derivative is d."""
        at = tuple(self.lower.indices(part) if at is None else at)
        other = tuple(self.column(by, at) if other is None else other)
        return Frac(
            row(sign, self.write(self.lower.entry(part, at) if any(at) else part)),
            row(sign, self.write(self.lower.entry(by, other) if any(other) else by)),
        )

    def column(self, by: Expr, at: Sequence[Index]) -> tuple[Index, ...]:
        """Indices for `by` that are not those in `at`."""
        taken = {i for i in at if i}
        found: list[Index] = []
        for size in by.shape:
            letter = self.lower.letter(size, taken) if self.lower.is_lowered(size) else None
            taken |= {letter} if letter else set()
            found.append(letter)
        return tuple(found)

    def array(self, J: Expr) -> Box:
        """A Jacobian with at most two axes as it stands in this view and layout."""
        shown = simplify(matrix_transpose(J), BOOK, self.lower.named) if self.layout == "denominator" else J
        at = self.lower.indices(J)
        if any(at):
            return self.write(self.claimed(J, J, at))
        return self.write(self.claimed(shown, shown, at))

    # ------------------------------------------------------------------------------------- the result

    def answers(self) -> tuple[Said, ...]:
        """∂f/∂x for each variable, and in which layout."""
        said = []
        for key, answer in self.d.answers.items():
            first, _, second = key.partition(", ")
            x = self.d.parameters[first]
            y = self.d.parameters[second] if second else x
            said.append(self.answer(answer, x, y))
        return tuple(said)

    def answer(self, answer: Expr, x: Expr, y: Expr) -> Said:
        named = replace(answer, self.table)
        kind = self.d.kind
        if kind in ("jvp", "hvp"):
            at = self.lower.indices(answer)
            v = self.write(next(iter(self.d.directions.values())))
            front = self.second(x, y) if kind == "hvp" else self.slope(x)
            return Said(
                row(front, v),
                (self.write(self.claimed(named, answer, at)),),
                rule="all put together, with the direction in the place of the change",
                shape=self.shape(answer),
                behind=lambda: Behind(self.proof_of_product(answer, named, x)),
            )
        at, whole = self.lower.indices(answer), answer
        entries = any(at)
        if sum(i is None for i in at) > MATRIX:
            lower = self.lower.fully()
            at = lower.indices(answer)
            entries = True
        else:
            lower = self.lower
        if self.layout == "denominator" and answer.rank == MATRIX and not entries and kind == "jacobian":
            answer = simplify(matrix_transpose(answer), BOOK, self.lower.named)
            named = replace(answer, self.table)
        shown = lower(named, at)
        if lower.sizes != ():
            shown = simplify(shown, BOOK, self.lower.named)
        self.claims.append(Claim(shown, answer, tuple(at)))
        left = (
            self.entry(x, y, at, lower) if entries else self.second(x, y) if self.gradients else self.slope(x)
        )
        inside = self.d.structures.get(str(y.params[0]))
        why = "" if inside is None else f"{inside.structure.rule}: {inside.structure.why}"
        return Said(
            left,
            (self.write(shown),),
            self.how(answer, x, y),
            why,
            shape=self.shape(answer),
            behind=None if entries else lambda: Behind(self.proof_of_answer(whole, x, y)),
        )

    def proof_of_answer(self, answer: Expr, x: Expr, y: Expr) -> tuple[Box, ...]:
        """∂fᵢ/∂xⱼ = …, the entry that stands at these indices."""
        lower = self.lower.fully()
        at = lower.indices(answer)
        if not any(at):
            return ()
        shown = simplify(lower(replace(answer, self.table), at), BOOK, self.lower.named)
        self.claims.append(Claim(shown, answer, at))
        return (row(self.entry(x, y, at, lower), "=", self.write(shown)),)

    def proof_of_product(self, answer: Expr, named: Expr, x: Expr) -> tuple[Box, ...]:
        """Σⱼ ∂fᵢ/∂xⱼ vⱼ = …."""
        told = self.by_entries()
        if told is None or not (answer.rank or x.rank):
            return ()
        (v,) = self.d.directions.values()
        at = told.lower.indices(answer)
        along = told.column(x, at)
        places = (*along, *at) if self.gradients else (*at, *along)
        body: Box = row(told.entry(x, x, places, told.lower), told.write(told.lower(v, along)))
        for index in reversed([i for i in along if i]):
            body = Big("Σ", Sym(index, "index"), None, body)
        return (row(body, "=", told.write(told.claimed(named, answer, at))),)

    def slope(self, x: Expr) -> Box:
        """∂f/∂x."""
        return Frac(row(self.total_sign, self.write(self.f)), row(self.total_sign, self.write(x)))

    def second(self, x: Expr, y: Expr) -> Box:
        """∂²C/∂w∂wᵀ; ∂²C/∂t² for a number."""
        top = row(Sup(Sym("∂", "operator"), Sym("2", "number")), self.write(self.f))
        if not x.rank and x is y:
            return Frac(top, row("∂", Sup(self.write(x), Sym("2", "number"))))
        last: Box = Sup(self.write(y), TRANSPOSED) if y.rank == 1 else self.write(y)
        return Frac(top, row("∂", self.write(x), "∂", last))

    def entry(self, x: Expr, y: Expr, at: Sequence[Index], lower: Lowering) -> Box:
        """∂fᵢ/∂xⱼ, ∂²C/∂Wᵢⱼ∂Wₖₗ: the entry at these indices."""

        def name(of: Expr, places: Sequence[Index]) -> Box:
            return self.write(entry_op(params=(of, tuple(places))) if any(places) else of)

        if self.gradients:
            top = row(Sup(Sym("∂", "operator"), Sym("2", "number")), self.write(self.f))
            return Frac(top, row("∂", name(x, at[: x.rank]), "∂", name(y, at[x.rank :])))
        sign = self.total_sign
        return Frac(row(sign, name(self.f, at[: self.f.rank])), row(sign, name(x, at[self.f.rank :])))

    def how(self, answer: Expr, x: Expr, y: Expr) -> str:
        """How it is laid out."""
        if self.f is x and not self.gradients:
            return "Jacobian of the identity: an entry moves with itself alone, and as much"
        if answer.rank > MATRIX:
            axes = listed([*map(str, answer.shape)])
            return f"what stands before d{self.name(y)}; the axes are {axes}"
        if self.gradients:
            return f"what stands before d{self.name(y)}"
        if self.f.rank == 1 and x.rank == 1:
            named = "denominator" if self.layout == "denominator" else "numerator"
            down, across = (
                (self.name(self.f), self.name(x))
                if named == "numerator"
                else (self.name(x), self.name(self.f))
            )
            one = line(self.write(entry_op(params=(self.f, ("i",)))))
            place = "row" if named == "numerator" else "column"
            told = f"{named} layout: a row for each entry of {down}, a column for each of {across}"
            return f"{told}; {place} i is the gradient of {one}"
        return f"what stands before d{self.name(x)}"

    def shape(self, answer: Expr) -> str:
        return shape_text(answer.shape)


def reason(rules: Sequence[tuple[str, str]]) -> str:
    """Why the last of the rules holds; what its name says already is not said again."""
    if not rules:
        return ""
    rule, why = rules[-1]
    return why.removeprefix(f"the two pieces of {rule.removeprefix('slope of ')}: ")
