"""Sessions, in and out. A token is in the answer to its making, and nowhere else."""

from typing import Annotated

from pydantic import Field

from store.api.fields import Environment, Id, Model, Name, Note, Origin, Out, Seconds, Sources, Time, Word

WEEK = 7 * 86_400
LARGEST = 2**53 - 1
"""The largest number that every JSON reader keeps exactly."""


class SessionIn(Model):
    """Options of a session; an empty body is a session with all names for an hour."""

    secrets: Annotated[list[Name], Field(max_length=1000)] | None = Field(None, description="The names it declares.")
    consumer: Id | None = Field(None, description="For this consumer of the project: it gets exactly its secrets.")
    environment: Environment | None = None
    origins: Annotated[list[Origin], Field(max_length=32)] = Field(default=[], description="Pages that may use it.")
    sources: Sources | None = Field(
        None, description="Networks it may be used from; none: any. Null: those of the key that opens it."
    )
    max_requests: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    label: Note | None = None
    ttl: Annotated[int, Seconds(1, WEEK)] = 3600


class SessionOut(Out):
    """A session, without its token."""

    id: str
    project: str
    dataset: str
    environment: Word
    secrets: list[str] | None
    consumer: str | None
    origins: list[str]
    sources: list[str]
    max_requests: int | None
    label: str
    created_at: Time
    created_by: str
    key: str | None = Field(description="The id of the key that opened it.")
    expires_at: Time
    last_used_at: Time | None
    use_count: int
    state: str = Field(description="live; damaged: it does not verify and is refused. Revoke it.")


class SessionOpened(SessionOut):
    """A new session. `token` and the URLs that hold it are shown once; a repetition of the request gets null."""

    token: str | None
    proxy_url: str | None
    gateway_url: str | None
    ca_url: str
    missing: list[str] = Field(description="Declared, and neither a secret nor a variable of the session: upload them.")


class SessionList(Out):
    """A page of live sessions, newest first."""

    items: list[SessionOut]
    next: str | None
