"""The README's and docs' examples, run on a demo of the same shape whose models are tiny.

Numbers depend on the training, so a result must have the columns and as many lines as the example;
texts that hold no measured number must be equal.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

import pytest

import ingest.demo
from analysis.figures.settings import FiguresSettings
from analysis.settings import AnalyzeSettings, PairsSettings
from ingest.demo_plan import DemoPlan, DemoSize
from ingest.settings import IngestSettings
from store.tables import metadata
from store.views import VIEWS
from tests.models import unsynced
from tui.diagnostics import guarded
from tui.main import COMMANDS, negspace
from tui.options import option_name

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
EXAMPLES = re.findall(r"```console\n\$ (negspace .*)\n((?:.*\n)*?)```", README)
TINY = tuple(
    DemoSize(name, d_model=16, n_layers=4, n_heads=2, d_mlp=width, rate=1e-2)
    for name, width in (("demo-small", 40), ("demo-medium", 72))
)


def run(words: list[str]) -> int:
    with patch("sys.argv", words):
        return guarded(negspace, dict)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a demo-store whose names, steps, text and windows are the real demo's."""
    folder = tmp_path_factory.mktemp("docs")
    plan = DemoPlan(sizes=TINY, batch=1)
    # The demo's own function has the real plan as its default.
    with (
        chdir(folder),
        unsynced(),
        patch.object(ingest.demo.make_demo, "__defaults__", (plan,)),
    ):
        assert run(["negspace", "demo", "--store", "demo-store", "--quiet"]) == 0
        yield folder


def without_numbers(text: str) -> str:
    return re.sub(r"\d[\d,.]*", "#", text)


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_readme_example(
    demo: Path, command: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command)
    with patch("sys.argv", words), chdir(demo):
        code = negspace.main(words[1:], standalone_mode=False)
    printed = capsys.readouterr().out
    assert not code
    assert len(printed.splitlines()) == len(shown.splitlines())
    first, expected = printed.splitlines()[0], shown.splitlines()[0]
    assert without_numbers(first).split() == without_numbers(expected).split()


def test_python_example(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGES["python.md"]
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert len(examples) == len(shown) == 2
    for code, expected in zip(examples, shown, strict=True):
        with chdir(demo), unsynced():
            exec(compile(code, "docs/python.md", "exec"), {})
        printed = capsys.readouterr().out
        # The tiny models are narrower than the demo's.
        assert printed.replace("(72,", "(512,").replace(", 16)", ", 128)") == expected


def test_zarr_example(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGES["store.md"], re.DOTALL)
    with chdir(demo):
        exec(compile(code[0], "docs/store.md", "exec"), {})
    assert capsys.readouterr().out == "(40, 128512)\n"


def test_every_command_table_and_view_is_in_the_docs() -> None:
    for name in COMMANDS:
        assert f"## negspace {name}\n" in PAGES["commands.md"]
    for name in (*metadata.tables, *VIEWS):
        assert f"### {name}\n" in PAGES["sql.md"]


def test_every_setting_is_in_the_docs() -> None:
    for settings in (IngestSettings, AnalyzeSettings, FiguresSettings, PairsSettings):
        for entry in fields(settings):
            assert f"  {option_name(entry)}" in PAGES["commands.md"]


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
