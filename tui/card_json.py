"""A neuron's card as JSON: stable keys, no NaN and no infinity."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict

from analysis.card import Card


def card_json(card: Card) -> str:
    """Return all of the card; a number that is not finite is null."""
    return json.dumps(_clean(asdict(card)), indent=2, allow_nan=False)


def _clean(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
