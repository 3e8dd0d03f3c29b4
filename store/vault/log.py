"""The audit log, read."""

from dataclasses import dataclass, replace

from store.access import Principal
from store.checks import check_text
from store.database.schema import audit
from store.errors import Forbidden, Tampered
from store.ledger.commit import Ledger
from store.ledger.log_watch import read_gaps
from store.log import audit as chain
from store.log import finding
from store.log.chain import DOCUMENT, Gaps, Known
from store.log.finding import Asked
from store.model import Scope
from store.records import AuditRow, GapInfo, Page
from store.vault.gate import Verbs, nothing
from store.vault.listing import check_limit, decode_cursor, encode_cursor
from store.vault.makers import made_by
from store.vault.organisations import OPERATOR


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What to list of the log. `action` is a whole action or an area (`secrets`).

    `actor` is `key:…`, `member:…`, `session:…` or a member's email; `destination` a host, with its port or of any;
    `since` and `until` are Unix seconds.
    """

    project: str = ""
    dataset: str = ""
    action: str = ""
    outcome: str = ""
    limit: int = 50
    cursor: str | None = None
    actor: str = ""
    secret: str = ""
    destination: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a verification; `fault` is empty when the chain is whole, but for gaps that were acknowledged."""

    ok: bool
    rows: int
    last: str
    fault: str = ""
    gaps: int = 0


class Log(Verbs):
    """Verbs on the audit log."""

    def list(self, principal: Principal, query: LogQuery | None = None) -> Page[AuditRow]:
        """Return a page of the organisation's log, newest first."""
        ask = query or LogQuery()
        scope = Scope(principal.organisation, ask.project, ask.dataset)
        with self._gate.look(principal, "audit:read", scope, "audit") as connection:
            for pointer, text in (
                ("/action", ask.action),
                ("/outcome", ask.outcome),
                ("/project", ask.project),
                ("/dataset", ask.dataset),
                ("/actor", ask.actor),
                ("/secret", ask.secret),
                ("/destination", ask.destination),
            ):
                check_text(text, pointer)
            where = [audit.c.organisation == scope.organisation]
            where += [audit.c.project == ask.project] if ask.project else []
            where += [audit.c.dataset == ask.dataset] if ask.dataset else []
            where += [audit.c.outcome == ask.outcome] if ask.outcome else []
            if ask.action:
                exact = audit.c.action == ask.action
                where.append(exact | audit.c.action.startswith(ask.action + ":", autoescape=True))
            where += [] if ask.since is None else [audit.c.at >= round(ask.since * 1000)]
            where += [] if ask.until is None else [audit.c.at < round(ask.until * 1000)]
            actors = made_by(self._gate.ledger, connection, principal, ask.actor) if ask.actor else None
            if ask.cursor:
                where.append(audit.c.seq < decode_cursor(ask.cursor, (int,))[0])
            limit = check_limit(ask.limit)
            rows = chain.ROW.where(*where).order_by(audit.c.seq.desc())
            found = [*finding.found(connection, rows, Asked(actors, ask.secret, ask.destination), limit + 1)]
            items = tuple(found[:limit])
            return Page(items, encode_cursor([items[-1].seq]) if len(found) > limit else None)

    def verify(self, principal: Principal) -> Verdict:
        """Walk the whole chain up to the signed head; gaps that were acknowledged are none."""
        with self._gate.look(principal, "audit:read", Scope(principal.organisation), "audit/verify") as connection:
            head = self._gate.ledger.head(connection)
            try:
                accepted = read_gaps(self._gate.ledger, connection).accepted
            except Tampered:
                accepted = frozenset()
            fault = chain.verify(connection, head.audit_seq, head.audit_hash, accepted)
            return Verdict(fault is None, head.audit_seq, head.audit_hash, fault or "", len(accepted))

    def gaps(self, principal: Principal) -> tuple[GapInfo, ...]:
        """Return what the store found to be missing or changed in its log."""
        with self._gate.look(principal, "audit:read", Scope(principal.organisation), "audit/gaps") as connection:
            return tuple(map(_info, read_gaps(self._gate.ledger, connection).known))

    def acknowledge(self, principal: Principal, gap: str, note: str = "") -> GapInfo:
        """Accept one gap, for good, as an owner; raises `NotFound` where there is none of that id."""
        target = f"audit/gaps/{gap[:64]}"
        with self._gate.change(principal, "audit:acknowledge", Scope(principal.organisation), target) as transaction:
            check_text(note, "/note", 1024)
            known = read_gaps(self._gate.ledger, transaction.connection).known
            wanted = next((each for each in known if each.gap.id == gap), None)
            if wanted is None:
                raise nothing()
            if principal.permission != "owner" or principal.organisation != OPERATOR:
                raise Forbidden("The operator's owner key alone acknowledges a gap in the log.")
            done = replace(wanted, acknowledged_at=transaction.now, acknowledged_by=principal.actor, note=note)
            if wanted.acknowledged_at is None:
                everything = Gaps(tuple(done if each is wanted else each for each in known))
                transaction.put_document(DOCUMENT, everything.body())
                return _info(done)
            return _info(wanted)


def gap_waits(ledger: Ledger) -> bool:
    """Whether a gap waits for an owner's word, or the list of them is damaged."""
    try:
        with ledger.database.read() as connection:
            return bool(read_gaps(ledger, connection).open)
    except Tampered:
        return True


def _info(known: Known) -> GapInfo:
    at = known.acknowledged_at
    state = "open" if at is None else "acknowledged"
    when = None if at is None else at / 1000
    who, gap = known.acknowledged_by or None, known.gap
    return GapInfo(gap.id, gap.first, gap.last, gap.fault, state, known.found_at / 1000, when, who, known.note)
