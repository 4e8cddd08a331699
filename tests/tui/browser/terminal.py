"""Runs a program in a pseudo-terminal and keeps what stands on its screen."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

_PIECE = re.compile(
    r"\x1b\[(?P<numbers>[0-9;:?<=>]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]P_^][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
    r"|(?P<text>[^\x1b])",
    re.DOTALL,
)


@dataclass
class Screen:
    """The characters on a screen: knows how to go to a place, to clear, and to write."""

    columns: int
    rows: int
    place: tuple[int, int] = (0, 0)
    cells: dict[tuple[int, int], str] = field(default_factory=dict)
    rest: str = ""

    def feed(self, text: str) -> None:
        """Take what a program wrote; the beginning of a sequence waits for its end."""
        text, done = self.rest + text, 0
        while piece := _PIECE.match(text, done):
            self._take(piece)
            done = piece.end()
        self.rest = text[done:]

    def _take(self, piece: re.Match[str]) -> None:
        row, column = self.place
        written, final = piece["text"], piece["final"]
        if written == "\r":
            self.place = (row, 0)
        elif written == "\n":
            self.place = (row + 1, column)
        elif written:
            self.cells[self.place] = written
            self.place = (row, column + 1)
        elif final == "J":
            self.cells.clear()
        elif final == "H":
            numbers = [int(n or 1) for n in (piece["numbers"] or "1;1").split(";")]
            self.place = (numbers[0] - 1, numbers[1] - 1)

    @property
    def text(self) -> str:
        """All lines of the screen."""
        lines = [
            "".join(self.cells.get((row, column), " ") for column in range(self.columns))
            for row in range(self.rows)
        ]
        return "\n".join(line.rstrip() for line in lines)


@dataclass
class Terminal:
    """A program at work in a terminal."""

    process: subprocess.Popen[bytes]
    master: int
    screen: Screen
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def press(self, keys: str) -> None:
        """Send keys as a terminal does."""
        os.write(self.master, keys.encode())

    def wait(self, wanted: str, seconds: float = 60.0) -> str:
        """Read until a pattern is on the screen, and return what it matched."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(wanted, self.screen.text)):
            assert time.monotonic() < deadline, f"no {wanted!r} in\n{self.screen.text}"
            self._read()
        return found[0]

    def pause(self, seconds: float = 2.0) -> None:
        """Read for a while: which widget has the keys is not on the screen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read()

    def leave(self, keys: str) -> int:
        """Send keys and return the exit code when the program has ended."""
        self.press(keys)
        while self.process.poll() is None:
            self._read()
        return self.process.returncode

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.2)[0]:
            try:
                self.screen.feed(self.decoder.decode(os.read(self.master, 2**16)))
            except OSError:  # the other side is closed
                return


@contextmanager
def running(words: Sequence[str], columns: int, rows: int) -> Iterator[Terminal]:
    """Run a program in a terminal of this size; it is killed if it does not leave by itself."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    sizes = {
        "COLUMNS": str(columns),
        "LINES": str(rows),
    }  # whoever runs the tests may have set them
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=os.environ | sizes | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(process, master, Screen(columns, rows))
    finally:
        process.kill()
        process.wait()
        os.close(master)
