"""The provenance of recordings as facts to print, and as an appendix in Markdown or LaTeX."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from store.database import Database
from store.printable import printable
from store.queries.provenance import CommandRow, ProvenanceRow, list_commands, read_provenance
from store.queries.recordings import RecordingRow


@dataclass(frozen=True)
class Command:
    """A command as it was typed, what became of it, and the versions that ran it."""

    text: str
    note: str
    versions: str


@dataclass(frozen=True)
class Provenance:
    """One recording: (what, value) of what it was made of, and the commands that made it."""

    recording: str
    facts: tuple[tuple[str, str], ...]
    commands: tuple[Command, ...]


def read_provenances(database: Database, recordings: Sequence[RecordingRow]) -> list[Provenance]:
    """Return the provenance of each recording."""
    return [
        Provenance(
            printable(r.name),
            _facts(read_provenance(database, r.id)),
            tuple(_command(row) for row in list_commands(database, r.id)),
        )
        for r in recordings
    ]


def _facts(row: ProvenanceRow) -> tuple[tuple[str, str], ...]:
    step = "" if row.step is None else f", step {row.step:,}"
    skipped = f", the first {row.skip_first} of each window not measured" if row.skip_first else ""
    facts = (
        ("model", f"{row.model} ({row.family}, {row.activation}), {row.n_parameters:,} parameters"),
        ("source of the model", row.source),
        ("revision", f"{row.revision}{step}"),
        ("commit", row.commit_hash or "none: files of a folder, known by their hash"),
        ("sha256 of the weights", row.weights_hash or "none"),
        ("text", f"{row.corpus}, from {row.corpus_source}"),
        ("hash of the text", row.text_hash),
        ("tokenizer", f"{row.tokenizer}, hash {row.tokenizer_hash}"),
        ("hash of the token stream", row.stream_hash),
        ("windows", f"{row.n_windows:,} of {row.window_length:,}, {row.n_tokens:,} positions"),
        ("reading", f"joined by {row.joined}, BOS {row.bos}{skipped}{', spread' * row.spread}"),
        ("branch", row.projection),
        ("dtypes", f"stored {row.dtype}, computed {row.model_dtype}, kept {row.keep}"),
        ("pairs", f"{row.n_pairs:,}, seed {row.pair_seed}"),
        ("windows of a batch", str(row.batch_windows)),
        ("recorded", row.created_at),
    )
    return tuple((name, printable(value)) for name, value in facts)


def _command(row: CommandRow) -> Command:
    versions: Mapping[str, str] = json.loads(row.versions)
    return Command(
        printable(row.command),
        printable(f"job {row.id}, {row.kind}, {row.state}, begun {row.started_at}"),
        printable(", ".join(f"{name} {number}" for name, number in versions.items())),
    )


def write_markdown(provenances: Sequence[Provenance]) -> str:
    """Return the appendix in Markdown: a table and the commands of each recording."""
    parts = ["## Provenance\n"]
    for each in provenances:
        parts.append(f"### {_markdown(each.recording)}\n")
        rows = [f"| {_markdown(name)} | {_markdown(value)} |" for name, value in each.facts]
        parts.append("\n".join(["| what | value |", "| --- | --- |", *rows]) + "\n")
        for command in each.commands:
            parts.append(f"{_markdown(command.note)}; {_markdown(command.versions)}:\n")
            parts.append(f"    {command.text}\n")
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~$&" else c for c in text)


_HASH, _HASH_PARTS = re.compile("[0-9a-f]{32,}"), re.compile(".{1,16}")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
}  # fmt: skip


def write_latex(provenances: Sequence[Provenance]) -> str:
    r"""Return the appendix in LaTeX: a section with a description list of each recording.

    It needs the packages textcomp, which newer LaTeX has built in, and fontenc with T1.
    """
    parts = [r"\section*{Provenance}"]
    for each in provenances:
        parts += [rf"\subsection*{{{_latex(each.recording)}}}", r"\begin{description}"]
        parts += [rf"\item[{_latex(name)}] {_latex(value)}" for name, value in each.facts]
        for command in each.commands:
            about = f"{_latex(command.note)}; {_latex(command.versions)}"
            parts.append(rf"\item[command] \texttt{{{_latex(command.text)}}} ({about})")
        parts.append(r"\end{description}")
    return "\n".join([*parts, ""])


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(c, c) for c in text)
    # Two hyphens would become a dash; a path and a hash have no place to break by themselves.
    breakable = escaped.replace("--", "-{}-").replace("/", r"/\allowbreak{}")
    return _HASH.sub(lambda m: "\\allowbreak{}".join(_HASH_PARTS.findall(m[0])), breakable)


APPENDICES: Mapping[str, Callable[[Sequence[Provenance]], str]] = {
    "md": write_markdown,
    "latex": write_latex,
}
