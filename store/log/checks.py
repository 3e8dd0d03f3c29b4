"""Verifying the audit log away from its store: rows, the signed head, and checkpoints that were kept elsewhere.

    chain      each row holds the hash of the one before: a row changed, left out or moved is found
    head       signed by the writer, names the last row: a log cut at its end is found
    checkpoint names a row of an earlier time: a log that was rewritten, forked or rolled back is found

A restore from a backup rolls the log back as well. It begins a new epoch and says so in a row, so a checkpoint of an
older epoch may miss what came after that row: counted in `undone`, not a fault. Who did not restore should ask.
"""

import base64
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from store.errors import StoreError, Tampered
from store.log.audit import ends_early
from store.log.chain import DOCUMENT as GAPS
from store.log.chain import Chain, Gap, Gaps
from store.log.checkpoints import Checkpoint
from store.records import AuditRow
from store.trust.head import Head
from store.trust.signing import DOCUMENT, Verifier, canonical


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. `vouched` is the last row that a checkpoint saw; `undone` counts checkpoints before a restore.

    `gaps` counts those that an owner has acknowledged.
    """

    ok: bool
    rows: int
    last: str
    vouched: int = 0
    undone: int = 0
    gaps: int = 0
    fault: str = ""


def check(
    rows: Iterable[AuditRow],
    head: Callable[[], Head | None],
    checkpoints: Sequence[Checkpoint] = (),
    accepted: Collection[Gap] = (),
) -> Report:
    """Walk the log once, then ask for its head; the first fault decides. `accepted` may fill while rows are read."""
    seen: dict[int, str] = {}
    wanted = {each.seq for each in checkpoints}
    restores: list[tuple[int, int]] = []
    met: list[Gap] = []
    chain = Chain()
    for row in rows:
        if (gap := chain.take(row)) is not None:
            if gap not in accepted:
                return Report(ok=False, rows=gap.first - 1, last=gap.before, fault=gap.fault)
            met.append(gap)
        if row.seq in wanted:
            seen[row.seq] = row.hash
        if row.body.get("action") == "store:restore":
            epoch = str(row.body.get("target")).removeprefix("epoch ")
            restores.append((row.seq, int(epoch) if epoch.isdecimal() and len(epoch) < 19 else 0))
    end = head()
    gap = None if end is None else chain.end(end.audit_seq, end.audit_hash)
    if gap is not None and gap not in accepted:
        fault = gap.fault if chain.at > chain.seq else ends_early(chain.seq, gap.last)
        return Report(ok=False, rows=chain.seq, last=chain.hash, fault=fault)
    met += [gap] if gap is not None else []
    seen.update({gap.last: gap.after for gap in met})
    return _held_against(checkpoints, seen, restores, met, (chain.seq, chain.hash))


def _held_against(
    checkpoints: Sequence[Checkpoint],
    seen: dict[int, str],
    restores: list[tuple[int, int]],
    gaps: Sequence[Gap],
    end: tuple[int, str],
) -> Report:
    vouched = undone = 0
    for each in checkpoints:
        if each.seq == 0 or seen.get(each.seq) == each.hash:
            vouched = max(vouched, each.seq)
        elif any(gap.first <= each.seq < gap.last for gap in gaps):
            continue
        elif any(seq <= each.seq and epoch > each.epoch for seq, epoch in restores):
            undone += 1
        else:
            cut = f"the log ends at row {end[0]}, and a checkpoint saw row {each.seq}: its end was cut off"
            fork = f"row {each.seq} is another one than a checkpoint saw: the log was rewritten"
            fault = cut if each.seq > end[0] else fork
            return Report(ok=False, rows=end[0], last=end[1], vouched=vouched, undone=undone, fault=fault)
    return Report(ok=True, rows=end[0], last=end[1], vouched=vouched, undone=undone, gaps=len(gaps))


def write_export(
    rows: Iterable[AuditRow], head: tuple[str, bytes], gaps: tuple[bytes, bytes] | None = None
) -> Iterator[str]:
    """Yield an export: the signed list of gaps, a JSON line per row with its hash, and the signed head at the end."""
    if gaps is not None:
        yield canonical({"gaps": gaps[0].decode(), "signature": base64.b64encode(gaps[1]).decode()}).decode()
    for row in rows:
        yield canonical({"seq": row.seq, "hash": row.hash, "body": row.body}).decode()
    yield canonical({"head": head[0], "signature": base64.b64encode(head[1]).decode()}).decode()


class Export:
    """An export, read: iterate over `rows` first; then `head` is there, verified, or None when its line is missing."""

    def __init__(self, lines: Iterable[str], verifier: Verifier) -> None:
        self._lines = lines
        self._verifier = verifier
        self.head: Head | None = None
        self.accepted: set[Gap] = set()
        """Gaps that an owner has acknowledged, once their line was read."""

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
                if "gaps" in members:
                    body, signature = members["gaps"].encode(), base64.b64decode(members["signature"], validate=True)
                    self._verifier.check(signature, DOCUMENT, GAPS.encode(), body)
                    self.accepted |= Gaps.parse(body).accepted
                    continue
                yield AuditRow(int(members["seq"]), str(members["hash"]), dict(members["body"]))
            except StoreError:
                raise
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise Tampered("a line of the export is of another format") from error
