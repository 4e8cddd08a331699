"""Claims on the neurons of one recording, against random directions chosen like them.

Outputs on the negative side with several modes there (METHODS 9 and 12), WD with MD (METHODS 5).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics.correlations import correlate
from analysis.report.claims import Finding, Statement, show, show_points, show_share
from analysis.report.claims_pairs import bases, error_of, missing_of
from analysis.report.statistics import combine_half, p_above, p_correlation_above, p_greater
from store.queries.claims import LayerPopulations, Population
from store.queries.pair_kinds import PairKindRow

Floats = npt.NDArray[np.float64]
TOP_SHARE, LEAST_TOP = 0.05, 10
SEVERAL = 2
LEAST_SIDE, LEAST_NEGATIVE, LEAST_MODES, LEAST_PAIRS = 0.1, 0.5, 0.1, 0.05
LEAST_CORRELATION, LEAST_EXCESS = 0.2, 0.1
LEAST_DEGREES = 9
NEGATIVE = Statement(
    "f",
    "Outputs of Wasserstein neurons sit on the negative side and have several modes there",
    "The 5 % of random directions of highest WD (at least ten, as many in proportion as neurons), "
    "so that choosing by WD explains nothing; for the pairs the share of negative-negative outputs "
    "among all pairs of the same neurons, matched pairs, and top pairs of random directions.",
    "In each layer one-sided Mann-Whitney tests (unit: neuron) of the share of outputs below 0 and "
    "of the number of modes below 0, and Student's t (9 degrees, unit: neuron) of the top pairs "
    "with two negative outputs above the highest base; layers together by n/k times the k-th "
    "p, k = half of them, valid however they depend; the largest of the three p.",
    "In the median layer: half of the outputs or more are negative, 10 points more than of the "
    "directions; 10 points more of the neurons have two modes or more; and negative-negative top "
    "pairs are 5 points above their highest base.",
)
TOGETHER = Statement(
    "g",
    "WD and MD go together",
    "The rank correlation of WD and MD over random directions on the same inputs, which share "
    "everything with the neurons but their weights.",
    "In each comparable layer Fisher's z of the neurons' rank correlation above the directions' "
    "(unit: neuron, taken as independent; one-sided); layers together by n/k times the k-th p, "
    "k = half of them, valid however they depend.",
    "In the median layer a rank correlation of 0.2 or more, 0.1 or more above the directions'.",
)


@dataclass(frozen=True)
class _Side:
    """One layer's highest-WD neurons (first) beside random directions."""

    p_side: float
    p_modes: float
    negative: tuple[float, float]
    several: tuple[float, float]
    dip: tuple[float, float]


def judge_negative(
    subject: str, layers: Sequence[LayerPopulations], kinds: Sequence[PairKindRow]
) -> Finding:
    """Return what the highest-WD neurons and the top pairs show of the negative side."""
    sides = [side for layer in layers if (side := _compare_sides(layer)) is not None]
    pairs = [row for row in kinds if (row.family, row.kind) == ("sign", "NN")]
    pairs = [row for row in pairs if not missing_of(row)]
    if not sides:
        missing = "no layer has modes of its neurons and of random directions"
        return Finding(NEGATIVE, subject, missing=missing)
    if not pairs:
        missing = "no comparable layer has sign classes of its top pairs"
        return Finding(NEGATIVE, subject, missing=missing)
    excess = [row.share - max(bases([row])) for row in pairs if row.share is not None]
    p_pairs = [p_above(e, error_of([r]), LEAST_DEGREES) for e, r in zip(excess, pairs, strict=True)]
    p = max(
        combine_half([s.p_side for s in sides]),
        combine_half([s.p_modes for s in sides]),
        combine_half(p_pairs),
    )
    return Finding(
        NEGATIVE,
        subject,
        _show_sides(sides, pairs),
        p,
        _short_sides(sides, float(np.median(excess))),
    )


def _compare_sides(layer: LayerPopulations) -> _Side | None:
    neurons = _choose(layer.neurons, layer.neurons.n)
    directions = _choose(layer.directions, layer.neurons.n)
    if not (len(neurons) and len(directions)):
        return None
    (side, modes, dip), (random_side, random_modes, random_dip) = neurons.T, directions.T
    return _Side(
        p_greater(side, random_side),
        p_greater(modes, random_modes),
        (float(side.mean()), float(random_side.mean())),
        (float((modes >= SEVERAL).mean()), float((random_modes >= SEVERAL).mean())),
        (_median(dip), _median(random_dip)),
    )


def _choose(of: Population, n_neurons: int) -> Floats:
    """Return negative fraction, modes and dip of those of highest WD, (chosen, 3).

    The same share of neurons and of directions is chosen.
    """
    share = max(TOP_SHARE, LEAST_TOP / max(n_neurons, 1))
    known = np.flatnonzero(~(np.isnan(of.wd) | np.isnan(of.negative_modes)))
    size = min(len(known), round(share * len(known)))
    chosen = known[np.argsort(-of.wd[known], kind="stable")[:size]]
    return np.stack([of.negative_fraction, of.negative_modes, of.negative_dip], axis=1)[chosen]


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _middle(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return _median(np.array([a for a, _ in pairs])), _median(np.array([b for _, b in pairs]))


def _show_sides(
    sides: Sequence[_Side], pairs: Sequence[PairKindRow]
) -> tuple[tuple[str, str], ...]:
    negative, several, dip = (
        _middle([getattr(side, name) for side in sides]) for name in ("negative", "several", "dip")
    )
    share = _median(np.array([row.share for row in pairs], dtype=np.float64))
    base = _median(np.array([max(bases([row])) for row in pairs]))
    n = len(sides)
    return (
        ("layers with neurons and directions; medians over them below", str(n)),
        ("outputs below 0, highest-WD neurons / directions", _both(negative, show_share)),
        ("with two modes below 0 or more, neurons / directions", _both(several, show_share)),
        ("dip below 0, neurons / directions", _both(dip, show)),
        ("top pairs with two negative outputs / highest base", _both((share, base), show_share)),
    )


def _both(pair: tuple[float, float], form: Callable[[float], str]) -> str:
    return f"{form(pair[0])} / {form(pair[1])}"


def _short_sides(sides: Sequence[_Side], excess: float) -> tuple[str, ...]:
    negative, several = (
        _middle([getattr(s, name) for s in sides]) for name in ("negative", "several")
    )
    tests = {
        f"{show_share(negative[0])} of outputs are negative": negative[0] >= LEAST_NEGATIVE,
        f"minus that of directions it is {show_points(negative[0] - negative[1])}": (
            negative[0] - negative[1] >= LEAST_SIDE
        ),
        f"neurons minus directions with two modes is {show_points(several[0] - several[1])}": (
            several[0] - several[1] >= LEAST_MODES
        ),
        f"negative pairs minus their base is {show_points(excess)}": excess >= LEAST_PAIRS,
    }
    return tuple(text for text, met in tests.items() if not met)


def judge_together(subject: str, layers: Sequence[LayerPopulations]) -> Finding:
    """Return whether WD and MD correlate more over neurons than over random directions."""
    found = []
    for layer in layers:
        own = correlate(layer.neurons.wd, layer.neurons.md)
        random = correlate(layer.directions.wd, layer.directions.md)
        if layer.comparable and own.spearman is not None and random.spearman is not None:
            found.append((own.spearman, own.n, random.spearman, random.n))
    if not found:
        missing = "no comparable layer has WD and MD of its neurons and of random directions"
        return Finding(TOGETHER, subject, missing=missing)
    middle = float(np.median([f[0] for f in found]))
    excess = float(np.median([f[0] - f[2] for f in found]))
    numbers = (
        ("comparable layers; medians over them below", str(len(found))),
        ("rank correlation over neurons", f"{middle:.2f}"),
        ("rank correlation over random directions", f"{np.median([f[2] for f in found]):.2f}"),
        ("lowest and highest layer, neurons", f"{min(found)[0]:.2f} to {max(found)[0]:.2f}"),
    )
    tests = {
        f"correlation {middle:.2f}": middle >= LEAST_CORRELATION,
        f"excess {excess:.2f}": excess >= LEAST_EXCESS,
    }
    short = tuple(text for text, met in tests.items() if not met)
    p = combine_half([p_correlation_above(*f) for f in found])
    return Finding(TOGETHER, subject, numbers, p, short)
