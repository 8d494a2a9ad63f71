#!/usr/bin/env python3
"""Do we agree with PyTorch on PyTorch's own samples? Value and gradient, for the operations that both have.

    python3 dev.py setup --peers
    .venv/bin/python benchmarks/opinfo.py [NAME …]

PyTorch tests its operations on the sample inputs of its OpInfo table. Here each sample (float64) becomes an
expression of ours, if it can be written as one; the value, and the gradient of a sum with random weights by
every operand that may move, are compared with PyTorch's. A sample that disagrees only where a function
bends is counted by itself: there the slope is a choice, which each operation of ours states.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import gradstep as gs
from gradstep.operations import FUNCTIONS as F
from gradstep.operations.broadcasting import repeat, squeeze
from gradstep.operations.evaluation import variables
from gradstep.operations.permutations import matrix_transpose

TOLERANCE = 1e-9
NUDGE = 1e-3
LETTERS = "abcdefgh"


class NotWritten(Exception):
    """This sample asks for what our formulas do not say."""


def need(condition: bool, reason: str) -> None:
    if not condition:
        raise NotWritten(reason)


def along(name: str, default: Any = None) -> Callable[..., Any]:
    """A reduction or a cumulative function along one axis or some."""

    def made(x: Any, dim: Any = default, keepdim: bool = False, dtype: Any = None) -> Any:
        need(dtype in (None, torch.float64), "another dtype")
        if x.rank == 0:
            need(name in ("sum", "mean", "amax", "amin"), "an axis of a number")
            return x
        axis = tuple(dim) if isinstance(dim, list | tuple) else dim
        if axis == ():
            axis = None
        extra = {"keepdims": True} if keepdim else {}
        return F[name](x, axis=axis, **extra)

    return made


def spread(name: str, correction: int = 1) -> Callable[..., Any]:
    """The variance or the standard deviation: PyTorch divides by n − 1, and NumPy and gradstep by n."""

    def made(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, **other: Any) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correct = other.pop("correction", None)
        need(not other, f"the option {[*other]}")
        correct = (1 if unbiased is None else int(unbiased)) if correct is None else correct
        axes = range(x.rank) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
        count = float(np.prod([x.shape[a] for a in axes]))
        need(count > correct, "nothing left to divide by")
        axis = tuple(axes) if dim is not None and dim != [] else None
        extra = {"keepdims": True} if keepdim else {}
        variance = F["var"](x, axis=axis, **extra) * (count / (count - correct))
        return variance if name == "var" else F["sqrt"](variance)

    return made


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    result = x if min is None else F["maximum"](x, min)
    return result if max is None else F["minimum"](result, max)


def combined(x: Any, other: Any, alpha: float = 1, sign: int = 1) -> Any:
    return x + (sign * alpha) * other


def divided(x: Any, other: Any, rounding_mode: Any = None) -> Any:
    need(rounding_mode is None, "rounding")
    return x / other


def added(product: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, a, b, beta=1, alpha=1: beta * x + alpha * product(a, b)


def reduced(entry: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def made(x: Any, y: Any, reduction: str = "mean", weight: Any = None, **other: Any) -> Any:
        need(not other and weight is None, "an option of the loss")
        told = entry(x, y)
        return told if reduction == "none" else F[reduction](told)

    return made


def softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    need(threshold == 20, "a threshold above which softplus is cut short")
    return F["softplus"](beta * x) / beta


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    need(x.rank in (1, 2) and weight.rank == 2, "more than two axes")
    return x @ weight.T if bias is None else x @ weight.T + bias


def norm(x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    plain_one = ord is None or (ord in (2, 2.0) and x.rank == 1)
    need(plain_one and dim is None and not keepdim and dtype is None, "another norm")
    return F["norm"](x)


def swapped(x: Any, a: int, b: int) -> Any:
    axes = sorted((a % max(x.rank, 1), b % max(x.rank, 1)))
    need(x.rank >= 2 and axes == [x.rank - 2, x.rank - 1], "other axes than the last two")
    return matrix_transpose(x)


def chosen(name: str) -> Callable[..., Any]:
    return lambda x, *more: F[name](x, *more)


def plain(name: str) -> Callable[..., Any]:
    """The function of ours, with the options of PyTorch that say nothing new left out."""

    def made(x: Any, *more: Any, **other: Any) -> Any:
        need(not other or other == {"inplace": False}, f"the option {', '.join(other)}")
        return F[name](x, *more)

    return made


def rowwise(name: str) -> Callable[..., Any]:
    def made(x: Any, dim: Any = None, dtype: Any = None, keepdim: bool = False, **other: Any) -> Any:
        need(dtype in (None, torch.float64), "another dtype")
        dim = dim[0] if isinstance(dim, list | tuple) and len(dim) == 1 else dim
        need(isinstance(dim, int) and x.rank > 0, "several axes at once")
        result = F[name](x, axis=dim)
        return repeat(result, dim % x.rank, 1) if keepdim else result

    return made


def matrices(function: Callable[..., Any]) -> Callable[..., Any]:
    def made(x: Any, *more: Any, **other: Any) -> Any:
        need(x.rank == 2, "a stack of matrices")
        need(not other, f"the option {', '.join(other)}")
        return function(x, *more)

    return made


def diagonal(x: Any, offset: int = 0, *more: Any, **other: Any) -> Any:
    need(offset == 0 and not more and not other, "another diagonal")
    return F["diag"](x)


SAME = ["abs", "cos", "cosh", "erf", "exp", "expm1", "log", "log1p", "sigmoid", "sign", "sin", "sinh", "sqrt"]
SAME += ["tan", "tanh", "maximum", "minimum", "outer", "floor", "ceil", "trunc"]
ACTIVATIONS = ["relu", "relu6", "silu", "mish", "selu", "elu", "leaky_relu", "softsign"]

# How a function of PyTorch is written with ours.
WRITTEN: dict[str, Callable[..., Any]] = {
    **{name: plain(name) for name in SAME},
    **{f"nn.functional.{name}": plain(name) for name in ACTIVATIONS},
    **{name: plain(f"arc{name[1:]}") for name in ("acos", "acosh", "asin", "asinh", "atan", "atanh")},
    "neg": lambda x: -x,
    "positive": lambda x: x,
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / F["sqrt"](x),
    "log2": lambda x: F["log"](x) / float(np.log(2)),
    "log10": lambda x: F["log"](x) / float(np.log(10)),
    "exp2": lambda x: F["exp"](float(np.log(2)) * x),
    "sgn": lambda x: F["sign"](x),
    "hypot": lambda x, y: F["sqrt"](x**2 + y**2),
    "xlogy": lambda x, y: x * F["log"](y),
    "nn.functional.gelu": lambda x, approximate="none": F["gelu"](x, approximate),
    "nn.functional.softplus": softplus,
    "nn.functional.hardtanh": lambda x, min_val=-1, max_val=1, **other: clamp(x, min_val, max_val),
    "nn.functional.logsigmoid": lambda x: -F["softplus"](-x),
    "nn.functional.tanhshrink": lambda x: x - F["tanh"](x),
    "add": combined,
    "sub": lambda x, other, alpha=1: combined(x, other, alpha, -1),
    "rsub": lambda x, other, alpha=1: combined(other, x, alpha, -1),
    "mul": lambda x, other: x * other,
    "div": divided,
    "true_divide": divided,
    "pow": lambda x, n: x**n,
    "float_power": lambda x, n: x**n,
    "clamp": clamp,
    "clamp_min": lambda x, low: clamp(x, low),
    "clamp_max": lambda x, high: clamp(x, None, high),
    "fmax": chosen("maximum"),
    "fmin": chosen("minimum"),
    "max": lambda *given: binary_or("max", "maximum", *given),
    "min": lambda *given: binary_or("min", "minimum", *given),
    "lerp": lambda x, y, t: x + t * (y - x),
    "addcmul": lambda x, a, b, value=1: x + value * a * b,
    "addcdiv": lambda x, a, b, value=1: x + value * a / b,
    "matmul": lambda x, y: x @ y,
    "__rmatmul__": lambda x, y: y @ x,
    "mm": lambda x, y: x @ y,
    "mv": lambda x, y: x @ y,
    "bmm": lambda x, y: x @ y,
    "dot": chosen("dot"),
    "vdot": chosen("dot"),
    "ger": chosen("outer"),
    "addmm": added(lambda a, b: a @ b),
    "addmv": added(lambda a, b: a @ b),
    "addr": added(lambda a, b: F["outer"](a, b)),
    "linalg.inv": matrices(lambda x: F["inv"](x)),
    "linalg.det": matrices(lambda x: F["det"](x)),
    "logdet": matrices(lambda x: F["logdet"](x)),
    "linalg.solve": matrices(lambda a, b: F["solve"](a, b)),
    "linalg.matrix_power": matrices(lambda x, n: F["matrix_power"](x, n)),
    "linalg.vector_norm": norm,
    "linalg.norm": norm,
    "trace": matrices(lambda x: F["trace"](x)),
    "kron": lambda x, y: F["kron"](x, y),
    "diag": diagonal,
    "diag_embed": lambda x, *more, **other: (
        diagonal(x, *more, **other) if x.rank == 1 else unsaid("a stack of matrices")
    ),
    "diagonal": diagonal,
    "t": lambda x: x.T,
    "transpose": swapped,
    "sum": along("sum"),
    "mean": along("mean"),
    "prod": along("prod"),
    "amax": along("max"),
    "amin": along("min"),
    "cumsum": along("cumsum"),
    "var": spread("var"),
    "std": spread("std"),
    "softmax": rowwise("softmax"),
    "log_softmax": rowwise("log_softmax"),
    "nn.functional.softmin": lambda x, dim=None, **other: rowwise("softmax")(-x, dim, **other),
    "logsumexp": rowwise("logsumexp"),
    "reshape": lambda x, shape: F["reshape"](x, tuple(shape)) if -1 not in shape else unsaid("a size of −1"),
    "view": lambda x, *shape: F["reshape"](x, tuple(np.ravel(shape).tolist())),
    "ravel": lambda x: F["ravel"](x),
    "unsqueeze": lambda x, dim: repeat(x, dim, 1),
    "squeeze": lambda x, dim: squeezed(x, dim),
    "flip": lambda x, dims: flipped(x, dims),
    "fliplr": lambda x: flipped(x, (1,)),
    "flipud": lambda x: flipped(x, (0,)),
    "cat": lambda parts, dim=0: F["concatenate"](parts, axis=dim),
    "stack": lambda parts, dim=0: F["stack"](parts, axis=dim),
    "where": lambda x, condition, other: F["where"](condition, x, other),
    "nn.functional.linear": linear,
    "nn.functional.mse_loss": reduced(lambda x, y: (x - y) ** 2),
    "nn.functional.l1_loss": reduced(lambda x, y: F["abs"](x - y)),
    "nn.functional.binary_cross_entropy": reduced(
        lambda x, y: -(y * F["log"](x) + (1 - y) * F["log"](1 - x))
    ),
}


def unsaid(reason: str) -> Any:
    raise NotWritten(reason)


def squeezed(x: Any, dim: Any = None) -> Any:
    need(isinstance(dim, int), "several axes at once")
    return squeeze(x, dim) if x.rank and x.shape[dim] == 1 else x


def flipped(x: Any, dims: Any) -> Any:
    for dim in dims:
        x = F["flip"](x, dim)
    return x


def binary_or(one: str, two: str, x: Any, *more: Any, **other: Any) -> Any:
    """torch.max of one array, or of two."""
    need(not other and not any(isinstance(y, int) for y in more), "the places of the largest")
    return F[two](x, *more) if more else F[one](x)


# ------------------------------------------------------------------------------------------- one sample


def told(sample: Any) -> Iterator[Any]:
    """All tensors of a sample, those in lists too."""
    for given in (sample.input, *sample.args, *sample.kwargs.values()):
        yield from (x for x in (given if isinstance(given, list | tuple) else (given,)) if is_tensor(x))


def is_tensor(x: object) -> bool:
    return isinstance(x, torch.Tensor)


class Compared:
    """One sample, and the outcome: agree, kink, not written, or what is different."""

    def __init__(self, op: Any, sample: Any) -> None:
        self.op, self.sample = op, sample
        self.tensors = list({id(x): x for x in told(sample)}.values())
        self.error = 0.0

    def outcome(self) -> tuple[str, str]:
        try:
            need(all(x.dtype in (torch.float64, torch.bool) for x in self.tensors), "another dtype")
            need(all(x.numel() for x in self.tensors), "an empty array")
            need(len(self.tensors) <= len(LETTERS), "many operands")
            difference = self.difference(0)
            if not difference:
                return "agree", ""
            return ("kink", "") if not self.difference(NUDGE) else ("differ", difference)
        except NotWritten as reason:
            return "not written", str(reason)
        except (gs.MathError, TypeError, KeyError) as error:
            return "not written", str(error).splitlines()[0]

    def difference(self, nudge: float) -> str:
        """What differs, "" if nothing does; operands are moved by `nudge` first."""
        names = dict(zip(map(id, self.tensors), LETTERS, strict=False))
        moved = {}
        for x in self.tensors:
            here = x.detach().clone()
            if nudge and here.dtype == torch.float64:
                here += nudge * torch.rand_like(here)
            moved[id(x)] = here.requires_grad_(x.requires_grad)
        symbols = {id(x): gs.symbols(**{names[id(x)]: tuple(x.shape)})[0] for x in self.tensors}
        ours = WRITTEN[self.op.name](*self.given(symbols)[0], **self.given(symbols)[1])
        args, kwargs = self.given(moved)
        theirs = self.op.op(*args, **kwargs)
        need(is_tensor(theirs) and theirs.dtype == torch.float64, "another result than one array of numbers")
        values = {names[key]: value.detach().numpy().astype(float) for key, value in moved.items()}
        if tuple(theirs.shape) != ours.shape:
            return f"the shape {ours.shape}, PyTorch {tuple(theirs.shape)}"
        used = {name for name in values if name in variables_of(ours)}
        value = gs.evaluate(ours, **{name: values[name] for name in used})
        if not self.near(value, theirs.detach().numpy()):
            return "the value"
        wrt = [x for x in self.tensors if x.requires_grad and names[id(x)] in used]
        if not wrt or not theirs.requires_grad:
            return ""
        (weights,) = gs.symbols(weights=ours.shape)
        loss = F["sum"](ours * weights) if ours.rank else ours * weights
        drawn = np.random.default_rng(0).standard_normal(ours.shape)
        d = gs.derive(loss, wrt=[names[id(x)] for x in wrt], certify=False)
        moving = [moved[id(x)] for x in wrt]
        slopes = torch.autograd.grad((theirs * torch.tensor(drawn)).sum(), moving, allow_unused=True)
        for x, slope in zip(wrt, slopes, strict=True):
            answer = d.answers[names[id(x)]]
            known = {**values, "weights": drawn}
            found = gs.evaluate(answer, **{name: known[name] for name in variables_of(answer)})
            right = np.zeros(tuple(x.shape)) if slope is None else slope.numpy(force=True)
            if not self.near(found, right):
                return "the gradient"
        return ""

    def given(self, table: dict[int, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the sample, with each tensor exchanged for what stands in `table`."""

        def exchanged(x: Any) -> Any:
            if isinstance(x, list | tuple) and any(map(is_tensor, x)):
                return [exchanged(part) for part in x]
            return table[id(x)] if is_tensor(x) else x

        args = [exchanged(x) for x in (self.sample.input, *self.sample.args)]
        return args, {name: exchanged(x) for name, x in self.sample.kwargs.items()}

    def near(self, ours: Any, theirs: Any) -> bool:
        ours, theirs = np.broadcast_to(ours, np.shape(theirs)), np.asarray(theirs)
        scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)))
        if np.isfinite(theirs).all() and np.isfinite(ours).all():
            error = float(np.abs(ours - theirs).max(initial=0.0)) / scale
            if error <= TOLERANCE:
                self.error = max(self.error, error)
        return bool(np.allclose(ours, theirs, rtol=0, atol=TOLERANCE * scale, equal_nan=True))


def variables_of(expr: Any) -> set[str]:
    return set(variables(expr))


# ------------------------------------------------------------------------------------------- all


def main(names: list[str]) -> int:
    warnings.filterwarnings("ignore")
    np.seterr(all="ignore")
    totals: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    differing: list[str] = []
    worst = 0.0
    met = set()
    print(f"{'operation of PyTorch':32} {'agree':>6} {'kink':>5} {'differ':>6} {'not written':>12}")
    for op in op_db:
        if op.name not in WRITTEN or (names and op.name not in names) or torch.float64 not in op.dtypes:
            continue
        met.add(op.name)
        counts: Counter[str] = Counter()
        torch.manual_seed(0)
        for sample in op.sample_inputs("cpu", torch.float64, requires_grad=op.supports_autograd):
            compared = Compared(op, sample)
            outcome, said = compared.outcome()
            counts[outcome] += 1
            worst = max(worst, compared.error)
            if outcome == "not written":
                reasons[said] += 1
            if outcome == "differ":
                differing.append(f"{op.name}: {said}: {[tuple(x.shape) for x in compared.tensors]}")
        totals += counts
        row = [counts[each] for each in ("agree", "kink", "differ", "not written")]
        print(f"{op.name:32} {row[0]:6} {row[1]:5} {row[2]:6} {row[3]:12}")
    print(f"\n{len(met)} operations: {totals['agree']} samples agree to {TOLERANCE:g} (worst {worst:.1e}),")
    print(f"{totals['kink']} differ at a kink alone, {totals['differ']} differ, ", end="")
    print(f"{totals['not written']} are not written as formulas of ours:")
    for reason, count in reasons.most_common():
        print(f"  {count:5}  {reason}")
    print(*differing, sep="\n")
    return 1 if totals["differ"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
