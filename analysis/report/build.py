"""Builds a report from a store: claims, figures, tables, provenance."""

from collections.abc import Sequence

from analysis.report.evidence import judge_claims
from analysis.report.page import read_sections, render_page
from analysis.report.pictures import Pictures
from analysis.report.provenance import APPENDICES, read_provenances
from store.database import Database, utc_now
from store.errors import InputError
from store.jobs import library_versions
from store.queries.claims import is_analysed
from store.queries.recordings import RecordingRow
from store.store import Store


def build_report(store: Store, recordings: Sequence[RecordingRow], pictures: Pictures) -> str:
    """Return the report on some recordings as one HTML page, with these pictures in it."""
    database = store.database
    return render_page(
        judge_claims(database, recordings),
        read_sections(store, recordings),
        read_provenances(database, recordings),
        pictures,
        f"{utc_now()} by negspace {library_versions().get('negspace', 'without a version')}",
    )


def build_appendix(database: Database, recordings: Sequence[RecordingRow], form: str) -> str:
    """Return the provenance of some recordings as an appendix, one of APPENDICES."""
    return APPENDICES[form](read_provenances(database, recordings))


def require_analysed(database: Database, recordings: Sequence[RecordingRow]) -> None:
    """Raise InputError where there is no recording, or one that was not analysed."""
    if not recordings:
        raise InputError("The store has no recordings to report on; `negspace ingest` makes some.")
    missing = [r.name for r in recordings if not is_analysed(database, r.id)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{', '.join(missing)} {verb} not analysed; run `negspace analyze`, then this again."
        )
