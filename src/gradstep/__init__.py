"""gradstep: the mathematics of a neural network, derived step by step, proved, run and shown.

    import gradstep as gs

    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    d = gs.derive(loss, wrt=["w", "b"])
    print(d.text(view="sample"))
    f = gs.compile(d)

Importing it loads nothing: a public name is found in the table below when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; the typing module itself would take its time to load
if TYPE_CHECKING:
    from typing import Any

    from gradstep.backends.compiled import Compiled as Compiled
    from gradstep.calculus.steps import Derivation as Derivation
    from gradstep.calculus.steps import Step as Step
    from gradstep.calculus.verdicts import Certificate as Certificate
    from gradstep.checks import check as check
    from gradstep.expression.errors import MathError as MathError
    from gradstep.expression.node import Expr as Expr
    from gradstep.learn.fit import Fit as Fit
    from gradstep.learn.opening import open_rows as open_rows
    from gradstep.learn.queries import open_query as open_query
    from gradstep.learn.saving import load as load
    from gradstep.learn.sweeps import Sweep as Sweep
    from gradstep.learn.training import train as train
    from gradstep.library import networks as networks
    from gradstep.notation.functions import function as function
    from gradstep.notation.parsing import parse as parse
    from gradstep.notation.parsing import symbols as symbols
    from gradstep.notation.text import plain as plain
    from gradstep.operations.activations import abs as abs
    from gradstep.operations.activations import maximum as maximum
    from gradstep.operations.activations import minimum as minimum
    from gradstep.operations.activations import relu as relu
    from gradstep.operations.activations import sigmoid as sigmoid
    from gradstep.operations.activations import sign as sign
    from gradstep.operations.activations import softplus as softplus
    from gradstep.operations.activations import sqrt as sqrt
    from gradstep.operations.activations import tanh as tanh
    from gradstep.operations.arithmetic import exp as exp
    from gradstep.operations.arithmetic import log as log
    from gradstep.operations.broadcasting import ones as ones
    from gradstep.operations.broadcasting import repeat as repeat
    from gradstep.operations.broadcasting import squeeze as squeeze
    from gradstep.operations.broadcasting import zeros as zeros
    from gradstep.operations.choices import clip as clip
    from gradstep.operations.choices import hardtanh as hardtanh
    from gradstep.operations.choices import relu6 as relu6
    from gradstep.operations.choices import where as where
    from gradstep.operations.convolutions import conv1d as conv1d
    from gradstep.operations.convolutions import conv1d_weight as conv1d_weight
    from gradstep.operations.convolutions import conv2d as conv2d
    from gradstep.operations.convolutions import conv2d_weight as conv2d_weight
    from gradstep.operations.convolutions import conv_transpose1d as conv_transpose1d
    from gradstep.operations.convolutions import conv_transpose2d as conv_transpose2d
    from gradstep.operations.cumulative import cumsum as cumsum
    from gradstep.operations.cumulative import prod as prod
    from gradstep.operations.cumulative import prod_others as prod_others
    from gradstep.operations.diagonals import diag as diag
    from gradstep.operations.diagonals import eye as eye
    from gradstep.operations.diagonals import trace as trace
    from gradstep.operations.einsums import einsum as einsum
    from gradstep.operations.entries import concatenate as concatenate
    from gradstep.operations.entries import embed as embed
    from gradstep.operations.entries import ravel as ravel
    from gradstep.operations.entries import reshape as reshape
    from gradstep.operations.entries import stack as stack
    from gradstep.operations.evaluation import evaluate as evaluate
    from gradstep.operations.extremes import hardmax as hardmax
    from gradstep.operations.extremes import max as max
    from gradstep.operations.extremes import min as min
    from gradstep.operations.flips import flip as flip
    from gradstep.operations.gates import elu as elu
    from gradstep.operations.gates import gelu as gelu
    from gradstep.operations.gates import leaky_relu as leaky_relu
    from gradstep.operations.gates import mish as mish
    from gradstep.operations.gates import selu as selu
    from gradstep.operations.gates import silu as silu
    from gradstep.operations.gates import softsign as softsign
    from gradstep.operations.hyperbolic import arccosh as arccosh
    from gradstep.operations.hyperbolic import arcsinh as arcsinh
    from gradstep.operations.hyperbolic import arctanh as arctanh
    from gradstep.operations.hyperbolic import cosh as cosh
    from gradstep.operations.hyperbolic import logcosh as logcosh
    from gradstep.operations.hyperbolic import sinh as sinh
    from gradstep.operations.inverses import det as det
    from gradstep.operations.inverses import inv as inv
    from gradstep.operations.inverses import logdet as logdet
    from gradstep.operations.inverses import matrix_power as matrix_power
    from gradstep.operations.inverses import solve as solve
    from gradstep.operations.kronecker import kron as kron
    from gradstep.operations.leaves import pi as pi
    from gradstep.operations.leaves import size as size
    from gradstep.operations.lookups import one_hot as one_hot
    from gradstep.operations.lookups import take as take
    from gradstep.operations.norms import norm as norm
    from gradstep.operations.norms import std as std
    from gradstep.operations.norms import unit as unit
    from gradstep.operations.permutations import swapaxes as swapaxes
    from gradstep.operations.permutations import transpose as transpose
    from gradstep.operations.pooling import avg_pool1d as avg_pool1d
    from gradstep.operations.pooling import avg_pool2d as avg_pool2d
    from gradstep.operations.pooling import avg_unpool1d as avg_unpool1d
    from gradstep.operations.pooling import avg_unpool2d as avg_unpool2d
    from gradstep.operations.pooling import max_pool1d as max_pool1d
    from gradstep.operations.pooling import max_pool2d as max_pool2d
    from gradstep.operations.pooling import max_share1d as max_share1d
    from gradstep.operations.pooling import max_share2d as max_share2d
    from gradstep.operations.pooling import max_take1d as max_take1d
    from gradstep.operations.pooling import max_take2d as max_take2d
    from gradstep.operations.pooling import max_unpool1d as max_unpool1d
    from gradstep.operations.pooling import max_unpool2d as max_unpool2d
    from gradstep.operations.precise import erf as erf
    from gradstep.operations.precise import expm1 as expm1
    from gradstep.operations.precise import log1p as log1p
    from gradstep.operations.products import dot as dot
    from gradstep.operations.products import inner as inner
    from gradstep.operations.products import outer as outer
    from gradstep.operations.products import vdot as vdot
    from gradstep.operations.pseudoinverses import pinv as pinv
    from gradstep.operations.rowwise import log_softmax as log_softmax
    from gradstep.operations.rowwise import logsumexp as logsumexp
    from gradstep.operations.rowwise import softmax as softmax
    from gradstep.operations.steps import ceil as ceil
    from gradstep.operations.steps import floor as floor
    from gradstep.operations.steps import round as round
    from gradstep.operations.steps import trunc as trunc
    from gradstep.operations.sums import mean as mean
    from gradstep.operations.sums import sum as sum
    from gradstep.operations.sums import var as var
    from gradstep.operations.toeplitz import diagonal_sums as diagonal_sums
    from gradstep.operations.triangles import tril as tril
    from gradstep.operations.triangles import triu as triu
    from gradstep.operations.trigonometry import arccos as arccos
    from gradstep.operations.trigonometry import arcsin as arcsin
    from gradstep.operations.trigonometry import arctan as arctan
    from gradstep.operations.trigonometry import cos as cos
    from gradstep.operations.trigonometry import sin as sin
    from gradstep.operations.trigonometry import tan as tan
    from gradstep.operations.windows import overlap_add as overlap_add
    from gradstep.operations.windows import windows as windows
    from gradstep.public import derive as derive
    from gradstep.public import hessian as hessian
    from gradstep.public import hvp as hvp
    from gradstep.public import jacobian as jacobian
    from gradstep.public import jvp as jvp
    from gradstep.running import compile as compile


__version__ = "0.1.0"

# Where every name is found: the public ones, and those behind methods that need an upper room.
_ROOMS = {
    "gradstep.public": ["derive", "jacobian", "hessian", "jvp", "hvp", "_text"],
    "gradstep.checks": ["check"],
    "gradstep.library": ["networks"],
    "gradstep.running": ["compile"],
    "gradstep.notation.publishing": ["_latex", "_markdown", "_json"],
    "gradstep.notation.notebooks": ["_bundle", "_expression", "_certificate", "_verdict"],
    "gradstep.page.notebooks": ["_fit", "_sweep"],
    "gradstep.page.derived": ["_html"],
    "gradstep.page.fitted": ["_write_page"],
    "gradstep.page.widgets": ["_widget"],
    "gradstep.calculus.tape": ["_tape_of"],
    "gradstep.notation.tapes": ["_tape"],
    "gradstep.notation.text": ["plain"],
    "gradstep.notation.parsing": ["parse", "symbols"],
    "gradstep.notation.functions": ["function", "_redeclared"],
    "gradstep.calculus.steps": ["Derivation", "Step"],
    "gradstep.calculus.verdicts": ["Certificate"],
    "gradstep.backends.compiled": ["Compiled"],
    "gradstep.learn.training": ["train"],
    "gradstep.learn.opening": ["open_rows"],
    "gradstep.learn.queries": ["open_query"],
    "gradstep.learn.saving": ["load"],
    "gradstep.learn.fit": ["Fit"],
    "gradstep.learn.sweeps": ["Sweep"],
    "gradstep.expression.node": ["Expr"],
    "gradstep.expression.errors": ["MathError"],
    "gradstep.operations.evaluation": ["evaluate"],
    "gradstep.operations.graph": ["_pickled", "_unpickled"],
    "gradstep.operations.kronecker": ["kron"],
    "gradstep.operations.leaves": ["pi", "size"],
    "gradstep.operations.arithmetic": ["exp", "log"],
    "gradstep.operations.broadcasting": ["ones", "repeat", "squeeze", "zeros"],
    "gradstep.operations.diagonals": ["trace", "diag", "eye"],
    "gradstep.operations.einsums": ["einsum"],
    "gradstep.operations.pseudoinverses": ["pinv"],
    "gradstep.operations.toeplitz": ["diagonal_sums"],
    "gradstep.operations.triangles": ["tril", "triu"],
    "gradstep.operations.inverses": ["inv", "det", "logdet", "solve", "matrix_power"],
    "gradstep.operations.sums": ["sum", "mean", "var"],
    "gradstep.operations.pooling": [
        "avg_pool1d", "avg_pool2d", "avg_unpool1d", "avg_unpool2d", "max_pool1d", "max_pool2d",
        "max_share1d", "max_share2d", "max_take1d", "max_take2d", "max_unpool1d", "max_unpool2d",
    ],
    "gradstep.operations.windows": ["overlap_add", "windows"],
    "gradstep.operations.convolutions": [
        "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "conv1d_weight", "conv2d_weight",
    ],
    "gradstep.operations.cumulative": ["cumsum", "prod", "prod_others"],
    "gradstep.operations.entries": ["concatenate", "embed", "ravel", "reshape", "stack"],
    "gradstep.operations.extremes": ["hardmax", "max", "min"],
    "gradstep.operations.flips": ["flip"],
    "gradstep.operations.lookups": ["one_hot", "take"],
    "gradstep.operations.norms": ["norm", "std", "unit"],
    "gradstep.operations.permutations": ["swapaxes", "transpose"],
    "gradstep.operations.products": ["dot", "inner", "outer", "vdot"],
    "gradstep.operations.activations": [
        "sqrt", "tanh", "sigmoid", "softplus", "relu", "abs", "sign", "maximum", "minimum",
    ],
    "gradstep.operations.choices": ["clip", "hardtanh", "relu6", "where"],
    "gradstep.operations.gates": ["elu", "gelu", "leaky_relu", "mish", "selu", "silu", "softsign"],
    "gradstep.operations.hyperbolic": ["arccosh", "arcsinh", "arctanh", "cosh", "logcosh", "sinh"],
    "gradstep.operations.precise": ["erf", "expm1", "log1p"],
    "gradstep.operations.steps": ["ceil", "floor", "round", "trunc"],
    "gradstep.operations.trigonometry": ["arccos", "arcsin", "arctan", "cos", "sin", "tan"],
    "gradstep.operations.rowwise": ["softmax", "log_softmax", "logsumexp"],
}  # fmt: skip
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["__version__", *(name for name in _HOME if not name.startswith("_"))]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"gradstep has no {name!r}")
    found = getattr(import_module(_HOME[name]), name.removeprefix("_"))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
