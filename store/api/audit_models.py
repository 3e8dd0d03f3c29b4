"""The audit log, out."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from store.api.fields import Model, Out, Prose, Time
from store.api.page import PageQuery
from store.log.chain import is_whole
from store.records import AuditRow

_WORD = Field(pattern="^[a-z_]{1,32}(:[a-z_]{1,32})?$")
_ID = Field(pattern="^[A-Za-z0-9_-]{1,64}$")


class AuditQuery(PageQuery):
    """Filters of the log."""

    project: Annotated[str, _ID] = ""
    dataset: Annotated[str, _ID] = ""
    action: Annotated[
        str, _WORD, Field(max_length=65, description="An action or an area: `secrets:write`, `secrets`.")
    ] = ""
    outcome: Literal["", "ok", "denied", "forbidden", "not_found"] = ""


class AuditOut(Out):
    """One row: a change, a denial, an authentication that failed, or a use."""

    seq: int
    at: Time
    action: str
    outcome: str
    scope: str
    object: str
    actor: str
    source: str
    request_id: str
    detail: dict[str, Any]
    prev: str = Field(description="Hash of the row before.")
    hash: str = Field(description="SHA-256 of this row's canonical JSON.")

    @classmethod
    def of(cls, row: AuditRow) -> "AuditOut":
        """Return the answer for a row."""
        if not is_whole(row):
            return cls(**_DAMAGED, seq=row.seq, hash=row.hash)
        known = {**row.body, "object": row.body["target"], "hash": row.hash}
        return cls.model_validate({**known, "at": int(str(row.body["at"])) / 1000})


_DAMAGED: Mapping[str, Any] = {
    **dict.fromkeys(("action", "scope", "object", "actor", "source", "request_id", "prev"), ""),
    "at": 0,
    "outcome": "damaged",
    "detail": {},
}
"""What is said of a row that is not what was written: nothing of what stands there now."""


class AuditList(Out):
    """A page of the log, newest first."""

    items: list[AuditOut]
    next: str | None


class VerdictOut(Out):
    """Whether the hash chain holds up to the signed head."""

    ok: bool
    rows: int
    last: str
    fault: str
    gaps: int = Field(description="Gaps that an owner has acknowledged, and that are none to this.")


class GapIn(Model):
    """An owner's word on a gap."""

    note: Prose = Field("", description="What happened, for who asks later.")


class GapOut(Out):
    """Rows of the log that are missing or changed; `last` is `first - 1` where two rows do not fit together."""

    id: str
    first: int
    last: int
    fault: str
    state: Literal["open", "acknowledged"]
    found_at: Time
    acknowledged_at: Time | None
    acknowledged_by: str | None
    note: str


class GapList(Out):
    """Every gap that was found."""

    items: list[GapOut]
