"""What survives a restart of the browser: the open tab, and what each pane keeps (JSON, per store).

Kept in the user's state folder, never in the store; a file that cannot be read or written is as if
it were not there.
"""

import hashlib
import json
import os
from pathlib import Path

import click

from store.errors import InputError
from store.store import Store
from tui.output import write_text


def state_file(store: Store) -> Path:
    """Return where the state of a store's browser is kept."""
    place = store.folder.resolve()
    key = hashlib.sha256(os.fsencode(place)).hexdigest()[:12]
    return Path(click.get_app_dir("negspace")) / "browser" / f"{place.name[-60:]}-{key}.json"


def read_state(path: Path) -> dict[str, dict[str, object]]:
    """Return what was kept by pane; nothing where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, dict)}


def write_state(path: Path, state: dict[str, dict[str, object]]) -> None:
    """Keep the state, if the folder can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(state, indent=1), path)
    except (OSError, InputError):
        return
