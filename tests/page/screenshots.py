"""Pictures of live pages and of the app, light, dark, on a phone, printed: `python3 dev.py screenshots`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import gradstep as gs
from dev import find_browser
from docs.gallery import FOLDER, GALLERY, write
from gradstep.app.server import Serving

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


CLAIM = "dz = -2/N * (y - a) * (z > 0)\ndw = X.T @ dz\ndb = mean(dz)"


def used(tab: Page, name: str) -> None:
    """The app as a person uses it: a derivation, data, a training of two rates, a claim with a mistake."""

    def seen(place: str, selector: str) -> None:
        tab.evaluate("s => document.querySelector(s).scrollIntoView()", selector)
        tab.wait_for_timeout(250)
        tab.screenshot(path=OUT / f"{name}-{place}.png")

    tab.wait_for_selector("#lines:not(.old)[data-proved=true]")
    seen("loss", "body")
    seen("derivation", "#derived")
    tab.click("#sample")
    tab.wait_for_selector("#table:visible")
    tab.fill("#learning_rate", "0.01, 0.1")
    tab.click("details.plain:has(#l2) > summary")
    seen("data", "#data")
    tab.click("#train")
    tab.wait_for_selector("#fit:visible")
    seen("fit", "#train")
    tab.fill("#claim", CLAIM)
    tab.click("#check")
    tab.wait_for_selector("#verdict:visible")
    seen("claim", "#claimed")
    tab.fill("#formula", "mean((y - tanh(X @ w + b)**2)")
    tab.wait_for_selector("#wrong:visible")
    seen("mistake", "body")


def of_app(chromium: Browser) -> None:
    """Pictures of the app, which is served for them."""
    app = Serving()
    serving = threading.Thread(target=app.run)
    serving.start()
    try:
        for screen, (width, height, scheme) in SCREENS.items():
            size = {"width": width, "height": height}
            tab = chromium.new_context(viewport=size, color_scheme=scheme).new_page()
            tab.set_default_timeout(120_000)
            tab.goto(app.address)
            used(tab, f"app-{screen}")
            tab.context.close()
    finally:
        app.stop()
        serving.join()
    print(f"{OUT.resolve()}/app-*", flush=True)


def main(words: list[str]) -> int:
    """Write the pages and take the pictures; `words` name some of them, and `app`."""
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
        if not words or "app" in words:
            of_app(chromium)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
