"""Where a model computes, and how many windows it takes together; cards are stood in for."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from ingest import devices, pipeline, run
from ingest.batches import find_batch
from ingest.devices import choose_place
from ingest.models import load_model
from ingest.settings import IngestSettings
from store.errors import InputError
from store.store import open_store
from tests.models import ingest
from tests.oracles.stored import read_files, read_rows

GB, FORWARD = 10**9, pipeline.forward
Windows = npt.NDArray[np.int64]
BASE = IngestSettings(window_length=300, windows=15, pairs=60)


@pytest.mark.parametrize(
    ("device", "size", "free", "place"),
    [
        ("cpu", 99, [80], "cpu"),
        ("auto", 99, [], "cpu"),
        ("cuda", 60, [80, 80], "cuda"),
        ("auto", 60, [80, 80], "cuda"),
        ("auto", 120, [80, 80], "cards"),
    ],
)
def test_a_model_is_placed_where_it_fits(
    device: str, size: int, free: list[int], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda: [card * GB for card in free])
    monkeypatch.setattr(devices, "find_spec", lambda _name: object())
    assert choose_place(device, size * GB) == place


@pytest.mark.parametrize(
    ("device", "size", "free", "sentence"),
    [
        ("cuda", 1, [], "^--device cuda: torch sees no CUDA card here; leave --device out"),
        ("cuda", 70, [80, 80], "take 70.0 GB .* have 80.0, 80.0 GB free. --device auto spreads"),
        ("cuda", 70, [80], "have 80.0 GB free. --device cpu works, or a narrower --model-dtype"),
        ("auto", 70, [80], "--device cpu works"),
        ("auto", 120, [80, 80], "`pip install accelerate`"),
    ],
)
def test_what_fits_nowhere_is_refused(
    device: str, size: int, free: list[int], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda: [card * GB for card in free])
    monkeypatch.setattr(devices, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=sentence):
        choose_place(device, size * GB)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card, so cuda is not refused")
def test_cuda_without_a_card_is_refused_before_anything_is_written(
    tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    with pytest.raises(InputError, match="torch sees no CUDA card"):
        ingest(tmp_path / "store", models["gpt_neox"], text, replace(BASE, device="cuda"))
    ingest(tmp_path / "store", models["gpt_neox"], text, replace(BASE, device="auto"))


@pytest.mark.parametrize(
    ("block", "windows", "most", "batch"),
    [
        (1, 100, 99, 8), (1, 3, 99, 4), (1, 1, 99, 1), (6, 100, 5, 3), (6, 100, 13, 12),
        (6, 100, 0, None), (7, 100, 6, 1), (4, 4, 99, 4),
    ],
)  # fmt: skip
def test_the_largest_batch_that_fits_ends_with_a_block(
    block: int, windows: int, most: int, batch: int | None
) -> None:
    assert find_batch(lambda count: count <= most, block, windows) == batch


def test_a_pass_that_needs_too_much_does_not_fit(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(_model: object, windows: Windows) -> None:
        if len(windows) > 6:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(pipeline, "forward", forward)
    model = load_model(models["gpt_neox"], "float32")
    windows = np.zeros((9, 4), np.int64)
    assert pipeline.fits_on_card(model, windows[:3])
    assert not pipeline.fits_on_card(model, windows[:4])


@pytest.mark.parametrize(("batch", "passes"), [(1, 8), (14, 1)])
def test_a_recording_keeps_the_batch_that_it_began_with(
    batch: int, passes: int, tmp_path: Path, models: dict[str, Path], text: Path
) -> None:
    found = []
    for store, stop_at in ((tmp_path / "one", None), (tmp_path / "two", passes)):
        seen: list[int] = []
        with pytest.MonkeyPatch.context() as card:
            card.setattr(run, "is_on_card", lambda _model: True)
            card.setattr(run, "fits_on_card", lambda _model, windows: len(windows) <= batch)
            card.setattr(pipeline, "forward", stopping(seen, stop_at))
            with pytest.raises(KeyboardInterrupt) if stop_at else nullcontext():
                ingest(store, models["gpt_neox"], text, BASE)
            # What another machine finds no longer counts.
            card.setattr(run, "fits_on_card", lambda *_: False)
            card.setattr(pipeline, "forward", stopping(seen, None))
            ingest(store, models["gpt_neox"], text, BASE)
        assert set(seen) <= {batch, 15 % batch}
        rows = read_rows(store, "SELECT batch_windows, id FROM recordings")
        assert rows[0]["batch_windows"] == batch
        found.append(read_files(open_store(store).arrays / str(rows[0]["id"])))
    assert found[0] == found[1]


def stopping(seen: list[int], at: int | None) -> Callable[[object, Windows], None]:
    """A forward pass that notes its windows, and is interrupted after so many passes."""

    def run_pass(model: object, windows: Windows) -> None:
        if at is not None and len(seen) >= at:
            raise KeyboardInterrupt
        seen.append(len(windows))
        FORWARD(model, windows)  # type: ignore[arg-type]

    return run_pass


def test_a_card_on_which_no_window_fits_says_so(
    tmp_path: Path, models: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "is_on_card", lambda _model: True)
    monkeypatch.setattr(run, "fits_on_card", lambda *_: False)
    with pytest.raises(InputError, match="not even one window of 300 tokens fits on the card"):
        ingest(tmp_path / "store", models["gpt_neox"], text, BASE)
    assert read_rows(tmp_path / "store", "SELECT * FROM recordings") == []
