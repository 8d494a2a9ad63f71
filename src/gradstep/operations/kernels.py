"""How are the error function and the activations made of it computed, to the last digits and by blocks?

NumPy source that generated code carries along. The polynomials are truncated Chebyshev series of functions
worked out to 50 digits. Those of exp(a²) erfc(a) and of Mills' ratio are one for all a, of 1 + a times the
function in t = (a − K)/(s a + K), after Shepherd and Laframboise, "Chebyshev approximation of
(1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞", Mathematics of Computation 36 (1981), 249–253. exp(−a²) is taken of the
rounded square and of what rounding took from it: Dekker, "A floating-point technique for extending the
available precision", Numerische Mathematik 18 (1971), 224–242.
"""

from __future__ import annotations

_BLOCKS = '''\
def by_blocks(f, x):
    """f of each entry, eight thousand at a time: what is made in between stays in the cache."""
    x = np.asarray(x)
    y = np.empty(x.shape, np.result_type(x, np.float32))
    entries, results = x.ravel(), y.ravel()
    for k in np.arange(0, x.size, 8192):
        results[k : k + 8192] = f(entries[k : k + 8192].astype(float))
    return y[()]
'''
_POLYNOMIAL = '''\
def polynomial(x, coefficients):
    """The polynomial with these coefficients, the highest first."""
    p = coefficients[0] * x
    for c in coefficients[1:-1]:
        p += c
        p *= x
    p += coefficients[-1]
    return p
'''
_ERFCX = '''\
def erfcx(a):
    """exp(a**2) erfc(a) for a from 0 to 28."""
    t = (a - 3) / (0.7857142857142857 * a + 3)
    p = polynomial(
        t,
        (
            -9.027765699356846e-11, 2.609669841227163e-11, 1.2955501454077193e-09,
            -3.8543615718203483e-10, -1.2571614447574598e-08, 6.750642514772781e-09,
            1.1356633560571102e-07, -1.3991643483749412e-07, -9.710628325698587e-07,
            2.6671448711073683e-06, 5.704499508826372e-06, -4.1611098798720885e-05,
            4.7191259016997875e-05, 0.0003460533548389651, -0.002082283073346747,
            0.0064040418575855755, -0.013206775327413992, 0.018025442208717525,
            -0.009813946054348191, -0.02656771263614597, 0.10103000131496924, -0.20618511882482968,
            0.7160046047255598,
        ),
    )
    p /= 1 + a
    return p
'''
_MILLS = '''\
def mills(a):
    """exp(a**2 / 2), times the area under the normal density beyond a, for a from 0 to 40."""
    t = (a - 4) / (0.8 * a + 4)
    p = polynomial(
        t,
        (
            5.4086176569977416e-11, 1.804485822405715e-10, -6.310047788458468e-10,
            -2.559748393386677e-09, 4.765991070186548e-09, 2.4015705306247575e-08,
            -3.805852203733853e-08, -2.036452203604279e-07, 4.055141314658417e-07,
            1.6109018260677863e-06, -5.409217576027141e-06, -8.740125768416744e-06,
            7.276570398295345e-05, -7.872437976811705e-05, -0.0006124350988543063,
            0.003500138843322158, -0.010268468766443987, 0.020238004449505416, -0.0269526765016292,
            0.017711393273747905, 0.02004301708617084, -0.08703312959387328, 0.47205320650984467,
        ),
    )
    p /= 1 + a
    return p
'''
_PRODUCT = '''\
def product(a, b):
    """a * b, and what rounding has taken from it."""
    p = a * b
    high, other = 134217729 * a, 134217729 * b
    high, other = high - (high - a), other - (other - b)
    low, rest = a - high, b - other
    return p, ((high * other - p) + high * rest + low * other) + low * rest
'''
_EXP_SQUARE = '''\
def exp_square(x, c):
    """exp(c * x**2), c a negative power of two."""
    square, lost = product(x, x)
    e = np.exp(c * square)
    return e + c * lost * e
'''
_COMPLEMENT = f"{_BLOCKS}\n\n{_POLYNOMIAL}\n\n{_ERFCX}\n\n{_PRODUCT}\n\n{_EXP_SQUARE}"
ERF = f'''\
{_COMPLEMENT}

def erf(x):
    """The error function of each entry."""

    def of_block(x):
        a = np.minimum(np.abs(x), 6)
        y = a * polynomial(
            a * a,
            (
                -7.798543850549947e-10, 1.3721520406351094e-08, -1.6208829856810202e-07,
                1.6447471190594618e-06, -1.4924740785377576e-05, 0.00012055295112667001,
                -0.0008548325982543225, 0.005223977607269946, -0.026866170643256995, 0.1128379167094513,
                -0.37612638903183543, 1.1283791670955126,
            ),
        )
        if not a.max() < 1:
            y = np.where(a < 1, y, 1 - exp_square(a, -1) * erfcx(a))
        return np.copysign(y, x)

    return by_blocks(of_block, x)
'''
GAUSSIAN = f'''\
{_BLOCKS}\n\n{_PRODUCT}\n\n{_EXP_SQUARE}

def gaussian(x, c):
    """exp(c * x**2) for c < 0, with what rounding takes from the square."""
    return by_blocks(lambda x: exp_square(np.minimum(np.abs(x), (800 / -c) ** 0.5), c), x)
'''
ERFC = f'''\
{_COMPLEMENT}

def erfc(x):
    """1 - erf(x)"""

    def of_block(x):
        a = np.minimum(np.abs(x), 28)
        y = exp_square(a, -1) * erfcx(a)
        return np.where(x < 0, 2 - y, y)

    return by_blocks(of_block, x)
'''
_FALLING = '''\
def falling(weights, a, lost=0):
    """weights * exp(-a - lost), also where exp(-a) alone would be a subnormal number."""
    e = np.exp(-a)
    y = weights * (e - lost * e)
    if np.any(a > 708):
        h = np.exp(-a / 2)
        y = np.where(a > 708, weights * h * (h - lost * h), y)
    return y
'''
_TAIL = f"{_BLOCKS}\n\n{_POLYNOMIAL}\n\n{_MILLS}\n\n{_PRODUCT}\n\n{_FALLING}"
GELU = f'''\
{_TAIL}

def gelu(x):
    """x times the area under the normal density up to x."""

    def of_block(x):
        a = np.minimum(np.abs(x), 39)
        square, lost = product(a, a)
        beyond = falling(a * mills(a), square / 2, lost / 2)
        return np.where(x > 0, x - beyond, -beyond)

    return by_blocks(of_block, x)
'''
GELU_SLOPE = f'''\
{_TAIL}

def gelu_slope(x):
    """The area under the normal density up to x, and x times the density."""

    def of_block(x):
        a = np.minimum(np.abs(x), 39)
        square, lost = product(a, a)
        beyond = falling(mills(a) - a / (2 * np.pi) ** 0.5, square / 2, lost / 2)
        return np.where(x > 0, 1 - beyond, beyond)

    return by_blocks(of_block, x)
'''
NORMAL_AREA = f'''\
{_TAIL}

def normal_area(x):
    """(1 + erf(x / sqrt(2))) / 2"""

    def of_block(x):
        a = np.minimum(np.abs(x), 39)
        square, lost = product(a, a)
        beyond = falling(mills(a), square / 2, lost / 2)
        return np.where(x > 0, 1 - beyond, beyond)

    return by_blocks(of_block, x)
'''

# ------------------------------------------------------------------------- gates of exponentials
# An x beyond 1,500 is like 1,500: what falls has vanished there, and 0 · ∞ is no number.

SILU = f'''\
{_FALLING}

def silu(x):
    """x * sigmoid(x)"""
    a = np.abs(x)
    return np.where(x < 0, falling(np.maximum(x, -1500), a), x) / (1 + np.exp(-a))
'''
SILU_SLOPE = f'''\
{_FALLING}

def silu_slope(x):
    """sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x))"""
    x = np.minimum(np.maximum(x, -1500), 1500)
    a = np.abs(x)
    q = np.exp(-a)
    return np.where(x < 0, falling(1 + x / (1 + q), a), 1 + x * q / (1 + q)) / (1 + q)
'''
_MISH_GATE = '''\
def mish_gate(x):
    """e**-abs(x); top and bottom of tanh(log(1 + exp(x))), times exp(-x) where x < 0."""
    q = np.exp(-np.abs(x))
    top = np.where(x < 0, q + 2, 1 + 2 * q)
    return q, top, np.where(x < 0, q * top + 2, top + 2 * q * q)
'''
MISH = f'''\
{_FALLING}\n\n{_MISH_GATE}

def mish(x):
    """x * tanh(log(1 + exp(x)))"""
    _, top, bottom = mish_gate(x)
    return np.where(x < 0, falling(np.maximum(x, -1500) * (top / bottom), np.abs(x)), x * (top / bottom))
'''
MISH_SLOPE = f'''\
{_FALLING}\n\n{_MISH_GATE}

def mish_slope(x):
    """t + x * (1 - t**2) * sigmoid(x), t = tanh(log(1 + exp(x)))"""
    x = np.minimum(np.maximum(x, -1500), 1500)
    q, top, bottom = mish_gate(x)
    bent = np.where(x < 0, 2 * x - 2 * x * (q * q / bottom), 4 * x * q * q * (1 + q) / bottom)
    slope = (top + bent) / bottom
    return np.where(x < 0, falling(slope, np.abs(x)), slope)
'''
_OPENING = f'''\
{_BLOCKS}\n\n{_PRODUCT}\n\n{_FALLING}

def opening(a):
    """2 k a (1 + c a**2), k = sqrt(2 / pi), c = 0.044715, and what rounding has taken from it."""
    k, k_lost = 1.5957691216057308, -9.96930880911092e-17
    c, c_lost = 0.044715, 2.1960211427085595e-18
    square, lost = product(a, a)
    cubic, more = product(c, square)
    more += c * lost + c_lost * square
    total = 1 + cubic
    left = total - 1
    more += (1 - (total - left)) + (cubic - left)
    straight, lost = product(a, total)
    lost += a * more
    bent, more = product(k, straight)
    return bent, more + (k * lost + k_lost * straight)
'''
GELU_TANH = f'''\
{_OPENING}

def gelu_tanh(x):
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2"""

    def of_block(x):
        a = np.minimum(np.abs(x), 22)
        bent, lost = opening(a)
        return np.where(x > 0, x, falling(-a, bent, lost)) / (1 + np.exp(-bent))

    return by_blocks(of_block, x)
'''
GELU_TANH_SLOPE = f'''\
{_OPENING}

def gelu_tanh_slope(x):
    """The slope of x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2"""

    def of_block(x):
        a = np.minimum(np.abs(x), 22)
        bent, lost = opening(a)
        q = np.exp(-bent)
        more = (bent + 0.1427096325452005 * (a * a * a)) / (1 + q)
        return np.where(x > 0, 1 + more * q, falling(1 - more, bent, lost)) / (1 + q)

    return by_blocks(of_block, x)
'''
LOGCOSH = '''\
def logcosh(x):
    """abs(x) + log(1 + exp(-2 * abs(x))) - log(2), near 0 from cosh(x) - 1 = 2 * sinh(x / 2)**2"""
    a = np.abs(x)
    near = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    return np.where(a < 1, near, (a - np.log(2)) + np.log1p(np.exp(-2 * a)))
'''
