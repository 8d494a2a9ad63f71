"""What does a user call to derive? The functions that join the rooms of calculus and notation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from gradstep.calculus.derivation import derive as derive_expression
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError, shallow
from gradstep.expression.late import late
from gradstep.expression.node import Expr, walk
from gradstep.notation.depending import Dependences, depending
from gradstep.notation.parsing import names_of, parse
from gradstep.operations.evaluation import variables
from gradstep.operations.leaves import checked_name

if TYPE_CHECKING:
    from gradstep.calculus import jacobians
    from gradstep.notation import terminal, views
else:
    jacobians = late("gradstep.calculus.jacobians")
    terminal = late("gradstep.notation.terminal")
    views = late("gradstep.notation.views")

# "auto", "none", names to keep, or names with what they stand for: {"z": "X @ w + b"}, {X @ w + b: "z"}.
Names = str | Sequence[str] | Mapping[str, str] | Mapping[Expr, str]


@shallow
def derive(
    loss: Expr,
    wrt: str | Sequence[str],
    *,
    given: Dependences | None = None,
    names: Names | None = None,
    structure: Mapping[str, str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The gradient of a scalar `loss` with respect to the variables `wrt`, step by step.

    `wrt` is a name or several; `d.answers["w"]` is the gradient, in the shape of w. Parts of the loss get
    names, those that its text gave and others as in a textbook: `names="auto"`. `names="none"` writes
    everything out; `names=["z", "e"]` keeps these names only; `names={"z": "X @ w + b"}` has your own only.
    Expressions instead of text, `{X @ w + b: "z"}`, are named beside the others.

    `structure={"X": "symmetric"}` gives the derivative along the independent entries of X, in the shape of X;
    "diagonal", "toeplitz" and "symmetric toeplitz" are the others (The Matrix Cookbook, section 2.8).

    What is assumed of a variable of `wrt` may shorten its gradient, which then holds only where that is true,
    and says so. `again=True` gives one that holds everywhere, to be differentiated again: if S is symmetric,
    the gradient of tr(S S) is 2 S, but its entries move one by one as those of 2 Sᵀ do.

    `given={"u": "x**2"}` says that the variable u depends on others: the derivative with respect to x is then
    the total one, directly and through u. A formula has the shape of its variable, and may use other
    variables of `given`, but not in a circle.

    Every line is checked exactly, and a derivation whose check fails is never returned: it raises
    `MathError`, as do a loss that is not a number, an unknown name, and an operation without a derivative.
    `certify=False` leaves the check out; `seed` makes its random points repeatable.
    """
    loss, called, only = asked(loss, wrt, given, names)
    return derive_expression(
        loss, wrt, names=called, only=only, structure=structure, again=again, certify=certify, seed=seed
    )


def chosen_names(of: Expr, names: Names | None) -> tuple[dict[Expr, str], Collection[str] | None]:
    """The names given to parts of `of`, and which names there may be (None: any)."""
    own = names_of(of)
    if names is None or names == "auto":
        return own, None
    if names == "none":
        return {}, ()
    if isinstance(names, str):
        return own, [name.strip() for name in names.split(",") if name.strip()]
    if isinstance(names, Expr) or not isinstance(names, Collection):
        raise _no_names()
    if not isinstance(names, Mapping):
        return own, [*names]
    texts = {name: text for name, text in names.items() if isinstance(name, str) and isinstance(text, str)}
    if texts:
        return {_part(of, text, name): name for name, text in texts.items()}, texts
    if not all(isinstance(part, Expr) for part in names):
        raise _no_names()
    return {**own, **{part: str(name) for part, name in names.items() if isinstance(part, Expr)}}, None


def _no_names() -> MathError:
    return MathError(
        "names are chosen by a word, a list, or with what they stand for",
        mend='names="none", names=["z"] or names={"z": "X @ w + b"}',
    )


def _part(of: Expr, text: str, name: str) -> Expr:
    """The part of `of` that the text writes."""
    checked_name(name)
    known = variables(of)
    if name in known or any(name in v.shape for v in known.values()):
        raise MathError(f"{name} is the name of a variable or a size already", mend="another name")
    facts = {str(v.params[0]): v.params[2] for v in known.values() if v.params[2]}
    part = parse(text, {variable: v.shape for variable, v in known.items()}, assume=facts or None)
    if not part.args or all(node is not part for node in walk(of)):
        raise MathError(
            f"{text} is no part of this formula, so it cannot be called {name}",
            facts=[f"the formula is {of}"],
        )
    return part


@shallow
def jacobian(
    f: Expr,
    wrt: str | Sequence[str],
    *,
    given: Dependences | None = None,
    names: Names | None = None,
    structure: Mapping[str, str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The Jacobian of any expression `f` with respect to the variables `wrt`, part by part.

    `d.answers["x"]` has the axes of f, then those of x (numerator layout): a matrix where both are vectors,
    an einsum where no matrix notation is enough. `given`, `names`, `structure`, `again`,
    certificate and errors are as in `derive`.
    """
    f, called, only = asked(f, wrt, given, names)
    return jacobians.jacobian(
        f, wrt, names=called, only=only, structure=structure, again=again, certify=certify, seed=seed
    )


@shallow
def hessian(
    loss: Expr,
    wrt: str | Sequence[str],
    *,
    given: Dependences | None = None,
    names: Names | None = None,
    structure: Mapping[str, str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The Hessian of a scalar `loss`: its gradient, and how the gradient moves.

    `d.answers["w"]` has the axes of w twice; with several variables `d.answers["w, b"]` is the block with the
    axes of w, then those of b. `given`, `names`, `structure`, `again`,
    certificate and errors are those of `derive`.
    """
    loss, called, only = asked(loss, wrt, given, names)
    return jacobians.hessian(
        loss, wrt, names=called, only=only, structure=structure, again=again, certify=certify, seed=seed
    )


@shallow
def jvp(
    f: Expr,
    wrt: str | Sequence[str],
    direction: str,
    *,
    given: Dependences | None = None,
    names: Names | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The Jacobian–vector product ∂f/∂x v, in the shape of f; `direction` names v, of the shape of x."""
    f, called, only = asked(f, wrt, given, names)
    return jacobians.jvp(f, wrt, direction, names=called, only=only, again=again, certify=certify, seed=seed)


@shallow
def hvp(
    loss: Expr,
    wrt: str | Sequence[str],
    direction: str,
    *,
    given: Dependences | None = None,
    names: Names | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The Hessian–vector product of a scalar `loss`, in the shape of the variable, without the Hessian."""
    loss, called, only = asked(loss, wrt, given, names)
    return jacobians.hvp(
        loss, wrt, direction, names=called, only=only, again=again, certify=certify, seed=seed
    )


def asked(
    f: Expr, wrt: str | Sequence[str], given: Dependences | None, names: Names | None
) -> tuple[Expr, dict[Expr, str], Collection[str] | None]:
    """The formula with what is `given` put in, the names of its parts, and which names there may be."""
    if isinstance(f, str):
        raise MathError("this takes an expression, not text", mend='gs.parse(text, X="N d", …)')
    if not isinstance(f, Expr):
        return f, {}, None
    called, only = chosen_names(f, names)
    if given is not None:
        f, called = depending(f, given, called, [wrt] if isinstance(wrt, str | Expr) else wrt)
    return f, called, only


def text(
    derivation: Derivation,
    view: str = "matrix",
    style: str = "partials",
    *,
    width: int = 100,
    batch: str | None = None,
    layout: str = "parameter",
    certify: bool = False,
    opened: bool = False,
    layers: str | int | None = None,
) -> str:
    """`Derivation.text`."""
    if layers is None:
        layers = "all" if opened else "folded"
    told = views.present(
        derivation,
        view=view,
        style=style,
        batch=batch,
        layout=layout,
        certify=certify,
        layers=layers,
        opened=opened,
    )
    return terminal.text(told, width, opened=opened)
