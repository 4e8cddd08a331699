"""Pre-activations computed from inputs and weights, against whole-number loops, bit for bit."""

import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import arrays as readers
from store import products
from store.errors import DamageError, InputError, NotFoundError
from store.maintenance import find_debris, verify_files
from store.products import Weights, add_exactly, count_group, narrow, widen
from store.queries.recordings import read_recording
from tests.builders import Made, Plan, make_recording
from tests.oracles.products import oracle_layer, oracle_product
from tests.oracles.stored import read_numbers

DTYPES = ("float16", "bfloat16", "float32")
SMALL = Plan(n_neurons=70, d_model=8, n_windows=25, window_length=100, keep="inputs")
Bits = npt.NDArray[np.generic]
Doubles = npt.NDArray[np.float64]


def multiply(weight: Doubles, inputs: Doubles, bias: Doubles | None, dtype: str) -> Doubles:
    """The product of float32 weights and inputs of the dtype, as numbers."""
    held = [None if part is None else part.astype(np.float32) for part in (weight, bias)]
    assert held[0] is not None
    out = narrow(np.zeros((len(weight), len(inputs)), np.float32), dtype)
    weights = Weights(3, np.arange(len(weight)) + 100, "float32", held[0], held[1])
    weights.multiply(narrow(inputs.astype(np.float32), dtype), dtype, out)
    return widen(out, dtype)


def numbers(n: int) -> st.SearchStrategy[list[float]]:
    close = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0**-12, 1 + 2.0**-7, 3.0, 2.0**-24, -7.5])
    spread = st.floats(-60, 60, width=16)
    return st.lists(close | spread, min_size=n, max_size=n)


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    parts=st.integers(1, 6).flatmap(lambda d: st.tuples(numbers(2 * d), numbers(3 * d))),
    bias=numbers(2),
)
def test_every_value_is_the_exact_sum_rounded(
    dtype: str, parts: tuple[list[float], list[float]], bias: list[float]
) -> None:
    weight, own = np.array(parts[0]).reshape(2, -1), np.array(bias)
    inputs = np.array(parts[1], np.float32).reshape(3, -1)
    x = widen(narrow(inputs, dtype), dtype)
    expected = oracle_layer(weight.astype(np.float32).astype(float), x, own, dtype)
    assert multiply(weight, x, own, dtype).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        # A half that a last crumb pushes over; a float64 sum drops the crumb.
        ([1.0, 2.0**-24, 2.0**-80], 1 + 2.0**-23),
        ([1.0, 2.0**-24, -(2.0**-80)], 1.0),
        ([1.0, 2.0**-24, 0.0], 1.0),
        # What is left when large terms cancel.
        ([2.0**100, 1.0, -(2.0**100)], 1.0),
        ([2.0**100, 2.0**-140, -(2.0**100)], 2.0**-140),
        ([-3.0, 1.0, 2.0], 0.0),
    ],
)
def test_sums_that_a_float64_product_gets_wrong(terms: list[float], expected: float) -> None:
    weight, ones = np.array([terms]), np.ones((1, 3))
    assert oracle_product(terms, [1.0] * 3, 0.0, "float32") == expected
    assert multiply(weight, ones, None, "float32").tolist() == [[expected]]
    # The crumb may as well be the bias.
    moved = multiply(weight[:, :2], ones[:, :2], weight[:, 2], "float32")
    assert moved.tolist() == [[expected]]


def test_zero_has_no_sign() -> None:
    for dtype in DTYPES:
        found = multiply(np.array([[0.0], [-1.0]]), np.array([[-1.0], [0.0]]), None, dtype)
        assert not np.signbit(found[0]).any()
        assert not np.signbit(found[1, 1])


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=8))
def test_a_sum_rounded_to_odd_lies_next_to_the_exact_one(terms: list[float]) -> None:
    found = add_exactly(terms)
    exact = sum(map(Fraction, terms))
    odd = np.float64(found).view(np.uint64) % 2 == 1
    step = Fraction(float(np.spacing(abs(found))))
    assert found == exact or (odd and abs(Fraction(found) - exact) < step)


@pytest.mark.parametrize(("dtype", "other"), [("float16", "bfloat16"), ("bfloat16", "float32")])
def test_a_value_that_overflows_names_layer_and_neuron(dtype: str, other: str) -> None:
    largest = {"float16": 65504.0, "bfloat16": float(np.float32(3.39e38))}[dtype]
    weight = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 1.0]])
    inputs = widen(narrow(np.array([[1.0, 1.0], [largest, largest]], np.float32), dtype), dtype)
    assert np.isfinite(multiply(weight[:2], inputs, None, dtype)).all()
    with pytest.raises(InputError) as caught:
        multiply(weight, inputs, None, dtype)
    assert str(caught.value).startswith("Layer 3, neuron 102: ")
    assert f"overflows {dtype}; record with --keep all, or with --dtype {other}" in str(
        caught.value
    )


def test_how_many_neurons_are_computed_at_a_time() -> None:
    assert count_group(1, 10) == 64
    assert count_group(172, 10) == 192
    assert count_group(8192, 10) == 2048
    assert count_group(8192, 2 * 286_720) == 448
    assert count_group(8192, 2**40) == 64


# Recordings that keep inputs only


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("inputs")
    plans = {dtype: replace(SMALL, dtype=dtype, seed=5) for dtype in DTYPES}
    return {dtype: make_recording(folder, plan) for dtype, plan in plans.items()}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_recording(tmp_path, SMALL)


@pytest.fixture(scope="module")
def expected(recordings: dict[str, Made]) -> dict[str, Doubles]:
    """Layer 1 by the oracle."""
    found = {}
    for dtype, made in recordings.items():
        folder = made.forms[1].folder(made.store.arrays)
        weight, bias = (read_numbers(folder, n) for n in ("projection", "projection_bias"))
        found[dtype] = oracle_layer(weight, read_numbers(folder, "inputs"), bias, dtype)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layer_and_its_pair_rows(
    dtype: str, recordings: dict[str, Made], expected: dict[str, Doubles]
) -> None:
    made = recordings[dtype]
    layer = made.recording.layer(1)
    found = layer.preactivations()
    assert found.dtype == {"float16": np.float16}.get(dtype, np.float32)
    assert np.array_equal(found, expected[dtype])
    assert np.array_equal(layer.small("pair_outputs"), expected[dtype][:, made.pairs.ravel()])
    assert not (layer.arrays.folder / "preactivations").exists()
    assert [file.fault for file in verify_files(made.store, [layer.recording.row], full=True)] == [
        None
    ] * (2 * (2 + 2 + 2))
    assert list(find_debris(made.store)) == []


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    neurons=st.lists(st.integers(0, 69), max_size=9),
    positions=st.lists(st.integers(0, 2499), max_size=9),
    tiles=st.tuples(st.integers(1, 80), st.sampled_from([1, 13, 700, 2048])),
)
def test_any_choice_in_any_tiles_is_the_same_bits(
    recordings: dict[str, Made],
    expected: dict[str, Doubles],
    dtype: str,
    neurons: list[int],
    positions: list[int],
    tiles: tuple[int, int],
) -> None:
    arrays, wanted = recordings[dtype].arrays(1), expected[dtype]
    n, p = np.array(neurons, np.int64), np.array(positions, np.int64)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(products, "TILE_NEURONS", tiles[0])
        patched.setattr(readers, "TILE_TOKENS", max(tiles[1], 13))
        assert np.array_equal(widen(arrays.preactivations_at(p, n), dtype), wanted[n][:, p])
        assert np.array_equal(widen(arrays.preactivations_at(p), dtype), wanted[:, p])
        assert np.array_equal(widen(arrays.preactivations(n), dtype), wanted[n])
    assert np.array_equal(widen(arrays.neuron_group(1), dtype), wanted[64:])


def test_only_a_tile_is_held_in_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_recording(tmp_path, replace(SMALL, n_windows=200, layers=(0,)))
    monkeypatch.setattr(products, "TILE_NEURONS", 16)
    monkeypatch.setattr(readers, "TILE_TOKENS", 512)
    arrays = made.arrays()
    arrays.neuron_group(0)
    tracemalloc.start()
    values = arrays.preactivations(np.arange(70))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = 8 * 70 * 20_000
    assert most < values.nbytes + whole / 10


def damage(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "byte"), [("inputs", 2 * 8 * 2050), ("projection", 9), ("projection_bias", 4 * 69)]
)
def test_damaged_inputs_and_weights_are_found(made: Made, name: str, byte: int) -> None:
    damage(made.file(name, block=0), byte % made.file(name, block=0).stat().st_size)
    with pytest.raises(DamageError, match=f"{name}/c"):
        made.arrays().preactivations(np.array([3]))
    with pytest.raises(DamageError, match=f"{name}/c"):
        made.arrays().preactivations_at(np.arange(2000))


def test_weights_that_are_not_there(made: Made) -> None:
    with made.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blocks WHERE array_name = 'projection'")
    with pytest.raises(NotFoundError, match=r"no small array 'projection'.* --no-weights left"):
        made.recording.layer(0).preactivations([0])


@pytest.mark.parametrize("keep", ["all", "inputs"])
def test_the_format_says_what_is_computed(tmp_path: Path, keep: str) -> None:
    made = make_recording(tmp_path, Plan(keep=keep, n_neurons=300, layers=(0,)))
    arrays = made.recording.layer(0).arrays
    assert arrays.format.computed == (keep == "inputs")
    assert arrays.group_rows == (320 if keep == "inputs" else 64)
    assert read_recording(made.store.database, made.id).keep == keep
