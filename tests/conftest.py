"""What the tests share: made once a session, and only read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.settings import IngestSettings
from store.recording import Recording
from store.store import open_store
from tests.models import SIZES, ingest, make_model, save, write_text

Record = Callable[[str, IngestSettings], Recording]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny model for each family."""
    folder = tmp_path_factory.mktemp("models")
    return {family: save(folder / family, make_model(family)) for family in SIZES}


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some 5,000 tokens."""
    return write_text(tmp_path_factory.mktemp("texts") / "words.txt", 5000)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Record:
    """Record a family's model on the text, each recording once, all in one store."""
    store = tmp_path_factory.mktemp("recordings") / "store"
    made: dict[tuple[str, IngestSettings], str] = {}

    def find(family: str, settings: IngestSettings) -> Recording:
        key = (family, settings)
        if key not in made:
            (made[key],) = ingest(store, models[family], text, settings)
        return open_store(store).recording(made[key])

    return find
