"""The search against looking at every pair, with ties, hubs and equal inputs."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics import pair_search
from analysis.metrics.pair_search import BestPairs, PairSearch, describe_places
from tests.oracles.pair_search import Found, oracle_best_pairs

MEDIANS, FURTHEST = np.array([0.5, 1.25, 3.0]), 7.5
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_search, "TILE", 7)


def search(
    inputs: Floats, outputs: Floats, contexts: Ints, k: int, hubs: bool
) -> list[list[Found]]:
    n = len(inputs)
    found = [BestPairs(k, hubs) for _ in outputs]
    tool = PairSearch(MEDIANS[: len(outputs)], FURTHEST, found)
    places = describe_places(np.arange(n), inputs.astype(np.float32), outputs, contexts)
    tiles = [places.part(first) for first in range(0, n, pair_search.TILE)]
    for i, a in enumerate(tiles):
        for b in tiles[i:]:
            tool.search(a, b)
    best = [pairs.best() for pairs in found]
    return [list(zip(oi.tolist(), a.tolist(), b.tolist(), strict=True)) for a, b, oi in best]


def expected(
    inputs: Floats, outputs: Floats, contexts: Ints, k: int, hubs: bool
) -> list[list[Found]]:
    rows = inputs.astype(np.float32).astype(float).tolist()
    return [
        oracle_best_pairs(
            range(len(rows)), rows, values.tolist(), contexts.tolist(),
            (float(median), FURTHEST), k, hubs=hubs,
        )
        for values, median in zip(outputs, MEDIANS, strict=False)
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), d=st.integers(1, 4),
    values=st.integers(1, 4), k=st.integers(1, 12), hubs=st.booleans(),
)  # fmt: skip
def test_few_values_give_ties_hubs_and_equal_inputs(
    seed: int, n: int, d: int, values: int, k: int, hubs: bool
) -> None:
    rng = np.random.default_rng(seed)
    given_ = (
        rng.integers(0, values, (n, d)).astype(np.float64),
        rng.integers(-values, values, (3, n)).astype(np.float64),
        rng.integers(0, 5, n),
    )
    assert search(*given_, k, hubs) == expected(*given_, k, hubs)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from((1e-4, 1.0, 1e4)), hubs=st.booleans())
def test_near_inputs_far_from_the_origin(seed: int, scale: float, hubs: bool) -> None:
    """Distances that are nothing beside the inputs: the float32 products say little of them."""
    rng = np.random.default_rng(seed)
    centre = 50 * rng.standard_normal(16)
    given_ = (
        scale * (centre + 1e-3 * rng.standard_normal((60, 16))),
        rng.standard_normal((2, 60)),
        np.arange(60),
    )
    assert search(*given_, 8, hubs) == expected(*given_, 8, hubs)


def test_a_hub_appears_once_unless_hubs_are_allowed() -> None:
    """Position 0 is far above all others: without it the best pairs are others altogether."""
    rng = np.random.default_rng(3)
    inputs, outputs = rng.standard_normal((50, 5)), rng.standard_normal((1, 50))
    outputs[0, 0] = 1000.0
    (pairs,) = search(inputs, outputs, np.arange(50), 10, hubs=True)
    assert {a for _, a, _ in pairs} == {0}
    (pairs,) = search(inputs, outputs, np.arange(50), 10, hubs=False)
    assert len({place for _, a, b in pairs for place in (a, b)}) == 20
    assert pairs == expected(inputs, outputs, np.arange(50), 10, hubs=False)[0]


def test_pairs_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    outputs = rng.standard_normal((1, 400))
    outputs[0, :30] += 1000.0
    most = 0
    add = BestPairs.add

    def counted(self: BestPairs, first: Ints, second: Ints, oi: Floats) -> None:
        nonlocal most
        add(self, first, second, oi)
        most = max(most, len(self.oi))

    monkeypatch.setattr(BestPairs, "add", counted)
    search(rng.standard_normal((400, 3)), outputs, np.arange(400), 5, hubs=False)
    assert 0 < most <= (4 * 5 - 2) * (2 * 5 - 1)
