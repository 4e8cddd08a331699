"""Recordings that keep inputs only: made, resumed, added to, and read like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ingest.memory import record as record_model
from ingest.settings import IngestSettings
from store.ledger import remove_recording
from store.maintenance import find_debris, verify_files
from store.queries.recordings import list_recordings
from store.recording import Recording
from store.store import Store, open_store
from tests.conftest import Record
from tests.copies import ask, copy_all
from tests.ingest.test_run import BASE, content, disturb, states
from tests.models import SIZES, ingest, make_model, make_tokenizer, save, unsynced
from tests.oracles.layers import read_preactivations
from tests.oracles.stored import read_files

SHORT = IngestSettings(window_length=50, windows=6, pairs=20)
INPUTS = replace(BASE, keep="inputs")
STEP = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-21}
"""What values are rounded to, and, in float32, what a model's own sum loses."""
BRANCHES = [
    ("gpt_neox", "gate"), ("gpt2", "gate"), ("opt", "gate"), ("phi", "gate"), ("llama", "gate"),
    ("llama", "up"), ("mistral", "up"), ("gemma2", "gate"),
]  # fmt: skip


def folder_of(recording: Recording, layer: int) -> Path:
    return recording.layer(layer).arrays.folder


@pytest.mark.parametrize("dtype", STEP)
@pytest.mark.parametrize(("family", "projection"), BRANCHES)
def test_pre_activations_are_the_products_of_what_is_stored(
    family: str, projection: str, dtype: str, record: Record
) -> None:
    settings = replace(SHORT, dtype=dtype, projection=projection)
    kept, whole = (record(family, replace(settings, keep=keep)) for keep in ("inputs", "all"))
    for layer in kept.layers:
        found, recorded = kept.layer(layer), whole.layer(layer)
        y = found.preactivations().astype(np.float64)
        assert np.array_equal(y, read_preactivations(folder_of(kept, layer), dtype))
        assert found.preactivations().dtype == recorded.preactivations().dtype
        x, w = found.inputs().astype(np.float64), found.small("projection").astype(np.float64)
        reach = np.abs(w) @ np.abs(x).T + np.abs(recorded.preactivations())
        apart = np.abs(y - recorded.preactivations())
        assert (apart <= STEP[dtype] * (reach + 1e-3)).all()
        assert np.array_equal(found.inputs(), recorded.inputs())
        assert np.array_equal(found.preactivations([3, 1], windows=[4]), y[[3, 1], 200:250])
        pairs = np.array(ask(kept.store, pair_statement(kept))).ravel()
        assert np.array_equal(found.small("pair_outputs"), y[:, pairs])
        assert np.array_equal(found.small("pair_inputs"), found.inputs(pairs.tolist()))


def pair_statement(recording: Recording) -> str:
    return (
        "SELECT position_1, position_2 FROM pairs WHERE "
        f"pair_set_id = {recording.row.pair_set_id} ORDER BY pair"
    )


@pytest.mark.parametrize(("family", "biased"), [("gpt2", True), ("mistral", False)])
def test_the_families_are_with_and_without_bias(family: str, biased: bool, record: Record) -> None:
    layer = record(family, replace(SHORT, keep="inputs")).layer(0)
    assert layer.arrays.has("projection_bias") == biased
    assert layer.small("projection").shape == (SIZES[family].d_mlp, SIZES[family].d_model)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> Path:
    """A store with one recording of inputs, only read."""
    store = tmp_path_factory.mktemp("kept") / "store"
    ingest(store, models["gpt_neox"], text, INPUTS)
    return store


def test_nothing_but_the_pre_activations_is_missing(
    undisturbed: Path, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    ingest(tmp_path / "all", models["gpt_neox"], text, BASE)
    (kept,), (whole,) = content(undisturbed)[0], content(tmp_path / "all")[0]
    assert {path for path in whole if "/preactivations/" in path} == set(whole) - set(kept)
    same = {path for path in kept if kept[path] == whole[path]}
    assert {path for path in kept if "pair_outputs/c" not in path} <= same


@pytest.mark.parametrize(
    ("place", "at"), [("forward", 2), ("take", 3), ("sink", 1), ("rows", 1), ("layer", 0)]
)
def test_interrupted_and_run_again_equals_an_undisturbed_run(
    place: str,
    at: int,
    undisturbed: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    store = tmp_path / "store"
    with pytest.MonkeyPatch.context() as patched:
        disturb(patched, place, at)
        with pytest.raises(KeyboardInterrupt):
            ingest(store, models["gpt_neox"], text, INPUTS)
    ingest(store, models["gpt_neox"], text, INPUTS)
    assert states(store) == ["interrupted", "done"]
    assert content(store) == content(undisturbed)


def test_layers_added_later_are_those_of_one_run(
    undisturbed: Path, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    for layer in ("1", "0"):
        ingest(store, models["gpt_neox"], text, replace(INPUTS, layers=(layer,)))
    assert read_files(store / "arrays") == read_files(undisturbed / "arrays")


def faults(store: Store) -> list[str | None]:
    rows = list_recordings(store.database)
    return [file.fault for file in verify_files(store, rows, full=True) if file.fault]


def test_copied_whole_and_bare_and_removed(undisturbed: Path, tmp_path: Path) -> None:
    source = open_store(undisturbed)
    layer = source.recording("gpt_neox").layer(1)
    bare, (name,) = copy_all(source, tmp_path / "bare", tables_only=True)
    assert ask(bare, "SELECT DISTINCT keep FROM recordings") == [("inputs",)]
    with pytest.raises(Exception, match=r"is a copy without its arrays.*`negspace copy"):
        bare.recording(name).layer(1).preactivations([0])
    rows = bare.recording(name).layer(1).small("pair_outputs")
    assert np.array_equal(rows, layer.small("pair_outputs"))
    copy_all(source, tmp_path / "bare")
    whole = open_store(tmp_path / "bare")
    found = whole.recording(name).layer(1)
    assert np.array_equal(found.preactivations(), layer.preactivations())
    assert (faults(whole), list(find_debris(whole))) == ([], [])
    stray = found.arrays.folder / "preactivations" / "zarr.json"
    stray.parent.mkdir()
    stray.write_text("{}")
    assert [debris.path for debris in find_debris(whole)] == [stray]
    remove_recording(whole, found.recording.row.id, name)
    assert list_recordings(whole.database) == []
    assert not any(whole.arrays.iterdir())


def test_a_model_in_memory(tmp_path: Path, text: Path) -> None:
    model = make_model("gpt2").to(torch.float32)  # type: ignore[arg-type]
    chosen = replace(SHORT, keep="inputs")
    with unsynced():
        found = record_model(
            tmp_path / "store", model, make_tokenizer(), text, name="edited", settings=chosen
        )
    saved = save(tmp_path / "edited", model)
    ingest(tmp_path / "other", saved, text, chosen)
    other = open_store(tmp_path / "other").recording("edited")
    for layer in found.layers:
        y = found.layer(layer).preactivations()
        assert np.array_equal(y, other.layer(layer).preactivations())
