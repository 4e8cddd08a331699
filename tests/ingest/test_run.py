"""Interrupted, failing, competing and repeated ingests."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ingest import pipeline, run
from ingest.blocks import LayerBlock
from ingest.families import FAMILIES
from ingest.models import load_model
from ingest.settings import IngestSettings
from store.errors import BusyError, InputError, SelfCheckError
from store.files import is_locked
from store.store import open_store
from store.writer import ArrayWriter
from tests.models import SIZES, ingest, make_model, quiet, save
from tests.oracles.stored import Cell, read_files, read_rows

BASE = IngestSettings(window_length=300, windows=15, pairs=60)
"""Three blocks of 7, 7 and 1 windows."""
TOKENS = "gpt_neox@main/words: tokens"
CHANGING = {"committed_at", "created_at"}
LEDGER = ("jobs", "schema_docs", "sqlite_sequence", "alembic_version")


def content(store: Path) -> tuple[list[dict[str, bytes]], dict[str, list[dict[str, Cell]]]]:
    """The files of each recording and the rows of each table, without ids and times."""
    names = read_rows(store, "SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {}
    for name in {str(row["name"]) for row in names} - set(LEDGER):
        rows = read_rows(store, f"SELECT * FROM {name}")
        kept = [{k: v for k, v in row.items() if _lasts(k)} for row in rows]
        tables[name] = sorted(kept, key=lambda row: str(list(row.values())))
    return [read_files(folder) for folder in sorted((store / "arrays").iterdir())], tables


def _lasts(column: str) -> bool:
    if column in ("token_id", "next_token_id"):
        return True
    return column != "id" and not column.endswith("_id") and column not in CHANGING


def states(store: Path) -> list[Cell]:
    return [row["state"] for row in read_rows(store, "SELECT state FROM jobs ORDER BY id")]


def count(store: Path, table: str) -> int:
    return len(read_rows(store, f"SELECT * FROM {table}"))


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], text: Path
) -> Path:
    """A store with one recording made without a disturbance, which the tests only read."""
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    ingest(store, models["gpt_neox"], text, BASE)
    return store


class Stop:
    """Calls what it replaces, and raises before the call of this number (from 0)."""

    def __init__(
        self, call: Callable[..., object], at: int, error: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.call, self.at, self.error, self.calls = call, at, error, 0

    def __call__(self, *given: object, **named: object) -> object:
        self.calls += 1
        if self.calls == self.at + 1:
            raise self.error("stopped")
        return self.call(*given, **named)


def disturb(monkeypatch: pytest.MonkeyPatch, place: str, at: int) -> None:
    """Interrupt at a place of the ingest: the forward pass, the sink, a layer's end."""
    owner, name = {
        "forward": (pipeline, "forward"),
        "convert": (pipeline, "convert"),
        "sink": (ArrayWriter, "commit"),
        "rows": (ArrayWriter, "_vouch"),
        "layer": (ArrayWriter, "complete"),
        "model": (run, "load_model"),
    }[place]
    call = getattr(owner, name)
    stop = Stop(call, at)
    # A plain function, so that it binds as a method where it replaces one.
    monkeypatch.setattr(owner, name, lambda *given, **named: stop(*given, **named))


@pytest.mark.parametrize(
    ("place", "at", "left"),
    [
        ("model", 0, False),
        ("forward", 0, False),
        ("forward", 2, True),
        ("convert", 1, False),
        ("convert", 3, True),
        ("sink", 0, False),
        ("sink", 1, True),
        ("rows", 2, False),
        ("rows", 3, True),
        ("layer", 0, True),
        ("layer", 1, True),
    ],
)
def test_interrupted_and_run_again_equals_an_undisturbed_run(
    place: str,
    at: int,
    left: bool,
    undisturbed: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    store = tmp_path / "store"
    with pytest.MonkeyPatch.context() as patched:
        disturb(patched, place, at)
        with pytest.raises(KeyboardInterrupt):
            ingest(store, models["gpt_neox"], text, BASE)
    assert states(store) == ["interrupted"]
    assert (count(store, "recordings"), count(store, "models")) == (int(left), int(left))
    assert any((store / "arrays").iterdir()) == left
    assert not any(is_locked(lock) for lock in (store / "locks").iterdir())
    ingest(store, models["gpt_neox"], text, BASE)
    assert states(store) == ["interrupted", "done"]
    assert content(store) == content(undisturbed)


@pytest.mark.parametrize("seen", [(TOKENS, 2100), (TOKENS, 4200), (TOKENS, 4500)])
def test_interrupted_by_a_report_it_keeps_what_is_done(
    seen: tuple[str, int],
    undisturbed: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    store, passes = tmp_path / "store", Stop(pipeline.forward, -1)

    def report(label: str, done: int, _total: int) -> None:
        if (label, done) == seen:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(store, models["gpt_neox"], text, BASE, report)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "forward", passes)
        ingest(store, models["gpt_neox"], text, BASE)
    assert passes.calls == 3 - -(-seen[1] // 2100)
    assert content(store) == content(undisturbed)


def test_interrupted_again_and_again_it_ends_alike(
    undisturbed: Path, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    for at in (0, 1, 1, 0):
        with pytest.MonkeyPatch.context() as patched:
            disturb(patched, "sink", at)
            with pytest.raises(KeyboardInterrupt):
                ingest(store, models["gpt_neox"], text, BASE)
    ingest(store, models["gpt_neox"], text, BASE)
    assert content(store) == content(undisturbed)


def test_progress_counts_tokens_to_the_end(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    reports: list[tuple[str, int, int]] = []
    ingest(tmp_path / "store", models["gpt_neox"], text, BASE, lambda *seen: reports.append(seen))
    tokens = [(done, total) for label, done, total in reports if label == TOKENS]
    assert tokens[:3] == [(2100, 4500), (4200, 4500), (4500, 4500)]
    hashed = [(done, total) for label, done, total in reports if label.endswith("hashing bytes")]
    assert hashed[-1][0] == hashed[-1][1] > 0
    (job,) = read_rows(tmp_path / "store", "SELECT state, done, total, recording_id FROM jobs")
    assert tuple(job.values()) == ("done", 4500, 4500, 1)


def damaged(folder: Path, value: float, layer: int = 1) -> Path:
    """A model one of whose up-projections holds a weight of this value."""
    model = make_model("gpt_neox")
    nn.Module.float(model)
    with torch.no_grad():
        name = f"gpt_neox.layers.{layer}.mlp.dense_h_to_4h.weight"
        dict(model.named_parameters())[name][3, 5] = value
    return save(folder, model)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), SelfCheckError, "Layer 1, neuron 3: its weights hold NaN"),
        (1e6, InputError, "Layer 1, neuron 3: .* overflows float16; record with --dtype bfloat16"),
    ],
)
def test_a_failure_in_the_first_block_leaves_no_trace(
    value: float, error: type[Exception], message: str, tmp_path: Path, text: Path
) -> None:
    store, folder = tmp_path / "store", damaged(tmp_path / "tiny", value)
    with pytest.raises(error, match=message):
        ingest(store, folder, text, BASE)
    (job,) = read_rows(store, "SELECT state, error, recording_id FROM jobs")
    assert (job["state"], job["recording_id"]) == ("failed", None)
    assert "Layer 1, neuron 3" in str(job["error"])
    files, tables = content(store)
    assert files == []
    assert {name for name, rows in tables.items() if rows} == set()


def test_a_failure_of_added_layers_keeps_the_recording(tmp_path: Path, text: Path) -> None:
    store, folder = tmp_path / "store", damaged(tmp_path / "tiny", 1e6)
    ingest(store, folder, text, replace(BASE, layers=("0",)))
    before, _ = content(store)
    with pytest.raises(InputError, match="overflows"):
        ingest(store, folder, text, BASE)
    (after,), tables = content(store)
    assert {path: after[path] for path in before[0]} == before[0]
    assert len(tables["recordings"]) == 1
    ingest(store, folder, text, replace(BASE, dtype="bfloat16"))
    assert count(store, "recordings") == 2


@pytest.mark.parametrize("layers", [(), ("0",)])
def test_a_second_writer_is_refused_and_the_first_goes_on(
    layers: tuple[str, ...],
    undisturbed: Path,
    tmp_path: Path,
    models: dict[str, Path],
    text: Path,
) -> None:
    store, refused = tmp_path / "store", []

    def report(label: str, done: int, _total: int) -> None:
        if (label, done) == (TOKENS, 2100):
            with pytest.raises(BusyError, match="An ingest into gpt_neox@main/words is at work"):
                ingest(store, models["gpt_neox"], text, replace(BASE, layers=layers))
            refused.append(done)

    ingest(store, models["gpt_neox"], text, BASE, report)
    assert refused == [2100]
    assert states(store) == ["done", "failed"]
    assert content(store) == content(undisturbed)


def test_another_recording_may_be_written_at_the_same_time(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store, made = tmp_path / "store", []

    def report(label: str, done: int, _total: int) -> None:
        if (label, done) == (TOKENS, 2100):
            made.extend(ingest(store, models["qwen2"], text, BASE))

    ingest(store, models["gpt_neox"], text, BASE, report)
    assert made == ["qwen2@main/words"]
    assert states(store) == ["done", "done"]


def test_equal_checkpoints_are_recorded_once_and_found_by_both_names(
    tmp_path: Path, text: Path
) -> None:
    store, folder = tmp_path / "store", tmp_path / "tiny"
    for step, seed in ((0, 4), (1, 4), (2, 5)):
        save(folder / f"step{step}", make_model("gpt_neox", seed))
    passes = Stop(pipeline.forward, -1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "forward", passes)
        names = ingest(store, folder, text, replace(BASE, revisions=("step0", "step1", "step2")))
    assert names == ["tiny@step0/words", "tiny@step0/words", "tiny@step2/words"]
    assert passes.calls == 6
    (job,) = read_rows(store, "SELECT done, total FROM jobs")
    assert tuple(job.values()) == (13_500, 13_500)
    rows = read_rows(store, "SELECT revision, same_as FROM checkpoints ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [("step0", None), ("step1", 1), ("step2", None)]
    views = read_rows(store, "SELECT recording, revision, step, n_neurons FROM recording_overview")
    assert sorted((v["revision"], v["recording"], v["step"]) for v in views) == [
        ("step0", "tiny@step0/words", 0),
        ("step1", "tiny@step0/words", 1),
        ("step2", "tiny@step2/words", 2),
    ]
    assert {v["n_neurons"] for v in views} == {2 * SIZES["gpt_neox"].d_mlp}
    assert ingest(store, folder, text, replace(BASE, revisions=("step1",))) == []


class Counting:
    """A sink that counts the values of blocks that are still in memory at each put."""

    def __init__(self) -> None:
        self.seen: list[weakref.ref[LayerBlock]] = []
        self.alive: list[int] = []

    def put(self, _block: int, layers: Mapping[int, LayerBlock]) -> None:
        self.seen.extend(weakref.ref(values) for values in layers.values())
        self.alive.append(sum(seen() is not None for seen in self.seen))


@pytest.mark.parametrize("windows", [7, 70])
def test_memory_holds_one_block_whatever_the_length(windows: int, models: dict[str, Path]) -> None:
    model = load_model(models["qwen2"], "float32")
    tokens = torch.arange(windows * 300).reshape(windows, 300).remainder(290).numpy()
    blocks, sink = tuple(range(windows // 7)), Counting()
    pipeline.record_blocks(
        model,
        FAMILIES["qwen2"],
        "gate",
        tokens,
        {0: blocks, 2: blocks},
        7,
        "float16",
        sink,
        lambda done: quiet("", done, 0),
    )
    assert sink.alive == [2] * len(blocks)


def test_only_missing_blocks_of_a_layer_are_taken(models: dict[str, Path]) -> None:
    model, taken = load_model(models["qwen2"], "float32"), []

    class Keeping:
        def put(self, block: int, layers: Mapping[int, LayerBlock]) -> None:
            taken.append((block, sorted(layers)))

    tokens = torch.arange(12 * 20).reshape(12, 20).numpy()
    advanced: list[int] = []
    pipeline.record_blocks(
        model,
        FAMILIES["qwen2"],
        "up",
        tokens,
        {0: (), 1: (0, 2), 2: (1,)},
        5,
        "float32",
        Keeping(),
        advanced.append,
    )
    assert taken == [(0, [1]), (1, [2]), (2, [1])]
    assert advanced == [100, 100, 40]


def test_a_recording_opened_while_incomplete_says_so(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    store = tmp_path / "store"
    with pytest.MonkeyPatch.context() as patched:
        disturb(patched, "sink", 1)
        with pytest.raises(KeyboardInterrupt):
            ingest(store, models["gpt_neox"], text, BASE)
    layer = open_store(store).recording("gpt_neox").layer(0)
    assert layer.row.state == "recording"
    assert layer.inputs([2099]).shape == (1, 16)
    with pytest.raises(Exception, match="Block 1 of inputs of layer 0 is not recorded"):
        layer.inputs([2100])
