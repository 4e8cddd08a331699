"""What a cell of a heat map says, digit by digit."""


def digit(value: float, top: float) -> str:
    """The nearest of the ten values 0, top/9, ..., top to the magnitude; a minus where not 0."""
    best, apart = 0, abs(value)
    for ninth in range(10):
        distance = abs(abs(value) - top * ninth / 9)
        if distance < apart:
            best, apart = ninth, distance
    return ("-" if value < 0 and best > 0 else "") + str(best)
