"""Is a recipe that was read the one that was written, whatever stands in it?"""

import json
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import each

import gradstep as gs
from gradstep.learn.recipes import Recipe, What, _read, _written
from gradstep.operations import TABLE
from gradstep.operations.leaves import symbol

X, w, b, y = gs.symbols(X="N d", w="d", b="", y="N")
LOSS = gs.mean((y - gs.relu(X @ w + b)) ** 2)
EXAMPLES = [(op, *example) for op in TABLE for example in op.example]


def came_back(recipe):
    text = _written(recipe)
    again = _read(text)
    assert again == recipe and all(
        type(a) is type(b) for a, b in zip(values(again), values(recipe), strict=True)
    )
    assert _written(again) == text and json.loads(text)


def values(recipe):
    return [getattr(recipe, name) for name in Recipe.__match_args__]


@each(("op", "params", "shapes"), EXAMPLES, [f"{op.name} {k}" for k, (op, *_) in enumerate(EXAMPLES)])
def test_every_operation_comes_back_with_its_parameters(op, params, shapes):
    args = [symbol(f"a{k}", shape) for k, shape in enumerate(shapes)]
    made = op(*args, params=params)
    came_back(Recipe(made, tuple(args), ("a0",), ((made, "z"),), "m", "numpy"))


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
TEXTS = st.text(max_size=8)
NUMBERS = st.fractions() | st.integers(-(10**40), 10**40) | st.floats(-1e290, 1e290)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(get_args(What)),
    st.booleans(),
    st.tuples(TEXTS, TEXTS),
    st.lists(NAMES, max_size=4).map(tuple),
    st.lists(TEXTS, max_size=3),
    NUMBERS,
)
def test_every_field_comes_back_in_its_type(what, exact, words, wrt, called, number):
    axis, language = words
    loss = LOSS + number * gs.sum(w**2)
    parts = tuple((loss, name) for name in called)
    came_back(Recipe(loss, (X, w, b, y), wrt, parts, axis, language, what, exact))


def test_these_are_all_fields():
    assert [*get_type_hints(Recipe)] == [
        *("loss", "known", "wrt", "names", "axis", "language", "what", "exact"),
    ]


def test_a_function_of_the_user_comes_along(declaring):
    bowl = gs.function("bowl", "x**2 + depth*abs(x)", depth=2)
    came_back(Recipe(gs.mean(bowl(X @ w)), (X, w), ("w",), (), "N", "numpy"))


@pytest.mark.parametrize(
    "change", [lambda text: text[:-1], lambda text: "[]", lambda text: "[{}, 1, [], []]"]
)
def test_what_is_no_recipe_is_not_read(change):
    with pytest.raises((gs.MathError, ValueError)):
        _read(change(_written(Recipe(LOSS, (X, w, b, y), ("w",), (), "N", "numpy"))))
