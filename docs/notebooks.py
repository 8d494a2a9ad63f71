"""The example notebooks: each is a script in docs/notebooks/, written with its results as .ipynb beside it.

`python3 dev.py notebooks` does it. A script has its cells after lines `# %%`, words after `# %% [markdown]`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FOLDER = Path(__file__).parent / "notebooks"
EXAMPLES = tuple(sorted(FOLDER.glob("*.py")))
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
MARK = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


def cells(script: str) -> list[NotebookNode]:
    """The cells of a script."""
    _, *parts = MARK.split(script)
    made = []
    for words, text in zip(parts[::2], parts[1::2], strict=True):
        said = re.sub(r"(?m)^# ?", "", text) if words else text
        made.append((new_markdown_cell if words else new_code_cell)(said.strip()))
    return made


def run(scripts: list[str]) -> list[NotebookNode]:
    """Notebooks of scripts, run one after the other in one kernel, so that it starts once."""
    written = [cells(script) for script in scripts]
    together = new_notebook(
        cells=[cell for part in written for cell in part], metadata={"kernelspec": KERNEL}
    )
    client = NotebookClient(
        together, timeout=60, kernel_name="python3", store_widget_state=False, coalesce_streams=True
    )
    client.execute()
    notebooks = []
    for part in written:
        for k, cell in enumerate(part):
            cell.id = f"cell-{k}"
            cell.metadata.clear()
            if cell.cell_type == "code":
                cell.execution_count = sum(each.cell_type == "code" for each in part[: k + 1])
                for output in cell.outputs:
                    if "execution_count" in output:
                        output.execution_count = cell.execution_count
                    output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        notebooks.append(new_notebook(cells=part, metadata={"kernelspec": KERNEL}))
    return notebooks


def main(words: list[str]) -> int:
    """Write all of them, or those whose names are `words`."""
    chosen = [example for example in EXAMPLES if not words or example.stem in words]
    notebooks = run([example.read_text(encoding="utf-8") for example in chosen])
    for example, notebook in zip(chosen, notebooks, strict=True):
        nbformat.write(notebook, example.with_suffix(".ipynb"))
        print(example.with_suffix(".ipynb"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
