"""The units of the test over text: documents, windows, or stretches of contiguous text (METHODS 8).

Numbers every window's unit; compares nothing.
"""

import json

import numpy as np

from analysis.ablation.records import Ints

DOCUMENT, WINDOW, STRETCH = "document", "window", "stretch"
PLURALS = {DOCUMENT: "documents", WINDOW: "windows", STRETCH: "stretches"}
"""What units are called."""
STRETCH_TOKENS = 8192
"""Tokens of a stretch, at least."""


def number_units(unit: str, documents: Ints, window_length: int) -> Ints:
    """Return the unit of the test over text that each window belongs to, (windows,) from 0.

    `unit` is document, window, or stretch: as few windows in a row as have 8,192 tokens.
    """
    if unit == DOCUMENT:
        return np.unique(documents, return_inverse=True)[1].astype(np.int64)
    windows = np.arange(len(documents), dtype=np.int64)
    return windows if unit == WINDOW else windows // -(-STRETCH_TOKENS // window_length)


def read_units(settings: str, documents: Ints) -> tuple[str, Ints]:
    """Return the unit of a stored run and that of each window, (windows,), by its `settings`."""
    found = json.loads(settings)
    unit = str(found["unit"])
    return unit, number_units(unit, documents, int(found["window_length"]))
