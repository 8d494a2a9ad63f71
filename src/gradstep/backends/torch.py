"""How does a program read in PyTorch? The same lines, with its names for what NumPy calls otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from gradstep.backends.compiled import Compiled
from gradstep.backends.jax import number_text
from gradstep.backends.numpy import Speller, once
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.python import Text, atom
from gradstep.backends.source import called, executed
from gradstep.backends.source import write as written
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import minus, plus, times
from gradstep.operations.coded import KERNELS, defined
from gradstep.operations.leaves import value_of
from gradstep.operations.pooling import POOLS, simpler

Template = str | Callable[[Expr], str]


def _axes(expr: Expr) -> tuple[int, ...]:
    """The axes that an operation works along."""
    axes = expr.params[0] if expr.params else tuple(range(expr.args[0].rank))
    return axes if isinstance(axes, tuple) else (axes,)


def _along(name: str) -> Template:
    return lambda expr: f"{name}({{0}}, dim={expr.params[0]})"


def _clamped(side: str, whole: str) -> Template:
    """A number is a bound; a tensor is compared entry by entry."""

    def code(expr: Expr) -> str:
        for k, arg in enumerate(expr.args):
            if value_of(once(arg)) is not None:
                return f"torch.clamp({{{1 - k}}}, {side}={{{k}}})"
        return f"{whole}({{0}}, {{1}})"

    return code


def _product(expr: Expr) -> str:
    return f"torch.prod({{0}}, dim={expr.params[0]})"


def _embedded(expr: Expr) -> str:
    """A subscript is no value in Python: its parts are."""
    cuts, shape = expr.params
    ends = (
        str(first)
        if count == 0
        else f"slice({first}, {plus(first, times(step, minus(count, 1)), 1)}, {step})"
        for first, count, step in cuts
    )
    return f"embed({{0}}, ({', '.join(map(str, shape))},), {', '.join(ends)})"


def _reshaped(expr: Expr) -> str:
    return f"torch.reshape({{0}}, ({', '.join(map(str, expr.shape))}{',' * (expr.rank == 1)}))"


def _convolved(name: str) -> Template:
    """A function of PyTorch's for each number of axes; the weights of a window have the sizes said here."""

    def code(expr: Expr) -> str:
        paces, *sizes = expr.params
        strides, paddings, dilations = map(tuple, zip(*paces, strict=True))
        operands, options = "{0}, {1}", f"stride={strides}, padding={paddings}, dilation={dilations}"
        if expr.op.name == "conv_weight":
            lengths = ", ".join(map(str, sizes[0]))
            operands = f"{{0}}, ({{1}}.shape[1], {{0}}.shape[1], {lengths}), {{1}}"
        elif sizes:
            options += f", output_padding={tuple(sizes[0])}"
        return f"torch.nn.{name.format(len(paces))}({operands}, {options})"

    return code


# Operations that PyTorch calls otherwise or has for itself.
OTHERWISE: Mapping[str, Template] = {
    **{name: f"torch.{name}({{0}})" for name in ("exp", "log", "log1p", "expm1", "sqrt", "abs", "sign")},
    **{name: f"torch.{name}({{0}})" for name in ("sin", "cos", "tan", "arcsin", "arccos", "arctan")},
    **{name: f"torch.{name}({{0}})" for name in ("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh")},
    **{
        name: f"torch.{name}({{0}})" for name in ("erf", "floor", "ceil", "round", "trunc", "sigmoid", "relu")
    },
    **{name: f"torch.nn.functional.{name}({{0}})" for name in ("silu", "mish", "gelu", "selu", "softsign")},
    "gelu_tanh": 'torch.nn.functional.gelu({0}, approximate="tanh")',
    "elu": "torch.nn.functional.elu({0}, {p0})",
    "leaky_relu": "torch.where({0} > 0, {0}, {p0} * {0})",
    "maximum": _clamped("min", "torch.maximum"),
    "minimum": _clamped("max", "torch.minimum"),
    "hypot": "torch.hypot({0}, {1})",
    "outer": "torch.outer({0}, {1})",
    "vdot": "torch.sum({0} * {1})",
    "trace": "torch.trace({0})",
    "diagonal": "torch.diagonal({0}, dim1=-2, dim2=-1)",
    "diagonal_matrix": "torch.diag({0})",
    "kron": "torch.kron({0}, {1})",
    "inv": "torch.linalg.inv({0})",
    "pinv": "torch.linalg.pinv({0})",
    "det": "torch.linalg.det({0})",
    "logdet": "torch.linalg.slogdet({0})[1]",
    "solve": "torch.linalg.solve({0}, {1})",
    "norm": lambda expr: f"torch.linalg.vector_norm({{0}}, dim={_axes(expr)})",
    "max": lambda expr: f"torch.amax({{0}}, dim={_axes(expr)})",
    "min": lambda expr: f"torch.amin({{0}}, dim={_axes(expr)})",
    "flip": lambda expr: f"torch.flip({{0}}, {_axes(expr)})",
    "embed": _embedded,
    "concatenate": lambda expr: f"torch.cat(({{0}}, {{1}}), dim={expr.params[0]})",
    "reshape": _reshaped,
    "permute": lambda expr: f"torch.permute({{0}}, {expr.params[0]})",
    "cumsum": _along("torch.cumsum"),
    "prod": _product,
    "softmax": _along("torch.softmax"),
    "log_softmax": _along("torch.log_softmax"),
    "logsumexp": _along("torch.logsumexp"),
    "conv": _convolved("functional.conv{}d"),
    "conv_transpose": _convolved("functional.conv_transpose{}d"),
    "conv_weight": _convolved("grad.conv{}d_weight"),
    "take": "{0}[{1}.long()]",
    "softplus": "softplus({0})",
    "bell": "torch.sigmoid({0}) * torch.sigmoid(-{0})",
    "erfc": "torch.erfc({0})",
    "normal_area": "torch.special.ndtr({0})",
}
HELPERS: Mapping[str, str] = {
    "logcosh": (
        "def logcosh(x):\n"
        "    a = torch.abs(x)\n"
        "    near = torch.log1p(2 * torch.sinh(torch.clamp(a, max=1) / 2) ** 2)\n"
        "    return torch.where(a < 1, near, (a - math.log(2)) + torch.log1p(torch.exp(-2 * a)))\n"
    ),
    "softplus": "def softplus(x):\n    return torch.logaddexp(x, torch.zeros_like(x))\n",
    "unit": (
        "def unit(x, axes):\n"
        "    length = torch.linalg.vector_norm(x, dim=axes, keepdim=True)\n"
        "    return x / torch.where(length == 0, 1, length)\n"
    ),
    "embed": (
        "def embed(part, shape, *places):\n"
        "    whole = torch.zeros(shape, dtype=part.dtype, device=part.device)\n"
        "    whole[places] = part\n"
        "    return whole\n"
    ),
    "windows": (
        "def windows(x, lengths, strides, dilations):\n"
        "    first = x.dim() - len(lengths)\n"
        "    for k, (m, s, d) in enumerate(zip(lengths, strides, dilations)):\n"
        "        x = x.unfold(first + k, d * (m - 1) + 1, s)[..., ::d]\n"
        "    return x\n"
    ),
    "overlap_add": (
        "def overlap_add(windows, lengths, strides, dilations):\n"
        "    axes = len(lengths)\n"
        "    shape = (*windows.shape[: -2 * axes], *lengths)\n"
        "    whole = torch.zeros(shape, dtype=windows.dtype, device=windows.device)\n"
        "    counts = windows.shape[-2 * axes : -axes]\n"
        "    for place in itertools.product(*map(range, windows.shape[-axes:])):\n"
        "        along = zip(place, counts, strides, dilations)\n"
        "        at = [slice(d * j, d * j + s * (count - 1) + 1, s) for j, count, s, d in along]\n"
        "        whole[(..., *at)] += windows[(..., *place)]\n"
        "    return whole\n"
    ),
    "one_hot": (
        "def one_hot(places, size):\n"
        "    return (places[..., None] == torch.arange(size, device=places.device)).to(places.dtype)\n"
    ),
    "hardmax": (
        "def hardmax(x, axes):\n"
        "    largest = (x == x.amax(dim=axes, keepdim=True)).to(x.dtype)\n"
        "    return largest / largest.sum(dim=axes, keepdim=True)\n"
    ),
    "prod_others": (
        "def prod_others(x, axis):\n"
        "    x = x.movedim(axis, -1)\n"
        "    one = torch.ones_like(x[..., :1])\n"
        "    before = torch.cumprod(torch.cat([one, x[..., :-1]], -1), -1)\n"
        "    after = torch.cumprod(torch.cat([one, x.flip(-1)[..., :-1]], -1), -1).flip(-1)\n"
        "    return (before * after).movedim(-1, axis)\n"
    ),
    "diagonal_sums": (
        "def diagonal_sums(a):\n"
        "    n = a.shape[-1]\n"
        "    sums = torch.stack([torch.diagonal(a, k, -2, -1).sum(-1) for k in torch.arange(1 - n, n)], -1)\n"
        "    k = torch.arange(n, device=a.device)\n"
        "    return sums[..., k - k[:, None] + n - 1]\n"
    ),
    "deviations": (
        "def deviations(x, axes):\n"
        "    d = x - x.mean(dim=axes, keepdim=True)\n"
        "    return d - d.mean(dim=axes, keepdim=True)\n"
    ),
}


class TorchSpeller(Speller):
    """Writes expressions with PyTorch's functions."""

    imports = ("import itertools", "import math", "import torch")
    some_kind = "torch.float64"

    def template(self, expr: Expr) -> tuple[str, str]:
        name = expr.op.name
        code, helper = super().template(expr)
        other = OTHERWISE.get(name)
        if other is not None:
            code, helper = other if isinstance(other, str) else other(expr), ""
        return in_torch(code), HELPERS.get(name, helper)

    def code(self, expr: Expr) -> Text:
        if expr.op in POOLS:
            return self.code(simpler(expr))
        if expr.op in KERNELS and expr.op.name not in OTHERWISE:
            return self.code(defined(expr))
        text, head = super().code(expr)
        return in_torch(text), head

    def place(self) -> str:
        """Where new tensors are made, and of which dtype."""
        owner = self.kind.removesuffix(".dtype")
        return f"dtype={self.kind}" + (f", device={owner}.device" if owner != self.kind else "")

    def as_number(self, text: str, expr: Expr) -> str:
        return number_text(text, expr)

    def as_scalar(self, text: str) -> str:
        return f"torch.as_tensor({text}).to({self.kind})"

    def cast(self, code: Text, kind: str) -> str:
        return f"{atom(code)}.to({kind})"

    def copied(self, code: Text) -> str:
        return f"{atom(code)}.clone()"

    def counted(self, text: str) -> str:
        return f"torch.sum({text}, dtype={self.kind})"

    def full(self, shape: str, value: str) -> str:
        return f"({value}) * torch.ones({shape}, {self.place()})"

    def filled_like(self, name: str, code: Text) -> str:
        if code[0] in ("0", "1"):
            return f"torch.{('zeros', 'ones')[int(code[0])]}_like({name})"
        return f"({code[0]}) * torch.ones_like({name})"

    def contracted(self, left: str, right: str, axes: tuple[int, ...]) -> str:
        return f"torch.tensordot({left}, {right}, dims=({axes}, {axes}))"

    def swapped(self, text: str) -> str:
        return f"torch.transpose({text}, -1, -2)"

    def repeat(self, expr: Expr) -> Text:
        inner, (axes, sizes) = expr.args[0], expr.params
        if inner.rank and all(size == 1 for size in sizes):
            return indexed_everywhere(self.number(inner), axes, expr.rank), ""
        return super().repeat(expr)

    def condition(self, code: str, expr: Expr) -> str:
        return code if self.is_mask(expr) else f"{code} != 0"

    def choice(self, condition: str, one: str, other: str, kind: str) -> str:
        return (
            f"torch.where({condition}, {f'torch.as_tensor({one}, dtype={kind})' if kind else one}, {other})"
        )

    def eye(self, expr: Expr) -> Text:
        text, head = super().eye(expr)
        return text.replace(f"dtype={self.kind}", self.place()), head

    def triangle(self, expr: Expr) -> Text:
        text, head = super().triangle(expr)
        return text.replace(f"dtype={self.kind}", self.place()), head


def indexed_everywhere(code: Text, axes: tuple[int, ...], rank: int) -> str:
    """`code` with new axes, also in front."""
    places = ["None" if axis in axes else ":" for axis in range(rank)]
    return f"{atom(code)}[{', '.join(places)}]"


def in_torch(code: str) -> str:
    """What NumPy and PyTorch call by the same name."""
    code = re.sub(r"(?<![\w.])np\.pi\b", "math.pi", code)
    return re.sub(r"(?<![\w.])np\.", "torch.", code)


def write(program: Program, name: str = "") -> str:
    """The source of a function in PyTorch."""
    return written(program, name, TorchSpeller)


def load(source: str, program: Program, options: Options) -> Compiled:
    """The function that the source defines; arrays are taken and given as NumPy's."""

    @cache
    def loaded() -> Callable[..., Any]:
        return executed(source, TorchSpeller.imports)

    def run(*arrays: Any) -> Any:
        torch, function = imported(), loaded()
        with torch.no_grad():
            found = function(*(torch.as_tensor(_lying_forwards(array)) for array in arrays))
        if not program.gradients:
            return _array(found)
        value, gradients = found
        return _array(value), {name: _array(gradient) for name, gradient in gradients.items()}

    run.__name__ = called(program)
    return Compiled(source, program, run)


def _lying_forwards(array: Any) -> Any:
    """An array that PyTorch takes: in its own memory, if its entries lie backwards or must not be written."""
    forwards = all(stride >= 0 for stride in array.strides) and array.flags.writeable
    return array if forwards else array.copy()


def _array(tensor: Any) -> Any:
    return tensor.numpy() if hasattr(tensor, "numpy") else tensor


def imported() -> Any:
    """The package torch; a `MathError` says how to install it."""
    try:
        import torch
    except ImportError:
        raise MathError("PyTorch is not installed", mend="pip install 'gradstep[torch]'") from None
    return torch
