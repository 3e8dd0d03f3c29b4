"""Rows of the log, told to syslog (RFC 5424), as webhooks are: in order, again until taken, from where it was ended.

`tls://` frames messages by their length (RFC 5425), and so does `tcp://` (RFC 6587 3.4.1), which like `unix:` is for a
collector on this machine. UDP is not spoken: it loses in silence. Syslog has no answer, so a row counts as told when
the other machine's TCP has acknowledged it (SIOCOUTQ, tcp(7)) and the connection stands for half a second after that;
until then it is told again. What a collector takes and loses later nobody can find out. A datagram to `unix:` is in
the other's queue when it is sent, and waits when that is full.

A message is one line of JSON in ASCII, so that no name in it can end a line, begin another or address a terminal.
"""

import fcntl
import json
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from store.database.engine import Database
from store.log.webhooks import TIMEOUT, Hooks, Webhook, wanted
from store.trust.head import Head

PORTS: Final = {"tcp": 601, "tls": 6514}
FACILITY: Final = 13
"""Log audit (RFC 5424 6.2.1)."""
INFORMATIONAL, WARNING = 6, 4
SETTLES: Final = 0.5
"""Seconds for which the connection has to stand: a collector that ends has bytes in its queue that it never reads."""
LOOK: Final = 0.002
"""Seconds between two looks at what the other side has acknowledged."""


class Syslog(Webhook):
    """Tells one collector, while this store leads."""

    kind = "syslog"

    def __init__(self, hooks: Hooks, database: Database, head: Callable[[], Head], leads: Callable[[], bool]) -> None:
        super().__init__(hooks.syslog, hooks, database, head, leads)
        self._sock: socket.socket | None = None

    def close(self) -> None:
        """Stop."""
        super().close()
        self._hang_up()

    def _wants(self, action: str) -> bool:
        return not self._hooks.syslog_actions or wanted(action, self._hooks.syslog_actions)

    def _told(self, head: Head, told: Sequence[dict[str, Any]]) -> str | None:
        try:
            sock = self._sock = self._sock or _connected(self._url, self._hooks.syslog_trust)
            for row in told:
                _write(sock, message(row, head.store_id))
            _acknowledged(sock)
        except OSError as error:  # TimeoutError and ssl's are some
            self._hang_up()
            return type(error).__name__  # its text may have bytes of the other side
        return None

    def _hang_up(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


def message(row: dict[str, Any], store: str) -> bytes:
    """Return a row as RFC 5424 has it; the row itself is its text."""
    severity = INFORMATIONAL if row.get("outcome") == "ok" and row.get("action") != "use:refuse" else WARNING
    at = datetime.fromtimestamp(row["at"] / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = json.dumps({"store": store, **row}, separators=(",", ":")).replace("\x7f", "\\u007f")
    action = "".join(char for char in str(row.get("action", "")) if "!" <= char <= "~")[:32]
    return f"<{FACILITY * 8 + severity}>1 {at} {_host()} egret - {action or '-'} - {text}".encode("ascii")


def _host() -> str:
    return "".join(char for char in socket.gethostname() if "!" <= char <= "~")[:255] or "-"


def _connected(url: str, trust: Sequence[Path]) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(parts.path)
        except OSError:
            sock.close()
            raise
        return sock
    host = str(parts.hostname)
    plain = socket.create_connection((host, parts.port or PORTS[parts.scheme]), TIMEOUT)
    if parts.scheme == "tcp":
        return plain
    context = ssl.create_default_context()
    for path in trust:
        context.load_verify_locations(path)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise


def _write(sock: socket.socket, told: bytes) -> None:
    if sock.type == socket.SOCK_DGRAM:
        sock.send(told)
    else:
        sock.sendall(b"%d %s" % (len(told), told))


def _acknowledged(sock: socket.socket) -> None:
    """Wait until all that was sent has come; raises `OSError` where it has not, or the other side has hung up."""
    if sock.type == socket.SOCK_DGRAM:
        return
    ends = time.monotonic() + TIMEOUT
    while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(LOOK)
    ends = time.monotonic() + SETTLES
    try:
        while (left := ends - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(4096):  # nothing is ever said to us, but that it is over, and TLS's own
                raise ConnectionResetError
    except TimeoutError:
        pass
    finally:
        sock.settimeout(TIMEOUT)
