"""What a neuron adds to the logits, by the model's own modules and a plain sort."""

from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import AutoModelForCausalLM

NAMES = {
    "gpt_neox": "gpt_neox.layers.{}.mlp.dense_4h_to_h",
    "opt": "model.decoder.layers.{}.fc2",
    "opt_350m": "model.decoder.layers.{}.fc2",
    "gpt2": "transformer.h.{}.mlp.c_proj",
    "gptj": "transformer.h.{}.mlp.fc_out",
    "phi": "model.layers.{}.mlp.fc2",
}
GATED = "model.layers.{}.mlp.down_proj"


def logits_of(folder: Path, family: str, layer: int, n_neurons: int) -> list[list[float]]:
    """What one unit of each neuron adds to each token's logit: differences, so biases drop out."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    modules = dict(cast("nn.Module", model).named_modules())
    path = [modules[NAMES.get(family, GATED).format(layer)]]
    path += [modules["model.decoder.project_out"]] if family == "opt_350m" else []
    path += [cast("nn.Module", model.get_output_embeddings())]  # type: ignore[no-untyped-call]

    def run(vector: torch.Tensor) -> torch.Tensor:
        for module in path:
            vector = module(vector)
        return vector

    found = []
    with torch.no_grad():
        nothing = run(torch.zeros(1, n_neurons, dtype=torch.float64))[0]
        for neuron in range(n_neurons):
            one = torch.zeros(1, n_neurons, dtype=torch.float64)
            one[0, neuron] = 1.0
            found.append([float(v) for v in run(one)[0] - nothing])
    return found


def ten_highest(logits: list[float]) -> list[int]:
    return sorted(range(len(logits)), key=lambda token: (-logits[token], token))[:10]


def ten_lowest(logits: list[float]) -> list[int]:
    return sorted(range(len(logits)), key=lambda token: (logits[token], token))[:10]
