"""How many windows go through a model together. No torch: plans ask without loading a model."""

from store.layout import windows_per_block

LOGIT_BYTES = 256_000_000


def choose_batch(window_length: int, vocabulary: int) -> int:
    """Return the windows of a batch: a block's, or as many as have logits under 256 MB.

    It is 1 where the logits of one window are more.
    """
    of_a_window = 4 * window_length * vocabulary
    return max(1, min(windows_per_block(window_length), LOGIT_BYTES // of_a_window))
