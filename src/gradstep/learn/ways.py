"""Which walk does an optimiser take, with what is known of the loss? And what, where kinks stop it?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.records import record
from gradstep.learn.log import Log
from gradstep.learn.memories import Damping, Fitting, Heading, Moves, Steady, Trust
from gradstep.learn.optimisers import (
    CONJUGATE_GRADIENTS,
    GRADIENT_DESCENT,
    L_BFGS,
    LEVENBERG_MARQUARDT,
    MOMENTUM,
    Optimiser,
    Rule,
)
from gradstep.learn.surface import Curvature, Line, Measured, Objective, Residuals
from gradstep.learn.walks import (
    Batches,
    Ended,
    Enough,
    Stepper,
    Walk,
    fitted_walk,
    plain_walk,
    tuned_walk,
)

if TYPE_CHECKING:
    from gradstep.learn import conjugate, least_squares, newton, quasi_newton
else:
    conjugate = late("gradstep.learn.conjugate")
    least_squares = late("gradstep.learn.least_squares")
    newton = late("gradstep.learn.newton")
    quasi_newton = late("gradstep.learn.quasi_newton")


@record
class Knowledge:
    """What is known of a loss beside its value and gradient, and how it is to be walked on.

    rate        a learning rate that was given
    tolerance   the share of the loss that may be left to gain
    batches     blocks of rows, for a walk through them
    curvature   the Hessian times a vector
    residuals   what the loss adds up the squares of, with their Jacobian
    line        the loss along a line, as a function of how far
    trial       a cheaper objective, and its batches, to try learning rates with
    """

    rate: float | None
    tolerance: float
    batches: Batches | None
    curvature: Curvature | None
    residuals: Residuals | None
    line: Line | None
    trial: tuple[Objective, Batches | None] | None = None

    def stepper(self, optimiser: Rule, loss: Measured) -> Stepper | None:
        """A step of a trial run."""
        if self.trial is None:
            return None
        objective, batches = self.trial
        measured = Measured(objective, loss.layout, loss.listen)
        return Stepper(optimiser, measured, batches if self.batches else None)


def way(optimiser: Optimiser, loss: Measured, log: Log, known: Knowledge) -> Walk:
    """The walk of an optimiser from where the log is; one that lacks what it needs is a `MathError`."""
    if not isinstance(optimiser, Rule):
        return _with_kinks(_curved(optimiser, loss, log, known), loss, log, known)
    step = Stepper(optimiser, loss, known.batches)
    if known.rate is not None:
        return plain_walk(step, log.last, optimiser, known.rate, log.remembered(Steady))
    if optimiser is GRADIENT_DESCENT and known.batches is None:
        return _with_kinks(fitted_walk(loss, log.last, log.remembered(Fitting)), loss, log, known)
    trial = known.stepper(optimiser, loss)
    return tuned_walk(step, log.place, optimiser, log.start.loss, trial, log.tuned())


def _curved(optimiser: Optimiser, loss: Measured, log: Log, known: Knowledge) -> Walk:
    """The walk of an optimiser that chooses its own steps."""
    if known.rate is not None:
        raise MathError(f"{optimiser.name} chooses its steps itself", mend="no learning rate")
    if known.batches is not None:
        raise MathError(
            f"{optimiser.name} needs all rows in each step, not mini-batches", mend='optimiser="adam"'
        )
    if optimiser is L_BFGS:
        return quasi_newton.quasi_newton_walk(loss, log.last, log.remembered(Moves))
    if optimiser is CONJUGATE_GRADIENTS and known.line is not None:
        line = loss.layout.lines(known.line)
        return conjugate.conjugate_walk(loss, log.last, line, log.remembered(Heading))
    if optimiser is LEVENBERG_MARQUARDT and known.residuals is not None:
        return least_squares.least_squares_walk(
            loss,
            log.last,
            loss.layout.residuals(known.residuals),
            _last_digits(log, known.tolerance),
            log.hidden,
            straight=known.residuals.constant,
            alike=any(len(shape) > 1 for shape in loss.layout.shapes.values()),
            memory=log.remembered(Damping),
        )
    if known.curvature is None:
        raise MathError(
            f"{optimiser.name} needs the {optimiser.needs} of the loss", mend=f'optimiser="{L_BFGS.name}"'
        )
    return newton.newton_walk(
        loss,
        log.last,
        loss.layout.products(known.curvature),
        _some_digits(log, known.tolerance),
        known.curvature.constant,
        log.remembered(Trust),
    )


def _some_digits(log: Log, tolerance: float) -> Enough:
    """Is less left than the tolerance asks for?"""
    return lambda gain: gain <= tolerance * log.scale() or log.hidden(gain)


def _last_digits(log: Log, tolerance: float) -> Enough:
    """Is so little left that the parameters are exact, not only the loss?

    A loss is flat at its lowest point: a millionth of a parameter is less than its square in the loss.
    """
    return lambda gain: gain <= max(tolerance**3, sys.float_info.epsilon) * abs(log.lowest.loss)


def _with_kinks(walk: Walk, loss: Measured, log: Log, known: Knowledge) -> Walk:
    """A walk; where the loss has kinks that stop it, steps along the mean of the last gradients go on."""
    ended: Ended = None
    while log.kink_step is None and not log.crawls(known.tolerance):
        try:
            taken = next(walk)
        except StopIteration as end:
            ended = end.value
            break
        yield taken
    if log.kink_step is None and ended is None and not log.flat():
        log.go_on_over_kinks()
    if log.kink_step is not None:
        step, trial = Stepper(MOMENTUM, loss), known.stepper(MOMENTUM, loss)
        yield from tuned_walk(step, log.place, MOMENTUM, log.start.loss, trial, log.tuned())
    return ended
