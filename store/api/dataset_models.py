"""Projects and datasets, in and out."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict

from store.api.fields import Filename, Id, Label, Model, Out, Time, Word, shape
from store.api.hosts import EGRESS_HOST, SCRUB_HOST, Hosts, plain
from store.api.secret_models import Rule, SecretIn, SecretOut, VariableIn, VariableOut
from store.records import DatasetInfo
from store.vault import Upload

_NAMES: JsonDict = {"uniqueItems": True}
"""As near as a schema comes to saying that no name may stand in a list twice for one environment."""

Status = Literal["draft", "processing", "ready", "error", "disabled"]


class OrganisationIn(Model):
    """An organisation: a tenant that shares nothing with the others."""

    id: Id
    name: Label


class OrganisationMade(Out):
    """A new organisation. `key` is its owner's and is shown once; a repetition of the request gets null."""

    id: str
    name: str
    key: str | None


class ProjectIn(Model):
    """A project; `id` may be chosen."""

    name: Label
    id: Id | None = None
    hosts: Hosts | None = Field(None, description="Where its secrets go that name no hosts.")


class ProjectOut(Out):
    """A project, or the organisation."""

    id: str
    name: str
    hosts: list[Rule] | None = Field(description="Where its secrets go that name no hosts; null: not said here.")
    created_at: Time
    created_by: str


class ProjectList(Out):
    """A page of projects."""

    items: list[ProjectOut]
    next: str | None


class EgressIn(Model):
    """What sessions of the dataset may reach, with or without a secret."""

    allow: Annotated[list[Annotated[str, shape(EGRESS_HOST)]], Field(max_length=200)] = Field(default=[])
    default: Literal["allow", "deny"] = "deny"
    scrub_hosts: Annotated[list[Annotated[str, shape(SCRUB_HOST)]], Field(max_length=200)] = Field(
        default=[], description="Hosts whose answers are searched for every value, beside those its own rules reach."
    )

    def given(self) -> dict[str, object]:
        """Return what the vault takes."""
        scrub = {"scrub_hosts": self.scrub_hosts} if self.scrub_hosts else {}
        return {"allow": self.allow, "default": self.default, **scrub}


class DatasetPut(Model):
    """A whole upload: what is not in it is gone afterwards."""

    name: Label
    filename: Filename | None = Field(None, description="With it the answer has an `upload_url` for the file.")
    hosts: Hosts | None = Field(
        None, description="Destinations of every secret here that names none; else the project's."
    )
    secrets: Annotated[list[SecretIn], Field(json_schema_extra=_NAMES)] = Field(default=[])
    variables: Annotated[list[VariableIn], Field(json_schema_extra=_NAMES)] = Field(default=[])
    egress: EgressIn | None = None
    immutable: bool = Field(default=False, description="Its secrets change by a new upload only.")
    strict_bodies: bool = Field(default=False, description="Refuse a request where a body would be carried inert.")
    retention_days: Annotated[int, Field(ge=-1, le=36_500)] | None = Field(
        None, description="Taken for compatibility; a dataset is kept until it is deleted."
    )

    def upload(self) -> Upload:
        """Return what the vault takes."""
        return Upload(
            self.name,
            self.filename or "",
            [each.entry() for each in self.secrets],
            [each.entry() for each in self.variables],
            plain(self.hosts),
            {} if self.egress is None else self.egress.given(),
            self.immutable,
            self.strict_bodies,
        )


class DatasetIn(DatasetPut):
    """A new dataset; `id` may be chosen, so that values can be sealed for it beforehand."""

    id: Id | None = None


class DatasetShort(Out):
    """A dataset in a list."""

    id: str
    project: str
    name: str
    filename: Word
    status: Status
    immutable: bool
    strict_bodies: bool
    hosts: list[Rule]
    egress: dict[str, object]
    created_at: Time
    created_by: str
    updated_at: Time
    updated_by: str
    date_created: Time = Field(description="The same as `created_at`.")
    is_deleted: bool = Field(description="Always false: what is deleted is not found.")

    @classmethod
    def of(cls, info: DatasetInfo) -> "DatasetShort":
        """Return the answer for what the vault knows."""
        return cls(**_known(info))


class DatasetOut(DatasetShort):
    """A dataset with what is in it."""

    secrets: list[SecretOut]
    variables: list[VariableOut]
    date_last_used: Time | None = Field(description="When one of its secrets was last used.")
    upload_url: str | None = Field(description="Where to PUT the file, once and soon; only in the answer to an upload.")

    @classmethod
    def whole(cls, info: DatasetInfo, upload_url: str | None = None) -> "DatasetOut":
        """Return the answer for what the vault knows."""
        return cls(
            **_known(info),
            secrets=[SecretOut.of(each) for each in info.secrets],
            variables=[VariableOut.of(each) for each in info.variables],
            date_last_used=max((each.last_used_at or 0 for each in info.secrets), default=0) or None,
            upload_url=upload_url,
        )


class DatasetList(Out):
    """A page of datasets."""

    items: list[DatasetShort]
    next: str | None


def _known(info: DatasetInfo) -> dict[str, object]:
    other = {"status", "date_created", "is_deleted"}
    known = {name: getattr(info, name) for name in DatasetShort.model_fields if name not in other}
    return {**known, "status": info.state, "date_created": info.created_at, "is_deleted": False}
