"""What are the top pairs made of: the shares kept, and the tokens behind them?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.database import Database
from store.records import IntArray

WHOLE_LAYER = -1
"""Stands for a neuron in rows about all top pairs of a layer."""
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class PairKindRow:
    """The share of one kind among top pairs, beside its bases.

    `low` to `high` is the 95 % interval of the share where `neuron` is -1, and for one neuron the
    range that chance gives under `base_all`.
    """

    layer: int
    neuron: int
    family: str
    kind: str
    share: float | None
    low: float | None
    high: float | None
    base_all: float | None
    base_matched: float | None
    base_random: float | None
    n: int
    n_distinct: int


@dataclass(frozen=True)
class PairTokens:
    """The tokens of a pair set, (pairs, 2) each: ids, texts, kinds, and kinds of the next tokens.

    A kind is "" where there is no next token.
    """

    ids: IntArray
    texts: Texts
    kinds: Texts
    next_kinds: Texts


@dataclass(frozen=True)
class TopPairs:
    """The top pairs of a layer: neurons (m,), and pairs of the pair set and survival (m, r)."""

    neurons: IntArray
    pairs: IntArray
    survival: Floats


def list_pair_kinds(
    database: Database, recording_id: int, layer: int, neuron: int = WHOLE_LAYER
) -> list[PairKindRow]:
    """Return the kinds of a layer's top pairs, or of one neuron's; highest share first in each.

    Families come as pair, sign, next; none where the layer or the neuron has no top pairs.
    """
    return database.read(
        PairKindRow,
        "SELECT k.layer, k.neuron, k.family, k.kind, k.share, k.low, k.high, k.base_all, "
        "k.base_matched, k.base_random, k.n, k.n_distinct FROM pair_kinds k "
        "JOIN recordings r ON r.id = k.recording_id AND r.pair_set_id = k.pair_set_id "
        "WHERE k.recording_id = :id AND k.layer = :layer AND k.neuron = :neuron "
        "ORDER BY instr('pair sign next', k.family), k.share DESC, k.kind",
        {"id": recording_id, "layer": layer, "neuron": neuron},
    )


def list_layer_kinds(database: Database, recording_id: int) -> list[PairKindRow]:
    """Return what the top pairs of each comparable layer are made of, of the own pair set."""
    return database.read(
        PairKindRow,
        "SELECT k.layer, k.neuron, k.family, k.kind, k.share, k.low, k.high, k.base_all, "
        "k.base_matched, k.base_random, k.n, k.n_distinct FROM pair_kinds k "
        "JOIN recordings r ON r.id = k.recording_id AND r.pair_set_id = k.pair_set_id "
        "JOIN recording_layers l ON l.recording_id = r.id AND l.layer = k.layer "
        "WHERE r.id = :id AND k.neuron = :whole AND l.comparable = 1 "
        "ORDER BY k.layer, k.family, k.kind",
        {"id": recording_id, "whole": WHOLE_LAYER},
    )


def list_kind_neurons(database: Database, recording_id: int, layer: int) -> list[int]:
    """Return the neurons of a layer that have pair kinds of their own, ascending."""
    rows = database.rows(
        "SELECT DISTINCT neuron FROM pair_kinds WHERE recording_id = :id AND layer = :layer "
        "AND neuron <> :whole ORDER BY neuron",
        {"id": recording_id, "layer": layer, "whole": WHOLE_LAYER},
    )
    return [row[0] for row in rows]


def read_pair_tokens(database: Database, pair_set_id: int) -> PairTokens:
    """Return what the tokens of a pair set are, in order of pair."""
    rows = database.rows(
        "SELECT t1.token_id, t2.token_id, coalesce(v1.text, t1.token_id), "
        "coalesce(v2.text, t2.token_id), coalesce(v1.kind, ''), coalesce(v2.kind, ''), "
        "coalesce(w1.kind, ''), coalesce(w2.kind, '') "
        "FROM pairs p JOIN pair_sets ps ON ps.id = p.pair_set_id "
        "JOIN token_streams s ON s.id = ps.stream_id "
        "JOIN tokens t1 ON t1.stream_id = s.id AND t1.position = p.position_1 "
        "JOIN tokens t2 ON t2.stream_id = s.id AND t2.position = p.position_2 "
        + "".join(
            f"LEFT JOIN vocabulary {name} ON {name}.tokenizer_id = s.tokenizer_id "
            f"AND {name}.token_id = {column} "
            for name, column in (
                ("v1", "t1.token_id"),
                ("v2", "t2.token_id"),
                ("w1", "t1.next_token_id"),
                ("w2", "t2.next_token_id"),
            )
        )
        + "WHERE p.pair_set_id = :id ORDER BY p.pair",
        {"id": pair_set_id},
    )
    cells = [tuple(row) for row in rows]
    ids = np.array([row[:2] for row in cells], dtype=np.int64).reshape(-1, 2)
    texts = np.array([row[2:] for row in cells], dtype=np.str_).reshape(-1, 6)
    return PairTokens(ids, texts[:, :2], texts[:, 2:4], texts[:, 4:])


def read_input_distances(
    database: Database, recording_id: int, layer: int, pair_set_id: int
) -> Floats:
    """Return the input distances of a layer's pairs, (pairs,), in order of pair."""
    rows = database.rows(
        "SELECT input_distance FROM pair_distances WHERE recording_id = :id AND layer = :layer "
        "AND pair_set_id = :pairs ORDER BY pair",
        {"id": recording_id, "layer": layer, "pairs": pair_set_id},
    )
    return np.array([row[0] for row in rows], dtype=np.float64)


def read_top_pairs(database: Database, recording_id: int, layer: int) -> TopPairs:
    """Return the sampled top pairs of a layer in the recording's own pair set; (0, 0) of none."""
    rows = database.rows(
        "SELECT t.neuron, p.pair, t.survival FROM top_pairs t "
        "JOIN recordings r ON r.id = t.recording_id AND r.pair_set_id = t.pair_set_id "
        "JOIN pairs p ON p.pair_set_id = t.pair_set_id AND p.position_1 = t.position_1 "
        "AND p.position_2 = t.position_2 "
        "WHERE t.recording_id = :id AND t.layer = :layer AND t.source = 'sampled' "
        "ORDER BY t.neuron_rank, t.pair_rank",
        {"id": recording_id, "layer": layer},
    )
    neurons = list(dict.fromkeys(int(row[0]) for row in rows))
    shape = (len(neurons), len(rows) // max(1, len(neurons)))
    return TopPairs(
        np.array(neurons, dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64).reshape(shape),
        np.array([row[2] for row in rows], dtype=np.float64).reshape(shape),  # NULL becomes NaN
    )
