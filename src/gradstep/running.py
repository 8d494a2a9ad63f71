"""What does a user call to run a formula? `compile` joins the rooms of calculus, notation and back ends."""

from __future__ import annotations

from gradstep.backends import compile_outputs
from gradstep.backends.compiled import Compiled
from gradstep.backends.options import Options
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError, shallow
from gradstep.expression.node import Expr
from gradstep.learn.objective import compiled
from gradstep.notation.parsing import names_of


@shallow
def compile(
    what: Derivation | Expr,
    backend: str = "numpy",
    *,
    threads: int | None = None,
    batch: str = "",
    accumulate: str = "",
) -> Compiled:
    """A derivation or an expression as a fast function of arrays by name.

    Of a derivation: f(X=…, w=…) -> (value, {"w": gradient, …}), the forward half shared. Of an expression:
    f(X=…, w=…) -> value. `f.source` is the program. Large data are read once, in blocks of rows that fit into
    the cache, by `threads` threads (None: one for each core); `batch="N"` says which size counts the rows
    where several could; `f.report` tells how it runs. The result has the same bits for any number of threads.

    A loss is added up in float64 whatever the data are. Gradients of float32 data are computed in float32
    within a block and added up in float64; `accumulate="float64"` computes all of it in float64.

    `backend="jax"` and `"torch"` (extras of that name) write the same program for these, under the derivation
    as a comment, and below it `loss`, a `jax.custom_vjp` or a `torch.autograd.Function`, to be pasted.
    `"javascript"` is source of an ES module over typed arrays, `"c"` source in C99: to be taken away.

    Raises `MathError` for a back end that does not exist or an option that makes no sense.
    """
    options = Options(threads, batch, accumulate)
    if isinstance(what, Derivation):
        return compiled(what, backend, options, what.text() if backend in ("jax", "torch") else "")
    if isinstance(what, Expr):
        return compile_outputs({"": what}, names_of(what), backend=backend, options=options)
    raise MathError(
        f"compile takes a derivation or an expression, not {type(what).__name__}", mend="gs.derive(loss, wrt)"
    )
