"""What is on the page? Sections of small parts, written as one HTML file that needs nothing else.

Plain strings are a person's words and are escaped; what is already HTML is said so with `Html`. Fields called
`mathml` (and `svg`) are markup of our own making and go in as they are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape, unescape
from importlib import resources
from itertools import zip_longest
from typing import Any

from gradstep.notation.aloud import aloud

FONT = "STIXTwoMath-subset.woff2"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


class Html(str):
    """Text that is HTML already: not escaped again. Only for markup whose every part is ours or escaped."""

    __slots__ = ()


@dataclass(frozen=True)
class Text:
    """Paragraphs."""

    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Formula:
    """Formulas on lines of their own, each with an optional remark at its side."""

    mathml: str | Sequence[str]
    caption: str = ""
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class StepView:
    """One line of a derivation: what it says, by which rule, and, when opened, why and with what proof.

    `left` is what stands before the equals sign, if the lines are to be aligned there; `mathml` is then the
    rest. `details` are further lines of words or `Html`, such as simplifications folded into this step. On a
    live page `key` says what the line is worth, an `entry` of it or all, and `copies` are the line in other
    languages, by name. `spoken` is the line in words, for those who listen.
    """

    number: str | int
    mathml: str
    rule: str
    why: str = ""
    proof: Sequence[str] = ()
    shape: str = ""
    details: Sequence[str] = ()
    left: str = ""
    checked: bool | None = None
    key: str = ""
    entry: bool = False
    copies: Sequence[tuple[str, str]] = ()
    spoken: str = ""


@dataclass(frozen=True)
class Steps:
    """A derivation, line by line; each line opens."""

    steps: Sequence[StepView]
    label: str = "Derivation"


@dataclass(frozen=True)
class Picture:
    """A picture with its caption; `narrow` is the same drawn for a phone."""

    svg: str
    caption: str = ""
    narrow: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells under their heads; the first cell of a row names it, and `strong` marks a row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    strong: int | None = None


@dataclass(frozen=True)
class Code:
    """The same program in one or more languages, as (language, source)."""

    tabs: Sequence[tuple[str, str]]
    label: str = "Code"


@dataclass(frozen=True)
class Verdict:
    """The proof in one line: ok is True (proved), False (wrong) or None (not checked)."""

    text: str
    ok: bool | None


@dataclass(frozen=True)
class Row:
    """Parts side by side where there is room, one below the other where there is not."""

    blocks: Sequence[Block]


@dataclass(frozen=True)
class Tools:
    """Controls of a live page; they show when its script runs."""

    html: Html


Block = Text | Formula | Steps | Picture | Table | Code | Verdict | Row | Tools


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole page: `html()` is a file that works by double click, offline.

    It reads well without a script. With a `script` it is alive: `model` is what the script reads, `bar` the
    controls that stay in sight, and `invitation` says what a reader can do.
    """

    title: str
    lead: str | Sequence[str] = ""
    sections: Sequence[Section] = ()
    footer: str = ""
    language: str = field(default="en", kw_only=True)
    script: str = ""
    model: str = ""
    bar: str = ""
    invitation: str = ""

    @property
    def policy(self) -> str:
        """What the page may load and run: nothing but what is in it."""
        return POLICY + _allowed(self.script)

    def html(self) -> str:
        """One self-contained HTML file."""
        named = _named(self.sections)
        lead = [self.lead] if isinstance(self.lead, str) else self.lead
        blanks = {
            "language": escape(self.language),
            "policy": self.policy,
            "title": escape(self.title),
            "style": _style(),
            "heading": _words(self.title),
            "lead": "".join(_element("p", p, "lead") for p in lead)
            + _element("p", self.invitation, "lead live"),
            "links": "".join(f'<li><a href="#{i}">{_words(s.heading)}</a></li>' for i, s in named),
            "body": fragment(self.sections),
            "footer": _element("p", self.footer),
            "credit": CREDIT if font() else "",
            "bar": self.bar,
            "script": self._scripts(),
        }
        return re.sub(r"\{(\w+)\}", lambda blank: blanks[blank[1]], TEMPLATE)

    def _scripts(self) -> str:
        if not self.script:
            return ""
        model = f'<script type="application/json" id="gs-model">{self.model}</script>'
        return f'{model}\n<script type="module">{self.script}</script>\n'


def fragment(sections: Sequence[Section]) -> str:
    """Sections as a part of another page."""
    return "\n".join(_section(section, ident) for ident, section in _named(sections))


def _allowed(script: str) -> str:
    """The policy for the one script of the page: by its hash, so that no other can run."""
    if not script:
        return ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"; script-src 'sha256-{digest}'"


CREDIT = "Mathematics is set in STIX Two Math (SIL Open Font License 1.1)."
TEMPLATE = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="gradstep">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>{heading}</h1>
{lead}
<nav aria-label="On this page"><ol>{links}</ol></nav>
</header>
<main id="main" tabindex="-1">
{body}
</main>
<footer>
{footer}
<p>Made with gradstep. This file is complete: it needs no network and loads nothing. {credit}</p>
</footer>
{bar}
{script}</body>
</html>
"""


def _words(text: str) -> str:
    return text if isinstance(text, Html) else escape(text, quote=False)


def _element(name: str, words: str, kind: str = "", **attributes: str) -> str:
    """An element with words in it, or nothing where there are none."""
    said = ({"class": kind} if kind else {}) | attributes
    opening = name + "".join(f' {key}="{escape(value)}"' for key, value in said.items())
    return f"<{opening}>{_words(words)}</{name}>" if words else ""


def _named(sections: Sequence[Section]) -> list[tuple[str, Section]]:
    return list(zip(_idents([s.heading for s in sections]), sections, strict=True))


def _idents(headings: Sequence[str]) -> list[str]:
    """Short unique names for links to headings."""
    names: list[str] = []
    for heading in headings:
        plain = re.sub(r"<[^>]*>", "", heading) if isinstance(heading, Html) else heading
        name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "section"
        names.append(name if name not in names and name != "main" else f"{name}-{len(names) + 1}")
    return names


@cache
def font() -> str:
    """The bundled mathematics font as base64, or nothing where it is not installed."""
    file = resources.files("gradstep.page") / "fonts" / FONT
    return base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""


@cache
def sheet() -> str:
    """How everything looks, but for the font."""
    written = (resources.files("gradstep.page") / "page.css").read_text("utf-8")
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", written, flags=re.DOTALL)).strip()


def _style() -> str:
    face = f'url(data:font/woff2;base64,{font()}) format("woff2")'
    rule = f'@font-face{{font-family:"STIX Two Math";src:{face};font-display:block}}\n' if font() else ""
    return rule + sheet()


# Each kind of part, and how it is written


def _section(section: Section, ident: str) -> str:
    heading = _element("h2", section.heading, id=f"{ident}-heading")
    opening = f'<section id="{ident}" aria-labelledby="{ident}-heading">'
    return f"{opening}\n{heading}\n{_blocks(section, ident)}\n</section>"


def _blocks(part: Section | Row, ident: str) -> str:
    return "\n".join(WRITERS[type(block)](block, f"{ident}--{k}") for k, block in enumerate(part.blocks, 1))


def _text(block: Text, ident: str) -> str:
    return "\n".join(_element("p", p) for p in block.paragraphs)


def _formula(block: Formula, ident: str) -> str:
    lines = [block.mathml] if isinstance(block.mathml, str) else block.mathml
    rows = "".join(
        f'<div class="formula-line"><div class="math">{line}</div>{_element("div", remark, "remark")}</div>'
        for line, remark in zip_longest(lines, block.remarks, fillvalue="")
    )
    return f'<figure class="formula" id="{ident}">{rows}{_element("figcaption", block.caption)}</figure>'


def _steps(block: Steps, ident: str) -> str:
    room = max((_width(step.left) for step in block.steps), default=0)
    style = f"--left:{room:.1f}em"
    lines = "\n".join(_step(step, f"{ident}-{k}", room > 0) for k, step in enumerate(block.steps, 1))
    return (
        f'<ol class="steps" id="{ident}" aria-label="{escape(block.label)}" style="{style}">\n{lines}\n</ol>'
    )


SHORT = 72  # letters of a reason that is seen before its line is opened
MARKS: Mapping[bool | None, str] = {
    True: ' <span class="mark" title="certified">✓</span>',
    False: ' <span class="mark wrong" title="wrong">✗</span>',
    None: "",
}


def _step(step: StepView, ident: str, aligned: bool) -> str:
    hint = f' title="{escape(f"shape: {step.shape}")}"' if step.shape else ""
    left = f'<span class="left">{step.left}</span>' if aligned else ""
    proof = "".join(f'<div class="math">{line}</div>' for line in step.proof)
    folded = "".join(_element("li", line) for line in step.details)
    said = _element("span", _sentence(step), "spoken")
    because = _element("span", step.why, "because") if len(step.why) <= SHORT else ""
    silent = ' aria-hidden="true"' if step.spoken else ""
    data = f'data-number="{escape(str(step.number))}" data-rule="{escape(step.rule)}"'
    return (
        f'<li class="step" id="{ident}" {data}><details><summary>{said}'
        f'<span class="number"{silent}>{_words(str(step.number))}</span>'
        f'<span class="line"{hint}{silent}>{left}<span class="right">{step.mathml}</span></span>'
        f'<span class="rule"{silent}>{_words(step.rule)}{MARKS[step.checked]}{because}</span>'
        f"{_worth(step)}</summary>"
        f'<div class="inside">{_element("p", _heard(step.why), "why")}'
        + (f'<div class="proof"><h3>Proof</h3>{proof}</div>' if proof else "")
        + (f'<ul class="folded">{folded}</ul>' if folded else "")
        + (f'<p class="shape">shape: {_words(step.shape)}</p>' if step.shape else "")
        + _copied(step)
        + "</div></details></li>"
    )


def _sentence(step: StepView) -> str:
    """A line as it is read aloud: its number, what it says, the rule and the reason."""
    said = f"Line {step.number}: {step.spoken}" if step.number != "" else step.spoken
    rule = ": ".join(part for part in (step.rule, step.why) if part)
    return ". ".join(part for part in (said, aloud(rule)) if part) + "." if step.spoken else ""


def _heard(words: str) -> str:
    """Words with signs in them, and beside them the same for those who listen."""
    said = words if isinstance(words, Html) else aloud(words)
    if said == words:
        return words
    return Html(f'<span aria-hidden="true">{_words(words)}</span>{_element("span", said, "spoken")}')


def _worth(step: StepView) -> str:
    """Where a live page puts what the line is worth."""
    entry = " data-entry" if step.entry else ""
    return f'<span class="worth live" data-worth="{escape(step.key)}"{entry}></span>' if step.key else ""


def _copied(step: StepView) -> str:
    """Buttons that copy the line in some language."""
    buttons = "".join(
        f'<button type="button" data-copy="{escape(text)}">{_words(language)}</button>'
        for language, text in step.copies
    )
    return f'<p class="copies live">Copy as {buttons}</p>' if buttons else ""


def _width(mathml: str) -> float:
    """About how many ems a formula takes: its letters, of a fraction the half of them."""

    def letters(markup: str) -> int:
        return len(unescape(re.sub(r"<[^>]*>|\s", "", markup)))

    fractions = re.findall(r"<mfrac.*?</mfrac>", mathml, re.DOTALL)
    count = letters(mathml) - sum(letters(fraction) / 2 for fraction in fractions)
    return 0.66 * count + 0.4 + 0.25 * len(fractions) if mathml else 0


def _picture(block: Picture, ident: str) -> str:
    both = [("wide", block.svg), ("narrow", block.narrow)] if block.narrow else [("any", block.svg)]
    drawn = "".join(f'<div class="{width}">{svg}</div>' for width, svg in both)
    return f'<figure class="picture" id="{ident}">{drawn}{_element("figcaption", block.caption)}</figure>'


def _table(block: Table, ident: str) -> str:
    head = "".join(f'<th scope="col">{_words(cell)}</th>' for cell in block.head)
    rows = "".join(
        f'<tr class="{"strong" if k == block.strong else "plain"}"><th scope="row">{_words(name)}</th>'
        + "".join(f"<td>{_words(cell)}</td>" for cell in cells)
        + "</tr>"
        for k, (name, *cells) in enumerate(block.rows)
    )
    table = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="table" id="{ident}"><table>{_element("caption", block.caption)}{table}</table></div>'


COMMENTS = {"JavaScript": "//", "C": "//", "LaTeX": "%"}


def _code(block: Code, ident: str) -> str:
    """Tabs that need no script: radio buttons, each of which shows the source after it."""
    parts = []
    for k, (language, source) in enumerate(block.tabs):
        comment = re.escape(COMMENTS.get(language, "#"))
        text = re.sub(rf"(?m)(^|\s)({comment}.*)$", r"\1<i>\2</i>", escape(source.rstrip(), quote=False))
        name = f"{ident}-{k}"
        parts.append(
            f'<input type="radio" name="{ident}" id="{name}"{"" if k else " checked"}>'
            f'<label for="{name}">{_words(language)}</label>'
            f'<pre tabindex="0" data-language="{escape(language)}"><code>{text}</code></pre>'
        )
    label = f'role="group" aria-label="{escape(block.label)}"'
    return f'<div class="code" id="{ident}" {label}>{"".join(parts)}</div>'


VERDICTS = {True: ("proved", "✓"), False: ("wrong", "✗"), None: ("open", "○")}


def _verdict(block: Verdict, ident: str) -> str:
    name, mark = VERDICTS[block.ok]
    words = f'<span aria-hidden="true">{mark}</span> <span>{_words(block.text)}</span>'
    return f'<p class="verdict {name}" id="{ident}">{words}</p>'


def _row(block: Row, ident: str) -> str:
    return f'<div class="row" id="{ident}">{_blocks(block, ident)}</div>'


def _tools(block: Tools, ident: str) -> str:
    return f'<div class="tools live" id="{ident}">{block.html}</div>'


WRITERS: Mapping[type[Any], Callable[[Any, str], str]] = {
    Text: _text,
    Formula: _formula,
    Steps: _steps,
    Picture: _picture,
    Table: _table,
    Code: _code,
    Verdict: _verdict,
    Row: _row,
    Tools: _tools,
}
