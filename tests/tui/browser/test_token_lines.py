"""Tokens in lines: nothing lost, no line too wide, the cursor where the token stands."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.browser.token_lines import Lines, lay_out

TEXTS = st.lists(
    st.text(st.sampled_from(" abé世́|"), min_size=1, max_size=9) | st.just("s.\\x0a"),
    min_size=1, max_size=25,
)  # fmt: skip
WIDTHS = st.integers(2, 20)


def text_of(lines: Lines) -> list[str]:
    return ["".join(p.text for p in row.pieces) for row in lines.rows if not row.marks]


@given(TEXTS, WIDTHS)
def test_lines_hold_all_tokens_in_their_order(texts: list[str], width: int) -> None:
    lines = lay_out(texts, (), width)
    assert "".join(text_of(lines)) == "".join(texts)
    assert all(cell_len(line) <= width for line in text_of(lines))
    assert not any(row.marks for row in lines.rows)


@given(TEXTS, WIDTHS, st.data())
def test_marks_stand_under_lines_with_strong_tokens(
    texts: list[str], width: int, data: st.DataObject
) -> None:
    size = len(texts)
    strengths = data.draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    rows = lay_out(texts, strengths, width).rows
    for row, under in zip(rows, [*rows[1:], None], strict=True):
        strong = False
        for piece in row.pieces:
            strong = strong or strengths[piece.token] != 0
        if not row.marks:
            assert strong == (under is not None and under.marks)
        if under is not None and under.marks:
            assert under.pieces == row.pieces


@given(TEXTS, WIDTHS)
def test_places_are_found_again(texts: list[str], width: int) -> None:
    lines = lay_out(texts, (), width)
    assert len(lines.starts) == len(texts)
    for token, text in enumerate(texts):
        row, column = lines.starts[token], lines.find_column(token)
        before = 0
        for piece in lines.rows[row].pieces:
            if piece.token == token:
                assert text.startswith(piece.text)
                break
            before += cell_len(piece.text)
        assert column == before
        if cell_len(text) > 0:
            assert lines.find_token(row, column) in range(token + 1)


def test_a_line_ends_behind_a_break_of_the_text() -> None:
    assert text_of(lay_out(["a", "\\x0a", "b"], (), 20)) == ["a\\x0a", "b"]


def test_up_and_down_pass_over_marks() -> None:
    lines = lay_out(["one ", "two ", "three ", "four"], [3, 0, 0, -1], 8)
    assert [row.marks for row in lines.rows] == [False, True, False, False, True]
    assert lines.find_vertical(0, 1) == 2
    assert lines.find_vertical(1, 1) == 2
    assert lines.find_vertical(3, -1) == 2
    assert lines.find_vertical(2, -1) == 0
    assert lines.find_vertical(0, -1) == 0
    assert lines.find_vertical(3, 1) == 3


def test_places_beside_and_below_the_text() -> None:
    lines = lay_out(["one ", "two"], (), 20)
    assert lines.find_token(0, 5) == 1
    assert lines.find_token(0, 15) == 1
    assert lines.find_token(1, 0) is None
