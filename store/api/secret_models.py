"""Secrets and variables, in and out. `value` and `sealed` are in inputs only; a variable's value is readable."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from store.api.fields import LABEL, Duration, Environment, Model, Name, Out, Patch, Prose, Time, Word, shape
from store.api.hosts import Hosts, PlainHosts, plain
from store.api.member_models import GrantIn, GrantOut
from store.api.parameter_models import ONE_OF, KindName, ParametersIn
from store.api.values import Readable, Sealed, Value
from store.credential import places
from store.model import SecretValue
from store.people import GroupGrant
from store.records import Change, EntryInfo, NewEntry

LocationName = Literal["header", "url", "body", "message", "widened"]
"""The last one stands where locations were named that go beyond a preset's; alone it is all of them."""
Locations = Annotated[list[LocationName], Field(min_length=1, max_length=8)]
Provider = Annotated[str, shape(f"^{LABEL[1:-1]}$|^$", maxLength=64, examples=["openai"])]
Rule = str | dict[str, object]
Binding = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{64}$",
        description="Of `sealed`: SHA-256 of HPKE's info in hex. With it, what was sealed for another version is told.",
    ),
]
Note = Literal["value_short", "whitespace_edges", "looks_like_placeholder", "looks_like_address"]
Noted = Annotated[
    list[Note], Field(max_length=8, description="Of `sealed`: warnings that only the client could see to give.")
]
_DONE = "What is done with the value: written as it is, signed with, shown by connections, or traded for a token."
Kept = Annotated[int, Field(ge=1, le=100)]
Groups = Annotated[list[GrantIn], Field(max_length=32)]


def _grants(groups: list[GrantIn] | None) -> list[GroupGrant] | None:
    return None if groups is None else [each.grant() for each in groups]


_PLAIN = Field(None, description="Where alone it may be injected; none: anywhere.")


class About(Model):
    """What may be said of a secret besides its value."""

    hosts: Hosts | None = Field(None, description="Where it may be injected; none: kept, but injected nowhere.")
    locations: Locations | None = None
    provider: Provider | None = Field(
        None, description="A preset, which fills in hosts and locations, in any case; or any label, which does not."
    )
    description: Prose | None = None
    rotate_after: Duration | None = Field(None, description="After this time it is listed as due.")
    keep_versions: Kept | None = Field(None, description="Versions whose values are kept: 10 unless given.")
    groups: Groups | None = Field(None, description="Groups that may do something with it; then no other may.")


class SecretIn(About, json_schema_extra=ONE_OF):
    """One secret of an upload."""

    name: Name
    value: Value | None = None
    sealed: Sealed | None = None
    binding: Binding | None = None
    noted: Noted = Field(default=[])
    environment: Environment | None = None
    kind: KindName | None = Field(None, description=_DONE)
    parameters: ParametersIn | None = Field(None, description="Of the kind; sealed with the value.")

    def entry(self) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, self.name, self.value, self.sealed)


class SecretPut(About, json_schema_extra=ONE_OF):
    """A new version of a secret."""

    name: SkipJsonSchema[Name | None] = None
    """Taken where it repeats the path's, so that an upload's entry can be sent as it is."""
    value: Value | None = None
    sealed: Sealed | None = None
    binding: Binding | None = None
    noted: Noted = Field(default=[])
    environment: Environment | None = None
    kind: KindName | None = Field(None, description=_DONE)
    parameters: ParametersIn | None = Field(None, description="Of the kind; sealed with the value.")

    def entry(self, name: str) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, name, self.value, self.sealed)


class VariableIn(About):
    """One variable of an upload; readable, injected as `#{VARS.NAME}`."""

    name: Name
    hosts: PlainHosts | None = _PLAIN  # type: ignore[assignment]  # no capture
    value: Readable
    environment: Environment | None = None

    def entry(self) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, self.name, self.value, None)


class VariablePut(About):
    """A new version of a variable."""

    name: SkipJsonSchema[Name | None] = None
    hosts: PlainHosts | None = _PLAIN  # type: ignore[assignment]  # no capture
    value: Readable
    environment: Environment | None = None

    def entry(self, name: str) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, name, self.value, None)


class MetadataPatch(About, Patch):
    """A change of metadata; hosts and locations can only be narrowed, widening takes the value again."""

    name: Name | None = Field(None, description="Another name, at once; the old one is then unknown.")

    def change(self) -> Change:
        """Return what the vault takes; an explicit null clears what is a text."""

        def wish(name: str) -> str | None:
            return (getattr(self, name) or "") if name in self.model_fields_set else None

        texts = {name: wish(name) for name in ("provider", "description", "rotate_after")}
        more = {"keep_versions": self.keep_versions, "groups": _grants(self.groups), "name": self.name}
        return Change(plain(self.hosts), self.locations, **texts, **more)  # type: ignore[arg-type]


def _entry(given: About, name: str, value: SecretValue | None, sealed: SecretValue | None) -> NewEntry:
    said: ParametersIn | None = getattr(given, "parameters", None)
    return NewEntry(
        name,
        value,
        None if sealed is None else sealed.reveal(),
        plain(given.hosts),
        given.locations,
        given.provider,
        given.description,
        getattr(given, "environment", None) or "",
        given.rotate_after,
        getattr(given, "binding", None),
        getattr(given, "noted", ()),
        given.keep_versions,
        _grants(given.groups),
        getattr(given, "kind", None),
        None if said is None else said.model_dump(exclude_none=True),
    )


class WarningOut(Out):
    """Something stored that may not be meant."""

    code: str
    detail: str


class EntryOut(Out):
    """What is known of a secret or variable."""

    id: str
    name: str
    environment: Word
    version: int
    last_version: int
    state: str
    hosts: list[Rule]
    locations: list[str]
    provider: Word
    description: str
    rotate_after: str | None
    rotate_due_at: Time | None
    keep_versions: int
    groups: list[GrantOut]
    created_at: Time
    created_by: str
    updated_at: Time
    updated_by: str
    last_used_at: Time | None
    use_count: int
    warnings: list[WarningOut]


class SecretOut(EntryOut):
    """A secret. There is no field for its value."""

    placeholder: str
    places: list[str]
    """Where that may stand: of the locations, which are sealed, those that the kind has."""
    kind: KindName
    parameters: dict[str, str | list[str]]

    @classmethod
    def of(cls, info: EntryInfo) -> "SecretOut":
        """Return the answer for what the vault knows."""
        of, told = info.credential, f"#{{SECRETS.{info.name}}}"
        where = places(of, info.locations)
        return cls(**_known(info), placeholder=told, places=where, kind=of.kind, parameters=dict(of.parameters))


class VariableOut(EntryOut):
    """A variable with its value, which is no secret."""

    placeholder: str
    value: str | None

    @classmethod
    def of(cls, info: EntryInfo) -> "VariableOut":
        """Return the answer for what the vault knows."""
        return cls(**_known(info), placeholder=f"#{{VARS.{info.name}}}", value=info.value)


def _known(info: EntryInfo) -> dict[str, object]:
    return {name: getattr(info, name) for name in EntryOut.model_fields}
