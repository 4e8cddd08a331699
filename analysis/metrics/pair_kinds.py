"""What pairs of tokens are made of: their kinds, shares among top pairs, and bases (METHODS 9).

A *code* is the place of a pair's kind in its family, -1 where the pair has none. Degenerate pairs
(dx = 0) have the decile -1 and count nowhere. What is undefined is NaN.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

PAIR_KINDS = (
    "identical", "near-duplicate", "both-function", "both-punctuation", "both-number",
    "function-other", "other",
)  # fmt: skip
SIGN_KINDS = ("NN", "NP", "PP")
NEXT_KINDS = ("agree", "differ")
FAMILIES = {"pair": PAIR_KINDS, "sign": SIGN_KINDS, "next": NEXT_KINDS}
DRAWS = 2000
DECILES = 10
PERCENTS = (2.5, 97.5)
_ROUNDING = 1e-9
"""What sums and probabilities that are equal may differ by."""
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Shares:
    """Shares and bases, (1 + m, kinds) float64: row 0 of the layer, then of each of m neurons.

    `low` and `high` are the bootstrap interval in row 0, and below it the range of chance. `n` and
    `n_distinct` (1 + m,) count the top pairs that have a kind.
    """

    share: Floats
    low: Floats
    high: Floats
    base_all: Floats
    base_matched: Floats
    base_random: Floats
    n: Codes
    n_distinct: Codes


def classify_pairs(ids: Codes, texts: Texts, kinds: Texts) -> Codes:
    """Return codes (P,) in PAIR_KINDS from ids, texts and kinds (P, 2) of the tokens."""
    words = np.array([[text.strip().casefold() for text in pair] for pair in texts.tolist()])
    words = words.reshape(-1, 2)
    function, punctuation, number = (
        kinds == kind for kind in ("function", "punctuation", "number")
    )
    conditions = [
        ids[:, 0] == ids[:, 1],
        words[:, 0] == words[:, 1],
        *(both.all(axis=1) for both in (function, punctuation, number)),
        function.any(axis=1),
    ]
    return np.select(conditions, range(len(conditions)), default=len(conditions)).astype(np.int64)


def classify_signs(outputs: npt.NDArray[np.floating]) -> Codes:
    """Return codes (neurons, P) in SIGN_KINDS of the pairs in outputs (neurons, 2P)."""
    negative = outputs < 0
    return 2 - (negative[:, 0::2].astype(np.int64) + negative[:, 1::2])


def classify_next(next_kinds: Texts) -> Codes:
    """Return codes (P,) in NEXT_KINDS from the next tokens' kinds (P, 2), "" for none."""
    codes = np.where(next_kinds[:, 0] == next_kinds[:, 1], 0, 1)
    return np.where((next_kinds == "").any(axis=1), -1, codes).astype(np.int64)


def input_deciles(dx: Floats) -> Codes:
    """Return the decile 0 to 9 of each input distance (P,) among those above 0, -1 for 0.

    Borders are numpy's 10, 20, ..., 90 % percentiles; a value at one belongs above it.
    """
    valid = dx > 0.0
    deciles = np.full(dx.shape, -1, dtype=np.int64)
    if valid.any():
        borders = np.percentile(dx[valid], np.arange(10, 100, 10))
        deciles[valid] = np.searchsorted(borders, dx[valid], side="right")
    return deciles


def measure_shares(
    codes: Codes, n_kinds: int, top: Codes, deciles: Codes, random_codes: Codes, layer: int
) -> Shares:
    """Return the shares of a family's kinds among the top pairs, and their bases (METHODS 9).

    `codes` (m, P) of m neurons' pairs, `top` (m, r) the pairs chosen, `deciles` (P,) of input
    distance, `random_codes` (rows,) of the top pairs of random directions; `layer` seeds the
    bootstrap over neurons, `default_rng([0, layer])`.
    """
    known = (codes >= 0) & (deciles >= 0)
    is_kind = (codes[..., None] == np.arange(n_kinds)) & known[..., None]
    counted = np.take_along_axis(known, top, axis=1)
    found = np.take_along_axis(is_kind, top[..., None], axis=1).sum(axis=1)
    n = counted.sum(axis=1)
    rows = _pool(n).astype(np.int64)
    n_known, n_kind = known.sum(axis=1), is_kind.sum(axis=1)
    matched = _match(is_kind, known, counted, top, deciles)
    low, high = _bound(found, n, n_kind, n_known, layer)
    random = _divide(_count(random_codes, n_kinds), np.array((random_codes >= 0).sum()))
    return Shares(
        share=_divide(_pool(found), rows[:, None]),
        low=low,
        high=high,
        base_all=_divide(
            _pool(n[:, None] * np.nan_to_num(_divide(n_kind, n_known[:, None]))), rows[:, None]
        ),
        base_matched=_divide(_pool(matched), rows[:, None]),
        base_random=np.tile(random, (len(rows), 1)),
        n=rows,
        n_distinct=_count_distinct(top, counted),
    )


def matched_p(holds: Flags, counts: Codes, deciles: Codes) -> float:
    """Return the two-sided p of the top pairs' agreement against equally distant pairs (METHODS 9).

    The exact permutation test: within each decile of input distance every assignment of `holds`
    (P,) to its pairs is equally likely, while `counts` (P,), how often each is a top pair, stay
    where they are: so a pair that many neurons chose is not taken for many. p is the chance of a
    sum of counts over pairs that hold at least as far from its mean. Pairs of decile -1 do not
    take part; NaN where no top pair does.
    """
    sums, mean = np.ones(1), 0.0
    for decile in range(DECILES):
        inside = deciles == decile
        n, n_holds, weights = inside.sum(), holds[inside].sum(), counts[inside]
        if n:
            sums = np.convolve(sums, _sum_chances(weights[weights > 0], n, n_holds))
            mean += weights.sum() * n_holds / n
    if len(sums) == 1:
        return float("nan")
    apart = abs(counts[holds & (deciles >= 0)].sum() - mean)
    extreme = np.abs(np.arange(len(sums)) - mean) >= apart - _ROUNDING
    return min(1.0, float(sums[extreme].sum()))


def _sum_chances(weights: Codes, n: int, n_holds: int) -> Floats:
    """Return the chance of each sum of weights over n_holds of n pairs drawn, (sum + 1,)."""
    ways = np.zeros((len(weights) + 1, int(weights.sum()) + 1))
    ways[0, 0] = 1.0
    for weight in weights.tolist():
        more = ways[:-1, :-weight].copy()
        ways[1:, weight:] += more
    drawn = np.arange(len(ways))
    log = _log_choose(n - len(weights), n_holds - drawn) - _log_choose(n, n_holds)
    chances: Floats = np.exp(log) @ ways
    return chances


def _match(is_kind: Flags, known: Flags, counted: Flags, top: Codes, deciles: Codes) -> Floats:
    """Return the sums over top pairs of the kinds' shares in their deciles, (m, kinds)."""
    inside = (deciles[:, None] == np.arange(DECILES)).astype(np.float64)
    kinds = np.einsum("mpk,pb->mbk", is_kind.astype(np.float64), inside)
    shares = np.nan_to_num(_divide(kinds, (known @ inside)[..., None]))
    weights = (deciles[top][..., None] == np.arange(DECILES)) & counted[..., None]
    matched: Floats = np.einsum("mb,mbk->mk", weights.sum(axis=1).astype(np.float64), shares)
    return matched


def _bound(
    found: Codes, n: Codes, n_kind: Codes, n_known: Codes, layer: int
) -> tuple[Floats, Floats]:
    interval = _bootstrap(found, n, layer)
    chance = _chance_range(n_known, n_kind, n)
    low, high = (np.vstack([a, b]) for a, b in zip(interval, chance, strict=True))
    return low, high


def _bootstrap(found: Codes, n: Codes, layer: int) -> Floats:
    """Return the 2.5 and 97.5 % percentiles of shares over draws of neurons, (2, kinds)."""
    drawn = np.random.default_rng([0, layer]).integers(len(n), size=(DRAWS, len(n)))
    rows = n[drawn].sum(axis=1)
    shares = found[drawn].sum(axis=1)[rows > 0] / rows[rows > 0, None]
    if not len(shares):
        return np.full((2, found.shape[1]), np.nan)
    interval: Floats = np.percentile(shares, PERCENTS, axis=0)
    return interval


def _chance_range(n_known: Codes, n_kind: Codes, n: Codes) -> Floats:
    """Return the 2.5 and 97.5 % quantiles of hypergeometric shares, (2, m, kinds).

    Of n_known pairs n_kind are of the kind, n are drawn; a quantile is the lowest count whose
    cumulative chance reaches it.
    """
    count, total, size = np.arange(n.max() + 1), n_known[:, None, None], n[:, None, None]
    of_kind = n_kind[..., None]
    log = _log_choose(of_kind, count) + _log_choose(total - of_kind, size - count)
    chances = np.exp(log - _log_choose(total, size)).cumsum(axis=-1)
    quantiles = [(chances < percent / 100 - _ROUNDING).sum(axis=-1) for percent in PERCENTS]
    return _divide(np.array(quantiles), n[:, None])


def _log_choose(n: int | Codes, k: int | Codes) -> Floats:
    """Return log of n over k, -inf where k is below 0 or above n >= 0."""
    n, k = np.broadcast_arrays(n, k)
    inside = (k >= 0) & (k <= n)
    logs, least = _log_factorials(int(n.max(initial=0))), np.where(inside, k, 0)
    return np.where(inside, logs[n] - logs[least] - logs[np.where(inside, n - k, 0)], -np.inf)


@lru_cache(maxsize=8)
def _log_factorials(n: int) -> Floats:
    """Return log 0! to log n!; without scipy, which takes as long to load as a page to read."""
    return np.array([math.lgamma(i + 1.0) for i in range(n + 1)])


def _pool(values: npt.NDArray[np.number]) -> npt.NDArray[np.number]:
    """Return the sum over neurons above the neurons' own values."""
    return np.concatenate([values.sum(axis=0, keepdims=True), values])


def _divide(a: npt.NDArray[np.number], b: npt.NDArray[np.number]) -> Floats:
    """Return a / b, NaN where b is 0."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    out: Floats = np.divide(a, b, out=np.full(shape, np.nan), where=b != 0)
    return out


def _count(codes: Codes, n_kinds: int) -> Codes:
    counts: Codes = (codes[:, None] == np.arange(n_kinds)).sum(axis=0)
    return counts


def _count_distinct(top: Codes, counted: Flags) -> Codes:
    """Return the distinct pairs counted, (1 + m,): of all, and of each neuron."""
    each = [len(np.unique(row[keep])) for row, keep in zip(top, counted, strict=True)]
    return np.array([len(np.unique(top[counted])), *each], dtype=np.int64)
