"""How is it run? Programs, and the back ends that write and load them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from gradstep.backends import custom, program, run
from gradstep.backends.compiled import Compiled
from gradstep.backends.options import EXACT, Options, checked
from gradstep.expression.errors import MathError, resembling
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.operations.declared import inlined

if TYPE_CHECKING:
    from gradstep.backends import c, javascript, jax, torch
    from gradstep.backends.native import running
else:
    c = late("gradstep.backends.c")
    javascript = late("gradstep.backends.javascript")
    jax = late("gradstep.backends.jax")
    torch = late("gradstep.backends.torch")
    running = late("gradstep.backends.native.running")


class Backend(Protocol):
    """A module that runs programs."""

    def write(self, program: program.Program, name: str = "", /) -> str:
        """The source of a program."""

    def load(self, source: str, program: program.Program, options: Options, /) -> Compiled:
        """The function that the source defines."""


BACKENDS: Mapping[str, Backend] = {
    "numpy": run,
    "native": running,
    "c": c,
    "javascript": javascript,
    "jax": jax,
    "torch": torch,
}

# More source, for a loss as a part of someone else's network, with its gradient as its rule.
RULES: Mapping[str, Callable[[program.Program], str]] = {"jax": custom.jax_rule, "torch": custom.torch_rule}


def backend_named(name: str) -> Backend:
    """The back end of this name; an unknown one is a `MathError` that lists the known."""
    if not isinstance(name, str) or name not in BACKENDS:
        near = resembling(str(name), BACKENDS)
        raise MathError(
            f"there is no back end {name!r:.60}",
            facts=[f"known: {', '.join(BACKENDS)}"],
            mend=f'backend="{near[0]}"' if near else None,
        )
    return BACKENDS[name]


def compile_outputs(
    outputs: Mapping[str, Expr],
    names: Mapping[Expr, str] | None = None,
    *,
    backend: str = "numpy",
    comments: Mapping[str, str] | None = None,
    header: str = "",
    function: str = "",
    options: Options | None = None,
    story: str = "",
) -> Compiled:
    """A function of the variables by name that gives the value, or (value, gradients by parameter).

    The first output is the value, called by its key ("" will do); the others are gradients by the parameter's
    name. `names` are short names of parts and of cotangents (z, a, ∂C/∂z), which the source uses. Functions
    that the user has declared are written out. `options` say how it is to run; the `story` stands above
    source that is made to be pasted, as a comment.
    """
    chosen = backend_named(backend)
    written_out = inlined([*outputs.values(), *(names or {})])
    outputs = {key: written_out[output] for key, output in outputs.items()}
    names = {written_out[part]: name for part, name in (names or {}).items()}
    written = program.program(outputs, names, comments, header)
    text, options = chosen.write(written, function), checked(options or Options())
    if options.accumulate == EXACT and backend != "numpy":
        raise MathError(f"exact sums are made in NumPy, not in {backend}", mend='backend="numpy"')
    made = chosen.load(text, written, options)
    if backend not in RULES or written.value.rank or function not in ("", custom.FUNCTION):
        return made
    told = "".join(f"# {line}".rstrip() + "\n" for line in story.splitlines())
    rule = f"\n\n{RULES[backend](written)}" if written.gradients else ""
    return Compiled(f"{told}{text}{rule}", made.program, made.raw)
