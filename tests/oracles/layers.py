"""What an analysis must write about a layer, from the values read plainly (METHODS 3 to 5)."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tests.oracles.matchings import (
    OracleMatching,
    length,
    oracle_alignment,
    oracle_matchings,
    oracle_stability,
)
from tests.oracles.metrics import (
    NAN,
    OraclePairs,
    oracle_activation,
    oracle_histogram,
    oracle_moments,
    oracle_pairs,
    oracle_wd,
    oracle_wd_se,
)
from tests.oracles.products import oracle_layer
from tests.oracles.shape import oracle_negative_modes
from tests.oracles.stored import Cell, read_numbers, read_rows

PERCENTS = {"minimum": 0, "p05": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "p99": 99,
            "maximum": 100}  # fmt: skip
Row = dict[str, Cell]


@dataclass(frozen=True)
class StoredLayer:
    """A layer as stored: pre-activations by neuron, inputs by position, and what counts."""

    store: Path
    recording_id: int
    layer: int
    dtype: str
    activation: str | None
    pre: list[list[float]]
    inputs: list[list[float]]
    window_length: int
    eligible: list[int]
    pairs: list[tuple[int, int]]
    pair_seed: int
    weights: list[list[float]]

    @cached_property
    def pair_positions(self) -> list[int]:
        return [position for pair in self.pairs for position in pair]

    @cached_property
    def matchings(self) -> list[OracleMatching]:
        return oracle_matchings([self.inputs[p] for p in self.pair_positions], self.pair_seed)

    @property
    def folder(self) -> Path:
        return self.store / "arrays" / str(self.recording_id) / f"layer.{self.layer}"

    def rows(self, table: str, order: str) -> list[Row]:
        where = "recording_id = ? AND layer = ?"
        statement = f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"
        return read_rows(self.store, statement, self.recording_id, self.layer)

    def counted(self, neuron: int) -> list[float]:
        """The neuron's values at the positions that count."""
        return [self.pre[neuron][position] for position in self.eligible]

    def windows(self, neuron: int) -> list[list[float]]:
        """The neuron's values at the positions that count, by window."""
        windows: dict[int, list[float]] = {}
        for position in self.eligible:
            values = windows.setdefault(position // self.window_length, [])
            values.append(self.pre[neuron][position])
        return list(windows.values())


def read_preactivations(folder: Path, dtype: str) -> npt.NDArray[np.float64]:
    """The pre-activations of a layer as numbers: as stored, or of the stored inputs and weights."""
    if (folder / "preactivations").exists():
        return read_numbers(folder, "preactivations")
    weight, inputs = (read_numbers(folder, name) for name in ("projection", "inputs"))
    has_bias = (folder / "projection_bias").exists()
    bias = read_numbers(folder, "projection_bias") if has_bias else np.zeros(len(weight))
    return oracle_layer(weight, inputs, bias, dtype)


def read_layer(store: Path, name: str, layer: int) -> StoredLayer:
    (row,) = read_rows(
        store,
        "SELECT r.id, r.dtype, r.projection, r.pair_set_id, m.gated, m.activation, "
        "s.window_length, s.skip_first, p.seed FROM recordings r "
        "JOIN checkpoints c ON c.id = r.checkpoint_id JOIN models m ON m.id = c.model_id "
        "JOIN token_streams s ON s.id = r.stream_id "
        "JOIN pair_sets p ON p.id = r.pair_set_id WHERE r.name = ?",
        name,
    )
    recording, length, skipped = (int(str(row[c])) for c in ("id", "window_length", "skip_first"))
    folder = store / "arrays" / str(recording) / f"layer.{layer}"
    pairs = read_rows(
        store,
        "SELECT position_1, position_2 FROM pairs WHERE pair_set_id = ? ORDER BY pair",
        int(str(row["pair_set_id"])),
    )
    pre = read_preactivations(folder, str(row["dtype"])).tolist()
    return StoredLayer(
        store=store,
        recording_id=recording,
        layer=layer,
        dtype=str(row["dtype"]),
        activation=None if row["gated"] and row["projection"] == "up" else str(row["activation"]),
        pre=pre,
        inputs=read_numbers(folder, "inputs").tolist(),
        window_length=length,
        eligible=[p for p in range(len(pre[0])) if p % length >= skipped],
        pairs=[(int(str(p["position_1"])), int(str(p["position_2"]))) for p in pairs],
        pair_seed=int(str(row["seed"])),
        weights=read_numbers(folder, "projection").tolist(),
    )


def pairs_of(layer: StoredLayer) -> OraclePairs:
    order = layer.pair_positions
    inputs = [layer.inputs[position] for position in order]
    return oracle_pairs(inputs, [[y[position] for position in order] for y in layer.pre])


def null(value: float) -> float | None:
    return None if math.isnan(value) else value


def neuron_row(
    layer: StoredLayer, neuron: int, pairs: OraclePairs, *, has_error: bool = True
) -> Row:
    """The row of `neurons`, but for `reason` and `negative_dip`, whose oracle is slow."""
    y = layer.counted(neuron)
    moments = oracle_moments(y, layer.activation, layer.dtype)
    numbers = asdict(moments)
    numbers["wd"] = oracle_wd(y)
    numbers["wd_se"] = oracle_wd_se(layer.windows(neuron)) if has_error else NAN
    histogram = oracle_histogram(y, moments.mean, moments.std)
    numbers["negative_modes"] = oracle_negative_modes(y, histogram, moments.mean, moments.std)
    for name in ("md", "md_sem", "dy_median"):
        numbers[name] = getattr(pairs, name)[neuron]
    numbers |= weighed(layer, neuron, pairs)
    if pairs.dy_median[neuron] == 0.0:
        numbers["dy_median"] = 0.0
    key: Row = {"recording_id": layer.recording_id, "layer": layer.layer, "neuron": neuron}
    return key | {name: null(value) for name, value in numbers.items()}


def weighed(layer: StoredLayer, neuron: int, pairs: OraclePairs) -> dict[str, float]:
    """What re-matched pairs and the weights tell."""
    y, norm = layer.pre[neuron], length(layer.weights[neuron])
    stable, error = oracle_stability([y[p] for p in layer.pair_positions], layer.matchings)
    return {
        "md_stable": stable,
        "md_stable_se": error,
        "alignment": oracle_alignment(pairs.dx, pairs.dy[neuron], norm),
        "weight_norm": norm,
    }


def direction_layer(layer: StoredLayer) -> StoredLayer:
    """A layer whose neurons are the random directions of another."""
    d = len(layer.inputs[0])
    rng = np.random.default_rng([layer.pair_seed, layer.layer, 0])
    directions = rng.standard_normal((512, d))
    outputs = directions.astype(np.float32) @ np.array(layer.inputs, np.float32).T
    if layer.dtype == "bfloat16":
        rounded = torch.from_numpy(outputs).bfloat16().double().numpy()
    else:
        rounded = outputs.astype(layer.dtype).astype(np.float64)
    return replace(layer, pre=rounded.tolist(), weights=directions.tolist())


def percentile(ordered: Sequence[float], percent: float) -> float:
    place = (len(ordered) - 1) * percent / 100.0
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary_row(values: Sequence[float | None]) -> Row:
    """n, mean and quantiles of the values that are there."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return {"n": 0, "mean": None} | dict.fromkeys(PERCENTS)
    row: Row = {"n": len(known), "mean": math.fsum(known) / len(known)}
    return row | {name: percentile(known, percent) for name, percent in PERCENTS.items()}


def top_rows(layer: StoredLayer, pairs: OraclePairs) -> list[Row]:
    """The rows of `top_pairs`, by rank of neuron and of pair, without the keys of the layer."""
    known = [j for j in range(len(layer.pre)) if not math.isnan(pairs.md[j])]
    rows: list[Row] = []
    for rank, neuron in enumerate(sorted(known, key=lambda j: (-pairs.md[j], j))[:10]):
        oi = {p: value for p, value in enumerate(pairs.oi[neuron]) if value is not None}
        for place, pair in enumerate(sorted(oi, key=lambda p: (-oi[p], p))[:10]):
            rows.append(_top_row(layer, pairs, neuron, pair, oi[pair]))
            rows[-1] |= {"neuron_rank": rank, "pair_rank": place}
    return rows


def _top_row(layer: StoredLayer, pairs: OraclePairs, neuron: int, pair: int, oi: float) -> Row:
    first, second = layer.pairs[pair]
    one, two = layer.pre[neuron][first], layer.pre[neuron][second]
    posts: list[float | None] = [None, None, None]
    if layer.activation is not None:
        a, b = (oracle_activation(layer.activation, y) for y in (one, two))
        posts = [a, b, abs(a - b) / abs(one - two) if one != two else None]
    return {
        "source": "sampled",
        "neuron": neuron,
        "position_1": first,
        "position_2": second,
        "input_distance": pairs.dx[pair],
        "output_1": one,
        "output_2": two,
        "post_1": posts[0],
        "post_2": posts[1],
        "survival": posts[2],
        "oi": oi,
    }
