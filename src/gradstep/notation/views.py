"""How is a derivation told? As sections of lines, in three views and two styles, before anyone renders them.

view   matrix (as code and papers have it), sample (example by example, as the article tells it), index
style  partials (∂C/∂z = …, the chain rule, named intermediate variables) or differential (dC = ⟨…⟩)

A presentation is boxes and sentences: a terminal, LaTeX, Markdown, JSON and the page only set it in type.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.calculus.chains import Link, cotangent, links
from gradstep.calculus.steps import Derivation, Line, Step
from gradstep.expression.boxes import SUM, Box, Fence, Frac, Row, Sym, fenced, row, word
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.shapes import Size, shape_text
from gradstep.notation.lowering import Lowering
from gradstep.notation.narrative import Narrator, tells
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.writing import Writer
from gradstep.operations.leaves import symbol_op

VIEWS = ("matrix", "sample", "index")
STYLES = ("partials", "differential")


def present(
    derivation: Derivation, *, view: str = "matrix", style: str = "partials", batch: str | None = None
) -> Presentation:
    """The derivation as sections of lines. Unknown views and styles are a `MathError`."""
    if view not in VIEWS:
        raise MathError(f"there is no view {view!r}", facts=[f"the views are {', '.join(VIEWS)}"])
    if style not in STYLES:
        raise MathError(f"there is no style {style!r}", facts=[f"the styles are {', '.join(STYLES)}"])
    return _Telling(derivation, view, style, batch).all()


def batch_size(derivation: Derivation, batch: str | None = None) -> Size | None:
    """The batch axis: the one that data carry, no parameter carries, and the loss sums over."""
    symbols = [node for node in walk(derivation.of) if node.op is symbol_op]
    carried = {size for p in derivation.parameters.values() for size in p.shape}
    found = [size for s in symbols for size in s.shape[:1] if size not in carried and s not in derivation.parameters.values()]
    if batch is not None:
        if batch not in {size for s in symbols for size in s.shape}:
            raise MathError(f"no variable has an axis of size {batch}")
        return batch
    return found[0] if found else None


class _Telling:
    """The work of one presentation."""

    def __init__(self, derivation: Derivation, view: str, style: str, batch: str | None) -> None:
        self.d, self.view, self.style = derivation, view, style
        self.loss = derivation.of
        self.write = Writer(derivation.names)
        self.batch = batch_size(derivation, batch)
        self.shown = {G: cotangent(part, self.loss) for G, part in derivation.fences.items()}
        sizes = {"matrix": set(), "sample": {self.batch} if self.batch else set(), "index": None}[view]
        letters = {self.batch: "i"} if self.batch else {}
        named = {part for part in derivation.parts if part is not self.loss}
        self.lower = Lowering(sizes, named, letters)  # type: ignore[arg-type]
        self.entries = Lowering(None, named, letters)  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------- sections

    def all(self) -> Presentation:
        """Every section."""
        narrator = Narrator(self.d, self.batch, self.write) if self.narrated else None
        work = (
            self.differential()
            if self.style == "differential"
            else narrator.lines()
            if narrator
            else tuple(self.link(number, link) for number, link in enumerate(links(self.d), 1))
        )
        sections = [
            Section("The loss", (self.loss_line(),)),
            Section("Name the parts", tuple(self.part_line(part) for part in self.d.parts if part is not self.loss)),
            Section(self.heading(), work),
        ]
        if self.style == "differential" or narrator:
            title = "The same, for all examples at once" if narrator else "The gradient"
            sections.append(Section(title, tuple(self.answer(name) for name in self.d.wrt)))
        sections.append(Section("One step down the slope, with learning rate η", (self.update(),)))
        certificate = str(self.d.certificate) if self.d.certificate is not None else "not checked"
        kept = tuple(section for section in sections if section.lines)
        return Presentation(self.view, self.style, kept, self.d.notes, certificate)

    @property
    def narrated(self) -> bool:
        """Whether the sample view can be told as the article tells it: one number for each example."""
        return self.view == "sample" and self.style == "partials" and tells(self.d, self.batch)

    def heading(self) -> str:
        """Work from C back to w and b."""
        *first, last = self.d.wrt
        if len(self.d.wrt) > 4:
            return f"Work from {self.d.names[self.loss]} back to the {len(self.d.wrt)} parameters"
        return f"Work from {self.d.names[self.loss]} back to {', '.join(first) + ' and ' if first else ''}{last}"

    def loss_line(self) -> Said:
        """C(w, b) = the loss, written out as far as it stays readable."""
        plain = Writer({})
        expr = self.loss
        count = sum(1 for _ in walk(expr))
        if count > 60:
            box = self.lowered_box(expr, self.write, opened=True)
        else:
            lower = Lowering(self.lower.sizes, set(), self.lower.letters)
            box = plain(lower(expr, ()))
        arguments: list[Box] = []
        for name in self.d.wrt[:4]:
            arguments += [Sym(", ", "operator"), self.write(self.d.parameters[name])]
        if len(self.d.wrt) > 4:
            arguments += [Sym(", ", "operator"), Sym("…", "operator")]
        left = row(self.write(self.loss), Fence("(", Row(tuple(arguments[1:])), ")"))
        return Said(left, (box,), rule=self.d.parts[self.loss].role if self.d.parts[self.loss].role != "loss" else "")

    def part_line(self, part: Expr) -> Said:
        """zᵢ = w·xᵢ + b, and what it is."""
        at = self.lower.indices(part)
        left = self.write(self.lower(part, at))
        inside = Lowering(self.lower.sizes, self.lower_named(part), self.lower.letters)
        return Said(left, (self.write.opened(inside(part, at)),), rule=self.d.parts[part].role, shape=shape_text(part.shape))

    def lower_named(self, part: Expr) -> set[Expr]:
        """The named parts but for `part` itself."""
        return {p for p in self.d.parts if p is not part and p is not self.loss}

    def lowered_box(self, expr: Expr, write: Writer, opened: bool = False) -> Box:
        """`expr` (a cotangent, say) in this view, its gradients of parts called ∂C/∂N."""
        lowered = self.lower(expr, self.lower.indices(expr))
        return write.opened(lowered) if opened else write(lowered)

    def partial(self, part: Expr, at: Sequence[str | None] | None = None) -> Box:
        """∂C/∂part."""
        inner = self.write(part) if at is None else self.write(self.lower(part, at))
        return Frac(row("∂", self.write(self.loss)), row("∂", inner))

    # ------------------------------------------------------------------------------------------- partials

    def link(self, number: int, link: Link) -> Said:
        """One line of the chain rule, with the steps that make it and its proof by indices."""
        at = self.lower.indices(link.part) if self.view != "matrix" else (None,) * link.part.rank
        forms = [self.write(self.lower(link.form, at))]
        if link.closed is not link.form:
            closed = self.write(self.lower(link.closed, at))
            if closed != forms[0]:
                forms.append(closed)
        rules = list(dict.fromkeys(step.rule for step in link.steps))
        kinks = [step.kink for step in link.steps if step.kink]
        last = link.steps[-1] if link.steps else None
        return Said(
            self.partial(link.part, at),
            tuple(forms),
            rule=" · ".join(rules),
            why=last.why if last else "",
            number=number,
            shape=shape_text(link.part.shape),
            kink=kinks[-1] if kinks else "",
            proof=self.proof(link),
            details=tuple(self.step(step, symbolic=True) for step in link.steps),
        )

    def proof(self, link: Link) -> tuple[Box, ...]:
        """The same line entry by entry: "but why the transpose?"."""
        if not any(source.rank for source in link.sources) and not link.part.rank:
            return ()
        said = []
        for source in link.sources:
            if source is not self.loss and source in self.d.parts:
                at = self.entries.indices(source)
                inside = Lowering(None, self.lower_named(source), self.entries.letters)
                left = self.write(self.entries(source, at))
                said.append(row(left, "=", self.write.opened(inside(source, at))))
        at = self.entries.indices(link.part)
        left = Frac(row("∂", self.write(self.loss)), row("∂", self.write(self.entries(link.part, at))))
        said.append(row(left, "=", self.write(self.entries(link.form, at))))
        return tuple(said)

    # ------------------------------------------------------------------------------------------- differential

    def differential(self) -> tuple[Said, ...]:
        """dC = ⟨G, dN⟩ + …: every line is the same number."""
        said = [Said(row("d", self.write(self.loss)), (self.terms(self.d.steps[0].before),), number=0)] if self.d.steps else []
        rest: dict[tuple[Expr, Expr], None] = dict.fromkeys(self.d.steps[0].before) if self.d.steps else {}
        for number, step in enumerate(self.d.steps, 1):
            for term in step.before:
                rest.pop(term, None)
            others = [term for term in rest if term[1] not in self.d.parameters.values()]
            done = len(rest) - len(others)
            box = self.terms((*step.after, *others[:2]), more=done > 0 or len(others) > 2)
            said.append(self.step(step, number=number, line=box))
            rest.update(dict.fromkeys(step.after))
        return tuple(said)

    def step(self, step: Step, number: int | None = None, line: Box | None = None, symbolic: bool = False) -> Said:
        """One step as a line, its small rewrites folded into it."""
        before = self.terms(step.before)
        return Said(
            before if line is None else None,
            (line if line is not None else self.terms(step.after),),
            rule=step.rule,
            why=step.why,
            number=number,
            kink=step.kink,
            details=tuple(
                Said(self.write.opened(self.named(r.before)), (self.write(self.named(r.after)),), rule=r.rule, why=r.why)
                for r in step.details
            ),
        )

    def terms(self, line: Line, more: bool = False) -> Box:
        """⟨G, dN⟩ + …; a product of numbers is written as one."""
        items: list[Box | str] = []
        for G, N in line:
            inner = row("d", fenced_name(self.write, N))
            box: Box
            if N.rank == 0:
                one = G.op.name == "number" and G.params[0] == 1
                box = inner if one else row(fenced(self.write.written(self.named(G)), SUM + 6), inner)
            else:
                G_box = self.write(self.named(G))
                box = Fence("⟨", row(G_box, Sym(", ", "operator"), inner), "⟩")
            items += ["+", box]
        if more:
            items += ["+", Sym("⋯", "operator")]
        return row(*items[1:]) if items else Sym("0", "number")

    def named(self, G: Expr) -> Expr:
        """`G` with named gradients as symbols."""
        return replace(G, self.shown) if self.shown else G

    # ------------------------------------------------------------------------------------------- the end

    def answer(self, name: str) -> Said:
        """∂C/∂w in matrix form, with its shape."""
        parameter, answer = self.d.parameters[name], self.d.answers[name]
        box = self.write(self.named(answer) if answer not in self.shown else replace(answer, {g: s for g, s in self.shown.items() if g is not answer}))
        return Said(self.partial(parameter), (box,), shape=f"{shape_text(parameter.shape)}, the shape of {name}" if parameter.rank else "a number")

    def update(self) -> Said:
        """w ← w − η ∂C/∂w."""
        items: list[Box | str] = []
        for name in self.d.wrt[:4]:
            p = self.write(self.d.parameters[name])
            items += [word("     "), row(p, "←", p, "−", Sym("η"), self.partial(self.d.parameters[name]))]
        if len(self.d.wrt) > 4:
            items += [word("     "), Sym("…", "operator")]
        return Said(None, (row(*items[1:]),))


def fenced_name(write: Writer, part: Expr) -> Box:
    """A part after d: dz, d(e²), d(X w)."""
    written = write.written(part)
    atom = part in write.names or not part.args
    return written.box if atom else Fence("(", written.box, ")")


