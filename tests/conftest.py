"""What the tests share: made once a session, and only read."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.settings import IngestSettings
from store.recording import Recording
from store.store import open_store

# Read when huggingface_hub is loaded: no test asks the real hub.
os.environ["HF_HUB_OFFLINE"] = "1"

# torch and tests.models are loaded where they are needed: most folders of tests do without.

Record = Callable[[str, IngestSettings], Recording]


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Tiny models on threads that wait for a busy machine take ten times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> dict[str, Path]:
    """A folder with a tiny model for each family."""
    from tests.models import SIZES, make_model, save

    folder = tmp_path_factory.mktemp("models")
    return {family: save(folder / family, make_model(family)) for family in SIZES}


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some 5,000 tokens."""
    from tests.models import write_text

    return write_text(tmp_path_factory.mktemp("texts") / "words.txt", 5000)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path) -> Record:
    """Record a family's model on the text, each recording once, all in one store."""
    from tests.models import ingest

    store = tmp_path_factory.mktemp("recordings") / "store"
    made: dict[tuple[str, IngestSettings], str] = {}

    def find(family: str, settings: IngestSettings) -> Recording:
        key = (family, settings)
        if key not in made:
            (made[key],) = ingest(store, models[family], text, settings)
        return open_store(store).recording(made[key])

    return find
