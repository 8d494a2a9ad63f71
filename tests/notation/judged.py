"""Which formulas of a document does KaTeX refuse?"""

import re

# What a document of ours uses and KaTeX has not, in KaTeX's own terms.
PARBOX = r"\def\parbox[t]#1#2{\text{#2}}\def\raggedright{}\def\linewidth{}"
DISPLAY = re.compile(r"\\begin\{(align\*|alignat\*)\}.*?\\end\{\1\}", re.DOTALL)
INLINE = re.compile(r"(?<!\\)\$(.+?)(?<!\\)\$", re.DOTALL)


def formulas(article):
    """The displays of a document, and what stands between dollars in its sentences."""
    yield from (PARBOX + found[0] for found in DISPLAY.finditer(article))
    yield from (found[1] for found in INLINE.finditer(DISPLAY.sub("", article)))


def complaints(katex, sources):
    sources = list(dict.fromkeys(sources))
    return [f"{said}\n{source}" for source, said in zip(sources, katex(sources), strict=True) if said]
