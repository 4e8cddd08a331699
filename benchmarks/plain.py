"""The plain script: what `analyze` finds of a layer, the authors' way, with scipy and NumPy in RAM.

One neuron after another in float64, as one writes it in a notebook; pairs all at once. It reads no
disk, checks no digest and writes no table.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import kurtosis, skew, wasserstein_distance

Floats = npt.NDArray[np.float64]
Stored = npt.NDArray[np.float16]
EXTREMES, TOP = 20, 10


@dataclass(frozen=True)
class PlainLayer:
    """A layer in RAM: values (neurons, tokens), pair rows (2P, d_model) and (neurons, 2P)."""

    values: Stored
    pair_inputs: Stored
    pair_outputs: Stored


def analyse_plainly(layer: PlainLayer, normal: Floats) -> tuple[list[Floats], Floats]:
    """Return the numbers of each neuron, and MD with the top pairs' OI ratios."""
    return [_score(row.astype(np.float64), normal) for row in layer.values], _score_pairs(layer)


def _score(y: Floats, normal: Floats) -> Floats:
    mean, std = y.mean(), y.std()
    z, h = (y - mean) / std, y * expit(y)
    order = np.argsort(y)
    moments = [mean, std, skew(y), kurtosis(y), y.min(), y.max(), (y < 0).mean()]
    posts = [h.mean(), h.min(), h.max()]
    return np.concatenate(
        [
            [*moments, *posts, wasserstein_distance(z, normal)],
            np.histogram(y, 256, (mean - 8 * std, mean + 8 * std))[0],
            np.histogram(h[h < 0], 128)[0],
            np.histogram(h[h > 0], 128)[0],
            y[order[:EXTREMES]],
            y[order[-EXTREMES:]],
        ]
    )


def _score_pairs(layer: PlainLayer) -> Floats:
    x, y = layer.pair_inputs.astype(np.float64), layer.pair_outputs.astype(np.float64)
    dx = np.linalg.norm(x[0::2] - x[1::2], axis=1)
    dy = np.abs(y[:, 0::2] - y[:, 1::2])
    kept = dx > 0
    dx, dy = dx[kept], dy[:, kept]
    oi = (dy / np.median(dy, axis=1, keepdims=True)) / (dx / dx.max())
    md = oi.mean(axis=1)
    best = oi[np.argsort(-md)[:TOP]]
    return np.concatenate([md, -np.sort(-best, axis=1)[:, :TOP].ravel()])
