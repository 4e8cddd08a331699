"""Interrupted, failing, competing and repeated ingests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ingest import pipeline, run
from ingest.families import FAMILIES
from ingest.models import load_model
from ingest.pair_rows import PairRows
from ingest.passes import Passes, count_room
from ingest.settings import IngestSettings
from store.errors import BusyError, InputError, SelfCheckError
from store.files import is_locked
from store.layout import BLOCK_ARRAYS
from store.shards import Matrix
from store.store import open_store
from store.streaming import BlockStream
from store.writer import ArrayWriter
from tests.models import SIZES, Size, ingest, make_model, save
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
        "round": (pipeline, "round_values"),
        "take": (BlockStream, "take"),
        "sink": (BlockStream, "commit"),
        "rows": (BlockStream, "_vouch"),
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
        ("round", 1, False),
        ("round", 6, True),
        ("take", 1, False),
        ("take", 5, True),
        ("sink", 0, False),
        ("sink", 1, True),
        ("rows", 0, False),
        ("rows", 1, True),
        ("layer", 0, True),
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
    # What was run before the report came is kept, too.
    assert passes.calls <= 3 - -(-seen[1] // 2100)
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


class Keeping:
    """A sink that keeps which files it took, and how many matrices were lent at most."""

    def __init__(self, tokens: int, size: Size) -> None:
        shapes = {"inputs": (tokens, size.d_model), "preactivations": (size.d_mlp, tokens)}
        self.shapes, self.lent, self.most = shapes, 0, 0
        self.taken: list[tuple[int, str, int]] = []
        self.safe: list[int] = []

    def lend(self, _layer: int, name: str) -> Matrix:
        self.lent += 1
        self.most = max(self.most, self.lent)
        return np.zeros(self.shapes[name], np.float16)

    def take(self, layer: int, name: str, block: int, _matrix: Matrix, _ready: object) -> None:
        self.lent -= 1
        self.taken.append((layer, name, block))

    def commit(self, block: int) -> None:
        self.safe.append(block)

    def committed(self) -> list[int]:
        safe, self.safe = self.safe, []
        return safe


def run_passes(model: Path, passes: Passes, arrays: tuple[str, ...]) -> tuple[Keeping, list[int]]:
    """Record with a sink that keeps nothing; returns it and the tokens of which it was told."""
    advanced: list[int] = []
    sink = Keeping(passes.block_windows * passes.windows.shape[1], SIZES["qwen2"])
    pipeline.record_blocks(
        load_model(model, "float32"), FAMILIES["qwen2"], "up", passes, arrays, "float16", sink,
        PairRows(np.arange(4), frozenset()), advanced.append,
    )  # fmt: skip
    return sink, advanced


@pytest.mark.parametrize(("windows", "batch", "most"), [(7, 7, 1), (70, 7, 1), (70, 14, 1)])
def test_memory_holds_no_more_whatever_the_length(
    windows: int, batch: int, most: int, models: dict[str, Path]
) -> None:
    tokens = np.arange(windows * 300).reshape(windows, 300) % 290
    blocks = tuple(range(windows // 7))
    passes = Passes(tokens, 7, batch, {0: blocks, 2: blocks})
    sink, _ = run_passes(models["qwen2"], passes, BLOCK_ARRAYS)
    assert len(sink.taken) == 4 * len(blocks)
    assert (sink.most, sink.lent) == (most, 0)


def test_where_passes_share_a_block_its_files_wait_for_the_last(models: dict[str, Path]) -> None:
    tokens = np.arange(14 * 30).reshape(14, 30) % 290
    sink, advanced = run_passes(
        models["qwen2"], Passes(tokens, 7, 1, {0: (0, 1), 2: (0, 1)}), BLOCK_ARRAYS
    )
    assert (sink.most, advanced) == (4, [210, 210])
    assert count_room(Passes(tokens, 7, 1, {0: (0, 1), 2: (0, 1)}), 2) >= sink.most


def test_only_missing_blocks_of_a_layer_are_taken(models: dict[str, Path]) -> None:
    tokens = np.arange(12 * 20).reshape(12, 20)
    passes = Passes(tokens, 5, 5, {0: (), 1: (0, 2), 2: (1,)})
    sink, advanced = run_passes(models["qwen2"], passes, ("inputs",))
    assert sink.taken == [(1, "inputs", 0), (2, "inputs", 1), (1, "inputs", 2)]
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
