"""Readers of a layer's arrays against plain numpy, and what they leave unread."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import DamageError, InputError, NotFoundError
from tests.builders import Made, Plan, make_recording

DTYPES = ("float16", "bfloat16", "float32")
NEURONS = st.lists(st.integers(0, 129), max_size=12)
POSITIONS = st.lists(st.integers(0, 2999), max_size=12)
WINDOWS = st.lists(st.integers(0, 29), max_size=4)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """A recording of each dtype, only read."""
    folder = tmp_path_factory.mktemp("arrays")
    return {dtype: make_recording(folder, Plan(dtype=dtype, seed=2)) for dtype in DTYPES}


def numbers(bits: npt.NDArray[np.generic], dtype: str) -> npt.NDArray[np.generic]:
    if dtype != "bfloat16":
        return bits
    floats = [struct.unpack(">f", struct.pack(">HH", int(b), 0))[0] for b in bits.ravel()]
    return np.array(floats, dtype=np.float32).reshape(bits.shape)


def same(found: npt.NDArray[np.generic], expected: npt.NDArray[np.generic]) -> bool:
    return found.dtype == expected.dtype and np.array_equal(found, expected)


def ints(values: list[int]) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(dtype=st.sampled_from(DTYPES), layer=st.integers(0, 1), neurons=NEURONS, positions=POSITIONS)
def test_values_as_stored(
    recordings: dict[str, Made], dtype: str, layer: int, neurons: list[int], positions: list[int]
) -> None:
    made = recordings[dtype]
    arrays = made.arrays(layer)
    y, x = made.preactivations[layer], made.inputs[layer]
    n, p = ints(neurons), ints(positions)
    assert same(arrays.preactivations(n), y[n])
    assert same(arrays.inputs(p), x[p])
    assert same(arrays.preactivations_at(p), y[:, p])
    assert same(arrays.preactivations_at(p, n), y[n][:, p])


@settings(max_examples=40, deadline=None)
@given(dtype=st.sampled_from(DTYPES), neurons=NEURONS, positions=POSITIONS, windows=WINDOWS)
def test_numbers_as_users_read_them(
    recordings: dict[str, Made],
    dtype: str,
    neurons: list[int],
    positions: list[int],
    windows: list[int],
) -> None:
    made = recordings[dtype]
    layer = made.recording.layer(1)
    y, x = made.preactivations[1], made.inputs[1]
    tokens = ints([w * 100 + k for w in windows for k in range(100)])
    assert same(layer.preactivations(neurons), numbers(y[ints(neurons)], dtype))
    expected = numbers(y[ints(neurons)][:, tokens], dtype)
    assert same(layer.preactivations(neurons, windows=windows), expected)
    assert same(layer.inputs(positions), numbers(x[ints(positions)], dtype))
    assert same(layer.inputs(windows=windows), numbers(x[tokens], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_a_choice_all_is_read(recordings: dict[str, Made], dtype: str) -> None:
    made = recordings[dtype]
    layer = made.recording.layer(0)
    assert same(layer.preactivations(), numbers(made.preactivations[0], dtype))
    assert same(layer.inputs(), numbers(made.inputs[0], dtype))
    window = numbers(made.preactivations[0][:, 2900:], dtype)
    assert same(layer.preactivations(windows=[29]), window)


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_chunk_row_of_neurons(recordings: dict[str, Made], group: int) -> None:
    made = recordings["float16"]
    expected = made.preactivations[0][64 * group : 64 * group + 64]
    assert same(made.arrays().neuron_group(group), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pair_rows(recordings: dict[str, Made], dtype: str) -> None:
    made = recordings[dtype]
    positions = [int(p) for pair in made.pairs for p in pair]
    layer = made.recording.layer(1)
    inputs, outputs = made.inputs[1][positions], made.preactivations[1][:, positions]
    assert same(layer.small("pair_inputs"), numbers(inputs, dtype))
    assert same(layer.small("pair_outputs"), numbers(outputs, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_have_their_own_dtype(made: Made, dtype: str) -> None:
    rng = np.random.default_rng(1)
    stored = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}[dtype]
    size = np.dtype(stored).itemsize
    weights = rng.integers(0, 100, (130, 24 * size), dtype=np.uint8).view(stored)
    bias = rng.integers(0, 100, 130 * size, dtype=np.uint8).view(stored)
    made.writer().commit_small(0, {"projection": weights, "projection_bias": bias}, dtype)
    arrays = made.arrays()
    assert arrays.dtype_of("projection") == dtype
    assert same(arrays.small("projection"), weights)
    assert same(arrays.small("projection_bias"), bias)
    assert same(made.recording.layer(0).small("projection_bias"), numbers(bias, dtype))


def test_integers_stay_integers(made: Made) -> None:
    counts = np.arange(130 * 258, dtype=np.int64).reshape(130, 258)
    made.writer().commit_small(1, {"histogram": counts})
    assert made.arrays(1).has("histogram")
    assert not made.arrays(0).has("histogram")
    assert same(made.recording.layer(1).small("histogram"), counts)


def test_windows_are_token_ids(recordings: dict[str, Made]) -> None:
    windows = recordings["float16"].recording.windows()
    assert windows.shape == (30, 100)
    assert windows.ravel().tolist() == [position % 4 for position in range(3000)]


def damage(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 4
    path.write_bytes(data)


def test_a_reader_of_few_neurons_checks_only_their_chunk(made: Made) -> None:
    damage(made.file("preactivations", block=1), 70 * 2000 * 2)
    arrays = made.arrays()
    assert same(arrays.preactivations(ints([63, 128])), made.preactivations[0][[63, 128]])
    with pytest.raises(DamageError, match="rows 64 to 127"):
        arrays.preactivations(ints([63, 127]))
    first, second = ints([5]), ints([2005])
    assert same(arrays.preactivations_at(first), made.preactivations[0][:, [5]])
    assert same(arrays.preactivations_at(second, ints([3])), made.preactivations[0][[3]][:, [2005]])
    with pytest.raises(DamageError):
        arrays.preactivations_at(second)
    with pytest.raises(DamageError):
        made.recording.layer(0).preactivations([64], windows=[20])


def test_a_reader_of_few_positions_checks_only_their_rows(made: Made) -> None:
    damage(made.file("inputs", block=0), 130 * 24 * 2)
    arrays = made.arrays()
    chosen = ints([2500, 127, 192])
    assert same(arrays.inputs(chosen), made.inputs[0][chosen])
    with pytest.raises(DamageError, match="rows 128 to 191"):
        arrays.inputs(ints([2500, 191]))


def test_a_reader_of_few_rows_of_a_small_array_checks_only_those(made: Made) -> None:
    name = "pair_outputs"
    whole = made.arrays().small(name).copy()
    for rows in ([], [5], [129, 0, 0], [63, 128]):
        assert same(made.arrays().small(name, ints(rows)), whole[rows])
    with pytest.raises(InputError, match="130"):
        made.arrays().small(name, ints([130]))
    damage(made.file(name), 70 * whole[:1].nbytes)
    assert same(made.arrays().small(name, ints([63, 128])), whole[[63, 128]])
    with pytest.raises(DamageError, match="rows 64 to 127"):
        made.arrays().small(name, ints([127]))
    with pytest.raises(DamageError):
        made.recording.layer(0).small(name, [64])


def test_a_block_that_is_not_asked_for_may_be_gone(made: Made) -> None:
    made.file("inputs", block=1).unlink()
    made.file("preactivations", block=1).unlink()
    arrays = made.arrays()
    assert same(arrays.inputs(ints([1999])), made.inputs[0][[1999]])
    assert same(arrays.preactivations_at(ints([0])), made.preactivations[0][:, [0]])
    with pytest.raises(DamageError, match="No such file"):
        arrays.inputs(ints([2000]))
    with pytest.raises(DamageError, match="No such file"):
        arrays.preactivations(ints([0]))


def test_damage_in_a_small_array_is_found(made: Made) -> None:
    damage(made.file("pair_outputs"), 100)
    arrays = made.arrays()
    assert arrays.small("pair_inputs").shape == (12, 24)
    with pytest.raises(DamageError, match="pair_outputs"):
        arrays.small("pair_outputs")


@pytest.mark.parametrize("text", ["", "{}", '{"attributes": {"dtype": "gloat16"}}', "\xff"])
def test_weights_without_a_readable_dtype_are_damage(made: Made, text: str) -> None:
    values = np.zeros((130, 24), dtype=np.float32)
    made.writer().commit_small(0, {"projection": values}, "float32")
    path = made.forms[0].folder(made.store.arrays) / "projection" / "zarr.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DamageError, match=r"projection/zarr\.json cannot be read"):
        made.arrays().small("projection")


def test_a_block_without_a_row_is_not_read(made: Made) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks WHERE array_name = 'inputs' AND block = 1")
    assert made.file("inputs", block=1).exists()
    with pytest.raises(NotFoundError, match="Block 1 of inputs of layer 0 is not recorded"):
        made.arrays().inputs(ints([2000]))


@pytest.mark.parametrize("name", ["histogram", "typing error", "inputs"])
def test_a_small_array_that_is_not_there(recordings: dict[str, Made], name: str) -> None:
    with pytest.raises(NotFoundError, match=f"no small array '{name}'; it has: pair_inputs, pair"):
        recordings["float16"].recording.layer(0).small(name)


@pytest.mark.parametrize("index", [-1, 130, 10**9])
def test_neurons_out_of_range(recordings: dict[str, Made], index: int) -> None:
    layer = recordings["float16"].recording.layer(0)
    with pytest.raises(InputError, match=f"There is no neuron {index}; they run from 0 to 129"):
        layer.preactivations([3, index])
    with pytest.raises(InputError, match=f"There is no neuron {index}; they run from 0 to 129"):
        layer.preactivations([3, index], windows=[1])


@pytest.mark.parametrize("index", [-1, 3000])
def test_positions_out_of_range(recordings: dict[str, Made], index: int) -> None:
    made = recordings["float16"]
    message = f"There is no position {index}; they run from 0 to 2999"
    with pytest.raises(InputError, match=message):
        made.recording.layer(0).inputs([index])
    with pytest.raises(InputError, match=message):
        made.arrays().preactivations_at(ints([index]))


@pytest.mark.parametrize("index", [-1, 30])
def test_windows_out_of_range(recordings: dict[str, Made], index: int) -> None:
    layer = recordings["float16"].recording.layer(0)
    message = f"There is no window {index}; they run from 0 to 29"
    with pytest.raises(InputError, match=message):
        layer.preactivations(windows=[0, index])
    with pytest.raises(InputError, match=message):
        layer.inputs(windows=[index])


def test_a_layer_that_is_not_recorded(recordings: dict[str, Made]) -> None:
    recording = recordings["float16"].recording
    assert recording.layers == (0, 1)
    with pytest.raises(NotFoundError, match="has no layer 2; it has 0, 1"):
        recording.layer(2)
