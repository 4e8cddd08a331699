"""Which recordings are there, how large are they, and which of them are being written?"""

from store.liveness import is_written
from store.store import Store

STATEMENT = """
SELECT recording, model, revision, step, corpus, layers_complete || '/' || layers AS layers,
  CASE WHEN layers_complete = layers THEN 'complete'
    ELSE 'part: ' || layers_complete || ' of ' || layers || ' layers' END AS state,
  n_tokens AS tokens, n_bytes AS size, keep, dtype, created_at
FROM recording_overview ORDER BY recording"""


def list_written(store: Store) -> set[str]:
    """Return the names of the recordings that a process of this machine is writing."""
    rows = store.database.rows("SELECT id, name FROM recordings")
    return {str(name) for key, name in rows if is_written(store, int(key))}
