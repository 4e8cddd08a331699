from dataclasses import dataclass

import pytest

from analysis.settings import AnalyzeSettings
from ingest.settings import IngestSettings, StreamSettings
from store.errors import InputError
from store.settings import check_types

NUMBER = "give a whole number or None."
TUPLE = "give a tuple, each item a string."


@dataclass(frozen=True)
class Share:
    """A setting that is no whole number."""

    share: float


@pytest.mark.parametrize("kind", [IngestSettings, StreamSettings])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"windows": "8"}, f"windows is '8'; {NUMBER}"),
        ({"windows": 8.0}, f"windows is 8.0; {NUMBER}"),
        ({"windows": True}, f"windows is True; {NUMBER}"),
        ({"skip_first": None}, "skip_first is None; give a whole number."),
        ({"spread": 1}, "spread is 1; give True or False."),
        ({"bos": False}, "bos is False; give a string or None."),
        ({"join": None}, "join is None; give a string."),
    ],
)
def test_values_of_another_type_are_refused(
    kind: type[StreamSettings], wrong: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        kind(**wrong)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"layers": "0-1"}, f"layers is '0-1'; {TUPLE}"),
        ({"layers": (0, 1)}, f"layers is (0, 1); {TUPLE}"),
        ({"revisions": "main"}, f"revisions is 'main'; {TUPLE}"),
        ({"revisions": ["main"]}, f"revisions is ['main']; {TUPLE}"),
        ({"pairs": 10.0}, "pairs is 10.0; give a whole number."),
        ({"name": 5}, "name is 5; give a string or None."),
        ({"weights": None}, "weights is None; give True or False."),
    ],
)
def test_lists_and_names_of_another_type_are_refused(
    wrong: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        IngestSettings(**wrong)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


def test_threads_are_a_number() -> None:
    with pytest.raises(InputError, match=f"threads is '2'; {NUMBER}"):
        AnalyzeSettings(threads="2")  # type: ignore[arg-type]


def test_values_of_their_types_are_taken() -> None:
    settings = IngestSettings(windows=8, layers=("0-1", "3"), revisions=("main",), name="m")
    assert (settings.windows, settings.layers) == (8, ("0-1", "3"))


def test_a_whole_number_is_a_number() -> None:
    for share in (0.5, 1):
        check_types(Share(share))
    with pytest.raises(InputError, match=r"share is '1'; give a number\."):
        check_types(Share("1"))  # type: ignore[arg-type]
