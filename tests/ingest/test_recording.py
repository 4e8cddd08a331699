"""Every stored value against plain hooks, bit for bit."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.torch import load_file, save_file

from ingest.settings import IngestSettings
from store.recording import Recording
from tests.conftest import Record
from tests.models import GATED, SIZES, ingest
from tests.oracles.hooks import Singles, name_of, round_to, watch, windows_of_block
from tests.oracles.stored import read_bits, read_dtype, read_numbers, read_rows

DTYPES = ("float16", "bfloat16", "float32")
BRANCHES = [(family, "gate") for family in SIZES] + [(family, "up") for family in GATED]
BASE = {"window_length": 50, "windows": 45, "pairs": 60}


def settings_of(dtype: str = "float16", projection: str = "gate", **more: object) -> IngestSettings:
    chosen = {**BASE, "dtype": dtype, "projection": projection, **more}
    return IngestSettings(**chosen)  # type: ignore[arg-type]


def folder_of(recording: Recording, layer: int) -> Path:
    return recording.store.arrays / str(recording.row.id) / f"layer.{layer}"


def windows_of(recording: Recording) -> npt.NDArray[np.int64]:
    rows = read_rows(
        recording.store.folder,
        "SELECT token_id FROM tokens WHERE stream_id = ? ORDER BY position",
        recording.row.stream_id,
    )
    ids = np.array([row["token_id"] for row in rows], np.int64)
    return ids.reshape(-1, recording.row.window_length)


def pairs_of(recording: Recording) -> npt.NDArray[np.int64]:
    rows = read_rows(
        recording.store.folder,
        "SELECT position_1, position_2 FROM pairs WHERE pair_set_id = ? ORDER BY pair",
        recording.row.pair_set_id,
    )
    return np.array([tuple(row.values()) for row in rows], np.int64)


@cache
def watched(
    folder: Path, family: str, projection: str, ids: bytes, length: int, dtype: str
) -> list[tuple[Singles, Singles]]:
    windows = np.frombuffer(ids, np.int64).reshape(-1, length)
    names = [name_of(family, projection, layer) for layer in range(SIZES[family].n_layers)]
    return watch(folder, names, windows, dtype)


def check_values(recording: Recording, folder: Path, family: str) -> None:
    """Inputs, pre-activations and pair rows of every layer, as a plain script finds them."""
    row, windows, pairs = recording.row, windows_of(recording), pairs_of(recording)
    ids, length = windows.tobytes(), windows.shape[1]
    assert row.block_tokens == windows_of_block(length) * length
    seen = watched(folder, family, row.projection, ids, length, row.model_dtype)
    assert recording.layers == tuple(range(len(seen)))
    for layer, (x, y) in enumerate(seen):
        place = folder_of(recording, layer)
        inputs, outputs = round_to(x, row.dtype), round_to(y, row.dtype).T
        np.testing.assert_array_equal(read_bits(place, "inputs"), inputs)
        np.testing.assert_array_equal(read_bits(place, "preactivations"), outputs)
        np.testing.assert_array_equal(read_bits(place, "pair_inputs"), inputs[pairs.ravel()])
        np.testing.assert_array_equal(read_bits(place, "pair_outputs"), outputs[:, pairs.ravel()])
        assert read_dtype(place, "preactivations") == row.dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("family", "projection"), BRANCHES)
def test_values_are_those_of_plain_hooks(
    family: str, projection: str, dtype: str, record: Record, models: dict[str, Path]
) -> None:
    recording = record(family, settings_of(dtype, projection))
    check_values(recording, models[family], family)
    assert windows_of(recording).shape == (45, 50)
    assert len(np.unique(pairs_of(recording))) == 120


@pytest.mark.parametrize(("length", "windows"), [(37, 58), (257, 9), (300, 8), (2, 1025)])
def test_any_window_length_gives_the_same(
    length: int, windows: int, record: Record, models: dict[str, Path]
) -> None:
    recording = record("gpt_neox", settings_of(window_length=length, windows=windows))
    assert 1 < recording.row.n_tokens / recording.row.block_tokens < 2
    check_values(recording, models["gpt_neox"], "gpt_neox")


@pytest.mark.parametrize("family", ["gpt_neox", "qwen3", "opt", "gpt2", "gemma2"])
@pytest.mark.parametrize("model_dtype", ["bfloat16", "float16"])
def test_a_model_may_compute_in_16_bits(
    model_dtype: str, family: str, record: Record, models: dict[str, Path]
) -> None:
    recording = record(family, settings_of("float32", model_dtype=model_dtype))
    check_values(recording, models[family], family)


@pytest.mark.parametrize(("family", "projection"), BRANCHES)
def test_kept_weights_are_the_checkpoints(
    family: str, projection: str, record: Record, models: dict[str, Path]
) -> None:
    recording = record(family, settings_of("float16", projection))
    tensors = load_file(models[family] / "model.safetensors")
    for layer in recording.layers:
        place, name = folder_of(recording, layer), name_of(family, projection, layer)
        for array, kind in (("projection", "weight"), ("projection_bias", "bias")):
            tensor = tensors.get(f"{name}.{kind}")
            if tensor is None:
                assert not (place / array).exists()
                continue
            if family == "gpt2" and kind == "weight":
                tensor = tensor.T
            assert read_dtype(place, array) == str(tensor.dtype).removeprefix("torch.")
            np.testing.assert_array_equal(read_numbers(place, array), tensor.double().numpy())


def test_weights_keep_their_dtype_in_a_checkpoint_of_several(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    folder = Path(shutil.copytree(models["qwen3"], tmp_path / "mixed"))
    tensors = load_file(folder / "model.safetensors")
    mixed = {n: t if "mlp" in n else t.bfloat16() for n, t in tensors.items()}
    save_file(mixed, folder / "model.safetensors", metadata={"format": "pt"})
    ingest(tmp_path / "store", folder, text, settings_of(layers=("1",)))
    place, name = tmp_path / "store/arrays/1/layer.1", name_of("qwen3", "gate", 1)
    assert read_dtype(place, "projection") == "float32"
    np.testing.assert_array_equal(read_bits(place, "projection"), tensors[f"{name}.weight"].numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("family", "projection"), BRANCHES)
def test_stored_weights_times_stored_inputs_give_the_outputs(
    family: str, projection: str, dtype: str, record: Record
) -> None:
    recording = record(family, settings_of(dtype, projection))
    eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-20}[dtype]
    for layer in recording.layers:
        place = folder_of(recording, layer)
        x, w = read_numbers(place, "inputs"), read_numbers(place, "projection")
        bias = np.zeros(len(w))
        if (place / "projection_bias").exists():
            bias = read_numbers(place, "projection_bias")
            assert (bias != 0).all()
        reach = abs(w) @ abs(x).T + abs(bias)[:, None]
        found = read_numbers(place, "preactivations")
        assert (abs(found - (w @ x.T + bias[:, None])) <= 2 * eps * reach).all()


def test_weights_are_left_out_when_told(record: Record) -> None:
    recording = record("gpt_neox", settings_of(weights=False, window_length=64))
    assert not (folder_of(recording, 0) / "projection").exists()
    assert (folder_of(recording, 0) / "pair_outputs").exists()


def test_python_reads_what_is_stored(record: Record) -> None:
    recording = record("qwen2", settings_of("bfloat16"))
    np.testing.assert_array_equal(recording.windows(), windows_of(recording))
    layer, place = recording.layer(1), folder_of(recording, 1)
    outputs, inputs = read_numbers(place, "preactivations"), read_numbers(place, "inputs")
    np.testing.assert_array_equal(layer.preactivations([39, 0]), outputs[[39, 0]])
    np.testing.assert_array_equal(layer.preactivations(windows=[44]), outputs[:, 2200:])
    np.testing.assert_array_equal(layer.inputs([2049, 0, 2050]), inputs[[2049, 0, 2050]])
    np.testing.assert_array_equal(layer.inputs(windows=[41, 0])[:50], inputs[2050:2100])
    np.testing.assert_array_equal(layer.small("projection"), read_numbers(place, "projection"))
