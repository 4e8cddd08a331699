"""Which analyses are done, and which are left?"""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class AnalysisRow:
    """One analysis of one layer, finished or claimed."""

    recording_id: int
    layer: int
    analysis: str
    method: int
    claimed_by: int | None
    finished_at: str | None


def list_analyses(database: Database, recording_id: int) -> list[AnalysisRow]:
    """Return the analyses of a recording that are finished or claimed."""
    return database.read(
        AnalysisRow,
        "SELECT recording_id, layer, analysis, method, claimed_by, finished_at "
        "FROM layer_analyses WHERE recording_id = :id",
        {"id": recording_id},
    )
