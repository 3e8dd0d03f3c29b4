"""Whether something can be read from a descriptor, whatever its number: `select.select` knows those below 1,024 only."""

import select


def readable(what, seconds: float) -> bool:
    """Wait for as long; `what` has a descriptor or is one."""
    poll = select.poll()
    poll.register(what, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
