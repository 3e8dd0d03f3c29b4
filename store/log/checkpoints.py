"""Signed checkpoints of the audit log: what the log was, said where its keeper cannot take it back.

The chain and the signed head show that the log is one piece. They do not show a whole, genuine database of last week
put in place of today's, nor a log written anew by who has the writer key. A copy of a checkpoint elsewhere does.

A checkpoint is one JSON line: `store_id`, `epoch`, `seq`, `hash` (the log's last row), `at` (Unix milliseconds), and
`signature`, the writer's (Ed25519, base64) over the framed canonical JSON of the others.
"""

import base64
import json
import os
import select
import sys
from dataclasses import dataclass
from pathlib import Path

from store.errors import Tampered
from store.trust.head import Head
from store.trust.signing import CHECKPOINT, Verifier, Writer, canonical

FILE = "audit/checkpoints.jsonl"
"""Where the store keeps them, below the data folder."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log's last row was at a time."""

    store_id: str
    epoch: int
    seq: int
    hash: str
    at: int

    @classmethod
    def of(cls, head: Head) -> "Checkpoint":
        """Return the checkpoint of a head."""
        return cls(head.store_id, head.epoch, head.audit_seq, head.audit_hash, head.issued_at)

    def body(self) -> bytes:
        """Return what is signed."""
        return canonical({name: getattr(self, name) for name in self.__slots__})

    def line(self, writer: Writer) -> str:
        """Return the signed line, without its end."""
        signature = base64.b64encode(writer.sign(CHECKPOINT, self.body())).decode()
        return canonical({**json.loads(self.body()), "signature": signature}).decode()

    @classmethod
    def read(cls, line: str, verifier: Verifier) -> "Checkpoint":
        """Parse and verify one line; raises `Tampered`."""
        try:
            members = json.loads(line)
            signature = base64.b64decode(members.pop("signature"), validate=True)
            found = cls(**members)
            body = found.body()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise Tampered("a checkpoint is of another format") from error
        verifier.check(signature, CHECKPOINT, body)
        return found


def read_checkpoints(text: str, verifier: Verifier) -> list[Checkpoint]:
    """Read checkpoints, of a file or of collected output: other lines are not ours; raises `Tampered`.

    A last line without an end was cut short by a crash, and is left out.
    """
    whole = text[: text.rfind("\n") + 1]
    return [Checkpoint.read(line, verifier) for line in whole.splitlines() if line.startswith('{"at":')]


class Checkpoints:
    """Writes a checkpoint when the log has grown. `fault` says what failed last, "" when all is well."""

    def __init__(self, data: Path, writer: Writer) -> None:
        self._path = data / FILE
        self._writer = writer
        self.stdout = False
        self._last = (-1, -1)
        self.fault = ""

    def write(self, head: Head) -> None:
        """Add the head's checkpoint to the file, synced, and to stdout; nothing when it is the last one's."""
        if (head.epoch, head.audit_seq) == self._last:
            return
        line = Checkpoint.of(head).line(self._writer) + "\n"
        try:
            self._append(line.encode())
        except OSError as error:
            self.fault = f"no checkpoint can be written ({error.strerror})"
            return
        self.fault, self._last = "", (head.epoch, head.audit_seq)
        if self.stdout:
            _say(line.encode())

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW  # opened anew each time: logrotate may rename it
        handle = os.open(self._path, flags, 0o600)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # the last one was cut short
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)


def _say(line: bytes) -> None:
    """Write to stdout if it takes the line at once: nobody who does not read may hold the store up."""
    try:
        number = sys.stdout.fileno()
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        if poll.poll(0):  # a pipe that is writable takes PIPE_BUF bytes whole; a line is shorter
            os.write(number, line)
    except (OSError, ValueError):
        return
