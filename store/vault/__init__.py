"""The write gate. Every verb takes a `Principal`, authorises, and audits in the transaction of the change.

Sync; call it from one thread at a time for writes (`store.database.writer.WriterThread`), from any thread for reads.

    Vault.open(url, data) -> Vault            migrate, check keys; raises KeyMismatch
    organisations   create(p, id, name) -> key            the operator's owner key alone
    projects        create(p, name, id=, hosts=)   list
    settings        get(p, scope)   change(p, scope, ScopeChange, if_match=)   defaults(p, scope)     of projects too
    datasets        create(p, project, Upload, id=)   get   list   replace(…, Upload, if_match=)   delete
                    change(…, ScopeChange, if_match=)   disable(…, disabled=True)
    budgets         get(p, project, dataset) -> Budgeted   set(p, project, dataset, budgets, if_match=)
    files           put(p, scope, etag, keep)
                    expect(scope, etag)   finish(scope, etag, keep)            by who was shown an upload URL
    entries         put(p, scope, kind, NewEntry, if_match=, if_none_match=)   a new version, used at once
                    list(p, scope, kind, Listing) -> Page
                    info / patch(…, Change) / delete / disable / enable        by (p, scope, kind, name, environment=)
                    versions / activate(…, name, number) / destroy(…, name, number)
    asking          ask(p, scope, Question) -> Decision        what a session would meet that p opens now
    members         create   list   get   patch   remove      by (p, member)   join(p, group, member, leave=False)
                    set_role / drop_role(p, project, member)                   list_in(p, project)
    groups          create   list   get   rename   delete     grant(p, scope, GroupGrant)   ungrant   grants(p, scope)
    consumers       declare(p, project, consumer, Declaration)   list   get   delete
    sessions        open(p, project, dataset, NewSession) -> (SessionInfo, token)   list   get   revoke   revoke_all
                    of_key(p, key)
    keys            authenticate(api_key, source=, request_id=) -> Principal   resume   report_leaked(api_key)
                    create(p, NewKey) -> (KeyInfo, key)   list   get   patch   revoke
                    rotate(p, id, overlap, sessions=) -> (KeyInfo, key)   end_sessions(p, id)   compromised(p, id)
                    recover_owner(p) -> key               the operator at the data folder alone
    sign_ins        sign_in(Identity, life, source=, request_id=) -> Principal     whom an identity provider named
    log             list(p, LogQuery) -> Page   verify(p) -> Verdict   gaps(p)   acknowledge(p, gap, note)
    once            recall(mark) -> Answer | None   marked(mark, verb)   keep_answer(mark, Answer)     Idempotency-Key
    sealing_keys    active()   list(p)   register(p, public)   take_resealed(p, batch)   retire(p, kid)
                    put_recovery(p, bundle)
    beat()  intake(data).take()  tend()  sweep().turn()     the store's own duties; `store.vault.keeper` runs them

`scope` is `principal.scope(project, dataset)`: dataset, project or organisation, all alike. Input errors are
`store.errors.Invalid` with pointers relative to the body of that request.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from store.database.backup import backup
from store.database.engine import Database, file_of
from store.database.leader import Leader
from store.database.migrations import migrate
from store.keys.keyring import ControlKeys
from store.ledger.alarms import Alarms
from store.ledger.anchor import Anchor
from store.ledger.housekeeping import flush_key_use, tend
from store.ledger.intake import Intake
from store.ledger.log_watch import LogWatch
from store.ledger.sweep import Sweep
from store.ledger.upgrade import upgrade
from store.log.checkpoints import Checkpoints
from store.log.syslog import Syslog
from store.log.webhooks import Hooks, Webhook
from store.people import MemberChange, NewMember
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, MARK, HighWater, anchor_of
from store.vault.asking import Asking, Decision, Question
from store.vault.budgets import Budgets
from store.vault.consumers import Consumers, Declaration
from store.vault.datasets import Datasets, Upload
from store.vault.entries import Entries
from store.vault.files import Files
from store.vault.gate import Gate
from store.vault.groups import Groups
from store.vault.keys import KeyChange, Keys
from store.vault.listing import Listing
from store.vault.log import Log, LogQuery, Verdict, gap_waits
from store.vault.members import Members
from store.vault.once import Answer, Once
from store.vault.organisations import Organisations
from store.vault.projects import Projects
from store.vault.rights import NewKey
from store.vault.sealing_keys import Resealed, SealingKeys
from store.vault.session_documents import NewSession
from store.vault.sessions import Sessions
from store.vault.settings import DEFAULTS_FOR, ScopeChange, Settings
from store.vault.sign_ins import SignIns

__all__ = [
    "DEFAULTS_FOR",
    "Answer",
    "Decision",
    "Declaration",
    "KeyChange",
    "Listing",
    "LogQuery",
    "MemberChange",
    "NewKey",
    "NewMember",
    "NewSession",
    "Question",
    "Resealed",
    "ScopeChange",
    "Upload",
    "Vault",
    "Verdict",
]


class Vault:
    """All verbs, by what they are about, and the store's own duties."""

    def __init__(self, gate: Gate, anchor: HighWater | None = None) -> None:
        self._gate = gate
        self.anchor = None if anchor is None else Anchor(gate.ledger, anchor)
        """Keeps the mark elsewhere; None where no place was named."""
        self.organisations = Organisations(gate)
        self.projects = Projects(gate)
        self.settings = Settings(gate)
        self.datasets = Datasets(gate)
        self.budgets = Budgets(gate)
        self.files = Files(gate)
        self.entries = Entries(gate)
        self.asking = Asking(gate)
        self.members = Members(gate)
        self.groups = Groups(gate)
        self.consumers = Consumers(gate)
        self.sessions = Sessions(gate)
        self.keys = Keys(gate)
        self.sign_ins = SignIns(gate)
        self.log = Log(gate)
        self.once = Once(gate)
        self.sealing_keys = SealingKeys(gate)

    @classmethod
    def open(
        cls,
        url: str,
        data: Path,
        clock: Callable[[], float] = time.time,
        *,
        anchor: Path | None = None,
        enroll: bool = False,
    ) -> Self:
        """Read the keys, migrate the database, check that they belong together; raises `KeyMismatch`.

        `anchor` is a folder elsewhere in which the store keeps a second mark; raises `Unavailable` where there is none.
        With `enroll` a folder without a mark believes what it sees; else it needs a witness that knows it.
        """
        keys = ControlKeys.load(data)
        anchored = None if anchor is None else anchor_of(anchor, keys.public.store_id)
        witnesses = [data / DATA / MARK, *([] if anchored is None else [anchored.path])]
        database = Database(url)
        database.require_durable()
        gate = Gate(database, keys, clock, HighWater(data, CONTROL, witnesses, enroll=enroll))
        with database.write() as connection:
            migrate(connection)
        database.shape.settle()
        with database.write() as connection:
            gate.ledger.head(connection, lock=True)
        upgrade(gate.ledger)
        return cls(gate, anchored)

    def close(self) -> None:
        """Close the database."""
        self._gate.database.close()

    def beat(self) -> None:
        """Renew the signed head (call every two seconds); raises `Unavailable`."""
        self._gate.ledger.beat()

    @property
    def sqlite(self) -> bool:
        """Whether the store is on SQLite, and therefore the only one."""
        return self._gate.database.sqlite

    def leader(self) -> Leader:
        """Return what says whether this store leads the others."""
        return Leader(self._gate.database, self._gate.keys.public.store_id)

    def head_age(self) -> float:
        """Return how many seconds ago the head was written last, by whichever store."""
        with self._gate.database.read() as connection:
            return self._gate.clock() - self._gate.ledger.head(connection).issued_at / 1000

    def intake(self, data: Path) -> Intake:
        """Return what takes the data plane's spools in."""
        return Intake(self._gate.ledger, data)

    def checkpoints(self, data: Path) -> Checkpoints:
        """Return what writes checkpoints of the audit log."""
        return Checkpoints(data, self._gate.keys.writer)

    def webhooks(self, hooks: Hooks, leads: Callable[[], bool]) -> list[Webhook]:
        """Return what tells webhooks and syslog of the log, while `leads` says that this store leads."""
        database, head = self._gate.database, self.audit_head
        found = [Webhook(url, hooks, database, head, leads) for url in hooks.urls]
        return [*found, Syslog(hooks, database, head, leads)] if hooks.syslog else found

    def audit_head(self) -> Head:
        """Return the verified head, which names the log's last row."""
        with self._gate.database.read() as connection:
            return self._gate.ledger.head(connection)

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the database beside the running store (SQLite)."""
        backup(file_of(self._gate.database.url), target)

    def sweep(self) -> Sweep:
        """Return what holds every row against what is signed."""
        return Sweep(self._gate.ledger)

    def log_watch(self) -> LogWatch:
        """Return what walks the log's chain."""
        return LogWatch(self._gate.ledger)

    def gap_waits(self) -> bool:
        """Whether a gap in the log waits for an owner's word."""
        return gap_waits(self._gate.ledger)

    @property
    def alarms(self) -> Alarms:
        """What did not fit what is signed, lately."""
        return self._gate.ledger.alarms

    def tend(self) -> int:
        """Clean up: expired sessions, deleted values, last use of keys (call every minute or so)."""
        ledger = self._gate.ledger
        if used := self.keys.take_used():
            flush_key_use(ledger, used)
        if folded := self._gate.folding.take():
            with ledger.change() as transaction:
                for event in folded:
                    transaction.log(event)
        return tend(ledger)
