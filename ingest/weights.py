"""Checkpoints as bytes: which files hold the weights, what tensors are in them, and their hashes.

Only safetensors files are read; pickled ones are refused, because loading them runs code.
"""

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingest.reasons import reason_of
from store.database import to_json
from store.errors import InputError
from store.records import CheckpointFacts, TensorFacts

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_NUMPY = {
    "float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "<u2",
}  # fmt: skip
_HEADER_LIMIT = 100_000_000


@dataclass(frozen=True)
class TensorHeader:
    """What a file says of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorEntry(TensorHeader):
    """Where one tensor lies: bytes `start` to `end` of a file."""

    file: Path
    start: int
    end: int


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers loads: model.safetensors, or its index's.

    Raises InputError where there is neither, or a file that the index names is missing.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.exists():
        raise InputError(f"{folder} holds no model.safetensors; save the model in that format.")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = [folder / name for name in names]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is not an index of weights: {error!r}.") from error
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(f"{folder} lacks {missing[0]}, which its index names; fetch it again.")
    return files


def has_weights(folder: Path) -> bool:
    """Say whether all files of weights are in the folder."""
    try:
        return bool(weight_files(folder))
    except InputError:
        return False


def list_tensors(folder: Path) -> list[TensorEntry]:
    """Return all tensors of a checkpoint in order of name, from the files' headers alone."""
    entries = [entry for file in weight_files(folder) for entry in _read_header(file)]
    return sorted(entries, key=lambda entry: entry.name)


def _read_header(file: Path) -> Iterator[TensorEntry]:
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, _HEADER_LIMIT)))
        base, size = 8 + length, file.stat().st_size
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = (base + int(offset) for offset in entry["data_offsets"])
                if end > size:
                    raise ValueError(f"{name} ends behind the end of the file")
                dtype = dtype_name(entry["dtype"])
                yield TensorEntry(name, dtype, tuple(entry["shape"]), file, start, end)
    except OSError as error:
        raise InputError(
            f"{file} cannot be read ({error.strerror}); check its permissions and its disk."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} is not a whole safetensors file ({reason_of(error)}); fetch or save it again."
        ) from error


def dtype_name(code: str) -> str:
    """Return the dtype that a safetensors header calls `code`: bfloat16 for BF16."""
    return _DTYPES.get(code, code.lower())


def describe_files(folder: Path) -> str:
    """Return the JSON by which a checkpoint is recognised: names, sizes, times, config's sha256."""
    config = folder / "config.json"
    rows: list[dict[str, str | int]] = []
    for path in (config, *weight_files(folder)):
        stat = path.stat()
        rows.append({"name": path.name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns})
    rows[0]["sha256"] = hashlib.sha256(config.read_bytes()).hexdigest()
    return to_json(rows)


def hash_checkpoint(
    folder: Path,
    revision: str,
    step: int | None,
    report: Callable[[int, int], None],
    commit: str | None = None,
) -> CheckpointFacts:
    """Read all weights once and return the checkpoint's facts with its hashes (METHODS 7).

    `report` is told the bytes done and in all; `commit` is the hub's.
    """
    entries, files = list_tensors(folder), describe_files(folder)
    total = sum(entry.end - entry.start for entry in entries)
    whole, tensors, done, varied = hashlib.sha256(), [], 0, set()
    for entry in entries:
        facts, constant = _hash_tensor(entry, whole)
        tensors.append(facts)
        if not constant:
            varied.add(entry.name)
        done += entry.end - entry.start
        report(done, total)
    return CheckpointFacts(
        revision=revision,
        step=step,
        files=files,
        weights_hash=whole.hexdigest(),
        n_parameters=count_parameters(entries),
        tensors=tuple(tensors),
        varied=frozenset(varied),
        commit_hash=commit,
    )


def _hash_tensor(entry: TensorEntry, whole: "hashlib._Hash") -> tuple[TensorFacts, bool]:
    """Return a tensor's facts and whether all its elements are equal; `whole` takes it in."""
    shape = ",".join(map(str, entry.shape))
    whole.update(f"{entry.name}\0{entry.dtype}\0{shape}\0".encode())
    own, first, constant = hashlib.sha256(), b"", True
    width = (entry.end - entry.start) // max(prod(entry.shape), 1)
    for piece in _pieces(entry):
        whole.update(piece)
        own.update(piece)
        first = first or bytes(piece[:width])
        constant = constant and _repeats(piece, first)
    return TensorFacts(entry.name, entry.dtype, shape, own.hexdigest()), constant


def _repeats(piece: memoryview, element: bytes) -> bool:
    # Nearly every tensor differs within its first elements, and is then not compared whole.
    head = bytes(piece[:256])
    return head == element * (len(head) // len(element)) and piece == element * (
        len(piece) // len(element)
    )


def read_rows(entry: TensorEntry, rows: slice) -> npt.NDArray[np.float32]:
    """Return some rows of a matrix, (rows, columns) float32 whatever its dtype is.

    Raises InputError for a dtype that holds no plain numbers.
    """
    if entry.dtype not in _NUMPY:
        raise InputError(f"{entry.name} of {entry.file} is {entry.dtype}, which is not read here.")
    dtype, columns = np.dtype(_NUMPY[entry.dtype]), entry.shape[1]
    first, last, _ = rows.indices(entry.shape[0])
    start = entry.start + first * columns * dtype.itemsize
    with entry.file.open("rb") as stream:
        stream.seek(start)
        values = np.fromfile(stream, dtype, count=(last - first) * columns)
    if entry.dtype == "bfloat16":
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(last - first, columns).astype(np.float32, copy=False)


def hash_tensor(entry: TensorEntry) -> str:
    """Return the sha256 of a tensor's bytes, as `checkpoint_tensors` has it."""
    return _hash_tensor(entry, hashlib.sha256())[0].hash


def count_parameters(entries: Sequence[TensorHeader]) -> int:
    """Return the numbers in all tensors; tied ones are in the files once."""
    return sum(prod(entry.shape) for entry in entries)


def _pieces(entry: TensorEntry, size: int = 2**24) -> Iterator[memoryview]:
    if entry.start == entry.end:
        return
    with entry.file.open("rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
    with memoryview(data) as view:
        for start in range(entry.start, entry.end, size):
            yield view[start : min(start + size, entry.end)]
