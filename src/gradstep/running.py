"""What does a user call to run a formula? `compile` joins the rooms of calculus, notation and back ends."""

from __future__ import annotations

from gradstep.backends import compile_outputs
from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError, shallow
from gradstep.expression.node import Expr
from gradstep.learn.objective import compiled
from gradstep.notation.parsing import names_of


@shallow
def compile(what: Derivation | Expr, backend: str = "numpy") -> Compiled:
    """A derivation or an expression as a fast function of arrays by name.

    Of a derivation: f(X=…, w=…) -> (value, {"w": gradient, …}), the forward half shared. Of an expression:
    f(X=…, w=…) -> value. `f.source` is the program. Raises `MathError` for a back end that does not exist.
    """
    if isinstance(what, Derivation):
        return compiled(what, backend)
    if isinstance(what, Expr):
        return compile_outputs({"": what}, names_of(what), backend=backend)
    raise MathError(
        f"compile takes a derivation or an expression, not {type(what).__name__}", mend="gs.derive(loss, wrt)"
    )
