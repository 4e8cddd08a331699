"""Loads models and tokenizers with transformers, from a folder, without running code of theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.devices import CARDS, CPU, CUDA
from ingest.reasons import reason_of
from store.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(folder: Path, fallback: Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer in `folder`, or in `fallback` where `folder` has none.

    Raises InputError where neither has one that can be loaded.
    """
    from transformers import AutoTokenizer

    place = next((f for f in (folder, fallback) if _has_tokenizer(f)), None)
    if place is None:
        raise InputError(
            f"{folder} has no tokenizer (tokenizer.json, or vocab.json and merges.txt); "
            "save the model's tokenizer there."
        )
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            place, local_files_only=True, use_fast=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises many kinds, all about these files
        raise InputError(
            f"The tokenizer in {place} cannot be loaded ({reason_of(error)}); fetch it or save the "
            "model's tokenizer there again."
        ) from error
    return tokenizer


def _has_tokenizer(folder: Path) -> bool:
    names = ("tokenizer.json", "vocab.json", "tokenizer.model")
    return any((folder / name).is_file() for name in names)


def load_model(folder: Path, dtype: str, place: str = CPU) -> "PreTrainedModel":
    """Return the causal language model in `folder`, computing in `dtype`, ready for inference.

    `place` is what `choose_place` chose. Raises InputError where it cannot be loaded, or weights
    are missing.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            found: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                device_map="auto" if place == CARDS else None,
            )
    except Exception as error:  # transformers raises many kinds, all about these files
        raise InputError(
            f"The model in {folder} cannot be loaded ({reason_of(error)}); fetch or save it again."
        ) from error
    model: PreTrainedModel
    model, report = found
    _refuse_incomplete(folder, report)
    model.eval()  # type: ignore[no-untyped-call]
    if place == CUDA:
        torch.nn.Module.cuda(model)
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own bars and notes off the screen for the block."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _refuse_incomplete(folder: Path, report: dict[str, object]) -> None:
    # transformers would fill these with random numbers and only warn.
    for kind in ("missing_keys", "mismatched_keys"):
        names = sorted(str(key) for key in report.get(kind) or ())  # type: ignore[attr-defined]
        if names:
            many = "tensor is" if len(names) == 1 else "tensors are"
            raise InputError(
                f"The weights in {folder} do not fit its config: {len(names)} {many} missing or of "
                f"another shape, the first is {names[0]}; fetch or save the model again."
            )
