"""A fresh store and a fresh tiny recording for each test that may change them."""

from pathlib import Path

import pytest

from store.store import Store, create_store
from tests.builders import Made, make_recording


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return create_store(tmp_path / "store")


@pytest.fixture
def made(store: Store) -> Made:
    """A complete recording of two layers and two blocks, the second one partial."""
    return make_recording(store)
