"""What the hub did not give, in a sentence: gated, private, wrong name, offline, cut, full disk."""

import errno
from collections.abc import Iterator

from ingest.reasons import reason_of
from store.errors import InputError, NegspaceError, NotFoundError

LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def explain(error: BaseException, kind: str, name: str, *, found: bool) -> NegspaceError:
    """Return the error that says why the hub's `kind` (model, data set) `name` did not come.

    `found` says that it was seen there before, so that its name is not in doubt.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    causes = list(_causes(error))
    full = next((c for c in causes if isinstance(c, OSError) and c.errno == errno.ENOSPC), None)
    answer = next((c for c in causes if isinstance(c, HfHubHTTPError)), None)
    if full is not None:
        return InputError(f"The disk is full: {name} cannot be downloaded; make room, run again.")
    if isinstance(answer, GatedRepoError):
        return InputError(
            f"The {kind} {name} is gated: ask for access at {_page(kind, name)}, then {LOG_IN}."
        )
    if isinstance(answer, RepositoryNotFoundError):
        what = "folder" if kind == "model" else "file"
        return NotFoundError(
            f"There is no {what} {name!r}, and the hub has no {kind} of that name for you; check "
            f"the name, or {LOG_IN} if it is private."
        )
    if answer is not None:
        return _explain_status(answer.response.status_code, kind, name)
    return _explain_silence(reason_of(causes[-1]), kind, name, found)


def _explain_status(status: int, kind: str, name: str) -> NegspaceError:
    if status in (401, 403):
        return InputError(f"The hub refuses the {kind} {name} (HTTP {status}); {LOG_IN}.")
    return InputError(
        f"The hub answered HTTP {status} for the {kind} {name}; run the same command again later."
    )


def _explain_silence(reason: str, kind: str, name: str, found: bool) -> NegspaceError:
    from huggingface_hub.constants import ENDPOINT, is_offline_mode

    what = "folder" if kind == "model" else "file"
    if is_offline_mode():
        return NotFoundError(
            f"There is no {what} {name!r}, and the hub's cache lacks that {kind}, or a part of it; "
            "unset HF_HUB_OFFLINE to download it."
        )
    if not found:
        return InputError(
            f"There is no {what} {name!r}, and a {kind} of that name did not come from {ENDPOINT} "
            f"({reason}); check the name and the connection."
        )
    return InputError(
        f"The {kind} {name} did not come whole from {ENDPOINT} ({reason}); check the connection "
        "and run the same command again, it goes on where it stopped."
    )


def _page(kind: str, name: str) -> str:
    from huggingface_hub.constants import ENDPOINT

    return f"{ENDPOINT}/{name}" if kind == "model" else f"{ENDPOINT}/datasets/{name}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
