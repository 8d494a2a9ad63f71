"""Is nothing silent? Every disaster ends in an error with a mend, or in a fit that says what is wrong."""

import math
import re

import disasters
import numpy as np
from disasters import LOSSES, SOUND, sound, table, trained
from tables import each

import gradstep as gs
from gradstep.expression.errors import MathError

TABLE = list(table())


def named(disaster, loss, kind, place):
    return f"{disaster.name}, {loss}, {kind}, {place}"


def test_the_table_has_hundreds_of_rows():
    faults = [row for row in TABLE if row[0] not in SOUND]
    assert len(faults) >= 200 and {row[1] for row in faults} == set(LOSSES)
    assert len({named(*row) for row in TABLE}) == len(TABLE)


@each("disaster, loss, kind, place", TABLE, ids=[named(*row) for row in TABLE], tests=8)
def test_no_disaster_is_silent(disaster, loss, kind, place, tmp_path):
    said = disaster.told(loss)
    try:
        fit = trained(disaster, loss, kind, place, tmp_path)
    except MathError as error:
        assert said and re.search(said, str(error)), str(error)
        assert error.mend, str(error)
        return
    assert all(np.isfinite(value).all() for value in fit.parameters.values())
    slack = 2e-6 * (abs(fit.history[0]) + abs(fit.history[0] - fit.loss))
    assert math.isfinite(fit.loss) and fit.loss <= fit.history[0] + slack
    if said:
        assert any(re.search(said, note) for note in ("\n".join(fit.notes),)), fit.notes
    else:
        assert not fit.faults
    if disaster.alike:
        assert fit.loss <= 1.1 * usual(loss) + 1e-3


def usual(loss):
    case = sound(loss, "f8")
    return gs.train(case.loss, {"X": case.X, "y": case.y}, steps=disasters.STEPS, **case.settings).loss
