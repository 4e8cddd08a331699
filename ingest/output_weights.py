"""What a layer's neurons write, straight from the files of a checkpoint.

The final norm is left out, because it depends on all else that is in the residual.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.checkpoint_files import open_checkpoint
from ingest.families import FAMILIES, LAYER, Output
from ingest.weights import TensorEntry, read_rows
from store.errors import InputError, NotFoundError
from store.queries.sources import CheckpointOrigin

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
    tensors = open_checkpoint(origin, hashes)
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


def find_output_tensors(origin: CheckpointOrigin, layer: int) -> tuple[TensorEntry, ...]:
    """Return where that lies what `read_output_weights` reads, from the files' headers alone.

    Raises NotFoundError where the files are gone or nobody says where the weight lies.
    """
    output = _find_output(origin)
    files = open_checkpoint(origin, {})
    between = output.between is not None and files.has(output.between)
    return (
        files.look_up(output.weight.replace(LAYER, str(layer))),
        files.look_up(output.unembedding, output.embedding),
        *((files.look_up(output.between),) if output.between is not None and between else ()),
    )


def _find_output(origin: CheckpointOrigin) -> Output:
    family = FAMILIES.get(origin.family)
    if LAYER in origin.projection:
        raise NotFoundError("its projection was named by --module, which names no output weight")
    if family is None or family.output is None:
        raise NotFoundError(f"nothing says where the family {origin.family!r} keeps output weights")
    return family.output
