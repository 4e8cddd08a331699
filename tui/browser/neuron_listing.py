"""What the list of neurons is asked for: recording, order and filter, kept across restarts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from store.queries.browse_neurons import (
    COLUMNS,
    NeuronQuestion,
    RecordingChoice,
    choose_recording,
)
from tui.browser.filters import Filter, FilterError, parse_filter

LABELS = {
    "wd": "WD",
    "wd_se": "±",
    "wd_percentile": "rand%",
    "md": "MD",
    "md_sem": "±",
    "md_percentile": "rand%",
    "negative_fraction": "neg",
    "skewness": "skew",
    "kurtosis": "kurt",
    "negative_modes": "modes",
    "negative_dip": "dip",
}
"""Heads of columns; rand% is the percentile of the number before among random directions."""
SORTS = tuple(name for name in COLUMNS if name != "reason")


@dataclass(frozen=True)
class Listing:
    """Recording (empty: the newest that is measured), column and direction, filter expression."""

    recording: str = ""
    sort: str = "wd"
    descending: bool = True
    expression: str = ""
    filter: Filter = field(default_factory=Filter)

    @property
    def order(self) -> str:
        """The order in words."""
        return f"by {self.sort}, {'highest' if self.descending else 'lowest'} first"

    def sorted_by(self, column: str) -> "Listing":
        """Return it by a column, highest first; turned round if it is by that already."""
        if column == self.sort:
            return replace(self, descending=not self.descending)
        return replace(self, sort=column, descending=column not in ("layer", "neuron"))

    def filtered_by(self, expression: str) -> "Listing":
        """Return it with another filter; raises FilterError for one that is wrong."""
        return replace(self, expression=expression, filter=parse_filter(expression))

    def question(self, choice: RecordingChoice) -> NeuronQuestion:
        """Return what the store is asked."""
        condition, parameters = self.filter.condition, self.filter.parameters
        return NeuronQuestion(choice.id, self.sort, self.descending, condition, parameters)

    def choose(self, choices: Sequence[RecordingChoice]) -> RecordingChoice | None:
        """Return the recording named, else the newest that is measured, else the newest."""
        return choose_recording(choices, self.recording)

    def labels(self, names: Sequence[str]) -> dict[str, str]:
        """Return the heads of columns, the one that it is sorted by with an arrow."""
        labels = {name: LABELS.get(name, name) for name in names}
        labels[self.sort] += " ▼" if self.descending else " ▲"
        return labels

    def state(self) -> dict[str, object]:
        """Return what `from_state` takes, as JSON values."""
        return {
            "recording": self.recording,
            "sort": self.sort,
            "descending": self.descending,
            "filter": self.expression,
        }


def from_state(state: dict[str, object]) -> Listing:
    """Return the listing of a state; what is odd in it is left out."""
    listing = Listing(recording=str(state.get("recording", "")))
    if state.get("sort") in SORTS:
        descending = state.get("descending") is not False
        listing = replace(listing, sort=str(state["sort"]), descending=descending)
    try:
        return listing.filtered_by(str(state.get("filter", "")))
    except FilterError:
        return listing
