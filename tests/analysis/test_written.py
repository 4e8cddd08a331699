"""What neurons write, against the models' own modules, for every family."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis import written
from analysis.written import Written, find_written, load_written
from ingest.output_weights import OutputWeights
from ingest.settings import IngestSettings
from ingest.weights import list_tensors
from store.errors import InputError, NotFoundError
from store.maintenance import find_debris, verify_files
from store.queries.recordings import list_recordings
from store.recording import Layer
from store.store import Store, open_store
from tests.builders import make_recording
from tests.conftest import Record
from tests.models import SIZES, ingest
from tests.oracles.stored import read_rows
from tests.oracles.written import logits_of, ten_highest, ten_lowest

SMALL = IngestSettings(window_length=64, windows=4, pairs=20)
LAYER = 1


@pytest.fixture
def copied(models: dict[str, Path], text: Path, tmp_path: Path) -> tuple[Store, Path]:
    """A store with a recording of a model of its own, and the model's folder."""
    folder = Path(shutil.copytree(models["gpt2"], tmp_path / "model"))
    ingest(tmp_path / "store", folder, text, SMALL)
    return open_store(tmp_path / "store"), folder


def layer_of(store: Store) -> Layer:
    return store.recording("model").layer(LAYER)


def expected_logits(layer: Layer, folder: Path, family: str) -> list[list[float]]:
    """The logits of the recording's tokens; rows of the unembedding after them are none."""
    ids = read_rows(
        layer.recording.store.folder,
        "SELECT v.token_id FROM vocabulary v JOIN token_streams s USING (tokenizer_id) "
        "WHERE s.id = ?",
        layer.recording.row.stream_id,
    )
    tokens = {int(row["token_id"] or 0) for row in ids}
    assert tokens == set(range(len(tokens)))
    assert len(tokens) < 300
    return [row[: len(tokens)] for row in logits_of(folder, family, LAYER, SIZES[family].d_mlp)]


def assert_written(found: Written, logits: list[list[float]]) -> None:
    """The tokens are the loop's, but where two logits differ by less than float32 can tell."""
    assert found.tokens.shape == found.logits.shape == (len(logits), 20)
    for neuron, row in enumerate(logits):
        expected = ten_highest(row) + ten_lowest(row)
        values = [row[token] for token in expected]
        np.testing.assert_allclose(found.logits[neuron], values, rtol=1e-4, atol=1e-5)
        own = [row[token] for token in found.tokens[neuron].tolist()]
        np.testing.assert_allclose(own, values, rtol=1e-4, atol=1e-5)
        assert len(set(found.tokens[neuron, :10].tolist())) == 10


@pytest.mark.parametrize("family", SIZES)
def test_what_neurons_write_is_what_the_modules_do(
    family: str, record: Record, models: dict[str, Path]
) -> None:
    layer = record(family, SMALL).layer(LAYER)
    found = load_written(layer, keep=False)
    assert_written(found, expected_logits(layer, models[family], family))
    assert not layer.arrays.has("writes_tokens")


def test_blocks_of_tokens_change_nothing(
    record: Record, monkeypatch: pytest.MonkeyPatch, models: dict[str, Path]
) -> None:
    layer = record("llama", SMALL).layer(LAYER)
    monkeypatch.setattr(written, "BLOCK_BYTES", 4 * layer.row.n_neurons * 37)
    assert_written(
        load_written(layer, keep=False), expected_logits(layer, models["llama"], "llama")
    )


def test_ties_go_to_the_lower_token_and_padding_is_no_token(
    record: Record, models: dict[str, Path]
) -> None:
    entries = {entry.name: entry for entry in list_tensors(models["gpt2"])}
    rows = np.zeros((3, 16), np.float32)
    found = find_written(OutputWeights(rows, entries["transformer.wte.weight"]), 30)
    assert found.tokens.max() < 30
    assert not found.logits.any()
    rows[:] = 1.0
    few = find_written(OutputWeights(rows, entries["transformer.wte.weight"]), 20)
    assert sorted(few.tokens[0].tolist()) == list(range(20))


def test_what_a_layer_writes_is_stored_once(copied: tuple[Store, Path]) -> None:
    store, folder = copied
    first = load_written(layer_of(store), keep=True)
    shutil.rmtree(folder)
    again = load_written(layer_of(store), keep=True)
    np.testing.assert_array_equal(first.tokens, again.tokens)
    np.testing.assert_array_equal(first.logits, again.logits)
    recordings = list_recordings(store.database)
    assert [file for file in verify_files(store, recordings, full=True) if file.fault] == []
    assert list(find_debris(store)) == []
    arrays = layer_of(store).arrays
    assert (arrays.dtype_of("writes_tokens"), arrays.dtype_of("writes_logits")) == (
        "int64", "float32",
    )  # fmt: skip


def test_while_an_ingest_is_at_work_nothing_is_stored(copied: tuple[Store, Path]) -> None:
    store, _ = copied
    layer = layer_of(store)
    with store.lock_recording(layer.recording.row.id, layer.recording.name):
        assert load_written(layer, keep=True).tokens.shape == (40, 20)
    assert not layer_of(store).arrays.has("writes_tokens")


def test_files_that_are_gone_are_named(copied: tuple[Store, Path]) -> None:
    store, folder = copied
    shutil.rmtree(folder)
    with pytest.raises(NotFoundError, match=f"files are gone from {folder}"):
        load_written(layer_of(store), keep=True)


def test_weights_that_changed_are_refused(copied: tuple[Store, Path]) -> None:
    store, folder = copied
    entry = next(e for e in list_tensors(folder) if e.name.endswith(f"{LAYER}.mlp.c_proj.weight"))
    with entry.file.open("r+b") as stream:
        stream.seek(entry.start)
        stream.write(b"\x00\x00\x80\x3f")
    with pytest.raises(InputError, match=r"c_proj.weight of .* is not what was recorded"):
        load_written(layer_of(store), keep=True)


def test_a_named_module_and_a_lost_model_have_no_output_weight(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    module = "transformer.h.{layer}.attn.c_proj"
    settings = IngestSettings(window_length=64, windows=4, pairs=20, module=module)
    ingest(tmp_path / "store", models["gpt2"], text, settings)
    layer = open_store(tmp_path / "store").recording("gpt2").layer(LAYER)
    with pytest.raises(NotFoundError, match="--module"):
        load_written(layer, keep=True)
    made = make_recording(tmp_path / "built")
    with pytest.raises(NotFoundError, match="gone from /models/tiny"):
        load_written(made.recording.layer(0), keep=True)
