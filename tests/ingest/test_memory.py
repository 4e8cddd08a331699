"""Models recorded from memory are what they would be from a folder; edited ones are themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ingest.memory import record
from ingest.settings import IngestSettings
from negspace import record as public
from store.errors import InputError
from store.store import open_store
from tests.models import ingest, make_model, make_tokenizer, save, unsynced, write_text

SETTINGS = IngestSettings(window_length=50, windows=4, pairs=10)


class Scaled(torch.nn.Module):
    """Does more than one matrix."""

    def __init__(self, width: int, neurons: int) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(width, neurons)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mul(self.inner(x), 2.0)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return write_text(tmp_path / "words.txt", 400)


def test_an_unchanged_model_is_the_one_in_its_folder(tmp_path: Path, words: Path) -> None:
    model = make_model("llama")
    folder = save(tmp_path / "saved", model)
    names = ingest(tmp_path / "store", folder, words, SETTINGS)
    with unsynced():
        found = record(
            tmp_path / "store", model, make_tokenizer(), str(words), name="mine", settings=SETTINGS
        )
    # Its tensors and config equal the folder's, so it is not recorded again.
    assert found.name == names[0]
    rows = open_store(tmp_path / "store").sql(
        "SELECT weights_hash, same_as FROM checkpoints ORDER BY id"
    )
    first, second = rows.to_pylist()
    assert first["weights_hash"] == second["weights_hash"]
    assert (first["same_as"], second["same_as"]) == (None, 1)


def test_an_edited_model_is_recorded_as_it_is_in_memory(tmp_path: Path, words: Path) -> None:
    model = make_model("gpt_neox").to(torch.float32)  # type: ignore[arg-type]
    with unsynced():
        before = record(
            tmp_path / "s", model, make_tokenizer(), str(words), name="m", settings=SETTINGS
        )
        layer = model.get_submodule("gpt_neox.layers.1.mlp.dense_h_to_4h")
        with torch.no_grad():
            layer.weight[3] = 0.0
            layer.bias[3] = 0.5
        after = record(
            tmp_path / "s", model, make_tokenizer(), words,
            name="m", revision="step1", settings=SETTINGS,
        )  # fmt: skip
    assert (before.name, after.name) == ("m@main/words", "m@step1/words")
    assert np.unique(after.layer(1).preactivations([3])).tolist() == [0.5]
    assert np.ptp(before.layer(1).preactivations([3])) > 0
    assert np.array_equal(before.layer(0).preactivations([1]), after.layer(0).preactivations([1]))


def test_the_model_is_left_as_it_was(tmp_path: Path, words: Path) -> None:
    model = make_model("llama")
    model.train()
    model.get_submodule("model.layers.0").eval()
    modes = [module.training for module in model.modules()]
    with unsynced():
        public(tmp_path / "s", model, make_tokenizer(), str(words), name="m", settings=SETTINGS)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())


def test_the_same_again_runs_no_forward_pass(
    tmp_path: Path, words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("llama")
    with unsynced():
        first = record(
            tmp_path / "s", model, make_tokenizer(), str(words), name="m", settings=SETTINGS
        )
        monkeypatch.setattr("ingest.pipeline.forward", None)
        again = record(
            first.store, model, make_tokenizer(), str(words), name="m", settings=SETTINGS
        )
    assert again.name == first.name


def test_other_weights_under_a_known_revision_are_refused(tmp_path: Path, words: Path) -> None:
    with unsynced():
        record(
            tmp_path / "s", make_model("llama"), make_tokenizer(), str(words),
            name="m", settings=SETTINGS,
        )  # fmt: skip
        with pytest.raises(InputError, match="Revision main is in the store with other weights"):
            record(
                tmp_path / "s", make_model("llama", seed=1), make_tokenizer(), str(words),
                name="m", settings=SETTINGS,
            )  # fmt: skip


def test_a_projection_that_is_no_linear_layer_any_more_is_refused(
    tmp_path: Path, words: Path
) -> None:
    model = make_model("llama")
    model.set_submodule("model.layers.1.mlp.gate_proj", Scaled(32, 172))
    with unsynced(), pytest.raises(InputError) as caught:
        record(tmp_path / "s", model, make_tokenizer(), str(words), name="m", settings=SETTINGS)
    assert str(caught.value) == (
        "model.layers.1.mlp.gate_proj is a Scaled, not a projection; this model cannot be recorded "
        "as its family says."
    )
    assert not list((tmp_path / "s" / "arrays").iterdir())


def test_what_is_no_model_is_refused(tmp_path: Path, words: Path) -> None:
    with pytest.raises(InputError, match="Linear is no transformers model"):
        record(
            tmp_path / "s", torch.nn.Linear(2, 2), make_tokenizer(), str(words),  # type: ignore[arg-type]
            name="m", settings=SETTINGS,
        )  # fmt: skip
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"store": None}, "store is None; give a store or the path of its folder."),
        ({"tokenizer": None}, "tokenizer is None; give the model's transformers tokenizer."),
        (
            {"corpus": ["the cat"]},
            "corpus is of type list; give the path of a text, or a data set, NAME[/CONFIG]:SPLIT.",
        ),
        ({"name": None}, "name is None; give the model's name in the store as a string."),
        ({"revision": 5}, "revision is of type int; give the revision's name as a string."),
        ({"settings": {"windows": 8}}, "settings is of type dict; give an IngestSettings or None."),
    ],
)
def test_arguments_of_another_kind_are_refused(
    wrong: dict[str, object], sentence: str, tmp_path: Path, words: Path
) -> None:
    given: dict[str, object] = {
        "store": tmp_path / "s", "model": make_model("llama"), "tokenizer": make_tokenizer(),
        "corpus": words, "name": "m", "settings": SETTINGS,
    }  # fmt: skip
    with pytest.raises(InputError) as caught:
        record(**(given | wrong))  # type: ignore[arg-type]
    assert str(caught.value) == f"record: {sentence}"
    assert not (tmp_path / "s").exists()
