"""A child for the supervisor's tests: `python standin.py MODE --fd N --ready-fd N`; answers each line with its pid.

Modes: `good`; `alone` is, but as a spare ends at once for good; `slow` keeps a request for a second; `deaf` ignores SIGTERM; `fatal` and `broken` end at once;
`mute` never says ready; `flag:PATH` is good until PATH exists, then ends at start.
"""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    mode = sys.argv[1]
    spare = "--spare" in sys.argv
    words = [word for word in sys.argv[2:] if word != "--spare"]
    options = dict(zip(words[::2], words[1::2], strict=True))
    if mode == "fatal" or (mode == "alone" and spare):
        sys.exit(78)
    if mode == "broken" or (mode.startswith("flag:") and Path(mode[5:]).exists()):
        sys.exit(1)
    listener = socket.socket(fileno=int(options["--fd"]))
    listener.settimeout(0.02)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else lambda *_: stopping.set())
    hushed = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: hushed.set())
    if spare:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        os.write(int(options["--ready-fd"]), b"spare\n")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # by this a test sees that it has said so
        while not stopping.is_set() and signal.sigtimedwait([signal.SIGUSR2], 0.02) is None:
            pass
    if mode != "mute" and not stopping.is_set():
        os.write(int(options["--ready-fd"]), b"ready\n")
    os.close(int(options["--ready-fd"]))
    while not stopping.is_set():
        if hushed.is_set():
            listener.close()
            stopping.wait()
            continue
        try:
            conn, _ = listener.accept()
        except TimeoutError:
            continue
        with conn:
            conn.settimeout(5)
            if conn.recv(100):
                time.sleep(1 if mode == "slow" else 0)
                conn.sendall(b"%d" % os.getpid())


main()
