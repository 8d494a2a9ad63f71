"""How is it run? Programs, and the back ends that write and load them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from gradstep.backends import c, custom, javascript, jax, program, run, source, torch
from gradstep.backends.compiled import Compiled
from gradstep.backends.native import running
from gradstep.backends.options import Options, checked
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record, replaced
from gradstep.operations.declared import inlined


@record
class Backend:
    """A way to run a program: `write` gives its source, `load` the function that the source defines.

    `rule` gives more source, for a loss as a part of someone else's network, with its gradient as its rule.
    """

    name: str
    write: Callable[[program.Program, str], str]
    load: Callable[[str, program.Program, Options], Compiled]
    rule: Callable[[program.Program], str] | None = None


BACKENDS: Mapping[str, Backend] = {
    "numpy": Backend("numpy", source.write, run.load),
    "native": Backend("native", source.write, running.load),
    "c": Backend("c", c.write_c, c.load_c),
    "javascript": Backend("javascript", javascript.write_javascript, javascript.load_javascript),
    "jax": Backend("jax", jax.write_jax, jax.load_jax, custom.jax_rule),
    "torch": Backend("torch", torch.write_torch, torch.load_torch, custom.torch_rule),
}


def backend_named(name: str) -> Backend:
    """The back end of this name; an unknown one is a `MathError` that lists the known."""
    if not isinstance(name, str) or name not in BACKENDS:
        near = get_close_matches(str(name), BACKENDS, 1)
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
    text = chosen.write(written, function)
    made = chosen.load(text, written, checked(options or Options()))
    if chosen.rule is None or written.value.rank or function not in ("", custom.FUNCTION):
        return made
    told = "".join(f"# {line}".rstrip() + "\n" for line in story.splitlines())
    rule = f"\n\n{chosen.rule(written)}" if written.gradients else ""
    return replaced(made, source=f"{told}{text}{rule}")
