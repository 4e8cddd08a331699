from contextlib import nullcontext

import numpy as np
import pytest
import torch

from ingest import blocks
from ingest.blocks import Projection, Stored, prove, round_values, to_numpy
from ingest.transfers import copy_on_host
from store.errors import InputError, SelfCheckError

D, M, TOKENS = 16, 5, 33


def drawn(dtype: torch.dtype = torch.float32) -> tuple[Projection, torch.Tensor, torch.Tensor]:
    """A projection with bias, inputs (33, 16) and the outputs (33, 5) that belong to them."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(M, D, generator=generator), torch.randn(M, generator=generator)
    inputs = torch.randn(TOKENS, D, generator=generator).to(dtype)
    outputs = inputs @ weight.to(dtype).T + bias.to(dtype)
    return Projection(3, weight.to(dtype), bias.to(dtype)), inputs, outputs


def check(
    projection: Projection, inputs: torch.Tensor, outputs: torch.Tensor, dtype: str
) -> Stored:
    """Prove and round as a recording does, and return the outputs as stored."""
    prove(projection, inputs, outputs, dtype)
    round_values(inputs, dtype, projection.layer, "input dimension")
    return to_numpy(round_values(outputs, dtype, projection.layer, "neuron").T)


def one(weight: float, bias: float | None) -> Projection:
    return Projection(0, torch.tensor([[weight]]), None if bias is None else torch.tensor([bias]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("model", [torch.float32, torch.bfloat16, torch.float16])
def test_what_belongs_together_is_stored_rounded_and_turned(dtype: str, model: torch.dtype) -> None:
    projection, inputs, outputs = drawn(model)
    prove(projection, inputs, outputs, dtype)
    rounded = round_values(outputs, dtype, 3, "neuron")
    assert torch.equal(rounded, outputs.to(getattr(torch, dtype)))
    stored = np.zeros((8, 40), np.dtype({"bfloat16": "uint16"}.get(dtype, dtype)))
    copy_on_host(rounded.T, stored[:5, 2:35])
    np.testing.assert_array_equal(stored[:5, 2:35], to_numpy(rounded).T)
    assert not stored[5:].any()
    assert not stored[:, :2].any()
    assert not stored[:, 35:].any()


@pytest.mark.parametrize("turn", [0, 1, 2, 3, 4])
def test_a_wide_layer_is_proved_in_turns(monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    monkeypatch.setattr(blocks, "PROVED_NEURONS", 2)
    projection, inputs, outputs = drawn()
    outputs[0, 3] += 1
    with pytest.raises(SelfCheckError, match="neuron 3") if turn in (1, 4) else nullcontext():
        prove(projection, inputs, outputs, "float16", turn)


@pytest.mark.parametrize("row", [0, TOKENS - 1])
@pytest.mark.parametrize("wrong", [0.5, float("nan"), float("inf")])
def test_a_wrong_output_is_refused(row: int, wrong: float) -> None:
    projection, inputs, outputs = drawn()
    outputs[row, 2] += wrong
    with pytest.raises(SelfCheckError, match=r"Layer 3, neuron 2: .* is not W x \+ b"):
        check(projection, inputs, outputs, "float16")


@pytest.mark.parametrize("wrong", [0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_wrong_weight_or_bias_is_refused(part: str, wrong: float) -> None:
    projection, inputs, outputs = drawn()
    tensor = getattr(projection, part)
    tensor[(4, 7) if part == "weight" else 4] += wrong
    kind = "the model's output" if wrong == 0.5 else "its weights hold NaN"
    with pytest.raises(SelfCheckError, match=f"Layer 3, neuron 4: {kind}"):
        check(projection, inputs, outputs, "float32")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_inputs_that_are_no_numbers_are_not_blamed_on_the_projection(wrong: float) -> None:
    projection, inputs, _ = drawn()
    inputs[0, 2] = wrong
    outputs = inputs @ projection.weight.T
    said = "^Layer 3: values that reach the projection are NaN or infinite, .*--model-dtype float32"
    with pytest.raises(SelfCheckError, match=said):
        check(projection, inputs, outputs, "float32")


def test_a_forgotten_bias_and_shifted_tokens_are_refused() -> None:
    projection, inputs, outputs = drawn()
    with pytest.raises(SelfCheckError, match="Layer 3, neuron 0"):
        prove(Projection(3, projection.weight, None), inputs, outputs, "float16")
    with pytest.raises(SelfCheckError, match="Layer 3, neuron"):
        prove(projection, inputs.roll(1, 0), outputs, "float16")


def test_a_value_that_is_no_number_is_refused_in_any_row() -> None:
    projection, inputs, outputs = drawn()
    outputs[5, 1] = float("nan")
    with pytest.raises(SelfCheckError, match="Layer 3, neuron 1: the model puts out nan"):
        check(projection, inputs, outputs, "float16")
    projection, inputs, outputs = drawn()
    inputs[5, 9] = float("inf")
    with pytest.raises(SelfCheckError, match="Layer 3, input dimension 9: the model puts out inf"):
        check(projection, inputs, outputs, "bfloat16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_tolerance_ends_at_eps_times_what_is_summed(dtype: str) -> None:
    eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    inputs = torch.tensor([[-1.0]])
    for projection, expected, reach in ((one(1.0, None), -1.0, 1.0), (one(1.0, 3.0), 2.0, 4.0)):
        for sign in (1.0, -1.0):
            edge = expected + sign * eps * reach
            prove(projection, inputs, torch.tensor([[edge]]), dtype)
            with pytest.raises(SelfCheckError):
                prove(projection, inputs, torch.tensor([[edge + sign * 2.0**-20]]), dtype)


def test_the_tolerance_follows_the_coarser_dtype() -> None:
    inputs = torch.ones(1, 1, dtype=torch.bfloat16)
    near, far = (torch.tensor([[1 + e]], dtype=torch.bfloat16) for e in (2.0**-7, 2.0**-6))
    prove(one(1.0, None), inputs, near, "float32")
    with pytest.raises(SelfCheckError):
        prove(one(1.0, None), inputs, far, "float32")


@pytest.mark.parametrize("width", [1, 64])
def test_in_float32_the_tolerance_grows_with_the_terms(width: int) -> None:
    projection = Projection(0, torch.ones(1, width), None)
    inputs, edge = torch.ones(1, width), width + width * width * 2.0**-23
    prove(projection, inputs, torch.tensor([[edge]], dtype=torch.float32), "float32")
    far = torch.tensor([[edge + 2.0**-16]], dtype=torch.float32)
    with pytest.raises(SelfCheckError):
        prove(projection, inputs, far, "float32")


def test_a_neuron_of_zero_weights_and_a_single_token_pass() -> None:
    zero = Projection(0, torch.zeros(1, 2), None)
    check(zero, torch.ones(1, 2), torch.zeros(1, 1), "float16")


@pytest.mark.parametrize(
    ("place", "name"), [("neuron", "neuron 1"), ("input", "input dimension 0")]
)
def test_overflow_names_the_place_and_proposes_bfloat16(place: str, name: str) -> None:
    weight = torch.tensor([[1.0], [2.0 if place == "neuron" else 1.0]])
    inputs = torch.tensor([[0.5], [40_000.0 if place == "neuron" else 70_000.0]])
    projection, outputs = Projection(6, weight, None), inputs @ weight.T
    with pytest.raises(InputError, match=f"Layer 6, {name}: .*float16.*--dtype bfloat16"):
        check(projection, inputs, outputs, "float16")
    kept = check(projection, inputs, outputs, "bfloat16")
    np.testing.assert_array_equal(kept, to_numpy(outputs.T.bfloat16()))


def test_the_largest_values_are_kept_and_the_next_refused() -> None:
    projection, largest = one(1.0, None), 65_504.0
    for value in (largest, -largest, 65_519.0):
        values = torch.tensor([[value]])
        assert abs(float(check(projection, values, values, "float16")[0, 0])) == largest
    values = torch.tensor([[65_520.0]])
    with pytest.raises(InputError, match="65520 overflows float16"):
        check(projection, values, values, "float16")


def test_bfloat16_becomes_its_bits() -> None:
    values = torch.tensor([1.0, -2.0, 0.0, -0.0], dtype=torch.bfloat16)
    bits = to_numpy(values)
    assert bits.dtype == np.uint16
    assert bits.tolist() == [0x3F80, 0xC000, 0x0000, 0x8000]
