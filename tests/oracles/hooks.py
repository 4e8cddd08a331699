"""What a projection is given and puts out, by plain hooks on modules found by name."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForCausalLM

NAMES = {
    "gpt_neox": "gpt_neox.layers.{}.mlp.dense_h_to_4h",
    "opt": "model.decoder.layers.{}.fc1",
    "opt_350m": "model.decoder.layers.{}.fc1",
    "gpt2": "transformer.h.{}.mlp.c_fc",
    "gptj": "transformer.h.{}.mlp.fc_in",
    "phi": "model.layers.{}.mlp.fc1",
    "gate": "model.layers.{}.mlp.gate_proj",
    "up": "model.layers.{}.mlp.up_proj",
}
Singles = npt.NDArray[np.float32]


@dataclass
class Seen:
    """What one projection saw: (tokens, d_model) and (tokens, neurons), before rounding."""

    inputs: list[Singles] = field(default_factory=list)
    outputs: list[Singles] = field(default_factory=list)


def name_of(family: str, projection: str, layer: int) -> str:
    return NAMES[family if family in NAMES else projection].format(layer)


def windows_of_block(length: int) -> int:
    return min(range(1, 2049), key=lambda windows: (abs(windows * length - 2048), windows))


def watch(
    folder: Path, names: list[str], windows: npt.NDArray[np.int64], dtype: str = "float32"
) -> list[tuple[Singles, Singles]]:
    """Run the model on the windows (n_windows, length), a block at a time, watching the names."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    modules, seen = dict(model.named_modules()), [Seen() for _ in names]

    def keep(place: Seen, x: torch.Tensor, y: torch.Tensor) -> None:
        # OPT's projection sees the windows as one matrix, others (windows, length, width).
        place.inputs.append(x.reshape(-1, x.shape[-1]).float().numpy())
        place.outputs.append(y.reshape(-1, y.shape[-1]).float().numpy())

    for name, place in zip(names, seen, strict=True):
        modules[name].register_forward_hook(lambda _, x, y, place=place: keep(place, x[0], y))
    step = windows_of_block(windows.shape[1])
    for start in range(0, len(windows), step):
        with torch.no_grad():
            model(torch.tensor(windows[start : start + step]))
    return [(np.concatenate(s.inputs), np.concatenate(s.outputs)) for s in seen]


def round_to(values: Singles, dtype: str) -> npt.NDArray[np.generic]:
    """Round to nearest, ties to even; bfloat16 as its bits."""
    if dtype == "float32":
        return values
    if dtype == "float16":
        return values.astype(np.float16)
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
