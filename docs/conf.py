"""How do these Markdown pages become a site? By `python3 dev.py docs`; it loads nothing from a network."""

import tomllib
from pathlib import Path

from gradstep.notation.books import law_book, rule_book

root = Path(__file__).parent.parent
facts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = facts["name"]
release = facts["version"]
author = "the gradstep maintainers"
copyright = f"2026, {author}"

# No mathematics extension: gradstep writes its own MathML, and Sphinx's would load MathJax from a network.
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_extra_path = ["gallery"] if (root / "docs" / "gallery").is_dir() else []
autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"gradstep {release}"


def setup(app):
    """The two books are read off the tables whenever the site is built."""
    app.connect("builder-inited", lambda app: write_books(Path(app.srcdir)))


def write_books(folder):
    for name, book in (("rules", rule_book), ("laws", law_book)):
        page, text = folder / f"{name}.md", book()
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
