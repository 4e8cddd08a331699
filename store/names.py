"""What a model or a text may be called, so that MODEL@REVISION/CORPUS#2 can be told apart.

Standard library only: the settings load this module.
"""

MOST_LETTERS = 100
MARKS = "@#"
"""What names of recordings are put together with."""


def find_fault(name: str) -> str | None:
    """Return what is wrong with a name, as a phrase that follows it, or None."""
    marks = [mark for mark in MARKS if mark in name]
    if marks:
        return f"has {' and '.join(marks)}, which the names of recordings are put together with"
    if len(name) > MOST_LETTERS:
        return f"has {len(name)} letters, and {MOST_LETTERS} are the most"
    return None
