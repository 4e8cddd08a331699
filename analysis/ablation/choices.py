"""Which neurons a sweep may choose from and which it chooses: by percent or by a user's query.

What can be wrong with the choice is refused here, before any forward pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from analysis.ablation.cohorts import choose_percent, choose_rows
from analysis.ablation.records import Cohort, Floats
from analysis.ablation.settings import AblateSettings
from ingest.settings import parse_layers
from store.errors import InputError
from store.queries.ablations import read_metric, read_neuron_choice
from store.queries.recordings import RecordingRow, list_layers
from store.store import Store


@dataclass(frozen=True)
class Population:
    """The neurons of some layers of a recording; `sizes` maps each layer to how many it has."""

    store: Store
    recording: RecordingRow
    metric: str
    sizes: Mapping[int, int]

    @cached_property
    def values(self) -> Mapping[int, Floats]:
        """The metric of each layer's neurons, (m,) float64, NaN where it is NULL."""
        return self.read(self.metric, self.sizes)

    def read(self, metric: str, layers: Iterable[int]) -> Mapping[int, Floats]:
        """Return a metric of the neurons of some layers, (m,) float64, NaN where it is NULL."""
        return read_metric(self.store.database, self.recording.id, metric, list(layers))


def find_population(store: Store, recording: RecordingRow, settings: AblateSettings) -> Population:
    """Return the neurons that may be chosen from: of the layers named, or of all recorded.

    Raises InputError for a layer that is not recorded completely, and for a recording of the up
    branch, whose values have no activation of their own.
    """
    if recording.neuron_activation is None:
        raise InputError(
            f"{recording.name} is of the up projection, which has no activation of its own, so "
            "there is nothing to ablate; record the gate projection, which is the default."
        )
    rows = {row.layer: row for row in list_layers(store.database, recording.id)}
    layers = parse_layers(settings.layers) or tuple(rows)
    for layer in layers:
        if layer not in rows:
            there = ", ".join(map(str, rows))
            raise InputError(f"{recording.name} has no layer {layer}; it has {there}.")
        if rows[layer].state != "complete":
            raise InputError(
                f"Layer {layer} of {recording.name} is not complete; run its ingest again."
            )
    sizes = {layer: rows[layer].n_neurons for layer in layers}
    return Population(store, recording, settings.metric, sizes)


def choose_cohorts(
    population: Population, settings: AblateSettings
) -> list[tuple[float | None, Cohort]]:
    """Return each percentage with its cohort; (None, cohort) where a query chooses.

    Raises InputError for a metric that is unknown or NULL, and for a query that is refused or names
    a layer or neuron that is not there.
    """
    if settings.neurons_sql is not None:
        neurons = read_neuron_choice(population.store, settings.neurons_sql)
        return [(None, choose_rows(neurons, settings.neurons_sql, population.sizes))]
    return [
        (percent, choose_percent(population.values, settings.metric, settings.side, percent))
        for percent in settings.percents
    ]
