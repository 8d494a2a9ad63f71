"""Is what README.md and docs/ show what really happens?

```python   is run; the blocks of a file share one namespace.
```text     after the comment <!-- output --> is what the python block before it has printed.
```console  `$ gradstep …` and `$ python …` are run, and must print what is shown below them. A command
            shown without output must only succeed. Other commands (git, pip, dev.py) are for people.

A line `...` in an output stands for any lines, also none. A block after <!-- skip: reason --> is not run.
"""

import contextlib
import difflib
import io
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [page for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))] if page.exists()]

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[^`\s]*)")
COMMENT = re.compile(r"^\s*<!-- *(?P<word>skip|output)\b")
RUN_BY_US = re.compile(r"gradstep\b|python3? (?!dev\.py|-m pip|-m venv)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `comment` is the word that stands before it: "skip", "output" or ""."""

    language: str
    comment: str
    line: int
    lines: list[str]


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    opened, before = None, ""
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened = fence
            comment = COMMENT.match(before)
            found.append(Block(fence["language"], comment["word"] if comment else "", number + 1, []))
        elif opened is not None and line.strip() == opened["ticks"]:
            opened = None
        elif opened is not None:
            found[-1].lines.append(line.removeprefix(opened["indent"]))
        if line.strip():
            before = line
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a console block with the output shown below each; a closing \\ continues a command."""
    found: list[tuple[str, list[str]]] = []
    continued = False
    for line in block.lines:
        if continued:
            command, output = found.pop()
            found.append((f"{command}\n{line.removeprefix('> ')}", output))
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found:
            found[-1][1].append(line)
        continued = line.endswith("\\") and (continued or line.startswith("$ "))
    return found


def differences(shown: list[str], real: str) -> str:
    """The lines in which the real output differs from what is shown; "" where it agrees."""
    shown = "\n".join(line.rstrip() for line in shown).strip("\n").splitlines()
    real_lines = "\n".join(line.rstrip() for line in real.splitlines()).strip("\n").splitlines()
    pattern = "".join(r"(.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n" for line in shown)
    if re.fullmatch(pattern, "".join(line + "\n" for line in real_lines)):
        return ""
    return "\n".join(difflib.unified_diff(shown, real_lines, "shown", "real", lineterm=""))


def run(command: str) -> subprocess.CompletedProcess[str]:
    scripts = sysconfig.get_path("scripts")
    environment = {
        **os.environ,
        "PATH": scripts + os.pathsep + os.environ["PATH"],
        "PYTHONIOENCODING": "utf-8",
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }
    return subprocess.run(
        command,
        shell=True,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def check_commands(block: Block, place: str) -> None:
    for command, shown in commands(block):
        if not RUN_BY_US.match(command):
            continue
        done = run(command)
        # Our own errors end with 2, a wrong claim with 1, and a page may well show one; all else is a crash.
        wrong = {1} if command.startswith("gradstep check") else set()
        expected = {0, 2} | wrong if any(shown) else {0}
        if done.returncode not in expected:
            pytest.fail(f"{place}: $ {command}\nexit code {done.returncode}\n{done.stdout}", pytrace=False)
        difference = differences(shown, done.stdout) if any(shown) else ""
        if difference:
            pytest.fail(f"{place}: $ {command}\n{difference}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_shows_what_happens(page, tmp_path, monkeypatch):
    if (ROOT / "examples").exists():
        shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    printed = io.StringIO()
    for block in blocks(page.read_text(encoding="utf-8")):
        place = f"{page.name}, line {block.line}"
        if block.comment == "skip":
            continue
        if block.language == "python":
            printed = io.StringIO()
            # Empty lines in front, so that a traceback points to the line of the page.
            source = "\n" * (block.line - 1) + "\n".join(block.lines)
            with contextlib.redirect_stdout(printed):
                exec(compile(source, str(page), "exec"), namespace)
        elif block.comment == "output":
            difference = differences(block.lines, printed.getvalue())
            if difference:
                pytest.fail(f"{place}:\n{difference}", pytrace=False)
        elif block.language == "console":
            check_commands(block, place)


def test_the_reader_of_pages_sees_a_difference():
    skipped_block = "<!-- skip: slow -->\n```python\n1/0\n```\n"
    console_block = "```console\n$ gradstep x \\\n  y\none\n...\nlast\n$ ls\n```\n"
    skipped, shown = blocks(skipped_block + console_block)
    assert (skipped.comment, shown.comment, shown.line) == ("skip", "", 6)
    (command, output), (other, nothing) = commands(shown)
    assert (command, other, nothing) == ("gradstep x \\\n  y", "ls", [])
    assert differences(output, "one\ntwo\nthree\nlast\n") == ""
    assert differences(output, "one\nlast\n") == ""
    assert "+two" in differences(["one", "last"], "one\ntwo\nlast\n")
    assert differences(output, "one\nlast\nmore\n") != ""
