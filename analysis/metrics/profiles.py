"""Where a layer's top pairs stand in every layer (METHODS 6).

A layer brings a `Selection`: the pairs that its *choosers* picked, and the z-scores of all pairs
under its *scorers*. The profile of a source layer is the mean score of its pairs at each layer. A
pair that is not valid at a layer has no score there (NaN), and is left out of that mean; what no
pair scores is NaN. z-scores and ranks do not depend on the divisors of the OI ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.differentiation import measure_differentiation, oi_ratios, rank_highest
from analysis.metrics.formats import Floats

N_NEURONS, N_PAIRS = 10, 10
BOOTSTRAP_DRAWS = 2000
Indices = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Selection:
    """What a layer brings to a profile over P pairs.

    `chosen` (choosers, rows) holds pairs, `oi_z` (scorers, P) and `distance_z` (P,) float64 their
    z-scores, NaN at pairs that do not count. `paired`: the scorers are the choosers.
    """

    chosen: Indices
    oi_z: Floats
    distance_z: Floats
    paired: bool


@dataclass(frozen=True)
class Means:
    """Mean z-scores of the rows of each source at each layer, (sources, layers) float64.

    `n_pairs` (sources, layers) int64 counts the rows that have a score there, repeats counted.
    """

    oi_z: Floats
    distance_z: Floats
    n_pairs: Indices


@dataclass(frozen=True)
class Errors:
    """Standard errors of one source's profile, (layers,) float64 each."""

    oi_z: Floats
    oi_z_relative: Floats
    distance_z: Floats


def select_top(dx: Floats, dy: Floats) -> Selection:
    """Select as the paper does, from dx (P,) and dy (neurons, P): ten neurons of ten pairs each.

    The neurons of highest MD choose their pairs of highest OI and score all (METHODS 5 and 6).
    """
    top = rank_highest(measure_differentiation(dx, dy).md, N_NEURONS)
    ratios = oi_ratios(dx, dy[top])
    valid = dx > 0.0
    return Selection(
        _choose(ratios, N_PAIRS),
        _standardise(ratios, valid),
        _standardise(dx[None, :], valid)[0],
        paired=True,
    )


def select_split(dx: Floats, dy: Floats) -> Selection:
    """Select so that no neuron scores what it chose, from dx (P,) and dy (neurons, P).

    The twenty neurons of highest MD over even pairs; of the odd pairs those of odd rank choose
    their highest 1 %, and those of even rank score all (METHODS 6, `split`).
    """
    ranked = rank_highest(measure_differentiation(dx[0::2], dy[:, 0::2]).md, 2 * N_NEURONS)
    valid = dx > 0.0
    valid[0::2] = False
    # Without the median, which may be 0 on this half of the pairs.
    ratios = np.full((len(ranked), len(dx)), np.nan)
    ratios[:, valid] = dy[np.ix_(ranked, valid)] / dx[valid]
    return Selection(
        _choose(ratios[1::2], -(-int(valid.sum()) // 100)),
        _standardise(ratios[0::2], valid),
        _standardise(dx[None, :], valid)[0],
        paired=False,
    )


def _choose(ratios: Floats, k: int) -> Indices:
    """Return the pairs of the k highest ratios of each neuron, (neurons, k or fewer)."""
    chosen = [rank_highest(row, k) for row in ratios]
    return np.stack(chosen) if chosen else np.empty((0, 0), np.int64)


def _standardise(values: Floats, valid: npt.NDArray[np.bool_]) -> Floats:
    """Return z-scores (ddof 0) over valid pairs of values (n, P); NaN elsewhere."""
    scores = np.full(values.shape, np.nan)
    if valid.any():
        known = values[:, valid]
        spread = known.std(axis=1, keepdims=True)
        divisor = np.where(spread == 0.0, np.nan, spread)
        scores[:, valid] = (known - known.mean(axis=1, keepdims=True)) / divisor
    return scores


def follow(selections: Sequence[Selection]) -> Means:
    """Return the mean scores of every layer's pairs at every layer, in the order given."""
    oi = np.stack([_mean_known(each.oi_z, axis=0) for each in selections])
    distance = np.stack([each.distance_z for each in selections])
    rows = [each.chosen.ravel() for each in selections]
    return Means(
        np.stack([_mean_known(oi[:, pairs], axis=1) for pairs in rows]),
        np.stack([_mean_known(distance[:, pairs], axis=1) for pairs in rows]),
        np.stack([(~np.isnan(oi[:, pairs])).sum(axis=1) for pairs in rows]),
    )


def relate(oi_z: Floats) -> Floats:
    """Return oi_z (..., sources, layers) over that of the source itself; NaN unless it is above 0.

    A source whose own pairs score nothing has no scale for the others.
    """
    own = np.diagonal(oi_z, axis1=-2, axis2=-1)[..., None]
    return oi_z / np.where(own > 0.0, own, np.nan)


def _mean_known(values: Floats, axis: int) -> Floats:
    known = ~np.isnan(values)
    return _divide(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def _divide(total: Floats, count: npt.NDArray[np.integer] | Floats) -> Floats:
    return total / np.where(count > 0, count, np.nan)


def bootstrap(layers: Sequence[int], selections: Sequence[Selection], source: int) -> Errors:
    """Return the standard errors of the profile of `layers[source]`: std (ddof 1) of 2,000 draws.

    Draws for layer t come from `default_rng([0, s, t])`: first all resamples of the choosers of s,
    whose rows follow, then those of the scorers of t. Where choosers are scorers one resample
    serves both for t = s, and for the source's own score, by which each draw is divided; where
    they are not, that score resamples the scorers of s a third time for t other than s.
    """
    own = _tally(selections[source], selections[source])
    drawn = [_draw(layers, selections, source, target, own) for target in range(len(layers))]
    oi, relative, distance = (np.stack(each) for each in zip(*drawn, strict=True))
    return Errors(
        oi.std(axis=1, ddof=1), relative.std(axis=1, ddof=1), distance.std(axis=1, ddof=1)
    )


@dataclass(frozen=True)
class _Tally:
    """Sums and counts of scores by chooser and scorer (choosers, scorers), of dx by chooser."""

    oi: Floats
    oi_count: Floats
    distance: Floats
    distance_count: Floats

    def mean_oi(self, choosers: Floats, scorers: Floats) -> Floats:
        """Return the mean score of each draw; weights (draws, choosers) and (draws, scorers)."""
        total = ((choosers @ self.oi) * scorers).sum(axis=1)
        return _divide(total, ((choosers @ self.oi_count) * scorers).sum(axis=1))

    def mean_distance(self, choosers: Floats) -> Floats:
        """Return the mean z-score of dx of each draw."""
        return _divide(choosers @ self.distance, choosers @ self.distance_count)


def _tally(source: Selection, target: Selection) -> _Tally:
    oi = target.oi_z[:, source.chosen].transpose(1, 0, 2)
    distance = target.distance_z[source.chosen]
    return _Tally(
        np.nansum(oi, axis=2),
        (~np.isnan(oi)).sum(axis=2).astype(np.float64),
        np.nansum(distance, axis=1),
        (~np.isnan(distance)).sum(axis=1).astype(np.float64),
    )


def _draw(
    layers: Sequence[int], selections: Sequence[Selection], source: int, target: int, own: _Tally
) -> tuple[Floats, Floats, Floats]:
    """Return oi_z, oi_z_relative and distance_z of each draw, (draws,) each."""
    rng = np.random.default_rng([0, layers[source], layers[target]])
    at, to = selections[source], selections[target]
    is_own = source == target
    choosers, scorers, judges = _resample_all(rng, at, to, is_own)
    tally = own if is_own else _tally(at, to)
    oi, scale = tally.mean_oi(choosers, scorers), own.mean_oi(choosers, judges)
    relative = oi / np.where(scale > 0.0, scale, np.nan)
    return oi, relative, tally.mean_distance(choosers)


def _resample_all(
    rng: np.random.Generator, source: Selection, target: Selection, is_own: bool
) -> tuple[Floats, Floats, Floats]:
    """Return the draws of the source's choosers, the target's scorers, and the source's scorers."""
    choosers = _resample(rng, len(source.chosen))
    if is_own:
        scorers = choosers if source.paired else _resample(rng, len(source.oi_z))
        return choosers, scorers, scorers
    scorers = _resample(rng, len(target.oi_z))
    judges = choosers if source.paired else _resample(rng, len(source.oi_z))
    return choosers, scorers, judges


def _resample(rng: np.random.Generator, n: int) -> Floats:
    """Return how often each of n neurons is in each draw of n, (draws, n) float64."""
    if n == 0:
        return np.empty((BOOTSTRAP_DRAWS, 0))
    drawn = rng.integers(0, n, (BOOTSTRAP_DRAWS, n)) + n * np.arange(BOOTSTRAP_DRAWS)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=BOOTSTRAP_DRAWS * n)
    return counts.reshape(BOOTSTRAP_DRAWS, n).astype(np.float64)
