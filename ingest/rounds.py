"""In which rounds the layers of a checkpoint are recorded, and what follows each.

A round is one run of the text through the model for some layers. What is recorded in rounds, and
why, is decided above: the one here records all layers at once and keeps what it wrote.
"""

from dataclasses import dataclass

from ingest.plan import CheckpointPlan
from store.jobs import Progress
from store.queries.recordings import RecordingRow


@dataclass(frozen=True)
class Round:
    """The part of a checkpoint's plan with one round's layers; `title` goes into the progress."""

    part: CheckpointPlan
    title: str = ""


class Rounds:
    """One round of all layers, with nothing before or after. The recording's lock is held."""

    def begin(self, recording: RecordingRow, progress: Progress) -> None:
        """End what an earlier run of the recording left."""

    def split(self, part: CheckpointPlan) -> tuple[Round, ...]:
        """Return the rounds that record what a part misses."""
        return (Round(part),) if part.missing else ()

    def finish(self, recording: RecordingRow, done: Round, progress: Progress) -> None:
        """Do what follows a round, whose layers are complete."""

    def count_tokens(self, part: CheckpointPlan) -> int:
        """Return the tokens of the forward passes of all rounds."""
        return sum(one.part.n_tokens for one in self.split(part))
