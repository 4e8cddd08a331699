"""Which passes fill which blocks, and what a pass runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ingest import pipeline
from ingest.capture import capture
from ingest.families import FAMILIES, find_projections
from ingest.models import load_model
from ingest.pair_rows import PairRows
from ingest.passes import Passes
from tests.models import SIZES


@st.composite
def drawn(draw: st.DrawFn) -> Passes:
    size = draw(st.sampled_from([1, 2, 3, 4, 6]))
    divisors = [b for b in range(1, size + 1) if size % b == 0]
    batch = draw(st.sampled_from([*divisors, 2 * size, 3 * size]))
    n_windows, length = draw(st.integers(1, 20)), draw(st.integers(1, 5))
    n_blocks = -(-n_windows // size)
    blocks = st.lists(st.integers(0, n_blocks - 1), unique=True).map(lambda b: tuple(sorted(b)))
    windows = np.arange(n_windows * length).reshape(n_windows, length)
    return Passes(windows, size, batch, {0: draw(blocks), 3: draw(blocks)})


@given(drawn())
def test_every_missing_block_is_filled_once_token_by_token(passes: Passes) -> None:
    wanted = {b for blocks in passes.missing.values() for b in blocks}
    found: dict[int, dict[int, int]] = {block: {} for block in wanted}
    ended = []
    for batch in passes:
        assert batch.first_token == batch.windows[0, 0]
        assert batch.first_token % (passes.batch_windows * passes.windows.shape[1]) == 0
        tokens = batch.windows.ravel()
        for span in batch.spans:
            for source, target in zip(
                range(span.source.start, span.source.stop),
                range(span.target.start, span.target.stop),
                strict=True,
            ):
                assert target not in found[span.block]
                found[span.block][target] = int(tokens[source])
            if span.last:
                ended.append(span.block)
                assert len(found[span.block]) == passes.tokens_of(span.block)
    assert sorted(ended) == sorted(wanted)
    size = passes.block_windows * passes.windows.shape[1]
    for block, tokens_of in found.items():
        assert tokens_of == {i: block * size + i for i in range(len(tokens_of))}


def test_later_passes_end_at_the_last_projection(models: dict[str, Path]) -> None:
    model, family = load_model(models["qwen2"], "float32"), FAMILIES["qwen2"]
    modules = find_projections(model, family, "gate", (0, 1))
    above, seen = [], []
    model.get_submodule("model.layers.2").register_forward_hook(lambda *_: above.append(1))
    windows = np.arange(24).reshape(2, 12)

    def keep(_layer: int, inputs: torch.Tensor, _outputs: torch.Tensor) -> None:
        seen.append(inputs.clone())

    size = SIZES["qwen2"]
    with capture(modules, (size.d_model, size.d_mlp), keep) as hooks:
        pipeline.forward(model, windows)
        hooks.check()
        assert (len(above), len(seen)) == (1, 2)
        hooks.stop = True
        pipeline.forward(model, windows)
        hooks.check()
    assert (len(above), len(seen)) == (1, 4)
    for whole, ended in zip(seen[:2], seen[2:], strict=True):
        assert torch.equal(whole, ended)
    before = model(input_ids=torch.from_numpy(windows)).logits
    assert torch.equal(before, model(input_ids=torch.from_numpy(windows)).logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rows_of_pairs_are_kept_as_they_come_by(dtype: torch.dtype) -> None:
    positions = np.array([7, 0, 3, 11, 4, 6])
    rows = PairRows(positions, frozenset({2}))
    inputs, outputs = torch.randn(12, 3).to(dtype), torch.randn(12, 5).to(dtype)
    for first in (0, 4, 8):
        for layer in (1, 2):
            rows.take(layer, first, inputs[first : first + 4], outputs[first : first + 4])
    assert rows.pop(1) is None
    found = rows.pop(2)
    assert found is not None
    bits = (values.view(torch.int16).numpy() for values in (inputs, outputs))
    for name, values in zip(("pair_inputs", "pair_outputs"), bits, strict=True):
        expected = values[positions] if name == "pair_inputs" else values[positions].T
        np.testing.assert_array_equal(found[name].view(np.int16), expected)
        assert found[name].flags.c_contiguous
    assert rows.pop(2) is None
