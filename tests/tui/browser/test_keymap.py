"""Keys that a user gives to actions: from the command line and from the settings file."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.app import App
from textual.pilot import Pilot

from store.errors import UsageError
from store.store import open_or_create_store
from tests.tui.browser.driving import drive, settle
from tui.browser.app import PANES, Browser
from tui.browser.dialogs import TextDialog
from tui.browser.keymap import read_keymap
from tui.browser.settings import BrowseSettings
from tui.commands import browse
from tui.main import negspace
from tui.settings_files import read_settings_files

MODULES = [f"tui.browser.{name}" for name, _, _ in PANES]


def wrong(*entries: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_keymap(entries, MODULES)
    return str(caught.value)


def test_an_action_has_the_keys_that_are_given() -> None:
    assert read_keymap([], MODULES) == {}
    assert read_keymap(["neurons.mark=m", "neurons.mark=f6"], MODULES) == {"neurons.mark": "m,f6"}


def test_two_actions_may_swap_their_keys() -> None:
    swapped = ["neurons.sort=v", "neurons.compare=o"]
    assert read_keymap(swapped, MODULES) == {"neurons.sort": "v", "neurons.compare": "o"}


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("neurons.mark", "is not ACTION=KEY"),
        ("neurons.mark=", "is not ACTION=KEY"),
        ("neurons.mrk=m", "no action is called neurons.mrk; give neurons.filter, neurons.go-to,"),
        ("mark=m", "no action is called mark; give app."),
        ("neurons.mark=space bar", "there is no key space bar"),
        ("neurons.mark=o", "neurons.sort has this key"),
        ("neurons.mark=?", "app.help has this key"),
        ("app.quit=o", "has this key"),
        ("neurons.mark=y", "table.copy-cell has this key"),
        ("neurons.sort=w", "page.what-it-writes has this key"),
    ],
)
def test_what_is_wrong_is_said(entry: str, part: str) -> None:
    assert part in wrong(entry)


def test_the_browser_takes_them(tmp_path: Path) -> None:
    store = tmp_path / "store"
    open_or_create_store(store)

    async def script(app: Browser, pilot: Pilot[None]) -> None:
        await pilot.press("f9")
        await settle(app, pilot)
        assert isinstance(app.screen, TextDialog)
        await pilot.press("escape", "question_mark")
        await settle(app, pilot)
        assert not isinstance(app.screen, TextDialog)

    drive(store, script, settings=BrowseSettings(keys=("app.help=f9",)))


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own settings lie under tmp_path, and there seems to be a terminal."""
    monkeypatch.setattr(browse, "has_terminal", lambda: True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("words", "text", "keys"),
    [
        (["--key", "app.help=f9"], "", ["app.help=f9"]),
        ([], '[browse]\nkey = ["app.help=f9,app.quit=f10"]\n', ["app.help=f9", "app.quit=f10"]),
    ],
)
def test_option_and_settings_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: Sequence[str],
    text: str,
    keys: Sequence[str],
) -> None:
    open_or_create_store(tmp_path / "store")
    (tmp_path / "negspace.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    ran: list[App[None]] = []
    monkeypatch.setattr(Browser, "run", lambda self: ran.append(self))
    defaults = read_settings_files(negspace)
    call = ["browse", "--store", "store", *words]
    found = CliRunner().invoke(negspace, call, default_map=defaults)
    assert found.exit_code == 0, found.output
    assert ran[0]._keymap == dict(entry.split("=") for entry in keys)


def test_a_wrong_key_is_refused_before_the_screen_changes(tmp_path: Path) -> None:
    open_or_create_store(tmp_path / "store")
    words = ["browse", "--store", str(tmp_path / "store"), "--key", "app.hlp=f9"]
    found = CliRunner().invoke(negspace, words)
    assert isinstance(found.exception, UsageError)
    assert "no action is called app.hlp" in str(found.exception)


def test_without_a_terminal_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_or_create_store(tmp_path / "store")
    monkeypatch.setattr(browse, "has_terminal", lambda: False)
    found = CliRunner().invoke(negspace, ["browse", "--store", str(tmp_path / "store")])
    assert isinstance(found.exception, UsageError)
    assert "needs a terminal" in str(found.exception)
