import math

import numpy as np
import numpy.typing as npt
import pytest

from analysis.metrics.alignments import measure_alignment, state_law
from analysis.metrics.differentiation import input_distances, output_distances
from analysis.pair_measures import measure_norms
from tests.oracles.matchings import length, oracle_alignment, oracle_breaks

Single = npt.NDArray[np.float32]
D = 12


def neurons(inputs: Single, weights: Single, bias: float, dtype: str) -> Single:
    """Outputs (neurons, 2P) as stored."""
    return (weights @ inputs.T + np.float32(bias)).astype(dtype).astype(np.float32)


def along(axis: npt.NDArray[np.float64], n_rows: int = 60) -> Single:
    """Inputs that differ along one axis only."""
    rng = np.random.default_rng(1)
    base = rng.standard_normal(D)
    return (base + rng.standard_normal((n_rows, 1)) * axis).astype(np.float32)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 3, 1.5])
@pytest.mark.parametrize("bias", [0.0, -40.0])
def test_a_planted_neuron_is_aligned_by_the_cosine_of_its_angle(angle: float, bias: float) -> None:
    axis, other = np.eye(D)[:2]
    inputs = along(2.5 * axis)
    weights = (7.0 * (math.cos(angle) * axis + math.sin(angle) * other)).astype(np.float32)[None]
    outputs = neurons(inputs, weights, bias, "float32")
    found = measure_alignment(
        input_distances(inputs), output_distances(outputs), measure_norms(weights)
    )
    assert found[0] == pytest.approx(math.cos(angle), abs=1e-5)


def pairs_and_weights(n_pairs: int = 80) -> tuple[Single, Single]:
    """Inputs (2P, 12) with equal and nearly equal pairs, and weights (9, 12)."""
    rng = np.random.default_rng(2)
    sizes = 10.0 ** rng.uniform(-2, 2, (2 * n_pairs, 1))
    inputs = rng.standard_normal((2 * n_pairs, D)) * sizes
    inputs[1::8] = inputs[0::8]
    inputs[3::8] = inputs[2::8] * 1.0005
    weights = rng.standard_normal((9, D)) * 0.3
    weights[4] = 0.0
    return inputs.astype(np.float16).astype(np.float32), weights.astype(np.float32)


def test_alignment_is_that_of_plain_loops() -> None:
    inputs, weights = pairs_and_weights()
    outputs = neurons(inputs, weights, 0.5, "float16")
    dx, dy, norms = input_distances(inputs), output_distances(outputs), measure_norms(weights)
    wanted = [
        oracle_alignment(dx.tolist(), row, length(w))
        for row, w in zip(dy.tolist(), weights.tolist(), strict=True)
    ]
    np.testing.assert_allclose(measure_alignment(dx, dy, norms), wanted, rtol=1e-12)
    assert np.isnan(wanted).tolist() == [j == 4 for j in range(9)]
    unknown = measure_alignment(dx, dy, np.full(9, np.nan))
    assert np.isnan(unknown).all()
    assert np.isnan(measure_alignment(dx[:1], dy[:, :1], norms)).all()


DTYPES = [("float16", "float32"), ("float32", "float32"), ("bfloat16", "float32"),
          ("float32", "bfloat16")]  # fmt: skip


def stored_in(dtypes: tuple[str, str]) -> str:
    """A dtype of numpy that is no coarser than the two."""
    return "float16" if "bfloat16" in dtypes else dtypes[0]


@pytest.mark.parametrize("bias", [0.0, 300.0])
@pytest.mark.parametrize("dtypes", DTYPES)
def test_true_rows_keep_the_law(dtypes: tuple[str, str], bias: float) -> None:
    inputs, weights = pairs_and_weights()
    outputs = neurons(inputs, weights, bias, stored_in(dtypes))
    law = state_law(inputs, input_distances(inputs), dtypes)
    assert law.find_break(outputs, measure_norms(weights)) is None


@pytest.mark.parametrize("dtypes", DTYPES)
def test_the_first_row_that_breaks_the_law_is_found(dtypes: tuple[str, str]) -> None:
    inputs, weights = pairs_and_weights()
    outputs = neurons(inputs, weights, 1.0, stored_in(dtypes))
    norms = measure_norms(weights)
    law = state_law(inputs, input_distances(inputs), dtypes)
    for neuron, pair, moved in ((7, 3, 900.0), (7, 0, -500.0), (4, 0, 0.25), (0, 1, 350.0)):
        outputs[neuron, 2 * pair] += moved
        breaks = oracle_breaks(inputs.tolist(), outputs.tolist(), norms.tolist(), dtypes)
        assert breaks
        assert breaks[0] == (neuron, pair) == law.find_break(outputs, norms)


def test_the_laws_edge_is_that_of_plain_loops() -> None:
    inputs, weights = pairs_and_weights(40)
    norms = measure_norms(weights)
    law = state_law(inputs, input_distances(inputs), ("float16", "float32"))
    rng, base = np.random.default_rng(3), 2.0
    for _ in range(300):
        neuron, pair = int(rng.integers(9)), int(rng.integers(40))
        outputs = np.full((9, 80), base, np.float32)
        edge = norms[neuron] * law.reach[pair]
        outputs[neuron, 2 * pair] += edge + rng.uniform(0.0, 4.0) * 2.0**-9
        breaks = oracle_breaks(
            inputs.tolist(), outputs.tolist(), norms.tolist(), ("float16", "float32")
        )
        assert law.find_break(outputs, norms) == (breaks[0] if breaks else None)


def test_without_weights_there_is_no_law() -> None:
    inputs, weights = pairs_and_weights()
    law = state_law(inputs, input_distances(inputs), ("float16", "float32"))
    assert law.find_break(neurons(inputs, weights, 0.0, "float16") * 99, np.full(9, np.nan)) is None
