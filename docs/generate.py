"""Writes the pages of docs/ that come from the code: commands.md and sql.md.

`--check` compares instead, and fails where a page is not up to date.
"""

import os
import sys
from pathlib import Path

import click

from store.descriptions import DESCRIPTIONS
from store.tables import metadata
from store.views import VIEWS

HERE = Path(__file__).resolve().parent
WIDTH = 100


def command_page() -> str:
    """Return the reference of every command, from its --help."""
    from tui.main import COMMANDS, negspace

    parts = ["# Commands\n", "Written by `make docs` from `--help`.\n"]
    context = click.Context(negspace, info_name="negspace", max_content_width=WIDTH)
    parts.append(_help("negspace", negspace, context))
    for name in COMMANDS:
        command = negspace.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, parent=context, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH
        )
        parts.append(_help(f"negspace {name}", command, inner))
    return "\n".join(parts)


def _help(title: str, command: click.Command, context: click.Context) -> str:
    context.terminal_width = WIDTH
    return f"## {title}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def sql_page() -> str:
    """Return the reference of every table and view, from their descriptions."""
    parts = [
        "# Tables and views\n",
        "Written by `make docs` from the same descriptions that `negspace sql --schema` and the "
        "table `schema_docs` show. Views have names instead of ids: begin with `neuron_metrics` "
        "and `token_pairs`. Undefined numbers are NULL with a reason, never NaN; flags are 0/1; "
        "times are ISO-8601 UTC text.\n",
        "## Views\n",
        *(_table(name) for name in VIEWS),
        "## Tables\n",
        *(_table(name) for name in metadata.tables),
    ]
    return "\n".join(parts)


def _table(name: str) -> str:
    columns = DESCRIPTIONS[name]
    keys = set(metadata.tables[name].primary_key.columns.keys()) if name in metadata.tables else ()
    rows = [
        f"| {'**' + column + '**' if column in keys else column} | {_cell(sentence)} |"
        for column, sentence in columns.items()
        if column
    ]
    table = "\n".join(["| column | meaning |", "| --- | --- |", *rows])
    return f"### {name}\n\n{columns['']}\n\n{table}\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"commands.md": command_page, "sql.md": sql_page}


def main(check: bool) -> int:
    """Write the pages, or say which are not up to date."""
    stale = []
    for name, make in PAGES.items():
        path, text = HERE / name, make()
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/{name} is not up to date: run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    os.environ.pop("COLUMNS", None)
    sys.exit(main("--check" in sys.argv))
