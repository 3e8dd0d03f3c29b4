"""What requests leave behind, on its way to a collector (`otlp.endpoint`): lines to a process that speaks OTLP.

A process of its own, since its libraries (opentelemetry, requests, protobuf) have no business where values are, and its
work would be the loop's. It is given lines as the request log has them, through a pipe: names, ids and times. Nothing
waits for it: a thread writes the lines, and when the pipe is full, because the collector does not take them, so many
wait as the request log lets wait; what comes then is dropped and counted. A process that dies is begun again.
"""

import json
import marshal
import os
import subprocess
import sys
import threading
from binascii import b2a_base64, crc32
from collections.abc import Mapping
from typing import Final

from proxy.admission.request_log import Waiting

MODULE: Final = "proxy.otlp"
FAREWELL: Final = 1.5
"""Seconds that the process has to send what there is at the end."""
MOST: Final = 100
"""Requests that a line tells of."""
PAUSE: Final = 5.0
"""Seconds before one that died is begun again."""


class Exporter(Waiting):
    """Gives lines to the process. `config` is what it is told at its start, which no command line shows."""

    def __init__(self, config: Mapping[str, object]) -> None:
        # Whoever writes holds the reading end, too: a process that died leaves a pipe that its successor reads on.
        self._read, write = os.pipe()
        super().__init__(write, "otlp-lines")
        self._config = json.dumps(config).encode()
        self._pipe = write
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="otlp", daemon=True)
        self.lost = 0
        """What the process had to give up."""

    def start(self) -> None:
        """Begin."""
        self._keeper.start()
        super().start()

    def close(self) -> None:
        """Have what is there sent, if that is quick."""
        if not self._keeper.is_alive():
            return
        super().close()
        self._ended.set()
        # Else the thread writes to a pipe that nobody reads: a number that is free is soon another's.
        if not self._thread.is_alive():
            os.close(self._pipe)  # the process finds the end of its input
            os.close(self._read)
            self._keeper.join(FAREWELL)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._keeper.join(FAREWELL)

    def _write(self) -> None:
        """Write what waits, so many in a line.

        As Python itself writes numbers and strings down, for the same Python: a tenth of the time that JSON needs. Each
        line has a checksum, since half of one may be left of a process that died.
        """
        while self._lines:
            data = marshal.dumps([self._lines.popleft() for _ in range(min(len(self._lines), MOST))])
            self._put(b"%08x " % crc32(data) + b2a_base64(data))

    def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                self._process = process = self._begun()
            except OSError:
                self._ended.wait(PAUSE)
                continue
            with process:
                for line in process.stdout or ():  # how many it gave up; ends with it
                    self.lost += int(line)
            self._ended.wait(PAUSE)

    def _begun(self) -> "subprocess.Popen[bytes]":
        given, giving = os.pipe()
        try:
            os.write(giving, self._config)
            # No environment: it would say what OpenTelemetry's libraries do, and by which proxy.
            return subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-I", "-m", MODULE, str(given)],
                stdin=self._read, stdout=subprocess.PIPE, pass_fds=[given], env={},
            )  # fmt: skip
        finally:
            os.close(giving)
            os.close(given)
