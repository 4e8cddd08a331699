"""Moves rounded values from where the model computes into the matrices that are written."""

from collections.abc import Callable

import numpy as np
import torch

from ingest.blocks import as_stored
from store.shards import Matrix

Ready = Callable[[], None]
"""Waits until a copy is done."""
Copy = Callable[[torch.Tensor, Matrix], Ready | None]
"""Copies a tensor into a matrix of its shape; None where it is done at once."""


def copier(device: torch.device) -> Copy:
    """Return what copies from a device, or from all cards."""
    return CardCopies() if device.type == "cuda" else copy_on_host


def copy_on_host(values: torch.Tensor, place: Matrix) -> None:
    """Copy a tensor of the host's memory into a matrix, turning it where it is turned."""
    _as_tensor(place).copy_(as_stored(values))


def _as_tensor(place: Matrix) -> torch.Tensor:
    return torch.from_numpy(place.view(_TORCH.get(place.dtype.str, place.dtype)))


_TORCH = {"<u2": "<i2"}
"""Stored dtypes that torch has under another name."""


class CardCopies:
    """Copies from cards on streams of their own, while the cards compute on."""

    def __init__(self) -> None:
        """Begin without a stream."""
        self._streams: dict[torch.device, torch.cuda.Stream] = {}
        self._pinned: set[int] = set()

    def __call__(self, values: torch.Tensor, place: Matrix) -> Ready:
        """Begin to copy; the values are turned on the card, where memory is fast."""
        values = as_stored(values).contiguous()
        self._pin(place)
        stream = self._stream(values.device)
        stream.wait_stream(torch.cuda.current_stream(values.device))
        with torch.cuda.stream(stream):
            _as_tensor(place).copy_(values, non_blocking=True)
            values.record_stream(stream)
            done: torch.cuda.Event = stream.record_event()
        return done.synchronize

    def _stream(self, device: torch.device) -> torch.cuda.Stream:
        if device not in self._streams:
            self._streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        return self._streams[device]

    def _pin(self, place: Matrix) -> None:
        """Lock a matrix into memory, once: the card copies only into such without waiting."""
        memory = place.base if isinstance(place.base, np.ndarray) else place
        address = memory.ctypes.data
        if address not in self._pinned:
            runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
            torch.cuda.check_error(int(runtime.cudaHostRegister(address, memory.nbytes, 0)))
            self._pinned.add(address)
