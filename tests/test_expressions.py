"""What holds for every expression: it copies to itself, pickles, and has one variable of a name."""

import copy
import pickle

import numpy as np
import pytest

import gradstep as gs
from gradstep.expression.boxes import Sub, Sup, Sym
from gradstep.expression.records import record, replaced


@pytest.fixture(scope="module")
def derived():
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    return gs.derive(loss, wrt=["w", "b"], seed=7)


def test_an_expression_copies_to_itself(derived):
    for expr in (derived.of, *derived.answers.values()):
        assert copy.copy(expr) is expr and copy.deepcopy(expr) is expr
        assert pickle.loads(pickle.dumps(expr)) is expr


def test_two_variables_of_one_name_are_an_error():
    (v,), (w,) = gs.symbols(w="d"), gs.symbols(w="k")
    with pytest.raises(gs.MathError, match="declared twice"):
        gs.derive(gs.sum(v**2) + gs.sum(w**3), "w")


def test_numbers_of_numpy_are_numbers():
    (w,) = gs.symbols(w="d")
    assert np.float64(2) * w is 2 * w and w ** np.float64(2) is w**2


def test_masks_add_as_numbers():
    (x,) = gs.symbols(x="n")
    assert list(gs.evaluate((x > 0) + (x > -1), x=[1.0, -0.5, -2.0])) == [2.0, 1.0, 0.0]


def test_what_a_formula_does_not_need_is_not_asked_for():
    gs.parse("sum(w**2)", w="d", V="d k")
    f = gs.compile(gs.derive(gs.parse("sum(w**2)", w="d"), "w"))
    value, gradients = f(w=np.array([1.0, 2.0]))
    assert value == 5 and list(gradients["w"]) == [2, 4]
    mean = gs.compile(gs.derive(gs.parse("sum(w)/N", w="d", X="N d"), "w"))
    assert list(mean(w=np.ones(2), X=np.ones((4, 2)))[1]["w"]) == [0.25, 0.25]


# ------------------------------------------------------------------------------------------- records


@record
class Named:
    """Two fields, one of which may be left out."""

    name: str
    places: tuple[int, ...] = ()


def test_a_record_is_what_its_fields_are():
    one = Named("w", (1, 2))
    assert one == Named(name="w", places=(1, 2)) != Named("w") and hash(one) == hash(Named("w", (1, 2)))
    assert repr(one) == "Named(name='w', places=(1, 2))" and Named.__match_args__ == ("name", "places")
    assert replaced(one, name="b") == Named("b", (1, 2))
    box = Sup(Sym("x"), Sym("i"))
    assert pickle.loads(pickle.dumps(box)) == box != Sub(Sym("x"), Sym("i"))


@pytest.mark.parametrize("wrong", [lambda: Named(), lambda: Named("w", (), 3), lambda: Named(nome="w")])
def test_a_record_has_its_fields_and_no_others(wrong):
    with pytest.raises(TypeError, match="argument"):
        wrong()


def test_a_record_does_not_change():
    one = Named("w")
    with pytest.raises(AttributeError, match="does not change"):
        one.name = "b"
    with pytest.raises(AttributeError, match="does not change"):
        del one.name
    with pytest.raises(AttributeError):
        one.other = 1


@record
class Checked(Named):
    """Two fields of another record, and one of its own that is looked at."""

    size: int = 1

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(self.size)


def test_a_record_of_another_kind_has_its_fields_first():
    one = Checked("w", (1,), 2)
    assert (one.name, one.places, one.size) == ("w", (1,), 2)
    assert Checked.__match_args__ == ("name", "places", "size")
    assert one == replaced(Checked("w", (1,), 3), size=2) != Checked("w", (1,), 3)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(ValueError, match="0"):
        Checked("w", (), 0)
