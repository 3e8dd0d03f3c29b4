"""Verifying the audit log away from its store: rows, the signed head, and checkpoints that were kept elsewhere.

    chain      each row holds the hash of the one before: a row changed, left out or moved is found
    head       signed by the writer, names the last row: a log cut at its end is found
    checkpoint names a row of an earlier time: a log that was rewritten, forked or rolled back is found

A restore from a backup rolls the log back as well. It begins a new epoch and says so in a row, so a checkpoint of an
older epoch may miss what came after that row: counted in `undone`, not a fault. Who did not restore should ask.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from store.errors import StoreError, Tampered
from store.log.audit import GENESIS, link_fault
from store.log.checkpoints import Checkpoint
from store.records import AuditRow
from store.trust.head import Head
from store.trust.signing import Verifier, canonical


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. `vouched` is the last row that a checkpoint saw; `undone` counts checkpoints before a restore."""

    ok: bool
    rows: int
    last: str
    vouched: int = 0
    undone: int = 0
    fault: str = ""


def check(rows: Iterable[AuditRow], head: Callable[[], Head | None], checkpoints: Sequence[Checkpoint] = ()) -> Report:
    """Walk the log once, then ask for its head; the first fault decides."""
    seen: dict[int, str] = {}
    wanted = {each.seq for each in checkpoints}
    restores: list[tuple[int, int]] = []
    number, previous = 0, GENESIS
    for row in rows:
        if fault := link_fault(row, number + 1, previous):
            return Report(ok=False, rows=number, last=previous, fault=fault)
        number, previous = row.seq, row.hash
        if number in wanted:
            seen[number] = previous
        if row.body.get("action") == "store:restore":
            epoch = str(row.body.get("target")).removeprefix("epoch ")
            restores.append((number, int(epoch) if epoch.isdecimal() and len(epoch) < 19 else 0))
    end = head()
    if end is not None and (end.audit_seq, end.audit_hash) != (number, previous):
        fault = f"the log ends at row {number}, the signed head at row {end.audit_seq}"
        return Report(ok=False, rows=number, last=previous, fault=fault)
    return _held_against(checkpoints, seen, restores, (number, previous))


def _held_against(
    checkpoints: Sequence[Checkpoint], seen: dict[int, str], restores: list[tuple[int, int]], end: tuple[int, str]
) -> Report:
    vouched = undone = 0
    for each in checkpoints:
        if each.seq == 0 or seen.get(each.seq) == each.hash:
            vouched = max(vouched, each.seq)
        elif any(seq <= each.seq and epoch > each.epoch for seq, epoch in restores):
            undone += 1
        else:
            cut = f"the log ends at row {end[0]}, and a checkpoint saw row {each.seq}: its end was cut off"
            fork = f"row {each.seq} is another one than a checkpoint saw: the log was rewritten"
            fault = cut if each.seq > end[0] else fork
            return Report(ok=False, rows=end[0], last=end[1], vouched=vouched, undone=undone, fault=fault)
    return Report(ok=True, rows=end[0], last=end[1], vouched=vouched, undone=undone)


def write_export(rows: Iterable[AuditRow], head: tuple[str, bytes]) -> Iterator[str]:
    """Yield an export: a JSON line per row with its hash, and the signed head as the last line."""
    for row in rows:
        yield canonical({"seq": row.seq, "hash": row.hash, "body": row.body}).decode()
    yield canonical({"head": head[0], "signature": base64.b64encode(head[1]).decode()}).decode()


class Export:
    """An export, read: iterate over `rows` first; then `head` is there, verified, or None when its line is missing."""

    def __init__(self, lines: Iterable[str], verifier: Verifier) -> None:
        self._lines = lines
        self._verifier = verifier
        self.head: Head | None = None

    def rows(self) -> Iterator[AuditRow]:
        """Yield the rows; raises `Tampered` for a line that is none."""
        for line in self._lines:
            try:
                members = json.loads(line)
                if "head" in members:
                    signature = base64.b64decode(members["signature"], validate=True)
                    store_id = bytes.fromhex(json.loads(members["head"])["store_id"])
                    self.head = Head.read(members["head"], signature, self._verifier, store_id)
                    return
                yield AuditRow(int(members["seq"]), str(members["hash"]), dict(members["body"]))
            except StoreError:
                raise
            except (TypeError, ValueError, KeyError) as error:
                raise Tampered("a line of the export is of another format") from error
