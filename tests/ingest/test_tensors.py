"""Uploads that are wrong in part, and refusals of those that changed."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from ingest.plan import plan_ingest
from ingest.run import run_ingest
from ingest.settings import IngestSettings
from ingest.weights import hash_checkpoint
from store.errors import InputError
from store.jobs import run_job
from store.store import open_or_create_store
from tests.models import make_model, quiet, save, unsynced

WEIGHTS = "model.safetensors"
EMBEDDING = "gpt_neox.embed_in.weight"
Halves = npt.NDArray[np.float16]
Tensors = dict[str, npt.NDArray[np.generic]]
LARGE = 2
"""Tensors of 1,024 elements or more in the tiny model: both embeddings, 300 x 16 each."""


def notes(store: Path, model: Path, text: Path, *revisions: str) -> list[str]:
    settings = IngestSettings(window_length=64, windows=2, pairs=10, revisions=revisions)
    opened, told = open_or_create_store(store), list[str]()
    work = plan_ingest(opened.database, str(model), str(text), settings)
    with unsynced(), run_job(opened, "ingest", {}, "", quiet) as job:
        run_ingest(opened, work, job, told.append)
    return told


@pytest.fixture
def model(tmp_path: Path, one_thread: None) -> Path:
    """A model of steps 0, 1, 2 and 3 with different weights."""
    for step in range(4):
        save(tmp_path / "tiny" / f"step{step}", make_model("gpt_neox", step))
    return tmp_path / "tiny"


def change(folder: Path, **tensors: Halves) -> None:
    """Replace tensors, named by their last parts with __ for the dot."""
    file = folder / WEIGHTS
    found = load_file(file)
    for ending, values in tensors.items():
        (name,) = (n for n in found if n.endswith(ending.replace("__", ".")))
        found[name] = values
    save_file(found, file, metadata={"format": "pt"})


def tensor(folder: Path, ending: str) -> Halves:
    found: Mapping[str, Halves]
    found = load_file(folder / WEIGHTS)
    return next(values for name, values in found.items() if name.endswith(ending))


def test_a_tensor_of_another_step_is_warned_of(model: Path, tmp_path: Path, text: Path) -> None:
    change(model / "step3", embed_in__weight=tensor(model / "step2", "embed_in.weight"))
    told = notes(tmp_path / "store", model, text, "step1", "step2", "step3")
    assert told == [
        f"Warning: 1 of the {LARGE} large tensors of tiny@step3 are those of step2, the first is "
        f"{EMBEDDING}; the upload may be wrong in part."
    ]
    assert notes(tmp_path / "store", model, text, "step3") == []


def test_small_constant_and_first_tensors_are_not(model: Path, tmp_path: Path, text: Path) -> None:
    same = tensor(model / "step0", "embed_in.weight")
    change(model / "step1", embed_in__weight=same)
    small = tensor(model / "step2", "final_layer_norm.weight")
    constant = np.full((300, 16), 0.25, np.float16)
    change(model / "step2", embed_in__weight=constant)
    change(model / "step3", embed_in__weight=constant, final_layer_norm__weight=small)
    assert notes(tmp_path / "store", model, text, "step0", "step1", "step2", "step3") == []


def test_nearly_constant_is_not_constant(model: Path, tmp_path: Path, text: Path) -> None:
    nearly = np.full((300, 16), 0.25, np.float16)
    nearly[-1, -1] = 0.5
    for step in (2, 3):
        change(model / f"step{step}", embed_in__weight=nearly)
    assert len(notes(tmp_path / "store", model, text, "step2", "step3")) == 1


def test_all_tensors_equal_is_no_warning_but_same_as(
    model: Path, tmp_path: Path, text: Path
) -> None:
    shutil.copy(model / "step2" / WEIGHTS, model / "step3")
    assert notes(tmp_path / "store", model, text, "step2", "step3") == []


def test_the_revision_with_the_most_comes_first(model: Path, tmp_path: Path, text: Path) -> None:
    change(model / "step3", embed_in__weight=tensor(model / "step1", "embed_in.weight"))
    change(model / "step2", embed_in__weight=tensor(model / "step1", "embed_in.weight"))
    change(model / "step3", embed_out__weight=tensor(model / "step2", "embed_out.weight"))
    told = notes(tmp_path / "store", model, text, "step1", "step2", "step3")
    assert [sentence.split(", ")[0].split(": ")[1] for sentence in told] == [
        "1 of the 2 large tensors of tiny@step2 are those of step1",
        "2 of the 2 large tensors of tiny@step3 are those of step2",
        "1 of the 2 large tensors of tiny@step3 are those of step1",
    ]


def test_masks_and_integers_do_not_count(model: Path, tmp_path: Path, text: Path) -> None:
    mask = np.tril(np.ones((1, 1, 64, 64), np.float16))
    for step in (2, 3):
        file = model / f"step{step}" / WEIGHTS
        more: Tensors = {"gpt_neox.layers.0.attention.bias": mask, "ids": np.arange(2000)}
        save_file(load_file(file) | more, file, metadata={"format": "pt"})
    assert notes(tmp_path / "store", model, text, "step2", "step3") == []


def test_which_tensors_vary(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    long = np.zeros(3 * 2**22 + 5, np.float32)  # more than a piece
    late = long.copy()
    late[-1] = 1
    values: Tensors = {
        "a": np.full((3, 4), 7, np.int64),
        "b": np.array([1, 1, 2], np.int16),
        "c": long,
        "d": late,
        "e": np.array(3, np.float32),
        "f": np.zeros((0, 3), np.float16),
        "g": np.array([256, 1], np.int16).repeat([1, 300]),
    }
    save_file(values, folder / WEIGHTS)
    assert hash_checkpoint(folder, "main", None, lambda *_: None).varied == {"b", "d", "g"}


def test_a_known_revision_that_changed_is_refused(model: Path, tmp_path: Path, text: Path) -> None:
    notes(tmp_path / "store", model, text, "step2")
    change(model / "step2", embed_in__weight=tensor(model / "step3", "embed_in.weight"))
    with pytest.raises(InputError, match=r"Revision step2 is in the store with other weights"):
        notes(tmp_path / "store", model, text, "step2")
