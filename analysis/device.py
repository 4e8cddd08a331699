"""Scores neurons on a card by torch: what `score_neurons` gives, within 1e-12 (METHODS 3, 4, 12).

Patterns are counted and all numbers taken from the counts, in float64, for as many neurons at a
time as fit; one group is on the card at a time, while other threads read. float32 values have no
patterns to count and are scored by the processor.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.metrics.activations import ranked_posts
from analysis.metrics.bins import BINS, CONSTANT_BIN, POST_BINS, REACH
from analysis.metrics.dip import measure_negative_dip
from analysis.metrics.extremes import KEPT, NOWHERE
from analysis.metrics.formats import N_PATTERNS, Floats, Stored, check_held, ranked_values
from analysis.metrics.modes import count_negative_modes
from analysis.metrics.moments import find_rounding_step
from analysis.metrics.neurons import (
    NeuronScores,
    Scorer,
    Whole,
    count_chosen,
    join,
    locate,
    refuse_endless,
    score_neurons,
    take,
)
from analysis.metrics.wasserstein import quantile_table
from ingest.devices import SPARE, find_cards
from store.errors import InputError

TOKEN_BYTES = 48
"""Of one token of a neuron: its bits, its rank, and the 64-bit keys that order the extremes."""
PATTERN_BYTES = 200
"""Of one pattern of a neuron: its count, and two dozen float64 that hold steps of the sums."""
_ZERO = N_PATTERNS // 2
_POSTS = ("post_mean", "post_minimum", "post_maximum")
_NAN = float("nan")
_ONE_AT_A_TIME = Lock()


def choose_card(device: str) -> Scorer:
    """Return what scores neurons for `--device` cuda or auto; auto needs no card.

    Raises InputError where cuda finds none.
    """
    free = find_cards(device)
    if not free:
        return score_neurons
    return partial(score_on, torch.device("cuda"), int(SPARE * free[0]))


def score_on(
    device: torch.device,
    room: int,
    values: Stored,
    dtype: str,
    activation: str | None,
    positions: Whole | None = None,
) -> NeuronScores:
    """Return the scores of values (neurons, tokens) on a device with `room` free bytes.

    Arguments and errors are those of `score_neurons`; InputError, too, where no neuron fits.
    """
    form = check_held(values, dtype)
    count_chosen(values, positions)
    if not form.has_patterns or len(values) == 0:
        return score_neurons(values, dtype, activation, positions)
    step = fit_neurons(values.shape[1], room)
    groups = [values[start : start + step] for start in range(0, len(values), step)]
    return join([_score(device, group, dtype, activation, positions) for group in groups])


def fit_neurons(n_tokens: int, room: int) -> int:
    """Return how many neurons of so many tokens fit into `room` bytes; InputError if none."""
    each = TOKEN_BYTES * n_tokens + PATTERN_BYTES * N_PATTERNS
    if room < each:
        raise InputError(
            f"Scoring one neuron of {n_tokens:,} tokens takes {each / 1e6:.0f} MB on the card, "
            f"which has room for {room / 1e6:.0f}; leave --device out, or free the card."
        )
    return room // each


@dataclass(frozen=True)
class _Group:
    """Pattern counts of some neurons, over the k patterns that occur in any of them.

    `values` and `posts` (k,) float64, values ascending; `counts` and `after` (neurons, k) int64,
    where `after` sums the counts up to and with each pattern; `n` () float64, the tokens.
    """

    values: Tensor
    posts: Tensor | None
    counts: Tensor
    after: Tensor
    n: Tensor  # on the device: a division by a number of the host is a product on some cards


@dataclass(frozen=True)
class _Below:
    """Values below 0, (k,) float64 ascending, and each neuron's counts of them (neurons, k)."""

    values: Floats
    counts: Whole


def _score(
    device: torch.device,
    values: Stored,
    dtype: str,
    activation: str | None,
    positions: Whole | None,
) -> NeuronScores:
    with _ONE_AT_A_TIME:
        scores, below = _score_on_card(device, values, dtype, activation, positions)
    columns = scores.histogram, scores.mean, scores.std, scores.negative_fraction
    dips = [measure_negative_dip(below.values, counts) for counts in below.counts]
    return replace(
        scores,
        negative_modes=count_negative_modes(*columns),
        negative_dip=np.array(dips, np.float64),
    )


def _score_on_card(
    device: torch.device,
    values: Stored,
    dtype: str,
    activation: str | None,
    positions: Whole | None,
) -> tuple[NeuronScores, _Below]:
    """Return all scores but the shape of the negative side, which the processor takes from both."""
    ranks = _rank(values, positions, device)
    group = _count(ranks, dtype, activation)
    minimum, maximum = _find_ends(group)
    refuse_endless(*torch.stack([minimum, maximum], dim=1).flatten().tolist())
    columns, size, centred = _measure(group, minimum, maximum)
    posts, post_histogram = _measure_posts(group)
    std = columns["std"]
    histogram = _count_bins(group, columns["mean"], std)
    wd = torch.where(std == 0.0, _NAN, _integrate(group, centred / std[:, None]))
    sizes = zip(size.tolist(), std.tolist(), strict=True)
    places = _find_extremes(ranks).cpu().numpy()
    unknown = np.full(len(values), _NAN)
    scores = NeuronScores(
        n_tokens=ranks.shape[1],
        **{name: _fetch(column) for name, column in (columns | posts).items()},
        rounding_step=np.array([find_rounding_step(*both, dtype) for both in sizes]),
        wd=_fetch(wd),
        negative_modes=unknown,
        negative_dip=unknown,
        histogram=histogram.cpu().numpy(),
        post_histogram=post_histogram.cpu().numpy(),
        extreme_positions=locate(places, positions),
        extreme_values=take(values, places, positions, dtype),
    )
    negative = group.values < 0.0
    counts: Whole = group.counts[:, negative].cpu().numpy()
    return scores, _Below(_fetch(group.values[negative]), counts)


def _fetch(column: Tensor) -> Floats:
    fetched: Floats = column.cpu().numpy()
    return fetched


def _send(table: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(table)).to(device)  # copied: maps and tables are read-only


def _rank(values: Stored, positions: Whole | None, device: torch.device) -> Tensor:
    """Return the ranks (neurons, tokens) int32 of the values that count; -0.0 has that of 0.0."""
    bits = _send(values.view(np.int16), device)
    if positions is not None:
        bits = bits[:, _send(positions, device)]
    bits = bits.int()
    ranks = torch.where(bits < 0, -1 - bits, bits + _ZERO)
    return torch.where(ranks == _ZERO - 1, _ZERO, ranks)


def _count(ranks: Tensor, dtype: str, activation: str | None) -> _Group:
    neurons, device = ranks.shape[0], ranks.device
    starts = N_PATTERNS * torch.arange(neurons, dtype=torch.int32, device=device)
    flat = (ranks + starts[:, None]).flatten()
    counts = torch.bincount(flat, minlength=neurons * N_PATTERNS).view(neurons, N_PATTERNS)
    used = counts.any(dim=0).nonzero()[:, 0]
    counts, places = counts[:, used], used.cpu().numpy()
    return _Group(
        _send(ranked_values(dtype)[places], device),
        None if activation is None else _send(ranked_posts(activation, dtype)[places], device),
        counts,
        counts.cumsum(dim=1),
        torch.tensor(ranks.shape[1], dtype=torch.float64, device=device),
    )


def _find_ends(group: _Group) -> tuple[Tensor, Tensor]:
    """Return each neuron's value of lowest and of highest rank, NaN and infinity among them."""
    first = (group.after == 0).sum(dim=1)
    last = (group.after < group.after[:, -1:]).sum(dim=1)
    return group.values[first], group.values[last]


def _measure(
    group: _Group, minimum: Tensor, maximum: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return the columns of moments and signs, mean |y|, and the values less the mean."""
    counts, n = group.counts.double(), group.n
    weighted = counts * group.values
    mean = weighted.sum(dim=1) / n
    centred = group.values - mean[:, None]
    # The rounding of the mean counts where it is large against the std, so it is taken out again.
    centred = centred - ((counts * centred).sum(dim=1) / n)[:, None]
    varies = minimum < maximum
    columns = {
        "mean": torch.where(varies, mean, minimum),
        **_measure_shape(counts, centred, n, varies),
        "minimum": minimum,
        "maximum": maximum,
        "negative_fraction": (counts * (group.values < 0.0)).sum(dim=1) / n,
    }
    return columns, weighted.abs().sum(dim=1) / n, centred


def _measure_shape(counts: Tensor, centred: Tensor, n: Tensor, varies: Tensor) -> dict[str, Tensor]:
    term = counts * centred * centred
    variance = term.sum(dim=1) / n
    std = variance.sqrt()
    term = term * centred
    skewness = term.sum(dim=1) / n / (variance * std)
    kurtosis = (term * centred).sum(dim=1) / n / (variance * variance) - 3.0
    return {
        "std": torch.where(varies, std, 0.0),
        "skewness": torch.where(varies, skewness, _NAN),
        "kurtosis": torch.where(varies, kurtosis, _NAN),
    }


def _measure_posts(group: _Group) -> tuple[dict[str, Tensor], Tensor]:
    """Return the post columns (neurons,) and `post_histogram`; NaN and 0 without an activation."""
    histogram = group.counts.new_zeros(len(group.counts), 2 * POST_BINS + 1)
    if group.posts is None:
        nothing = group.n.new_full((len(histogram),), _NAN)
        return dict.fromkeys(_POSTS, nothing), histogram
    posts, occurs = group.posts + 0.0, group.counts > 0
    mean = (group.counts * posts).sum(dim=1) / group.n
    lowest = torch.where(occurs, posts, torch.inf).amin(dim=1)
    highest = torch.where(occurs, posts, -torch.inf).amax(dim=1)
    bins = _find_post_bins(posts, lowest[:, None], highest[:, None])
    histogram.scatter_add_(1, bins, group.counts)
    return dict(zip(_POSTS, (mean, lowest, highest), strict=True)), histogram


def _find_post_bins(posts: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    below = ((posts - lowest) / (0.0 - lowest) * POST_BINS).floor().clamp(0, POST_BINS - 1)
    above = ((posts - 0.0) / (highest - 0.0) * POST_BINS).floor().clamp(0, POST_BINS - 1)
    bins = torch.where(posts < 0.0, below, POST_BINS)
    return torch.where(posts > 0.0, POST_BINS + 1 + above, bins).long()


def _count_bins(group: _Group, mean: Tensor, std: Tensor) -> Tensor:
    low, high = (mean - REACH * std)[:, None], (mean + REACH * std)[:, None]
    inner = ((group.values - low) / (high - low) * BINS).floor().clamp(0, BINS - 1)
    bins = torch.where(group.values < low, 0.0, 1.0 + inner)
    bins = torch.where(group.values > high, BINS + 1.0, bins)
    bins = torch.where(std[:, None] == 0.0, CONSTANT_BIN, bins).long()
    histogram = group.counts.new_zeros(len(bins), BINS + 2)
    histogram.scatter_add_(1, bins, group.counts)
    return histogram


@lru_cache(maxsize=2)
def _send_quantiles(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    quantiles, densities = quantile_table(n)
    return _send(quantiles, device), _send(densities, device)


def _integrate(group: _Group, x: Tensor) -> Tensor:
    """Return the distance (neurons,) of the standardised values x (neurons, k) to N(0, 1)."""
    quantiles, densities = _send_quantiles(int(group.n), x.device)
    before, after = group.after - group.counts, group.after
    level = densities[after] - densities[before] + x * (group.counts / group.n)
    above, below = x >= quantiles[after], x <= quantiles[before]
    terms = torch.where(above, level, -level)
    crossed = ~(above | below)
    cut = densities[before[crossed]] + densities[after[crossed]]
    a, b = before[crossed] / group.n, after[crossed] / group.n
    terms[crossed] = _cross(x[crossed], a, b, cut)
    return terms.sum(dim=1)


def _cross(x: Tensor, a: Tensor, b: Tensor, cut: Tensor) -> Tensor:
    """Return the integrals over ranks (a, b] whose quantiles have x between them."""
    p = torch.minimum(torch.maximum(0.5 * torch.erfc(-x / math.sqrt(2.0)), a), b)
    density = torch.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return 2.0 * density - cut + x * ((p - a) - (b - p))


def _find_extremes(ranks: Tensor) -> Tensor:
    """Return where the 20 lowest and 20 highest ranks lie, (neurons, 40); -1 where missing."""
    n = ranks.shape[1]
    kept, order = min(KEPT, n), torch.arange(n, device=ranks.device)
    places = order.new_full((len(ranks), 2 * KEPT), NOWHERE)
    for start, keys in ((0, ranks), (KEPT, N_PATTERNS - 1 - ranks)):
        # Keys hold the position, so that none are equal and ties go to the lower one.
        least = (keys.long() * n + order).topk(kept, largest=False, sorted=True).values
        places[:, start : start + kept] = least % n
    return places
