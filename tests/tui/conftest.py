"""Each test runs in an empty folder, without the user's settings; slow things are made once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.calling import call
from tests.tui.forking import Server, serving


@pytest.fixture(autouse=True)
def _alone(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("NEGSPACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Forks commands."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def analysed(models: dict[str, Path], text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one analysed recording, only to be read."""
    store = tmp_path_factory.mktemp("analysed") / "store"
    sizes = ("--window-length", "128", "--windows", "40", "--pairs", "50")
    for words in (("ingest", models["gpt_neox"], text, *sizes), ("analyze",)):
        done = call(*words, "--store", store)
        assert done.code == 0, done.err
    return store


@pytest.fixture
def store(analysed: Path, tmp_path: Path) -> Path:
    """A copy of the analysed store."""
    return Path(shutil.copytree(analysed, tmp_path / "store"))
