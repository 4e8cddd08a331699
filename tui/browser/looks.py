"""What several tabs draw alike: the colours of a sign, the lines of WD, when a screen is wide."""

from textual.color import Color

POSITIVE, NEGATIVE = Color.parse("#d97706"), Color.parse("#2563eb")
"""Seen on dark and on light; the sign is said without them, too."""
WD_LINES = (("p99", "p99"), ("median", "median"), ("random_p99", "random p99"))
"""Columns of the distribution of WD that are drawn, and what plots call them."""
WIDE = 100
"""Columns from which two things stand beside one another."""
