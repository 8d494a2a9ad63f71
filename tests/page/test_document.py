"""The page is one file, complete, safe with any name, readable in light and dark, and opens by keyboard."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gradstep.page import pictures
from gradstep.page.document import (
    WRITERS,
    Block,
    Code,
    Formula,
    Html,
    Page,
    Picture,
    Row,
    Section,
    Steps,
    StepView,
    Table,
    Text,
    Tools,
    Verdict,
)  # fmt: skip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NASTY = "<script>alert(\"1\")</script><img src='http://example.com/x'>&amp;"
MATH = '<math display="block"><mi class="c1">w</mi><mo>=</mo><mn>1</mn></math>'
NET = pictures.Network([NASTY, "b"], [pictures.Layer(1, "relu")], [NASTY])
STEPS = [
    StepView(1, MATH, NASTY, NASTY, [MATH], NASTY, [NASTY, Html("<b>folded</b>")], left=MATH, checked=True),
    StepView("2", MATH, "sum rule", "a reason", checked=False),
]
BLOCKS: list[Block] = [
    Text([NASTY, Html("<em>already safe</em>")]),
    Formula([MATH, MATH], NASTY, [NASTY]),
    Steps(STEPS, NASTY),
    Picture(pictures.network(NET), NASTY, pictures.network(NET, down=True, ident="gs-network-narrow")),
    Table([NASTY, "mse"], [[NASTY, "1"], ["line", NASTY]], NASTY, strong=0),
    Code([(NASTY, f"x = 1  # {NASTY}"), ("JavaScript", "f(); // so")], NASTY),
    Verdict(NASTY, True),
    Verdict("not so", False),
    Tools(Html("<button>press</button>")),
    Row([Picture(pictures.loss_curve(np.geomspace(9, 1, 50))), Text(["beside it"])]),
]
PAGE = Page(
    NASTY,
    NASTY,
    [Section(NASTY, BLOCKS), Section(NASTY, []), Section("Main", []), Section("Network", [])],
    NASTY,
)


class Reader(HTMLParser):
    """Every tag with its attributes, and whether all are closed."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open += [tag] * (tag not in self.VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_kind_of_block_is_on_the_page_of_this_test() -> None:
    assert {type(block) for block in BLOCKS} == set(WRITERS)


def test_names_are_words_whatever_they_hold() -> None:
    read = Reader(PAGE.html())
    assert read.open == []
    assert not {"script", "img", "iframe", "object", "embed"} & {tag for tag, _ in read.tags}
    assert all(not key.startswith("on") for _, attributes in read.tags for key in attributes)
    assert "<em>already safe</em>" in PAGE.html() and "<b>folded</b>" in PAGE.html()


def test_the_file_asks_for_nothing() -> None:
    html = PAGE.html()
    for tag, attributes in Reader(html).tags:
        for key in {"src", "href", "srcset", "action", "data", "poster", "xlink:href"} & set(attributes):
            assert re.match(r"#|data:", attributes[key] or ""), (tag, key)
    sheet = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "@import" not in sheet and all(u.startswith("data:") for u in re.findall(r"url\((.*?)\)", sheet))
    assert "default-src 'none'" in html
    assert len(html) < 300_000


def test_identifiers_are_unique_and_links_arrive() -> None:
    tags = Reader(PAGE.html()).tags
    idents = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(idents) == len(set(idents))
    links = [a["href"] for tag, a in tags if tag == "a"]
    assert all(str(link).removeprefix("#") in idents for link in links) and "#main" in links
    wanted = [a[key] for _, a in tags for key in ("aria-labelledby", "aria-describedby", "for") if key in a]
    assert set(wanted) <= set(idents)


def test_a_step_opens_to_its_reason_its_proof_and_its_shape() -> None:
    html = Page(
        "t", sections=[Section("s", [Steps([StepView(3, MATH, "sum rule", "because", [MATH], "d", ["so"])])])]
    ).html()
    step = re.search(r'<li class="step".*?</li></ul>.*?</li>', html, re.DOTALL)
    assert step
    summary, inside = step[0].split("</summary>")
    assert "sum rule" in summary and MATH in summary and 'title="shape: d"' in summary
    assert "because" in inside and MATH in inside and "so" in inside and "shape: d" in inside


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_and_symbols_stand_out_from_the_paper(theme: int) -> None:
    sheet = (resources.files("gradstep.page") / "page.css").read_text("utf-8")
    block = re.findall(r":root, :host \{(.*?)\n *\}", sheet, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    names = ["ink", "quiet", "accent", "good", *(f"c{k}" for k in range(1, 13))]
    assert len({colours[n] for n in names[4:]}) == 12
    for paper in ("paper", "panel"):
        for name in names:
            light, dark = sorted((_luminance(colours[name]), _luminance(colours[paper])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, paper)


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works_from_a_file_without_network(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGE.html(), "utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        requests: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_load_state("networkidle")
        assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
        assert complaints == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#gs-network").is_visible() == (width > 700)
        assert page.locator("#gs-network-narrow").is_visible() == (width < 700)

        reason = page.locator(".step .why").first
        assert not reason.is_visible()
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert reason.is_visible()
        second = page.locator("pre").nth(1)
        assert not second.is_visible()
        page.locator(".code input").first.focus()
        page.keyboard.press("ArrowRight")
        assert second.is_visible()
        page.emulate_media(media="print")
        assert page.locator(".step .why").last.is_visible()  # printed, every step is open
    finally:
        context.close()
