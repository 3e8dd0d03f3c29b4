"""The head: one signed row that dates everything. Rewritten at each commit, and every two seconds by the heartbeat.

`revision` counts what the data plane can see, `beat` every commit, `epoch` restores; `root` is the hash tree's;
`audit_seq` and `audit_hash` are the log's last row; `size` counts the changes in the history, `history` are its peaks.
`issued_at` (Unix milliseconds) and `beat` let the data plane refuse a store that stands still.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from store.errors import KeyMismatch, Tampered
from store.trust import history
from store.trust.signing import HEAD, Verifier, Writer, canonical

Prove = Callable[[int, int], list[bytes]]
"""Give the consistency proof from one size of the history to another."""


def channel_of(store_id: bytes) -> str:
    """Return the name under which a store on PostgreSQL rings when its revision moved."""
    return f"egret_{store_id.hex()[:16]}"


@dataclass(frozen=True, slots=True)
class Head:
    """What the signed row says. `kid` is the active sealing key."""

    store_id: str
    epoch: int
    revision: int
    beat: int
    issued_at: int
    root: str
    audit_seq: int
    audit_hash: str
    kid: str
    size: int = 0
    history: str = ""

    @property
    def peaks(self) -> list[bytes]:
        """The peaks of the history (`store.trust.history`)."""
        return [bytes.fromhex(peak) for peak in self.history.split()]

    def descends(self, size: int, peaks: str, prove: Prove) -> bool:
        """Whether the history begins with one of `size` leaves and these peaks; raises `Tampered` over edited nodes."""
        before = [bytes.fromhex(peak) for peak in peaks.split()]
        if size >= self.size:
            return self.size == size and self.peaks == before
        first, last = history.root(before), history.root(self.peaks)
        one, two = history.roots(prove(size, self.size), size, self.size)
        if two != last:
            raise Tampered("the store's history does not verify")
        return one == first

    def leaf(self) -> bytes:
        """Return what this head's change is in the history: all that a heartbeat does not move."""
        return canonical([self.store_id, self.epoch, self.revision, self.root, self.kid])

    def body(self) -> str:
        """Return the canonical text that is signed."""
        return _body(self)

    def sign(self, writer: Writer) -> bytes:
        """Return the writer's signature."""
        return writer.sign(HEAD, self.body().encode())

    def later(self, **changes: object) -> "Head":
        """Return a copy with changes."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @classmethod
    def read(cls, body: str, signature: bytes, verifier: Verifier, store_id: bytes) -> "Head":
        """Verify and parse; raises `Tampered`, or `KeyMismatch` for another store's head."""
        head = cls._parse(body)
        if head.store_id != store_id.hex():  # said before the signature is looked at: the plainer sentence
            raise KeyMismatch("The database belongs to another store than the keys in this folder.")
        verifier.check(signature, HEAD, body.encode())
        return head

    @classmethod
    def _parse(cls, body: str) -> "Head":
        try:
            return cls(**json.loads(body))
        except (TypeError, ValueError) as error:
            raise Tampered(
                "the store's head is of another format: an early or a later release made it. Start that release, or "
                "begin anew with `egret init` in another folder and upload the secrets again"
            ) from error


@lru_cache(4)
def _body(head: Head) -> str:
    """Write a head once: it is signed, kept, marked and compared."""
    return canonical({name: getattr(head, name) for name in Head.__slots__}).decode()
