"""A neuron along a window: the values that were stored, and strengths by a plain loop."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.windows import (
    Extremes,
    check_neuron,
    rate_strengths,
    read_extremes,
    read_outputs,
)
from store.errors import InputError, NotFoundError
from tests.builders import Plan, make_recording
from tests.oracles.shading import furthest_of, strength_of

VALUES = st.floats(-100.0, 100.0, width=16)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_outputs_are_those_stored_of_the_window(tmp_path: Path, dtype: str) -> None:
    made = make_recording(tmp_path, Plan(n_windows=5, n_neurons=70, dtype=dtype))
    bits = made.preactivations[1][65, 300:400]
    if dtype == "bfloat16":
        bits = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    expected = [float(value) for value in bits]
    found = read_outputs(made.recording.layer(1), 65, 3)
    assert list(found.values) == expected
    assert found.furthest == furthest_of(expected)
    assert not found.measured
    assert list(found.strengths) == [strength_of(y, found.furthest) for y in expected]
    assert set(found.strengths) >= {-1, 0, 1}


@given(st.lists(VALUES, min_size=1, max_size=30), st.floats(0.0, 100.0, width=16))
def test_strengths_are_quarters_of_the_furthest(values: list[float], furthest: float) -> None:
    found = rate_strengths(np.array(values), furthest)
    assert found == [strength_of(value, furthest) for value in values]


def test_a_recording_without_its_blocks_says_so(tmp_path: Path) -> None:
    made = make_recording(tmp_path, Plan(n_windows=2))
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks WHERE array_name = 'preactivations'")
    with pytest.raises(NotFoundError, match="Block 0 of preactivations of layer 0"):
        read_outputs(made.recording.layer(0), 0, 0)


def test_a_layer_that_is_not_analysed_has_no_extremes(tmp_path: Path) -> None:
    made = make_recording(tmp_path, Plan(n_windows=2))
    assert read_extremes(made.recording.layer(0), 0) == Extremes((), ())


def test_a_neuron_that_is_not_there_is_refused(tmp_path: Path) -> None:
    layer = make_recording(tmp_path, Plan(n_windows=2)).recording.layer(0)
    check_neuron(layer, 129)
    with pytest.raises(InputError, match="There is no neuron 130; they run from 0 to 129"):
        check_neuron(layer, 130)
