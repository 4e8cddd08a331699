"""The tab Ablations: what was found, what is at work, and a form that starts a new one."""

import shlex
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import ContentSwitcher, Static

from analysis.ablation.settings import AblateSettings
from store.errors import InputError, NegspaceError
from store.printable import printable
from store.queries.browse_ablations import STATEMENT, list_sources
from store.queries.recordings import list_recordings
from tui.browser.ablation_charts import read_charts
from tui.browser.dialogs import ConfirmDialog
from tui.browser.form_values import Argument
from tui.browser.forms import SettingsForm
from tui.browser.grid import Grid
from tui.browser.increase_bars import Chart, draw_charts
from tui.browser.job_rows import Work, describe, interrupt_work, read_work
from tui.browser.keymap import name_keys
from tui.browser.launching import PLANNING, ask_and_start, require_starting, stop_planning
from tui.browser.pane import Pane
from tui.browser.processes import show_command

POLL_SECONDS = 1.0
RESULTS, NEW = "ablations-results", "ablations-new"
AT_WORK = ("running", "starting")
WIDE = {"dose": "dose     "}
"""A column is as wide as its largest number, and small doses are longer: 1.078e-04."""
OF_VIEW = {"new": RESULTS, "stop": RESULTS, "scale": RESULTS, "start": NEW, "back": NEW}
"""The view in which each key does something."""
ARGUMENTS = (
    Argument("recording", "Whose neurons, by whose metrics: a name, or a part that is only its."),
    Argument("corpus", "The text of the loss: a file, or a name as wikitext-2:test."),
)


class AblationsPane(Pane):
    """Past ablations as a table and as bars, and the form of the next one."""

    name_shown = "Ablations"
    DEFAULT_CSS = """
    AblationsPane #ablations-jobs { height: auto; max-height: 4; display: none; }
    AblationsPane ContentSwitcher { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = name_keys(
        "ablations",
        Binding("n", "new", "New"),
        Binding("f5,ctrl+j", "start", "Cost, start"),
        Binding("x", "stop", "Stop job"),
        Binding("l", "scale", "Log/linear"),
        Binding("escape", "back", "Back"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.form = SettingsForm(AblateSettings, ARGUMENTS, command="ablate", id=NEW)
        self._view = RESULTS
        self._bars = IncreaseBars()
        self._work: list[Work] = []
        self._ended: Work | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        """Yield the jobs at work above the results, which the form takes the place of."""
        yield Static("", classes="fault", markup=False)
        yield Static("", id="ablations-jobs", markup=False)
        with ContentSwitcher(initial=self._view):
            with Vertical(id=RESULTS):
                yield Grid(id="ablations-grid")
                yield self._bars
            yield self.form

    def on_mount(self) -> None:
        """Look at the jobs every second; the pane itself loads for the first time."""
        self.set_interval(POLL_SECONDS, self._poll)

    @property
    def statement(self) -> str:
        """The statement behind the table."""
        return STATEMENT

    @property
    def command(self) -> str:
        """The command that prints the table, or that does what the form says."""
        folder = self.reader.store.folder
        if self._view == RESULTS:
            words = " ".join(STATEMENT.split())
            return shlex.join(["negspace", "sql", words, "--store", str(folder)])
        try:
            return show_command(["ablate", *self.form.words], folder)
        except NegspaceError:
            return ""

    async def load(self) -> None:
        """Show the runs and their bars, and offer the form what the store knows."""
        answer = await self.reader.ask(STATEMENT)
        note = "; none yet, n makes one" if answer.table.num_rows == 0 else ""
        await self.query_one("#ablations-grid", Grid).show(answer, note, labels=WIDE)
        await self._read_charts()
        database = self.reader.store.database
        names = [row.name for row in await self.reader.read(lambda: list_recordings(database))]
        self.form.suggest("recording", names)
        self.form.suggest("corpus", await self.reader.read(lambda: list_sources(database)))
        if len(names) == 1 and not self.form.entries["recording"]:
            self.form.fill({"recording": names[0]})
        await self._watch()

    async def _read_charts(self) -> None:
        """Show the bars of the recording under the cursor."""
        name, store = self._recording, self.reader.store
        charts = await self.reader.read(lambda: read_charts(store, name)) if name else []
        if name == self._recording:  # else the cursor moved on, and its move began to read others
            self._bars.show(name, charts)

    @property
    def _recording(self) -> str:
        return str(self.query_one("#ablations-grid", Grid).cells().get("recording", ""))

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the bars of another recording."""
        event.stop()
        if self._recording != self._bars.recording:
            self.follow(self._read_charts, "charts")

    def _poll(self) -> None:
        # A look that takes longer than a second is left to end, not begun again.
        if not self._busy and (self.browser.shown is self or self._work):
            self.follow(self._watch, "jobs")

    async def _watch(self) -> None:
        """Show the ablations at work; where one ended, its results too."""
        self._busy = True
        try:
            work = await self.reader.read(lambda: read_work(self.reader.store))
        finally:
            self._busy = False
        mine = [w for w in work if w.row.kind == "ablate"]
        over = [w for w in mine if w.row.state not in AT_WORK]
        ended = [w for w in over if any(w.continues(before) for before in self._work)]
        self._work = [w for w in mine if w.row.state in AT_WORK]
        self._ended = ended[0] if ended else self._ended
        self._show_work()
        if ended:
            self.notify(_progress(ended[0]), markup=False)
            self.reload()

    def _show_work(self) -> None:
        """Show what is at work, or how the last one ended."""
        shown = self._work or [w for w in (self._ended,) if w]
        # There is no line where the browser was closed meanwhile.
        for line in self.query("#ablations-jobs").results(Static):
            line.update("\n".join(map(_progress, shown)))
            line.display = bool(shown)

    def prefill(self, recording: str, sql: str) -> None:
        """Show the form, with neurons of a recording chosen by a query."""
        self.form.clear()
        self.form.fill({"recording": recording, "neurons_sql": sql})
        self._show(NEW)

    def _show(self, view: str) -> None:
        self._view = view
        self.refresh_bindings()
        for switcher in self.query(ContentSwitcher):
            switcher.current = view
        self.focus_content()

    def focus_content(self) -> None:
        """Give the keys to the form or to the table."""
        if self._view == NEW:
            self.form.focus_first()
            return
        for grid in self.query("#ablations-grid").results(Grid):
            grid.focus_table()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the keys of what is shown: the results or the form."""
        return self._view == OF_VIEW.get(action, self._view)

    def action_new(self) -> None:
        """Show the form."""
        self.show_fault("")
        self._show(NEW)

    def action_back(self) -> None:
        """Stop planning; where nothing is being planned, leave the form."""
        if not stop_planning(self):
            self.show_fault("")
            self._show(RESULTS)

    def action_scale(self) -> None:
        """Draw the bars on the other scale."""
        self._bars.turn()

    def action_start(self) -> None:
        """Show what the ablation of the form costs, and start it after a yes."""
        if self.form.check():
            self.act(self._start, PLANNING)

    async def _start(self) -> None:
        words = ["ablate", *self.form.words]
        if await ask_and_start(self, words, "Start this ablation?") is not None:
            self._show(RESULTS)
            await self._watch()

    def action_stop(self) -> None:
        """Stop the newest ablation at work, after a question."""
        self.act(self._stop, "stop")

    async def _stop(self) -> None:
        require_starting(self)
        if not self._work:
            raise InputError("No ablation is at work; there is nothing to stop.")
        work = self._work[0]
        cost = f"Runs that are done are kept; the same command goes on.\n{work.row.command}"
        if not await self.app.push_screen_wait(ConfirmDialog("Stop this ablation?", cost)):
            return
        await self.reader.read(lambda: interrupt_work(self.reader.store, work))

    def state(self) -> dict[str, object]:
        """Return what the form holds and how the bars are drawn."""
        return {"form": self.form.said, "logarithmic": self._bars.logarithmic}

    def restore(self, state: dict[str, object]) -> None:
        """Take up the form and the scale."""
        form = state.get("form")
        if isinstance(form, dict):
            self.form.fill({str(name): entry for name, entry in form.items()})
        self._bars.logarithmic = state.get("logarithmic") is True


class IncreaseBars(VerticalScroll, can_focus=True):
    """The bars of a recording's ablations, as wide as the screen lets them be."""

    DEFAULT_CSS = """
    IncreaseBars { height: 1fr; border-top: solid $primary; }
    IncreaseBars:focus { border-top: double $primary; }
    IncreaseBars > Static { height: auto; }
    """

    def __init__(self) -> None:
        super().__init__(id="ablations-bars")
        self.recording, self.logarithmic = "", False
        self._charts: Sequence[Chart] = ()

    def compose(self) -> ComposeResult:
        """Yield the text of the bars."""
        yield Static("", markup=False)

    def show(self, recording: str, charts: Sequence[Chart]) -> None:
        """Show the charts of a recording."""
        self.recording, self._charts = recording, charts
        self._draw()

    def turn(self) -> None:
        """Change between the linear and the logarithmic scale."""
        self.logarithmic = not self.logarithmic
        self._draw()

    def on_resize(self, _event: Resize) -> None:
        """Draw as wide as the screen is now."""
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        lines = draw_charts(self._charts, width, logarithmic=self.logarithmic)
        scale = "logarithmic above 0.01 nats" if self.logarithmic else "linear"
        # As Content, because a name may hold brackets, which a text's markup would take.
        self.border_title = Content(f"{printable(self.recording)}, {scale}") if lines else None
        self.query_one(Static).update("\n".join(lines))


def _progress(work: Work) -> str:
    """Return how far a job is, or how it ended."""
    lines = describe(work).splitlines()
    wrong = [line for line in lines[2:3] if line.startswith("Error: ")]
    # Before its plan is made, and where there is nothing to do, a command has no job.
    first = lines[0] if work.row.job else f"The ablation is {work.row.state}: {lines[1]}"
    return "\n".join([first, *wrong])
