"""What a layer's neurons write, straight from the files of a checkpoint: no model is built.

Only the tensors needed are read, and each is the one that was recorded: its sha256 is compared with
the store's. The final norm is left out, because it depends on all else that is in the residual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingest.families import FAMILIES, LAYER, Output
from ingest.weights import TensorEntry, hash_tensor, list_tensors, read_rows
from store.errors import InputError, NotFoundError
from store.queries.cards import CheckpointOrigin

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OutputWeights:
    """The output weight of a layer, `rows` (neurons, d) float32, and the unembedding's place.

    d is the width of the unembedding; a projection before it is applied to `rows` already.
    """

    rows: Singles
    unembedding: TensorEntry

    @property
    def n_tokens(self) -> int:
        """The rows of the unembedding."""
        return self.unembedding.shape[0]

    def logits(self, tokens: slice) -> Singles:
        """Return what one unit of each neuron adds to the logits, (neurons, tokens) float32."""
        product: Singles = self.rows @ read_rows(self.unembedding, tokens).T
        return product


def read_output_weights(
    origin: CheckpointOrigin, layer: int, n_neurons: int, hashes: Mapping[str, str]
) -> OutputWeights:
    """Return what the neurons of a layer write.

    `hashes` are the recorded tensors' by name. Raises NotFoundError where the files are gone or
    nobody says where the weight lies, InputError where they are not what was recorded.
    """
    output = _find_output(origin)
    tensors = _Tensors(list_tensors(_find_folder(origin)), hashes)
    weight = tensors.find(output.weight.replace(LAYER, str(layer)))
    unembedding = tensors.find(output.unembedding, output.embedding)
    rows = read_rows(weight, slice(None))
    rows = rows if output.turned else rows.T
    if output.between is not None and tensors.has(output.between):
        rows = rows @ read_rows(tensors.find(output.between), slice(None)).T
    if rows.shape != (n_neurons, unembedding.shape[1]):
        raise InputError(
            f"{weight.name} and {unembedding.name} of {weight.file} do not fit each other or the "
            "recorded layer."
        )
    return OutputWeights(np.ascontiguousarray(rows), unembedding)


def _find_output(origin: CheckpointOrigin) -> Output:
    family = FAMILIES.get(origin.family)
    if LAYER in origin.projection:
        raise NotFoundError("its projection was named by --module, which names no output weight")
    if family is None or family.output is None:
        raise NotFoundError(f"nothing says where the family {origin.family!r} keeps output weights")
    return family.output


def _find_folder(origin: CheckpointOrigin) -> Path:
    """Return the folder of a checkpoint's files, on disk or in the hub's cache."""
    source = Path(origin.source)
    for folder in (source / origin.revision, source):
        if source.is_absolute() and (folder / "config.json").is_file():
            return folder
    if origin.commit_hash is not None:
        from ingest.hub import find_cached

        cached = find_cached(origin.source, origin.commit_hash)
        if cached is not None:
            return cached
    raise NotFoundError(f"the checkpoint's files are gone from {origin.source}")


@dataclass(frozen=True)
class _Tensors:
    """The tensors of a checkpoint's files, checked as they are found."""

    entries: Sequence[TensorEntry]
    hashes: Mapping[str, str]

    def has(self, path: str) -> bool:
        return self._look_up(path) is not None

    def find(self, *paths: str) -> TensorEntry:
        """Return the weight of the first of the modules that is there."""
        found = next((entry for path in paths if (entry := self._look_up(path))), None)
        if found is None:
            raise NotFoundError(f"the checkpoint's files have no {paths[0]}.weight")
        if len(found.shape) != 2 or hash_tensor(found) != self.hashes.get(found.name):
            raise InputError(f"{found.name} of {found.file} is not what was recorded")
        return found

    def _look_up(self, path: str) -> TensorEntry | None:
        # Files saved from the bare model leave out the name of its place in the language model.
        name = f"{path}.weight"
        names = (name, name.split(".", 1)[1] if name.count(".") > 1 else name)
        return next((entry for n in names for entry in self.entries if entry.name == n), None)
