"""How does a derived gradient become the gradient of someone else's network? As a function with its own rule.

`jax.custom_vjp` and `torch.autograd.Function` take a value together with what multiplies the cotangent that
arrives. Who asks for the gradient of data, for which none was derived, gets NaN or an error and never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.backends.program import Program
from gradstep.backends.safe_names import identifier
from gradstep.expression.errors import MathError

FUNCTION = "value_and_gradients"


def _inputs(program: Program) -> list[tuple[str, str]]:
    """Each input, as it is called in the source and by the user."""
    return [(str(given.symbol.params[0]), given.name) for given in program.inputs]


def _called(program: Program) -> str:
    """What the value is called, or "loss" where that is the name of an input."""
    called = identifier(next(iter(program.outputs)) or "loss")
    return "loss" if called in dict(_inputs(program)) else called


def _check_is_loss(program: Program) -> None:
    """Only a number with gradients has a rule of this kind."""
    if program.value.rank or not program.gradients:
        raise MathError("only a loss and its gradients make a function with its own derivative")


def jax_rule(program: Program) -> str:
    """`loss`, a `jax.custom_vjp` that calls `value_and_gradients`."""
    _check_is_loss(program)
    inputs, value = _inputs(program), _called(program)
    arguments = ", ".join(symbol for symbol, _ in inputs)
    data = [symbol for symbol, name in inputs if name not in program.gradients]
    answers = [
        f'd{value} * gradients["{name}"]'
        if name in program.gradients
        else f"jnp.full_like({symbol}, jnp.nan)"
        for symbol, name in inputs
    ]
    kept = ", ".join(["gradients", *data])
    note = [f"    # no gradient was derived for {_listed(data)}: NaN, never a silent zero"] if data else []
    return "\n".join(
        [
            "@jax.custom_vjp",
            f"def loss({arguments}):",
            f"    return {FUNCTION}({arguments})[0]",
            "",
            "",
            f"def loss_forward({arguments}):",
            f"    {value}, gradients = {FUNCTION}({arguments})",
            f"    return {value}, ({kept}{',' * (not data)})",
            "",
            "",
            f"def loss_backward(kept, d{value}):",
            f"    ({kept},) = kept" if not data else f"    {kept} = kept",
            *note,
            f"    return {_tuple(answers)}",
            "",
            "",
            "loss.defvjp(loss_forward, loss_backward)",
            "",
        ]
    )


def torch_rule(program: Program) -> str:
    """`loss`, a `torch.autograd.Function` that calls `value_and_gradients`."""
    _check_is_loss(program)
    inputs, value = _inputs(program), _called(program)
    arguments = ", ".join(symbol for symbol, _ in inputs)
    trained = [symbol for symbol, name in inputs if name in program.gradients]
    data = [(place, symbol) for place, (symbol, name) in enumerate(inputs) if name not in program.gradients]
    answers = [f"d{value} * d{symbol}" if symbol in trained else "None" for symbol, _ in inputs]
    check = []
    if data:
        asked = " or ".join(f"ctx.needs_input_grad[{place}]" for place, _ in data)
        names = _listed([symbol for _, symbol in data])
        check = [
            f"        if {asked}:",
            f'            raise NotImplementedError("no gradient was derived for {names}")',
        ]
    slopes = ", ".join(f"d{symbol}" for symbol in trained)
    return "\n".join(
        [
            "class Loss(torch.autograd.Function):",
            "    @staticmethod",
            f"    def forward(ctx, {arguments}):",
            f"        {value}, gradients = {FUNCTION}({arguments})",
            "        ctx.save_for_backward(*gradients.values())",
            f"        return {value}",
            "",
            "    @staticmethod",
            "    @torch.autograd.function.once_differentiable",
            f"    def backward(ctx, d{value}):",
            *check,
            f"        {slopes}{',' * (len(trained) == 1)} = ctx.saved_tensors",
            f"        return {_tuple(answers)}",
            "",
            "",
            "loss = Loss.apply",
            "",
        ]
    )


def _tuple(parts: Sequence[str]) -> str:
    return f"({parts[0]},)" if len(parts) == 1 else ", ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
