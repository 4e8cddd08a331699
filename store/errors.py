"""The errors that users see: one clear sentence each, with the value and what to do next.

Only `tui/diagnostics.py` prints them and turns them into exit codes.
"""


class NegspaceError(Exception):
    """Something could not be done; the message says what, the value, and what to do next."""


class InputError(NegspaceError):
    """What the user gave (a model, a text, an option, a statement) cannot be used."""


class UsageError(InputError):
    """Options or arguments that are wrong whatever the store, the model and the text hold."""


class NotFoundError(NegspaceError):
    """A name asked for is not in the store, or there is no store."""


class BusyError(NegspaceError):
    """Another process holds what this one needs."""


class DamageError(NegspaceError):
    """Bytes on disk are not the bytes that the ledger vouches for."""


class SelfCheckError(NegspaceError):
    """A recording or an analysis contradicted itself and was stopped."""
