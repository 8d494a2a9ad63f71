"""What is a derivation made of? Lines of inner products, and the steps between them.

The differential of the loss is a sum of terms ⟨G, dN⟩ = Σ G ⊙ dN: N is a part that is still to be opened and
G is ∂C/∂N. A step replaces some terms by others that are worth the same: every line is the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gradstep.expression.node import Expr, upstairs
from gradstep.expression.records import record

if TYPE_CHECKING:
    from gradstep.calculus.naming import Part
    from gradstep.calculus.structures import Inside
    from gradstep.calculus.tape import Tape
    from gradstep.calculus.verdicts import Certificate

Term = tuple[Expr, Expr]  # (G, N): the inner product ⟨G, dN⟩; G has the shape of N
Line = tuple[Term, ...]
Kind = Literal["gradient", "jacobian", "hessian", "jvp", "hvp"]


@record
class Rewrite:
    """One law applied once: `before` became `after`, both parts of a cotangent. Equal as they stand."""

    rule: str
    why: str
    before: Expr
    after: Expr


@record
class Step:
    """One line became the next: by which rule, why it holds, and where.

    `place` is the part that was opened, or the part whose cotangent a law rewrote. `before` are the terms
    that the step replaced and `after` what stands there now; the rest of the line is unchanged. `details`
    are the small rewrites folded into the step; `kink` says what is taken where there is no slope.
    """

    rule: str
    why: str
    place: Expr
    before: Line
    after: Line
    details: tuple[Rewrite, ...] = ()
    kink: str = ""


@record
class Change:
    """How one part moves when the parts that it is made of move.

    part      what moves
    by        the parts and variables that it is made of directly and that move
    markers   for each of them the symbol of its change, d N
    form      d part, linear in the markers; None where it stands still
    rules     the rules that open the part, outermost first, each with its reason
    kink      what is taken where there is no slope
    details   the small rewrites inside
    places    the operations that were opened, outermost first, each with those operands of it that move
    """

    part: Expr
    by: tuple[Expr, ...]
    markers: tuple[Expr, ...]
    form: Expr | None
    rules: tuple[tuple[str, str], ...] = ()
    kink: str = ""
    details: tuple[Rewrite, ...] = ()
    places: tuple[tuple[Expr, tuple[Expr, ...]], ...] = ()


@dataclass(slots=True, repr=False)
class Derivation:
    """The derivative of `of` with respect to the variables `wrt`, worked out line by line.

    kind         "gradient"; "jacobian" (∂f/∂x: the axes of f, then those of x), "hessian" (the axes of the
                 parameter twice), "jvp" (∂f/∂x v) or "hvp" (∂²C/∂w² v)
    of           the loss, an expression of shape (); for a Jacobian any expression
    wrt          names of the parameters, in the order asked for
    parameters   the variables themselves, by name
    steps        from ⟨1, dC⟩ to one term ⟨∂C/∂w, dw⟩ for each parameter
    answers      the gradient for each parameter, in the parameter's own shape
    cotangents   ∂C/∂N for every part N that was opened, and for the parameters
    fences       cotangents that are called by name, ∂C/∂N, and the part N each belongs to
    parts        names of parts (z, a, e …) and what they are, the user's own or chosen; a view and a fence
    changes      for a Jacobian and what is made of one: how each part moves, forward
    together     the same for what is asked for, in terms of the variables alone
    base         for a Hessian: the derivation of the gradient
    directions   for a product with a vector: the direction of each parameter, a variable of its shape
    structures   for parameters that move inside a structure only: which, and their gradient without it
    assumptions  what the user told about variables, in words, by name
    recognised   functions that the loss spelled out, 1/(1 + exp(−z)), and that `of` has by name
    certificate  how every line was checked
    """

    of: Expr
    wrt: tuple[str, ...]
    parameters: Mapping[str, Expr]
    steps: tuple[Step, ...]
    answers: Mapping[str, Expr]
    cotangents: Mapping[Expr, Expr]
    fences: Mapping[Expr, Expr]
    parts: Mapping[Expr, Part]
    assumptions: Mapping[str, str]
    notes: tuple[str, ...] = ()
    structures: Mapping[str, Inside] = field(default_factory=dict)
    recognised: tuple[Rewrite, ...] = ()
    kind: Kind = "gradient"
    changes: tuple[Change, ...] = ()
    together: tuple[Change, ...] = ()
    base: Derivation | None = None
    directions: Mapping[str, Expr] = field(default_factory=dict)
    certificate: Certificate | None = field(default=None)

    @property
    def names(self) -> dict[Expr, str]:
        """The short name of each named part."""
        return {node: part.name for node, part in self.parts.items()}

    def lines(self) -> list[Line]:
        """The lines of the derivation, each a sum of terms worth the same number; one more than the steps."""
        from_one: list[Line] = []
        line: dict[int, Term] = {}
        order = 0
        for step in self.steps:
            if not from_one:
                line = {k: term for k, term in enumerate(step.before)}
                order = len(line)
                from_one.append(tuple(line.values()))
            gone = list(step.before)
            for key, term in list(line.items()):
                if term in gone:
                    gone.remove(term)
                    del line[key]
            for term in step.after:
                line[order] = term
                order += 1
            from_one.append(tuple(line.values()))
        return from_one

    @property
    def tape(self) -> Tape:
        """The forward values that the gradients read, their sizes, and what can be worked out again.

        `print(d.tape)`; a derivation of anything but a gradient has none (`MathError`).
        """
        found: Tape = upstairs("_tape_of")(self)
        return found

    # ------------------------------------------------------------------------------------------- shown

    def __repr__(self) -> str:
        """One line; `text` is the whole."""
        names = ", ".join(self.wrt[:3]) + (", …" if len(self.wrt) > 3 else "")
        return f"<{self.kind} with respect to {names}, {len(self.steps)} steps: print(d.text()) shows them>"

    def text(
        self,
        view: str = "matrix",
        style: str = "partials",
        *,
        width: int = 100,
        batch: str | None = None,
        layout: str = "parameter",
        certify: bool = False,
        opened: bool = False,
        layers: str | int | None = None,
    ) -> str:
        """The derivation as plain text, no line wider than `width`.

        `view` is "matrix", "sample" (example by example) or "index"; `style` is "partials" (∂C/∂z …, the
        chain rule) or "differential" (dC = ⟨…⟩). `batch` names the axis of examples where several could be
        it; `opened` shows the proof of each line too. `layout` says how derivatives stand: "parameter" (a
        gradient in the shape of its parameter, a Jacobian in numerator layout), "numerator" (gradients are
        rows, a Jacobian has a row for each entry of f) or "denominator" (the transposes of these). `certify`
        adds the integers by which every line was checked. `layers` says which layers, or steps in time, of a
        deep network are told: one for all of them ("folded"), "all", which is so where lines are opened, or
        the one of this number.
        """
        return str(
            upstairs("_text")(
                self,
                view,
                style,
                width=width,
                batch=batch,
                layout=layout,
                certify=certify,
                opened=opened,
                layers=layers,
            )
        )

    def latex(
        self,
        view: str = "matrix",
        style: str = "partials",
        *,
        batch: str | None = None,
        layout: str = "parameter",
        certify: bool = False,
        opened: bool = False,
        layers: str | int | None = None,
    ) -> str:
        """The derivation as LaTeX (amsmath, amssymb), for a paper. `opened` and `layers` as in `text`."""
        return str(
            upstairs("_latex")(
                self,
                view,
                style,
                batch=batch,
                layout=layout,
                certify=certify,
                opened=opened,
                layers=layers,
            )
        )

    def markdown(
        self,
        view: str = "matrix",
        style: str = "partials",
        *,
        batch: str | None = None,
        layout: str = "parameter",
        certify: bool = False,
        opened: bool = True,
        layers: str | int | None = None,
    ) -> str:
        """The derivation as Markdown with formulas in $$; below each section what its lines open to."""
        return str(
            upstairs("_markdown")(
                self,
                view,
                style,
                batch=batch,
                layout=layout,
                certify=certify,
                opened=opened,
                layers=layers,
            )
        )

    def html(
        self,
        view: str = "sample",
        style: str = "partials",
        *,
        batch: str | None = None,
        layout: str = "parameter",
        certify: bool = False,
    ) -> str:
        """The derivation as one HTML file that works offline, by double click.

        The page of a gradient trains itself, on data that are made up and said to be.
        """
        return str(
            upstairs("_html")(self, view=view, style=style, batch=batch, layout=layout, certify=certify)
        )

    def to_json(
        self,
        view: str = "matrix",
        style: str = "partials",
        *,
        batch: str | None = None,
        layout: str = "parameter",
        certify: bool = False,
        layers: str | int | None = None,
    ) -> dict[str, Any]:
        """The derivation as data that JSON can hold: the formula as a graph, steps, answers, certificate.

        All layers of a deep network are told, unless `layers` says otherwise.
        """
        data: dict[str, Any] = upstairs("_json")(
            self, view, style, batch=batch, layout=layout, certify=certify, layers=layers
        )
        return data

    def __str__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What Jupyter shows: plain text, Markdown and LaTeX."""
        bundle: dict[str, str] = upstairs("_bundle")(self)
        return bundle
