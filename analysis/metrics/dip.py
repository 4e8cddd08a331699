"""`negative_dip`: how far a neuron's values below 0 are from having one mode (METHODS 12).

Hartigan's dip is the least distance sup |F - U| of the empirical distribution F to any U that is
convex up to some mode and concave behind it; at the mode U may jump. As in AS 217 an interval that
holds the mode is narrowed: there the greatest convex minorant of F's lower corners and the least
concave majorant of its upper ones are compared, and where they are furthest apart the ends move
in. What F leaves between itself and the hulls outside bounds the dip from below. All heights are
in counts, and both hulls come from one kernel: a majorant is a minorant turned by half a circle.
"""

import numpy as np
import numpy.typing as npt

from analysis.metrics.compiled import compiled
from analysis.metrics.formats import Floats

Counts = npt.NDArray[np.int64]

LEAST_VALUES = 20


def measure_negative_dip(values: Floats, counts: Counts) -> float:
    """Return the dip of the values below 0 of an ascending list (k,) with counts (k,) of 0 or more.

    NaN where fewer than 20 values are below 0. Implements METHODS 12.
    """
    below = int(np.searchsorted(values, 0.0))
    if counts[:below].sum() < LEAST_VALUES:
        return float("nan")
    return measure_dip(values[:below], counts[:below])


def measure_dip(values: Floats, counts: Counts) -> float:
    """Return the dip of ascending values (k,), k >= 1, that occur counts (k,) times.

    Between 0, for one value only, and 1/4; entries of equal values count as one.
    """
    return _narrow(*_merge(values, counts))


@compiled
def _merge(values: Floats, counts: Counts) -> tuple[Floats, Floats]:
    """Return the m distinct values that occur, and (m + 1,) the sums of counts before each."""
    x = np.empty(values.size)
    sums = np.zeros(values.size + 1)
    m = 0
    for k in range(values.size):
        if counts[k] == 0:
            continue
        if m == 0 or values[k] != x[m - 1]:
            x[m] = values[k]
            m += 1
            sums[m] = sums[m - 1]
        sums[m] += counts[k]
    return x[:m], sums[: m + 1]


@compiled
def _link(x: Floats, y: Floats) -> Counts:
    """Return each point's left neighbour on the minorant of all points up to it, -1 for the first.

    x (m,) ascends. Following the links from a point gives the minorant's corners.
    """
    links = np.empty(x.size, np.int64)
    for i in range(x.size):
        left = i - 1
        while left > 0:
            further = links[left]
            rise = (y[i] - y[left]) * (x[left] - x[further])
            if rise > (y[left] - y[further]) * (x[i] - x[left]):
                break
            left = further
        links[i] = left
    return links


@compiled
def _trace(links: Counts, low: int, high: int, path: Counts) -> int:
    """Write the corners from `low` to `high`, ascending, and return how many there are."""
    n = 0
    corner = high
    while corner > low:
        path[n] = corner
        corner = links[corner]
        n += 1
    path[n] = low
    path[: n + 1] = path[: n + 1][::-1].copy()
    return n + 1


@compiled
def _furthest(x: Floats, y: Floats, low: int, high: int, heights: Floats) -> float:
    """Return how far heights rise over the chord from `low` to `high`, before its end."""
    slope = (y[high] - y[low]) / (x[high] - x[low])
    furthest = 0.0
    for i in range(low, high):
        furthest = max(furthest, heights[i] - (y[low] + slope * (x[i] - x[low])))
    return furthest


@compiled
def _climb(x: Floats, y: Floats, heights: Floats, path: Counts, end: int) -> float:
    """Return how far the heights rise over the minorant on `path`, before the point `end`."""
    furthest = 0.0
    corner = 0
    while path[corner] < end:
        low, high = path[corner], path[corner + 1]
        furthest = max(furthest, _furthest(x, y, low, high, heights))
        corner += 1
    return furthest


@compiled
def _compare(
    x: Floats, under: Floats, over: Floats, corners: Counts, others: Counts
) -> tuple[float, int, int]:
    """Return where hull `over` is highest above hull `under` at the corners of `under`.

    `corners` are those of `under` and `others` those of `over`, which end at the same points:
    the distance, the corner, and the first other that is not left of it.
    """
    gap, place, behind = -1.0, 0, 0
    right = 0
    for corner in corners:
        while others[right] < corner:
            right += 1
        b = others[right]
        height = over[b]
        if b > corner:
            a = others[right - 1]
            height = over[a] + (over[b] - over[a]) / (x[b] - x[a]) * (x[corner] - x[a])
        if height - under[corner] > gap:
            gap, place, behind = height - under[corner], corner, b
    return gap, place, behind


@compiled
def _narrow(x: Floats, sums: Floats) -> float:
    last = x.size - 1
    lower, upper = sums[:-1].copy(), sums[1:].copy()
    # Turned by half a circle: point i becomes last - i, and the majorant a minorant.
    turned = -x[::-1]
    under, over = -upper[::-1], -lower[::-1]
    links, turned_links = _link(x, lower), _link(turned, under)
    path, turned_path = np.empty_like(links), np.empty_like(links)
    low, high = 0, last
    dip = 0.0
    while low < high:
        g = path[: _trace(links, low, high, path)]
        h = turned_path[: _trace(turned_links, last - high, last - low, turned_path)]
        majorant = last - h[::-1]
        gap, new_low, new_high = _compare(x, lower, upper, g, majorant)
        turned_g = last - g[::-1]
        turned_gap, place, behind = _compare(turned, under, over, h, turned_g)
        if turned_gap > gap:
            gap, new_low, new_high = turned_gap, last - behind, last - place
        if gap <= dip:
            break
        dip = max(dip, _climb(x, lower, upper, g, new_low))
        dip = max(dip, _climb(turned, under, over, h, last - new_high))
        low, high = new_low, new_high
    return 0.5 * dip / float(sums[-1])
