"""A layer's projection straight from the files of a checkpoint: no model, no forward pass."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ingest.checkpoint_files import open_checkpoint
from ingest.families import FAMILIES, LAYER
from ingest.weights import read_rows
from store.errors import InputError, NotFoundError
from store.queries.sources import CheckpointOrigin


def explain_unreadable(origin: CheckpointOrigin, layer: int) -> str:
    """Return, in a part of a sentence, why a projection cannot be read again; "" where it can."""
    try:
        open_checkpoint(origin, {}).look_up(_find_path(origin, layer))
    except NotFoundError as error:
        return str(error)
    return ""


def read_projection(
    origin: CheckpointOrigin, layer: int, shape: tuple[int, int], hashes: Mapping[str, str]
) -> npt.NDArray[np.float32]:
    """Return the weights of a layer's projection, (neurons, d_model), as recorded.

    `shape` is (neurons, d_model), `hashes` are the recorded tensors' by name. Raises NotFoundError
    where the files are gone, InputError where they are not what was recorded.
    """
    entry = open_checkpoint(origin, hashes).find(_find_path(origin, layer))
    weight = read_rows(entry, slice(None))
    if weight.shape != shape or (shape[0] == shape[1] and _is_turned(origin)):
        weight = weight.T
    if weight.shape != shape:
        raise InputError(f"{entry.name} is {entry.shape}, not {shape} as the recorded layer")
    return np.ascontiguousarray(weight)


def _is_turned(origin: CheckpointOrigin) -> bool:
    """Say whether the family keeps weights as a Conv1D does, (d_model, neurons)."""
    family = FAMILIES.get(origin.family)
    return family is not None and family.output is not None and family.output.turned


def _find_path(origin: CheckpointOrigin, layer: int) -> str:
    family = FAMILIES.get(origin.family)
    path = family.projections.get(origin.projection) if family else None
    if path is None and LAYER not in origin.projection:
        raise NotFoundError(f"nothing says where the family {origin.family!r} keeps projections")
    return (path or origin.projection).replace(LAYER, str(layer))
