"""What is read for the page of a neuron: layers that stay open, and what reading loads."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store.errors import DamageError
from store.store import open_store
from tests.tui.browser.test_neuron_detail import TOP
from tests.tui.calling import NAME, ask
from tui.browser.neuron_page import OpenLayers, read_page


def test_layers_stay_open_until_the_store_has_other_arrays(store: Path) -> None:
    layers = OpenLayers(open_store(store))
    first = layers.layer(NAME, 1)
    assert layers.layer(NAME, 0) is not first
    assert layers.layer(NAME, 1) is first
    with closing(sqlite3.connect(store / "negspace.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE blocks SET digests = zeroblob(length(digests)) "
            "WHERE layer = 1 AND array_name = 'histogram'"
        )
    assert layers.layer(NAME, 1) is not first
    with pytest.raises(DamageError, match="histogram"):
        read_page(layers, NAME, 1, 5)


def test_reading_a_page_loads_nothing_that_takes_long(analysed: Path) -> None:
    ((chosen,), *_) = ask(analysed, TOP)
    kept = {neuron for (neuron,) in ask(analysed, TOP.replace("AND neuron_rank = 0", ""))}
    other = min(set(range(100)) - kept)
    program = f"""
import sys
from store.store import open_store
from analysis.written import compute_written
from tui.browser.neuron_page import OpenLayers, read_page
layers = OpenLayers(open_store({str(analysed)!r}))
for neuron in ({chosen}, {other}):
    assert read_page(layers, {NAME!r}, 1, neuron).card.pairs
assert compute_written(layers.layer({NAME!r}, 1)).tokens.shape[1] == 20
slow = {{"torch", "transformers", "numba", "scipy", "sqlalchemy"}} & set(sys.modules)
sys.exit(str(slow) if slow else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
