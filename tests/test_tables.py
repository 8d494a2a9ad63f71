"""Does a test that goes through a table try every row, and tell each that fails?"""

import pytest
from tables import each


def test_every_row_is_tried_and_each_that_fails_is_told():
    seen = []

    @each("number, square", [(1, 1), (2, 5), (3, 9), (4, 17), (5, 0)], tests=2)
    def check(number, square, more):
        seen.append((number, more))
        assert number**2 == square

    with pytest.raises(BaseExceptionGroup, match="5-0") as told:
        check(part=0, more="x")
    assert seen == [(1, "x"), (3, "x"), (5, "x")] and len(told.value.exceptions) == 1
    with pytest.raises(BaseExceptionGroup, match="rows fail: 2-5, 4-17") as told:
        check(part=1, more="y")
    assert len(seen) == 5 and len(told.value.exceptions) == 2
    assert told.value.exceptions[0].__notes__ == ["in the row 2-5"]


@each("word", ["one", "two"], ids=["first", "second"])
def test_fixtures_are_given(word, request):
    assert word in ("one", "two") and request.node.name.endswith("[0]")
