"""What is put in place of values: means over a recording, against loops over its values."""

import math
from pathlib import Path

import numpy as np
import pytest

from analysis.ablation.means import read_fills
from ingest.settings import IngestSettings
from store.errors import InputError
from store.recording import Recording
from store.store import open_store
from tests.models import analyse, ingest

SETTINGS = IngestSettings(
    window_length=48, windows=6, pairs=20, skip_first=2, dtype="float16", bos="none"
)


def recorded(folder: Path, model: Path, text: Path) -> Recording:
    (name,) = ingest(folder / "store", model, text, SETTINGS)
    store = open_store(folder / "store")
    analyse(store)
    return store.recording(name)


def silu(y: float) -> float:
    return y / (1.0 + math.exp(-y))


def test_fills_are_the_means_of_a_loop(models: dict[str, Path], text: Path, tmp_path: Path) -> None:
    recording = recorded(tmp_path, models["llama"], text)
    neurons = np.array([0, 3, 64, 70, 171])
    means = read_fills(recording, 1, neurons, "mean")
    negative = read_fills(recording, 1, neurons, "negative-mean")
    assert means is not None
    assert negative is not None
    for place, neuron in enumerate(neurons.tolist()):
        values = recording.layer(1).preactivations(neurons=[neuron])[0].tolist()
        post = [silu(y) for at, y in enumerate(values) if at % 48 >= 2]
        below = [h for h in post if h < 0]
        assert means[place] == pytest.approx(math.fsum(post) / len(post), rel=1e-9)
        assert negative[place] == pytest.approx(math.fsum(below) / len(below), rel=1e-12)
    assert read_fills(recording, 1, neurons, "zero") is None
    none = read_fills(recording, 0, neurons[:0], "negative-mean")
    assert none is not None
    assert none.shape == (0,)


def test_a_neuron_without_negative_values_gets_zero(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    recording = recorded(tmp_path, models["opt"], text)
    found = read_fills(recording, 0, np.arange(72), "negative-mean")
    assert found is not None
    assert (found == 0.0).all()


def test_a_layer_that_is_not_analysed_is_refused(
    models: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    (name,) = ingest(tmp_path / "store", models["gpt2"], text, SETTINGS)
    recording = open_store(tmp_path / "store").recording(name)
    with pytest.raises(InputError, match="analyze"):
        read_fills(recording, 0, np.array([1]), "mean")
