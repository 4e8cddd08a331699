"""Data sets of a small hub on loopback, through the real `datasets.load_dataset`."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import close_session
from pyarrow import parquet

from ingest.corpora import read_corpus
from ingest.hub import is_dataset_name, read_dataset
from store.errors import InputError, NotFoundError
from tests.hub_server import HubServer, point_at, serving_hub

ARTICLES = ["", " = One = \n", "", " words of it \n", "", " = Two = \n", "", " more \n"]
WIKITEXT = "Salesforce/wikitext"


def write(root: Path, repo: str, configs: dict[str, dict[str, pa.Table]]) -> None:
    folder = root / "datasets" / repo / "main"
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        (folder / config).mkdir(parents=True)
        for split, table in splits.items():
            parquet.write_table(table, folder / config / f"{split}-0.parquet")
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    root = tmp_path / "hub"
    table = pa.table({"text": ARTICLES, "id": list(range(8))})
    write(root, WIKITEXT, {"wikitext-2-raw-v1": {"test": table, "train": table[:2]}})
    plain = pa.table({"text": ["one", "two", "three"]})
    write(root, "acme/plain", {"default": {"train": plain}})
    write(root, "acme/two", {"first": {"test": plain}, "second": {"test": plain[1:]}})
    write(root, "acme/odd", {"default": {"test": pa.table({"body": ["x"], "label": [1]})}})
    write(root, "acme/null", {"default": {"test": pa.table({"text": ["x", None]})}})
    write(root, "acme/empty", {"default": {"test": pa.table({"text": ["", " "]})}})
    with serving_hub(root) as server:
        point_at(monkeypatch, server.url, tmp_path / "home")
        yield server
        close_session()


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("wikitext-2:test", True),
        ("a/b/c:train[:1%]", True),
        ("a/b:train[10:20]", True),
        ("a/b/c/d:test", False),
        ("words.txt", False),
        ("a:", False),
        (":test", False),
        ("/a/b:test", False),
        ("-", False),
    ],
)
def test_names_of_data_sets(source: str, answer: bool) -> None:
    assert is_dataset_name(source) is answer


def test_a_file_of_that_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b.txt").write_text("words")
    assert read_corpus("a:b.txt").rows == ("words",)


def test_wikitext_by_its_short_name(hub: HubServer) -> None:
    corpus = read_corpus("wikitext-2:test")
    assert corpus.name == "wikitext-2:test"
    assert corpus.source == "Salesforce/wikitext/wikitext-2-raw-v1:test"
    assert list(corpus.rows) == ARTICLES
    assert [(rows.start, rows.stop) for rows in corpus.documents()] == [(0, 5), (5, 8)]


@pytest.mark.parametrize(
    ("source", "name", "place", "rows"),
    [
        ("acme/plain:train", "acme-plain:train", "acme/plain:train", ["one", "two", "three"]),
        ("acme/plain:train[:2]", "acme-plain:train[:2]", "acme/plain:train[:2]", ["one", "two"]),
        ("acme/two/second:test", "acme-two-second:test", "acme/two/second:test", ["two", "three"]),
    ],
)
def test_names_configs_and_splits(
    source: str, name: str, place: str, rows: list[str], hub: HubServer
) -> None:
    assert read_dataset(source) == (name, place, rows)


def test_a_cached_data_set_needs_no_hub(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_dataset("wikitext-2:test")
    hub.requests.clear()
    point_at(monkeypatch, hub.url, tmp_path / "home", offline=True)
    assert read_dataset("wikitext-2:test") == first
    assert not hub.requests


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("acme/two:test", r"acme/two has no default:test: Config name is missing.*first.*second"),
        ("acme/two/third:test", r"acme/two has no third:test: BuilderConfig 'third' not found"),
        ("acme/plain:test", r"acme/plain has no default:test: Unknown split .test.*train"),
        ("acme/odd:test", r"acme/odd has no column 'text'; its columns are body, label\.$"),
        ("acme/null:test", r"acme/null, row 2: 'text' is null, not a string\.$"),
        ("acme/empty:test", r"'acme/empty:test' holds no text"),
    ],
)
def test_what_a_data_set_lacks(source: str, sentence: str, hub: HubServer) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        read_corpus(source)
    assert "\n" not in str(caught.value)


def test_a_wrong_name(hub: HubServer) -> None:
    for source in ("acme/none:test", "a/b/c:test"):
        with pytest.raises(
            NotFoundError, match=r"There is no file .*, and the hub has no data set"
        ):
            read_corpus(source)


def test_a_name_without_an_owner(hub: HubServer) -> None:
    with pytest.raises(NotFoundError) as caught:
        read_corpus("words:test")
    assert str(caught.value) == (
        "There is no file 'words', and a data set of the hub needs its owner: write "
        "ORG/words:SPLIT (wikitext-2 needs none)."
    )
    assert not hub.requests


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_data_set(status: int, hub: HubServer) -> None:
    hub.gated.add("acme/plain")
    hub.gated_status = status
    with pytest.raises(InputError, match=r"The data set acme/plain is gated: ask for access at"):
        read_corpus("acme/plain:train")


@pytest.mark.parametrize("offline", [True, False])
def test_no_hub_and_an_empty_cache(
    offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(monkeypatch, "http://127.0.0.1:9", tmp_path / "home", offline=offline)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # between the libraries' tries
    sentence = (
        r"lacks that data set, or a part of it; unset HF_HUB_OFFLINE" if offline
        else r"a data set of that name did not come from http://127\.0\.0\.1:9 \("
    )  # fmt: skip
    with pytest.raises((InputError, NotFoundError), match=sentence):
        read_corpus("acme/plain:train")
