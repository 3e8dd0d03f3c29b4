"""Durations as text, `90s` `15m` `24h` `7d` `2w`, and the pattern that says which are in a range."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def spans(least: int, most: int) -> str:
    """Return a pattern of the durations from `least` to `most` seconds, exact to the second."""
    units = [(letter, -(-least // unit), most // unit) for letter, unit in UNITS.items()]
    return "^(" + "|".join(f"({span(first, last)}){letter}" for letter, first, last in units if first <= last) + ")$"


def span(least: int, most: int) -> str:
    """Return a pattern of the whole numbers from `least` to `most`, without leading zeros.

    Steps of ten: from `least` up to the last number that keeps its leading digits, each step one branch.
    """
    parts = ["0"] if least == 0 else []
    least = max(least, 1)
    while least <= most:
        step = 1
        while least % (step * 10) == 0 and least + step * 10 - 1 <= most:
            step *= 10
        last = min(least + (9 - least // step % 10) * step, least + (most - least + 1) // step * step - step)
        last = max(last, least)
        head, digits = str(least // step)[:-1], f"[{str(least // step)[-1]}-{str(last // step)[-1]}]"
        parts.append(head + digits + "[0-9]" * (len(str(step)) - 1))
        least = last + step
    return "|".join(parts)
