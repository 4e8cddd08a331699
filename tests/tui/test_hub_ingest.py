"""What a user sees of an ingest from the hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import close_session
from safetensors.numpy import load_file, save_file

from tests.hub_server import HubServer, point_at, serving_hub
from tests.models import make_model, save
from tests.oracles.stored import read_rows
from tests.tui.calling import call

SIZES = ("--window-length", "64", "--windows", "2", "--pairs", "9")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with `acme/tiny`, whose step 20 has an embedding of step 10."""
    root = tmp_path / "hub"
    folders = [
        save(root / "models/acme/tiny" / f"step{step}", make_model("gpt_neox", step))
        for step in (10, 20)
    ]
    ten, twenty = (load_file(folder / "model.safetensors") for folder in folders)
    name = "gpt_neox.embed_in.weight"
    mixed = twenty | {name: np.copy(ten[name])}
    save_file(mixed, folders[1] / "model.safetensors", {"format": "pt"})
    with serving_hub(root) as server:
        point_at(monkeypatch, server.url, tmp_path / "home")
        yield server
        close_session()


def test_what_is_said(hub: HubServer, text: Path) -> None:
    words = ("ingest", "acme/tiny", text, "--revision", "step5,step10,step20", *SIZES)
    dry = call(*words, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    lines = dry.out.splitlines()
    assert "64.2 kB of weights to download from the hub." in lines
    missing = "acme/tiny has no revision step5 on the hub: recorded as missing, the others go on."
    assert missing in lines
    done = call(*words)
    assert done.out.splitlines() == ["acme/tiny@step10/words", "acme/tiny@step20/words"]
    assert done.error == (
        "Warning: 1 of the 2 large tensors of acme/tiny@step20 are those of step10, the first is "
        "gpt_neox.embed_in.weight; the upload may be wrong in part."
    )
    (job,) = read_rows(Path("negspace-store"), "SELECT command, settings FROM jobs")
    assert str(job["command"]).startswith(f"negspace ingest acme/tiny {text} --window-length")
    assert json.loads(str(job["settings"]))["model"] == "acme/tiny"
    assert "missing" in call("status", "--checkpoints").out


def test_a_revision_asked_for_later_is_recorded_as_missing(hub: HubServer, text: Path) -> None:
    words = ("ingest", "acme/tiny", text, *SIZES)
    assert call(*words, "--revision", "step10").code == 0
    again = call(*words, "--revision", "step10,step5")
    assert again.out == "acme/tiny@step10/words\n"
    rows = read_rows(Path("negspace-store"), "SELECT revision, state FROM checkpoints ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [("step10", "present"), ("step5", "missing")]
