"""The part of a recording's bytes that a copy without arrays takes, at the size of the paper's."""

from pathlib import Path

import numpy as np
import pytest

from analysis.metrics.neurons import NeuronScores, score_neurons
from store.copying import LARGE
from store.layout import LayerFormat
from store.shards import file_bytes
from tests.builders import write_file

SCORED = 64
NAMES = (
    "preactivations", "inputs", "projection", "projection_bias", "pair_inputs", "pair_outputs",
    "histogram", "post_histogram", "extreme_positions", "extreme_values",
)  # fmt: skip
COUNTED = ("histogram", "post_histogram", "extreme_positions")


def score_synthetic(n_tokens: int) -> NeuronScores:
    """Scores of neurons that are nearly normal, skewed, or heavy-tailed, as float16."""
    rng = np.random.default_rng(n_tokens)
    normal = rng.standard_normal((SCORED, n_tokens), dtype=np.float32)
    normal[SCORED // 4 : SCORED // 2] *= np.exp(0.4 * normal[SCORED // 4 : SCORED // 2])
    normal[SCORED // 2 : 3 * SCORED // 4] *= rng.standard_exponential((SCORED // 4, n_tokens))
    normal[3 * SCORED // 4 :] *= rng.uniform(0.1, 4, (SCORED // 4, n_tokens)) ** 2
    values = (normal - rng.uniform(0, 2, (SCORED, 1))).astype(np.float16)
    return score_neurons(values.view(np.uint16), "float16", "gelu", None)


def measure(n_tokens: int, folder: Path) -> dict[str, int]:
    """Bytes by array of a layer of 8,192 neurons, d 2,048; those that are counted as written."""
    whole = LayerFormat(1, 0, 8192, 2048, n_tokens, 2048, "float16", 1000)
    scored = LayerFormat(1, 0, SCORED, 2048, n_tokens, 2048, "float16", 1000)
    scores, sizes = score_synthetic(n_tokens), {}
    for name in NAMES:
        array = whole.array(name)
        sizes[name] = file_bytes(array) * array.n_blocks
    for name in COUNTED:
        write_file(folder / name, getattr(scores, name), scored.small(name))
        sizes[name] = (folder / name).stat().st_size * 8192 // SCORED
    return sizes


@pytest.mark.parametrize(("n_tokens", "most"), [(8192, 0.20), (61_440, 0.037), (286_720, 0.009)])
def test_a_copy_without_arrays_takes_few_bytes(n_tokens: int, most: float, tmp_path: Path) -> None:
    sizes = measure(n_tokens, tmp_path)
    taken = sum(size for name, size in sizes.items() if name not in LARGE)
    assert most / 2 < taken / sum(sizes.values()) < most
    plain = 8192 * 8 * (258 + 257 + 40)
    assert sum(sizes[name] for name in COUNTED) < plain / 4
