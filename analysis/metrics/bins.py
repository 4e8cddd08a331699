"""The bins of a neuron's two histograms (METHODS 3)."""

BINS = 256
"""Equal bins of the pre-activation, up to REACH standard deviations from the mean."""
POST_BINS = 128
"""Equal bins of the activation's output on each side of 0."""
REACH = 8.0
CONSTANT_BIN = 129
"""Where all values of a neuron lie that is constant."""
