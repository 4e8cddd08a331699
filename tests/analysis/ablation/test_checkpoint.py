"""A recording's checkpoint is found again, or refused before anything is loaded."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import close_session
from safetensors.torch import load_file, save_file

from analysis.ablation import checkpoint
from analysis.ablation.checkpoint import find_checkpoint, load_checkpoint
from ingest.memory import record
from ingest.models import load_model
from ingest.settings import IngestSettings
from store.errors import InputError
from store.recording import Recording
from store.store import open_store
from tests.hub_server import HubServer, point_at, serving_hub
from tests.models import ingest, make_model, make_tokenizer, save

SETTINGS = IngestSettings(window_length=48, windows=4, pairs=20)
WEIGHTS = "model.safetensors"


@pytest.fixture
def recording(tmp_path: Path, text: Path, one_thread: None) -> Recording:
    """A recording of a folder that the test may change."""
    save(tmp_path / "tiny" / "step5", make_model("llama"))
    (name,) = ingest(tmp_path / "store", tmp_path / "tiny", text, SETTINGS)
    return open_store(tmp_path / "store").recording(name)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails."""

    def refuse(*_given: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(checkpoint, "load_model", refuse)


def refused(recording: Recording) -> str:
    with pytest.raises(InputError) as caught:
        find_checkpoint(recording.store.database, recording.row)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert recording.name in sentence
    return sentence


def change_weights(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["model.norm.weight"][0] += 1.0
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def test_it_is_loaded_from_where_it_was_recorded(recording: Recording, tmp_path: Path) -> None:
    found = find_checkpoint(recording.store.database, recording.row)
    assert found.folder == tmp_path / "tiny" / "step5"
    assert found.family.gated
    model = load_checkpoint(found, "bfloat16", "cpu")
    assert model.dtype == torch.bfloat16
    plain = load_model(found.folder, "bfloat16")
    for (name, one), two in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, two), name


def test_files_that_were_only_touched_are_hashed_and_taken(recording: Recording) -> None:
    told: list[tuple[int, int]] = []
    database = recording.store.database
    folder = find_checkpoint(database, recording.row, lambda *at: told.append(at)).folder
    assert not told
    os.utime(folder / WEIGHTS, (1, 1))
    find_checkpoint(database, recording.row, lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1] > 0


@pytest.mark.usefixtures("unloaded")
def test_other_weights_are_refused(recording: Recording, tmp_path: Path) -> None:
    change_weights(tmp_path / "tiny" / "step5")
    sentence = refused(recording)
    known = recording.store.sql("SELECT weights_hash FROM checkpoints")["weights_hash"][0].as_py()
    assert "The weights in" in sentence
    assert str(tmp_path / "tiny" / "step5") in sentence
    assert f"recorded {known[:12]}" in sentence


@pytest.mark.usefixtures("unloaded")
def test_another_config_is_refused(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "tiny" / "step5" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert "The config in" in refused(recording)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("gone", ["tiny", "tiny/step5", f"tiny/step5/{WEIGHTS}"])
def test_a_source_that_is_gone_is_refused(recording: Recording, tmp_path: Path, gone: str) -> None:
    path = tmp_path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    sentence = refused(recording)
    assert f"{tmp_path / 'tiny'}, revision step5, whose files are gone" in sentence


@pytest.mark.usefixtures("unloaded")
def test_a_model_from_memory_and_the_up_branch_are_refused(
    recording: Recording, tmp_path: Path, text: Path
) -> None:
    model = make_model("gpt2")
    made = record(recording.store, model, make_tokenizer(), text, name="own", settings=SETTINGS)
    assert "from a model in memory" in refused(made)
    up = IngestSettings(window_length=48, windows=4, pairs=20, projection="up")
    (name,) = ingest(tmp_path / "store", tmp_path / "tiny", text, up)
    assert "up branch" in refused(recording.store.recording(name))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    save(tmp_path / "hub/models/acme/tiny/main", make_model("gpt_neox"))
    with serving_hub(tmp_path / "hub") as server:
        point_at(monkeypatch, server.url, tmp_path / "home")
        yield server
        close_session()


def test_a_hub_model_comes_from_the_recorded_commit(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    pruned = IngestSettings(window_length=48, windows=4, pairs=20, prune=True)
    (name,) = ingest(tmp_path / "store", Path("acme/tiny"), text, pruned)
    recording = open_store(tmp_path / "store").recording(name)
    before = len(hub.gets(WEIGHTS))
    found = find_checkpoint(recording.store.database, recording.row)
    assert len(hub.gets(WEIGHTS)) == before
    assert found.place.hub is not None
    assert load_checkpoint(found, "float32", "cpu").dtype == torch.float32
    assert len(hub.gets(WEIGHTS)) == before + 1
    find_checkpoint(recording.store.database, recording.row)
    change_weights_of_snapshot(found.folder)
    assert "The weights in" in refused(recording)


def change_weights_of_snapshot(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    next(iter(tensors.values())).view(-1)[0] += 1.0
    (folder / WEIGHTS).unlink()
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


@pytest.mark.usefixtures("unloaded")
def test_a_hub_model_that_is_there_no_more_is_refused(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    (name,) = ingest(tmp_path / "store", Path("acme/tiny"), text, SETTINGS)
    recording = open_store(tmp_path / "store").recording(name)
    shutil.rmtree(tmp_path / "home")
    save(hub.root / "models/acme/tiny/main", make_model("gpt_neox", 1))
    sentence = refused(recording)
    assert "the hub's acme/tiny, revision main, commit" in sentence
