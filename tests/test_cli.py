"""What does a person at a terminal get: answers, and errors that are sentences?"""

import json
import os
import subprocess
import sys

import click
import pytest

from gradstep import cli

NEURON = "mean((y - relu(X @ w + b))**2)"
SHAPES = ["X:N,d", "w:d", "b:", "y:N"]
DERIVE = ["derive", NEURON, *SHAPES, "--wrt", "w,b", "--seed", "7"]


@pytest.fixture
def typed(capsys):
    """Type words after `gradstep`: exit code, what was printed, what was said about errors."""

    def run(*words):
        with pytest.raises(SystemExit) as stopped:
            cli.main([*words])
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run


def process(*words, **more):
    return subprocess.run([sys.executable, "-m", "gradstep", *words], capture_output=True, text=True, **more)


# ------------------------------------------------------------------------------------------- answers


def test_derive_tells_the_neuron(typed):
    code, out, err = typed(*DERIVE, "--view", "sample")
    assert (code, err) == (0, "")
    assert "C(w, b) = 1/N Σᵢ (yᵢ − max(0, w·xᵢ + b))²" in out
    assert "∂C/∂w = −2/N Σᵢ ⎧ 0ᵀ       if w·xᵢ + b ≤ 0" in out
    assert "✓ proved" in out and "seed 7" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["--to", "latex"], r"\begingroup"),
        (["--to", "markdown"], "### The loss"),
        (["--to", "html"], "<!"),
        (["--style", "differential"], "The loss"),
        (["--view", "index", "--open"], "The loss"),
        (["--width", "60"], "The loss"),
    ],
)
def test_derive_writes_every_kind(typed, words, start):
    code, out, err = typed(*DERIVE, *words)
    assert (code, err) == (0, "") and out.lstrip().startswith(start)
    if "--width" in words:
        assert max(map(len, out.splitlines())) <= 60
    if "--open" in words:
        assert "entry by entry" in out


def test_derive_writes_json(typed):
    code, out, _ = typed(*DERIVE, "--to", "json")
    data = json.loads(out)
    assert code == 0 and data["format"] == "gradstep derivation" and data["certificate"]["verdict"] is True


def test_derive_uses_assumptions(typed):
    loss = "-sum(Y*log(softmax(X @ W, axis=1)))/N"
    words = ["derive", loss, "X:N,d", "W:d,k", "Y:N,k", "--wrt", "W", "--assume", "Y=rows sum to one"]
    code, out, _ = typed(*words)
    assert code == 0 and "= 1/N Xᵀ (P − Y)" in out and "your assumption" in out


def test_code_can_be_pasted(typed):
    code, out, err = typed("code", NEURON, *SHAPES, "--wrt", "w,b")
    assert (code, err) == (0, "")
    compile(out, "<code>", "exec")
    assert "def value_and_gradients(X, w, b, y):" in out


def test_help_and_version(typed):
    assert typed("--version")[:2] == (0, "gradstep, version 0.1.0\n")
    for words in ([], ["--help"]):
        code, out, _ = typed(*words)
        assert code == 0 and all(name in out for name in cli.COMMANDS)
    for name in cli.COMMANDS:
        code, out, _ = typed(name, "--help")
        assert code == 0 and "Usage:" in out


def test_help_of_each_command_begins_as_the_table_says():
    context = click.Context(cli.group)
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        assert command is not None and command.get_short_help_str(200), name


# ------------------------------------------------------------------------------------------- errors


def test_a_clash_of_shapes_is_a_small_lesson(typed):
    code, out, err = typed("derive", NEURON, "X:N,d", "w:k", "b:", "y:N", "--wrt", "w")
    assert (code, out) == (2, "")
    assert err == (
        "error: the sizes d and k should be equal\n"
        "\n"
        "    mean((y - relu(X @ w + b))**2)\n"
        "                   ^^^^^\n"
        "    X is N×d,  w is k\n"
        "Perhaps w:d\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["derive", NEURON, "--wrt", "w"], "which shapes have y, X, w, b?"),
        (["derive", NEURON, *SHAPES], "Perhaps --wrt w,b"),
        (["derive", NEURON, *SHAPES, "--wrt", "v"], "there is no variable v here"),
        (["derive", NEURON, *SHAPES, "--wrt", ","], "with respect to what?"),
        (["derive", "X @ w", "X:N,d", "w:d", "--wrt", "w"], "Perhaps mean(X @ w) or sum(X @ w)"),
        (["derive", "mean(", "X:N", "--wrt", "X"], "error:"),
        (["derive", "", "X:N", "--wrt", "X"], "error:"),
        (["derive", NEURON, "X", "--wrt", "w"], "is no variable with a shape"),
        (["derive", NEURON, *SHAPES, "--wrt", "w", "--view", "matrices"], "'matrices' is not one of"),
        (["derive", NEURON, *SHAPES, "--wrt", "w", "--assume", "y"], "--assume takes NAME=FACT"),
        (
            ["derive", NEURON, *SHAPES, "--wrt", "w", "--assume", "y=even"],
            "does not know the assumption 'even'",
        ),
        (["derive", NEURON, *SHAPES, "--wrt", "w", "--batch", "q"], "no variable has an axis of size q"),
        (["derive", NEURON, *SHAPES, "--wrt", "w", "--width", "3"], "invalid value for '--width'"),
        (["derive", "--bogus"], "no such option"),
        (["derive"], "missing argument 'EXPR'"),
        (["derivate"], "Perhaps gradstep derive"),
        (["code", NEURON, *SHAPES, "--wrt", "w", "--to", "cobol"], "invalid value for '--to'"),
    ],
)
def test_bad_input_is_a_sentence(typed, words, said):
    code, out, err = typed(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and said in err and "Traceback" not in err and "Usage" not in err


class Broken:
    """A command that fails in some way."""

    def __init__(self, error):
        @click.command()
        def command():
            raise error

        self.command = command
        self.choose_kernels = lambda: ""  # what a command asks for before it loads, and for its words
        self.choose_threads = lambda words: ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ZeroDivisionError("a fault\nof ours"),
            70,
            "gradstep itself failed: ZeroDivisionError: a fault of ours",
        ),
        (RecursionError("deep"), 70, "Please report it"),
        (MemoryError(), 70, "MemoryError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_no_failure_is_a_traceback(typed, monkeypatch, error, code, said):
    monkeypatch.delenv("GRADSTEP_DEBUG", raising=False)
    monkeypatch.setattr(cli, "import_module", lambda name: Broken(error))
    found, out, err = typed("derive")
    assert (found, out) == (code, "") and said in err and "Traceback" not in err


def test_python_m_gradstep():
    done = process(*DERIVE)
    assert done.returncode == 0 and "✓ proved" in done.stdout


def test_a_reader_who_has_seen_enough():
    with subprocess.Popen(
        [sys.executable, "-m", "gradstep", *DERIVE, "--to", "html"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_these_letters_is_no_fault(encoding):
    done = process(*DERIVE, env={**os.environ, "PYTHONIOENCODING": encoding}, errors="replace")
    assert done.returncode == 0 and "The loss" in done.stdout and done.stderr == ""


def loaded_by(words, folder):
    """The modules that a command has loaded when it is done."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"from gradstep.cli import main; main({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0
    return set(done.stderr.split())


# What a command does not need: it would be waited for.
HEAVY = {"rich", "safetensors", "llvmlite", "difflib", "json", "tempfile", "gradstep.calculus.jacobians"}
OF_TRAINING = {"numpy.ma", "glob", "string", "pathlib", "gradstep.learn.stores", "gradstep.notation.views"}
MOST_MODULES = 173  # of our own: each takes a third of a millisecond


def test_a_derivation_loads_what_it_needs(tmp_path):
    loaded = loaded_by(DERIVE, tmp_path)
    assert not loaded & (HEAVY | {"numpy"})
    assert len([name for name in loaded if name.startswith("gradstep.")]) <= MOST_MODULES


def test_a_small_training_loads_what_it_needs(tmp_path):
    rows = "".join(f"{k},{k * k % 7},{2 * k + k * k % 5}\n" for k in range(40))
    (tmp_path / "table.csv").write_text("a,b,y\n" + rows, encoding="utf-8")
    loaded = loaded_by(["train", "table.csv", "--target", "y", "--quiet"], tmp_path)
    assert not loaded & (HEAVY | OF_TRAINING)
    assert not [name for name in loaded if name.startswith(("gradstep.page", "gradstep.backends.native"))]
    assert len([name for name in loaded if name.startswith("gradstep.")]) <= MOST_MODULES


def test_pipes_get_no_colours():
    assert "\033" not in process(*DERIVE).stdout
