"""Tiny random models of each family, small texts, and how the tests record them."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    OPTConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.utils import logging

from analysis.run import plan_analysis, run_analysis
from analysis.settings import AnalyzeSettings
from ingest.plan import IngestPlan, plan_ingest
from ingest.run import run_ingest
from ingest.settings import IngestSettings
from store.database import Database
from store.jobs import Report, run_job
from store.queries.recordings import list_recordings
from store.store import DATABASE, Store, has_store, open_or_create_store

Config = Callable[..., PretrainedConfig]
WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat", "and", "ran", "over", "red", "7", ",", "!"]
POSITIONS = 512
TWO_THREADS = AnalyzeSettings(threads=2)


@dataclass(frozen=True)
class Size:
    """A tiny model; `dtype` is that of its files, `options` go to its config.

    `mlp_size` is the config's name for the neurons of a layer.
    """

    config: type[PretrainedConfig]
    d_model: int
    n_layers: int
    d_mlp: int
    dtype: torch.dtype
    options: dict[str, object]
    mlp_size: str = "intermediate_size"

    @property
    def family(self) -> str:
        """The config's model type."""
        return str(self.config.model_type)


_NARROW: dict[str, object] = {"num_key_value_heads": 1, "head_dim": 8}
_SLIDING: dict[str, object] = {
    "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention"],
}
_POST_NORM: dict[str, object] = {"do_layer_norm_before": False, "word_embed_proj_dim": 8}
SIZES: dict[str, Size] = {
    "gpt_neox": Size(GPTNeoXConfig, 16, 2, 40, torch.float16, {}),
    "llama": Size(LlamaConfig, 32, 2, 172, torch.float32, {"mlp_bias": True}),
    "mistral": Size(MistralConfig, 16, 2, 172, torch.bfloat16, _NARROW),
    "qwen2": Size(Qwen2Config, 24, 3, 40, torch.bfloat16, {"num_key_value_heads": 1}),
    "qwen3": Size(Qwen3Config, 32, 2, 40, torch.float32, _NARROW),
    "opt": Size(OPTConfig, 16, 2, 72, torch.float16, {}, "ffn_dim"),
    "opt_350m": Size(OPTConfig, 24, 2, 40, torch.float32, _POST_NORM, "ffn_dim"),
    "gpt2": Size(GPT2Config, 16, 2, 40, torch.float32, {}, "n_inner"),
    "gptj": Size(GPTJConfig, 16, 2, 64, torch.float16, {"n_inner": None, "rotary_dim": 4}),
    "phi": Size(PhiConfig, 16, 2, 72, torch.bfloat16, {}),
    "olmo2": Size(Olmo2Config, 16, 2, 40, torch.float32, {}),
    "gemma2": Size(Gemma2Config, 16, 2, 72, torch.bfloat16, _NARROW | _SLIDING),
    "gemma3_text": Size(Gemma3TextConfig, 24, 2, 40, torch.bfloat16, _NARROW | _SLIDING),
}
"""Each model is a family's, and has its name; `opt_350m` is an OPT with norms behind."""
UNGATED = ("gpt_neox", "opt", "opt_350m", "gpt2", "gptj", "phi")
GATED = tuple(name for name in SIZES if name not in UNGATED)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 300 tokens with a BOS that it does not add."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>"
    )


def make_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A model of SIZES with random weights, biases and norms, none of them zero."""
    size = SIZES[name]
    options: dict[str, object] = {
        "vocab_size": 300,
        "hidden_size": size.d_model,
        "num_hidden_layers": size.n_layers,
        "num_attention_heads": 2,
        size.mlp_size: size.d_mlp,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    make: Config = size.config
    return randomize(make(**options | size.options), size.dtype, seed)


def randomize(config: PretrainedConfig, dtype: torch.dtype, seed: int = 0) -> PreTrainedModel:
    """A model of this config with random weights, biases and norms, none of them zero."""
    with torch.random.fork_rng(devices=[]):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = ("norm" in name or ".ln_" in name) and name.endswith("weight")
            middle = 1.0 if is_norm else 0.0
            parameter.copy_(middle + 0.3 * torch.randn(parameter.shape, generator=generator))
    nn.Module.to(model, dtype)
    return model


def save(folder: Path, model: PreTrainedModel, tokenizer: bool = True) -> Path:
    """Save a model, with the tokenizer unless told otherwise; returns the folder."""
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model.save_pretrained(folder)
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    if tokenizer:
        make_tokenizer().save_pretrained(folder)
    return folder


def write_text(path: Path, n_words: int, seed: int = 0, words: list[str] = WORDS) -> Path:
    """Write a text of random words, a token each or more."""
    path.write_text(" ".join(random.Random(seed).choices(words, k=n_words)), encoding="utf-8")
    return path


def quiet(_label: str, _done: int, _total: int) -> None:
    """A report that nobody reads."""


@contextmanager
def unsynced() -> Iterator[None]:
    """Leave out the syncs of array files: no test here sees them, and they take half the time."""
    with patch.object(os, "fsync"):
        yield


def plan(store: Path, model: Path, corpus: Path, settings: IngestSettings) -> IngestPlan:
    """Plan an ingest into a store that may not be there yet."""
    database = Database(store / DATABASE) if has_store(store) else None
    return plan_ingest(database, str(model), str(corpus), settings)


def ingest(
    store: Path, model: Path, corpus: Path, settings: IngestSettings, report: Report = quiet
) -> list[str]:
    """Record what is missing, as the command does; returns the names of the recordings."""
    work = plan(store, model, corpus, settings)
    if not work.todo:
        return []
    opened = open_or_create_store(store)
    with unsynced(), run_job(opened, "ingest", {}, "negspace ingest", report) as job:
        return run_ingest(opened, work, job)


def analyse(
    store: Store, report: Report = quiet, settings: AnalyzeSettings = TWO_THREADS
) -> list[int]:
    """Analyse what is missing, as the command does; returns the layers that others are at."""
    work = plan_analysis(store, list_recordings(store.database), settings.errors, settings.seeds)
    if not work.has_work:
        return []
    with unsynced(), run_job(store, "analyze", {}, "negspace analyze", report) as job:
        busy = run_analysis(store, work, settings, job)
    return [layer for _, layer in busy]
