"""Options come from the settings classes, and from variables and files in the promised order."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.settings import AnalyzeSettings
from ingest.settings import BOS_CHOICES, DTYPES, PROJECTIONS, IngestSettings
from store.errors import InputError
from tests.tui.calling import Outcome, call
from tui.context import Context
from tui.jobs import command_line
from tui.options import option_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass
class Calls:
    """What the commands would have done."""

    settings: list["DataclassInstance"] = field(default_factory=list)
    words: list[Sequence[str]] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)

    def record(
        self, context: Context, model: str, corpus: str, settings: IngestSettings, *, dry_run: bool
    ) -> list[str]:
        self.contexts.append(context)
        self.words.append((model, corpus))
        self.settings.append(settings)
        return []

    def analyse(
        self, context: Context, names: Sequence[str], settings: AnalyzeSettings, *, dry_run: bool
    ) -> None:
        self.contexts.append(context)
        self.words.append(names)
        self.settings.append(settings)

    def ingest(self, *words: str) -> IngestSettings:
        """The settings that an ingest is called with."""
        done = call("ingest", "m", "t.txt", *words)
        assert (done.code, done.err) == (0, "")
        found = self.settings[-1]
        assert isinstance(found, IngestSettings)
        return found

    def folder(self, *words: str) -> str:
        """The store that a command is called with."""
        assert call(*words).code == 0
        return str(self.contexts[-1].folder)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr("tui.jobs.record", calls.record)
    monkeypatch.setattr("tui.jobs.analyse", calls.analyse)
    return calls


@pytest.fixture
def write_user(tmp_path: Path) -> Callable[[str], None]:
    """Write the user's own settings file."""

    def write(text: str) -> None:
        (tmp_path / "config" / "negspace").mkdir(parents=True, exist_ok=True)
        (tmp_path / "config" / "negspace" / "negspace.toml").write_text(text)

    return write


def write_here(text: str) -> None:
    """Write ./negspace.toml."""
    Path("negspace.toml").write_text(text)


@pytest.mark.parametrize(
    ("name", "kind"), [("ingest", IngestSettings), ("analyze", AnalyzeSettings)]
)
def test_each_setting_is_an_option(name: str, kind: "type[DataclassInstance]") -> None:
    text = " ".join(call(name, "--help").out.split())
    for entry in fields(kind):
        assert f" {option_name(entry)} " in text
        assert entry.metadata["sentence"] in text


def test_no_option_gives_the_defaults(calls: Calls) -> None:
    assert calls.ingest() == IngestSettings()
    assert call("analyze").code == 0
    assert calls.settings[-1] == AnalyzeSettings()


def test_lists_take_commas_and_repetition(calls: Calls) -> None:
    found = calls.ingest("--layers", "0,3-5", "--layers", "7", "--revision", " a, b,")
    assert found.layers == ("0", "3-5", "7")
    assert found.revisions == ("a", "b")


def test_flags(calls: Calls) -> None:
    found = calls.ingest("--spread", "--no-weights")
    assert (found.spread, found.weights) == (True, False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--dtype", "int8"), "'int8' is not one of 'float16', 'bfloat16', 'float32'."),
        (("--pairs", "many"), "Invalid value for '--pairs': 'many' is not a valid integer."),
        (("--pairs", "1"), "--pairs is 1; give 2 or more."),
        (("--window-length", "1"), "--window-length is 1; give 2 or more."),
        (("--windows", "0"), "--windows is 0; give 1 or more."),
        (("--pair-seed", "-1"), "--pair-seed is -1; give 0 or more."),
        (("--layers", "5-3"), "--layers: '5-3' is not a layer or a range; write 0,3-5."),
        (("--layers", "x"), "--layers: 'x' is not a layer or a range; write 0,3-5."),
        (("--unknown",), "No such option"),
        (("--windows",), "Option '--windows' requires an argument."),
        (("more",), "Got unexpected extra argument (more)"),
    ],
)
def test_a_wrong_value_is_one_sentence(words: tuple[str, ...], sentence: str, calls: Calls) -> None:
    done = call("ingest", "m", "t.txt", *words)
    assert (done.code, done.out, calls.settings) == (2, "", [])
    assert sentence in done.error
    assert done.err.count("Error") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("analyze", "--threads", "0"), "--threads is 0; give 1 or more."),
        (("ingest", "m"), "Missing argument 'CORPUS'."),
        (("sql", "SELECT 1", "--format", "xml"), "'xml' is not one of"),
        (("sql", "SELECT 1", "--timeout", "0"), "'--timeout': 0.0 is not in the range x>0."),
        (("sql", "SELECT 1", "--limit", "-1"), "'--limit': -1 is not in the range x>=0."),
        (("status", "--jobs", "x"), "'x' is not a valid integer"),
        (("nothing",), "No such command 'nothing'."),
    ],
)
def test_wrong_usage_is_two(words: tuple[str, ...], sentence: str) -> None:
    done = call(*words)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.error


MODULE = ("--module", "gpt_neox.layers.{layer}.mlp.dense_h_to_4h")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--every", "5"), "--every 5 needs --revision all; leave it out, or add that."),
        (("--every", "5", "--revision", "main"), "--every 5 needs --revision all;"),
        (("--spread", "--join", "documents"), "give one of the two."),
        (("--module", "h.0.mlp"), "--module 'h.0.mlp' has {layer} 0 times; write it once,"),
        ((*MODULE, "--projection", "up"), "leave --projection out."),
        (("--skip-first", "64", "--window-length", "64"), "give 63 or less."),
        (("--name", "a@b"), "--name 'a@b' has @, which the names of recordings are put together"),
        (("--name", "a#@b"), "--name 'a#@b' has @ and #, which the names of recordings are put"),
        (("--name", "a" * 101), "has 101 letters, and 100 are the most; give another."),
    ],
)
def test_options_that_are_wrong_on_their_own_are_usage(
    words: tuple[str, ...], sentence: str, models: dict[str, Path], text: Path
) -> None:
    done = call("ingest", models["gpt_neox"], text, *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert sentence in done.error
    assert not Path("negspace-store").exists()


def test_a_name_may_have_a_hundred_letters() -> None:
    assert IngestSettings(name="a" * 100).name == "a" * 100


def test_no_command_shows_the_help() -> None:
    done = call()
    assert done.code == 2
    assert "Record, measure and query" in done.err


def test_store_before_and_after_the_command(calls: Calls) -> None:
    assert calls.folder("analyze") == "negspace-store"
    assert calls.folder("--store", "a", "analyze") == "a"
    assert calls.folder("analyze", "--store", "b") == "b"
    assert calls.folder("--store", "a", "analyze", "--store", "b") == "b"


def test_flags_before_and_after_the_command(calls: Calls) -> None:
    for words in (("--quiet", "analyze"), ("analyze", "--quiet")):
        calls.folder(*words)
        assert (calls.contexts[-1].quiet, calls.contexts[-1].read_only) == (True, False)
    for words in (("--read-only", "analyze"), ("analyze", "--read-only")):
        calls.folder(*words)
        assert (calls.contexts[-1].quiet, calls.contexts[-1].read_only) == (False, True)


def test_precedence_of_a_setting(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, write_user: Callable[[str], None]
) -> None:
    write_user("[ingest]\npairs = 10\nwindows = 10\n")
    assert (calls.ingest().pairs, calls.ingest().windows) == (10, 10)
    write_here("[ingest]\npairs = 20\n")
    assert (calls.ingest().pairs, calls.ingest().windows) == (20, 10)
    monkeypatch.setenv("NEGSPACE_INGEST_PAIRS", "30")
    assert calls.ingest().pairs == 30
    assert calls.ingest("--pairs", "40").pairs == 40


def test_precedence_of_the_store(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, write_user: Callable[[str], None]
) -> None:
    write_user('store = "user"\n')
    assert calls.folder("analyze") == "user"
    write_user('store = "user"\n[analyze]\nstore = "user command"\n')
    assert calls.folder("analyze") == "user command"
    write_here('store = "here"\n')
    assert calls.folder("analyze") == "here"
    write_here('store = "here"\n[analyze]\nstore = "here command"\n')
    assert calls.folder("analyze") == "here command"
    assert calls.folder("ingest", "m", "t") == "here"
    monkeypatch.setenv("NEGSPACE_STORE", "variable")
    assert calls.folder("analyze") == "variable"
    monkeypatch.setenv("NEGSPACE_ANALYZE_STORE", "variable command")
    assert calls.folder("analyze") == "variable command"
    assert calls.folder("--store", "option", "analyze") == "option"


def test_every_kind_of_value_in_a_file(calls: Calls) -> None:
    write_here(
        'quiet = true\n[ingest]\nrevision = ["a", "b,c"]\nlayers = [0, "3-5"]\nno-weights = true\n'
        'window-length = 64\ndtype = "float32"\nspread = true\n[sql]\nformat = "csv"\ntimeout = 5\n'
    )
    assert calls.ingest() == IngestSettings(
        revisions=("a", "b", "c"), layers=("0", "3-5"), weights=False, window_length=64,
        dtype="float32", spread=True,
    )  # fmt: skip
    assert calls.contexts[-1].quiet
    write_here('[ingest]\nlayers = "0,2"\nrevision = "x"\n')
    assert (calls.ingest().layers, calls.ingest().revisions) == (("0", "2"), ("x",))
    write_here("[ingest]\nlayers = 3\n")
    assert calls.ingest().layers == ("3",)


def test_every_kind_of_value_in_a_variable(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGSPACE_INGEST_LAYERS", "0,2 5")
    monkeypatch.setenv("NEGSPACE_INGEST_NO_WEIGHTS", "1")
    monkeypatch.setenv("NEGSPACE_INGEST_SPREAD", "true")
    monkeypatch.setenv("NEGSPACE_INGEST_REVISION", "a,b")
    monkeypatch.setenv("NEGSPACE_QUIET", "1")
    monkeypatch.setenv("NEGSPACE_VERSION", "1")
    assert calls.ingest() == IngestSettings(
        layers=("0", "2", "5"), weights=False, spread=True, revisions=("a", "b")
    )
    assert calls.contexts[-1].quiet
    monkeypatch.setenv("NEGSPACE_INGEST_PAIRS", "many")
    assert call("ingest", "m", "t.txt").code == 2


def test_the_format_of_sql_in_a_file_and_a_variable(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> Outcome:
        return call("sql", "SELECT 1 AS one", "--store", analysed)

    write_here('[sql]\nformat = "csv"\n')
    assert ask().out == "one\r\n1\r\n"
    monkeypatch.setenv("NEGSPACE_SQL_FORMAT", "jsonl")
    assert ask().out == '{"one": 1}\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stor = 'x'", "negspace.toml: 'stor' is no option of negspace; see negspace --help."),
        ("[ingst]\npairs = 3", "negspace.toml: 'ingst' is no option of negspace"),
        ("[ingest]\npair = 3", "[ingest] 'pair' is no option of negspace ingest"),
        ("[ingest]\nmodel = 'x'", "[ingest] 'model' is no option of negspace ingest"),
        ("[ingest]\nhelp = true", "[ingest] 'help' is no option"),
        ("version = true", "'version' is no option"),
        ("ingest = 3", "ingest is a command; write its options in [ingest]."),
        ("[ingest]\npairs = 'many'", "[ingest] pairs: 'many' is not a valid integer."),
        ("[ingest]\npairs = 2.5", "[ingest] pairs: '2.5' is not a valid integer."),
        ("[ingest]\npairs = [1, 2]", "[ingest] pairs is [1, 2]; give what --pairs takes."),
        ("[ingest]\npairs = true", "[ingest] pairs is True; give what --pairs takes."),
        ("[ingest]\ndtype = 'int8'", "[ingest] dtype: 'int8' is not one of"),
        ("[ingest]\nspread = 'yes'", "[ingest] spread is 'yes'; give true or false."),
        ("quiet = 1", "quiet is 1; give true or false."),
        ("[store]\nx = 1", "store is {'x': 1}; give what --store takes."),
        ("[ingest]\npairs = \n", "negspace.toml cannot be read: Invalid value"),
        ("\x00", "negspace.toml cannot be read"),
        ('"\\u001b[31m" = 1', "'\\x1b[31m' is no option of negspace"),
    ],
)
def test_a_wrong_settings_file_is_refused(text: str, sentence: str) -> None:
    write_here(text)
    done = call("status")
    assert (done.code, done.out) == (2, "")
    assert sentence in done.error


def test_the_users_wrong_file_is_named(write_user: Callable[[str], None], tmp_path: Path) -> None:
    write_user("[ingest]\npair = 3\n")
    place = tmp_path / "config" / "negspace" / "negspace.toml"
    assert f"Error: {place}: [ingest] 'pair'" in call("status").err


def test_a_folder_in_place_of_the_file() -> None:
    Path("negspace.toml").mkdir()
    assert "negspace.toml cannot be read" in call("status").error


names = st.text("abc-_.", min_size=1, max_size=6).filter(lambda name: name.strip() == name)


@given(
    settings=st.builds(
        dict,
        window_length=st.none() | st.integers(2, 9),
        windows=st.none() | st.integers(1, 9),
        bos=st.sampled_from((None, *BOS_CHOICES)),
        skip_first=st.integers(0, 3),
        spread=st.booleans(),
        revisions=st.lists(names, max_size=3).map(tuple),
        layers=st.lists(st.sampled_from(["0", "3-5", "7"]), max_size=3).map(tuple),
        dtype=st.sampled_from(DTYPES),
        model_dtype=st.sampled_from(DTYPES),
        projection=st.sampled_from(PROJECTIONS),
        pairs=st.integers(2, 2000),
        pair_seed=st.integers(0, 3),
        name=st.none() | st.text("ab $'\"-", min_size=1, max_size=5).filter(str.strip),
        weights=st.booleans(),
    )
)
def test_the_command_of_a_job_does_the_same(settings: dict[str, object]) -> None:
    asked = IngestSettings(**settings)  # type: ignore[arg-type]
    words = shlex.split(
        command_line(Context(folder=Path("a b")), ("ingest", "/m 'x", "/t.txt"), asked)
    )
    assert words[0] == "negspace"
    calls = Calls()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("tui.jobs.record", calls.record)
        assert call(*words[1:]).code == 0
    assert calls.settings == [asked]
    assert calls.words == [("/m 'x", "/t.txt")]
    assert calls.contexts[0].folder == Path.cwd() / "a b"


def test_settings_are_checked_in_python_too() -> None:
    with pytest.raises(InputError, match=r"--bos is 'maybe'; choose one of none, window\."):
        IngestSettings(bos="maybe")
