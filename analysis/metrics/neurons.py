"""Everything that one neuron's stored values tell: moments, WD, histograms, shape below 0.

Each neuron becomes an ascending list with counts once (16-bit patterns are counted, float32 and
short rows sorted); moments, WD, dip and both histograms read that list, extremes read the row.
Neurons are scored one after another in the calling thread; the kernels release the GIL.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from analysis.metrics.activations import evaluate, ranked_posts
from analysis.metrics.bins import BINS, POST_BINS
from analysis.metrics.dip import measure_negative_dip
from analysis.metrics.distributions import Distribution, distribute
from analysis.metrics.extremes import KEPT, NOWHERE, find_extremes
from analysis.metrics.formats import Floats, Stored, check_held, find_format
from analysis.metrics.histograms import count_bins, count_post_bins
from analysis.metrics.modes import count_negative_modes
from analysis.metrics.moments import Moments, measure_moments
from analysis.metrics.wasserstein import wasserstein_counted
from store.errors import InputError, SelfCheckError

Whole = npt.NDArray[np.int64]

Scorer = Callable[[Stored, str, str | None, Whole | None], "NeuronScores"]

_MOMENT_COLUMNS = tuple(f.name for f in fields(Moments) if f.name != "n_tokens")


@dataclass(frozen=True)
class NeuronScores:
    """The metric columns of `neurons` (neurons,) float64, NaN where undefined, and the arrays.

    `histogram` (neurons, 258) and `post_histogram` (neurons, 257) int64, the latter all 0 without
    an activation; `extreme_positions` (neurons, 40) int64, -1 where missing; `extreme_values`
    (neurons, 40) as stored, NaN where missing.
    """

    n_tokens: int
    mean: Floats
    std: Floats
    skewness: Floats
    kurtosis: Floats
    minimum: Floats
    maximum: Floats
    negative_fraction: Floats
    post_mean: Floats
    post_minimum: Floats
    post_maximum: Floats
    rounding_step: Floats
    wd: Floats
    negative_modes: Floats
    negative_dip: Floats
    histogram: Whole
    post_histogram: Whole
    extreme_positions: Whole
    extreme_values: Stored


def score_neurons(
    values: Stored, dtype: str, activation: str | None, positions: Whole | None = None
) -> NeuronScores:
    """Return the scores of values (neurons, tokens) as stored in `dtype` (METHODS 3, 4 and 12).

    `activation` is a name that `activations` knows, or None; `positions` (ascending int64) are the
    tokens that count, None for all. InputError for an unknown name, dtype or no token at all,
    SelfCheckError for a value that is infinite or NaN.
    """
    check_held(values, dtype)
    n = count_chosen(values, positions)
    rows = (_choose(row, positions) for row in values)
    scores = [_score(row, dtype, activation) for row in rows]
    columns = {name: _column(scores, name) for name in _MOMENT_COLUMNS}
    places = _stack([score.places for score in scores], 2 * KEPT)
    histogram = _stack([score.histogram for score in scores], BINS + 2)
    parts = (columns[name] for name in ("mean", "std", "negative_fraction"))
    return NeuronScores(
        n_tokens=n,
        **columns,
        wd=np.array([score.wd for score in scores], np.float64),
        negative_modes=count_negative_modes(histogram, *parts),
        negative_dip=np.array([score.negative_dip for score in scores], np.float64),
        histogram=histogram,
        post_histogram=_stack([score.post_histogram for score in scores], 2 * POST_BINS + 1),
        extreme_positions=locate(places, positions),
        extreme_values=take(values, places, positions, dtype),
    )


def count_chosen(values: Stored, positions: Whole | None) -> int:
    """Return how many tokens of values (neurons, tokens) count; InputError for none."""
    n = values.shape[1] if positions is None else positions.size
    if n == 0:
        raise InputError("No token counts for the metrics; record more, or skip fewer first ones.")
    return n


def join(parts: list[NeuronScores]) -> NeuronScores:
    """Return the scores of groups of neurons, one after the other, as one."""
    names = [field.name for field in fields(NeuronScores) if field.name != "n_tokens"]
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    return NeuronScores(n_tokens=parts[0].n_tokens, **columns)


@dataclass(frozen=True)
class _Score:
    """One neuron's numbers; `places` (40,) are the extremes' places among the chosen tokens."""

    moments: Moments
    wd: float
    negative_dip: float
    histogram: Whole
    post_histogram: Whole
    places: Whole


def _score(row: Stored, dtype: str, activation: str | None) -> _Score:
    distribution = distribute(row, dtype)
    values, counts = distribution.values, distribution.counts
    refuse_endless(values[0], values[-1])  # NaN and infinity sort to the ends
    posts = _activate(distribution, dtype, activation)
    moments = measure_moments(distribution, posts, dtype)
    return _Score(
        moments,
        wasserstein_counted(values, counts),
        measure_negative_dip(values, counts),
        count_bins(values, counts, moments.mean, moments.std),
        _count_posts(posts, counts, moments),
        find_extremes(row, distribution),
    )


def refuse_endless(*ends: float) -> None:
    """Raise SelfCheckError for the first of some neurons' lowest and highest that is no number."""
    for end in ends:
        if not math.isfinite(end):
            raise SelfCheckError(
                f"A recorded neuron holds the value {end}; record it again in a wider dtype."
            )


def _activate(distribution: Distribution, dtype: str, activation: str | None) -> Floats | None:
    if activation is None:
        return None
    if distribution.ranks is None:
        return evaluate(activation, distribution.values)
    return ranked_posts(activation, dtype)[distribution.ranks]


def _count_posts(posts: Floats | None, counts: Whole, moments: Moments) -> Whole:
    if posts is None:
        return np.zeros(2 * POST_BINS + 1, np.int64)
    return count_post_bins(posts, counts, moments.post_minimum, moments.post_maximum)


def _choose(row: Stored, positions: Whole | None) -> Stored:
    chosen: Stored = row if positions is None else row[positions]
    return chosen


def _column(scores: list[_Score], name: str) -> Floats:
    return np.array([getattr(score.moments, name) for score in scores], np.float64)


def _stack(rows: list[Whole], width: int) -> Whole:
    return np.array(rows, np.int64).reshape(len(rows), width)


def locate(places: Whole, positions: Whole | None) -> Whole:
    """Return the positions in the full stream of places among the chosen ones; -1 stays -1."""
    if positions is None:
        return places
    return np.where(places == NOWHERE, NOWHERE, positions[places])


def take(values: Stored, places: Whole, positions: Whole | None, dtype: str) -> Stored:
    """Return the stored values at places (neurons, 40), missing ones as the dtype's NaN."""
    form = find_format(dtype)
    columns = np.maximum(locate(places, positions), 0)
    taken: Stored = values[np.arange(values.shape[0])[:, None], columns]
    taken[places == NOWHERE] = form.missing
    return taken
