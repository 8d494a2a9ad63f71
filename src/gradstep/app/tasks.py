"""What does the local app have done? Derive, check, write as code, read a table, train: a line of JSON each.

This runs as a process of its own (`process.py`): a question comes in as a line, and its answer goes out as a
line, after others that tell how far it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gradstep.app.questions import EXAMPLE, Formula, Question, question_of
from gradstep.app.work import as_data
from gradstep.calculus.steps import Derivation
from gradstep.checks import check
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.notation.batches import batch_size, tells
from gradstep.notation.views import present
from gradstep.page import derivations
from gradstep.page import derived as pages
from gradstep.page.document import fragment
from gradstep.public import derive
from gradstep.running import compile

if TYPE_CHECKING:
    from gradstep.app import training
else:
    training = late("gradstep.app.training")

Tell: TypeAlias = Callable[[Mapping[str, Any]], None]
Answer: TypeAlias = dict[str, Any]

STYLE = re.compile(r' style="')
LANGUAGES = {
    "numpy": "py",
    "torch": "py",
    "jax": "py",
    "javascript": "mjs",
    "c": "c",
    "latex": "tex",
    "page": "html",
}


def derived(asked: Question, tell: Tell) -> Answer:
    """The derivation as a part of the app's page; with `proofs` its lines open to their proofs."""
    formula = Formula(asked)
    try:
        derivation = derive(*formula.read())
        told = present(
            derivation, view=_view(asked, derivation), layers="folded", opened=asked.flag("proofs")
        )
    except MathError as error:
        return {"variables": formula.variables, "error": as_data(error)}
    sections = derivations.told_sections(told, derivation).values()
    return {
        "variables": formula.variables,
        # The policy of the page allows no style in the markup; its script puts it there.
        "html": STYLE.sub(' data-style="', fragment(list(sections))),
        "proved": derivation.certificate is not None and derivation.certificate.verdict,
    }


def _view(asked: Question, derivation: Derivation) -> str:
    view = asked.word("view", "auto")
    return view if view != "auto" else "sample" if tells(derivation, batch_size(derivation)) else "matrix"


def checked(asked: Question, tell: Tell) -> Answer:
    """What gradstep thinks of the user's own derivation."""
    loss, parameters = Formula(asked).read()
    claim = asked.text("claim")
    if not claim.strip():
        raise MathError("there is nothing to check yet", mend="a line such as  dw = 2/N * X.T @ (a - y)")
    verdict = check(loss, parameters, claim)
    data = verdict.to_json()
    told = {key: data[key] for key in ("verdict", "first", "lines", "slip", "notes")}
    return {**told, "text": verdict.text()}


def coded(asked: Question, tell: Tell) -> Answer:
    """The gradient as a file to take away: a program, LaTeX, or a page."""
    language = asked.one_of("to", LANGUAGES)
    derivation = derive(*Formula(asked).read())
    if language == "latex":
        source = derivation.latex()
    elif language == "page":
        codes = {"NumPy": compile(derivation).source}
        source = pages.html(derivation, view=_view(asked, derivation), codes=codes)
    else:
        source = compile(derivation, language).source
    return {"source": source, "name": f"gradient.{LANGUAGES[language]}"}


TASKS: Mapping[str, Callable[[Question, Tell], Answer]] = {
    "derive": derived,
    "check": checked,
    "code": coded,
    "table": lambda asked, tell: training.tabled(asked, tell),
    "train": lambda asked, tell: training.trained(asked, tell),
}


def main() -> None:
    """Answer questions until there are no more."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever is printed is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it stops what is being trained, and nothing else
    with contextlib.suppress(OSError):  # where memory runs out this process ends, and not the server
        Path("/proc/self/oom_score_adj").write_text("1000")

    def reply(said: Mapping[str, Any]) -> None:
        replies.write(json.dumps(said) + "\n")
        replies.flush()

    _answered({"task": "derive", "asked": {"formula": EXAMPLE}}, lambda told: None)  # loads what it needs
    for line in sys.stdin:
        reply(_answered(json.loads(line), lambda told: reply({"told": told})))


def _answered(question: Mapping[str, Any], tell: Tell) -> Answer:
    try:
        return TASKS[question["task"]](question_of(question["asked"]), tell)
    except MathError as error:
        return {"error": as_data(error)}
    except KeyboardInterrupt:
        return {"stopped": True}
    except (MemoryError, RecursionError):
        return {"error": as_data(MathError("this is too large for this machine", mend="something smaller"))}
    except Exception as fault:
        traceback.print_exc()
        words = f"gradstep itself failed: {type(fault).__name__}"
        return {
            "error": as_data(MathError(words, mend="a report of what you did: this is a fault of gradstep"))
        }
