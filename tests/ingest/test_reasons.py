import pytest

from ingest.reasons import reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("added_tokens"), "'added_tokens' is missing"),
        (KeyError(), "KeyError"),
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n field 'n':\n   expected int.\nthree"), "field 'n': expected int"),
        (ValueError("only this: "), "only this"),
        (OSError(), "OSError"),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
