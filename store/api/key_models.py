"""API keys, in and out. A key is in the answer to its making, and nowhere else."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema
from pydantic.config import JsonDict

from store.access import ACTIONS, AREAS, AREAS_ELSEWHERE
from store.api.fields import Id, Label, Model, Out, Patch, Seconds, Sources, Time, shape
from store.api.page import PageQuery

YEAR = 366 * 86_400
MONTH = 30 * 86_400
_DATASET = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}/[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"

Permission = Literal["full", "read_only", "rater_only", "restricted", "owner", "labeler_only"]
"""The last is another name for `rater_only`."""
Area = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted([*AREAS, *AREAS_ELSEWHERE])})]
Action = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(ACTIONS)})]
Ids = Annotated[list[Id], Field(max_length=200)]
Datasets = Annotated[list[Annotated[str, shape(_DATASET)]], Field(max_length=200)]


_LISTED: JsonDict = {
    "anyOf": [
        {"required": ["permission"], "properties": {"permission": {"const": "restricted"}}},
        {"properties": {"actions": {"anyOf": [{"type": "null"}, {"maxItems": 0}]}}},
    ]
}


class KeyIn(Model, json_schema_extra=_LISTED):
    """A new key: the least that is useful unless you say more. It never has more than its maker, nor lives longer."""

    name: Label
    permission: Permission = "rater_only"
    access: Annotated[list[Area], Field(max_length=20)] | None = Field(None, description="Areas it is limited to.")
    actions: Annotated[list[Action], Field(max_length=40)] = Field(default=[], description="For `restricted` only.")
    projects: Ids | None = Field(None, description="Null: all; a limited maker names some of its own.")
    datasets: Datasets | None = Field(None, description="As `project/dataset`. Null: all; a limited maker names some.")
    sources: Sources = Field(
        default=[], description="Networks it may come from; none: anywhere. A limited maker names some of its own."
    )
    consumers: Ids | None = Field(None, description="It opens sessions for these consumers only. Null: any, or none.")
    member: Id | None = Field(
        None, description="Whose it is, and whose rights bound it at all times. Null: its maker's."
    )
    ttl: Annotated[int, Seconds(1, YEAR)] | None = 90 * 86_400


class KeyPatch(Patch, json_schema_extra={**_LISTED, "minProperties": 1}):
    """A change of a key; what is left out stays."""

    name: Label | None = None
    permission: Permission | None = None
    access: Annotated[list[Area], Field(max_length=20)] | None = None
    actions: Annotated[list[Action], Field(max_length=40)] | None = None
    projects: Ids | None = None
    datasets: Datasets | None = None
    sources: Sources | None = None
    consumers: Ids | None = None
    ttl: Annotated[int, Seconds(1, YEAR)] | None = None


class RotateIn(Model):
    """How long the old key still works, and what becomes of the sessions that it opened."""

    overlap: Annotated[int, Seconds(0, MONTH)] = 0
    sessions: Literal["keep", "end"] = Field("keep", description="Sessions outlive a rotation, unless they are ended.")


class KeyQuery(PageQuery):
    """The order of the list."""

    sort: Literal["created_at", "-created_at", "last_used_at", "-last_used_at"] = "-created_at"


class LeakIn(Model):
    """A key that was found where it should not be."""

    key: str = Field(max_length=200, json_schema_extra={"format": "password", "writeOnly": True})


class KeyOut(Out):
    """A key, without the key."""

    id: str
    name: str
    permission: str
    access: list[str] | None
    actions: list[str]
    projects: list[str] | None
    datasets: list[str] | None
    sources: list[str]
    consumers: list[str] | None
    member: str | None
    state: str = Field(description="active, rotated, expired; ended, with what made it; damaged: it does not verify.")
    created_at: Time
    created_by: str
    expires_at: Time | None
    last_used_at: Time | None


class KeyMade(KeyOut):
    """A new key, shown once; a repetition of the request gets null."""

    key: str | None


class KeyList(Out):
    """A page of keys, newest first unless asked otherwise."""

    items: list[KeyOut]
    next: str | None


class EndedKeyOut(Out):
    """A key that ended with another."""

    id: str
    name: str


class EndedOut(Out):
    """What ended with a key that may be in other hands, beside it."""

    sessions: int = Field(description="How many live sessions it had opened, with those of the keys below.")
    keys: list[EndedKeyOut] = Field(description="The keys that came of it.")
