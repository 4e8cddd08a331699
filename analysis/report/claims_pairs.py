"""Claims on the top pairs of one recording: where they peak, how close, what they are.

METHODS 6 and 9. Top pairs are chosen by their OI ratio, which alone makes them peak at home and
brings pairs of close inputs; so random directions that choose in the same way are the null.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.report.claims import Finding, Statement, show, show_points, show_share
from analysis.report.statistics import combine_half, p_above
from store.queries.pair_kinds import PairKindRow
from store.queries.profiles import ProfileRow

Floats = npt.NDArray[np.float64]
TWO_SIDED = 1.959963984540054
CHOOSERS = 10
RANDOM_DRAWS = 20
LEAST_LAYERS = 3
"""Fewer say nothing of the layers of a model."""
LEAST_PEAK, LEAST_CLOSER = 0.1, 0.1
LEAST_SYNTAX, LEAST_DROP = 0.05, 0.05
SYNTAX = ("both-function", "both-punctuation")
PEAK = Statement(
    "c",
    "Top-OI pairs peak in their own layer",
    "Random directions in place of all neurons, their choice of pairs included: they peak at home, "
    "too, because the pairs were chosen there. The neurons' peak must be higher although it is "
    "measured on neurons that did not choose (variant split): a strict bar, as the random draws "
    "keep the peak that choosing makes.",
    "In each source layer: (split at the source - mean of split elsewhere) above the same "
    "difference of the random draws, by Student's t (9 degrees, unit: neuron) with the bootstrap "
    "errors and the spread of the random draws; layers together by n/k times the k-th p, k = half "
    "of them, valid however they depend.",
    "In the median source layer 0.1 standard deviations above the random draws.",
)
CLOSER = Statement(
    "d",
    "The inputs of top-OI pairs are closer than average",
    "Top pairs of random directions chosen in the same way: the OI ratio divides by the input "
    "distance, so its choice alone brings close pairs.",
    "In each layer the mean z-score of input distance of its top pairs below that of random "
    "directions, by Student's t (9 degrees, unit: neuron) with the bootstrap error of the layer, "
    "taken for each of the 20 random draws, too; layers together by n/k times the k-th p, k = half "
    "of them, valid however they depend.",
    "In the median layer below 0, and 0.1 standard deviations below the random directions.",
)
EARLY = Statement(
    "e",
    "Early layers take syntax",
    "The highest of three bases of each layer: all sampled pairs, pairs of the same input "
    "distance, top pairs of random directions; and the last third of the layers.",
    "Share of pairs of two function words or two punctuation marks. In each layer of the first "
    "third the share above the highest base by Student's t (9 degrees, unit: neuron), layers "
    "together by n/k times the k-th p, k = half of them; and the mean excess of the first third "
    "above that of the last, errors added as if fully correlated; the larger of both p.",
    "In the median early layer 5 points above the highest base, and on average 5 points more "
    "excess in the first third than in the last.",
)


@dataclass(frozen=True)
class _Peak:
    split: float
    random: float
    error: float


def judge_peak(subject: str, rows: Sequence[ProfileRow]) -> Finding:
    """Return whether split pairs peak at their source by more than random draws do."""
    table = {(r.variant, r.source_layer, r.layer): r for r in rows}
    sources = sorted({r.source_layer for r in rows if r.variant == "split"})
    peaks = [peak for s in sources if (peak := _find_peak(table, s, sources)) is not None]
    if len(peaks) < LEAST_LAYERS:
        missing = f"it needs profiles of three comparable layers; there are {len(peaks)}"
        return Finding(PEAK, subject, missing=missing)
    gap = float(np.median([p.split - p.random for p in peaks]))
    numbers = (
        ("source layers; medians over them below", str(len(peaks))),
        ("split: source minus elsewhere, z", show(float(np.median([p.split for p in peaks])))),
        (
            "random draws: source minus elsewhere, z",
            show(float(np.median([p.random for p in peaks]))),
        ),
        ("layers whose split is above random", str(sum(p.split > p.random for p in peaks))),
        ("layers whose split is above 0", str(sum(p.split > 0 for p in peaks))),
    )
    p = combine_half([p_above(p.split - p.random, p.error, CHOOSERS - 1) for p in peaks])
    short = () if gap >= LEAST_PEAK else (f"split minus random draws is {show(gap)}",)
    return Finding(PEAK, subject, numbers, p, short)


def _find_peak(
    table: dict[tuple[str, int, int], ProfileRow], source: int, layers: Sequence[int]
) -> _Peak | None:
    split = {t: table.get(("split", source, t)) for t in layers}
    random = {t: table.get(("random", source, t)) for t in layers}
    home, random_home = split.pop(source), random.pop(source)
    scores = [r.oi_z for r in split.values() if r is not None and r.oi_z is not None]
    random_scores = [r.oi_z for r in random.values() if r is not None and r.oi_z is not None]
    if home is None or random_home is None or not scores or not random_scores:
        return None
    spread = (home.oi_z, home.oi_z_sem, random_home.oi_z, random_home.low, random_home.high)
    if any(value is None for value in spread):
        return None
    own, own_error, chance, low, high = (float(value or 0.0) for value in spread)
    errors = [r.oi_z_sem or 0.0 for r in split.values() if r is not None]
    # The others' errors are taken as fully correlated, which is the most they can be.
    variance = own_error**2 + float(np.mean(errors)) ** 2 + ((high - low) / 2 / TWO_SIDED) ** 2
    return _Peak(
        own - float(np.mean(scores)),
        chance - float(np.mean(random_scores)),
        float(np.sqrt(variance * CHOOSERS / (CHOOSERS - 1))),
    )


def judge_closer(subject: str, rows: Sequence[ProfileRow]) -> Finding:
    """Return whether top pairs lie closer than those that random directions choose."""
    home = {(r.variant, r.layer): r for r in rows if r.source_layer == r.layer}
    found: list[tuple[float, float, float]] = []
    for layer in sorted({r.layer for r in home.values()}):
        own, random = home.get(("paper", layer)), home.get(("random", layer))
        if own is None or random is None or None in (own.distance_z, own.distance_z_sem):
            continue
        if random.distance_z is not None:
            found.append((own.distance_z or 0.0, random.distance_z, own.distance_z_sem or 0.0))
    if len(found) < LEAST_LAYERS:
        missing = f"it needs profiles of three comparable layers; there are {len(found)}"
        return Finding(CLOSER, subject, missing=missing)
    middle, gap = (
        float(np.median(v)) for v in ([f[0] for f in found], [f[1] - f[0] for f in found])
    )
    numbers = (
        ("layers; medians over them below", str(len(found))),
        ("z of input distance, top pairs", show(middle)),
        ("z of input distance, top pairs of random directions", show(middle_of(found, 1))),
        ("layers below 0 / below random", _counts(found)),
    )
    widening = np.sqrt((1 + 1 / RANDOM_DRAWS) * CHOOSERS / (CHOOSERS - 1))
    p = combine_half([p_above(r - z, e * float(widening), CHOOSERS - 1) for z, r, e in found])
    tests = {
        f"z of input distance is {show(middle)}": middle < 0,
        f"random directions' pairs minus these is {show(gap)}": gap >= LEAST_CLOSER,
    }
    return Finding(CLOSER, subject, numbers, p, tuple(t for t, met in tests.items() if not met))


def middle_of(rows: Sequence[tuple[float, float, float]], column: int) -> float:
    """Return the median of one column."""
    return float(np.median([row[column] for row in rows]))


def _counts(found: Sequence[tuple[float, float, float]]) -> str:
    return f"{sum(z < 0 for z, _, _ in found)} / {sum(z < r for z, r, _ in found)}"


def missing_of(row: PairKindRow) -> bool:
    """Say whether a share lacks its interval or a base."""
    cells = (row.share, row.low, row.high, row.base_all, row.base_matched, row.base_random)
    return any(cell is None for cell in cells) or not row.n_distinct


def bases(rows: Sequence[PairKindRow]) -> tuple[float, float, float]:
    """Return the three bases of some exclusive kinds of one layer together."""
    sums = (
        sum(getattr(row, name) for row in rows)
        for name in ("base_all", "base_matched", "base_random")
    )
    first, second, third = (float(value) for value in sums)
    return first, second, third


def error_of(rows: Sequence[PairKindRow]) -> float:
    """Return the standard error of the excess of some kinds of a layer over their highest base.

    The bootstrap's, or that of so many distinct pairs at the base where that is larger; counted
    twice, because the base of random directions comes from as few pairs.
    """
    interval = sum((row.high or 0.0) - (row.low or 0.0) for row in rows) / 2 / TWO_SIDED
    base = min(max(bases(rows)), 1.0)
    distinct = min(row.n_distinct or 1 for row in rows)
    floor = np.sqrt(max(base * (1 - base), 1 / distinct * (1 - 1 / distinct)) / distinct)
    return float(np.sqrt(2) * max(interval * np.sqrt(CHOOSERS / (CHOOSERS - 1)), floor))


def judge_early(subject: str, rows: Sequence[PairKindRow]) -> Finding:
    """Return whether early layers' top pairs are syntax beyond every base, and late ones less."""
    layers: dict[int, list[PairKindRow]] = {}
    for row in rows:
        if row.family == "pair" and row.kind in SYNTAX and not missing_of(row):
            layers.setdefault(row.layer, []).append(row)
    if len(layers) < LEAST_LAYERS:
        missing = f"it needs three comparable layers with kinds of pairs; there are {len(layers)}"
        return Finding(EARLY, subject, missing=missing)
    found = [_excess(layers[layer]) for layer in sorted(layers)]
    third = len(found) // 3
    early, late = np.array(found[:third]), np.array(found[-third:])
    drop = float(early[:, 2].mean() - late[:, 2].mean())
    error = float(early[:, 3].mean() + late[:, 3].mean())
    p_base = combine_half([p_above(e[2], e[3], CHOOSERS - 1) for e in found[:third]])
    excess = float(np.median(early[:, 2]))
    tests = {
        f"early layers minus their highest base is {show_points(excess)}": excess >= LEAST_SYNTAX,
        f"early minus late excess is {show_points(drop)}": drop >= LEAST_DROP,
    }
    numbers = (
        (f"early layers ({_span(sorted(layers)[:third])}): share / highest base", _shares(early)),
        (f"late layers ({_span(sorted(layers)[-third:])}): share / highest base", _shares(late)),
        ("mean excess, early minus late", show_points(drop)),
    )
    short = tuple(text for text, met in tests.items() if not met)
    return Finding(EARLY, subject, numbers, max(p_base, p_above(drop, error, CHOOSERS - 1)), short)


def _excess(rows: Sequence[PairKindRow]) -> tuple[float, float, float, float]:
    """Return share, highest base, their difference and its error of the syntax of a layer."""
    share, base = sum(row.share or 0.0 for row in rows), max(bases(rows))
    return share, base, share - base, error_of(rows)


def _shares(part: Floats) -> str:
    return f"{show_share(float(part[:, 0].mean()))} / {show_share(float(part[:, 1].mean()))}"


def _span(layers: Sequence[int]) -> str:
    return str(layers[0]) if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
