"""How is a descent written whose rate is fitted to each step? As `learn/walks.py` has it, in registers.

A step is tried, and shortened until the loss is clearly below the highest of the last ones; the next rate is
the inverse of the curvature along it. What is not plain (a rate that has come to nothing, a slope of zero, or
one whose square leaves the range of numbers) is left to others: the walk ends before such a step.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.elements import magnitude
from gradstep.backends.native.free import write_free
from gradstep.backends.native.held import ITEM, KIND, ONE, Held, Space
from gradstep.backends.native.reductions import across
from gradstep.backends.native.walk import BEFORE, OWN, Fitted

if TYPE_CHECKING:
    from gradstep.backends.native.descents import _Descent

TINY, HUGE = 1e-200, 1e200  # squares of slopes between these are exact


def write_fitted(descent: _Descent, fitted: Fitted, steps: str, count: str, table: str) -> None:
    """So many steps, or fewer: "taken" tells how many."""
    _Fitting(descent, fitted).write(steps, count, table)


class _Fitting:
    """Steps while they are written; numbers that are not parameters lie in memory."""

    def __init__(self, descent: _Descent, fitted: Fitted) -> None:
        self.descent, self.fitted, self.walk = descent, fitted, descent.walk
        self.writer, self.places = descent.writer, descent.memory.places
        self.memory = Space(self.writer, "%e")
        self.leave = self.writer.label("leave")

    def get(self, name: str, space: Space | None = None) -> Vec:
        return (space or self.memory).load(self.places[OWN + name], ONE)

    def put(self, name: str, value: Vec) -> None:
        self.memory.store(value, self.places[OWN + name])

    def only_if(self, condition: Vec) -> None:
        """Goes on where it holds, and leaves the walk where it does not."""
        on = self.writer.label("on")
        self.writer.branch(condition.lane(0), on, self.leave)
        self.writer.place(on)

    def copied(self, space: Space, source: str, target: str) -> None:
        self.descent.copied(space, self.places[OWN + source], self.places[OWN + target], self.walk.size)

    # ------------------------------------------------------------------------------------- the walk

    def write(self, steps: str, count: str, table: str) -> None:
        writer, descent, walk = self.writer, self.descent, self.walk
        places = descent.carried(("x", "g"))
        loss_place = self.places[walk.loss]
        with writer.loop(0, steps, 1, [self.memory.load(*place) for place in places]) as loop:
            space = Held(writer, "%e")
            space.known = {place: vector for (place, _), vector in zip(places, loop.carried, strict=True)}
            writer.emit(f"store i64 {loop.at}, ptr {descent.own('taken')}")
            for name in ("x", "g"):
                self.copied(space, name, name + "_before")
            stay = {place for name in BEFORE for place, _ in descent.chunks(name)}
            space.known = {place: value for place, value in space.known.items() if place in stay}
            loss = self.memory.load(loss_place, ONE)
            steep, size = self.get("steep"), self.get("size")
            self.put("loss_before", loss)
            self.put("rate_before", self.get("rate"))
            self.put("tries", loss.like(0.0))
            self.only_if((steep > TINY) & (steep < HUGE))
            slope = steep.call("sqrt")
            ceiling = self.highest()
            shortest = size.call("sqrt") * sys.float_info.epsilon / slope
            there = self.tried(space, loss, slope, ceiling, shortest, count)
            descent.kept(space, loop.at, table)
            self.remember(there)
            self.next_rate(space)
            loop.carried[:] = [space.load(*place) for place in places]
        writer.emit(f"store i64 {steps}, ptr {descent.own('taken')}")
        over = writer.label("over")
        writer.jump(over)
        writer.place(self.leave)
        for name in ("x", "g"):
            self.copied(self.memory, name + "_before", name)
        self.memory.store(self.get("loss_before"), loss_place)
        self.put("rate", self.get("rate_before"))
        writer.jump(over)
        writer.place(over)

    def tried(self, space: Held, loss: Vec, slope: Vec, ceiling: Vec, shortest: Vec, count: str) -> Vec:
        """Ever shorter steps, until the loss is clearly below the ceiling; gives that loss."""
        writer, walk = self.writer, self.walk
        again, shorter, good = writer.label("again"), writer.label("shorter"), writer.label("good")
        writer.jump(again)
        writer.place(again)
        rate = self.get("rate")
        self.only_if(rate > shortest)
        write_free(space, walk.update, self.descent.memory, walk.width)
        self.descent.measured(space, "measure", writer.number(walk.rows, ONE), count, "0")
        write_free(space, walk.told, self.descent.memory, walk.width)
        self.put("tries", self.get("tries") + 1)
        there, steep = space.load(self.places[walk.loss], ONE), self.get("steep", space)
        self.only_if(steep.compare("une", math.inf))
        finite = (magnitude(there) < math.inf) & (steep < math.inf)
        noise = magnitude(ceiling) * (4 * sys.float_info.epsilon)
        below = there <= ceiling - rate * self.fitted.sufficient * slope * slope + noise
        writer.branch((finite & below).lane(0), good, shorter)
        writer.place(shorter)
        rise = there - (loss - rate * slope * slope)
        length = rate * slope
        guess = (finite & (rise > 0)).select(length * length / (rise * 2), 0.0)
        least, most = rate * 0.1, rate * 0.5
        guess = (least > guess).select(least, guess)
        self.put("rate", (most < guess).select(most, guess))
        writer.jump(again)
        writer.place(good)
        self.only_if((steep > TINY) & (steep < HUGE))
        return there

    # ------------------------------------------------------------------------------------- after a step

    def highest(self) -> Vec:
        """The highest of the last losses."""
        width, start = self.walk.memory.width, self.places[OWN + "recent"]
        vectors = [
            self.memory.load(start, Type(KIND, width), at * ITEM)
            for at in range(0, self.fitted.recent, width)
        ]
        top = vectors[0]
        for other in vectors[1:]:
            top = (top > other).select(top, other)
        return across([top], "max")

    def remember(self, loss: Vec) -> None:
        """Puts a loss in the place of the oldest of the last ones."""
        writer, most = self.writer, self.fitted.recent
        oldest = self.descent.own("oldest")
        place = writer.scalar(f"load i64, ptr {oldest}")
        self.memory.store(loss, self.places[OWN + "recent"], writer.integer("mul", place, ITEM))
        following = writer.integer("add", place, 1)
        start = writer.test("eq", following, most)
        writer.emit(f"store i64 {writer.scalar(f'select i1 {start}, i64 0, i64 {following}')}, ptr {oldest}")

    def next_rate(self, space: Space) -> None:
        """Twice by the long formula of Barzilai and Borwein, then once by their short one."""
        writer = self.writer
        rate = self.get("rate")
        bend, length, sway = (self.get(name, space) for name in ("bend", "length", "sway"))
        place = self.descent.own("turn")
        turn = writer.scalar(f"load i64, ptr {place}")
        long = writer.test("slt", turn, 2)
        following = writer.integer("add", turn, 1)
        writer.emit(f"store i64 {writer.scalar(f'select i1 {long}, i64 {following}, i64 0')}, ptr {place}")
        one, other = length / bend, bend / sway
        fitted = writer.value(f"select i1 {long}, {one.type} {one.text}, {other.type} {other.text}", one.type)
        self.put("rate", (bend <= 0).select(rate * self.fitted.speed_up, fitted))
