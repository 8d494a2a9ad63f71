"""How is a derivation told? As sections of lines, in three views and two styles, before anyone renders them.

view   matrix (as code and papers have it), sample (example by example, as the article tells it), index
style  partials (∂C/∂z = …, the chain rule, named intermediate variables) or differential (dC = ⟨…⟩)

A presentation is boxes and sentences: a terminal, LaTeX, Markdown, JSON and the page only set it in type.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from gradstep.calculus.chains import Link, links
from gradstep.calculus.cotangents import cotangent, cotangent_op
from gradstep.calculus.laws import BOOK
from gradstep.calculus.layers import is_numbered
from gradstep.calculus.naming import measures
from gradstep.calculus.remarks import asked_besides
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation, Rewrite, Step
from gradstep.expression.boxes import Box, Fence, Frac, Of, Row, Sym, row
from gradstep.expression.errors import MathError, shallow
from gradstep.expression.late import late
from gradstep.expression.node import Expr, tree_size, walk
from gradstep.expression.records import replaced
from gradstep.expression.shapes import shape_text
from gradstep.notation import scalars
from gradstep.notation.axes import lowering, stacked_words
from gradstep.notation.batches import batch_size, tells
from gradstep.notation.checking import Claim, check
from gradstep.notation.differentials import Differentials
from gradstep.notation.evidence import with_evidence
from gradstep.notation.folding import LAYERS, TIME, folded
from gradstep.notation.indices import whole
from gradstep.notation.layering import Layers, alone, chosen
from gradstep.notation.legend import legend
from gradstep.notation.lowering import Lowering
from gradstep.notation.narrative import Narrator
from gradstep.notation.plain import line
from gradstep.notation.presentation import LAYOUTS, Behind, Presentation, Said, Section, Slope
from gradstep.notation.sizes import shapes
from gradstep.notation.wording import Wording, about, listed, numbered, what_it_is
from gradstep.notation.writing import Writer, check_length, lying
from gradstep.operations.arithmetic import multiply_op, negate_op, scale_op
from gradstep.operations.evaluation import mentioned, variables
from gradstep.operations.leaves import symbol, symbol_op
from gradstep.operations.permutations import matrix_transpose

if TYPE_CHECKING:
    from gradstep.notation import arrays
else:
    arrays = late("gradstep.notation.arrays")

VIEWS, STYLES = ("matrix", "sample", "index"), ("partials", "differential")
READABLE = 60  # a loss with more nodes than this is written in terms of its parts
WIDEST, SUMS = 90, 4  # and so is one with more letters than this, or with more sums
DESCENT = "One step down the slope, with learning rate η"
FEW = 4  # parameters that a sentence lists


@shallow
def present(
    derivation: Derivation,
    *,
    view: str = "matrix",
    style: str = "partials",
    batch: str | None = None,
    layout: str = "parameter",
    certify: bool = False,
    layers: Layers = "all",
    opened: bool = False,
) -> Presentation:
    """The derivation as sections of lines. Unknown views and styles are a `MathError`.

    `certify` adds the integers behind its certificate; `layers` says whether all layers of a deep network are
    told, one for all ("folded"), or only the one of this number; lines that are `opened` have the steps and
    the proof behind them. What is printed is worked out again, if the derivation was checked: a line that is
    not what it stands for is a `MathError`.
    """
    if view not in VIEWS:
        raise MathError(f"there is no view {view!r:.40}", facts=[f"the views are {', '.join(VIEWS)}"])
    if style not in STYLES:
        raise MathError(f"there is no style {style!r:.40}", facts=[f"the styles are {', '.join(STYLES)}"])
    if layout not in LAYOUTS:
        raise MathError(f"there is no layout {layout!r:.40}", facts=[f"the layouts are {', '.join(LAYOUTS)}"])
    layers = chosen(layers)
    check_length(derivation)
    telling = _Telling(derivation, view, style, batch, layout, claims=[])
    told = telling.all()
    letters = LAYERS if any(map(is_numbered, derivation.parameters)) else TIME
    told = folded(told, letters) if layers == "folded" else told if layers == "all" else alone(told, layers)
    told = told.each(Said.opened if opened else Said.closed)
    if derivation.certificate is not None:
        outcomes = check(derivation, telling.claims, derivation.certificate.seed)
        if "wrong" in outcomes:
            shown = telling.claims[outcomes.index("wrong")].shown
            raise MathError(
                "a line of this view failed its check, so it is not shown",
                facts=[line(telling.write(shown))],
                mend="another view, and reporting this loss to the authors of gradstep",
            )
        if count := outcomes.count("not checked"):
            left = f"{count} of the formulas printed here could not be worked out again"
            told = replaced(told, proof=f"{derivation.certificate}; {left}")
    return with_evidence(told, derivation, telling) if certify else told


class _Telling:
    """The work of one presentation."""

    def __init__(
        self,
        derivation: Derivation,
        view: str,
        style: str,
        batch: str | None,
        layout: str,
        claims: list[Claim],
    ) -> None:
        self.d, self.view, self.style = derivation, view, style
        self.batch_asked, self.layout, self.claims = batch, layout, claims
        self.loss = derivation.of
        here = {**mentioned(self.loss), **derivation.parameters}
        self.known = {name: v for name, v in variables(self.loss).items() if name in here}
        self.write = Writer(derivation.names)
        self.batch = batch_size(derivation, batch)
        self.shown = {G: cotangent(part, self.loss) for G, part in derivation.fences.items()}
        self.lower = lowering(derivation, view, self.batch, self.known)
        self.entries = self.lower.fully()
        self.pretty = {name: line(self.write(p)) for name, p in derivation.parameters.items()}
        self.wording = Wording(derivation, self.lowered, self.write)
        self.movers = about([*self.pretty.values()])
        self.details = Differentials(
            derivation, self.write, self.wording, self.shown, self.movers, self.lower, self.claims
        )
        self.is_long = sum(1 for _ in walk(self.loss)) > READABLE or tree_size(self.loss) > 10 * READABLE
        self.narrator = (
            Narrator(self.d, self.lower, self.write, self.wording, self.claims) if self.narrated else None
        )

    # ------------------------------------------------------------------------------------------- sections

    def all(self) -> Presentation:
        """Every section."""
        if self.style == "partials" and scalars.tells(self.d):
            story = scalars.Scalars(self.d, self.claims)
            sections = [*story.sections()]
            if measures(self.loss):
                sections.append(Section(DESCENT, self.update()))
            return self.presented(sections, story.count)
        parts = tuple(self.part(part) for part in self.d.parts if part is not self.loss)
        if self.d.kind != "gradient":
            return self.array(parts)
        by_terms = self.style == "differential" or not parts
        work = self.details.lines() if by_terms else self.narrator.lines() if self.narrator else self.links()
        sections = [
            Section("The loss", self.loss_lines()),
            Section("Name the parts", parts + self.loss_of(parts)),
        ]
        sections.append(Section(self.heading(), work))
        if by_terms or self.narrator:
            title = "The same, for all examples at once" if self.narrator else "The gradient"
            sections.append(Section(title, self.answers()))
        sections.append(Section("Along the independent entries", self.inside()))
        if self.layout == "numerator":
            sections.append(Section("In numerator layout", self.rows()))
        sections.append(Section(DESCENT, self.update()))
        shown = 0 if by_terms else sum(1 for said in work if said.number is not None)
        return self.presented(sections, shown)

    def array(self, parts: Sequence[Said]) -> Presentation:
        """A Jacobian, a Hessian or a product with a vector; for a Hessian the gradient comes first."""
        told = arrays.Arrays(self.d, self.style, self.layout, self.lower, self.d.names, self.claims)
        sections = [
            Section(
                "The loss" if self.d.base else "The function", self.loss_lines()[self.loss.op is symbol_op :]
            ),
            Section("Name the parts", (*parts, *(self.loss_of(parts) if self.d.base else ()))),
        ]
        if self.d.base is not None:
            base = _Telling(self.d.base, self.view, self.style, self.batch_asked, self.layout, self.claims)
            sections += [s for s in base.all().sections[1:] if s.title not in (DESCENT, "Name the parts")]
            told.count = max((said.number or 0 for s in sections for said in s.lines), default=0)
        sections += told.sections()
        return self.presented(sections, 0)

    def presented(self, sections: Sequence[Section], shown: int) -> Presentation:
        """The sections that say something, the signs they use, and how the `shown` lines were checked."""
        kept = tuple(section for section in sections if section.lines)
        every = [said for section in kept for said in section.lines]
        boxes = (box for said in every for box in (said.left, *said.forms) if box is not None)
        signs = legend(boxes, (said.why for said in every))
        certificate = self.d.certificate.told(shown) if self.d.certificate is not None else "not checked"
        notes = (*self.d.notes, *asked_besides(self.d), *([signs] if signs else []))
        return Presentation(self.view, self.style, kept, notes, certificate)

    @property
    def narrated(self) -> bool:
        """Whether the sample view can be told as the article tells it: one number for each example."""
        return self.view == "sample" and self.style == "partials" and tells(self.d, self.batch)

    def heading(self) -> str:
        """Work from C back to w and b."""
        loss, names = line(self.write(self.loss)), [*self.pretty.values()]
        many = f"the {len(names)} parameters"
        return f"Work from {loss} back to {listed(names) if len(names) <= FEW else many}"

    # ------------------------------------------------------------------------------------------- the loss

    def loss_lines(self) -> tuple[Said, ...]:
        """C(w, b) = the loss, written out as far as it stays readable; and what the letters are."""
        arguments: list[Box] = []
        for name in self.d.wrt[:FEW]:
            arguments += [Sym(", ", "operator"), self.write(self.d.parameters[name])]
        if len(self.d.wrt) > FEW:
            arguments += [Sym(", ", "operator"), Sym("…", "operator")]
        at = self.lower.indices(self.loss)
        whole = Sym(line(self.write(self.loss)), "function")
        call = self.write(self.lower.entry(self.loss, at)) if any(at) else whole
        left = row(call, Fence("(", Row(tuple(arguments[1:])), ")"))
        box = None
        if not self.is_long:
            box = self.loss_box(Writer({}), replaced(self.lower, named=()))
            self.is_long = len(line(box)) > WIDEST or line(box).count("Σ") > SUMS
            if self.is_long:
                self.claims.pop()
        if box is None or self.is_long:
            box = self.loss_box(self.write, self.lower.opening(self.loss))
        said = (
            Said(left, (box,), self.index_words() or self.function_words()),
            Said(None, (shapes(self.known.values(), self.ends, self.write),)),
        )
        return (*said, *map(self.recognised, self.d.recognised))

    def recognised(self, rewrite: Rewrite) -> Said:
        """1/(1 + exp(−z)) = σ(z): a function that the user wrote out."""
        read, at = rewrite.after, self.lower.indices(rewrite.after)
        shown = self.write.opened(self.lower.opening(read)(read, at))
        return Said(self.lowered(rewrite.before), (shown,), rewrite.rule, rewrite.why)

    def loss_box(self, write: Writer, lower: Lowering) -> Box:
        """The loss in this view, its sign in front."""
        at = self.lower.indices(self.loss)
        shown = lower(self.loss, at)
        if shown.op is scale_op or shown.op is multiply_op:
            front, rest = shown.args
            if rest.op is negate_op:
                shown = shown.op(simplify(-front, BOOK), rest.args[0])
        self.claims.append(Claim(shown, self.loss, at))
        return write.opened(shown)

    def index_words(self) -> str:
        """xᵢ is row i of X; i = 1 … N."""
        if self.loss.rank and self.view != "matrix":
            ranges = zip(self.lower.indices(self.loss), self.loss.shape, strict=True)
            return ", ".join(f"{letter} = 1 … {size}" for letter, size in ranges if letter)
        if stacks := stacked_words([*self.known.values(), *self.d.parts], self.lower, self.write):
            return stacks
        letter = self.lower.letters.get(self.batch) if self.batch is not None else None
        if letter is None or self.view == "matrix":
            return ""
        tables = [v for v in self.known.values() if v.rank == 2 and v.shape[0] == self.batch]
        if not tables or self.view == "index":
            return f"{letter} = 1 … {self.batch}"
        rows = [(line(self.lowered(v)), line(self.write(v))) for v in tables]
        (small, large), *others = rows
        return ", ".join(
            [f"{small} is row {letter} of {large}", *(f"{row} of {table}" for row, table in others)]
        )

    def function_words(self) -> str:
        """What a function is whose values are vectors."""
        if self.d.kind != "jacobian" or self.loss.rank != 1:
            return ""
        return f"a vector of functions: {line(self.write(self.loss))} has {self.loss.shape[0]} entries"

    @property
    def ends(self) -> set[Expr]:
        return set(self.d.parameters.values())

    def part(self, part: Expr) -> Said:
        """zᵢ = w·xᵢ + b, and what it is."""
        at = self.lower.indices(part)
        left = self.lower(part, at)
        opened = self.lower.opening(part)(part, at)
        self.claims.append(Claim(opened, part, at))
        role, shape = self.d.parts[part].role, self.shape_at(part, at)
        return Said(self.write(left), (self.write.opened(opened, part),), rule=role, shape=shape)

    def shape_at(self, part: Expr, at: Sequence[str | None]) -> str:
        """The shape of a part as it stands in this view, where that needs saying."""
        shape = self.lower(part, at).shape
        return shape_text(shape) if shape or self.view == "matrix" else ""

    def loss_of(self, parts: Sequence[Said]) -> tuple[Said, ...]:
        """C in terms of the parts."""
        if not parts or self.is_long:
            return ()
        box = self.loss_box(self.write, self.lower.opening(self.loss))
        role = what_it_is(self.loss, {part: named.role for part, named in self.d.parts.items()})
        return (Said(self.write(self.loss), (box,), rule=role, shape=self.shape_at(self.loss, ())),)

    # ------------------------------------------------------------------------------------------- partials

    def links(self) -> tuple[Said, ...]:
        """The chain rule from part to part."""
        found = links(self.d)
        self.numbers = {link.part: k for k, link in enumerate(found, 1)}
        laws = [
            step
            for step in self.d.steps
            if len(step.before) == 1 and all(part is step.place for _, part in step.after)
        ]
        return tuple(self.link(link, [step for step in laws if self.leads(link, step)]) for link in found)

    def leads(self, link: Link, step: Step) -> bool:
        """Whether a law was at work at the part of a link, or on the way to it at what has no name."""
        if step.place is link.part:
            return True
        return step.place not in self.d.parts and any(step.place is other.place for other in link.steps)

    def link(self, link: Link, laws: Sequence[Step]) -> Said:
        """One line of the chain rule, with the steps that make it and its proof by indices."""
        at = self.lower.indices(link.part)
        meant = self.d.cotangents[link.part]
        forms, because = [self.claimed(link.form, at, meant)], []
        rules = list(dict.fromkeys(step.rule for step in link.steps))
        several = self.several_ways(link)
        rules = ["total derivative", *rules] if several else rules
        if link.closed is not link.form:
            closed = self.claimed(link.closed, at, meant)
            if self.write(closed) != self.write(forms[0]):
                forms.append(closed)
                used = [self.numbers[source] for source in link.sources if source in self.numbers]
                reasons = [f"with {numbered(used)}"] if used else ["written out"]
                reasons += [f"{law.rule} ({law.why})" for law in laws if law.rule not in rules]
                because.append("; ".join(reasons))
        last = link.steps[-1] if link.steps else None
        return Said(
            self.partial(link.part, at),
            tuple(map(self.write, forms)),
            rule=", ".join(rules),
            why=several or (self.wording.reason(last, self.movers, link.part) if last else ""),
            number=self.numbers[link.part],
            shape=self.shape_at(link.part, at),
            kink="; ".join(dict.fromkeys(step.kink for step in link.steps if step.kink)),
            because=tuple(because),
            behind=lambda: self.behind(link),
        )

    def behind(self, link: Link) -> Behind:
        """The steps of a link, and why their rules are so."""
        steps = ((self.details.step(step), *self.details.grounds(step)) for step in link.steps)
        return Behind(self.proof(link), tuple(said for told in steps for said in told))

    def several_ways(self, link: Link) -> str:
        """x reaches C directly and through u: what is said of a parameter that enters in several places."""
        if link.part not in self.ends or len(link.sources) < 2:
            return ""
        names = [line(self.lowered(source)) for source in link.sources if source is not self.loss]
        names = names if len(names) <= FEW else [f"{names[0]}, {names[1]}, … {names[-1]}"]
        direct = "directly and " if self.loss in link.sources else ""
        whole = line(self.write(self.loss))
        return f"{line(self.write(link.part))} reaches {whole} {direct}through {listed(names)}"

    def proof(self, link: Link) -> tuple[Box, ...]:
        """The same line entry by entry: "but why the transpose?"."""
        if not any(source.rank for source in link.sources) and not link.part.rank:
            return ()
        said = []
        for source in link.sources:
            if source is not self.loss and source in self.d.parts:
                at = self.entries.indices(source)
                opened = self.entries.opening(source)(source, at)
                said.append(row(self.write(self.entries(source, at)), "=", self.write.opened(opened, source)))
        at = self.entries.indices(link.part)
        shown = self.entries(link.form, at)
        self.claims.append(Claim(shown, self.d.cotangents[link.part], at))
        return (*said, row(self.partial(link.part, at), "=", self.write(shown)))

    # ------------------------------------------------------------------------------------------- the end

    def answers(self) -> tuple[Said, ...]:
        """∂C/∂w in matrix form, with its shape; before it the gradients that it calls by name."""
        said = []
        for part in self.called():
            G, at = self.d.cotangents[part], self.at_the_end(part)
            box = self.write(self.claimed(self.details.opened(G), at, G))
            said.append(Said(self.partial(part, at), (box,), shape="" if any(at) else shape_text(part.shape)))
        for name in self.d.wrt:
            if name in self.d.structures:
                continue
            parameter, G = self.d.parameters[name], self.d.answers[name]
            at = self.at_the_end(parameter)
            shape = f"{shape_text(parameter.shape)}, the shape of {self.pretty[name]}"
            shown = self.details.opened(G) if G in self.shown else self.details.named(G)
            box = self.write(shown if self.narrated else self.claimed(shown, at, G))
            remark = "" if any(at) else shape if parameter.rank else "a number"
            behind = None if any(at) else partial(self.entry_of, parameter, shown, G)
            said.append(Said(self.partial(parameter, at), (box,), shape=remark, behind=behind))
        return tuple(said)

    def entry_of(self, part: Expr, shown: Expr, G: Expr) -> Behind:
        """∂C/∂wⱼ = …: an answer entry by entry."""
        at = self.entries.indices(part)
        entry = self.entries(shown, at)
        if self.write(entry) == self.write(shown):
            return Behind()
        self.claims.append(Claim(entry, G, at))
        return Behind((row(self.partial(self.entries(part, at)), "=", self.write(entry)),))

    def at_the_end(self, part: Expr) -> tuple[str | None, ...]:
        """The indices of an answer; none where the story ends with all examples at once."""
        return (None,) * part.rank if self.narrated else self.lower.indices(part)

    def inside(self) -> tuple[Said, ...]:
        """For parameters that move inside a structure: G as if they did not, and what becomes of it."""
        said = []
        taken = {*self.known, *self.d.names.values()}
        for name, inside in self.d.structures.items():
            parameter, answer, told = self.d.parameters[name], self.d.answers[name], inside.structure
            G = symbol(next(x for x in ("G", "H", "K", "G_0") if x not in taken), parameter.shape)
            apart = f"the gradient with respect to {self.pretty[name]} if all its entries were independent"
            said.append(Said(self.write(G), (self.write(self.details.named(inside.gradient)),), rule=apart))
            forms = (self.write(told.gradient(G)), self.write(self.details.named(answer)))
            shape = shape_text(parameter.shape)
            said.append(Said(self.partial(parameter), forms, rule=told.rule, why=told.why, shape=shape))
        return tuple(said)

    def rows(self) -> tuple[Said, ...]:
        """∂C/∂w as the row of slopes that the paper writes: the transpose of what has the shape of w."""
        said = []
        for name, parameter in self.d.parameters.items():
            if parameter.rank not in (1, 2):
                continue
            named = self.details.named(self.d.answers[name])
            turned = simplify(matrix_transpose(named), BOOK, self.lower.named)
            box = lying(named, self.write) if parameter.rank == 1 else self.write(turned)
            rule = "a row, an entry for each of " if parameter.rank == 1 else "the transpose of the shape of "
            said.append(Said(self.partial(parameter), (box,), rule=f"{rule}{self.pretty[name]}"))
        return tuple(said)

    def called(self) -> list[Expr]:
        """The parts whose gradients the answers call by name, directly or not, in order."""
        waiting = [*self.d.answers.values()]
        found: set[Expr] = set()
        while waiting:
            for node in walk(self.details.opened(waiting.pop()), stop=self.d.parts.__contains__):
                part = node.params[0] if node.op is cotangent_op else None
                if part is not None and part not in found and part not in self.ends:
                    found.add(part)
                    waiting.append(self.d.cotangents[part])
        return [part for part in self.d.cotangents if part in found]

    def update(self) -> tuple[Said, ...]:
        """w ← w − η ∂C/∂w."""
        if len(self.d.wrt) <= FEW:
            return tuple(Said(None, (self.moved(self.write(p)),)) for p in self.d.parameters.values())
        names = [*self.pretty.values()]
        return (
            Said(
                None, (self.moved(Sym("θ")),), rule=f"for each of {names[0]}, {names[1]}, … {names[-1]} as θ"
            ),
        )

    def moved(self, p: Box) -> Box:
        """p ← p − η ∂C/∂p."""
        return row(p, "←", p, "−", Sym("η"), Frac(row("∂", self.write(self.loss)), row("∂", p)))

    # ------------------------------------------------------------------------------------------- writing

    def lowered(self, expr: Expr) -> Box:
        """`expr` as it stands in this view."""
        return self.write(self.lower(expr, self.lower.indices(expr)))

    def claimed(self, expr: Expr, at: Sequence[str | None], meant: Expr) -> Expr:
        """`expr` as it will be printed: noted, so that it is worked out again."""
        shown = self.lower(expr, at)
        self.claims.append(Claim(shown, meant, tuple(at)))
        return shown

    def partial(self, part: Expr, at: Sequence[str | None] | None = None) -> Box:
        """∂C/∂part."""
        inner = self.write(part) if at is None else self.write(self.lower(part, at))
        return Of(Slope(self.loss, whole(part)), Frac(row("∂", self.write(self.loss)), row("∂", inner)))
