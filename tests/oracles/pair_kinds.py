"""What top pairs are made of, in plain loops and fractions (METHODS 9)."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product

import numpy as np

NAN = float("nan")
ORDER = {
    "pair": ["identical", "near-duplicate", "both-function", "both-punctuation", "both-number",
             "function-other", "other"],
    "sign": ["NN", "NP", "PP"],
    "next": ["agree", "differ"],
}  # fmt: skip
Token = tuple[int, str, str]
"""Id, text, kind."""


def pair_kind(a: Token, b: Token) -> str:
    kinds = {a[2], b[2]}
    if a[0] == b[0]:
        return "identical"
    if a[1].strip().casefold() == b[1].strip().casefold():
        return "near-duplicate"
    for kind in ("function", "punctuation", "number"):
        if kinds == {kind}:
            return f"both-{kind}"
    return "function-other" if "function" in kinds else "other"


def sign_kind(a: float, b: float) -> str:
    return "".join("N" if y < 0 else "P" for y in sorted((a, b)))


def next_kind(a: str | None, b: str | None) -> str | None:
    if a is None or b is None:
        return None
    return "agree" if a == b else "differ"


def deciles(dx: Sequence[float]) -> list[int | None]:
    """The borders below each input distance; None where it is 0."""
    valid = sorted(d for d in dx if d > 0)
    borders = []
    for percent in range(10, 100, 10) if valid else ():
        place = (len(valid) - 1) * percent / 100
        low = math.floor(place)
        high = min(low + 1, len(valid) - 1)
        # numpy's own interpolation, whose rounding decides ties.
        borders.append(float(np.percentile(valid, percent)))
        assert valid[low] <= borders[-1] * (1 + 1e-12)
        assert borders[-1] <= valid[high] * (1 + 1e-12)
    return [sum(border <= d for border in borders) if d > 0 else None for d in dx]


def oracle_row(
    kind: str,
    of_neuron: Sequence[Sequence[str | None]],
    top: Sequence[Sequence[int]],
    places: Sequence[int | None],
    random: Sequence[str | None],
) -> dict[str, float]:
    """Share, bases and counts of a kind, pooled over neurons with their top pairs."""
    hits, matched, of_all, distinct = [], [], [], set()
    for kinds, chosen in zip(of_neuron, top, strict=True):
        valid = [p for p, place in enumerate(places) if place is not None and kinds[p] is not None]
        for pair in (p for p in chosen if p in valid):
            near = [p for p in valid if places[p] == places[pair]]
            hits.append(kinds[pair] == kind)
            matched.append(sum(kinds[p] == kind for p in near) / len(near))
            of_all.append(sum(kinds[p] == kind for p in valid) / len(valid))
            distinct.add(pair)
    known = [k for k in random if k is not None]
    return {
        "share": _mean(hits),
        "base_all": _mean(of_all),
        "base_matched": _mean(matched),
        "base_random": _mean([k == kind for k in known]),
        "n": len(hits),
        "n_distinct": len(distinct),
    }


def oracle_interval(
    kind: str,
    of_neuron: Sequence[Sequence[str | None]],
    top: Sequence[Sequence[int]],
    layer: int,
) -> tuple[float, float]:
    """The percentiles of 2,000 draws of the neurons; draws without a top pair do not count."""
    rows = [
        [kinds[p] == kind for p in chosen if kinds[p] is not None]
        for kinds, chosen in zip(of_neuron, top, strict=True)
    ]
    draws = []
    for drawn in np.random.default_rng([0, layer]).integers(len(rows), size=(2000, len(rows))):
        hits = [hit for neuron in drawn for hit in rows[neuron]]
        if hits:
            draws.append(sum(hits) / len(hits))
    if not draws:
        return NAN, NAN
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def oracle_chance(n_known: int, n_kind: int, n: int) -> tuple[float, float]:
    """The lowest shares whose cumulative hypergeometric chance reaches 2.5 and 97.5 %."""
    if n == 0:
        return NAN, NAN
    found = []
    for wanted in (Fraction(25, 1000), Fraction(975, 1000)):
        total = Fraction(0)
        for count in range(n + 1):
            ways = math.comb(n_kind, count) * math.comb(n_known - n_kind, n - count)
            total += Fraction(ways, math.comb(n_known, n))
            if total >= wanted:
                found.append(count / n)
                break
    return found[0], found[1]


def oracle_p(holds: Sequence[bool], counts: Sequence[int], places: Sequence[int | None]) -> float:
    """The exact p by every assignment within every decile."""
    sums: list[list[int]] = []
    for decile in range(10):
        inside = [p for p, place in enumerate(places) if place == decile]
        k = sum(holds[p] for p in inside)
        sums.append([sum(counts[p] for p in chosen) for chosen in combinations(inside, k)])
    totals = [sum(parts) for parts in product(*sums)]
    mean = Fraction(sum(totals), len(totals))
    seen = sum(
        c for c, hold, place in zip(counts, holds, places, strict=True)
        if hold and place is not None
    )  # fmt: skip
    return sum(abs(total - mean) >= abs(seen - mean) for total in totals) / len(totals)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else NAN
