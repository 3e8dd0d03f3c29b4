"""The audit log, out."""

import datetime as dt
import re
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from store.api.fields import NAME, Model, Out, Prose, Time, shape
from store.api.page import PageQuery
from store.checks import DURATION, parse_duration
from store.log.chain import is_whole
from store.records import AuditRow
from store.vault import LogQuery

_WORD = Field(pattern="^[a-z_]{1,32}(:[a-z_]{1,32})?$")
_LINE = "^[!-~]*$"
_NAME = Field(pattern=f"^({NAME[1:-1]})?$")
_WHEN = "A day (UTC), a time as RFC 3339 has it, or how long ago: `24h`, `7d`."


_DAY = "2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_DAYS = "2[0-9]{3}-[0-9]{2}-[0-9]{2}"
"""As it is taken: which months have more than 28 days the calendar says."""


def moment(text: str) -> float:
    """Return Unix seconds."""
    if re.fullmatch(DURATION, text):
        return time.time() - parse_duration(text, "")
    text = text.replace(" ", "+")  # what a `+` in a query stands for, unless it was written as %2B
    try:
        found = dt.datetime.fromisoformat(text if re.fullmatch(f"{_DAYS}(T{_TIME})?", text) else "")
    except ValueError:
        sentence = "Write a day such as 2026-01-31, a time such as 2026-01-31T10:00:00Z, or how long ago: 24h, 7d."
        raise PydanticCustomError("egret_time_invalid", sentence) from None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


def _checked(text: str) -> str:
    moment(text)
    return text  # as it was given: a cursor is bound to the words, and an age is another moment each time


Moment = Annotated[str, AfterValidator(_checked), shape(f"^({_DAY}(T{_TIME})?|{DURATION})$", examples=["24h"])]

_ID = Field(pattern="^[A-Za-z0-9_-]{1,64}$")


class AuditQuery(PageQuery):
    """Filters of the log."""

    project: Annotated[str, _ID] = ""
    dataset: Annotated[str, _ID] = ""
    action: Annotated[
        str, _WORD, Field(max_length=65, description="An action or an area: `secrets:write`, `secrets`.")
    ] = ""
    outcome: Literal["", "ok", "denied", "forbidden", "not_found"] = ""
    actor: Annotated[
        str, Field(pattern=_LINE, max_length=254, description="`key:…`, `member:…`, `session:…`, or a member's email.")
    ] = ""
    secret: Annotated[str, _NAME, Field(description="What changed or used this secret or variable.")] = ""
    destination: Annotated[
        str, Field(pattern=_LINE, max_length=254, description="A host, of any port unless one is written.")
    ] = ""
    since: Moment | None = Field(None, alias="from", description=_WHEN)
    until: Moment | None = Field(None, alias="to", description=_WHEN + " Up to it.")

    def asked(self, cursor: str | None) -> LogQuery:
        """Return what the vault takes."""
        given = {name: getattr(self, name) for name in AuditQuery.model_fields}
        times = {name: None if given[name] is None else moment(given[name]) for name in ("since", "until")}
        return LogQuery(**{**given, **times, "cursor": cursor})


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
