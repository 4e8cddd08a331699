"""The list of neurons and its filter language by plain loops over dictionaries."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, float | str | None]
Tree = tuple[object, ...]


def first_neurons(
    rows: Sequence[Mapping[str, Any]], sort: str, descending: bool
) -> list[tuple[float, float]]:
    """(layer, neuron) of all rows: by the metric, equal ones by layer and neuron, NULLs last."""
    known: list[tuple[float, float, float]] = []
    unknown: list[tuple[float, float]] = []
    for row in rows:
        if row[sort] is None:
            unknown.append((row["layer"], row["neuron"]))
        else:
            value = -row[sort] if descending else row[sort]
            known.append((value, row["layer"], row["neuron"]))
    return [(layer, neuron) for _, layer, neuron in sorted(known)] + sorted(unknown)


def percentile(value: float | None, directions: Sequence[float]) -> float | None:
    """The share of the directions strictly below, 0 to 100."""
    if value is None or not directions:
        return None
    below = 0
    for direction in directions:
        below += direction < value
    return 100.0 * below / len(directions)


def holds(tree: Tree, row: Row) -> bool | None:
    """Whether an expression holds for a row; None where SQL says NULL."""
    kind, *parts = tree
    if kind == "not":
        inner = holds(parts[0], row)  # type: ignore[arg-type]
        return None if inner is None else not inner
    if kind in ("and", "or"):
        found = [holds(part, row) for part in parts]  # type: ignore[arg-type]
        decided = kind == "or"
        if decided in found:
            return decided
        return None if None in found else not decided
    name, argument = parts
    value = row[str(name)]
    if kind == "null":
        return value is None
    if value is None:
        return None
    if kind == "in":
        return value in argument  # type: ignore[operator]
    return bool(_COMPARE[str(kind)](value, argument))


_COMPARE = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip
