"""Pictures of live pages, light, dark, on a phone and printed: `python3 dev.py screenshots` takes them."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

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


def main(words: list[str]) -> int:
    """Write the pages and take the pictures; `words` name pages of the gallery."""
    OUT.mkdir(exist_ok=True)
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for network in GALLERY:
            if words and network.name not in words:
                continue
            address = write(network).resolve().as_uri()
            for screen, (width, height, scheme) in SCREENS.items():
                size = {"width": width, "height": height}
                tab = chromium.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
                tab.goto(address)
                tab.wait_for_selector("html.alive", state="attached")
                taken(tab, f"{network.name}-{screen}")
                if screen == "light":
                    tab.pdf(path=OUT / f"{network.name}-print.pdf")
                tab.close()
            print(f"{OUT.resolve()}/{network.name}-*", flush=True)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
