import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics.rematchings import draw_matchings, measure_stability
from tests.oracles.matchings import oracle_matchings, oracle_stability

Single = npt.NDArray[np.float32]


def rows_of(n_pairs: int, seed: int = 0) -> tuple[Single, Single]:
    """Inputs (2P, 5) of which every third repeats the first, outputs (6, 2P) with many ties."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((2 * n_pairs, 5)).astype(np.float32)
    inputs[::3] = inputs[0]
    outputs = (rng.standard_normal((6, 5)) @ inputs.T).astype(np.float32)
    outputs[1] = np.round(outputs[1])
    outputs[2] = 0.5
    outputs[3, : n_pairs + 1] = 7.0
    return inputs, outputs


@pytest.mark.parametrize("n_pairs", [1, 2, 3, 40, 101])
@pytest.mark.parametrize("seed", [0, 5])
def test_md_over_matchings_is_that_of_plain_loops(n_pairs: int, seed: int) -> None:
    inputs, outputs = rows_of(n_pairs, seed)
    matchings = oracle_matchings(inputs.tolist(), seed)
    wanted = [oracle_stability(row, matchings) for row in outputs.tolist()]
    found = measure_stability(outputs, draw_matchings(inputs, seed))
    np.testing.assert_allclose(np.transpose(found), wanted, rtol=1e-11)


def test_the_seed_decides_the_matchings() -> None:
    inputs, _ = rows_of(30)
    first, again, other = (draw_matchings(inputs, seed).first for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    both = np.sort(np.concatenate([first, draw_matchings(inputs, 0).second], axis=1))
    assert np.array_equal(both, np.tile(np.arange(60), (20, 1)))


def test_one_undefined_matching_leaves_all_undefined() -> None:
    inputs = np.zeros((4, 3), np.float32)
    inputs[:2] = 1.0  # a third of the matchings pair equals with equals
    stable, error = measure_stability(np.ones((1, 4), np.float32), draw_matchings(inputs, 0))
    assert np.isnan([stable[0], error[0]]).all()


@given(
    outputs=st.lists(st.integers(-9, 9).map(float), min_size=4, max_size=40).filter(
        lambda values: len(values) % 2 == 0
    )
)
def test_medians_of_values_with_ties(outputs: list[float]) -> None:
    inputs = np.arange(len(outputs), dtype=np.float32)[:, None]
    wanted = oracle_stability(outputs, oracle_matchings(inputs.tolist(), 3))
    found = measure_stability(np.array([outputs], np.float32), draw_matchings(inputs, 3))
    np.testing.assert_allclose([found[0][0], found[1][0]], wanted, rtol=1e-11, atol=1e-13)
