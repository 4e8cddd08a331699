"""The interventions and the dose, one value at a time (METHODS 8)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def oracle_value(name: str, h: float, y: float, fill: float) -> float:
    """What h becomes, for the interventions that look at one value."""
    if name == "clamp-negative":
        return h if h > 0 else 0.0
    if name == "clamp-positive":
        return h if h < 0 else 0.0
    if name == "zero":
        return 0.0
    if name == "mean":
        return fill
    if name == "negative-mean":
        return fill if h < 0 else h
    if name == "flip-negative":
        return -h if h < 0 else h
    if name == "flip-all":
        return -h
    if name == "posrelu":
        return y if y > 0 else h
    assert name == "relu"
    return y if y > 0 else 0.0


def oracle_shuffle(h: Sequence[float], acting: Sequence[bool], key: list[int]) -> list[float]:
    """The values of one neuron in one window, those below zero permuted among themselves."""
    places = [t for t, value in enumerate(h) if value < 0 and acting[t]]
    sources = np.random.default_rng(key).permutation(places)
    changed = list(h)
    for place, source in zip(places, sources, strict=True):
        changed[place] = h[int(source)]
    return changed


def oracle_intervention(
    name: str,
    h: Doubles,
    y: Doubles,
    acting: npt.NDArray[np.bool_],
    neurons: Sequence[int],
    fills: Sequence[float],
    layer: int,
    seed: int,
    windows: Sequence[int],
) -> Doubles:
    """h (windows, length, m) as it is afterwards."""
    changed = h.copy()
    for w, window in enumerate(windows):
        for neuron, fill in zip(neurons, fills, strict=True):
            column = [float(v) for v in h[w, :, neuron]]
            if name == "negative-shuffle":
                new = oracle_shuffle(column, list(acting[w]), [seed, layer, neuron, window])
            else:
                new = [
                    oracle_value(name, value, float(y[w, t, neuron]), fill)
                    if acting[w, t]
                    else value
                    for t, value in enumerate(column)
                ]
            changed[w, :, neuron] = new
    return changed


def oracle_dose_sums(
    before: Doubles, after: Doubles, up: Doubles | None, weight: Doubles
) -> tuple[float, float]:
    """Sums of ||change||^2 and ||output||^2 of h (tokens, m) written by weight (d_model, m)."""
    changed = total = 0.0
    for t in range(len(before)):
        scale = up[t] if up is not None else np.ones(before.shape[1])
        off = [float(row @ (before[t] * scale)) for row in weight]
        on = [float(row @ (after[t] * scale)) for row in weight]
        changed += sum((b - a) ** 2 for a, b in zip(off, on, strict=True))
        total += sum(a**2 for a in off)
    return changed, total
