"""Formulas as MathML and as KaTeX, side by side: `python -m tests.page.side_by_side FOLDER` takes pictures.

The folder holds KaTeX with its fonts: `npm pack katex`, unpacked, package/dist.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from playwright.sync_api import sync_playwright

import gradstep as gs
from dev import find_browser
from gradstep.expression.boxes import Box, row
from gradstep.notation.latex import latex
from gradstep.notation.mathml import mathml
from gradstep.notation.views import present
from gradstep.page.document import Page

OUT = Path("screenshots")
PART = 1400  # pixels of one picture
LOSSES = {
    "neuron": ("mean((y - relu(X @ w + b))**2)", {"X": "N d", "w": "d", "b": "", "y": "N"}, "w b", "sample"),
    "softmax": (
        "-sum(Y * log(softmax(X @ W + b, axis=1)))/N",
        {"X": "N d", "W": "d k", "b": "k", "Y": "N k"},
        "W b",
        "matrix",
    ),
    "entries": (
        "sum(Y * log(softmax(X @ W, axis=1)))/N",
        {"X": "N d", "W": "d k", "Y": "N k"},
        "W",
        "index",
    ),
    "attention": (
        "S = Q @ K.T/sqrt(d); P = softmax(S, axis=1); mean((Y - P @ V)**2)",
        {"Q": "n d", "K": "n d", "V": "n d", "Y": "n d"},
        "Q K V",
        "matrix",
    ),
    "inverse": ("x @ inv(A) @ x + logdet(A) + norm(x)/sqrt(n)", {"x": "n", "A": "n n"}, "x A", "matrix"),
}


def formulas() -> list[tuple[str, Box]]:
    """Lines of derivations."""
    found = []
    for name, (text, shapes, wrt, view) in LOSSES.items():
        told = present(gs.derive(gs.parse(text, **shapes), wrt.split(), certify=False), view=view)
        for section in told.sections:
            for said in section.lines:
                items: list[Box | str] = [] if said.left is None else [said.left]
                for form in said.forms:
                    items += ["=", form] if items else [form]
                found.append((name, row(*items)))
    return found


def main(folder: Path) -> int:
    """Take the picture."""
    style = Page("").html().split("<style>")[1].split("</style>")[0]
    lines = "".join(
        f'<tr><td>{name}</td><td class="math">{mathml(box, display=True)}</td>'
        f'<td class="tex" data-tex="{escape(latex(box))}"></td></tr>'
        for name, box in formulas()
    )
    html = f"<style>{style} td {{ text-align: left }} </style><table>{lines}</table>"
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        tab = chromium.new_page(viewport={"width": 1500, "height": 900})
        page = folder / "side-by-side.html"
        head = '<link rel="stylesheet" href="katex.min.css"><script src="katex.min.js"></script>'
        page.write_text(f'<!DOCTYPE html><meta charset="utf-8">{head}{html}', encoding="utf-8")
        tab.goto(page.as_uri())
        tab.evaluate(
            "for (const cell of document.querySelectorAll('.tex'))"
            " katex.render(cell.dataset.tex, cell, {displayMode: true, output: 'html'})"
        )
        page.unlink()
        tab.wait_for_timeout(500)
        height = tab.evaluate("document.documentElement.scrollHeight")
        for k, top in enumerate(range(0, height, PART)):
            clip = {"x": 0, "y": top, "width": 1500, "height": min(PART, height - top)}
            tab.screenshot(path=OUT / f"side-by-side-{k}.png", full_page=True, clip=clip)
        chromium.close()
    print(f"{OUT.resolve()}/side-by-side-*.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
