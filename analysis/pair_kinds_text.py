"""What the top pairs of a layer or a neuron are made of, as one paragraph (METHODS 9)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.metrics.pair_kinds import classify_next, input_deciles, matched_p
from store.queries.pair_kinds import (
    WHOLE_LAYER,
    PairKindRow,
    list_pair_kinds,
    read_input_distances,
    read_pair_tokens,
    read_top_pairs,
)
from store.recording import Recording

_PHRASES = {
    "identical": "hold one token twice",
    "near-duplicate": "hold tokens that differ in case or space alone",
    "both-function": "join two function words",
    "both-punctuation": "join two punctuation marks",
    "both-number": "join two numbers",
    "function-other": "join a function word and another token",
    "other": 'are "other"',
    "NN": "both outputs are negative",
    "NP": "one output is negative",
    "PP": "no output is negative",
}

_ROUNDING = 1e-9
"""What shares that are equal may differ by."""


@dataclass(frozen=True)
class PairFacts:
    """What the text adds to the shares: mean survival, and p of the next tokens' agreement.

    None where it is undefined: survival without a known activation, p without next tokens.
    """

    survival: float | None
    next_p: float | None


def tell_pair_kinds(recording: Recording, layer: int, neuron: int = WHOLE_LAYER) -> str | None:
    """Return the paragraph about a layer's top pairs or a neuron's; None where there are none."""
    database = recording.store.database
    rows = list_pair_kinds(database, recording.row.id, layer, neuron)
    return describe_pair_kinds(rows, read_pair_facts(recording, layer, neuron)) if rows else None


def read_pair_facts(recording: Recording, layer: int, neuron: int = WHOLE_LAYER) -> PairFacts:
    """Return survival and the test of the next tokens for a layer's top pairs or a neuron's."""
    database, row = recording.store.database, recording.row
    top = read_top_pairs(database, row.id, layer)
    rows = (top.neurons == neuron) | (neuron == WHOLE_LAYER)
    survival = top.survival[rows][~np.isnan(top.survival[rows])]
    codes = classify_next(read_pair_tokens(database, row.pair_set_id).next_kinds)
    deciles = input_deciles(read_input_distances(database, row.id, layer, row.pair_set_id))
    counts = np.bincount(top.pairs[rows].ravel(), minlength=len(codes))
    p = matched_p(codes == 0, counts, np.where(codes < 0, -1, deciles))
    return PairFacts(float(survival.mean()) if survival.size else None, None if np.isnan(p) else p)


def is_above(row: PairKindRow) -> bool:
    """Say whether a share is above base, which needs all three bases (METHODS 9).

    For a layer each base is below the interval; for one neuron the share is above each base by
    more than chance reaches above the first.
    """
    share, low, high, first = row.share, row.low, row.high, row.base_all
    bases = [base for base in (first, row.base_matched, row.base_random) if base is not None]
    if share is None or low is None or high is None or first is None or len(bases) < 3:
        return False
    margin = low if row.neuron == WHOLE_LAYER else share - (high - first)
    return max(bases) < margin - _ROUNDING


def describe_pair_kinds(rows: Sequence[PairKindRow], facts: PairFacts) -> str:
    """Return one paragraph about the rows of one layer or one neuron, as `list_pair_kinds` gives.

    Kinds that are above base are all named; where none is, the commonest is, and that it is not.
    """
    of_family = {name: [r for r in rows if r.family == name] for name in ("pair", "sign", "next")}
    sentences = [
        _tell_pairs(of_family["pair"]),
        _tell_signs(of_family["sign"]),
        _tell_survival(facts.survival),
        _tell_next(of_family["next"], rows[0].n, facts.next_p),
    ]
    return " ".join(sentences)


def _tell_pairs(rows: Sequence[PairKindRow]) -> str:
    first = rows[0]
    whole = first.neuron == WHOLE_LAYER
    place = f"layer {first.layer}" if whole else f"neuron {first.layer}.{first.neuron}"
    distinct = f" ({first.n_distinct} distinct)" if whole else ""
    above = [row for row in rows if is_above(row)]
    shown = above or [min(rows, key=lambda r: (r.kind == "other", -(r.share or 0.0)))]
    told = " and ".join(f"{_percent(r.share)} {_PHRASES[r.kind]} {_bases(r)}" for r in shown)
    verdict = "above base; no other kind is" if above else "not above base, nor is any other kind"
    return f"Of the {first.n} top pairs of {place}{distinct}, {told}: {verdict}."


def _tell_signs(rows: Sequence[PairKindRow]) -> str:
    shown = [row for row in rows if row.kind == "NN" or is_above(row)]
    told = [f"{_PHRASES[r.kind]} in {_percent(r.share)} {_bases(r)}: {_verdict(r)}" for r in shown]
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."


def _tell_survival(survival: float | None) -> str:
    if survival is None:
        return "What the activation leaves of the outputs' distance is undefined: none is known."
    return f"The activation leaves {_percent(survival)} of the outputs' distance on average."


def _tell_next(rows: Sequence[PairKindRow], n: int, p: float | None) -> str:
    row = next(row for row in rows if row.kind == "agree")
    if row.share is None or p is None:
        return "No top pair has two next tokens."
    which = "" if row.n == n else f" of the {row.n} that have them"
    return (
        f"The next tokens are of one kind in {_percent(row.share)}{which} {_bases(row)}: "
        f"{_verdict(row)} (against equally distant pairs p {_probability(p)}, exact permutation)."
    )


def _verdict(row: PairKindRow) -> str:
    return "above base" if is_above(row) else "not above base"


def _bases(row: PairKindRow) -> str:
    """Return interval and bases in brackets."""
    whose = "95 %" if row.neuron == WHOLE_LAYER else "chance"
    pairs = "the same neurons' pairs" if row.family == "sign" else "all pairs"
    if row.neuron != WHOLE_LAYER and row.family == "sign":
        pairs = "all its pairs"
    return (
        f"({whose} {_number(row.low)}-{_percent(row.high)}; {pairs} {_percent(row.base_all)}, "
        f"equally distant pairs {_percent(row.base_matched)}, "
        f"random directions {_percent(row.base_random)})"
    )


def _number(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.0f}"


def _percent(share: float | None) -> str:
    return f"{_number(share)} %"


def _probability(p: float) -> str:
    return f"= {p:.2g}" if p >= 1e-4 else "< 0.0001"
