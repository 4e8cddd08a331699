import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers.activations import ACT2FN

from analysis.metrics.activations import FEW, evaluate, is_known, ranked_posts
from analysis.metrics.formats import ranked_values
from store.errors import InputError
from tests.oracles.metrics import oracle_activation

NAMES = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "silu", "swish", "relu")


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_what_transformers_means(name: str) -> None:
    y = np.linspace(-12.0, 12.0, 4001)
    expected = ACT2FN[name](torch.from_numpy(y)).numpy()
    assert is_known(name)
    np.testing.assert_allclose(evaluate(name, y), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["gelu", "silu", "relu", "gelu_new"])
def test_every_pattern_falls_on_the_side_that_the_formula_says(name: str, dtype: str) -> None:
    values = ranked_values(dtype)
    finite = np.isfinite(values)
    found = ranked_posts(name, dtype)[finite]
    expected = np.array([oracle_activation(name, float(y)) for y in values[finite]])
    assert np.array_equal(np.sign(found), np.sign(expected))
    # exp and erfc of the last bits differ between builds of libm, so not to the bit.
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


def test_the_far_negative_side_of_exact_gelu_is_negative() -> None:
    assert evaluate("gelu", np.array([-9.0, -38.0])).max() < 0.0
    assert evaluate("gelu", np.array([-40.0]))[0] == 0.0


def test_shapes_are_kept_and_the_input_is_left_alone() -> None:
    y = np.array([[-1.0, 2.0], [0.0, -0.0]])
    assert evaluate("relu", y).tolist() == [[0.0, 2.0], [0.0, 0.0]]
    assert math.copysign(1.0, y[1, 1]) == -1.0


@given(values=arrays(np.float32, FEW, elements=st.floats(width=32, allow_nan=False)))
@pytest.mark.parametrize("name", NAMES)
def test_few_values_are_evaluated_as_many_are(name: str, values: npt.NDArray[np.float32]) -> None:
    y = values.astype(np.float64)
    few, many = evaluate(name, y), evaluate(name, np.concatenate([y, y[:1]]))[:-1]
    assert few.tobytes() == many.tobytes()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    assert not is_known("xielu")
    with pytest.raises(InputError, match="'xielu' is not a known activation; known are gelu"):
        evaluate("xielu", np.zeros(3))
