"""Writes the rows that a table keeps to a file: csv or parquet, by the ending of its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError
from store.readonly import Row
from tui.browser.reader import Answer
from tui.output import write_file

FORMS = {".csv": "csv", ".parquet": "parquet"}
_BATCH = 1000


@dataclass(frozen=True)
class _ArrowRows:
    """The rows of an answer, as the output formats read them."""

    answer: Answer

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.answer.table.column_names)

    @property
    def truncated(self) -> bool:
        return False  # the browser says itself that there are more

    def batches(self) -> Iterator[list[Row]]:
        for batch in self.answer.table.to_batches(_BATCH):
            columns = [column.to_pylist() for column in batch.columns]
            yield list(zip(*columns, strict=True))


def default_name(grid: str | None) -> str:
    """Return a name for the file of a table, by the table's id."""
    return f"{(grid or 'rows').removesuffix('-grid')}.csv"


def check_target(text: str, store: Path) -> None:
    """Raise InputError for a name that cannot be exported to, and why."""
    path = Path(text.strip()).expanduser()
    if path.suffix.lower() not in FORMS:
        raise InputError(f"{text!r} ends in neither .csv nor .parquet; add one of these.")
    if path.resolve().is_relative_to(store.resolve()):
        raise InputError(f"{path} lies in the store; name a file outside of it.")
    if path.exists():
        raise InputError(f"{path} is there already; name another file.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}; name a file in one that is there.")


def write_answer(answer: Answer, path: Path) -> None:
    """Write the rows, unrounded; raises InputError where the file cannot be written."""
    write_file(_ArrowRows(answer), FORMS[path.suffix.lower()], path)
