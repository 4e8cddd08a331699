"""Larger models have more and stronger Wasserstein neurons (METHODS 7, Figure 1a)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from analysis.dynamics import expected_maximum
from analysis.report.claims import Finding, Statement, show, show_points, show_share
from analysis.report.statistics import resample_extremes

Floats = npt.NDArray[np.float64]
LAYER = 1
PERCENT = 99
DRAWS = 1999
MOST_DRAWN, PAPER_DRAWN = 128, 2048
LEAST_SHARE, LEAST_GAIN, LEAST_STRENGTH = 0.02, 0.01, 1.1
SIZE = Statement(
    "a",
    "Larger models have more and stronger Wasserstein neurons",
    "Random directions on the same inputs, of each model its own: by chance 1 % of neurons lie "
    "above their 99th percentile of WD, and the expected maximum of as many neurons equals theirs, "
    "whatever the size. So what a larger model does to its inputs alone does not count.",
    "Largest against smallest model: 1,999 bootstrap draws of neurons and of directions (unit: "
    "neuron), one-sided; the larger of the two p, for the share and for the expected maximum over "
    "that of directions. It speaks of these models; other sizes are not sampled.",
    "Both numbers rise from each size to the next; the largest model has a share of 2 % or more, "
    "one point above the smallest, and a relative maximum of 1.1 or more, 1.1 times that of the "
    "smallest.",
)


@dataclass(frozen=True)
class SizedLayer:
    """WD of the neurons (m,) and random directions (k,) of one model's layer 1."""

    model: str
    n_parameters: int
    wd: Floats
    random_wd: Floats


@dataclass(frozen=True)
class _Extremes:
    share: float
    strength: float


def judge_size(models: Sequence[SizedLayer]) -> Finding:
    """Return what models of different size, one recording each, show of the claim."""
    ordered = sorted(models, key=lambda m: m.n_parameters)
    subject = ", ".join(m.model for m in ordered) or "no model"
    if len({m.n_parameters for m in models}) < 2:
        missing = "it needs models of at least two sizes, recorded on one text at layer 1 with "
        missing += f"random directions; this report has {len(models)} such"
        return Finding(SIZE, subject, missing=missing)
    ordered = [_known(m) for m in ordered]
    k = min(MOST_DRAWN, *(min(len(m.wd), len(m.random_wd)) // 2 for m in ordered))
    if k < 1:
        return Finding(
            SIZE, subject, missing="a model has no WD or no random directions at layer 1"
        )
    found = [_measure(m, k) for m in ordered]
    numbers = [number for m, e in zip(ordered, found, strict=True) for number in _show(m, e, k)]
    p = _test(ordered[0], ordered[-1], k)
    return Finding(SIZE, subject, tuple(numbers), p, _shortfalls(found))


def _known(model: SizedLayer) -> SizedLayer:
    wd, random_wd = (values[~np.isnan(values)] for values in (model.wd, model.random_wd))
    return SizedLayer(model.model, model.n_parameters, wd, random_wd)


def _measure(model: SizedLayer, k: int) -> _Extremes:
    threshold = np.percentile(model.random_wd, PERCENT)
    strength = expected_maximum(model.wd, k) / expected_maximum(model.random_wd, k)
    return _Extremes(float((model.wd > threshold).mean()), float(strength))


def _show(model: SizedLayer, found: _Extremes, k: int) -> list[tuple[str, str]]:
    threshold = float(np.percentile(model.random_wd, PERCENT))
    m = len(model.wd)
    paper = show(expected_maximum(model.wd, PAPER_DRAWN)) if m >= PAPER_DRAWN else "too few"
    who = f"{model.model} ({model.n_parameters:,} parameters)"
    return [
        (f"{who}: share above random p99 ({threshold:.3g})", f"{show_share(found.share)} of {m:,}"),
        (f"{who}: expected maximum of {k} neurons", show(expected_maximum(model.wd, k))),
        (f"{who}: the same over that of {k} directions", show(found.strength)),
        (f"{who}: expected maximum of 2,048 neurons", paper),
    ]


def _shortfalls(found: Sequence[_Extremes]) -> tuple[str, ...]:
    first, last = found[0], found[-1]
    steps = list(pairwise(found))
    tests = {
        "share does not rise with every size": all(b.share > a.share for a, b in steps),
        "relative maximum does not rise with every size": all(
            b.strength > a.strength for a, b in steps
        ),
        f"largest share {show_share(last.share)}": last.share >= LEAST_SHARE,
        f"gain in share {show_points(last.share - first.share)}": (
            last.share - first.share >= LEAST_GAIN
        ),
        f"relative maximum {show(last.strength)}": last.strength >= LEAST_STRENGTH,
        f"gain in relative maximum {show(last.strength / first.strength)} times": (
            last.strength / first.strength >= LEAST_STRENGTH
        ),
    }
    return tuple(text for text, met in tests.items() if not met)


def _test(small: SizedLayer, large: SizedLayer, k: int) -> float:
    rng = np.random.default_rng(0)
    gains = np.array([_draw(large, k, rng) - _draw(small, k, rng) for _ in range(DRAWS)])
    return float(((1 + (gains <= 0).sum(axis=0)) / (1 + DRAWS)).max())


def _draw(model: SizedLayer, k: int, rng: np.random.Generator) -> Floats:
    """Return (share, relative maximum) of one bootstrap draw of neurons and directions, (2,)."""
    drawn = np.sort(model.random_wd[rng.integers(0, len(model.random_wd), len(model.random_wd))])
    found = resample_extremes(model.wd, float(np.percentile(drawn, PERCENT)), k, rng)
    return np.array([found[0], found[1] / expected_maximum(drawn, k)])
