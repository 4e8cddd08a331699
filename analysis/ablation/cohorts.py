"""Which neurons an ablation acts on: by a metric, at random, by weight norm, or named by a query.

Everything is drawn by seed, layer and draw alone, so one layer's neurons do not depend on which
others are touched. Pure: metrics and sizes are handed in, cohorts come out with their rule.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from analysis.ablation.records import Cohort, Floats, Ints, RuleValue
from store.errors import InputError

NEAR = 10
"""Free neurons nearest in norm, of which one takes a chosen neuron's place."""
NORM_STREAM = 1
"""Keeps the draws of `match_norms` apart from those of `draw_random` of the same seed."""


def choose_percent(
    metric: Mapping[int, Floats], metric_name: str, side: str, percent: float
) -> Cohort:
    """Return the neurons strictly beyond a percentile of each layer's values (METHODS 8).

    `metric` maps layers to (m,) values, NaN for NULL, which take no part; `side` is top, above the
    percentile 100 - `percent`, or bottom, below `percent`, 0 < percent <= 100. InputError where a
    layer has no value, or where ties leave no neuron at all.
    """
    layers = sorted(metric)
    chosen = {n: _beyond(metric[n], side, percent) for n in layers if _has_values(metric, n)}
    missing = [n for n in layers if n not in chosen]
    if missing:
        raise InputError(
            f"No neuron of layer {missing[0]} has {metric_name}; run `negspace analyze`, or choose "
            f"another --metric or other --layers."
        )
    if not any(len(found) for found in chosen.values()):
        raise InputError(
            f"No neuron lies beyond the {side} {percent:g} % of {metric_name}: too many values are "
            f"equal; choose another --metric or a larger --percent."
        )
    rule: dict[str, RuleValue] = {
        "kind": "percent", "metric": metric_name, "side": side, "percent": float(percent),
        "layers": layers,
    }  # fmt: skip
    return _collect(chosen, rule)


def choose_rows(neurons: Ints, sql: str, sizes: Mapping[int, int]) -> Cohort:
    """Return the neurons (n, 2) of (layer, neuron) that a query named, each once, ascending.

    `sizes` has the neurons of each layer that may be touched. InputError for none, and for a layer
    or neuron that is not there.
    """
    if len(neurons) == 0:
        raise InputError("--neurons-sql returns no neuron; change the query.")
    for layer in np.unique(neurons[:, 0]).tolist():
        if layer not in sizes:
            raise InputError(
                f"--neurons-sql returns layer {layer}; the layers that can be touched are "
                f"{_show_layers(sizes)}."
            )
        found = neurons[neurons[:, 0] == layer, 1]
        beyond = found[(found < 0) | (found >= sizes[layer])]
        if len(beyond):
            raise InputError(
                f"--neurons-sql returns neuron {beyond[0]} of layer {layer}, which has neurons 0 "
                f"to {sizes[layer] - 1}; change the query."
            )
    return Cohort(np.unique(neurons, axis=0).astype(np.int64), {"kind": "sql", "sql": sql})


def draw_random(
    chosen: Cohort, sizes: Mapping[int, int], seed: int, draw: int, exclude_top: bool
) -> Cohort:
    """Return a random cohort with as many neurons in each layer as `chosen` has (METHODS 8).

    `sizes` has the neurons m of each layer; all m can be drawn, or with `exclude_top` those that
    were not chosen. The rule names the sizes, so cohorts of equal sizes share their random ones.
    InputError where too few are left.
    """
    by_layer = chosen.by_layer
    drawn = {}
    for layer, taken in by_layer.items():
        pool = _leave_out(sizes[layer], taken) if exclude_top else np.arange(sizes[layer])
        _check_left(layer, len(pool), len(taken))
        rng = np.random.default_rng([seed, draw, layer])
        drawn[layer] = np.sort(pool[rng.choice(len(pool), len(taken), replace=False)])
    rule: dict[str, RuleValue] = {
        "kind": "random", "draw": draw, "exclude_top": exclude_top, "layers": list(by_layer),
        "sizes": [len(taken) for taken in by_layer.values()],
    }  # fmt: skip
    return _collect(drawn, rule | {"of": chosen.hash} if exclude_top else rule, seed)


def match_norms(chosen: Cohort, norms: Mapping[int, Floats], seed: int, draw: int) -> Cohort:
    """Return a cohort with an unchosen neuron of near weight norm for each chosen one.

    `norms` maps layers to (m,) norms of the weights, NaN for NULL. The chosen are gone through in
    random order; each is replaced by one of the 10 free neurons of its layer nearest in norm.
    InputError where a chosen neuron has no norm or too few neurons are left (METHODS 8).
    """
    matched = {}
    for layer, taken in chosen.by_layer.items():
        free = _leave_out(len(norms[layer]), taken)
        free = free[~np.isnan(norms[layer][free])]
        _check_norms(layer, norms[layer][taken])
        _check_left(layer, len(free), len(taken))
        rng = np.random.default_rng([seed, draw, layer, NORM_STREAM])
        matched[layer] = _replace(rng.permutation(norms[layer][taken]), free, norms[layer], rng)
    rule: dict[str, RuleValue] = {"kind": "norm", "of": chosen.hash, "draw": draw}
    return _collect(matched, rule, seed)


def _has_values(metric: Mapping[int, Floats], layer: int) -> bool:
    return not np.isnan(metric[layer]).all()


def _beyond(values: Floats, side: str, percent: float) -> Ints:
    # Comparisons with NaN are false, so NULLs are never chosen.
    known = values[~np.isnan(values)]
    if side == "top":
        return np.flatnonzero(values > np.percentile(known, 100 - percent))
    return np.flatnonzero(values < np.percentile(known, percent))


def _replace(wanted: Floats, free: Ints, norms: Floats, rng: np.random.Generator) -> Ints:
    """Return a neuron of `free` for each norm of `wanted`, none twice, ascending."""
    ordered, found = free[np.argsort(norms[free], kind="stable")], []
    for norm in wanted:
        # Sorted by norm, the nearest are among as many below as above.
        start = max(0, int(np.searchsorted(norms[ordered], norm)) - NEAR)
        distances = np.abs(norms[ordered[start : start + 2 * NEAR]] - norm)
        place = start + int(rng.choice(np.argsort(distances, kind="stable")[:NEAR]))
        found.append(ordered[place])
        ordered = np.delete(ordered, place)
    return np.sort(np.array(found, np.int64))


def _leave_out(size: int, taken: Ints) -> Ints:
    return np.setdiff1d(np.arange(size), taken, assume_unique=True)


def _check_left(layer: int, left: int, wanted: int) -> None:
    if left < wanted:
        raise InputError(
            f"Layer {layer} has {left} neurons to draw from where {wanted} are wanted; choose a "
            f"smaller --percent."
        )


def _check_norms(layer: int, norms: Floats) -> None:
    if np.isnan(norms).any():
        raise InputError(
            f"Chosen neurons of layer {layer} have no weight_norm (recorded with --no-weights?); "
            f"leave the control norm out."
        )


def _collect(
    by_layer: Mapping[int, Ints], rule: dict[str, RuleValue], seed: int | None = None
) -> Cohort:
    pairs = [np.stack([np.full(len(found), n), found], axis=1) for n, found in by_layer.items()]
    rows = np.concatenate(pairs) if pairs else np.empty((0, 2))
    return Cohort(rows.astype(np.int64), rule, seed)


def _show_layers(layers: Iterable[int]) -> str:
    return ", ".join(str(layer) for layer in sorted(layers))
