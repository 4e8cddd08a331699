"""The only owner of SQL, Zarr and files."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.store import Store as Store
    from store.store import open_store as open_store


def __getattr__(name: str) -> object:
    """Load the public names on first use, so that importing a module below stays cheap."""
    if name in ("Store", "open_store"):
        from store import store

        return getattr(store, name)
    raise AttributeError(f"module 'store' has no attribute {name!r}")
