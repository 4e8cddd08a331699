"""Evidence for a report, made up: what random directions give, and with planted effects.

Null evidence is drawn twice from one source, once as neurons and once as random directions, and
chosen from alike; nothing else of a layer differs.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.report.claims_size import SizedLayer
from store.queries.claims import (
    IntervalChanges,
    LayerPopulations,
    Population,
)
from store.queries.pair_kinds import WHOLE_LAYER, PairKindRow
from store.queries.profiles import ProfileRow

Floats = npt.NDArray[np.float64]
PAIR_KINDS = ("both-function", "both-punctuation", "other")
PAIR_SHARES = (0.12, 0.06, 0.82)
SIGN_KINDS, SIGN_SHARES = ("NN", "NP", "PP"), (0.4, 0.2, 0.4)


@dataclass(frozen=True)
class Planted:
    """How strong each effect is; 0 is the null."""

    modes: float = 0.0
    negative: float = 0.0
    together: float = 0.0
    pairs: float = 0.0


NULL = Planted()


def population(rng: np.random.Generator, n: int, shared: float, planted: Planted) -> Population:
    """Neurons or directions whose WD, MD and sides go together a little, as inputs make them."""
    common = rng.standard_normal(n)
    wd = np.exp(0.5 * common + shared - 3)
    own = rng.standard_normal(n)
    md = np.exp(0.3 * ((0.3 + planted.together) * common + own))
    side = rng.standard_normal(n) * (1 + 0.3 * common)
    side = side + planted.negative * (common > 1)
    modes = 1 + rng.poisson(0.1 + planted.modes * (common > 1), n)
    return Population(wd, md, 1 / (1 + np.exp(-side)), modes.astype(float), rng.random(n) / 20)


def populations(
    rng: np.random.Generator, planted: Planted = NULL, n_layers: int = 4, n: int = 120
) -> list[LayerPopulations]:
    shared = rng.standard_normal(n_layers)
    return [
        LayerPopulations(
            layer,
            comparable=True,
            neurons=population(rng, n, shared[layer], planted),
            directions=population(rng, 512, shared[layer], NULL),
        )
        for layer in range(n_layers)
    ]


def kinds(
    rng: np.random.Generator, family: str, boost: Floats, names: tuple[str, ...], shares: Floats
) -> list[PairKindRow]:
    """Rows of layers whose top pairs are drawn from the base; half of them from pairs in common.

    `boost` (layers,) is added to the share of the first kind.
    """
    rows = []
    for layer, more in enumerate(boost):
        base_matched = np.clip(shares + rng.normal(0, 0.01, len(shares)), 0, 1)
        chances = shares + np.array([more, *[0.0] * (len(shares) - 2), -more])
        drawn, distinct = _draw_pairs(rng, chances)
        random, _ = _draw_pairs(rng, shares)
        for kind, name in enumerate(names):
            of_neuron = (drawn == kind).mean(axis=1)
            draws = of_neuron[rng.integers(0, 10, (400, 10))].mean(axis=1)
            low, high = np.percentile(draws, [2.5, 97.5])
            rows.append(
                PairKindRow(
                    layer, WHOLE_LAYER, family, name, of_neuron.mean(), low, high, shares[kind],
                    base_matched[kind], (random == kind).mean(), drawn.size, distinct,
                )
            )  # fmt: skip
    return rows


def _draw_pairs(rng: np.random.Generator, chances: Floats) -> tuple[npt.NDArray[np.int64], int]:
    """Kinds of the ten top pairs of ten neurons, (10, 10), and how many pairs are distinct."""
    pool = rng.choice(len(chances), 1000, p=chances)
    common = rng.integers(0, 1000, 10)
    own = rng.integers(0, 1000, (10, 10))
    pairs = np.where(rng.random((10, 10)) < 0.5, common[None, :], own)
    return pool[pairs], len(np.unique(pairs))


def pair_kinds(rng: np.random.Generator, boost: Floats) -> list[PairKindRow]:
    return kinds(rng, "pair", boost, PAIR_KINDS, np.array(PAIR_SHARES))


def sign_kinds(rng: np.random.Generator, boost: Floats) -> list[PairKindRow]:
    return kinds(rng, "sign", boost, SIGN_KINDS, np.array(SIGN_SHARES))


def sized(rng: np.random.Generator, name: str, size: int, high: float, n: int) -> SizedLayer:
    """A model whose neurons are random directions, but for a share of `high` WD."""
    spread = rng.uniform(0.02, 0.06)
    wd = spread * np.exp(0.4 * rng.standard_normal(n))
    wd[: round(high * n)] *= 4
    return SizedLayer(name, size, wd, spread * np.exp(0.4 * rng.standard_normal(512)))


def training(
    rng: np.random.Generator, effect: float, n: int = 200
) -> tuple[list[IntervalChanges], dict[int, Floats]]:
    """Four intervals, and WD at steps; the ten highest move more early and less late."""
    wd = np.exp(0.5 * rng.standard_normal(n))
    top = np.zeros(n)
    top[np.argsort(-wd)[:10]] = effect
    own = 0.3 * rng.standard_normal(n)
    intervals = [
        IntervalChanges(
            step, step + 100, np.exp(own + 0.3 * rng.standard_normal(n) + top * (1 - step / 150))
        )
        for step in (0, 100, 200, 300)
    ]
    return intervals, {step: wd * np.exp(0.01 * rng.standard_normal(n)) for step in (0, 200, 400)}


def profile(rng: np.random.Generator, peak: float = 0.0, closer: float = 0.0) -> list[ProfileRow]:
    """Three layers of random directions, their pairs chosen by OI ratio, in three variants.

    Every layer has inputs of its own and some in common; `peak` is added to split at the source,
    `closer` taken from the distance of the neurons' pairs.
    """
    shared = rng.standard_normal((120, 2, 12))
    inputs = [shared + rng.standard_normal((120, 2, 12)) for _ in range(3)]
    inputs = [x * np.exp(0.4 * rng.standard_normal((120, 1, 1))) for x in inputs]
    deltas = [x[:, 0] - x[:, 1] for x in inputs]
    paper = _profile(rng, deltas, split=False)
    draws = [_profile(rng, deltas, split=False) for _ in range(20)]
    rows = [replace(r, distance_z=(r.distance_z or 0) - closer) for r in paper]
    for found in zip(*draws, strict=True):
        z = [row.oi_z or 0.0 for row in found]
        low, high = np.percentile(z, [2.5, 97.5])
        rows.append(
            replace(
                found[0], variant="random", oi_z=float(np.mean(z)), oi_z_sem=None,
                distance_z=float(np.mean([r.distance_z or 0.0 for r in found])),
                distance_z_sem=None, low=float(low), high=float(high),
            )
        )  # fmt: skip
    for row in _profile(rng, deltas, split=True):
        home = row.source_layer == row.layer
        rows.append(replace(row, oi_z=(row.oi_z or 0.0) + peak * home))
    return rows


def _profile(rng: np.random.Generator, deltas: list[Floats], *, split: bool) -> list[ProfileRow]:
    chosen, scores, near = zip(*[_select(rng, delta, split=split) for delta in deltas], strict=True)
    rows = []
    for s in range(len(deltas)):
        for t in range(len(deltas)):
            of_neurons = np.array([scores[t][:, pairs].mean(axis=1) for pairs in chosen[s]])
            distances = np.array([near[t][pairs].mean() for pairs in chosen[s]])
            a, b = rng.integers(0, 10, (2, 200, 10))
            b = a if s == t and not split else b
            oi = of_neurons[a[:, :, None], b[:, None, :]].mean(axis=(1, 2))
            error, near_error = oi.std(ddof=1), distances[a].mean(axis=1).std(ddof=1)
            rows.append(
                ProfileRow(
                    "split" if split else "paper", s, t, float(of_neurons.mean()), float(error),
                    None, None, float(distances.mean()), float(near_error), None, None, 1000,
                )
            )  # fmt: skip
    return rows


def _select(
    rng: np.random.Generator, delta: Floats, *, split: bool
) -> tuple[list[npt.NDArray[np.int64]], Floats, Floats]:
    """Chosen pairs of ten neurons, z of the OI of ten scorers (10, P), z of distance (P,)."""
    dx = np.linalg.norm(delta, axis=1)
    oi = np.abs(rng.standard_normal((64, delta.shape[1])) @ delta.T) / dx
    judged = oi[:, 0::2] if split else oi
    md = judged.mean(axis=1) / np.median(judged * dx[: judged.shape[1]], axis=1)
    ranked = np.argsort(-md)[:20]
    choosers, scorers = (ranked[1::2], ranked[0::2]) if split else (ranked[:10], ranked[:10])
    allowed = np.arange(1, len(dx), 2) if split else np.arange(len(dx))
    chosen = [allowed[np.argsort(-oi[j, allowed])[: 2 if split else 10]] for j in choosers]
    part = oi[scorers][:, allowed]
    z = (oi[scorers] - part.mean(axis=1, keepdims=True)) / part.std(axis=1, keepdims=True)
    return chosen, z, (dx - dx[allowed].mean()) / dx[allowed].std()
