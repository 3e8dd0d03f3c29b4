"""The audit log, read."""

import json
from dataclasses import dataclass

from sqlalchemy import select

from store.access import Principal
from store.checks import check_text
from store.database.schema import audit
from store.log import audit as chain
from store.model import Scope
from store.records import AuditRow, Page
from store.vault.gate import Verbs
from store.vault.listing import check_limit, decode_cursor, encode_cursor


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What to list of the log. `action` is a whole action or an area (`secrets`)."""

    project: str = ""
    dataset: str = ""
    action: str = ""
    outcome: str = ""
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a verification; `fault` is empty when the chain is whole."""

    ok: bool
    rows: int
    last: str
    fault: str = ""


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
            ):
                check_text(text, pointer)
            where = [audit.c.organisation == scope.organisation]
            where += [audit.c.project == ask.project] if ask.project else []
            where += [audit.c.dataset == ask.dataset] if ask.dataset else []
            where += [audit.c.outcome == ask.outcome] if ask.outcome else []
            if ask.action:
                exact = audit.c.action == ask.action
                where.append(exact | audit.c.action.startswith(ask.action + ":", autoescape=True))
            if ask.cursor:
                where.append(audit.c.seq < decode_cursor(ask.cursor, (int,))[0])
            limit = check_limit(ask.limit)
            rows = (
                select(audit.c.seq, audit.c.hash, audit.c.body)
                .where(*where)
                .order_by(audit.c.seq.desc())
                .limit(limit + 1)
            )
            found = connection.execute(rows).all()
            shown = found[:limit]
            items = tuple(AuditRow(seq, hash_, json.loads(body)) for seq, hash_, body in shown)
            return Page(items, encode_cursor([shown[-1][0]]) if len(found) > limit else None)

    def verify(self, principal: Principal) -> Verdict:
        """Walk the whole chain up to the signed head."""
        with self._gate.look(principal, "audit:read", Scope(principal.organisation), "audit/verify") as connection:
            head = self._gate.ledger.head(connection)
            fault = chain.verify(connection, head.audit_seq, head.audit_hash)
            return Verdict(fault is None, head.audit_seq, head.audit_hash, fault or "")
