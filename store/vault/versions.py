"""Writing versions: seal, sign, retire the one before, prune the oldest. What is kept comes from the manifest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from store.checks import problem
from store.keys.envelope import Binding
from store.keys.sealing import Sealer, sign_envelope
from store.keys.tokens import random_text
from store.kinds import Credential
from store.ledger.binding import binding_of
from store.ledger.commit import Transaction
from store.ledger.manifests import Draft
from store.ledger.mirror import Content
from store.model import NAME, Kind, Scope
from store.providers import rules_for
from store.trust.entry import KEEP_VERSIONS, EntryState, VersionState
from store.trust.signing import digest
from store.vault.defaults import Default
from store.vault.upload import Ready


@dataclass(frozen=True, slots=True)
class Author:
    """By whom an entry is written, and where it goes if its upload says nothing."""

    actor: str
    default: Default


def write_version(
    transaction: Transaction,
    draft: Draft,
    sealer: Sealer,
    author: Author,
    ready: Ready,
    *,
    inherit: bool,
    groups: Mapping[str, str] | None = None,
) -> EntryState:
    """Store a version and make it the active one; returns the entry's state.

    `inherit`: rules that the upload leaves out come from the version before (a rotation), else from the default.
    """
    before = draft.find((ready.kind.value, ready.name, ready.environment))
    active = before.version(before.active) if before is not None and inherit else None
    default = author.default if ready.hosts is None and active is None else Default()
    if ready.kind is Kind.VARIABLE and default.level != draft.scope.level:
        default = Default()  # what is no secret goes anywhere, unless its own upload says otherwise
    rules = rules_for(ready.hosts, ready.locations, None if active is None else active.rules, default.hosts)
    _check_known(ready, default, draft.scope)
    state = before or EntryState(draft.scope, _new_id(), ready.kind.value, ready.name, ready.environment)
    number, store_id = state.last + 1, transaction.keys.public.store_id
    binding = Binding(
        store_id,
        sealer.kid,
        draft.scope,
        ready.kind,
        ready.environment,
        ready.name,
        number,
        *rules,
        credential=ready.credential,
    )
    body, signature = _content(transaction, sealer, ready, binding)
    version = VersionState(number, digest(body), sealer.kid.hex(), rules, rules, credential=ready.credential)
    kept = ready.keep_versions or (state.keep if inherit else KEEP_VERSIONS)
    fields = {"state": "active", "active": number, "last": number, "keep": kept}
    after = (
        state.retired(transaction.now)
        .changed(version, **fields, groups=state.groups if groups is None else groups)
        .pruned(transaction.now)
    )
    listed = _listed(transaction, author, ready, new=before is None, keep=inherit)
    # What an upload says of its own dataset it knows.
    filled = [default.told()] if default.hosts and (inherit or default.level != draft.scope.level) else []
    warnings = [[warning.code, warning.detail] for warning in (*filled, *ready.warnings(rules))]
    made = {"warnings": json.dumps(warnings), "created_at": transaction.now, "created_by": author.actor}
    draft.put(after, transaction.now, listed, Content(number, body, signature, made))
    return after


def _new_id() -> str:
    """Return an id that is no name, since either stands in a path."""
    while NAME.fullmatch(made := random_text(16)):
        pass
    return made


def _listed(transaction: Transaction, author: Author, ready: Ready, *, new: bool, keep: bool) -> dict[str, object]:
    """Return what is listed of an entry after an upload; what it leaves out stays with `keep`, else it is emptied."""
    now, actor = transaction.now, author.actor
    told = {"provider": ready.provider, "description": ready.description, "rotate_after": ready.rotate_after}
    given: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    empty: dict[str, object] = {} if keep and not new else {"provider": "", "description": "", "rotate_after": None}
    made = {"created_at": now, "created_by": actor} if new else {}
    return {**empty, **given, **made, "updated_at": now, "updated_by": actor, "rotated_at": now}


def _content(transaction: Transaction, sealer: Sealer, ready: Ready, binding: Binding) -> tuple[bytes, bytes | None]:
    """Return what is stored: envelope and signature, or a variable's plain bytes."""
    if ready.kind is Kind.VARIABLE and ready.value is not None:
        return ready.value.reveal(), None
    if ready.value is None:
        _check_binding(ready, binding)
    body = sealer.seal(ready.value, binding) if ready.value is not None else ready.sealed or b""
    return body, sign_envelope(transaction.keys.writer, body, binding)


def _check_binding(ready: Ready, binding: Binding) -> None:
    """Refuse what was sealed for another version, place or rules: it would be stored and never open."""
    if ready.binding not in {None, hashlib.sha256(binding.info()).hexdigest()}:
        hint = (
            f"Seal it for version {binding.version}, this place and the rules as they are in force here: name `hosts`, "
            "or ask `default-hosts` beside `secrets/`."
        )
        raise problem(f"{ready.pointer}/sealed", "sealed_binding", hint)


def _check_known(ready: Ready, default: Default, scope: Scope) -> None:
    """Refuse an envelope for which rules would be filled in from elsewhere, with no word of what it was sealed for."""
    if ready.sealed is not None and ready.binding is None and default.hosts and default.level != scope.level:
        hint = f"The {default.level} says where this would go. Name `hosts` and seal for them, or send `binding`."
        raise problem(f"{ready.pointer}/sealed", "sealed_unbound", hint)


def resealed(transaction: Transaction, state: EntryState, number: int, sealer: Sealer, envelope: bytes) -> None:
    """Put an envelope of the same value, under another key, in a version's place; name, rules and number stay."""
    version, draft = state.version(number), transaction.draft(state.scope)
    if version is None or draft is None:
        return
    fresh = replace(version, kid=sealer.kid.hex(), sha256=digest(envelope))
    binding = binding_of(transaction.keys.public.store_id, state, fresh)
    signature = sign_envelope(transaction.keys.writer, envelope, binding)
    draft.put(state.changed(fresh), transaction.now, {}, Content(number, envelope, signature))


def delete_entry(transaction: Transaction, draft: Draft, state: EntryState) -> None:
    """Take an entry out of use; what was active lately stays sealed for the scrubber until housekeeping erases it."""
    draft.put(state.deleted(transaction.now), transaction.now, {})


def binding_of_row(store_id: bytes, entry: Mapping[Any, Any], version: Mapping[Any, Any]) -> Binding:
    """Return what a stored version says it is bound to; its envelope opens only if that is so."""
    listed: list[dict[str, Any]] = json.loads(entry["record"] or "{}").get("versions", [])
    kept = next((each for each in listed if each["number"] == version["number"]), {})
    return Binding(
        store_id,
        bytes.fromhex(version["kid"]),
        Scope(entry["organisation"], entry["project"], entry["dataset"]),
        Kind(entry["kind"]),
        entry["environment"],
        kept.get("name") or entry["name"],
        version["number"],
        json.loads(version["sealed_hosts"]),
        json.loads(version["sealed_locations"]),
        credential=Credential.of(kept),
    )
