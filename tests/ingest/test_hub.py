"""Models of a small hub on loopback, through the real libraries."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import close_session
from transformers import AutoModelForCausalLM

from analysis import run as analysis_run
from analysis.layer_scores import score_layer
from ingest import hub_download
from ingest.checkpoints import find_checkpoints
from ingest.hub import fetch_snapshot, is_hub_name, list_weights, prune_weights
from ingest.hub_download import download_weights
from ingest.plan import IngestPlan, plan_ingest
from ingest.run import run_ingest
from ingest.settings import IngestSettings
from store.database import Database
from store.errors import InputError, NegspaceError, NotFoundError
from store.jobs import run_job
from store.store import DATABASE, has_store, open_or_create_store
from tests.analysis.test_scores_only import record_scores
from tests.hub_server import HubServer, commit_of, point_at, serving_hub
from tests.ingest.test_run import Stop
from tests.models import make_model, quiet, save, unsynced, write_text
from tests.oracles.hooks import round_to, watch
from tests.oracles.stored import Cell, read_bits, read_rows

NEGSPACE = Path(sys.executable).with_name("negspace")
REPO, WEIGHTS = "acme/tiny", "model.safetensors"
SEEDS = {"main": 3, "step0": 1, "step1": 1, "step2": 2}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A folder of repositories: `acme/tiny`, of whose steps 0 and 1 are equal."""
    root = tmp_path_factory.mktemp("repositories")
    for revision, seed in SEEDS.items():
        save(root / "models" / REPO / revision, make_model("gpt_neox", seed))
    return root


@pytest.fixture
def hub(repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with its own copy of the repositories, asked by this process; caches are in tmp."""
    shutil.copytree(repositories, tmp_path / "hub")
    monkeypatch.setattr(hub_download, "_PAUSE", 0.0)
    with serving_hub(tmp_path / "hub") as server:
        point_at(monkeypatch, server.url, tmp_path / "home")
        yield server
        close_session()


def settings_of(*revisions: str, prune: bool = False) -> IngestSettings:
    return IngestSettings(
        revisions=revisions, window_length=64, windows=4, pairs=20, dtype="float32", prune=prune
    )


def plan(
    here: Path, text: Path, *revisions: str, model: str = REPO, prune: bool = False
) -> IngestPlan:
    store = here / "store"
    database = Database(store / DATABASE) if has_store(store) else None
    return plan_ingest(database, model, str(text), settings_of(*revisions, prune=prune))


def record(
    here: Path, text: Path, *revisions: str, model: str = REPO, prune: bool = False
) -> tuple[list[str], list[str]]:
    """Record what is missing; returns the recordings' names and the labels of the progress."""
    work = plan(here, text, *revisions, model=model, prune=prune)
    labels: list[str] = []
    store = open_or_create_store(here / "store")
    with (
        unsynced(),
        run_job(store, "ingest", {}, "", lambda label, *_: labels.append(label)) as job,
    ):
        return run_ingest(store, work, job), list(dict.fromkeys(labels))


def checkpoints(here: Path) -> dict[str, dict[str, Cell]]:
    rows = read_rows(here / "store", "SELECT * FROM checkpoints ORDER BY id")
    return {str(row["revision"]): row for row in rows}


def blobs(here: Path) -> dict[str, int]:
    """The files of weights in the cache's snapshots, by commit and with their sizes."""
    found = (here / "home" / "hub").glob(f"*/snapshots/*/{WEIGHTS}")
    return {path.parent.name: path.stat().st_size for path in found}


def refuses(kind: type[NegspaceError], here: Path, text: Path, model: str = REPO) -> str:
    with pytest.raises(kind) as caught:
        plan(here, text, model=model)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert not (here / "store").exists()
    return sentence


# names


def test_names_of_the_hub() -> None:
    good = ["gpt2", "EleutherAI/pythia-70m", "a/b.c", "A-b_1"]
    bad = ["a/b/c", "/a", "./a", "~/a", "a/", "-a", "", "a b", "x" * 97]
    assert all(map(is_hub_name, good))
    assert not any(map(is_hub_name, bad))


def test_a_folder_of_the_same_name_wins(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / REPO).mkdir(parents=True)
    (tmp_path / REPO / "config.json").write_text("{}")
    found = find_checkpoints(REPO, (), None)
    assert (found.name, found.source) == ("tiny", str((tmp_path / REPO).resolve()))
    assert not hub.requests


def test_main_is_the_default_and_the_hub_name_the_models(hub: HubServer) -> None:
    found = find_checkpoints(REPO, (), None)
    assert (found.name, found.source, found.missing) == (REPO, REPO, ())
    (only,) = found.checkpoints
    assert (only.revision, only.step, only.commit) == (
        "main", None, commit_of(hub.root / "models" / REPO / "main")
    )  # fmt: skip
    assert find_checkpoints(REPO, (), "mine").name == "mine"


def test_a_name_without_an_owner(hub: HubServer) -> None:
    shutil.copytree(hub.root / "models" / REPO / "main", hub.root / "models" / "solo" / "main")
    found = find_checkpoints("solo", (), None)
    assert (found.name, found.checkpoints[0].folder.name) == (
        "solo", commit_of(hub.root / "models" / "solo" / "main")
    )  # fmt: skip


def test_all_and_every(hub: HubServer) -> None:
    for step in (10, 15, 100):
        shutil.copytree(
            hub.root / "models" / REPO / "main", hub.root / "models" / REPO / f"step{step}"
        )

    def found(*revisions: str, every: int | None = None) -> list[int | None]:
        return [c.step for c in find_checkpoints(REPO, revisions, None, every).checkpoints]

    assert found("all") == [0, 1, 2, 10, 15, 100]
    assert found("all", every=5) == [0, 10, 15, 100]
    assert found("all", "main", "step2", every=10) == [0, 10, 100, None, 2]


def test_steps_of_two_stages(hub: HubServer, tmp_path: Path, text: Path) -> None:
    names = ("stage1-step20-tokens1B", "stage2-step20-tokens1B")
    for name, source in zip(names, ("step1", "step2"), strict=True):
        shutil.copytree(hub.root / "models" / REPO / source, hub.root / "models" / REPO / name)
    chosen = find_checkpoints(REPO, ("all",), None, 20).checkpoints
    assert [(c.revision, c.step) for c in chosen] == [("step0", 0), *((n, 20) for n in names)]
    assert record(tmp_path, text, *names)[0] == [f"{REPO}@{name}/words" for name in names]
    rows = checkpoints(tmp_path)
    assert [(rows[name]["step"], rows[name]["same_as"]) for name in names] == [(20, None)] * 2


def test_every_needs_all(hub: HubServer) -> None:
    for revisions in ((), ("main",)):
        with pytest.raises(InputError, match=r"--every 5 needs --revision all; leave it out"):
            find_checkpoints(REPO, revisions, None, 5)
    assert not hub.requests


def test_all_of_a_model_without_steps(hub: HubServer) -> None:
    (hub.root / "models/acme/plain").mkdir()
    (hub.root / "models" / REPO / "main").rename(hub.root / "models/acme/plain/main")
    with pytest.raises(NotFoundError, match=r"acme/plain has no revision named after a step.*main"):
        find_checkpoints("acme/plain", ("all",), None)


# recording


def test_equal_and_missing_revisions(hub: HubServer, tmp_path: Path, text: Path) -> None:
    revisions = ("step0", "step1", "step9", "step2")
    work = plan(tmp_path, text, *revisions)
    sizes = [(hub.root / "models" / REPO / r / WEIGHTS).stat().st_size for r in SEEDS]
    assert (work.missing, work.unrecorded, work.download) == (("step9",), ("step9",), 3 * sizes[0])
    assert work.notes == (
        "acme/tiny has no revision step9 on the hub: recorded as missing, the others go on.",
    )
    assert hub.gets(WEIGHTS) == ["bytes=0-100000"] * 3
    names, labels = record(tmp_path, text, *revisions)
    assert names == [f"{REPO}@step0/words", f"{REPO}@step0/words", f"{REPO}@step2/words"]
    assert "acme/tiny@step0: downloading bytes" in labels
    rows = checkpoints(tmp_path)
    assert {r: row["state"] for r, row in rows.items()} == {
        "step0": "present", "step1": "present", "step2": "present", "step9": "missing"
    }  # fmt: skip
    assert rows["step1"]["same_as"] == rows["step0"]["id"]
    assert (rows["step9"]["weights_hash"], rows["step9"]["step"]) == (None, 9)
    commits = hub.revisions("models", REPO)
    assert {r: rows[r]["commit_hash"] for r in SEEDS if r in rows} == {
        r: commits[r] for r in ("step0", "step1", "step2")
    }
    assert [
        row["source"] for row in read_rows(tmp_path / "store", "SELECT source FROM models")
    ] == [REPO]
    assert len(read_rows(tmp_path / "store", "SELECT * FROM recordings")) == 2
    again = plan(tmp_path, text, *revisions)
    assert (again.todo, again.missing, again.unrecorded) == ((), ("step9",), ())


def test_values_are_those_of_the_model_that_transformers_loads_by_name(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    record(tmp_path, text, "step2")
    folder = tmp_path / "elsewhere"
    AutoModelForCausalLM.from_pretrained(REPO, revision="step2").save_pretrained(folder)
    rows = read_rows(tmp_path / "store", "SELECT token_id FROM tokens ORDER BY position")
    windows = np.array([row["token_id"] for row in rows], np.int64).reshape(-1, 64)
    ((_, outputs),) = watch(folder, ["gpt_neox.layers.1.mlp.dense_h_to_4h"], windows)
    stored = read_bits(tmp_path / "store/arrays/1/layer.1", "preactivations")
    assert np.array_equal(stored, round_to(outputs, "float32").T)


def test_a_revision_that_was_missing_is_recorded_once_it_is_there(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    record(tmp_path, text, "step0", "step9")
    shutil.copytree(hub.root / "models" / REPO / "step2", hub.root / "models" / REPO / "step9")
    names, _ = record(tmp_path, text, "step0", "step9")
    assert names == [f"{REPO}@step9/words"]
    assert checkpoints(tmp_path)["step9"]["state"] == "present"


def test_the_weights_of_a_known_revision_must_not_change(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    record(tmp_path, text, "step2")
    shutil.copy(hub.root / "models" / REPO / "main" / WEIGHTS, hub.root / "models" / REPO / "step2")
    with pytest.raises(InputError, match=r"Revision step2 is in the store with other weights"):
        record(tmp_path, text, "step2")


def test_a_commit_that_changes_no_weights_downloads_and_records_nothing(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    record(tmp_path, text, "step2")
    (hub.root / "models" / REPO / "step2" / "README.md").write_text("new")
    hub.requests.clear()
    record(tmp_path, text, "step2")
    assert set(hub.gets(WEIGHTS)) == {"bytes=0-100000"}
    commit = commit_of(hub.root / "models" / REPO / "step2")
    assert checkpoints(tmp_path)["step2"]["commit_hash"] == commit
    assert not plan(tmp_path, text, "step2").todo


def test_sharded_weights(hub: HubServer, tmp_path: Path, text: Path) -> None:
    folder = hub.root / "models/acme/shards/main"
    model = make_model("gpt_neox", 3)
    save(folder, model)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="12KB")
    work = plan(tmp_path, text, model="acme/shards")
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 1
    assert work.download == sum(shard.stat().st_size for shard in shards)
    record(tmp_path, text)
    record(tmp_path, text, model="acme/shards")
    rows = read_rows(tmp_path / "store", "SELECT weights_hash FROM checkpoints")
    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_the_command_in_a_fresh_process(hub: HubServer, tmp_path: Path, text: Path) -> None:
    words = ["--revision", "step0,step1", "--window-length", "64", "--windows", "4", "--pairs", "9"]
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "fresh"), "PYTHONWARNINGS": "error",
    }  # fmt: skip
    done = subprocess.run(
        [NEGSPACE, "ingest", REPO, text, *words], env=environment, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{REPO}@step0/words\n"), done.stderr
    lines = done.stderr.splitlines()
    size = (hub.root / "models" / REPO / "step0" / WEIGHTS).stat().st_size
    assert f"{REPO}@step0: downloading {size / 1000:.1f} kB of {size / 1000:.1f} kB" in lines
    assert lines[-1] == (
        f"{REPO}@step1 has the weights of a recorded checkpoint: {REPO}@step0/words."
    )


# the cache


def test_prune_frees_weights_and_a_known_commit_needs_none(
    hub: HubServer, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan(tmp_path, text, "step0", prune=True).notes == ()
    record(tmp_path, text, "step0", "step2", prune=True)
    assert not blobs(tmp_path)
    sizes = [p.stat().st_size for p in (tmp_path / "home").glob("hub/*/blobs/*")]
    assert sum(sizes) < (hub.root / "models" / REPO / "main" / WEIGHTS).stat().st_size
    hub.requests.clear()
    assert not plan(tmp_path, text, "step0", "step2").todo
    assert not hub.gets(WEIGHTS)
    point_at(monkeypatch, hub.url, tmp_path / "home", offline=True)
    assert not plan(tmp_path, text, "step0", "step2").todo
    point_at(monkeypatch, hub.url, tmp_path / "home")
    other = write_text(tmp_path / "other.txt", 400, seed=5)
    names, _ = record(tmp_path, other, "step2", prune=True)
    assert names == [f"{REPO}@step2/other"]
    assert not blobs(tmp_path)


def test_prune_waits_for_the_last_group_of_layers(
    hub: HubServer, tmp_path: Path, text: Path
) -> None:
    settings = replace(settings_of("step0", "step2", prune=True), keep="scores")
    store, names = tmp_path / "store", [f"{REPO}@{step}/words" for step in ("step0", "step2")]
    assert record_scores(store, Path(REPO), text, 1, settings) == names
    assert hub.gets(WEIGHTS).count("bytes=0-") == 2
    assert not blobs(tmp_path)


def test_what_is_only_left_to_be_measured_needs_no_weights(
    hub: HubServer, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, settings = tmp_path / "store", replace(settings_of("step2"), keep="scores")
    with monkeypatch.context() as patched:
        patched.setattr(analysis_run, "score_layer", Stop(score_layer, 1))
        with pytest.raises(KeyboardInterrupt):
            record_scores(store, Path(REPO), text, 1, settings)
    snapshot = fetch_snapshot(REPO, "step2")
    assert snapshot is not None
    assert prune_weights(snapshot) > 0
    point_at(monkeypatch, hub.url, tmp_path / "home", offline=True)
    assert record_scores(store, Path(REPO), text, 1, settings) == [f"{REPO}@step2/words"]
    assert len(read_rows(store, "SELECT * FROM neurons")) == 80


def test_prune_leaves_what_another_revision_shares(hub: HubServer, tmp_path: Path) -> None:
    snapshots = [fetch_snapshot(REPO, revision) for revision in ("step0", "step1")]
    for snapshot in snapshots:
        assert snapshot is not None
        download_weights(snapshot, lambda *_: None)
    one, two = (snapshot for snapshot in snapshots if snapshot)
    assert prune_weights(one) == 0
    assert list(blobs(tmp_path)) == [two.commit]
    assert prune_weights(two) == (hub.root / "models" / REPO / "step1" / WEIGHTS).stat().st_size
    assert not blobs(tmp_path)


@pytest.mark.parametrize("offline", [True, False])
def test_a_full_cache_needs_no_hub(
    offline: bool, hub: HubServer, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, text, "step2")
    hub.requests.clear()
    url = hub.url if offline else "http://127.0.0.1:9"
    point_at(monkeypatch, url, tmp_path / "home", offline=offline)
    other = write_text(tmp_path / "other.txt", 400, seed=5)
    assert record(tmp_path, other, "step2")[0] == [f"{REPO}@step2/other"]
    assert not hub.requests


# connections


def bring(revision: str = "step2") -> tuple[list[tuple[int, int]], Path]:
    """Download the weights; returns the reports and the file."""
    snapshot = fetch_snapshot(REPO, revision)
    assert snapshot is not None
    reports: list[tuple[int, int]] = []
    download_weights(snapshot, lambda done, total: reports.append((done, total)))
    assert all(file.cached for file in list_weights(snapshot))
    return reports, snapshot.folder / WEIGHTS


def incomplete(here: Path) -> list[bytes]:
    return [path.read_bytes() for path in (here / "home").glob("hub/*/blobs/*.incomplete")]


def test_a_cut_connection_is_gone_on_with(hub: HubServer, tmp_path: Path) -> None:
    whole = (hub.root / "models" / REPO / "step2" / WEIGHTS).read_bytes()
    hub.cuts[WEIGHTS] = [5000, 0, 3000]
    reports, file = bring()
    assert file.read_bytes() == whole
    assert hub.gets(WEIGHTS) == ["bytes=0-", "bytes=5000-", "bytes=5000-", "bytes=8000-"]
    assert reports == sorted(reports)
    assert reports[-1] == (len(whole), len(whole))
    assert not incomplete(tmp_path)


def test_an_ingest_goes_on_after_a_cut(hub: HubServer, tmp_path: Path, text: Path) -> None:
    work = plan(tmp_path, text, "step2")
    hub.requests.clear()
    hub.cuts[WEIGHTS] = [5000]
    store = open_or_create_store(tmp_path / "store")
    with unsynced(), run_job(store, "ingest", {}, "", quiet) as job:
        assert run_ingest(store, work, job) == [f"{REPO}@step2/words"]
    assert hub.gets(WEIGHTS) == ["bytes=0-", "bytes=5000-"]


def test_a_connection_that_stays_cut_fails_and_the_same_command_goes_on(
    hub: HubServer, tmp_path: Path
) -> None:
    whole = (hub.root / "models" / REPO / "step2" / WEIGHTS).read_bytes()
    hub.cuts[WEIGHTS] = [5000, *[0] * 3]
    with pytest.raises(InputError) as caught:
        bring()
    sentence = str(caught.value)
    assert sentence.startswith(f"The model {REPO} did not come whole from {hub.url} (")
    assert sentence.endswith("run the same command again, it goes on where it stopped.")
    assert incomplete(tmp_path) == [whole[:5000]]
    hub.requests.clear()
    assert bring()[1].read_bytes() == whole
    assert hub.gets(WEIGHTS) == ["bytes=5000-"]


def test_an_interrupted_download_goes_on(hub: HubServer, tmp_path: Path) -> None:
    snapshot = fetch_snapshot(REPO, "step2")
    assert snapshot is not None

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_weights(snapshot, interrupt)
    assert incomplete(tmp_path)
    assert bring()[1].read_bytes() == (hub.root / "models" / REPO / "step2" / WEIGHTS).read_bytes()


def test_wrong_bytes_are_refused_and_removed(hub: HubServer, tmp_path: Path) -> None:
    whole = (hub.root / "models" / REPO / "step2" / WEIGHTS).read_bytes()
    hub.cuts[WEIGHTS] = [5000, *[0] * 3]
    with pytest.raises(InputError):
        bring()
    (part,) = (tmp_path / "home").glob("hub/*/blobs/*.incomplete")
    part.write_bytes(b"\0" * 5000)
    with pytest.raises(InputError, match=r"The hub sent bytes with sha256 \w{12} for those with"):
        bring()
    assert not incomplete(tmp_path)
    assert bring()[1].read_bytes() == whole


def test_too_little_room(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_snapshot(REPO, "step2")
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(InputError, match=r"The weights need 0\.0 GB more, and the disk of the hub"):
        bring()
    assert not hub.gets(WEIGHTS)


# refusals


def test_a_wrong_name(hub: HubServer, tmp_path: Path, text: Path) -> None:
    assert refuses(NotFoundError, tmp_path, text, model="acme/none") == (
        "There is no folder 'acme/none', and the hub has no model of that name for you; check the "
        "name, or log in with `hf auth login` or set HF_TOKEN if it is private."
    )


def test_a_private_model(hub: HubServer, tmp_path: Path, text: Path) -> None:
    hub.private.add(REPO)
    assert "or set HF_TOKEN if it is private." in refuses(NotFoundError, tmp_path, text)


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model(status: int, hub: HubServer, tmp_path: Path, text: Path) -> None:
    hub.gated.add(REPO)
    hub.gated_status = status
    assert refuses(InputError, tmp_path, text) == (
        f"The model {REPO} is gated: ask for access at {hub.url}/{REPO}, then log in with "
        "`hf auth login` or set HF_TOKEN."
    )


def test_the_only_revision_is_missing(hub: HubServer, tmp_path: Path, text: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        plan(tmp_path, text, "step9")
    assert str(caught.value) == (
        f"{REPO} has no revision 'step9'; it has main, step0, step1, step2."
    )


def test_a_model_without_safetensors(hub: HubServer, tmp_path: Path, text: Path) -> None:
    weights = hub.root / "models" / REPO / "main" / WEIGHTS
    weights.rename(weights.with_name("pytorch_model.bin"))
    assert refuses(InputError, tmp_path, text).startswith(f"{REPO} has no safetensors at main;")


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_the_token(
    status: int, hub: HubServer, tmp_path: Path, text: Path
) -> None:
    hub.broken["/revision/main"] = status
    assert refuses(InputError, tmp_path, text) == (
        f"The hub refuses the model {REPO} (HTTP {status}); log in with `hf auth login` or set "
        "HF_TOKEN."
    )


def test_a_hub_that_fails(hub: HubServer, tmp_path: Path, text: Path) -> None:
    hub.broken["/refs"] = 500
    with pytest.raises(InputError, match=r"The hub answered HTTP 500 for the model acme/tiny"):
        plan(tmp_path, text, "all")


@pytest.mark.parametrize("offline", [True, False])
def test_no_hub_and_an_empty_cache(
    offline: bool, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(monkeypatch, "http://127.0.0.1:9", tmp_path / "home", offline=offline)
    if offline:
        assert refuses(NotFoundError, tmp_path, text) == (
            f"There is no folder '{REPO}', and the hub's cache lacks that model, or a part of it; "
            "unset HF_HUB_OFFLINE to download it."
        )
    else:
        sentence = refuses(InputError, tmp_path, text)
        assert sentence.startswith(
            f"There is no folder '{REPO}', and a model of that name did not come from "
            "http://127.0.0.1:9 ("
        )


def test_no_weights_in_the_cache_and_no_hub(
    hub: HubServer, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(tmp_path, text, "main")
    point_at(monkeypatch, hub.url, tmp_path / "home", offline=True)
    assert "unset HF_HUB_OFFLINE" in refuses(NotFoundError, tmp_path, text)
