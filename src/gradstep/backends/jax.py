"""How does a program read in JAX? Like NumPy, without anything that `jax.jit` could not trace.

Helper functions that ask for the value of an array or change it in place are replaced by those of `jax.nn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from gradstep.backends.compiled import Compiled
from gradstep.backends.numpy import Speller
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.python import Text, atom
from gradstep.backends.source import called, executed
from gradstep.backends.source import write as written
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.operations.coded import KERNELS, defined
from gradstep.operations.evaluation import evaluate
from gradstep.operations.pooling import POOLS, simpler

# What is called otherwise, by the name of the operation: the code, and a helper function if it calls one.
OTHERWISE: Mapping[str, tuple[str, str]] = {
    "sigmoid": ("jax.nn.sigmoid({0})", ""),
    "leaky_relu": ("jax.nn.leaky_relu({0}, {p0})", ""),
    "silu": ("jax.nn.silu({0})", ""),
    "gelu": ("jax.nn.gelu({0}, approximate=False)", ""),
    "gelu_tanh": ("jax.nn.gelu({0}, approximate=True)", ""),
    "elu": ("jax.nn.elu({0}, {p0})", ""),
    "selu": ("jax.nn.selu({0})", ""),
    "softsign": ("jax.nn.soft_sign({0})", ""),
    "softmax": ("jax.nn.softmax({0}, axis={p0})", ""),
    "log_softmax": ("jax.nn.log_softmax({0}, axis={p0})", ""),
    "logsumexp": ("jax.nn.logsumexp({0}, axis={p0})", ""),
    "mish": ("jax.nn.mish({0})", ""),
    "erf": ("jax.scipy.special.erf({0})", ""),
    "erfc": ("jax.scipy.special.erfc({0})", ""),
    "normal_area": ("jax.scipy.special.ndtr({0})", ""),
    "take": ("{0}[{1}.astype(jnp.int32)]", ""),
}
HELPERS: Mapping[str, str] = {
    "norm": "def norm(x, axes):\n    return jnp.sqrt(jnp.sum(jnp.square(x), axis=axes))\n",
    "unit": (
        "def unit(x, axes):\n"
        "    length = jnp.sqrt(jnp.sum(jnp.square(x), axis=axes, keepdims=True))\n"
        "    return x / jnp.where(length == 0, 1, length)\n"
    ),
    "windows": (
        "def windows(x, lengths, strides, dilations):\n"
        "    first = x.ndim - len(lengths)\n"
        "    for k, (m, s, d) in enumerate(zip(lengths, strides, dilations)):\n"
        "        count = (x.shape[first + k] - d * (m - 1) - 1) // s + 1\n"
        "        at = s * jnp.arange(count)[:, None] + d * jnp.arange(m)\n"
        "        x = jnp.moveaxis(jnp.take(x, at, axis=first + k), first + k + 1, -1)\n"
        "    return x\n"
    ),
    "overlap_add": (
        "def overlap_add(windows, lengths, strides, dilations):\n"
        "    axes = len(lengths)\n"
        "    whole = jnp.zeros((*windows.shape[: -2 * axes], *lengths), windows.dtype)\n"
        "    counts = windows.shape[-2 * axes : -axes]\n"
        "    for place in itertools.product(*map(range, windows.shape[-axes:])):\n"
        "        along = zip(place, counts, strides, dilations)\n"
        "        at = [slice(d * j, d * j + s * (count - 1) + 1, s) for j, count, s, d in along]\n"
        "        whole = whole.at[(..., *at)].add(windows[(..., *place)])\n"
        "    return whole\n"
    ),
    "conv": (
        "def convolved(x, w, strides, paddings, dilations):\n"
        "    around = [(p, p) for p in paddings]\n"
        "    return jax.lax.conv_general_dilated(x, w, strides, around, rhs_dilation=dilations)\n"
    ),
    "conv_transpose": (
        "def convolved_back(g, w, strides, paddings, dilations, beyond):\n"
        "    reach = [d * (m - 1) for m, d in zip(w.shape[2:], dilations)]\n"
        "    around = [(r - p, r - p + more) for r, p, more in zip(reach, paddings, beyond)]\n"
        "    turned = jnp.flip(jnp.swapaxes(w, 0, 1), tuple(range(2, w.ndim)))\n"
        "    return jax.lax.conv_general_dilated(\n"
        "        g, turned, (1,) * len(strides), around, lhs_dilation=strides, rhs_dilation=dilations\n"
        "    )\n"
    ),
    "conv_weight": (
        "def convolved_weights(x, g, lengths, strides, paddings, dilations):\n"
        "    around = [(p, p) for p in paddings]\n"
        "    signal, window = jnp.swapaxes(x, 0, 1), jnp.swapaxes(g, 0, 1)\n"
        "    whole = jax.lax.conv_general_dilated(signal, window, dilations, around, rhs_dilation=strides)\n"
        "    return jnp.swapaxes(whole, 0, 1)[(..., *map(slice, lengths))]\n"
    ),
    "embed": (
        "def embed(part, shape, places):\n"
        "    return jnp.zeros(shape, jnp.asarray(part).dtype).at[places].set(part)\n"
    ),
}


class JaxSpeller(Speller):
    """Writes expressions with `jax.numpy`."""

    imports = ("import itertools", "import jax", "import jax.numpy as jnp")

    def template(self, expr: Expr) -> tuple[str, str]:
        name = expr.op.name
        code, helper = OTHERWISE.get(name) or super().template(expr)
        return in_jax(code), in_jax(HELPERS.get(name, helper))

    def code(self, expr: Expr) -> Text:
        if expr.op in POOLS:
            return self.code(simpler(expr))
        if expr.op in KERNELS and expr.op.name not in OTHERWISE:
            return self.code(defined(expr))
        text, head = super().code(expr)
        return in_jax(text), head

    def as_number(self, text: str, expr: Expr) -> str:
        return number_text(text, expr)

    def as_scalar(self, text: str) -> str:
        return f"({text}).astype({self.kind})" if not text.isidentifier() else f"{text}.astype({self.kind})"

    def copied(self, code: Text) -> str:
        return atom(code)  # arrays do not change

    def filled_like(self, name: str, code: Text) -> str:
        return in_jax(super().filled_like(name, code))

    def counted(self, text: str) -> str:
        return f"jnp.sum({text}, dtype={self.kind})"


def in_jax(code: str) -> str:
    """NumPy's names as those of `jax.numpy`."""
    return re.sub(r"(?<![\w.])np\.", "jnp.", code)


def number_text(text: str, expr: Expr) -> str:
    """A constant: its value where no size is in it, else a function of numbers."""
    try:
        return repr(float(evaluate(expr)))
    except (KeyError, MathError):
        return re.sub(r"(?<![\w.])j?np\.", "math.", text)


def write(program: Program, name: str = "") -> str:
    """The source of a function in JAX."""
    return written(program, name, JaxSpeller)


def load(source: str, program: Program, options: Options) -> Compiled:
    """The function that the source defines, compiled by `jax.jit` when it is called."""

    @cache
    def compiled() -> Any:
        return imported().jit(executed(source, JaxSpeller.imports))

    def run(*arrays: Any) -> Any:
        jax, function = imported(), compiled()
        with jax.enable_x64(any(array.dtype == "float64" for array in arrays)):
            found = function(*arrays)
        if not program.gradients:
            return found
        value, gradients = found  # in the order of their names, as JAX keeps dictionaries
        return value, {name: gradients[name] for name in program.gradients}

    run.__name__ = called(program)
    return Compiled(source, program, run)


def imported() -> Any:
    """The package jax; a `MathError` says how to install it."""
    try:
        import jax
    except ImportError:
        raise MathError(
            "this needs JAX, which is not installed", mend="pip install 'gradstep[jax]'"
        ) from None
    return jax
