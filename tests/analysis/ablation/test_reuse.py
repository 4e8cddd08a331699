"""Layers below the touched ones run once, and losses stay the same to the last bit."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from analysis.ablation import evaluation
from analysis.ablation.evaluation import Evaluator
from analysis.ablation.records import Change
from analysis.ablation.reuse import HiddenStates, find_layers
from tests.analysis.ablation.evaluating import BATCH, LENGTH, make_evaluator, silence, single
from tests.models import SIZES

pytestmark = pytest.mark.usefixtures("one_thread")
BATCHES = 3


@contextmanager
def counted(evaluator: Evaluator) -> Iterator[dict[int, int]]:
    """How often the MLP of each layer computes."""
    counts = dict.fromkeys(evaluator.sites, 0)

    def count(layer: int) -> None:
        counts[layer] += 1

    hooks = [
        site.output.register_forward_hook(lambda *_, layer=layer: count(layer))
        for layer, site in evaluator.sites.items()
    ]
    yield counts
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("name", SIZES)
def test_later_runs_skip_lower_layers_and_lose_the_same(name: str) -> None:
    model, last = single(name), SIZES[name].n_layers - 1
    evaluator = make_evaluator(name, model)
    changes: tuple[dict[int, Change], ...] = (
        silence(last),
        silence(last, neurons=3),
        {},
        silence(0, last),
        silence(last),
    )
    skipped = (False, True, True, False, True)
    for change, skips in zip(changes, skipped, strict=True):
        with counted(evaluator) as counts:
            found = evaluator.run(change)
        lower = [counts[layer] for layer in range(last)]
        assert lower == [0 if skips else BATCHES] * last
        assert counts[last] == BATCHES
        fresh = make_evaluator(name, model).run(change)
        assert (found.nll == fresh.nll).all()
        assert found.dose == fresh.dose
    assert not any("forward" in vars(module) for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_lowest_layer_may_change_from_run_to_run() -> None:
    model = single("qwen2")
    evaluator = make_evaluator("qwen2", model)
    for layers, computed in (((1,), 3), ((2,), 2), ((2,), 1), ((1,), 3), ((1, 2), 2), ((2,), 2)):
        with counted(evaluator) as counts:
            found = evaluator.run(silence(*layers))
        assert sum(counts.values()) == computed * BATCHES
        assert (found.nll == make_evaluator("qwen2", model).run(silence(*layers)).nll).all()


def test_a_baseline_keeps_what_comes_before_the_sites() -> None:
    whole = make_evaluator("qwen2")
    evaluator = Evaluator(whole.model, {2: whole.sites[2]}, whole.protocol, BATCH)
    evaluator.run({})
    with counted(whole) as counts:
        found = evaluator.run(silence(2))
    assert [counts[layer] for layer in range(3)] == [0, 0, BATCHES]
    assert (found.nll == whole.run(silence(2)).nll).all()


def test_what_finds_no_room_is_computed_each_time() -> None:
    evaluator = make_evaluator("qwen2")
    one_batch = BATCH * LENGTH * SIZES["qwen2"].d_model * 4
    evaluator._hidden = HiddenStates(evaluator.model, evaluator.sites, one_batch)
    first = evaluator.run(silence(2))
    with counted(evaluator) as counts:
        second = evaluator.run(silence(2))
    assert counts[0] == BATCHES - 1
    assert (first.nll == second.nll).all()


def test_an_interrupted_run_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = make_evaluator("llama")
    before = evaluator.run(silence(1))

    def stop(_windows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluator.run(silence(1), advance=stop)
    monkeypatch.setattr(evaluation, "cross_entropy", stop)
    with pytest.raises(TypeError):
        evaluator.run(silence(1))
    monkeypatch.undo()
    assert not any("forward" in vars(module) for module in evaluator.model.modules())
    assert (evaluator.run(silence(1)).nll == before.nll).all()


def test_layers_are_the_list_that_holds_the_sites() -> None:
    evaluator = make_evaluator("opt")
    assert len(find_layers(evaluator.model, evaluator.sites)) == SIZES["opt"].n_layers
    assert find_layers(evaluator.model, {}) == ()
