"""Session documents as the data plane reads them."""

import json
from dataclasses import dataclass, field

from store.bounds import parse_networks
from store.errors import Tampered
from store.lineage import Document, opener_of
from store.model import Caller, Scope


@dataclass(frozen=True, slots=True)
class Session:
    """A believed session: the keyed hash of its token, and who it stands for."""

    token: str
    sha256: str
    caller: Caller
    opener: str | None = None
    """The key that opened it; None: nothing to be asked."""
    document: Document = field(default_factory=dict, compare=False)


def parse_session(body: bytes, sha256: str, id_: str) -> Session:
    """Read a session document whose hash and signature were checked; raises `Tampered`."""
    try:
        document = json.loads(body)
        if document["id"] != id_:
            raise Tampered("a session document belongs to another session")
        declared = document["secrets"]
        caller = Caller(
            session=id_,
            scope=Scope(document["organisation"], document["project"], document["dataset"]),
            environment=document["environment"],
            expires_at=document["expires_at"] / 1000,
            declared=None if declared is None else frozenset(declared),
            origins=tuple(document["origins"]),
            max_requests=document["max_requests"],
            label=document["label"],
            sources=parse_networks(document.get("sources", ())),
            consumer=document.get("consumer") or "",
        )
        return Session(document["token"], sha256, caller, opener_of(document), document)
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered("a session document is of another format") from error
