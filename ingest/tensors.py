"""Warns of uploads that are half wrong: single tensors that another step of the model has, too.

Only parameters of 1,024 elements or more count that are not constant, never between steps 0 and 1
(METHODS 7). Checkpoints that are equal as a whole are not warned of: `same_as` says so.
"""

from collections import defaultdict
from math import prod

from store.database import Database
from store.queries.ingests import EqualTensor, equal_tensors
from store.records import CheckpointFacts, TensorFacts

LEAST_ELEMENTS = 1024
MOST_DIMENSIONS = 3
"""Of a parameter; old files hold attention masks, too, as (1, 1, n, n) float tensors."""


def describe_equal(
    database: Database, checkpoint_id: int, label: str, facts: CheckpointFacts
) -> list[str]:
    """Return a sentence for each other revision with some of the checkpoint's tensors.

    The revision with the most comes first.
    """
    shared: dict[str, list[str]] = defaultdict(list)
    for tensor in equal_tensors(database, checkpoint_id):
        if tensor.name in facts.varied and _counts(tensor):
            shared[tensor.revision].append(tensor.name)
    n = sum(tensor.name in facts.varied and _counts(tensor) for tensor in facts.tensors)
    return [
        f"Warning: {len(names)} of the {n} large tensors of {label} are those of {revision}, the "
        f"first is {names[0]}; the upload may be wrong in part."
        for revision, names in sorted(shared.items(), key=lambda item: -len(item[1]))
    ]


def _counts(tensor: EqualTensor | TensorFacts) -> bool:
    shape = [int(size) for size in tensor.shape.split(",") if size]
    floating = "float" in tensor.dtype
    return floating and len(shape) <= MOST_DIMENSIONS and prod(shape) >= LEAST_ELEMENTS
