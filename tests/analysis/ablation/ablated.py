"""Tiny models in a dtype, and models whose activations are replaced by the oracle's loops."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from analysis.ablation.dose import DoseMeter
from analysis.ablation.interventions import intervene
from analysis.ablation.records import Change, Ints
from analysis.ablation.sites import Site, find_sites
from ingest.families import FAMILIES
from tests.models import SIZES, make_model
from tests.oracles.interventions import oracle_dose_sums, oracle_intervention

Flags = npt.NDArray[np.bool_]
WINDOWS = np.array([7, 3])
LENGTH = 12
SEED = 5


def make_ablated(name: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A tiny model that computes in a dtype, without dropout."""
    model = deepcopy(_make_once(name))
    nn.Module.to(model, dtype)
    return model


@cache
def _make_once(name: str) -> PreTrainedModel:
    model = make_model(name)
    nn.Module.eval(model)
    return model


def sites_of(name: str, model: nn.Module) -> dict[int, Site]:
    size = SIZES[name]
    return find_sites(model, FAMILIES[size.family], range(size.n_layers))


def make_tokens(n_windows: int = len(WINDOWS)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 300, (n_windows, LENGTH), generator=generator)


def make_changes(name: str, intervention: str) -> dict[int, Change]:
    """Nine neurons of each layer, others in each, with means of both signs."""
    size, random = SIZES[name], np.random.default_rng(11)
    return {
        layer: Change(
            intervention,
            np.sort(random.choice(size.d_mlp, 9, replace=False)).astype(np.int64),
            random.normal(0.0, 0.5, 9),
            SEED,
        )
        for layer in range(size.n_layers)
    }


@torch.no_grad()
def logits_of(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(tokens, use_cache=False).logits
    return logits


def run_changed(
    model: PreTrainedModel,
    sites: Mapping[int, Site],
    changes: Mapping[int, Change],
    where: Flags | None = None,
    meter: DoseMeter | None = None,
    windows: Ints = WINDOWS,
) -> torch.Tensor:
    """The logits of the windows with the changes made."""
    with intervene(sites, changes, meter) as state:
        state.begin(windows, LENGTH, where)
        return logits_of(model, make_tokens(len(windows)))


@dataclass
class OracleLayer:
    """The loops in place of an activation; it keeps what they saw, (tokens, m)."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    layer: int
    change: Change
    acting: Flags
    before: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    after: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    up: torch.Tensor | None = None

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        h, shape = self.forward(y), (len(WINDOWS), LENGTH, -1)
        assert self.change.fills is not None
        changed = oracle_intervention(
            self.change.intervention,
            h.double().numpy().reshape(shape),
            y.double().numpy().reshape(shape),
            self.acting,
            [int(n) for n in self.change.neurons],
            [float(fill) for fill in self.change.fills],
            self.layer,
            self.change.seed,
            [int(w) for w in WINDOWS],
        )
        self.before, self.after = h, torch.from_numpy(changed).view(h.shape).to(h.dtype)
        return self.after

    def keep_up(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self.up = output

    def dose_sums(self, site: Site) -> tuple[float, float]:
        weight = site.output.weight
        assert isinstance(weight, torch.Tensor)
        flat = weight.detach().double().numpy()
        rows = [None if v is None else _rows(v) for v in (self.before, self.after, self.up)]
        assert rows[0] is not None
        assert rows[1] is not None
        return oracle_dose_sums(rows[0], rows[1], rows[2], flat.T if site.turned else flat)


def _rows(values: torch.Tensor) -> npt.NDArray[np.float64]:
    flat: npt.NDArray[np.float64] = values.detach().double().numpy()
    return flat.reshape(-1, flat.shape[-1])


def run_oracle(
    name: str, dtype: torch.dtype, changes: Mapping[int, Change], where: Flags | None = None
) -> tuple[torch.Tensor, dict[int, tuple[float, float]]]:
    """The logits of WINDOWS by the oracle, and the dose's sums of each changed layer."""
    model = make_ablated(name, dtype)
    sites, layers = sites_of(name, model), dict[int, OracleLayer]()
    acting = np.ones((len(WINDOWS), LENGTH), dtype=bool) if where is None else where
    for layer, change in changes.items():
        site = sites[layer]
        layers[layer] = OracleLayer(site.activation.forward, layer, change, acting)
        site.activation.forward = layers[layer]
        if site.up is not None:
            site.up.register_forward_hook(layers[layer].keep_up)
    logits = logits_of(model, make_tokens())
    return logits, {n: found.dose_sums(sites[n]) for n, found in layers.items()}
