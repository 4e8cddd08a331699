"""Forms: every setting has a field, which says what the option of the same name would say."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields

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


def fill(script: Callable[[Formed, Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        app = Formed()
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
