"""What a key's signed document says of its life, and of what depends on it. Pure; both planes ask it.

A key that ended keeps its document: what it opened and made is judged by that, at each use, with no list to walk.

- Revoked: it and its sessions are over; keys that it made stay.
- Reported as leaked: it, its sessions and the keys that it made (`makers`, and theirs) are over. Successors that it
  made of itself are a run (`run`: the first, `nth`: its place), so that a report costs one document however often it
  was rotated: the first of the run says from which place on it is leaked.
- Rotated (`superseded_at`): the key ends there; its sessions do not.
- `sessions_era` goes up when its sessions are ended; a session counts under the one that it was opened in.
- A group counts for its members while its document says that it is there: one that ended gives nothing, whoever still
  names it, and its id is not used again.
- A member's key, or session, is of the member that was there then (`member_born`): one who comes back under the same id
  does not bring it back. Likewise a session's consumer (`consumer_born`) and dataset (`dataset_born`), whose
  `sessions_era` goes up when all its sessions are ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from store.bounds import earliest
from store.errors import Tampered
from store.roles import Member, group_key, member_key

type Document = Mapping[str, Any]
type Fetch = Callable[[str], Document | None]
"""Give a document by its key, believed; raises `Tampered`."""

LOCAL: Final = "local"
"""In place of a key's id: the operator at the data folder."""
REVOKED: Final = "revoked"
REPORTED: Final = "reported"
DEPTH: Final = 64
"""How far what was made by what was made may go: each use asks for all of them."""


def document_key(key: str) -> str:
    """Return the document key of an API key."""
    return f"apikey/{key}"


def ends_at(document: Document) -> int | None:
    """Return when a key ends (Unix ms), by its own life or by its overlap."""
    return earliest(document["expires_at"], document.get("superseded_at"))


def lives(document: Document, fetch: Fetch, now: float) -> bool:
    """Whether a key may be used; `now` in Unix seconds."""
    ends = ends_at(document) if "ended" not in document or document["ended"] is None else 0
    return (ends is None or ends > now * 1000) and not is_leaked(document, fetch)


def carries(document: Document | None, era: int, fetch: Fetch, now: float) -> bool:
    """Whether a key carries a session that it opened in an era: rotation does not end it."""
    if document is None or document.get("ended") is not None or document.get("sessions_era", 0) != era:
        return False
    ends = document["expires_at"]
    return (ends is None or ends > now * 1000) and not is_leaked(document, fetch)


def is_in(session: Document, born: int | None, said: Mapping[str, Any]) -> bool:
    """Whether a session counts in its dataset, of which `said` is known: another one of that name has not got it."""
    return session.get("dataset_born") in {None, born} and session.get("dataset_era", 0) == said.get("sessions_era", 0)


def opener_of(session: Document) -> str | None:
    """Return the key that opened a session; None for the operator at the data folder.

    Sessions of releases before 2026-12 do not name it, but for those that no member's key opened: these say it in
    `created_by`. The others end with their member.
    """
    if "key" in session:
        return None if session["key"] == LOCAL else str(session["key"])
    kind, _, key = str(session["created_by"]).partition(":")
    return key if kind == "key" and key != LOCAL else None


def is_leaked(document: Document, fetch: Fetch) -> bool:
    """Whether a key, or one of those that made it, was reported. One whose document is gone counts as reported."""
    waiting, seen = [document], set[str]()
    while waiting:
        each = waiting.pop()
        first = fetch(document_key(each["run"])) if each.get("nth") else each
        if each.get("ended") == REPORTED or first is None or _leaked_from(first) <= each.get("nth", 0):
            return True
        for maker in set(each.get("makers", ())) - seen:
            found = fetch(document_key(maker))
            if found is None:
                return True
            seen.add(maker)
            waiting.append(found)
    return False


def _leaked_from(first: Document) -> float:
    return float("inf") if first.get("leaked_from") is None else int(first["leaked_from"])


def member_of(document: Document, fetch: Fetch) -> Member | None:
    """Return the member whose a key or session is, None when it is gone, or another one came under its id."""
    found = fetch(member_key(document["organisation"], document["member"]))
    if found is None or document.get("member_born") not in {None, found["created_at"]}:
        return None
    member = Member.of(found)
    return replace(
        member, groups=frozenset(each for each in member.groups if is_group(document["organisation"], each, fetch))
    )


def is_group(organisation: str, group: str, fetch: Fetch) -> bool:
    """Whether there is a group of this id; one whose document does not verify gives nothing."""
    try:
        found = fetch(group_key(organisation, group))
    except Tampered:
        return False
    return found is not None and found["ended"] is None
