"""Forms: every setting has a field, which says what the option of the same name would say."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Label, Static

from analysis.ablation.settings import INTERVENTIONS, AblateSettings
from ingest.settings import DTYPES, KINDS, IngestSettings, StreamSettings
from store.errors import UsageError
from tui.browser.form_values import (
    Argument,
    default_entries,
    read_argument,
    read_settings,
    subject_of,
    write_entry,
)
from tui.browser.forms import Flag, SettingsForm
from tui.options import option_words

ARGUMENTS = (Argument("recording", "Whose neurons."), Argument("corpus", "A text."))


class Formed(App[None]):
    """Nothing but a form."""

    def __init__(self) -> None:
        super().__init__()
        self.form = SettingsForm(AblateSettings, ARGUMENTS)
        self.changes = 0

    def compose(self) -> ComposeResult:
        yield self.form

    def on_settings_form_changed(self) -> None:
        self.changes += 1

    @property
    def fault(self) -> str:
        return str(self.query_one(".form--fault", Static).content)

    @property
    def marked(self) -> list[str]:
        return [str(x.content) for x in self.query(".-wrong Label").results(Label)]


def fill(
    script: Callable[[Formed, Pilot[None]], Awaitable[None]], kind: type[Formed] = Formed
) -> None:
    async def run() -> None:
        app = kind()
        async with app.run_test(size=(80, 24)) as pilot:
            await script(app, pilot)

    asyncio.run(run())


settings = st.builds(
    AblateSettings,
    windows=st.none() | st.integers(1, 100),
    bos=st.none() | st.sampled_from(("none", "window")),
    intervention=st.lists(st.sampled_from(INTERVENTIONS), unique=True).map(tuple),
    percent=st.lists(st.integers(1, 100).map(str), unique=True).map(tuple),
    metric=st.sampled_from(("wd", "md")),
    draws=st.integers(0, 50),
    exclude_top=st.booleans(),
    where=st.none() | st.sampled_from(KINDS),
    model_dtype=st.none() | st.sampled_from(DTYPES),
)


@given(settings)
def test_fields_filled_with_settings_say_these_settings(asked: AblateSettings) -> None:
    entries = {f.name: write_entry(getattr(asked, f.name)) for f in fields(asked)}
    assert read_settings(AblateSettings, entries) == asked


@pytest.mark.parametrize("kind", [AblateSettings, IngestSettings])
def test_untouched_fields_say_the_defaults(kind: type[AblateSettings | IngestSettings]) -> None:
    found = read_settings(kind, default_entries(kind))
    assert found == kind()
    assert option_words(found) == []


def test_words_are_the_options_that_differ() -> None:
    asked: dict[str, str | bool] = {
        "percent": "1, 2", "exclude_top": True, "draws": "7", "where": "number"
    }  # fmt: skip
    found = option_words(read_settings(AblateSettings, default_entries(AblateSettings) | asked))
    assert found == ["--percent", "1,2", "--draws", "7", "--exclude-top", "--where", "number"]
    assert option_words(IngestSettings(weights=False)) == ["--no-weights"]


def test_a_wrong_number_names_its_option() -> None:
    with pytest.raises(UsageError, match="--draws is 'many'; give a whole number"):
        read_settings(AblateSettings, {"draws": "many"})


def test_arguments_are_words_that_no_option_could_be() -> None:
    assert read_argument(ARGUMENTS[1], " a text.txt ") == "a text.txt"
    with pytest.raises(UsageError, match="CORPUS is empty"):
        read_argument(ARGUMENTS[1], " ")
    with pytest.raises(UsageError, match="starts as an option"):
        read_argument(ARGUMENTS[1], "--plan")


def test_an_error_is_about_the_first_field_that_it_names() -> None:
    assert subject_of("--draws-at has 5, not in --percent", AblateSettings, ()) == "draws_at"
    assert subject_of("RECORDING is empty.", AblateSettings, ARGUMENTS) == "recording"
    assert subject_of("Something else.", AblateSettings, ARGUMENTS) is None


def test_each_setting_has_a_field_with_its_sentence() -> None:
    async def script(app: Formed, _pilot: Pilot[None]) -> None:
        shown = [str(line.content) for line in app.query(".row--sentence").results(Static)]
        sentences = [f.metadata["sentence"] for f in fields(AblateSettings)]
        shared = len(fields(StreamSettings))
        assert shown == [
            "Whose neurons.", "A text.", *sentences[shared:], *sentences[:shared]
        ]  # fmt: skip
        assert app.form.entries == {
            "recording": "", "corpus": "", **default_entries(AblateSettings)
        }  # fmt: skip

    fill(script)


def test_what_is_typed_is_checked_in_place() -> None:
    async def script(app: Formed, pilot: Pilot[None]) -> None:
        app.form.focus_first()
        await pilot.press("m", "tab", "t", *["tab"] * 7, "x")
        await pilot.pause()
        assert app.fault == "--draws is 'x'; give a whole number."
        assert app.marked == ["! draws"]
        assert not app.form.check()
        await pilot.press("backspace", "9")
        await pilot.pause()
        assert app.fault == ""
        assert app.marked == []
        assert app.form.words == ["m", "t", "--draws", "9"]
        assert app.changes == 5

    fill(script)


def test_choices_and_flags_are_taken_by_keys() -> None:
    async def script(app: Formed, pilot: Pilot[None]) -> None:
        app.form.focus_first()
        await pilot.press(*["tab"] * 5, "enter", "down", "enter")  # side
        await pilot.press(*["tab"] * 5, "space")  # exclude-top
        await pilot.pause()
        assert app.form.entries["side"] == "bottom"
        assert app.form.entries["exclude_top"] is True
        assert [str(flag.label) for flag in app.query(Flag)][:2] == ["yes", "no"]

    fill(script)


def test_filling_takes_what_fits_and_checks_it() -> None:
    async def script(app: Formed, pilot: Pilot[None]) -> None:
        app.form.fill({"draws": -1, "where": "verb", "plan": "yes", "gone": 1, "corpus": "a\nb"})
        await pilot.pause()
        assert app.form.entries == {
            "recording": "", **default_entries(AblateSettings), "draws": "-1", "corpus": "a b"
        }  # fmt: skip
        assert app.marked == ["! draws"]
        app.form.clear()
        await pilot.pause()
        assert not app.form.check()
        assert app.fault == "RECORDING is empty. Whose neurons."
        assert app.marked == ["! RECORDING"]

    fill(script)


def test_a_form_can_be_filled_before_it_is_shown() -> None:
    form = SettingsForm(AblateSettings, ARGUMENTS)
    form.fill({"bos": "none", "draws": "3", "plan": True})
    assert form.settings == AblateSettings(bos="none", draws=3, plan=True)


class Wrong(Formed):
    """A form that a wrong entry was put into before it is on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.form.fill({"draws": "x"})


def test_a_wrong_entry_of_before_is_marked_when_the_form_is_shown() -> None:
    async def script(app: Formed, pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert app.marked == ["! draws"]

    fill(script, Wrong)


def test_only_words_that_can_be_typed_are_offered() -> None:
    async def script(app: Formed, pilot: Pilot[None]) -> None:
        app.form.suggest("recording", ["ev\x1b[2Jil", "even"])
        app.form.focus_first()
        await pilot.press("e", "v")
        await pilot.pause()
        await pilot.press("right")
        assert app.form.entries["recording"] == "even"

    fill(script)


def ablating() -> SettingsForm[AblateSettings]:
    form = SettingsForm(AblateSettings, ARGUMENTS, command="ablate")
    form.fill({"recording": "m", "corpus": "t"})
    return form


def test_a_form_starts_with_what_variables_and_files_say(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("negspace.toml").write_text("[ablate]\ndraws = 50\nwindows = 9\nplan = true\n")
    monkeypatch.setenv("NEGSPACE_ABLATE_WINDOWS", "6")
    monkeypatch.setenv("NEGSPACE_ABLATE_PERCENT", "1,2 5")
    form = ablating()
    assert form.settings == AblateSettings(
        draws=50, windows=6, plan=True, percent=("1", "2", "5")
    )  # fmt: skip
    assert form.words == [
        "m", "t", "--windows", "6", "--percent", "1,2,5", "--draws", "50", "--plan"
    ]  # fmt: skip
    form.fill({"draws": 7})
    form.clear()
    assert form.settings.draws == 50


def test_words_say_the_default_where_a_file_says_something_else() -> None:
    Path("negspace.toml").write_text("[ablate]\ndraws = 50\n")
    form = ablating()
    form.fill({"draws": 5})
    assert form.words == ["m", "t", "--draws", "5"]


def test_what_is_kept_leaves_defaults_and_variables_as_they_are_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEGSPACE_ABLATE_DRAWS", "7")
    form = SettingsForm(AblateSettings, ARGUMENTS, command="ablate")
    assert form.said == {}
    form.fill({"recording": "a", "seed": 3})
    kept = form.said
    assert kept == {"recording": "a", "seed": "3"}
    monkeypatch.setenv("NEGSPACE_ABLATE_DRAWS", "8")
    again = SettingsForm(AblateSettings, ARGUMENTS, command="ablate")
    again.fill(kept)
    assert again.settings.draws == 8
    assert again.settings.seed == 3


def test_what_no_option_can_say_against_a_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEGSPACE_ABLATE_PLAN", "1")
    monkeypatch.setenv("NEGSPACE_ABLATE_WINDOWS", "6")
    form = ablating()
    form.fill({"plan": False})
    with pytest.raises(UsageError, match="--plan is set by a NEGSPACE_"):
        _ = form.words
    form.fill({"plan": True, "windows": ""})
    with pytest.raises(UsageError, match="--windows is set by a NEGSPACE_"):
        _ = form.words


def test_a_variable_that_cannot_be_is_in_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGSPACE_ABLATE_DRAWS", "many")
    form = ablating()
    with pytest.raises(UsageError, match="--draws is 'many'; give a whole number"):
        _ = form.words
    form.fill({"draws": "5"})
    assert form.words == ["m", "t", "--draws", "5"]


def test_a_file_that_cannot_be_read_is_said_when_the_form_is_used() -> None:
    Path("negspace.toml").write_text("[ablate]\ndrawz = 5\n")
    form = ablating()
    with pytest.raises(UsageError, match="'drawz' is no option of negspace ablate"):
        _ = form.words


def test_a_flag_that_is_on_by_default_is_turned_off_by_a_file() -> None:
    Path("negspace.toml").write_text("[ingest]\nno-weights = true\n")
    form = SettingsForm(IngestSettings, ARGUMENTS, command="ingest")
    form.fill({"recording": "m", "corpus": "t"})
    assert form.words == ["m", "t", "--no-weights"]
