"""Training of the demo's models on the CPU, the same bytes each time on one machine.

The initial weights and the order of the data follow from the plan's seed alone; torch's global
generator is left as it was found. There is no dropout. Files are the caller's business: a model
is handed over at each step of the plan.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.utils import logging

from ingest.demo_plan import DemoPlan, DemoSize, Report

REPORT_EVERY = 5
LOWEST_RATE = 0.1


def train(
    plan: DemoPlan,
    size: DemoSize,
    tokens: list[int],
    save: Callable[[GPTNeoXForCausalLM, int], None],
    report: Report,
) -> None:
    """Train one size on the tokens, calling `save(model, step)` at the steps of the plan.

    `report` is called with the size's name at the start, every few steps, and at the end.
    """
    model = _initialise(plan, size)
    optimizer = _make_optimizer(model, plan)
    batches = _draw_batches(plan, torch.tensor(tokens))
    last = plan.steps[-1]
    report(size.name, 0, last)
    for step in range(last + 1):
        if step > 0:
            _take_step(model, optimizer, next(batches), size.rate * _warmth(plan, step), plan.clip)
        if step in plan.steps:
            save(model, step)
        if step > 0 and (step % REPORT_EVERY == 0 or step == last):
            report(size.name, step, last)


def save_model(model: GPTNeoXForCausalLM, folder: Path) -> None:
    """Write config.json, generation_config.json and model.safetensors, without a progress bar."""
    with _without_bars():
        model.save_pretrained(folder)


def _initialise(plan: DemoPlan, size: DemoSize) -> GPTNeoXForCausalLM:
    config = GPTNeoXConfig(
        vocab_size=plan.vocabulary,
        hidden_size=size.d_model,
        num_hidden_layers=size.n_layers,
        num_attention_heads=size.n_heads,
        intermediate_size=size.d_mlp,
        hidden_act="gelu",
        use_parallel_residual=True,
        max_position_embeddings=plan.window,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    # transformers draws from the global generator, which belongs to the caller. It is seeded
    # directly because torch.manual_seed would also reseed accelerators, which are not restored.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.seed)
        return GPTNeoXForCausalLM(config)


def _make_optimizer(model: GPTNeoXForCausalLM, plan: DemoPlan) -> torch.optim.AdamW:
    """Decay the matrices only: biases and norms have no scale to hold down."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95))


def _draw_batches(plan: DemoPlan, tokens: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield (batch, window) int64, windows from places drawn with the plan's seed, for ever."""
    generator = torch.Generator().manual_seed(plan.seed)
    places = len(tokens) - plan.window + 1
    while True:
        starts = torch.randint(places, (plan.batch, 1), generator=generator)
        yield tokens[starts + torch.arange(plan.window)]


def _warmth(plan: DemoPlan, step: int) -> float:
    """Return the share of the highest rate that step 1, 2, ... gets."""
    if step <= plan.warm_up:
        return step / plan.warm_up
    passed = (step - plan.warm_up) / (plan.steps[-1] - plan.warm_up)
    return LOWEST_RATE + (1 - LOWEST_RATE) * (1 + math.cos(math.pi * passed)) / 2


def _take_step(
    model: GPTNeoXForCausalLM,
    optimizer: torch.optim.AdamW,
    windows: torch.Tensor,
    rate: float,
    clip: float,
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    logits = model(input_ids=windows, use_cache=False).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


@contextmanager
def _without_bars() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
