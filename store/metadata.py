"""The zarr.json of every array and group, made by zarr-python itself and written durably.

So any Zarr v3 reader opens a recording. bfloat16, which zarr-python has no dtype for, is stored as
uint16 with the attribute `dtype: bfloat16`. Whether an array's files are compressed is what its
zarr.json says, and never changes: the int64 arrays of stores of format 1 are plain, and stay so.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from store.compression import LEVEL
from store.errors import DamageError
from store.files import FileBatch
from store.layout import DTYPES, ROWS, ArrayFormat, LayerFormat

_FORMS = {("bytes",): False, ("bytes", "zstd", "crc32c"): True}


@lru_cache(maxsize=64)
def array_json(array: ArrayFormat) -> bytes:
    """Return the zarr.json of an array: sharded or compressed where the array is, else plain."""
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
    from zarr.storage import MemoryStore

    memory = MemoryStore()
    shape = (array.rows, array.columns)[: len(array.shape)]
    chunks = (ROWS, array.columns) if array.sharded else shape
    with warnings.catch_warnings():
        # Plain matrices in shards have no checksum of their own: the ledger's digests see more.
        warnings.simplefilter("ignore")
        zarr.create_array(
            memory,
            shape=array.shape,
            chunks=chunks,
            shards=shape if array.sharded else None,
            dtype=np.dtype(array.stored),
            fill_value=array.fill_value,
            serializer=BytesCodec(endian="little"),
            filters=None,
            compressors=[ZstdCodec(level=LEVEL), Crc32cCodec()] if array.compressed else None,
            attributes={"dtype": array.dtype},
            dimension_names=array.dimension_names,
        )
    return memory._store_dict["zarr.json"].to_bytes()


def group_json(attributes: dict[str, object]) -> bytes:
    """Return the zarr.json of a group."""
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return json.dumps(document, indent=2).encode()


def create_array(files: FileBatch, layer_folder: Path, array: ArrayFormat) -> ArrayFormat:
    """Add the zarr.json of an array to the files, where it is not there yet.

    Returns the array in the form that its files have.
    """
    path = layer_folder / array.name / "zarr.json"
    if path.exists():
        return in_stored_form(layer_folder, array)
    files.write(path, [array_json(array)])
    return array


def in_stored_form(layer_folder: Path, array: ArrayFormat) -> ArrayFormat:
    """Return an array as its files are: compressed or, in older stores, plain.

    Raises DamageError where its zarr.json cannot be read.
    """
    if not array.compressed:
        return array
    path = layer_folder / array.name / "zarr.json"
    try:
        codecs = [codec["name"] for codec in json.loads(path.read_bytes())["codecs"]]
        return replace(array, compressed=_FORMS[tuple(codecs)])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamageError(f"{path} cannot be read: {error}.") from error


def create_groups(files: FileBatch, arrays: Path, layer: LayerFormat, recording: str) -> None:
    """Add the groups of the recording and of the layer to the files, where they are not there."""
    folder = layer.folder(arrays)
    for group, attributes in (
        (folder.parent, {"recording": recording}),
        (folder, {"recording": recording, "layer": layer.layer}),
    ):
        if not (group / "zarr.json").exists():
            files.write(group / "zarr.json", [group_json(dict(attributes))])


def stored_dtype(layer_folder: Path, name: str) -> str:
    """Return what the values of an array mean, from its attribute `dtype`.

    Raises DamageError where its zarr.json cannot be read.
    """
    path = layer_folder / name / "zarr.json"
    try:
        dtype = json.loads(path.read_text(encoding="utf-8"))["attributes"]["dtype"]
        if dtype not in DTYPES:
            raise ValueError(f"{dtype!r} is no dtype of an array")
        return str(dtype)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamageError(f"{path} cannot be read: {error}.") from error
