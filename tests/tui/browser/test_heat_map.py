"""Cells of the heat map: numbers, digits, marks, and the form that fits."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.oracles.heat_map import digit
from tui.browser.heat_map import HEAD, WIDTHS, Cell, choose_form, write_cell

SIZES = st.floats(0.01, 31.0)


@given(SIZES, st.floats(-1.0, 1.0))
def test_digits_are_the_nearest_ninths(top: float, share: float) -> None:
    value = top * share
    # Half way between two digits either is right.
    assume(abs(abs(share) * 9 % 1 - 0.5) > 1e-6)
    assert write_cell(Cell(value), top, "close").strip() == digit(value, top)
    assert write_cell(Cell(value, above=True), top, "digits").strip() == digit(value, top) + "*"


@pytest.mark.parametrize("form", WIDTHS)
@given(st.floats(-31.6, 31.6) | st.none(), st.booleans())
def test_a_cell_is_as_wide_as_its_form(form: str, value: float | None, above: bool) -> None:
    assert len(write_cell(Cell(value, above), 31.6, form)) == WIDTHS[form]


def test_numbers_and_marks() -> None:
    assert write_cell(Cell(-0.354), 2.0, "numbers") == "-0.35 "
    assert write_cell(Cell(1.25, above=True), 2.0, "numbers") == " 1.25*"
    assert write_cell(Cell(1.26, above=True), 2.0, "tenths") == " 1.3*"
    assert write_cell(Cell(None), 2.0, "numbers") == "    · "
    assert write_cell(Cell(0.0), 0.0, "close") == " 0"


@pytest.mark.parametrize(
    ("columns", "width", "form"),
    [
        (30, HEAD + 30 * 6, "numbers"),
        (30, HEAD + 30 * 6 - 1, "tenths"),
        (30, 118, "digits"),
        (30, 78, "close"),
        (100, 78, "close"),
    ],
)
def test_the_most_exact_form_that_fits(columns: int, width: int, form: str) -> None:
    assert choose_form(columns, width) == form
