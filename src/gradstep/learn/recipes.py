"""What is a program over rows made of, so that it can be made on any machine?

Code is not sent: a worker is told the loss and what is wanted of it, derives that as it was derived here, and
compiles it. That both have come to the same program is seen by its print.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

from gradstep.backends import compile_outputs
from gradstep.backends.blocks import Blocked
from gradstep.backends.compiled import Compiled
from gradstep.backends.options import EXACT, Options
from gradstep.backends.rows import cut
from gradstep.backends.run import Run
from gradstep.backends.threads import cores
from gradstep.calculus.curvature import fresh_directions, gauss_newton_product, hessian_product
from gradstep.calculus.derivation import derive
from gradstep.calculus.jacobians import jacobian
from gradstep.calculus.lines import line
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, replace
from gradstep.expression.records import record
from gradstep.learn.objective import compiled
from gradstep.learn.prints import digest
from gradstep.learn.squares import squares
from gradstep.learn.surface import Place
from gradstep.operations.evaluation import belongs, mentioned, variables
from gradstep.operations.graph import from_json, to_json

What = Literal["gradient", "curvature", "gauss-newton", "line", "residuals"]
Names: TypeAlias = tuple[tuple[Expr, str], ...]
KEPT = 64  # programs that a worker remembers


@record
class Recipe:
    """What is wanted of a loss over rows.

    known     the variables of the loss, which may be more than it mentions
    names     what parts of the loss are called
    axis      the size that counts the rows
    language  "numpy" or "native"
    what      value and gradient, the curvature times a vector (of the loss, or for a sum of squares the part
              with first derivatives alone), the loss along a line, or residuals with their slopes and weights
    exact     whether sums are rounded once
    """

    loss: Expr
    known: tuple[Expr, ...]
    wrt: tuple[str, ...]
    names: Names
    axis: str
    language: str
    what: What = "gradient"
    exact: bool = False

    def outputs(self, certify: bool = True) -> dict[str, Expr]:
        """What is wanted beyond a gradient, as expressions by name."""
        return _outputs(self, certify)

    def function(self, threads: int | None = None, certify: bool = True) -> Compiled:
        """It as code; what the derivation of the whole thing claims is proved with `certify`."""
        return _function(self, threads, certify)

    def blocked(self, function: Compiled) -> Blocked:
        """Who runs it over rows, here or elsewhere; a `MathError` where it needs all of them at once."""
        run = function.raw
        assert isinstance(run, Run)
        try:
            found = run.in_blocks(cut(run.program, self.axis))
        except MathError as error:
            raise MathError(
                f"{NEEDS[self.what]} needs all rows at once, and these are too many for memory",
                facts=error.facts,
                mend="a loss that is a sum or a mean over the rows",
            ) from None
        found.whole = run
        found.origin = _made, (_written(self), _print(function))
        return found


def _print(function: Compiled) -> str:
    return digest(str(function.program).encode(), function.source.encode())


def _written(recipe: Recipe) -> str:
    """A recipe as text: its formulas as one graph, what parts of them are called, and the rest."""
    formulas = {"": recipe.loss, **{f"known {k}": each for k, each in enumerate(recipe.known)}}
    formulas |= {f"part {k}": part for k, (part, _) in enumerate(recipe.names)}
    called = [name for _, name in recipe.names]
    others = recipe.wrt, recipe.axis, recipe.language, recipe.what, recipe.exact
    return json.dumps([to_json(formulas), len(recipe.known), called, *others])


def _read(text: str) -> Recipe:
    """The recipe that `_written` wrote."""
    graph, count, called, wrt, *others = json.loads(text)
    formulas = from_json(graph)
    known = tuple([formulas[f"known {k}"] for k in range(count)])
    names = tuple([(formulas[f"part {k}"], name) for k, name in enumerate(called)])
    return Recipe(formulas[""], known, tuple(wrt), names, *others)


@lru_cache(KEPT)
def _made(recipe: str, known_by: str) -> Blocked:
    """The program of a recipe, made where it is needed."""
    wanted = _read(recipe)
    function = wanted.function(cores(), certify=False)
    if _print(function) != known_by:
        raise MathError(
            "this worker derives the gradient otherwise than the machine that asks it",
            mend="the same version of gradstep on all machines",
        )
    return wanted.blocked(function)


@lru_cache(KEPT)
def _outputs(recipe: Recipe, certify: bool) -> dict[str, Expr]:
    return OUTPUTS[recipe.what](belongs(recipe.loss, recipe.known), recipe.wrt, certify)


@lru_cache(KEPT)
def _function(recipe: Recipe, threads: int | None, certify: bool) -> Compiled:
    options = Options(threads=threads, accumulate=EXACT if recipe.exact else "")
    if recipe.what != "gradient":
        return compile_outputs(_outputs(recipe, certify), backend=recipe.language, options=options)
    loss = belongs(recipe.loss, recipe.known)
    derivation = derive(loss, recipe.wrt, names=dict(recipe.names) or None, certify=certify)
    return compiled(derivation, recipe.language, options)


# ------------------------------------------------------------------------------------------- what is wanted


def _curvature(loss: Expr, wrt: tuple[str, ...], certify: bool) -> dict[str, Expr]:
    return _valued(hessian_product(loss, wrt, certify=certify).answers)


def _gauss_newton(loss: Expr, wrt: tuple[str, ...], certify: bool) -> dict[str, Expr]:
    known = variables(loss)
    terms = squares(loss, [known[name] for name in wrt])
    pairs = [(term.residual, term.weights) for term in terms]
    return _valued(gauss_newton_product(pairs, wrt, certify=certify).answers)


def _line(loss: Expr, wrt: tuple[str, ...], certify: bool) -> dict[str, Expr]:
    """The loss at t along a line, its slope and its bend; what is straight is worked out anew for each t."""
    found = line(loss, wrt, certify=certify)
    given = {**variables(loss), str(found.t.params[0]): found.t}
    given |= {str(v.params[0]): v for v in found.directions.values()}
    written = mentioned(found.value, found.slope, found.bend)
    ends = {written[name]: end for name, end in found.ends.items() if name in written}
    places = zip(Place._fields, (found.value, found.slope, found.bend), strict=True)
    return _valued({name: belongs(replace(expr, ends), given) for name, expr in places})


def _residuals(loss: Expr, wrt: tuple[str, ...], certify: bool) -> dict[str, Expr]:
    """Of each term Σ W ⊙ r² its r, its W, and how r moves with each parameter, called by their places."""
    known = variables(loss)
    found: dict[str, Expr] = {}
    for k, term in enumerate(squares(loss, [known[name] for name in wrt])):
        moved = [name for name in mentioned(term.residual) if name in wrt]
        slopes = jacobian(term.residual, moved, certify=certify)
        found |= {f"r{k}": slopes.of, f"W{k}": term.weights}
        found |= {f"J{k} {name}": answer for name, answer in slopes.answers.items()}
    return _valued(found)


def _valued(outputs: Mapping[str, Expr]) -> dict[str, Expr]:
    """The first output is the value of a program, which has no name."""
    first, *others = outputs.items()
    return {"": first[1], **dict(others)}


OUTPUTS = {
    "curvature": _curvature,
    "gauss-newton": _gauss_newton,
    "line": _line,
    "residuals": _residuals,
}


NEEDS = {
    "gradient": "this loss",
    "curvature": "the curvature of this loss",
    "gauss-newton": "the curvature of this loss",
    "line": "the curvature of this loss",
    "residuals": "the Jacobian of the residuals",
}


def recipe_of(
    function: Compiled,
    loss: Expr,
    wrt: Sequence[str],
    names: Names,
    axis: str,
    language: str,
    exact: bool = False,
) -> Recipe:
    """The recipe of a loss and its gradient, which this function computes: variables come in its order."""
    known = {given.name: given.declared for given in function.program.inputs}
    known |= {name: v for name, v in variables(loss).items() if name not in known}
    return Recipe(loss, tuple(known.values()), tuple(wrt), names, axis, language, exact=exact)


def directions_of(loss: Expr, wrt: tuple[str, ...]) -> dict[str, str]:
    """What the direction of each parameter is called in these programs."""
    known = variables(loss)
    found = fresh_directions({name: known[name] for name in wrt}, known)
    return {name: str(v.params[0]) for name, v in found.items()}
