import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from analysis.metrics import distributions
from analysis.metrics.formats import decode
from analysis.metrics.neurons import NeuronScores, score_neurons
from store.errors import InputError, SelfCheckError
from tests.analysis.stored_values import DTYPES, Stored, encode, neurons, numbers
from tests.oracles.metrics import (
    oracle_extremes,
    oracle_histogram,
    oracle_moments,
    oracle_post_histogram,
    oracle_wd,
)

POSTS = ("post_mean", "post_minimum", "post_maximum")


def assert_equal(a: NeuronScores, b: NeuronScores) -> None:
    for field in fields(NeuronScores):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


def check_neuron(scores: NeuronScores, j: int, row: Stored, dtype: str) -> None:
    y = numbers(row, dtype)
    expected = oracle_moments(y, "gelu", dtype)
    for field in fields(expected):
        if field.name != "n_tokens":
            found = getattr(scores, field.name)[j]
            wanted = getattr(expected, field.name)
            assert found == pytest.approx(wanted, rel=1e-10, abs=1e-11, nan_ok=True)
    assert scores.wd[j] == pytest.approx(oracle_wd(y), abs=1e-12, nan_ok=True)
    middle = float(scores.mean[j]), float(scores.std[j])
    ends = float(scores.post_minimum[j]), float(scores.post_maximum[j])
    assert scores.histogram[j].tolist() == oracle_histogram(y, *middle)
    assert scores.post_histogram[j].tolist() == oracle_post_histogram(y, "gelu", *ends)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tokens", [37, 6000])
def test_all_scores_match_the_oracles(dtype: str, n_tokens: int) -> None:
    values = neurons(dtype, n_tokens)
    scores = score_neurons(values, dtype, "gelu")
    assert scores.n_tokens == n_tokens
    for j, row in enumerate(values):
        check_neuron(scores, j, row, dtype)
        lowest, highest = oracle_extremes(numbers(row, dtype))
        assert scores.extreme_positions[j].tolist() == lowest + highest
        assert scores.extreme_values[j].tolist() == row[lowest + highest].tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_eligible_positions_count_and_keep_their_numbers(dtype: str) -> None:
    values = neurons(dtype, 900)
    positions = np.flatnonzero(np.arange(900) % 64 >= 3).astype(np.int64)
    scores = score_neurons(values, dtype, "gelu", positions)
    assert scores.n_tokens == positions.size
    for j, row in enumerate(values):
        check_neuron(scores, j, row[positions], dtype)
        lowest, highest = oracle_extremes(numbers(row[positions], dtype))
        expected = positions[lowest + highest]
        assert scores.extreme_positions[j].tolist() == expected.tolist()
        assert scores.extreme_values[j].tolist() == row[expected].tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_counting_and_sorting_give_the_same_scores(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = neurons(dtype, 4000)
    monkeypatch.setattr(distributions, "COUNT_FROM", 1)
    counted = score_neurons(values, dtype, "silu")
    monkeypatch.setattr(distributions, "COUNT_FROM", 10**9)
    in_order = score_neurons(values, dtype, "silu")
    for field in fields(NeuronScores):
        a, b = getattr(counted, field.name), getattr(in_order, field.name)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_few_tokens_leave_extremes_missing(dtype: str) -> None:
    scores = score_neurons(encode([[2.0, -1.0, 0.5]], dtype), dtype, None)
    assert scores.extreme_positions[0, :4].tolist() == [1, 2, 0, -1]
    assert scores.extreme_positions[0, 20:24].tolist() == [0, 2, 1, -1]
    assert np.isnan(decode(scores.extreme_values, dtype)[scores.extreme_positions < 0]).all()
    if dtype != "float32":
        missing = {"float16": 0x7E00, "bfloat16": 0x7FC0}[dtype]
        assert set(scores.extreme_values[scores.extreme_positions < 0].tolist()) == {missing}


def test_without_an_activation_the_posts_are_undefined() -> None:
    scores = score_neurons(neurons("float16", 100), "float16", None)
    assert all(np.isnan(getattr(scores, name)).all() for name in POSTS)
    assert scores.post_histogram.shape == (6, 257)
    assert not scores.post_histogram.any()
    assert (scores.histogram.sum(axis=1) == 100).all()


def test_one_token_has_a_mean_and_no_spread() -> None:
    scores = score_neurons(encode([[0.5], [-0.0]], "float16"), "float16", "relu")
    assert scores.mean.tolist() == [0.5, 0.0]
    assert scores.negative_fraction.tolist() == [0.0, 0.0]
    assert np.isnan(scores.wd).all()
    assert scores.histogram[:, 129].tolist() == [1, 1]


def test_no_neurons_give_empty_columns() -> None:
    scores = score_neurons(np.empty((0, 10), np.uint16), "float16", "gelu")
    assert scores.wd.shape == (0,)
    assert scores.histogram.shape == (0, 258)
    assert scores.extreme_positions.shape == scores.extreme_values.shape == (0, 40)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mapped_read_only_and_strided_rows_score_as_copies_do(dtype: str, tmp_path: Path) -> None:
    values = neurons(dtype, 6000)
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    expected = score_neurons(values, dtype, "gelu")
    assert_equal(score_neurons(mapped, dtype, "gelu"), expected)
    strided = values.T.copy().T
    assert_equal(score_neurons(strided, dtype, "gelu"), expected)


def test_threads_get_what_one_thread_gets() -> None:
    values = neurons("float16", 6000)
    groups = [values[j : j + 2] for j in (0, 2, 4)] * 4
    alone = [score_neurons(group, "float16", "gelu") for group in groups]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda group: score_neurons(group, "float16", "gelu"), groups)
        for a, b in zip(alone, together, strict=True):
            assert_equal(a, b)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tokens", [10, 6000])
def test_values_that_are_no_numbers_stop_the_scoring(dtype: str, bad: float, n_tokens: int) -> None:
    values = neurons(dtype, n_tokens)
    values[1, 7] = encode([bad], dtype)[0]
    with pytest.raises(SelfCheckError, match=r"value -?(inf|nan); record it again"):
        score_neurons(values, dtype, "gelu")


def test_wrong_use_is_refused() -> None:
    with pytest.raises(InputError, match="came as uint16; pass them as float32"):
        score_neurons(np.zeros((1, 3), np.uint16), "float32", None)
    with pytest.raises(InputError, match="'int8' is not a stored dtype"):
        score_neurons(np.zeros((1, 3), np.uint16), "int8", None)
    with pytest.raises(InputError, match="No token counts"):
        score_neurons(np.zeros((1, 3), np.uint16), "float16", None, np.empty(0, np.int64))
    with pytest.raises(InputError, match="not a known activation"):
        score_neurons(np.zeros((1, 3), np.uint16), "float16", "xielu")
