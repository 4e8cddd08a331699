"""negspace from Python: `from negspace import open_store, record`.

The names are loaded on first use, so that importing this module is cheap.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.memory import record as record
    from ingest.settings import IngestSettings as IngestSettings
    from store.errors import NegspaceError as NegspaceError
    from store.store import Store as Store
    from store.store import open_store as open_store

_HOMES = {
    "IngestSettings": "ingest.settings",
    "NegspaceError": "store.errors",
    "Store": "store.store",
    "open_store": "store.store",
    "record": "ingest.memory",
}
__all__ = ["IngestSettings", "NegspaceError", "Store", "open_store", "record"]


def __getattr__(name: str) -> object:
    """Load a public name from the module that owns it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'negspace' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
