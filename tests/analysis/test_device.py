"""Scoring by torch against the processor's kernels; on torch's own processor where no card is."""

import math
from dataclasses import fields
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import device
from analysis.device import choose_card, fit_neurons, score_on
from analysis.layer_scores import choose_scorer
from analysis.metrics.neurons import NeuronScores, score_neurons
from ingest import devices
from store.errors import InputError, SelfCheckError
from tests.analysis.stored_values import Stored, encode, neurons, rows

GB = 10**9
SHORT = ("float16", "bfloat16")
CARD = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
)
PLACES = ["cpu", CARD]
NO_ROUNDING = (
    "n_tokens", "minimum", "maximum", "negative_fraction", "post_minimum", "post_maximum",
    "extreme_positions", "extreme_values", "histogram", "post_histogram",
)  # fmt: skip


def assert_agree(found: NeuronScores, wanted: NeuronScores) -> None:
    for field in fields(NeuronScores):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        if field.name in NO_ROUNDING:
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13, err_msg=field.name)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "silu", "relu", None])
@pytest.mark.parametrize("n_tokens", [2, 37, 6000])
def test_all_scores_are_those_of_the_processor(
    place: str, dtype: str, activation: str | None, n_tokens: int
) -> None:
    values = neurons(dtype, n_tokens)
    found = score_on(torch.device(place), GB, values, dtype, activation)
    assert_agree(found, score_neurons(values, dtype, activation))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", SHORT)
def test_only_chosen_positions_count(place: str, dtype: str) -> None:
    values = neurons(dtype, 5000)
    positions = np.flatnonzero(np.arange(5000) % 64 >= 3).astype(np.int64)
    found = score_on(torch.device(place), GB, values, dtype, "gelu", positions)
    assert_agree(found, score_neurons(values, dtype, "gelu", positions))


@pytest.mark.parametrize("dtype", SHORT)
@given(data=st.data())
@settings(deadline=None)
def test_any_row_scores_as_on_the_processor(dtype: str, data: st.DataObject) -> None:
    row = data.draw(rows(dtype))[None, :]
    found = score_on(torch.device("cpu"), GB, row, dtype, "relu")
    wanted = score_neurons(row, dtype, "relu")
    np.testing.assert_array_equal(found.extreme_positions, wanted.extreme_positions)
    np.testing.assert_array_equal(found.post_histogram, wanted.post_histogram)
    np.testing.assert_allclose(found.std, wanted.std, rtol=1e-12)
    np.testing.assert_allclose(found.wd, wanted.wd, rtol=1e-12, atol=1e-12)


def test_one_value_and_a_constant_of_both_zeros() -> None:
    for values in (encode([[0.5], [-0.0]], "float16"), encode([[0.0, -0.0, 0.0]], "float16")):
        found = score_on(torch.device("cpu"), GB, values, "float16", "relu")
        assert_agree(found, score_neurons(values, "float16", "relu"))
        assert np.isnan(found.wd).all()


@pytest.mark.parametrize("together", [1, 4, 6])
def test_how_many_neurons_go_together_changes_nothing(together: int) -> None:
    values = neurons("float16", 5000)
    room = together * (device.TOKEN_BYTES * 5000 + device.PATTERN_BYTES * 65_536)
    assert fit_neurons(5000, room) == together
    found = score_on(torch.device("cpu"), room, values, "float16", "gelu")
    assert_agree(found, score_neurons(values, "float16", "gelu"))


def test_a_card_too_full_for_one_neuron_says_so() -> None:
    with pytest.raises(
        InputError, match=r"286,720 tokens takes 27 MB on the card, .* room for 20;"
    ):
        score_on(torch.device("cpu"), 20_000_000, np.ones((1, 286_720), np.uint16), "float16", None)


def test_maps_are_read_without_a_warning() -> None:
    values = neurons("float16", 100)
    values.setflags(write=False)
    found = score_on(torch.device("cpu"), GB, values.T.copy().T, "float16", "gelu")
    assert_agree(score_on(torch.device("cpu"), GB, values, "float16", "gelu"), found)


def score_somewhere(values: Stored, dtype: str, place: str | None) -> NeuronScores:
    if place is None:
        return score_neurons(values, dtype, "gelu")
    return score_on(torch.device(place), GB, values, dtype, "gelu")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize(
    "bad", [(math.inf,), (-math.inf,), (math.nan,), (-math.nan, math.inf), (math.nan, -math.inf)]
)
def test_values_that_are_no_numbers_get_the_same_sentence(
    place: str, dtype: str, bad: tuple[float, ...]
) -> None:
    values = neurons(dtype, 5000)
    values[1, 7 : 7 + len(bad)] = encode(bad, dtype)
    values[4, 3] = encode([math.inf], dtype)[0]
    sentences = []
    for where in (None, place):
        with pytest.raises(SelfCheckError, match="record it again") as caught:
            score_somewhere(values, dtype, where)
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]


def test_wrong_use_is_refused_as_on_the_processor() -> None:
    score = partial(score_on, torch.device("cpu"), GB)
    with pytest.raises(InputError, match="came as uint16; pass them as float32"):
        score(np.zeros((1, 3), np.uint16), "float32", None)
    with pytest.raises(InputError, match="No token counts"):
        score(np.zeros((1, 3), np.uint16), "float16", None, np.empty(0, np.int64))
    with pytest.raises(InputError, match="not a known activation"):
        score(np.zeros((1, 3), np.uint16), "float16", "xielu")


@pytest.mark.parametrize(
    ("dtype", "shape"), [("float32", (6, 100)), ("float16", (0, 10)), ("float32", (0, 10))]
)
def test_what_has_no_patterns_goes_to_the_processor(dtype: str, shape: tuple[int, int]) -> None:
    values = neurons(dtype, shape[1])[: shape[0]]
    for field in fields(NeuronScores):
        found = getattr(score_on(torch.device("cpu"), 0, values, dtype, "gelu"), field.name)
        wanted: npt.NDArray[np.generic] = getattr(score_neurons(values, dtype, "gelu"), field.name)
        np.testing.assert_array_equal(found, wanted)


def test_the_card_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", list)
    assert choose_scorer("cpu") is score_neurons
    assert choose_scorer("auto") is score_neurons
    with pytest.raises(InputError, match=r"^--device cuda: torch sees no CUDA card here; leave"):
        choose_scorer("cuda")
    monkeypatch.setattr(devices, "free_memory", lambda: [10 * GB, 20 * GB])
    for name in ("cuda", "auto"):
        scorer = choose_card(name)
        assert isinstance(scorer, partial)
        assert (scorer.func, scorer.args) == (score_on, (torch.device("cuda"), 8 * GB))
