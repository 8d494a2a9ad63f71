"""Is every sign explained that a reader may not know?"""

from tables import each

import gradstep as gs
from gradstep.notation.indices import block_op, join_op
from gradstep.notation.legend import FAMILIAR, WORDS, legend, meaning_of
from gradstep.notation.writing import Writer
from gradstep.operations import LEAVES, TABLE
from gradstep.operations.leaves import symbol

BLOCKS = {block_op.name, join_op.name}  # of views alone
OPERATIONS = {op.name: op for op in (*TABLE, *LEAVES)}


def examples(op):
    for params, shapes in op.example:
        yield op(*(symbol("abc"[k], shape) for k, shape in enumerate(shapes)), params=params)


def test_the_tables_speak_of_operations_that_there_are():
    assert not FAMILIAR & set(WORDS) and {*FAMILIAR, *WORDS} <= {*OPERATIONS, *BLOCKS}


@each("name", OPERATIONS)
def test_what_is_not_familiar_is_explained(name):
    for expr in examples(OPERATIONS[name]):
        assert bool(meaning_of(expr)) == (name not in FAMILIAR)


@each("name", OPERATIONS)
def test_the_legend_explains_what_occurs_and_nothing_else(name):
    for expr in examples(OPERATIONS[name]):
        shown = legend([Writer()(expr)])
        assert meaning_of(expr) in shown
        if expr.args:  # a part that goes by a name needs no explanation
            assert legend([Writer({expr: "p"})(expr)]) == ""


def test_a_derivation_says_what_its_signs_mean():
    loss = gs.parse("sum(sigmoid(X @ w)) + trace(S)", X="N d", w="d", S="d d")
    text = " ".join(gs.derive(loss, wrt=["w", "S"]).text().split())
    assert "σ(z) = 1/(1 + exp(−z))" in text and "I is the identity matrix" in text and "tr(A) is" in text
    assert "softmax" not in text
