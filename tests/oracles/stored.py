"""A store read plainly: zarr for the arrays, sqlite3 for the rows, no code of negspace."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import zarr

Cell = str | int | float | bytes | None


def read_bits(folder: Path, name: str) -> npt.NDArray[np.generic]:
    """An array as stored; bfloat16 as its bits."""
    array = zarr.open_array(folder / name, mode="r")
    return cast("npt.NDArray[np.generic]", np.asarray(array[...]))


def read_dtype(folder: Path, name: str) -> str:
    """What the values of an array mean."""
    array = zarr.open_array(folder / name, mode="r")
    return str(array.attrs.get("dtype", array.dtype.name))


def read_numbers(folder: Path, name: str) -> npt.NDArray[np.float64]:
    """An array as numbers."""
    bits = read_bits(folder, name)
    if read_dtype(folder, name) == "bfloat16":
        bits = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return bits.astype(np.float64)


def read_rows(store: Path, statement: str, *parameters: str | int) -> list[dict[str, Cell]]:
    """The rows of a SELECT."""
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement, parameters)]


def read_tables(store: Path) -> dict[str, list[tuple[Cell, ...]]]:
    """All rows of all tables."""
    names = read_rows(store, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {
        name: [tuple(row.values()) for row in read_rows(store, f"SELECT * FROM {name}")]
        for name in (str(row["name"]) for row in names)
    }


def read_files(folder: Path) -> dict[str, bytes]:
    """All files under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
