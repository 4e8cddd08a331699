"""Where output weights are found: on disk, in the hub's cache, under shortened names."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ingest import hub
from ingest.output_weights import read_output_weights
from ingest.weights import hash_tensor, list_tensors
from store.errors import InputError, NotFoundError
from store.queries.sources import CheckpointOrigin
from tests.models import SIZES


def origin_of(source: Path | str, revision: str = "main", family: str = "gpt2") -> CheckpointOrigin:
    return CheckpointOrigin(1, 1, str(source), family, revision, None, "gate")


def hashes_of(folder: Path) -> dict[str, str]:
    return {entry.name: hash_tensor(entry) for entry in list_tensors(folder)}


def test_a_revision_is_a_subfolder_or_the_folder_itself(
    models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(models["gpt2"], tmp_path / "step5")
    hashes = hashes_of(models["gpt2"])
    whole = read_output_weights(origin_of(models["gpt2"]), 1, 40, hashes)
    part = read_output_weights(origin_of(tmp_path, "step5"), 1, 40, hashes)
    np.testing.assert_array_equal(whole.rows, part.rows)
    assert part.unembedding.file.parent == tmp_path / "step5"


def test_a_commit_is_found_in_the_hubs_cache(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    commit = "5" * 40
    snapshot = tmp_path / "models--org--name" / "snapshots" / commit
    shutil.copytree(models["gpt2"], snapshot)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    assert hub.find_cached("org/name", commit) == snapshot
    assert hub.find_cached("org/name", "6" * 40) is None
    origin = CheckpointOrigin(1, 1, "org/name", "gpt2", "main", commit, "gate")
    found = read_output_weights(origin, 0, 40, hashes_of(snapshot))
    assert found.unembedding.file.parent == snapshot


def test_names_may_leave_out_the_language_model(models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(models["gpt2"] / "config.json", tmp_path)
    tensors = load_file(models["gpt2"] / "model.safetensors")
    short = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    save_file(short, tmp_path / "model.safetensors")
    found = read_output_weights(origin_of(tmp_path), 0, 40, hashes_of(tmp_path))
    assert found.unembedding.name == "wte.weight"
    assert found.rows.tolist() == tensors["transformer.h.0.mlp.c_proj.weight"].tolist()


def test_what_is_not_in_the_files_or_does_not_fit_is_said(
    models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copy(models["gpt2"] / "config.json", tmp_path)
    save_file({"a.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(NotFoundError, match=r"no transformer.h.0.mlp.c_proj.weight"):
        read_output_weights(origin_of(tmp_path), 0, 40, hashes_of(tmp_path))
    with pytest.raises(NotFoundError, match="where the family 'none' keeps"):
        read_output_weights(origin_of(models["gpt2"], family="none"), 0, 40, {})
    with pytest.raises(InputError, match="do not fit"):
        read_output_weights(origin_of(models["gpt2"]), 0, 41, hashes_of(models["gpt2"]))


def test_every_family_says_where_it_writes(models: dict[str, Path]) -> None:
    for name, size in SIZES.items():
        origin = origin_of(models[name], family=size.family)
        found = read_output_weights(origin, 1, size.d_mlp, hashes_of(models[name]))
        width = 8 if name == "opt_350m" else size.d_model
        assert found.rows.shape == (size.d_mlp, width)
        assert found.n_tokens == 300
