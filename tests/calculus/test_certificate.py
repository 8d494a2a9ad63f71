"""Does a certificate let right derivations pass, and no wrong one?

Derivations are opened here step by step from the declared adjoints, without laws, so that every rule can be
broken on purpose: what follows from the broken line is worked out from it, as a person would.
"""

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from tables import each

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.calculus.derivation import derive
from gradstep.calculus.duals import STANDING_STILL
from gradstep.calculus.floating import compare_lines, compare_moves
from gradstep.calculus.laws import zeros
from gradstep.calculus.steps import Derivation, Rewrite, Step
from gradstep.calculus.verdicts import Certificate
from gradstep.expression.node import Operation, walk
from gradstep.expression.records import replaced
from gradstep.operations import TABLE
from gradstep.operations.activations import (
    abs,
    maximum,
    minimum,
    relu,
    sigmoid,
    sign,
    softplus,
    sqrt,
    tanh,
)
from gradstep.operations.arithmetic import exp, greater, log, multiply_op, power
from gradstep.operations.broadcasting import ones, repeat, sum_over
from gradstep.operations.choices import where
from gradstep.operations.gates import leaky_relu
from gradstep.operations.leaves import number, pi, size, symbol
from gradstep.operations.norms import norm
from gradstep.operations.pooling import PICKS
from gradstep.operations.precise import erf
from gradstep.operations.products import outer
from gradstep.operations.rowwise import log_softmax, logsumexp, softmax
from gradstep.operations.sums import mean, sum
from gradstep.operations.trigonometry import arccos, arcsin, arctan, cos, sin

X, y, w, b = symbol("X", "N d"), symbol("y", "N"), symbol("w", "d"), symbol("b")
N = size("N")


def opened(loss, *parameters, change=lambda node, parts: parts):
    """The derivation of `loss` by the declared adjoints; `change` alters what an opened node sends on."""
    moving = set(parameters)
    for node in walk(loss):
        if not moving.isdisjoint(node.args):
            moving.add(node)
    steps, arrived = [], {loss: [number(1)]}
    for node in reversed([node for node in walk(loss) if node in moving]):
        if node not in arrived:
            continue
        G, *others = arrived[node]
        if others:
            before = tuple((g, node) for g in (G, *others))
            for other in others:
                G = G + other
            steps.append(Step("sum over paths", "", node, before, ((G, node),)))
        arrived[node] = [G]
        if node in parameters:
            continue
        sent = zip(node.args, node.op.adjoint(G, node, node.args), strict=True)
        parts = [(H, arg) for arg, H in sent if arg in moving and H is not None]
        after = tuple(change(node, parts))
        steps.append(Step(node.op.rule, node.op.why, node, ((G, node),), after))
        for H, arg in after:
            arrived.setdefault(arg, []).append(H)
    answers = {p: arrived[p][0] if p in arrived else zeros(p) for p in parameters}
    return derivation(loss, steps, answers)


def derivation(loss, steps, answers):
    names = {str(variable.params[0]): variable for variable in answers}
    return Derivation(
        of=loss,
        wrt=tuple(names),
        parameters=names,
        steps=tuple(steps),
        answers={name: answers[variable] for name, variable in names.items()},
        cotangents={},
        fences={},
        parts={},
        assumptions={},
    )


def with_details(d, *details, at=-1):
    """`d` with these rewrites folded into one of its steps."""
    steps = list(d.steps)
    steps[at] = replaced(steps[at], details=details)
    return replace(d, steps=tuple(steps))


def rewrite(before, after):
    return Rewrite("a law", "because", before, after)


def proved(d, seed=None):
    certificate = certify(d, seed=seed)
    assert certificate.verdict is True, certificate
    assert certificate.lines == len(d.steps) + 1
    assert certificate.exact == certificate.lines
    return certificate


def refuted(d, seed=None, trials=2):
    certificate = certify(d, seed=seed, trials=trials)
    assert certificate.verdict is False, certificate
    assert certificate.failures and "✗" in str(certificate)
    return certificate


# ------------------------------------------------------------------------------------------- what is right

Y, W, c = symbol("Y", "N k"), symbol("W", "d k"), symbol("c", "k")
Y1 = symbol("Y", "N k", ["rows sum to one"])
V = symbol("V", "k m")
LOSSES = {
    "least squares": (mean((y - X @ w) ** 2), (w,)),
    "neuron": (mean((y - relu(X @ w + b)) ** 2), (w, b)),
    "leaky": (mean((y - leaky_relu(X @ w + b)) ** 2), (w, b)),
    "ridge": (mean((y - X @ w) ** 2) + symbol("lam") * sum(w**2), (w,)),
    "lasso": (mean(maximum(X @ w - y, y - X @ w)) + sum(maximum(w, -w)), (w,)),
    "norm": (norm(y - X @ w) + norm(w), (w,)),
    "logistic": (-mean(y * log(sigmoid(X @ w)) + (1 - y) * log(1 - sigmoid(X @ w))), (w,)),
    "softplus": (mean(softplus(X @ w) - y * (X @ w)), (w,)),
    "cross-entropy": (-sum(Y * log(softmax(X @ W + c, 1))) / N, (W, c)),
    "stable cross-entropy": (-sum(Y * log_softmax(X @ W, 1)) / N, (W,)),
    "logsumexp": (mean(logsumexp(X @ W, 1)), (W,)),
    "standardised": (sum(y * (X @ w - mean(X @ w)) / sqrt(mean((X @ w) ** 2))), (w,)),
    "many roots": (sum(sqrt(X @ W) * Y), (W,)),
    "powers": (sum(power(X @ w, Fraction(1, 3)) + power(X @ w, b) + (X @ w) ** -3), (w, b)),
    "two layers": (mean((Y - tanh(tanh(X @ W + c) @ V @ V.T)) ** 2), (W, c, V)),
    "shared": (sum(tanh(X @ w) * (X @ w) * (X @ w)), (w,)),
    "outer": (sum(outer(w, w * w) ** 2), (w,)),
    "itself": (b, (b,)),
    "constant": (mean(y**2), (w, b)),
    "one of two": (mean(y * b), (w, b)),
}


@pytest.mark.parametrize("loss, wrt", LOSSES.values(), ids=LOSSES)
def test_right_derivations_are_proved(loss, wrt):
    for seed in range(5):
        certificate = proved(opened(loss, *wrt), seed)
        assert certificate.chance < 1e-17
        assert str(certificate).startswith("✓ proved: ")


@pytest.mark.parametrize("loss, wrt", LOSSES.values(), ids=LOSSES)
def test_derivations_with_laws_are_proved(loss, wrt):
    there = [str(v.params[0]) for v in wrt if v in walk(loss)]
    if there:
        proved(derive(loss, there, certify=False))


def test_softmax_cross_entropy_simplifies_where_the_rows_sum_to_one_and_only_there():
    for target, right in ((Y1, True), (Y, False)):
        Z = X @ W
        P = softmax(Z, 1)
        d = opened(-sum(target * log(P)) / N, W)
        last = d.steps[-1]
        G = 1 / N * (P - target)
        law = Step("each row of Y sums to one", "your assumption", Z, last.before, ((G, Z),))
        end = replaced(last, before=law.after, after=((X.T @ G, W),))
        d = derivation(d.of, [*d.steps[:-1], law, end], {W: X.T @ G})
        if right:
            proved(d)
        else:
            assert refuted(d).failures[0].rule == "each row of Y sums to one"


@pytest.mark.parametrize("own", [False, True], ids=["one width", "own widths"])
def test_deep_networks_are_proved(own):
    A, wide, parameters = X, "d", []
    for k in range(32):
        layer = f"h{k}" if own else "h"
        parameters += [symbol(f"W{k}", (wide, layer)), symbol(f"b{k}", (layer,))]
        A, wide = relu(A @ parameters[-2] + parameters[-1]), layer
    v = symbol("v", (wide,))
    proved(opened(mean((y - A @ v) ** 2), *parameters, v))


def test_the_number_is_what_every_line_is():
    first = certify(opened(*LOSSES["neuron"][:1], w, b), seed=7)
    again = certify(opened(*LOSSES["neuron"][:1], w, b), seed=7)
    assert first == again
    assert 0 < first.number < first.prime
    assert certify(opened(mean(y**2), w), seed=7).number == 0
    assert certify(opened(b, b)).prime != certify(opened(b, b)).prime


# ------------------------------------------------------------------------------------------- what is wrong

EXAMPLES = [(op, params, shapes) for op in TABLE for params, shapes in op.example if op not in STANDING_STILL]
SLIGHTLY = number(Fraction(10_000_001, 10_000_000))


def every(change):
    """A mutation that changes every cotangent."""
    return lambda parts: [(change(G), part) for G, part in parts]


MUTATIONS = {
    "a factor of 1 + 1e-7": every(lambda G: SLIGHTLY * G),
    "the sign": every(lambda G: -G),
    "a factor of 2": every(lambda G: 2 * G),
    "one entry too much": every(lambda G: G + 1),
    "the mean for the sum": every(lambda G: G / N),
    "squared": every(lambda G: G**2),
    "the first term": lambda parts: parts[1:],
    "the last term": lambda parts: parts[:-1],
    "all terms": lambda parts: [],
    "the first factor": lambda parts: [(3 * parts[0][0], parts[0][1]), *parts[1:]],
}


def only(operation, mutation):
    """A mutation of the operations of this name."""
    return lambda node, parts: mutation(parts) if node.op.name == operation else parts


def name(value):
    return value.name if isinstance(value, Operation) else "·".join(map(str, value)) if value else ""


@each("op, params, shapes", EXAMPLES, ids=name, tests=8)
def test_no_mutation_of_an_adjoint_passes(op, params, shapes):
    args = [symbol(f"x{k}", shape) for k, shape in enumerate(shapes)]
    node = op(*args, params=params)
    R = symbol("R", node.shape)
    loss = sum(multiply_op(node, R)) + 0 * N
    still = {"places": args[-1:], "mask": args[:1]}.get(op.domain, [])  # a zero cannot be mutated
    still = args[1:] if op in PICKS else still
    moving = [arg for arg in args if arg not in still]
    proved(opened(loss, *(args if op.domain == "mask" else moving)))
    for mutation in MUTATIONS.values():
        d = opened(loss, *moving, change=lambda at, parts, m=mutation: m(parts) if at is node else parts)
        certificate = refuted(d, trials=1)  # one point is enough
        assert certificate.failures[0].rule == op.rule
        assert certificate.floating == 0


A, B, R, h = symbol("A", "h h"), symbol("B", "h h"), symbol("R", "h h"), symbol("v", "h")
z = X @ w + b
SLIPS = {
    "a transposed operand": (sum(A @ B * R), B, lambda G: A @ R),
    "a transposed cotangent": (sum(A @ B * R), A, lambda G: G.T),
    "factors in the wrong order": (sum(A @ B * R), B, lambda G: R @ A.T),
    "the sum over the wrong axis": (sum((A + h) ** 2), h, lambda G: sum(2 * (A + h), 1)),
    "the mask is dropped": (mean((y - relu(z)) ** 2), z, lambda G: -2 / N * (y - relu(z))),
    "the mask of another number": (
        mean((y - relu(z)) ** 2),
        z,
        lambda G: -2 / N * (y - relu(z)) * greater(y, 0 * y),
    ),
    "2/5 for 2/N": (mean((y - z) ** 2), z, lambda G: Fraction(-2, 5) * (y - z)),
    "2/d for 2/N": (mean((y - z) ** 2), z, lambda G: -2 / size("d") * (y - z)),
    "no row sum in softmax": (sum(Y * softmax(X @ W, 1)), X @ W, lambda G: Y * softmax(X @ W, 1)),
    "softmax along the wrong axis": (
        sum(R * softmax(A, 1)),
        A,
        lambda G: softmax(A, 1) * (R - repeat(sum(R * softmax(A, 1), 0), 1, "h")),
    ),
    "tanh for 1 − tanh²": (sum(tanh(z)), z, lambda G: 1 - tanh(z)),
    "slope of sigmoid without its factor": (sum(sigmoid(z)), z, lambda G: 1 - sigmoid(z)),
    "x for 1/x": (sum(log(z)), z, lambda G: z),
    "the exponent stays": (sum(z**3), z, lambda G: 3 * z**3),
    "the condition of a choice moves": (sum(where(y, y * z, z)), y, lambda G: G * z),
}


@pytest.mark.parametrize("loss, part, wrong", SLIPS.values(), ids=SLIPS)
def test_common_slips_are_caught(loss, part, wrong):
    def slip(node, parts):
        return [(wrong(G) if arg is part else G, arg) for G, arg in parts]

    variables = [node for node in walk(part) if node.op.name == "symbol" and node is not X]
    proved(opened(loss, *variables))
    for seed in range(10):
        refuted(opened(loss, *variables, change=slip), seed)


def test_a_forgotten_path_is_caught():
    d = opened(sum(tanh(z) * z), w)
    steps = [s for s in d.steps if s.rule != "sum over paths"]
    at = next(k for k, s in enumerate(steps) if s.place is z)
    steps[at] = replaced(steps[at], before=((ones("N"), z),))
    refuted(replace(d, steps=tuple(steps)))


def test_a_wrong_sum_over_paths_is_caught():
    d = opened(sum(tanh(z) * z), w)
    at = next(k for k, s in enumerate(d.steps) if s.rule == "sum over paths")
    G = d.steps[at].after[0][0]
    for wrong in (2 * G, G - tanh(z), SLIGHTLY * G):
        steps = [*d.steps[:at], replaced(d.steps[at], after=((wrong, z),))]
        certificate = certify(derivation(d.of, steps, d.answers and {w: d.answers["w"]}))
        assert any(f.rule == "sum over paths" and f.left is not None for f in certificate.failures)
        assert certificate.floating == 0


def test_nothing_hides_behind_operands_that_move_together():
    """z and z + y move alike: 2 ⟨G, dz⟩ + 0 ⟨G, d(z + y)⟩ is right in every line, but is no sum rule."""
    both = z + (z + y)

    def uneven(node, parts):
        return [(2 * parts[0][0], z), (0 * parts[1][0], z + y)] if node is both else parts

    assert refuted(opened(sum(both**2), w, b, change=uneven)).failures[0].rule == "sum rule"


NEURON = opened(mean((y - relu(X @ w + b)) ** 2), w, b)


def answered(**answers):
    return replace(NEURON, answers={**NEURON.answers, **answers})


BROKEN = {
    "a wrong rewrite": with_details(NEURON, rewrite(X @ w, 2 * (X @ w))),
    "a rewrite to another shape": with_details(NEURON, rewrite(X @ w, b)),
    "a rewrite of another sum": with_details(NEURON, rewrite(sum_over(A, (0,)), sum_over(A, (1,)))),
    "a missing answer": replace(NEURON, answers={"w": NEURON.answers["w"]}),
    "another answer": answered(w=2 * NEURON.answers["w"]),
    "nearly the answer": answered(b=SLIGHTLY * NEURON.answers["b"]),
    "an answer of another shape": answered(w=repeat(NEURON.answers["b"], 0, "N")),
    "a zero answer": answered(b=number(0)),
    "no steps": replace(NEURON, steps=()),
    "the last step": replace(NEURON, steps=NEURON.steps[:-1]),
    "the first step": replace(NEURON, steps=NEURON.steps[1:]),
    "a step twice": replace(NEURON, steps=(*NEURON.steps, NEURON.steps[-1])),
    "a step in the middle": replace(NEURON, steps=(*NEURON.steps[:2], *NEURON.steps[3:])),
    "another loss": replace(NEURON, of=mean((y - relu(X @ w)) ** 2)),
    "another parameter": replace(
        NEURON, parameters={**NEURON.parameters, "X": X}, answers={**NEURON.answers, "X": zeros(X)}
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_derivations_are_refuted(broken):
    proved(NEURON)
    refuted(broken)


def test_a_failure_says_where_by_which_rule_and_how_much():
    d = opened(sum(z**2), w, change=only("power", every(lambda G: 3 * G)))
    failure = refuted(d, seed=1).failures[0]
    assert d.steps[failure.step - 1].rule == failure.rule == "power rule"
    assert 3 * failure.left % certify(d, seed=1).prime == failure.right
    assert str(failure).startswith(f"step {failure.step} (power rule): the line changes its value: ")


# ------------------------------------------------------------------------------------------- real functions

u, v, q = symbol("u", "N"), symbol("v", "N"), symbol("q", "N", ["positive"])
SUM = opened(sum(exp(u + v)), u)


EXACT = (
    (exp(u + v), exp(u) * exp(v)),
    (exp(u - v) * exp(v), exp(u)),
    (exp(3 * u), exp(u) ** 3),
    (exp(u / 2) ** 2, exp(u)),
    (log(exp(u) * exp(v)), u + v),
    (log(exp(u) + exp(v)), u + softplus(v - u)),
    (log(power(q, 3)), 3 * log(q)),
    (log(sqrt(q)), log(q) / 2),
    (power(q, b) * power(q, 2 * b), power(q, 3 * b)),
    (power(q, b + Fraction(1, 2)), power(q, b) * sqrt(q)),
    (power(q, Fraction(1, 3)) ** 3, q),
    (tanh(2 * u), 2 * tanh(u) / (1 + tanh(u) ** 2)),
    (sigmoid(2 * u), (1 + tanh(u)) / 2),
    (sin(u + v), sin(u) * cos(v) + cos(u) * sin(v)),
    (cos(2 * u), 2 * cos(u) ** 2 - 1),
    (greater(u, v) ** 2, greater(u, v)),
    (relu(u) * greater(u, 0), relu(u)),
    (relu(u) * relu(-u), zeros(u)),
    (greater(relu(u), 0), greater(u, 0)),
    (tanh(u) ** 2 * greater(u, 0 * u), tanh(u * greater(u, 0 * u)) ** 2),
    (where(greater(u, 0), u, -u), abs(u)),
    (sign(u) * sign(v), sign(u * v)),
    (greater(sigmoid(b) * u, 0), greater(u, 0)),
    (sqrt(u**2), abs(u)),
    (maximum(u, minimum(v, u)), u),
    (norm(sigmoid(b) * u), sigmoid(b) * norm(u)),
    (log(u * u), 2 * log(abs(u))),
    (log(u * u) - 2 * log(abs(u)), zeros(u)),
)


@pytest.mark.parametrize("left, right", EXACT, ids=str)
def test_a_law_of_real_functions_is_proved_where_signs_and_exponents_are_those_of_the_reals(left, right):
    for seed in range(3):
        certificate = proved(with_details(SUM, rewrite(left, right)), seed)
        assert certificate.chance < 1e-17
    for wrong in (right + Fraction(1, 10**9), right + SLIGHTLY * v - v):
        refuted(with_details(SUM, rewrite(left, wrong)))


REAL = (
    (arctan(u) + arctan(1 / u), sign(u) * pi / 2),
    (arcsin(u / 4) + arccos(u / 4), pi / 2 * ones("N")),
    (erf(-u), -erf(u)),
    (greater(u, 1) * greater(u, 0), greater(u, 1)),
)


@pytest.mark.parametrize("left, right", REAL, ids=str)
def test_what_no_field_has_is_checked_to_fifty_digits_and_says_so(left, right):
    certificate = certify(with_details(SUM, rewrite(left, right)), seed=3)
    assert certificate.verdict is True
    assert (certificate.digits, certificate.exact) == (1, certificate.lines - 1)
    assert certificate.methods[-1] == "50 digits" and certificate.floating == 0
    assert str(certificate).startswith(
        "✓ checked: 3 lines are the same integer, 1 of 4 lines was checked to 50 digits (prime"
    )
    refuted(with_details(SUM, rewrite(left, number(1 + Fraction(1, 10**40)) * right)))


def test_a_law_that_real_functions_do_not_satisfy_is_refuted():
    for left, right in (
        (exp(u + v), exp(u) + exp(v)),
        (exp(u + v), SLIGHTLY * exp(u) * exp(v)),
        (exp(2 * u), 2 * exp(u)),
        (log(u * u), 2 * log(u)),  # undefined where u < 0
    ):
        certificate = refuted(with_details(SUM, rewrite(left, right)))
        assert any("differ" in failure.what for failure in certificate.failures)


@pytest.mark.parametrize("length", (2, 3, 4))
def test_what_holds_for_vectors_of_one_length_only_is_refuted(length):
    for left, right in ((exp(v) * exp(-v), ones("N")), (erf(-v), -erf(v))):
        assert (
            certify(with_details(SUM, rewrite(size("N") * left, size("N") * right)), seed=1).verdict is True
        )
        for seed in range(5):
            broken = with_details(SUM, rewrite(size("N") * left, length * right))
            assert certify(broken, seed=seed).verdict is False


def test_a_size_is_how_much_there_is_to_sum_where_signs_and_exponents_are_those_of_the_reals():
    one, N = exp(v) * exp(-v), size("N")
    proved(with_details(SUM, rewrite(N * one, sum(one) * one)))
    for wrong in (sum(one) * sum(one) * one, N * sum(one) * one, one):
        refuted(with_details(SUM, rewrite(N * one, wrong)))


def test_what_holds_for_most_numbers_only_is_refuted_in_floating_point():
    c, dc = symbol("c"), symbol("dc")
    bent = relu(c - Fraction(6, 5))
    assert compare_moves(bent, {c: dc}, greater(c, Fraction(6, 5)) * dc, (), Random(1))[0] is True
    for seed in range(5):
        assert compare_moves(bent, {c: dc}, 0 * dc, (), Random(seed))[0] is False


def test_signs_that_are_mostly_alike_hide_nothing():
    """(1[z > 0])ᵀ is 1[z > 0] where all signs are the same, and often where a matrix is small."""
    Z = symbol("Z", "h h")
    for seed in range(20):
        refuted(with_details(SUM, rewrite(greater(-Z, 0), greater(0, Z.T))), seed)


def test_a_step_by_such_a_law_is_proved_too():
    to, end = SUM.steps[-2:]
    G = exp(u) * exp(v)
    law = Step("exponential of a sum", "", u + v, to.after, ((G, u + v),))
    last = replaced(end, before=law.after, after=((G, u),))
    proved(derivation(SUM.of, [*SUM.steps[:-1], law, last], {u: G}))
    wrong = SLIGHTLY * G
    law = replaced(law, after=((wrong, u + v),))
    last = replaced(last, before=law.after, after=((wrong, u),))
    refuted(derivation(SUM.of, [*SUM.steps[:-1], law, last], {u: wrong}))


def test_square_roots_are_true_ones_where_a_law_needs_it():
    for loss, inside in ((norm(z) ** 2, sum(z**2)), (sum(sqrt(X @ W) ** 2), sum(X @ W))):
        d = opened(loss, *(v for v in (w, W) if v in walk(loss)))
        proved(with_details(d, rewrite(loss, inside)))
        refuted(with_details(d, rewrite(loss, SLIGHTLY * inside)))


def test_the_opening_of_an_operation_never_falls_back():
    d = opened(sum(exp(u)), u, change=only("exp", lambda parts: [(exp(u + v) / exp(v), u)]))
    assert refuted(d).failures[0].rule == "chain rule for exp"


def test_a_rational_rewrite_never_falls_back():
    tiny = number(1 + Fraction(1, 10**15))
    assert refuted(with_details(SUM, rewrite(u * v, tiny * (u * v)))).floating == 0


def unknown(meaning, slope=lambda x: x):
    """An operation of which the field knows nothing."""
    return Operation(
        "unknown",
        lambda params, shape: shape,
        lambda np, sizes, params, a: meaning(np, a),
        lambda expr, spell: ("unknown", 0),
        None,
        None,
        lambda G, value, args: (G * slope(*args),),
        "rule of the unknown",
        "",
    )


def test_an_unknown_operation_is_looked_at_in_floating_point():
    cosine = unknown(lambda np, a: np.cos(a))
    for factor, verdict in ((1, True), (SLIGHTLY, False), (-1, False)):
        sine = unknown(lambda np, a: np.sin(a), slope=lambda x, f=factor: f * cosine(x))
        certificate = certify(opened(sum(sine(u) * v), u))
        assert certificate.verdict is verdict, certificate
        assert certificate.number is None
        assert certificate.methods[-1] == ("floating point" if verdict else "wrong")


def test_what_is_nowhere_defined_is_not_proved():
    certificate = certify(opened(sum(unknown(lambda np, a: np.sqrt(-(a**2) - 1))(u)), u))
    assert certificate.verdict is None
    assert str(certificate).startswith("? not proved: ")
    assert certify(opened(sum(v / (u - u)), v)).verdict is not True


# ------------------------------------------------------------------------------------------- sizes


def test_long_sizes_cost_nothing():
    big, long = symbol("X", "60000 784"), symbol("y", "60000")
    weights = symbol("w", "784")
    proved(opened(mean((long - relu(big @ weights)) ** 2), weights))


def test_a_long_size_that_a_law_has_counted_is_taken_as_it_is():
    for shape, floating in (((150,), 0), ((900, 1100), 1)):
        loss = sum(repeat(b, tuple(range(len(shape))), shape))
        count = shape[0] if len(shape) == 1 else 990_000
        for factor, verdict in ((1, True), (2, False)):
            counted = number(count * factor)
            d = opened(loss, b, change=only("repeat", lambda parts, k=counted: [(k, b)]))
            certificate = certify(d)
            assert certificate.verdict is verdict
            assert certificate.floating == (floating if verdict else 0)


def test_the_words_of_a_certificate():
    certificate = Certificate(True, 9, 9, 0, 5, 2**61 - 1, 7, 2, 3e-18, (), ("exact",) * 9)
    assert str(certificate) == (
        "✓ proved: all 9 lines are the same integer (prime of 61 bits, seed 7; chance of error < 10⁻¹⁷)"
    )


@pytest.mark.parametrize("seed", ["a", 1.5, True, [1]])
def test_a_seed_is_a_whole_number(seed):
    for derived in (gs.derive, gs.jacobian):
        with pytest.raises(gs.MathError, match="a seed is a whole number"):
            derived(gs.parse("x**2", x=""), "x", seed=seed)


@pytest.mark.parametrize("text", ["logdet(outer(w, u))", "minimum(logdet(outer(w, u)), w @ u)"])
def test_what_has_no_value_anywhere_is_not_called_wrong(text):
    """A matrix without an inverse at any point has none at fifty digits either: rounding leaves no 0."""
    d = gs.derive(gs.parse(text, w="n", u="n"), "w", seed=1)
    assert d.certificate.verdict is None


def test_a_curve_that_bends_within_the_step_is_no_fault():
    """Differences of sin 300 p are wrong by a hundredth with a step of 1e-3, but not with a smaller one."""
    p = symbol("p", "n")
    loss = sum(sin(300 * p))
    for factor, verdict in ((300, True), (number(Fraction(30001, 100)), False)):
        lines = ((number(1), loss),), ((factor * cos(300 * p), p),)
        assert compare_lines(*lines, {p, loss}, Random(3))[0] is verdict
