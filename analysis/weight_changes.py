"""How far each neuron's weights move between successive recorded checkpoints (METHODS 7).

From the projections that recordings keep, or else straight from the files of the weights: no
forward pass, no model built, and one layer's two matrices in memory at a time. Intervals between
equal checkpoints have no rows; those that are successive no more, because a step between them was
recorded, lose theirs.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.projection_files import explain_unreadable, read_projection
from store.changes import drop_changes, save_changes
from store.errors import InputError
from store.queries.dynamics import (
    Interval,
    Measured,
    Step,
    WeightPlace,
    list_intervals,
    list_measured,
    list_steps,
    list_weight_places,
)
from store.queries.recordings import read_recording
from store.queries.sources import read_origin, read_tensor_hashes
from store.recording import Recording
from store.store import Store

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A layer of an interval that is left to measure, and where the two matrices are."""

    interval: Interval
    layer: int
    before: WeightPlace
    after: WeightPlace


@dataclass(frozen=True)
class ChangesPlan:
    """What is left to measure, what is out of date, and what cannot be measured.

    `equal` are the intervals without a change of weights; `unread` the layers whose weights were
    not kept (`--no-weights`) and are gone, with the reason.
    """

    changes: tuple[Change, ...] = ()
    stale: tuple[Measured, ...] = ()
    equal: tuple[Interval, ...] = ()
    unread: tuple[tuple[Interval, int, str], ...] = ()


NO_CHANGES = ChangesPlan()


def plan_changes(store: Store, models: Collection[str]) -> ChangesPlan:
    """Return what is left to measure of some models."""
    steps = [step for step in list_steps(store.database) if step.model in models]
    ids = {step.checkpoint_id for step in steps}
    intervals, measured = list_intervals(steps), list_measured(store.database)
    left: list[Change] = []
    unread: list[tuple[Interval, int, str]] = []
    wanted = set()
    for interval in intervals:
        if interval.equal:
            continue
        for change in _list_layers(store, interval):
            key = _key(interval, change.layer)
            wanted.add(key)
            if key not in measured:
                reason = _explain_unread(store, change)
                if reason:
                    unread.append((interval, change.layer, reason))
                else:
                    left.append(change)
    stale = {m for m in measured if m.to_checkpoint_id in ids} - wanted
    order = sorted(stale, key=lambda m: (m.from_checkpoint_id, m.to_checkpoint_id, m.layer))
    equal = tuple(interval for interval in intervals if interval.equal)
    return ChangesPlan(tuple(left), tuple(order), equal, tuple(unread))


def _key(interval: Interval, layer: int) -> Measured:
    first, second = interval.first, interval.second
    return Measured(first.checkpoint_id, second.checkpoint_id, first.projection, layer)


def _list_layers(store: Store, interval: Interval) -> list[Change]:
    """Return the layers that both checkpoints of an interval have recorded."""
    before, after = (
        list_weight_places(store.database, step) for step in (interval.first, interval.second)
    )
    common = sorted(before.keys() & after.keys())
    return [Change(interval, layer, before[layer], after[layer]) for layer in common]


def run_changes(store: Store, plan: ChangesPlan, report: Callable[[Step, Step], None]) -> None:
    """Measure and keep what the plan says is left; `report` is told of each interval begun."""
    if plan.stale:
        drop_changes(store, plan.stale)
    for change in plan.changes:
        report(change.interval.first, change.interval.second)
        before, after = (_read(store, place) for place in (change.before, change.after))
        save_changes(store, change.interval, change.layer, measure_changes(before, after))


def _read(store: Store, place: WeightPlace) -> Floats:
    row = read_recording(store.database, place.recording_id)
    layer = Recording(store, row).layer(place.layer)
    if place.stored:
        return layer.small("projection").astype(np.float64)
    origin = read_origin(store.database, row.id)
    hashes = read_tensor_hashes(store.database, origin.checkpoint_id)
    shape = (layer.row.n_neurons, layer.row.d_model)
    try:
        return read_projection(origin, place.layer, shape, hashes).astype(np.float64)
    except InputError as error:
        raise InputError(
            f"The weights of {row.name} cannot be read again: {error}; restore the checkpoint's "
            "files, or record it anew under another --name."
        ) from error


def _explain_unread(store: Store, change: Change) -> str:
    """Return why the weights of either end of a change cannot be read; "" where both can."""
    for place in (change.before, change.after):
        if not place.stored:
            reason = explain_unreadable(
                read_origin(store.database, place.recording_id), place.layer
            )
            if reason:
                return reason
    return ""


def measure_changes(before: Floats, after: Floats) -> dict[str, Floats]:
    """Return l2, l2_relative, norm_change and cosine of the rows of two matrices (neurons, d).

    (neurons,) float64 each; l2_relative is NaN where ||w|| is 0, cosine where either norm is.
    """
    l2 = np.linalg.norm(after - before, axis=1)
    norms = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    dots = np.einsum("nd,nd->n", before, after)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(norms[0] > 0, l2 / norms[0], np.nan)
        cosine = 1.0 - dots / (norms[0] * norms[1])
    return {
        "l2": l2,
        "l2_relative": relative,
        "norm_change": norms[1] - norms[0],
        "cosine": cosine,
    }
