"""Pictures of live pages, light, dark, on a phone and printed: `python3 dev.py screenshots` takes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import gradstep as gs
from dev import find_browser
from docs.gallery import FOLDER, GALLERY, write

OUT = Path("screenshots")
SCREENS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light")}
SCREENS |= {"projector": (2560, 1440, "light")}
PLACES = {"network": "#the-network", "lines": "ol.steps", "descent": "#the-descent"}


def taken(tab: Page, name: str) -> None:
    """One picture for each place of a page, after some steps, with the gradient in the network."""
    tab.evaluate("gradstep.step(25)")
    if tab.locator("#backward").count():
        tab.click("#backward")
    for place, selector in PLACES.items():
        tab.evaluate("s => document.querySelector(s)?.scrollIntoView()", selector)
        tab.wait_for_timeout(250)
        tab.screenshot(path=OUT / f"{name}-{place}.png")
    tab.click("#slides")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(250)
    tab.screenshot(path=OUT / f"{name}-slide.png")
    tab.keyboard.press("Escape")


# Derivations without data: their pages train on some that are made up.
DERIVED = {
    "derived-classes": (
        "-sum(Y*log(softmax(tanh(X @ W + b) @ V + c, axis=1)))/N",
        {"X": "N d", "W": "d h", "b": "h", "V": "h k", "c": "k", "Y": "N k"},
    ),
    "derived-table": ("mean((R - U @ V.T)**2)", {"R": "m n", "U": "m k", "V": "n k"}),
}


def pages(words: list[str]) -> Iterator[tuple[str, str]]:
    """Names and addresses of the pages, written when they are asked for."""
    for network in GALLERY:
        if not words or network.name in words:
            yield network.name, write(network).resolve().as_uri()
    for name, (text, shapes) in DERIVED.items():
        if not words or name in words:
            page = OUT / f"{name}.html"
            trained = [each for each in shapes if each not in ("X", "Y", "R")]
            page.write_text(gs.derive(gs.parse(text, **shapes), trained).html(view="matrix"), "utf-8")
            yield name, page.resolve().as_uri()


def main(words: list[str]) -> int:
    """Write the pages and take the pictures; `words` name some of them."""
    OUT.mkdir(exist_ok=True)
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for name, address in pages(words):
            for screen, (width, height, scheme) in SCREENS.items():
                size = {"width": width, "height": height}
                tab = chromium.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
                tab.goto(address)
                tab.wait_for_selector("html.alive", state="attached")
                taken(tab, f"{name}-{screen}")
                if screen == "light":
                    tab.pdf(path=OUT / f"{name}-print.pdf")
                tab.close()
            print(f"{OUT.resolve()}/{name}-*", flush=True)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
