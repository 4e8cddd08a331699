"""One evaluation with neurons ablated against the bare forward pass with head and loss.

Both sides run the same model in memory on the same batches. Ours clamps 5 % of each layer's
neurons, measures the dose, and sums losses by window and by kind of token.
"""

import numpy as np
import torch

from analysis.ablation.batches import choose_batch
from analysis.ablation.evaluation import Evaluator
from analysis.ablation.records import Change, Ints, Protocol
from analysis.ablation.sites import find_sites
from benchmarks.harness import Measure, Result, Task, race
from benchmarks.models import make_model
from benchmarks.sizes import Bench, Shape
from ingest.families import FAMILIES
from ingest.settings import KINDS

SHARE = 0.05


def run(bench: Bench) -> list[Result]:
    """Measure the evaluation of SmolLM2-135M's shape."""
    shape = bench.sizes.smollm2
    evaluator, changes = make_evaluator(shape), draw_changes(shape)
    evaluate = Task(lambda: evaluator.run(changes))
    series = race({"ours": evaluate, "bare": Task(lambda: run_bare(evaluator))}, bench.rounds)
    measure = Measure(
        name="ablate.evaluation",
        what="one evaluation: clamp-negative of 5 % of each layer, dose, losses by window and kind",
        shape=f"{shape.text}, batches of {evaluator.batch_windows}, float32 model",
        baseline="forward pass with head and transformers' loss on the same batches",
        figure="cost",
        target=1.05,
    )
    rate = shape.n_tokens / series["ours"].median
    return [Result(measure, series["ours"], series["bare"], note=f"{rate:,.0f} tokens/s")]


def make_evaluator(shape: Shape) -> Evaluator:
    """Return an evaluator of a model of the shape on random tokens of random kinds."""
    rng = np.random.default_rng(0)
    numbers = np.arange(shape.windows)
    protocol = Protocol(
        stream_id=0,
        windows=rng.integers(0, shape.vocabulary, (shape.windows, shape.window_length)),
        documents=numbers,
        skip_first=0,
        kinds=rng.integers(0, len(KINDS), shape.vocabulary),
        unit="window",
        units=numbers,
    )
    model = make_model(shape)
    sites = find_sites(model, FAMILIES["llama"], range(shape.layers))
    return Evaluator(model, sites, protocol, choose_batch(shape.window_length, shape.vocabulary))


def draw_changes(shape: Shape) -> dict[int, Change]:
    """Return clamp-negative of 5 % of the neurons of each layer, drawn at random."""
    rng, size = np.random.default_rng(1), max(1, round(SHARE * shape.d_mlp))
    return {
        layer: Change("clamp-negative", _draw(rng, shape, size)) for layer in range(shape.layers)
    }


def _draw(rng: np.random.Generator, shape: Shape, size: int) -> Ints:
    return np.sort(rng.choice(shape.d_mlp, size, replace=False))


def run_bare(evaluator: Evaluator) -> None:
    """Run the model with its head and its own loss over the batches, keeping nothing."""
    for windows in evaluator.batches():
        ids = evaluator.token_ids(windows)
        with torch.inference_mode():
            evaluator.model(input_ids=ids, labels=ids, use_cache=False)
