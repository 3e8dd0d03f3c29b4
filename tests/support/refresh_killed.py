"""A data plane that is killed while it trades a refresh token, at one line after another.

    python refresh_killed.py FOLDER DATA URL CA SESSION      reads numbers of lines; prints how each went

All of it is loaded once and forked for each kill; the store and the endpoint are the test's.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from rotating import RefreshHouse

import store.reader.leases
from proxy.admission import events
from proxy.border import endpoint, refreshing, shelf, tokens

FOLDER, DATA, URL, CA, SESSION = sys.argv[1:]
FILES = {each.__file__ for each in (events, endpoint, refreshing, shelf, tokens, store.reader.leases)}


def traced(number: int):
    """Return a trace that kills this process at the `number`th line that it has not been at."""
    lines = set()

    def trace(frame, event, _argument):
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            if len(lines) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


async def trade(number: int) -> None:
    made = SimpleNamespace(data=Path(DATA), url=URL), SimpleNamespace(secrets=()), SimpleNamespace(path=Path(CA))
    house = RefreshHouse(Path(FOLDER), *made, state=Path(FOLDER) / "state")
    sys.settrace(traced(number))
    await house.token(SESSION)
    sys.settrace(None)
    house.close()


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                asyncio.run(trade(int(line)))
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


main()
