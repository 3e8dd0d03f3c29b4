"""What a restore takes over from the store that it replaces: all that was taken away since the backup.

A backup brings rights back that were taken for a reason. Sessions end, all of them. Keys, members and consumers stand
as they stood last, and are gone where they were gone; so are datasets, secrets and destroyed versions; what was
disabled or narrowed stays so, and a refresh token that is used up. Of the replaced store only what verifies counts.
"""

import json
from dataclasses import replace

from sqlalchemy import Connection, delete, select

from store.database import rows
from store.database.schema import api_keys, consumers, documents, entries, groups, members, sessions
from store.ledger.commit import Ledger, Transaction
from store.ledger.lists import Lists
from store.ledger.manifests import Draft, Kept
from store.ledger.upgrade import GROUPS
from store.model import Scope
from store.trust.entry import EntryState

_STANDING = ("apikey/", "member/", "consumer/")
"""What stands as it stood last."""


def end_sessions(transaction: Transaction) -> None:
    """End every session."""
    for key in transaction.vouched.every("session/"):
        transaction.drop_document(key)
    transaction.connection.execute(delete(sessions))


def carry_over(transaction: Transaction, ledger: Ledger, then: Connection) -> None:
    """Take over what was taken away in the store that `ledger` reads through `then`; raises `Tampered`."""
    for key in transaction.vouched.every(_STANDING):
        body = ledger.document(then, key)
        if body is None:
            _drop(transaction, key)
        else:
            transaction.put_text(key, body)
            Lists(transaction).settle(key.partition("/")[0], json.loads(body))
    if ledger.document(then, GROUPS) is not None:
        for key in {each for found in (transaction.vouched.every("group/"), _keys(then, "group/")) for each in found}:
            _end_group(transaction, key, ledger.document(then, key))
    for key in transaction.vouched.every("manifest/"):
        scope = Scope(*key.split("/")[1:4])
        kept, draft = ledger.manifest(then, scope), transaction.draft(scope)
        if kept is None:
            transaction.forget(scope)
        elif draft is not None:
            _carry(transaction, draft, kept, then)


def _keys(connection: Connection, prefix: str) -> list[str]:
    query = select(documents.c.key).where(documents.c.key.startswith(prefix))
    return list(connection.execute(query).scalars())


def _end_group(transaction: Transaction, key: str, body: bytes | None) -> None:
    """End a group that ended since the backup, or was made since: members stand as they stood last, and may name it."""
    _, organisation, id_ = key.split("/")
    here = rows.read_document(transaction.connection, key)
    if body is None or here is None or json.loads(body)["ended"] is not None:
        transaction.put_document(key, {"organisation": organisation, "id": id_, "ended": transaction.now})
        rows.remove(transaction.connection, groups, organisation=organisation, id=id_)


def _drop(transaction: Transaction, key: str) -> None:
    transaction.drop_document(key)
    kind, *parts = key.split("/")
    if kind == "apikey":
        rows.remove(transaction.connection, api_keys, id=parts[0])
    elif kind == "member":
        rows.remove(transaction.connection, members, organisation=parts[0], id=parts[1])
    elif kind == "consumer":
        rows.remove(transaction.connection, consumers, organisation=parts[0], project=parts[1], id=parts[2])


def _carry(transaction: Transaction, draft: Draft, kept: Kept, then: Connection) -> None:
    if kept.settings.get("state") == "disabled" and draft.settings["state"] != "disabled":
        draft.set(state="disabled", state_before=draft.settings["state"], revision=draft.settings["revision"] + 1)
    for state in draft.live():
        line = kept.lines.get(state.id)
        if line is None or not line.live:
            draft.put(state.deleted(transaction.now), transaction.now, {})
            continue
        row = rows.find(then, entries, id=state.id)
        record = None if row is None or row["record"] is None else row["record"].encode()
        was = kept.entry(state.id, record)
        left = _narrowed(state, was, whole=record is not None)
        if left != state:
            draft.put(left.changed(), transaction.now, {})


def _narrowed(state: EntryState, was: EntryState, *, whole: bool) -> EntryState:
    """Return an entry without the versions that were destroyed, under the rules that were left of the others."""
    for version in state.versions:
        later = was.version(version.number)
        if later is None and whole and version.number <= was.last:
            state = state.without(version.number)
        elif later is not None and later.sha256 == version.sha256 and later.rules != version.rules:
            narrowed = replace(version, rules=later.rules)
            state = replace(state, versions=tuple(narrowed if v is version else v for v in state.versions))
    state = _spent(state, was)
    return replace(state, state="disabled") if was.state == "disabled" else state


def _spent(state: EntryState, was: EntryState) -> EntryState:
    """Return an entry whose refresh tokens are used up that were, or of which that is not known any more."""
    used = [
        replace(each, spent=True)
        for each in state.versions
        if each.credential.refreshed and ((later := was.version(each.number)) is None or later.spent)
    ]
    kept = {each.number: each for each in (*state.versions, *used)}
    return replace(state, versions=tuple(kept[number] for number in sorted(kept)))
