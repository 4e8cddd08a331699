"""What a user may choose when analysing. Standard library only: `--help` loads this module."""

from dataclasses import dataclass

from store.errors import UsageError
from store.settings import check_types, setting


@dataclass(frozen=True)
class AnalyzeSettings:
    """How the analyses run; nothing here changes a number."""

    threads: int | None = setting(
        None, "Threads that score neurons; one a core if not said.", unit="N"
    )

    def __post_init__(self) -> None:
        check_types(self)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}; give 1 or more.")
