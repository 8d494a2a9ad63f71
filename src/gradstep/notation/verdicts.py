"""What is found out about a claim? The first wrong line, numbers that show it, the slip behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradstep.calculus.examples import Example
from gradstep.calculus.slips import Slip
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import upstairs
from gradstep.notation.claiming import Line
from gradstep.notation.telling import Telling
from gradstep.notation.truths import Truths


@dataclass(frozen=True, slots=True)
class Judged:
    """One line of a claim: its text, and whether it holds."""

    text: str
    subject: str
    verdict: bool | None
    method: str
    line: Line = field(repr=False)
    name_only: bool = False  # called like a gradient, but a name for something else


@dataclass(frozen=True, slots=True)
class Verdict:
    """What gradstep thinks of a claim.

    verdict     True, False, or None where no point could tell (never a pass)
    lines       every line that says something, with its own verdict
    first       the first line that is wrong, counted from 1
    slip        what probably went wrong there: a kind in a word, and a sentence
    example     small numbers at which both sides differ
    notes       what else should be known: right in the other layout, right except at kinks
    """

    verdict: bool | None
    lines: tuple[Judged, ...]
    first: int | None
    slip: Slip | None
    example: Example | None
    notes: tuple[str, ...]
    truths: Truths = field(repr=False)
    prime: int = 0
    seed: int = 0
    chance: float = 1.0
    function: str = ""  # the name of the function that was judged, if it was one
    kind: str = ""  # of the slip, in a word; "layout" and "kink" may go with a claim that is right

    def __bool__(self) -> bool:
        return self.verdict is True

    @property
    def derivation(self) -> Derivation:
        """The derivative as gradstep derives it."""
        return self.truths.derivation

    @property
    def why(self) -> str:
        """The slip as a sentence; empty where there is none, or none is known."""
        return Telling(self).slip()

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The verdict as it is told in a terminal."""
        return "\n".join(Telling(self).lines())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle: dict[str, str] = upstairs("_verdict")(self)
        return bundle

    def to_json(self) -> dict[str, Any]:
        """The verdict as data that JSON can hold."""
        example = self.example
        return {
            "format": "gradstep verdict",
            "version": 1,
            "verdict": self.verdict,
            "kind": self.kind or None,
            "first": self.first,
            "lines": [
                {"subject": line.subject, "text": line.text, "verdict": line.verdict, "method": line.method}
                for line in self.lines
            ],
            "slip": self.why or None,
            "example": None
            if example is None
            else {
                "values": {name: value.tolist() for name, value in example.values.items()},
                "right": example.worths[0].tolist(),
                "yours": example.worths[1].tolist(),
            },
            "notes": list(self.notes),
            "answers": {name: str(answer) for name, answer in self.derivation.answers.items()},
            "prime": self.prime,
            "seed": self.seed,
            "chance": self.chance,
        }
