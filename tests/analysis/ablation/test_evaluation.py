"""What a run measures: equal to transformers' own loss, window by window and kind by kind."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from analysis.ablation.batches import LOGIT_BYTES, choose_batch
from analysis.ablation.evaluation import CURRENT, PREDICTED
from analysis.ablation.records import Change
from ingest.settings import KINDS
from store.errors import InputError
from tests.analysis.ablation.evaluating import (
    BATCH,
    LENGTH,
    WINDOWS,
    make_evaluator,
    make_protocol,
    silence,
    single,
)
from tests.models import SIZES
from tests.oracles.losses import window_losses

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", SIZES)
def test_perplexity_is_that_of_the_models_own_loss(name: str) -> None:
    model, protocol = single(name), make_protocol()
    outcome = make_evaluator(name, model, protocol).run({})
    total = 0.0
    for window in protocol.windows:
        ids = torch.from_numpy(window[None])
        with torch.inference_mode():
            total += float(model(input_ids=ids, labels=ids).loss) * (LENGTH - 1)
    # Both round each loss to float32 (6e-8 of some 10 nats), and products of other shapes differ
    # in their last bits; transformers also takes its mean in float32.
    assert math.exp(outcome.nll_sum / outcome.total) == pytest.approx(
        math.exp(total / (WINDOWS * (LENGTH - 1))), rel=2e-5
    )
    assert outcome.total == WINDOWS * (LENGTH - 1)
    assert outcome.dose is None
    assert outcome.n_positions == WINDOWS * LENGTH


@pytest.mark.parametrize("skip_first", [0, 1, 7, LENGTH - 2])
def test_losses_are_those_of_a_loop_without_the_skipped_predictions(skip_first: int) -> None:
    model, protocol = single("llama"), make_protocol(skip_first=skip_first)
    outcome = make_evaluator("llama", model, protocol).run({})
    for window, nll in zip(protocol.windows, outcome.nll, strict=True):
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(window[None])).logits[0]
        losses = window_losses(logits.tolist(), window.tolist(), skip_first)
        assert len(losses) == outcome.n_predicted
        assert nll == pytest.approx(math.fsum(losses), rel=1e-5)


def test_a_window_does_not_depend_on_the_others_beside_it() -> None:
    model, protocol, other = single("qwen2"), make_protocol(), make_protocol(seed=1)
    changes = silence(0, 2)
    windows = other.windows.copy()
    windows[[0, 3]] = protocol.windows[[0, 3]]
    mixed = dataclasses.replace(protocol, windows=windows)
    one = make_evaluator("qwen2", model, protocol).run(changes)
    two = make_evaluator("qwen2", model, mixed).run(changes)
    assert (one.nll[[0, 3]] == two.nll[[0, 3]]).all()
    assert (one.nll[[1, 2, 4]] != two.nll[[1, 2, 4]]).all()


@pytest.mark.parametrize("skip_first", [0, 5])
@pytest.mark.parametrize("where", [None, "function"])
def test_kinds_of_each_side_add_up_to_all(skip_first: int, where: str | None) -> None:
    protocol = make_protocol(skip_first=skip_first)
    outcome = make_evaluator("gpt2", protocol=protocol).run(silence(0), where)
    for side in (CURRENT, PREDICTED):
        found = [value for (of, _), value in outcome.kinds.items() if of == side]
        assert sum(n for _, n in found) == outcome.total
        assert math.fsum(nll for nll, _ in found) == pytest.approx(outcome.nll_sum, rel=1e-12)


def test_kinds_are_those_of_a_loop() -> None:
    model, protocol = single("gpt2"), make_protocol(skip_first=3)
    outcome = make_evaluator("gpt2", model, protocol).run({})
    wanted: dict[tuple[str, str], list[float]] = {}
    for window in protocol.windows:
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(window[None])).logits[0]
        losses = window_losses(logits.tolist(), window.tolist(), 3)
        for position, loss in enumerate(losses, start=3):
            for side, token in (("current", window[position]), ("predicted", window[position + 1])):
                wanted.setdefault((side, KINDS[protocol.kinds[token]]), []).append(loss)
    assert outcome.kinds.keys() == wanted.keys()
    for key, of in wanted.items():
        assert outcome.kinds[key][1] == len(of)
        assert outcome.kinds[key][0] == pytest.approx(math.fsum(of), rel=1e-5)


def test_an_empty_cohort_is_the_baseline_bit_for_bit() -> None:
    evaluator = make_evaluator("phi")
    empty = {0: Change("zero", np.empty(0, np.int64))}
    baseline, nothing = evaluator.run({}), evaluator.run(empty)
    assert (baseline.nll == nothing.nll).all()
    assert nothing.dose is None
    changed = evaluator.run(silence(0))
    assert (changed.nll != baseline.nll).all()
    assert changed.dose is not None
    assert changed.dose > 0
    assert (evaluator.run({}).nll == baseline.nll).all()


def test_where_acts_only_at_tokens_of_that_kind() -> None:
    protocol = make_protocol()
    kind = "function"
    at = protocol.kinds[protocol.windows] == KINDS.index(kind)
    evaluator = make_evaluator("llama", protocol=protocol)
    baseline, there = evaluator.run({}), evaluator.run(silence(0, 1), kind)
    assert there.n_positions == int(at.sum())
    # What a change does is seen from its position on; the last one predicts nothing.
    changed = at[:, :-1].any(axis=1)
    assert (there.nll != baseline.nll).tolist() == changed.tolist()
    nowhere = dataclasses.replace(protocol, kinds=np.zeros_like(protocol.kinds))
    none = make_evaluator("llama", evaluator.model, nowhere).run(silence(0, 1), kind)
    assert none.n_positions == 0
    assert (none.nll == baseline.nll).all()


def test_progress_is_told_by_batch() -> None:
    told: list[int] = []
    make_evaluator("gpt_neox").run({}, advance=told.append)
    assert told == [BATCH, BATCH, 1]


def test_a_loss_that_is_no_number_is_refused() -> None:
    model = single("gpt2")
    with torch.no_grad():
        dict(model.named_parameters())["transformer.wte.weight"][0] = math.nan
    with pytest.raises(InputError, match="window 0 is no finite number"):
        make_evaluator("gpt2", model).run({})


def test_a_batch_has_logits_under_the_limit() -> None:
    assert choose_batch(256, 49_152) == 5
    assert choose_batch(2048, 50_304) == 1
    assert choose_batch(256, 300) == 8
    for length, vocabulary in ((256, 49_152), (128, 250_000), (512, 30_000)):
        assert choose_batch(length, vocabulary) * length * vocabulary * 4 <= LOGIT_BYTES
