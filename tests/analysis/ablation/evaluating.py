"""Tiny models and protocols that the tests of the evaluation share."""

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from analysis.ablation.evaluation import Evaluator
from analysis.ablation.records import Change, Protocol
from analysis.ablation.sites import find_sites
from ingest.families import FAMILIES
from ingest.settings import KINDS
from tests.models import SIZES, make_model

LENGTH, WINDOWS, BATCH, VOCABULARY = 24, 5, 2, 300


def make_protocol(seed: int = 0, skip_first: int = 0) -> Protocol:
    """Random tokens, each of a random kind."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(WINDOWS, dtype=np.int64)
    kinds = np.random.default_rng(9).integers(0, len(KINDS), VOCABULARY)
    windows = rng.integers(0, VOCABULARY, (WINDOWS, LENGTH))
    return Protocol(1, windows, numbers, skip_first, kinds, "window", numbers)


def single(name: str) -> PreTrainedModel:
    """A family's model in float32, ready for inference."""
    model = make_model(name)
    nn.Module.to(model, torch.float32)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def make_evaluator(
    name: str, model: PreTrainedModel | None = None, protocol: Protocol | None = None
) -> Evaluator:
    """An evaluator of a family's model with sites in all layers."""
    model = single(name) if model is None else model
    sites = find_sites(model, FAMILIES[SIZES[name].family], range(SIZES[name].n_layers))
    return Evaluator(model, sites, protocol or make_protocol(), BATCH)


def silence(*layers: int, neurons: int = 30) -> dict[int, Change]:
    """Set the first neurons of some layers to zero: it changes ReLU models, too."""
    return {layer: Change("zero", np.arange(neurons, dtype=np.int64)) for layer in layers}
