"""Builds a report from a store: claims, figures, tables, provenance."""

from collections.abc import Mapping, Sequence

from analysis.report.evidence import judge_claims
from analysis.report.page import read_sections, render_page
from analysis.report.provenance import APPENDICES, read_provenances
from store.database import Database, utc_now
from store.errors import InputError
from store.jobs import library_versions
from store.queries.claims import is_analysed
from store.queries.recordings import RecordingRow


def build_report(
    database: Database, recordings: Sequence[RecordingRow], figures: Mapping[str, bytes]
) -> str:
    """Return the report on some recordings as one HTML page; `figures` by caption.

    Raises InputError for a recording that was not analysed.
    """
    _require_analysed(database, recordings)
    return render_page(
        judge_claims(database, recordings),
        read_sections(database, recordings),
        read_provenances(database, recordings),
        figures,
        f"{utc_now()} by negspace {library_versions().get('negspace', 'without a version')}",
    )


def build_appendix(database: Database, recordings: Sequence[RecordingRow], form: str) -> str:
    """Return the provenance of some recordings as an appendix, one of APPENDICES."""
    return APPENDICES[form](read_provenances(database, recordings))


def _require_analysed(database: Database, recordings: Sequence[RecordingRow]) -> None:
    if not recordings:
        raise InputError("The store has no recordings to report on; `negspace ingest` makes some.")
    missing = [r.name for r in recordings if not is_analysed(database, r.id)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{', '.join(missing)} {verb} not analysed; run `negspace analyze`, then this again."
        )
