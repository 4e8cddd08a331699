"""Where a model computes: on the processor, on one card, or spread over all cards.

Decided from the bytes of its weights before they are read, so that what fits nowhere is refused
at once.
"""

from importlib.util import find_spec

from store.errors import InputError

CPU, CUDA, CARDS = "cpu", "cuda", "cards"
WIDTHS = {"float16": 2, "bfloat16": 2, "float32": 4}
"""Bytes of a weight, by the model's dtype."""
SPARE = 0.8
"""The share of a card's free memory that weights may fill; passes need the rest."""


def choose_place(device: str, n_bytes: int) -> str:
    """Return cpu, cuda or cards for `--device` and a model of that many bytes.

    Raises InputError where there is no card, or the cards are too small.
    """
    if device == CPU:
        return CPU
    free = find_cards(device)
    if not free:
        return CPU
    if n_bytes <= SPARE * free[0]:
        return CUDA
    if device == "auto" and n_bytes <= SPARE * sum(free):
        _need_accelerate()
        return CARDS
    raise InputError(_explain(device, n_bytes, free))


def find_cards(device: str) -> list[int]:
    """Return the free bytes of each card; InputError where there is none and cuda was asked for."""
    free = free_memory()
    if not free and device == CUDA:
        raise InputError(
            "--device cuda: torch sees no CUDA card here; leave --device out, or install the torch "
            "that fits the card."
        )
    return free


def _need_accelerate() -> None:
    if find_spec("accelerate") is None:
        raise InputError(
            "The weights fit only on several cards, which transformers spreads them over with "
            "accelerate: `pip install accelerate`."
        )


def free_memory() -> list[int]:
    """Return the free bytes of each card."""
    import torch

    if not torch.cuda.is_available():
        return []
    return [torch.cuda.mem_get_info(card)[0] for card in range(torch.cuda.device_count())]


def _explain(device: str, n_bytes: int, free: list[int]) -> str:
    cards = ", ".join(f"{card / 1e9:.1f}" for card in free)
    instead = "--device auto spreads it over all cards" if device == CUDA else "--device cpu works"
    if device == CUDA and n_bytes > SPARE * sum(free):
        instead = "--device cpu works"
    return (
        f"The weights take {n_bytes / 1e9:.1f} GB in this --model-dtype, and passes need room "
        f"besides; the cards have {cards} GB free. {instead}, or a narrower --model-dtype."
    )
