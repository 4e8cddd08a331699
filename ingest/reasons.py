"""What an error of another library says, as part of a sentence."""


def reason_of(error: BaseException) -> str:
    """Return what an error says in one line without a full stop.

    A line that only announces the next is given with it; a key alone is said to be missing.
    """
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]!r} is missing"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[: 1 + lines[0].endswith(":")]).rstrip(".:")
