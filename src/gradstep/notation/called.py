"""Which functions may stand in pasted mathematics, and how are they called there?"""

from __future__ import annotations

ENTRYWISE = frozenset({
    "exp", "log", "tanh", "sigmoid", "relu", "softplus", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "sinh", "cosh", "sign", "abs", "sqrt", "silu", "gelu", "erf", "log1p", "expm1", "softsign", "mish",
    "logcosh",
    "elu", "selu", "floor", "ceil", "round",
})  # fmt: skip
ALIKE = {
    "ln": "log",
    "σ": "sigmoid",
    "ReLU": "relu",
    "Relu": "relu",
    "sgn": "sign",
    "Tr": "trace",
    "tr": "trace",
    "α": "diagonal sums",
}
ROWWISE = ("softmax", "logsumexp", "log_softmax")
NORMAL = ("Φ", "φ")  # the standard normal distribution and its density
WHOLE = ("trace", "det", "logdet", "diag", "inv", "sum", "mean")
PAIRS = {"max": "maximum", "min": "minimum", "maximum": "maximum", "minimum": "minimum", "dot": "dot"}
CALLED = frozenset({*ENTRYWISE, *ALIKE, *ROWWISE, *WHOLE, *PAIRS, *NORMAL})
