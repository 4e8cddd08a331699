"""A store with an analysed recording, made once, and copies of it."""

import shutil
from pathlib import Path

import pytest

from ingest.settings import IngestSettings
from store.store import open_store
from tests.models import analyse, ingest


@pytest.fixture(scope="session")
def analysed_once(
    models: dict[str, Path], text: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store with one analysed recording, only to be read."""
    store = tmp_path_factory.mktemp("sweeps") / "store"
    ingest(store, models["gpt_neox"], text, IngestSettings(window_length=64, windows=20, pairs=20))
    analyse(open_store(store))
    return store


@pytest.fixture
def analysed(analysed_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(analysed_once, tmp_path / "store"))
