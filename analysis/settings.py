"""What a user may choose when analysing. Standard library only: `--help` loads this module."""

from dataclasses import dataclass

from ingest.settings import DEVICES
from store.errors import UsageError
from store.settings import check_types, setting

ERRORS = ("top", "all")


@dataclass(frozen=True)
class AnalyzeSettings:
    """How the analyses run, and which errors they add; no other number moves by over 1e-12."""

    threads: int | None = setting(
        None, "Threads that score neurons; one a core if not said.", unit="N"
    )
    device: str = setting(
        "cpu",
        "Where neurons are scored: cpu, cuda (the first card), or auto (a card if there is one).",
        choices=DEVICES,
    )
    errors: str = setting(
        "top",
        "Neurons that get a standard error of WD: top, the 100 of highest WD in a layer, or all.",
        choices=ERRORS,
    )

    def __post_init__(self) -> None:
        check_types(self)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}; give 1 or more.")
        if self.device not in DEVICES:
            raise UsageError(f"--device is {self.device!r}; choose one of {', '.join(DEVICES)}.")
        if self.errors not in ERRORS:
            raise UsageError(f"--errors is {self.errors!r}; choose one of {', '.join(ERRORS)}.")
