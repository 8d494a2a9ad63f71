"""How is a function of one entry computed in the lanes of a vector? By polynomials, without branches.

Exponentials: the reduction of Cody and Waite and Taylor's series, whose remainder is below half an ulp.
Logarithms: the reduction and coefficients of fdlibm (Sun Microsystems, 1993).
What has no polynomial here is asked of the C library, lane by lane, in float64. NaN stays NaN, and infinities
and subnormal numbers come out as NumPy has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from gradstep.backends.native import engine
from gradstep.backends.native.assembly import WHOLE, Vec
from gradstep.expression.node import Operation
from gradstep.operations.activations import (
    abs_op,
    maximum_op,
    minimum_op,
    relu_op,
    sigmoid_op,
    sign_op,
    softplus_op,
    sqrt_op,
    tanh_op,
)
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    equal_op,
    exp_op,
    greater_equal_op,
    greater_op,
    log_op,
    multiply_op,
    negate_op,
    not_equal_op,
    power_op,
    subtract_op,
)
from gradstep.operations.choices import where_op
from gradstep.operations.coded import bell_op, hypot_op
from gradstep.operations.gates import (
    SELU_ALPHA,
    SELU_SCALE,
    elu_op,
    leaky_relu_op,
    selu_op,
)
from gradstep.operations.hyperbolic import (
    arccosh_op,
    arcsinh_op,
    arctanh_op,
    cosh_op,
    sinh_op,
)
from gradstep.operations.precise import expm1_op, log1p_op
from gradstep.operations.steps import ceil_op, floor_op, round_op, trunc_op
from gradstep.operations.trigonometry import arccos_op, arcsin_op, arctan_op, cos_op, sin_op, tan_op

Emitter = Callable[..., Vec]
LN2 = math.log(2)


class Format:
    """What a precision has to say: bits of the fraction, ranges, and how far series go."""

    def __init__(self, kind: str) -> None:
        double = kind == "double"
        self.fraction = 52 if double else 23
        self.bias = 1023 if double else 127
        self.magic = 1.5 * 2.0**self.fraction  # x + magic − magic is the whole number next to x
        self.lowest, self.highest = (-746.0, 710.0) if double else (-104.5, 89.0)  # of exp
        self.smallest = 2.0 ** (1 - self.bias)  # that is normal
        self.terms = 14 if double else 8
        # log 2 in two parts, of fdlibm: the first has so few bits that n times it is exact
        self.high = 6.93147180369123816490e-01 if double else 6.9313812256e-01
        self.low = 1.90821492927058770002e-10 if double else 9.0580006145e-06


FORMATS = {kind: Format(kind) for kind in ("float", "double")}
# fdlibm's e_log.c and e_logf.c: (log(1+f) − 2s)/s as a polynomial in s², s = f/(2 + f)
LOGS: Mapping[str, tuple[float, ...]] = {
    "double": (
        6.666666666666735130e-01,
        3.999999999940941908e-01,
        2.857142874366239149e-01,
        2.222219843214978396e-01,
        1.818357216161805012e-01,
        1.531383769920937332e-01,
        1.479819860511658591e-01,
    ),
    "float": (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841),
}

# fdlibm's k_sin.c, k_cos.c and e_rem_pio2.c: (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in r², and π/2 in parts
SINES = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
COSINES = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)
QUARTER_TURN = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
    8.47842766036889956997e-32,
)
FAR = 2.0**19


def _form(x: Vec) -> Format:
    return FORMATS[x.type.kind]


def polynomial(x: Vec, coefficients: tuple[float, ...]) -> Vec:
    """c₀ + c₁ x + c₂ x² …; a long one by its even and its odd powers, which do not wait for each other."""
    if len(coefficients) < 6:
        result = x.like(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            result = result.times_plus(x, c)
        return result
    square = x * x
    even, odd = (polynomial(square, coefficients[first::2]) for first in (0, 1))
    return odd.times_plus(x, even)


def power_of_two(n: Vec) -> Vec:
    """2ⁿ for whole n as floating bits; n is a whole number (i32, i64) in the range of exponents."""
    kind = "double" if n.type.kind == "i64" else "float"
    form = FORMATS[kind]
    return ((n + form.bias) << form.fraction).cast("bitcast", kind)


def _reduced(x: Vec) -> tuple[Vec, Vec, Vec]:
    """(n, n, r) with x = n log 2 + r, |r| ≤ log(2)/2; n is whole, as a whole number and as a floating one."""
    form = _form(x)
    shifted = x.times_plus(1 / LN2, form.magic)
    n = shifted - form.magic
    r = n.times_plus(-form.low, n.times_plus(-form.high, x))
    whole = shifted.bits() - shifted.like(form.magic).bits()
    return whole, n, r


def _clamped(x: Vec, low: float, high: float) -> Vec:
    """x between two numbers; NaN stays."""
    x = x.compare("olt", low).select(low, x)
    return x.compare("ogt", high).select(high, x)


def _rise(r: Vec) -> Vec:
    """eʳ − 1 = r + r² (1/2! + r/3! + …)"""
    series = polynomial(r, tuple(1 / math.factorial(k) for k in range(2, _form(r).terms)))
    return (series * r).times_plus(r, r)


def exp(x: Vec) -> Vec:
    form = _form(x)
    whole, n, r = _reduced(_clamped(x, form.lowest, form.highest))
    value = _rise(r) + 1
    if x.type.bits == 512 == 8 * engine.vector_bytes():
        return value.scaled(n)
    half = whole >> 1
    return (value * power_of_two(half)) * power_of_two(whole - half)


def expm1(x: Vec) -> Vec:
    form = _form(x)
    n, _, r = _reduced(_clamped(x, -40.0, form.highest))
    p = _rise(r)
    half = n >> 1
    up, more = power_of_two(half), power_of_two(n - half)
    near = (p * up) * more + (up * more - 1)
    far = ((p + 1) * up) * more
    value = n.compare("sgt", form.fraction + 4).select(far, near)
    return x.compare("oeq", 0).select(x, value)


def _log_parts(x: Vec) -> tuple[Vec, Vec]:
    """(k, f) with x = 2ᵏ (1 + f), 1 + f between √½ and √2, for positive finite x."""
    form, whole = _form(x), WHOLE[x.type.kind]
    tiny = x.compare("olt", form.smallest)
    scaled = tiny.select(x * 2.0**54, x)
    bits = scaled.bits()
    root = x.like(math.sqrt(0.5)).bits()
    k = (bits - root) >> form.fraction
    m = (bits - (k << form.fraction)).cast("bitcast", x.type.kind)
    lost = tiny.select(k.like(54), k.like(0))
    assert k.type.kind == whole
    return (k - lost).cast("sitofp", x.type.kind), m - 1


def _log_of(k: Vec, f: Vec, more: Vec | float = 0.0) -> Vec:
    """k log 2 + log(1 + f) + more, as fdlibm puts it together."""
    form = _form(f)
    s = f / (f + 2)
    z = s * s
    R = polynomial(z, LOGS[f.type.kind]) * z
    hfsq = f * f * 0.5
    return k * form.high - ((hfsq - (s * (hfsq + R) + (k * form.low + more))) - f)


def log(x: Vec) -> Vec:
    k, f = _log_parts(x)
    return _log_ends(x, _log_of(k, f))


def _log_ends(x: Vec, value: Vec) -> Vec:
    """The logarithm where x is 0, negative, infinite or NaN."""
    value = x.compare("oeq", 0).select(-math.inf, value)
    value = x.compare("olt", 0).select(math.nan, value)
    return x.compare("oeq", math.inf).select(x, x.compare("uno", x).select(x, value))


def log1p(x: Vec) -> Vec:
    u = x + 1
    k, f = _log_parts(u)
    lost = x.compare("oge", 1).select(1 - (u - x), x - (u - 1)) / u  # what rounding took from 1 + x
    value = _log_ends(u, _log_of(k, f, u.compare("oeq", math.inf).select(0.0, lost)))
    return _near_zero(x, value)


def _near_zero(x: Vec, value: Vec) -> Vec:
    """log(1 + x), which is x − x²/2 where x³ does not count."""
    small = magnitude(x).compare("olt", 2.0 ** -(_form(x).fraction // 2 + 2))
    return small.select(x - x * x * 0.5, value)


def _log1p_of_small(q: Vec) -> Vec:
    """log(1 + q) for q from 0 to 1."""
    u = q + 1
    k, f = _log_parts(u)
    value = _log_of(k, f, (q - (u - 1)) / u)
    return _near_zero(q, value)


def magnitude(x: Vec) -> Vec:
    return x.call("fabs")


def sigmoid(x: Vec) -> Vec:
    q = exp(-magnitude(x))
    return x.compare("oge", 0).select(1.0, q) / (q + 1)


def softplus(x: Vec) -> Vec:
    return x.compare("ogt", 0).select(x, 0.0) + _log1p_of_small(exp(-magnitude(x)))


def tanh(x: Vec) -> Vec:
    t = expm1(magnitude(x) * 2)
    far = magnitude(x).compare("ogt", 22)
    value = far.select(1.0, t / (t + 2))
    return value.call("copysign", x)


def sinh(x: Vec) -> Vec:
    """(e^x − e^−x)/2 from e^x − 1, which is exact near 0; halves of exponents do not overflow early."""
    a = magnitude(x)
    t = expm1(a)
    near = (t + t / (t + 1)) * 0.5
    half = exp(a * 0.5)
    return a.compare("ogt", 30).select((half * 0.5) * half, near).call("copysign", x)


def _turned(x: Vec) -> tuple[Vec, Vec]:
    """(n, r) with x = n π/2 + r, |r| ≤ π/4, for |x| below `FAR`; n as a whole number."""
    form = _form(x)
    shifted = x.times_plus(2 / math.pi, form.magic)
    n = shifted - form.magic
    r = x
    for part in QUARTER_TURN:
        r = n.times_plus(-part, r)
    return shifted.bits() - shifted.like(form.magic).bits(), r


def _sine_at(x: Vec, quarters: int, name: str) -> Vec:
    """sin(x + quarters · π/2) in float64; far out the C library reduces x."""
    kind = x.type.kind
    x = x.as_kind("double")
    n, r = _turned(x)
    n = n + quarters
    z = r * r
    sine = (z * r).times_plus(polynomial(z, SINES), r)
    half = z * 0.5
    w = 1 - half
    cosine = w + ((1 - w - half) + z * z * polynomial(z, COSINES))
    value = (n & 1).compare("ne", 0).select(cosine, sine)
    value = (n & 2).compare("ne", 0).select(-value, value)
    value = x.compare("oeq", 0).select(x, value) if not quarters else value
    far = magnitude(x).compare("uge", FAR)
    return x.writer.where_any(far, value, lambda: by_library(name, x)).as_kind(kind)


def sin(x: Vec) -> Vec:
    return _sine_at(x, 0, "sin")


def cos(x: Vec) -> Vec:
    return _sine_at(x, 1, "cos")


def bell(x: Vec) -> Vec:
    q = exp(-magnitude(x))
    few = q.compare("olt", 4 * _form(x).smallest)
    return few.select(q, 1 / (1 / q + (q + 2)))


def sign(x: Vec) -> Vec:
    return x.compare("ogt", 0).select(1.0, x.compare("olt", 0).select(-1.0, x))


def relu(x: Vec) -> Vec:
    return x.compare("ugt", 0).select(x, 0.0)


def maximum(a: Vec, b: Vec) -> Vec:
    return (a.compare("oge", b) | a.compare("uno", a)).select(a, b)


def minimum(a: Vec, b: Vec) -> Vec:
    return (a.compare("ole", b) | a.compare("uno", a)).select(a, b)


def as_mask(x: Vec) -> Vec:
    """Where it is not 0; a mask as it is."""
    return x if x.type.kind == "i1" else x.compare("une", 0)


def as_number(x: Vec, kind: str) -> Vec:
    """A mask as 0 and 1; a number as it is."""
    if x.type.kind != "i1":
        return x
    one = x.writer.number(1.0, x.type.of(kind))
    return x.select(one, 0.0)


def power(x: Vec, exponent: Vec | Fraction) -> Vec:
    """x to a known exponent by products and roots where that is as exact, else by the C library."""
    if isinstance(exponent, Vec):
        return by_library("pow", x, exponent)
    if exponent in PRODUCTS:
        return PRODUCTS[exponent](x)
    return by_library("pow", x, x.writer.number(float(exponent), x.type.of("double")))


PRODUCTS: Mapping[Fraction, Emitter] = {
    Fraction(0): lambda x: x.like(1.0),
    Fraction(1): lambda x: x,
    Fraction(2): lambda x: x * x,
    Fraction(3): lambda x: x * x * x,
    Fraction(4): lambda x: (x * x) * (x * x),
    Fraction(-1): lambda x: 1 / x,
    Fraction(-2): lambda x: (1 / x) * (1 / x),
    Fraction(1, 2): lambda x: x.call("sqrt"),
    Fraction(-1, 2): lambda x: 1 / x.call("sqrt"),
    Fraction(3, 2): lambda x: x * x.call("sqrt"),
}


def by_library(name: str, *args: Vec) -> Vec:
    """A function of the C library, lane by lane, in float64."""
    writer, type = args[0].writer, args[0].type
    writer.declared[f"declare double @{name}({', '.join(['double'] * len(args))})"] = None
    wide = [arg.as_kind("double") for arg in args]
    to = type.of("double")
    text = "poison"
    for k in range(type.lanes):
        lanes = ", ".join(f"double {arg.lane(k)}" for arg in wide)
        one = writer.scalar(f"call double @{name}({lanes})")
        text = writer.scalar(f"insertelement {to} {text}, double {one}, i64 {k}")
    return Vec(writer, text, to).as_kind(type.kind)


def _library(name: str) -> Emitter:
    return lambda params, *args: by_library(name, *args)


def _intrinsic(name: str) -> Emitter:
    return lambda params, x: x.call(name)


def _compared(how: str) -> Emitter:
    return lambda params, a, b: a.compare(how, b)


def _leaky(params: tuple[Any, ...], x: Vec) -> Vec:
    return x.compare("ogt", 0).select(x, x * float(params[0]))


def elu(x: Vec, alpha: float = 1.0) -> Vec:
    return x.compare("ogt", 0).select(x, expm1(minimum(x, x.like(0.0))) * alpha)


def _where(params: tuple[Any, ...], condition: Vec, a: Vec, b: Vec) -> Vec:
    return as_mask(condition).select(a, b)


def _alone(function: Emitter) -> Emitter:
    return lambda params, *args: function(*args)


# (params, *operands) -> the value; operands are numbers, but of a choice the first may be a mask.
EMITTERS: Mapping[Operation, Emitter] = {
    add_op: lambda params, a, b: a + b,
    subtract_op: lambda params, a, b: a - b,
    multiply_op: lambda params, a, b: a * b,
    divide_op: lambda params, a, b: a / b,
    negate_op: lambda params, a: -a,
    power_op: lambda params, a, *b: power(a, params[0] if params else b[0]),
    greater_op: _compared("ogt"),
    greater_equal_op: _compared("oge"),
    equal_op: _compared("oeq"),
    not_equal_op: _compared("une"),
    where_op: _where,
    sqrt_op: _intrinsic("sqrt"),
    exp_op: _alone(exp),
    log_op: _alone(log),
    log1p_op: _alone(log1p),
    expm1_op: _alone(expm1),
    tanh_op: _alone(tanh),
    sigmoid_op: _alone(sigmoid),
    softplus_op: _alone(softplus),
    bell_op: _alone(bell),
    relu_op: _alone(relu),
    leaky_relu_op: _leaky,
    abs_op: _alone(magnitude),
    sign_op: _alone(sign),
    maximum_op: _alone(maximum),
    minimum_op: _alone(minimum),
    elu_op: lambda params, x: elu(x, float(params[0])),
    selu_op: lambda params, x: elu(x, float(SELU_ALPHA)) * float(SELU_SCALE),
    floor_op: _intrinsic("floor"),
    ceil_op: _intrinsic("ceil"),
    round_op: _intrinsic("roundeven"),
    trunc_op: _intrinsic("trunc"),
    sin_op: _alone(sin),
    cos_op: _alone(cos),
    tan_op: _library("tan"),
    arcsin_op: _library("asin"),
    arccos_op: _library("acos"),
    arctan_op: _library("atan"),
    sinh_op: _alone(sinh),
    cosh_op: _library("cosh"),
    arcsinh_op: _library("asinh"),
    arccosh_op: _library("acosh"),
    arctanh_op: _library("atanh"),
    hypot_op: _library("hypot"),
}
