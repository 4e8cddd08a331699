"""What a user may choose of the browser. Standard library only: `--help` loads this module."""

from dataclasses import dataclass

from store.settings import check_types, setting


@dataclass(frozen=True)
class BrowseSettings:
    """The settings of `negspace browse`; `tui/browser/keymap.py` checks the keys."""

    keys: tuple[str, ...] = setting(
        (),
        "Another key for an action, as neurons.mark=m; ? in the browser names the actions.",
        unit="ACTION=KEY",
    )

    def __post_init__(self) -> None:
        """Raise InputError for a value of another type."""
        check_types(self)
