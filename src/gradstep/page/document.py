"""What is on the page? Sections of small parts, written as one HTML file that needs nothing else.

Plain strings are a person's words and are escaped; what is already HTML is said so with `Html`. Fields called
`mathml` (and `svg`) are markup of our own making and go in as they are.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib import resources
from typing import Any

FONT = "STIXTwoMath-subset.woff2"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:; base-uri 'none'; form-action 'none'"


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
    rest. `details` are further lines of words or `Html`, such as simplifications folded into this step.
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


Block = Text | Formula | Steps | Picture | Table | Code | Verdict | Row


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole page: `html()` is a file that works by double click, offline, without a script."""

    title: str
    lead: str | Sequence[str] = ""
    sections: Sequence[Section] = ()
    footer: str = ""
    language: str = field(default="en", kw_only=True)

    def html(self) -> str:
        """One self-contained HTML file."""
        idents = _idents([section.heading for section in self.sections])
        links = "".join(
            f'<li><a href="#{ident}">{_words(section.heading)}</a></li>'
            for section, ident in zip(self.sections, idents, strict=True)
        )
        body = "\n".join(
            f'<section id="{ident}" aria-labelledby="{ident}-heading">\n<h2 id="{ident}-heading">{_words(section.heading)}</h2>\n'
            + "\n".join(_block(block, f"{ident}-{k}") for k, block in enumerate(section.blocks))
            + "\n</section>"
            for section, ident in zip(self.sections, idents, strict=True)
        )
        lead = [self.lead] if isinstance(self.lead, str) else self.lead
        return f"""<!DOCTYPE html>
<html lang="{escape(self.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="gradstep">
<title>{escape(self.title)}</title>
<link rel="icon" href="data:,">
<style>
{_style()}
</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>{_words(self.title)}</h1>
{"".join(f'<p class="lead">{_words(p)}</p>' for p in lead if p)}
<nav aria-label="On this page"><ol>{links}</ol></nav>
</header>
<main id="main" tabindex="-1">
{body}
</main>
<footer>
{f"<p>{_words(self.footer)}</p>" if self.footer else ""}
<p>Made with gradstep. This file is complete: it needs no network and loads nothing. {_credit()}</p>
</footer>
</body>
</html>
"""


def _words(text: str) -> str:
    return text if isinstance(text, Html) else escape(text, quote=False)


def _idents(headings: Sequence[str]) -> list[str]:
    """Short unique names for links to headings."""
    names: list[str] = []
    for heading in headings:
        plain = re.sub(r"<[^>]*>", "", heading) if isinstance(heading, Html) else heading
        name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "section"
        names.append(name if name not in names else f"{name}-{len(names)}")
    return names


@cache
def _font() -> str:
    """The bundled mathematics font as base64, or nothing where it is not installed."""
    file = resources.files("gradstep.page") / "fonts" / FONT
    return base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""


@cache
def _style() -> str:
    sheet = (resources.files("gradstep.page") / "page.css").read_text("utf-8")
    face = (
        f'@font-face{{font-family:"STIX Two Math";src:url(data:font/woff2;base64,{_font()}) format("woff2");font-display:block}}\n'
        if _font()
        else ""
    )
    return face + re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)).strip()


def _credit() -> str:
    return "Mathematics is set in STIX Two Math (SIL Open Font License 1.1)." if _font() else ""


# Each kind of part, and how it is written


def _block(block: Block, ident: str) -> str:
    return WRITERS[type(block)](block, ident)


def _text(block: Text, ident: str) -> str:
    return "\n".join(f"<p>{_words(p)}</p>" for p in block.paragraphs)


def _formula(block: Formula, ident: str) -> str:
    lines = [block.mathml] if isinstance(block.mathml, str) else block.mathml
    remarks = [*block.remarks, *[""] * (len(lines) - len(block.remarks))]
    rows = "".join(
        f'<div class="formula-line"><div class="math" tabindex="0" role="group">{line}</div>'
        + (f'<div class="remark">{_words(remark)}</div>' if remark else "")
        + "</div>"
        for line, remark in zip(lines, remarks, strict=True)
    )
    return f'<figure class="formula" id="{ident}">{rows}{_caption(block.caption)}</figure>'


def _steps(block: Steps, ident: str) -> str:
    room = max((_width(step.left) for step in block.steps), default=0)
    lines = "\n".join(_step(step, f"{ident}-{k}") for k, step in enumerate(block.steps, 1))
    return f'<ol class="steps" id="{ident}" aria-label="{escape(block.label)}" style="--left:{room:.1f}em">\n{lines}\n</ol>'


def _step(step: StepView, ident: str) -> str:
    shape = f' title="{escape(f"shape: {step.shape}")}"' if step.shape else ""
    left = f'<span class="left">{step.left}</span>' if step.left else ""
    marks = {
        True: ' <span class="mark" title="certified">✓</span>',
        False: ' <span class="mark wrong" title="wrong">✗</span>',
        None: "",
    }
    parts = [
        f'<p class="why">{_words(step.why)}</p>' if step.why else "",
        f'<div class="proof"><h3>Proof</h3>{"".join(f"<div class=proof-line>{line}</div>" for line in step.proof)}</div>'
        if step.proof
        else "",
        f'<ul class="folded">{"".join(f"<li>{_words(line)}</li>" for line in step.details)}</ul>'
        if step.details
        else "",
        f'<p class="shape">shape: {_words(step.shape)}</p>' if step.shape else "",
    ]
    summary = (
        f'<span class="number">{_words(str(step.number))}</span>'
        f'<span class="line"{shape}>{left}<span class="right">{step.mathml}</span></span>'
        f'<span class="rule">{_words(step.rule)}{marks[step.checked]}</span>'
    )
    return (
        f'<li id="{ident}" class="step" data-number="{escape(str(step.number))}" data-rule="{escape(step.rule)}">'
        f'<details><summary>{summary}</summary><div class="inside">{"".join(parts)}</div></details></li>'
    )


def _width(mathml: str) -> float:
    """About how many ems a formula takes: the wider half of each fraction, then its letters."""
    fraction = r"<mfrac[^>]*>((?:(?!<mfrac).)*?)</mfrac>"
    letters = len(re.sub(r"<[^>]*>|\s", "", re.sub(fraction, "", mathml, flags=re.DOTALL)))
    halves = [len(re.sub(r"<[^>]*>|\s", "", inner)) / 2 for inner in re.findall(fraction, mathml, re.DOTALL)]
    return 0.62 * (letters + sum(halves)) + 0.8 * bool(mathml) + 0.3 * len(halves)


def _picture(block: Picture, ident: str) -> str:
    picture = (
        f'<div class="wide">{block.svg}</div><div class="narrow">{block.narrow}</div>'
        if block.narrow
        else f"<div>{block.svg}</div>"
    )
    return f'<figure class="picture" id="{ident}">{picture}{_caption(block.caption)}</figure>'


def _table(block: Table, ident: str) -> str:
    head = "".join(f'<th scope="col">{_words(cell)}</th>' for cell in block.head)
    rows = "".join(
        f"<tr{' class=strong' if k == block.strong else ''}>"
        + "".join(
            f'<th scope="row">{_words(c)}</th>' if j == 0 else f"<td>{_words(c)}</td>"
            for j, c in enumerate(row)
        )
        + "</tr>"
        for k, row in enumerate(block.rows)
    )
    caption = f"<caption>{_words(block.caption)}</caption>" if block.caption else ""
    label = escape(block.caption or "Table")
    return (
        f'<div class="table" id="{ident}" tabindex="0" role="region" aria-label="{label}"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


COMMENTS = {"JavaScript": "//", "C": "//", "LaTeX": "%"}


def _code(block: Code, ident: str) -> str:
    """Tabs that need no script: radio buttons, each of which shows the source after it."""
    parts = []
    for k, (language, source) in enumerate(block.tabs):
        comment = re.escape(COMMENTS.get(language, "#"))
        text = re.sub(rf"(?m)(^|\s)({comment}.*)$", r"\1<i>\2</i>", escape(source.rstrip(), quote=False))
        parts.append(
            f'<input type="radio" name="{ident}" id="{ident}-{k}"{" checked" if k == 0 else ""}>'
            f'<label for="{ident}-{k}">{_words(language)}</label>'
            f'<pre tabindex="0" aria-label="{escape(language)}" data-language="{escape(language)}"><code>{text}</code></pre>'
        )
    return f'<div class="code" id="{ident}" role="radiogroup" aria-label="{escape(block.label)}">{"".join(parts)}</div>'


VERDICTS = {True: ("proved", "✓"), False: ("wrong", "✗"), None: ("open", "○")}


def _verdict(block: Verdict, ident: str) -> str:
    name, mark = VERDICTS[block.ok]
    return f'<p class="verdict {name}" id="{ident}"><span aria-hidden="true">{mark}</span> {_words(block.text)}</p>'


def _row(block: Row, ident: str) -> str:
    return f'<div class="row" id="{ident}">{"".join(_block(part, f"{ident}-{k}") for k, part in enumerate(block.blocks))}</div>'


def _caption(words: str) -> str:
    return f"<figcaption>{_words(words)}</figcaption>" if words else ""


WRITERS: Mapping[type[Any], Callable[[Any, str], str]] = {
    Text: _text, Formula: _formula, Steps: _steps, Picture: _picture, Table: _table, Code: _code, Verdict: _verdict, Row: _row,
}  # fmt: skip
