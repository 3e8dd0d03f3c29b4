"""Queries and lists of secrets, variables and versions."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from store.api.fields import ID, Environment, Model, Out, Time, shape
from store.api.page import PageQuery
from store.api.secret_models import Rule, SecretOut, VariableOut
from store.records import VersionInfo

Sort = Literal["name", "created_at", "updated_at", "last_used_at", "use_count", "rotate_due_at",
               "-name", "-created_at", "-updated_at", "-last_used_at", "-use_count", "-rotate_due_at"]  # fmt: skip


def _line(longest: int) -> WithJsonSchema:
    """Return the form of one line of visible characters; more of what Unicode cannot print is refused too."""
    return shape("^[^\\x00-\\x1f\\x7f-\\xa0\\xad]*$", maxLength=longest)


def _flag(given: object) -> object:
    return {"true": True, "false": False}.get(given, given) if isinstance(given, str) else given


Flag = Annotated[bool, BeforeValidator(_flag)]
"""A yes or no in a query: `true` or `false`."""


class EntryQuery(PageQuery):
    """Filters of a list."""

    q: Annotated[str, _line(200), Field(max_length=200, description="Part of the name or description.")] = ""
    provider: Annotated[str, _line(64), Field(max_length=64)] = ""
    created_by: Annotated[
        str, _line(254), Field(max_length=254, description="`key:…`, `member:…`, or a member's email.")
    ] = ""
    environment: Environment | None = None
    due: Flag | None = Field(None, description="`true`: only what is due for rotation; `false`: only what is not.")
    group: Annotated[str, Field(pattern=f"^({ID[1:-1]})?$", description="Only what names this group itself.")] = ""
    sort: Sort = "name"


class OneQuery(Model):
    """Which environment's secret of this name is meant; none: the one for all environments."""

    environment: Environment | None = None


class SecretList(Out):
    """A page of secrets."""

    items: list[SecretOut]
    next: str | None


class VariableList(Out):
    """A page of variables."""

    items: list[VariableOut]
    next: str | None


class VersionOut(Out):
    """A version, without its value."""

    version: int
    state: Literal["active", "inactive", "destroyed"]
    hosts: list[Rule]
    locations: list[str]
    created_at: Time
    created_by: str
    retired_at: Time | None

    @classmethod
    def of(cls, info: VersionInfo) -> "VersionOut":
        """Return the answer for what the vault knows."""
        known = {name: getattr(info, name) for name in cls.model_fields if name != "version"}
        return cls(version=info.number, **known)


class VersionList(Out):
    """All versions, newest first."""

    items: list[VersionOut]
    next: str | None
