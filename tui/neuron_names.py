"""How a user names a neuron."""

import re

from store.errors import UsageError


def parse_neuron(text: str) -> tuple[int, int]:
    """Return the layer and the neuron of LAYER.NEURON; raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", text.strip())
    if match is None:
        raise UsageError(f"{text!r} names no neuron; give LAYER.NEURON, such as 1.33.")
    return int(match[1]), int(match[2])
