import pytest
import torch
from torch import nn

from ingest.capture import Receive, capture
from store.errors import SelfCheckError

SHAPE = (4, 6)


class Received(list[tuple[int, torch.Tensor, torch.Tensor]]):
    def __call__(self, layer: int, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        self.append((layer, inputs, outputs))


def projections(layers: int = 2) -> dict[int, nn.Module]:
    return {3 * layer: nn.Linear(4, 6) for layer in range(layers)}


def hooks_of(modules: dict[int, nn.Module]) -> int:
    return sum(len(module._forward_hooks) for module in modules.values())


def run_pass(
    modules: dict[int, nn.Module],
    layers: list[int],
    shape: tuple[int, int] = SHAPE,
    receive: Receive | None = None,
) -> None:
    """One forward pass in which these layers run, checked at its end."""
    try:
        with capture(modules, shape, receive or Received()) as hooks:
            for layer in layers:
                modules[layer](torch.ones(1, 4))
            hooks.check()
    finally:
        assert hooks_of(modules) == 0


@pytest.mark.parametrize("shape", [(2, 5, 4), (10, 4)])
def test_inputs_and_outputs_come_flat_and_in_order(shape: tuple[int, ...]) -> None:
    modules, received = projections(), Received()
    values = torch.randn(shape)
    with capture(modules, SHAPE, received) as hooks:
        outputs = {layer: module(values) for layer, module in modules.items()}
        hooks.check()
    assert [layer for layer, _, _ in received] == [0, 3]
    for layer, x, y in received:
        assert torch.equal(x, values.reshape(10, 4))
        assert torch.equal(y, outputs[layer].reshape(10, 6))
        assert not y.requires_grad
    assert hooks_of(modules) == 0


def test_a_projection_that_never_ran_is_named() -> None:
    with pytest.raises(SelfCheckError, match="layer 3 ran 0 times in a forward pass"):
        run_pass(projections(), [0])


def test_a_projection_that_ran_twice_is_named() -> None:
    with pytest.raises(SelfCheckError, match="layer 0 ran 2 times in a forward pass"):
        run_pass(projections(), [0, 3, 0])


def test_each_pass_is_checked_on_its_own() -> None:
    modules = projections(1)
    with capture(modules, SHAPE, Received()) as hooks:
        for _ in range(2):
            modules[0](torch.ones(1, 4))
            hooks.check()
        with pytest.raises(SelfCheckError, match="ran 0 times"):
            hooks.check()


@pytest.mark.parametrize(
    ("shape", "message"), [((5, 6), "of 4 numbers"), ((4, 7), "of 6 numbers, the config says 7")]
)
def test_vectors_of_another_size_are_refused(shape: tuple[int, int], message: str) -> None:
    received = Received()
    with pytest.raises(SelfCheckError, match=message):
        run_pass(projections(1), [0], shape, received)
    assert received == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_hooks_are_removed_after_any_exception(error: type[BaseException]) -> None:
    modules = projections()

    def receive(_layer: int, _x: torch.Tensor, _y: torch.Tensor) -> None:
        assert hooks_of(modules) == 2
        raise error

    with pytest.raises(error):
        run_pass(modules, [0], SHAPE, receive)
    assert hooks_of(modules) == 0
