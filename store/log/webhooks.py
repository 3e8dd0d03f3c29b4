"""Rows of the log, told to webhooks: each URL in order, again until it answers, from where the last store ended.

A message is signed as https://www.standardwebhooks.com says: HMAC-SHA256 over its id, its time and its body, so that
the receiver knows the store and refuses what is old. Nothing of this is on a request's way: a URL that does not answer
is behind, and nothing waits for it.

How far each URL was told stands in the database, where every store finds it and no plane believes it: who writes there
can have rows told again, or not at all. Rows that are missing or changed are found without it (`ledger.log_watch`).
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from store.database import rows
from store.database.engine import Database
from store.database.schema import webhooks
from store.errors import StoreError
from store.log.audit import read_rows
from store.trust.head import Head

log = logging.getLogger("store.webhooks")
EVERY: Final = 1.0
"""Seconds between two looks at the log."""
MOST: Final = 100
"""Rows of a message."""
LOOKED_AT: Final = 1000
"""Rows that are read at once. So many that nobody asked for are passed over at most before that is written down."""
TIMEOUT: Final = 10.0
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 300.0
_PREFIX: Final = "whsec_"
_LEAST_KEY: Final = 24


class BadKey(Exception):
    """The file of the signatures' key holds none; the message names the remedy."""


def read_key(path: Path) -> bytes:
    """Read the signatures' key: base64 of 24 bytes or more, with or without `whsec_` before it. Raises `BadKey`."""
    remedy = f"audit.webhook_key: {path}: needs base64 of 24 to 64 random bytes, as `openssl rand -base64 32` writes it"
    try:
        key = base64.b64decode(path.read_bytes().strip().removeprefix(_PREFIX.encode()), validate=True)
    except (OSError, binascii.Error):
        raise BadKey(remedy) from None
    if not _LEAST_KEY <= len(key) <= 64:
        raise BadKey(remedy)
    return key


def signed(key: bytes, id_: str, at: int, body: bytes) -> dict[str, str]:
    """Return the fields that a message is sent with; `at` in Unix seconds."""
    code = hmac.digest(key, b"%s.%d.%s" % (id_.encode(), at, body), "sha256")
    signature = "v1," + base64.b64encode(code).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(at), "webhook-signature": signature}


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told of what. `actions` are whole actions or areas, as in the list's filter; of syslog, none: all."""

    urls: Sequence[str] = ()
    key: bytes = field(default=b"", repr=False)
    actions: Sequence[str] = ()
    syslog: str = ""
    syslog_actions: Sequence[str] = ()
    syslog_trust: Sequence[Path] = ()


def wanted(action: str, actions: Sequence[str]) -> bool:
    """Whether rows of an action are among actions and areas."""
    return action in actions or action.partition(":")[0] in actions


class Webhook:
    """Tells one URL, while this store leads. `head` gives the verified head, whose log's rows alone are told."""

    kind = "webhook"

    def __init__(
        self, url: str, hooks: Hooks, database: Database, head: Callable[[], Head], leads: Callable[[], bool]
    ) -> None:
        self._url, self._hooks = url, hooks
        self._database, self._head, self._leads = database, head, leads
        self._id = hashlib.sha256(url.encode()).hexdigest()  # the URL may hold a token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-webhook", daemon=True)
        self._delay = 0.0
        self._seq: int | None = None
        self._kept = 0
        self.behind = 0
        """Rows of the log that are still to be looked at."""

    def start(self) -> None:
        """Tell what there is, in a thread, until closed."""
        self._thread.start()

    def close(self) -> None:
        """Stop. A message under way is given up after a second, and sent again by whoever comes next."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.wait(max(EVERY, self._delay)):
            if not self._leads():
                self._seq = None  # another store tells meanwhile
                continue
            try:
                while not self._stop.is_set() and self._turn():
                    pass
            except StoreError as error:
                log.warning("the log cannot be read for a %s: %s", self.kind, error)
            except Exception:
                if not self._stop.is_set():  # the database may be closed by then
                    log.exception("a %s failed", self.kind)  # what it was about to tell is told again

    def _turn(self) -> bool:
        """Look at some rows, and send what is wanted of them; returns whether there may be more."""
        head = self._head()
        at = self._begin(head) if self._seq is None else self._seq
        with self._database.read() as connection:
            found = [row for row in read_rows(connection, at, LOOKED_AT) if row.seq <= head.audit_seq]
        wanted = [row for row in found if self._wants(str(row.body.get("action", "")))][:MOST]
        last = wanted[-1].seq if len(wanted) == MOST else found[-1].seq if found else at
        self.behind = head.audit_seq - at
        if wanted and not self._send(head, [{**row.body} for row in wanted]):
            return False
        self._seq = last
        if wanted or last - self._kept >= LOOKED_AT:
            self._keep(last)
        self.behind = head.audit_seq - last
        return self.behind > 0 and bool(found)

    def _begin(self, head: Head) -> int:
        """Return where to go on: where the last store ended; for a new URL, the log's end."""
        with self._database.read() as connection:
            kept = rows.find(connection, webhooks, id=self._id)
        if kept is None:
            self._keep(head.audit_seq)
        elif kept["seq"] > head.audit_seq:
            log.error("a %s was said to be ahead of the log: rows may not have been told; see docs/audit.md", self.kind)
            self._keep(head.audit_seq)
        else:
            self._kept = int(kept["seq"])
        self._seq = self._kept
        return self._seq

    def _keep(self, seq: int) -> None:
        with self._database.write() as connection:
            rows.put(connection, webhooks, {"id": self._id}, {"seq": seq})
        self._kept = seq

    def _send(self, head: Head, told: list[dict[str, Any]]) -> bool:
        """Send one message; False when it is to be sent again, later."""
        said = self._told(head, told)
        if said is None:
            if self._delay:
                log.warning("the %s at %s answers again", self.kind, self._name)
            self._delay = 0.0
            return True
        if not self._delay:
            log.warning("the %s at %s is not told: %s; trying again", self.kind, self._name, said)
        self._delay = min(LONGEST_DELAY, max(FIRST_DELAY, 2 * self._delay))
        return False

    def _wants(self, action: str) -> bool:
        return wanted(action, self._hooks.actions)

    def _told(self, head: Head, told: Sequence[dict[str, Any]]) -> str | None:
        """Tell rows; None when they were taken, else why not."""
        now = int(time.time())
        id_ = f"{head.store_id[:16]}-{told[0]['seq']}"
        message = {"type": "audit", "timestamp": _rfc3339(now), "data": {"store": head.store_id, "rows": told}}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        fields = {"Content-Type": "application/json", **signed(self._hooks.key, id_, now, body)}
        return _post(self._url, body, fields)

    @property
    def _name(self) -> str:
        """Whose webhook it is; no path, which may hold a token."""
        return str(urlsplit(self._url).hostname)


def _post(url: str, body: bytes, fields: dict[str, str]) -> str | None:
    """Send a message; None when it was taken (2xx), else why not. No redirect is followed."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=TIMEOUT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, {"User-Agent": "egret", **fields})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__  # its text may have bytes of the answer
    finally:
        connection.close()
    return None if 200 <= status < 300 else f"status {status}"


def _rfc3339(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
