"""A fresh store and a fresh tiny recording for each test that may change them."""

import shutil
from pathlib import Path

import pytest

from store.store import Store, create_store, open_store
from tests.builders import Made, make_recording
from tests.store.querying import make_database


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty store, only to be copied."""
    return create_store(tmp_path_factory.mktemp("empty") / "store").folder


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    """An empty store."""
    shutil.copytree(empty, tmp_path / "store")
    return open_store(tmp_path / "store")


@pytest.fixture
def made(store: Store) -> Made:
    """A complete recording of two layers and two blocks, the second one partial."""
    return make_recording(store)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small database of its own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return make_database(tmp_path / "negspace.sqlite")
